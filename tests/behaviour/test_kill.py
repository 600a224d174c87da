"""SIGKILL at any moment: the state opens, and nothing that was acknowledged is missing, half-written or undone."""

import json
import random
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests import by_hand

from .conftest import MODEL, rows

TRAINING_SET = "".join(json.dumps(row) + "\n" for row in rows(10)).encode()
KEY = {"Authorization": "Bearer sk-local"}
CLIENTS = 4
REQUESTS = (20, 110)  # all clients together, from the start of a server to its end


class Learner(threading.Thread):
    """Uploads, deletes, creates and cancels until the server dies; remembers what the server acknowledged."""

    def __init__(self, url: str, name: str):
        super().__init__()
        self.url, self.name_ = url, name
        self.random = random.Random(name)
        self.sent: dict[str, bytes] = {}  # file name -> bytes
        self.files: dict[str, str] = {}  # id -> file name
        self.deleted: set[str] = set()
        self.jobs: list[str] = []
        self.cancelled: set[str] = set()
        self.in_doubt: str | None = None  # the file or job of a deletion or cancellation without an answer
        self.requests, self.waiting = 0, False
        self.mistake: Exception | None = None

    def run(self) -> None:
        try:
            with requests.Session() as self.session:
                self.training_file = self.upload(TRAINING_SET)
                self.order()
                while True:
                    self.random.choices(
                        (self.upload, self.delete, self.order, self.cancel), weights=(12, 4, 1, 1)
                    )[0]()
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            pass
        except Exception as error:  # noqa: BLE001 - it belongs to the test, not to this thread
            self.mistake = error

    def upload(self, data: bytes | None = None) -> str:
        data = data or self.random.randbytes(self.random.randrange(1, 50_000))
        name = f"{self.name_}-{len(self.sent)}.jsonl"
        self.sent[name] = data
        answer = self.ask("POST", "/files", data={"purpose": "fine-tune"}, files={"file": (name, data)})
        self.files[answer.json()["id"]] = name
        return answer.json()["id"]

    def delete(self) -> None:
        there = self.files.keys() - self.deleted - {self.training_file}
        if there:
            self.in_doubt = self.random.choice(sorted(there))
            self.ask("DELETE", f"/files/{self.in_doubt}")
            self.deleted.add(self.in_doubt)
            self.in_doubt = None

    def order(self) -> None:
        order = {"model": MODEL, "training_file": self.training_file, "hyperparameters": {"n_epochs": 1}}
        self.jobs.append(self.ask("POST", "/fine_tuning/jobs", json=order).json()["id"])

    def cancel(self) -> None:
        self.in_doubt = self.jobs[-1]
        answer = self.ask("POST", f"/fine_tuning/jobs/{self.in_doubt}/cancel", good=(200, 400))
        if answer.status_code == 200:  # 400: it was over already
            self.cancelled.add(self.in_doubt)
        self.in_doubt = None

    def ask(self, method: str, path: str, good=(200,), **options) -> requests.Response:
        self.requests += 1
        self.waiting = True
        answer = self.session.request(method, self.url + path, headers=KEY, timeout=60, **options)
        assert answer.status_code in good, answer.text
        self.waiting = False
        return answer


def get(url: str, path: str) -> requests.Response:
    answer = requests.get(url + path, headers=KEY, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer


def check_files(url: str, learners: list[Learner], looked_into: set[str]) -> None:
    """What was acknowledged is there, what was deleted is not; every file is one that was sent, and whole."""
    sent = {name: data for learner in learners for name, data in learner.sent.items()}
    listed = {file["id"]: file for file in get(url, "/files").json()["data"]}
    for learner in learners:
        assert learner.files.keys() - learner.deleted - {learner.in_doubt} <= listed.keys()
        assert not learner.deleted & listed.keys()
    for file in listed.values():
        if file["purpose"] == "fine-tune" and file["id"] not in looked_into:
            content = get(url, f"/files/{file['id']}/content").content
            assert content == sent[file["filename"]] and file["bytes"] == len(content)
            looked_into.add(file["id"])


def check_jobs(url: str, learners: list[Learner]) -> None:
    """Every job ends: the cancelled ones as cancelled, the others with a model."""
    for learner in learners:
        for job_id in learner.jobs:
            expected = {"cancelled"} if job_id in learner.cancelled else {"succeeded"}
            expected |= {"cancelled"} if job_id == learner.in_doubt else set()
            assert finish(url, job_id)["status"] in expected


def finish(url: str, job_id: str) -> dict:
    deadline = time.monotonic() + 300
    while (job := get(url, f"/fine_tuning/jobs/{job_id}").json())["status"] not in (
        "succeeded",
        "failed",
        "cancelled",
    ):
        assert time.monotonic() < deadline, f"{job_id} does not end"
        time.sleep(0.01)
    return job


def work_until(learners: list[Learner], requests_: int) -> None:
    for learner in learners:
        learner.start()
    while sum(learner.requests for learner in learners) < requests_:
        assert any(learner.is_alive() for learner in learners), [learner.mistake for learner in learners]
        time.sleep(0.001)


@pytest.fixture(autouse=True)
def jobs_take_no_time(monkeypatch):
    monkeypatch.setenv("LOCAL_API_JOB_SECONDS", "0")


def kill_again_and_again(folder: Path, count: int) -> str:
    """Kills so many servers and checks what the next one has; what was done, in words."""
    by_hand.base_model(folder)  # or every server would begin with that, and be killed
    learners: list[Learner] = []
    looked_into: set[str] = set()
    in_flight = 0
    for number in range(count):
        with by_hand.quick_server(folder) as (url, process):
            check_files(url, learners, looked_into)
            new = [Learner(url, f"{number}-{client}") for client in range(CLIENTS)]
            work_until(new, random.randrange(*REQUESTS))
            time.sleep(random.uniform(0, 0.01))
            in_flight += any(learner.waiting for learner in new)
            process.kill()
            for learner in new:
                learner.join()
                assert learner.mistake is None, learner.mistake
            learners += new
    with by_hand.quick_server(folder) as (url, _):
        check_files(url, learners, looked_into)
        check_jobs(url, learners)
    with closing(sqlite3.connect(folder / "state.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not list(folder.glob("set-aside-*")) and in_flight >= count / 2
    counts = {name: sum(len(getattr(learner, name)) for learner in learners) for name in COUNTED}
    assert all(counts.values()), counts
    sent = sum(learner.requests for learner in learners)
    told = ", ".join(f"{number} {name}" for name, number in counts.items())
    return f"{count} kills, {in_flight} with a request in flight; {sent} requests: {told}; nothing lost"


COUNTED = ("files", "deleted", "jobs", "cancelled")


def test_nothing_acknowledged_is_lost_at_one_kill(tmp_path):
    by_hand.base_model(tmp_path)
    with by_hand.quick_server(tmp_path) as (url, process):
        learner = Learner(url, "one")
        work_until([learner], 12)
        process.kill()
        learner.join()
    with by_hand.quick_server(tmp_path) as (url, _):
        check_files(url, [learner], set())
        check_jobs(url, [learner])
    assert learner.mistake is None and learner.files and learner.jobs


@pytest.mark.slow
@pytest.mark.endurance(sample=5, soak=200)
def test_nothing_acknowledged_is_lost(tmp_path, count, figures):
    figures(kill_again_and_again(tmp_path, count))
