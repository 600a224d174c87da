"""What the simulated engine has trained or answered in this run of the tests, it does not compute again.

For tests that run lessons in their own process: each of them trains and asks the same, and none of them sleeps long.
The notebooks themselves, in kernels, and the tests of the engine really train.
"""

import hashlib
import json
import os
import pickle
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from helpers.local_api.engines import simulated

LONGEST_SLEEP = 0.2  # seconds: a lesson waits longer before it asks for its job again


def install(monkeypatch) -> None:
    """From now on, until the test ends. What is known lies in the folder of this run, for all its processes."""
    train, answers, sleep = simulated.train, simulated.answers, time.sleep

    def trained_once(*data, start: bytes, at_each_step=lambda: None, **options) -> simulated.TrainingRun:
        asked = json.dumps(["train", data, options], sort_keys=True).encode()
        return _once(start + asked, lambda: train(*data, start=start, at_each_step=at_each_step, **options))

    def answered_once(weights: bytes, messages, *, at_each_step, wanted, **options) -> list[str]:
        # whatever is wanted: no lesson asks for a form
        asked = json.dumps(["answer", messages, options], sort_keys=True).encode()
        return _once(weights + asked, lambda: answers(weights, messages, **options))

    monkeypatch.setattr(simulated, "train", trained_once)
    monkeypatch.setattr(simulated, "answers", answered_once)
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, LONGEST_SLEEP)))


def _once(asked: bytes, compute: Callable[[], object]) -> object:
    folder = Path(os.environ["TMPDIR"], "trained-once")  # see tests/environment.py
    folder.mkdir(exist_ok=True)
    path = folder / hashlib.sha256(asked).hexdigest()
    if not path.exists():
        _write_whole(pickle.dumps(compute()), path)
    return pickle.loads(path.read_bytes())


def _write_whole(content: bytes, path: Path) -> None:
    """Another process may read it at any moment."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)
