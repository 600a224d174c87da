"""A kernel killed at any point of a lesson costs nothing: the state is whole, and the lesson runs again."""

import json
import random
import sqlite3
import time

import pytest
from jupyter_client.manager import KernelManager
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager

from tests.notebooks import refresh

LATEST_KILL = {
    "03_upload": 6,
    "04_create_job": 20,
    "05_use_model": 10,
}  # seconds after the first cell was sent


def run_and_kill(path, seconds: float) -> None:
    """Sends all cells to a fresh kernel and kills it in their midst."""
    manager = KernelManager(kernel_name=CURRENT_ENV_KERNEL_NAME, kernel_spec_manager=NbvalKernelspecManager())
    manager.start_kernel(cwd=str(path.parent))
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    for cell in refresh.code_cells(refresh.read(path)):
        client.execute(cell.source)
    time.sleep(seconds)
    client.stop_channels()
    manager.shutdown_kernel(now=True)


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
@pytest.mark.endurance(sample=1, soak=4)
@pytest.mark.parametrize("name", LATEST_KILL)
def test_a_lesson_survives_the_death_of_its_kernel(name, state_folder, count):
    path, rng = refresh.NOTEBOOKS / f"{name}.ipynb", random.Random(name)
    for _ in range(count):
        run_and_kill(path, rng.uniform(0.5, LATEST_KILL[name]))
        assert problems(state_folder) == []
    refresh.execute(refresh.read(path), path.parent)
    assert problems(state_folder) == []
