"""What the simulated engine has trained in this run of the tests is not trained again, and nobody sleeps for long.

For tests that run lessons in their own process: each of them trains the same. The notebooks themselves, in kernels, and
the tests of the engine really train.
"""

import hashlib
import json
import os
import pickle
import tempfile
import time
from pathlib import Path

from helpers.local_api.engines import simulated

LONGEST_SLEEP = 0.2  # seconds: a lesson waits longer before it asks for its job again


def install(monkeypatch) -> None:
    """From now on, until the test ends. What was trained lies in the folder of this run, for all its processes."""
    train, sleep = simulated.train, time.sleep
    folder = Path(os.environ["TMPDIR"], "trained-once")  # see tests/environment.py
    folder.mkdir(exist_ok=True)

    def once(*data, start: bytes, at_each_step=lambda: None, **options) -> simulated.TrainingRun:
        asked = json.dumps([data, options], sort_keys=True).encode()
        path = folder / hashlib.sha256(start + asked).hexdigest()
        if not path.exists():
            run = train(*data, start=start, at_each_step=at_each_step, **options)
            _write_whole(pickle.dumps(run), path)
        return pickle.loads(path.read_bytes())

    monkeypatch.setattr(simulated, "train", once)
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, LONGEST_SLEEP)))


def _write_whole(content: bytes, path: Path) -> None:
    """Another process may read it at any moment."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)
