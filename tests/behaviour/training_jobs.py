"""What tests of the trained engine's jobs do: create one, wait for something, count steps and processes."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from helpers.jobs import new_events
from helpers.local_api.engines import trained
from helpers.local_api.engines.trained import lease
from tests import nursery

from .conftest import rows

MODEL = trained.MODEL
PATIENCE = 120  # seconds until a test gives up; nothing is measured


def until(done):
    deadline = time.monotonic() + PATIENCE
    while not (found := done()):
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.05)
    return found


def create(api, epochs=2, **options):
    file = api.upload(rows())
    hyperparameters = {"n_epochs": epochs, "batch_size": 4}
    options = {"model": MODEL, "seed": 1, "hyperparameters": hyperparameters} | options
    return api.client.fine_tuning.jobs.create(training_file=file.id, **options)


def status(api, job, *wanted):
    """Waits until the job has one of these statuses; the job."""

    def look():
        found = api.client.fine_tuning.jobs.retrieve(job.id)
        return found if found.status in wanted else None

    return until(look)


def pause_resume_and_kill(api, job, after: int, steps: Callable) -> None:
    """Pauses the job after so many ``steps(api, job)``, resumes it, and kills its process once it has gone on."""
    until(lambda: len(steps(api, job)) >= after)
    api.client.fine_tuning.jobs.pause(job.id)
    store = api.app.state.service.store
    until(lambda: not lease.is_held(store))
    seen = steps(api, job)
    assert api.client.fine_tuning.jobs.retrieve(job.id).status == "paused"
    api.client.fine_tuning.jobs.resume(job.id)
    until(lambda: len(steps(api, job)) > len(seen))
    os.kill(lease.read(store).body["pid"], signal.SIGKILL)


def steps(api, job) -> list[int]:
    events = new_events(api.client, job.id)
    return [event.data["step"] for event in events if event.data and "train_loss" in event.data]


def workers(folder: Path) -> list[int]:
    """The ids of the training processes of a state folder that live now. Reads /proc: Linux only."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().decode(errors="replace").split("\0")
            name = (path.parent / "comm").read_text().strip()
        except OSError:  # it has ended meanwhile
            continue
        launched = (
            command[1:3] == ["-m", "helpers.local_api.engines.trained.worker"] and str(folder) in command
        )
        if launched or name == nursery.title(folder):
            found.append(int(path.parent.name))
    return found
