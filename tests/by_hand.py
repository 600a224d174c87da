"""The mock API in a process of its own."""

import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from helpers.local_api.app import Mode, create_app
from helpers.local_api.engines import simulated
from helpers.local_api.server import run_forever
from helpers.local_api.store import Store

ROOT = Path(__file__).parents[1]


def base_model(folder: Path) -> None:
    """Puts the simulated base model into a state folder. It is trained once in this run of the tests."""
    shared = Path(os.environ["TMPDIR"], "base-model")  # the folder of this run, see tests/environment.py
    simulated.base_weights(shared)
    folder.mkdir(parents=True, exist_ok=True)
    for file in shared.glob("*.npz"):
        shutil.copy(file, folder)


@contextmanager
def server(folder: Path, *options: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """Started as a user starts it. Gives its base URL and its process; it is killed at the end."""
    base_model(folder)
    process = subprocess.Popen(
        [sys.executable, "-m", "helpers.local_api", "--port", "0", *options],
        cwd=ROOT,
        env=os.environ | {"LOCAL_API_HOME": str(folder), "LOCAL_API_JOB_SECONDS": "0"} | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        first_line = process.stdout.readline()
        yield re.search(r"http://[\d.]+:\d+/v1", first_line)[0], process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def quick_server(folder: Path) -> Iterator[tuple[str, multiprocessing.Process]]:
    """The same server, forked from a process that has imported everything: it starts in milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(folder, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv(), process
    finally:
        process.kill()
        process.join()
        ours.close()


def _serve(folder: Path, started: Connection) -> None:
    run_forever(create_app(Store(folder), Mode(by_hand=True)), 0, started.send)
