"""A full disk: every answer says so, a job that ends for it too, and deleting and cancelling still work."""

import errno
import sqlite3

import pytest
from openai import APIStatusError

from helpers.local_api import errors
from helpers.local_api.engines import simulated

from .conftest import MODEL, rows
from .test_chat import MESSAGES


class Disk:
    """Stands between the store and the disk; once full, only giving up the reserve makes space."""

    def __init__(self, store, monkeypatch):
        self.store, self.full = store, False
        connection, save = store._connection, store.save_bytes

        class Connection:
            def execute(_, statement, *values):
                if statement == "COMMIT" and not self.has_room():
                    store.connection_before().execute("ROLLBACK")
                    error = sqlite3.OperationalError("database or disk is full")
                    error.sqlite_errorcode = sqlite3.SQLITE_FULL
                    raise error
                return connection().execute(statement, *values)

            in_transaction = property(lambda _: connection().in_transaction)

        def save_bytes(*arguments):
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return save(*arguments)

        store.connection_before = connection
        monkeypatch.setattr(store, "_connection", Connection)
        monkeypatch.setattr(store, "save_bytes", save_bytes)

    def has_room(self) -> bool:
        return not self.full or not (self.store.folder / "reserve").exists()


@pytest.fixture
def disk(api, monkeypatch) -> Disk:
    return Disk(api.app.state.service.store, monkeypatch)


def test_every_answer_that_writes_says_that_the_disk_is_full(api, disk, capfd):
    file = api.upload(rows())
    disk.full = True
    calls = {
        "upload": lambda: api.upload(rows()),
        "job": lambda: api.client.fine_tuning.jobs.create(model=MODEL, training_file=file.id),
        "chat": lambda: api.client.chat.completions.create(model=MODEL, messages=MESSAGES, store=True),
    }
    for name, call in calls.items():
        with pytest.raises(APIStatusError) as caught:
            call()
        error = caught.value
        assert error.status_code == 507 and error.code == "disk_full", name
        assert "disk is full" in error.message and error.response.headers["x-should-retry"] == "false"
    assert api.client.chat.completions.create(model=MODEL, messages=MESSAGES).choices
    assert api.client.files.retrieve(file.id).id == file.id
    assert "Traceback" not in capfd.readouterr().err


def test_what_frees_space_works_on_a_full_disk(api, disk):
    file, job = api.upload(rows()), api.finished_job()
    disk.full = True
    assert api.client.files.delete(file.id).deleted
    assert api.client.models.delete(job.fine_tuned_model).deleted
    assert {one.id for one in api.client.files.list()} == {job.training_file, *job.result_files}


def test_a_job_can_be_cancelled_on_a_full_disk(slow_job, api, disk):
    disk.full = True
    assert api.client.fine_tuning.jobs.cancel(slow_job.id).status == "cancelled"


def test_a_job_that_ends_for_it_says_so_and_leaves_no_file(api, disk, monkeypatch):
    file = api.upload(rows())
    train = simulated.train

    def fills_the_disk(*arguments, **options):
        disk.full = True
        return train(*arguments, **options)

    monkeypatch.setattr(simulated, "train", fills_the_disk)
    job = api.client.fine_tuning.jobs.create(model=MODEL, training_file=file.id)
    api.app.state.service.worker.wait()
    job = api.client.fine_tuning.jobs.retrieve(job.id)
    assert job.status == "failed" and job.error.code == "disk_full" and job.error.message == errors.DISK_FULL
    assert [one.id for one in api.client.files.list()] == [file.id]


def test_the_base_model_is_not_kept_on_a_full_disk_but_answers(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    whole = simulated.base_weights()
    monkeypatch.setattr(simulated, "_keep", refuse)
    assert simulated.base_weights(tmp_path / "full") == whole
