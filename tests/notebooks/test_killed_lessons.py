"""A kernel killed at any point of a lesson costs nothing: the state is whole, and the lesson runs again."""

import json
import random
import sqlite3
import time
from pathlib import Path

import pytest
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, KernelManager, NbvalKernelspecManager

from tests import by_hand
from tests.notebooks import refresh

LESSONS = ("05_use_model", "03_upload", "04_create_job")  # the first one uploads, trains and asks
LATEST_KILL = 0.2  # seconds after a cell has begun: in its midst, at its end, or in the one after it
PATIENCE = 180  # seconds: a deadline for a hang, not a measure of speed


def run_and_kill(path, cell: int, seconds: float) -> bool:
    """Sends all cells to a fresh kernel and kills it so many seconds after this cell, counted from 0, has begun.

    Cells are counted, so that a slow machine kills where a fast one does. Returns whether a cell was running.
    """
    manager = KernelManager(kernel_name=CURRENT_ENV_KERNEL_NAME, kernel_spec_manager=NbvalKernelspecManager())
    manager.start_kernel(cwd=str(path.parent))
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=PATIENCE)
    sent = [client.execute(one.source) for one in refresh.code_cells(refresh.read(path))]
    told = []
    while not is_told("begins", sent[cell], told):
        told.append(client.get_iopub_msg(timeout=PATIENCE))
    time.sleep(seconds)
    while client.iopub_channel.msg_ready():
        told.append(client.get_iopub_msg())
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    return any(is_told("begins", one, told) and not is_told("ends", one, told) for one in sent)


def is_told(what: str, cell: str, messages: list[dict]) -> bool:
    """Whether a kernel has said that the cell of this request "begins" or "ends"."""
    of_cell = [message for message in messages if message["parent_header"].get("msg_id") == cell]
    if what == "begins":
        return any(message["msg_type"] == "execute_input" for message in of_cell)
    return any(message["content"].get("execution_state") == "idle" for message in of_cell)


def problems(state_folder) -> list[str]:
    """What is half-written or lost: a damaged database, or a file without all of its bytes."""
    database = state_folder / "state.sqlite"
    if not database.exists():
        return []
    with sqlite3.connect(database) as connection:
        (health,) = connection.execute("PRAGMA integrity_check").fetchone()
        rows = connection.execute("SELECT body FROM objects WHERE kind = 'file'").fetchall()
    found = [] if health == "ok" else [health]
    for file in (json.loads(body) for (body,) in rows):
        path = state_folder / "files" / file["id"]
        if not path.exists() or path.stat().st_size != file["bytes"]:
            found.append(f"{file['filename']} is not whole")
    return found


@pytest.mark.slow
@pytest.mark.endurance(sample=1, soak=12)
def test_a_lesson_survives_the_death_of_its_kernel(tmp_path, monkeypatch, count, figures):
    """Each lesson in its turn, and at the end whole; each with a state folder of its own."""
    rng, inside = random.Random(LESSONS[0]), 0
    for number in range(count):
        path, folder = with_state_of_its_own(LESSONS[number % len(LESSONS)], tmp_path, monkeypatch)
        if count == 1:
            by_hand.base_model(folder)  # else the kernel trains it
        cells = range(len(refresh.code_cells(refresh.read(path))))
        inside += run_and_kill(path, rng.choice(cells), rng.uniform(0, LATEST_KILL))
        assert problems(folder) == []
    for name in LESSONS[:count]:
        path, folder = with_state_of_its_own(name, tmp_path, monkeypatch)
        refresh.execute(refresh.read(path), path.parent)
        assert problems(folder) == []
    figures(f"{count} kills, {inside} inside a cell")


def with_state_of_its_own(name: str, tmp_path: Path, monkeypatch) -> tuple[Path, Path]:
    """The lesson, and the state folder that its kernels use from now on."""
    folder = tmp_path / name
    monkeypatch.setenv("LOCAL_API_HOME", str(folder))
    return refresh.NOTEBOOKS / f"{name}.ipynb", folder
