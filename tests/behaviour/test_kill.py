"""SIGKILL at any moment: the state opens, and nothing that was acknowledged is missing or half-written."""

import json
import random
import threading
import time
from pathlib import Path

import pytest
import requests

from helpers.local_api.engines import simulated
from tests import by_hand

from .conftest import MODEL, rows

TRAINING_SET = "".join(json.dumps(row) + "\n" for row in rows(10)).encode()
KEY = {"Authorization": "Bearer sk-local"}


class Learner(threading.Thread):
    """Uploads files and creates jobs until the server dies; remembers what the server acknowledged."""

    def __init__(self, url: str, number: int):
        super().__init__()
        self.url, self.number = url, number
        self.sent: dict[str, bytes] = {}  # file name -> bytes
        self.files: dict[str, str] = {}  # id -> file name
        self.jobs: list[str] = []
        self.waiting = False  # for an answer

    def run(self) -> None:
        try:
            with requests.Session() as self.session:
                file_id = self.upload(TRAINING_SET)
                order = {"model": MODEL, "training_file": file_id, "hyperparameters": {"n_epochs": 1}}
                self.jobs.append(self.post("/fine_tuning/jobs", json=order)["id"])
                while True:
                    self.upload(random.randbytes(random.randrange(1, 50_000)))
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            pass

    def upload(self, data: bytes) -> str:
        name = f"{self.number}-{len(self.sent)}.jsonl"
        self.sent[name] = data
        answer = self.post("/files", data={"purpose": "fine-tune"}, files={"file": (name, data)})
        self.files[answer["id"]] = name
        return answer["id"]

    def post(self, path: str, **options) -> dict:
        self.waiting = True
        answer = self.session.post(self.url + path, headers=KEY, timeout=30, **options)
        assert answer.status_code == 200, answer.text
        self.waiting = False
        return answer.json()


def get(url: str, path: str) -> requests.Response:
    answer = requests.get(url + path, headers=KEY, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer


def check_files(url: str, learners: list[Learner], looked_into: set[str]) -> None:
    """All acknowledged files are there; every file, acknowledged or not, is one that was sent, and whole."""
    sent = {name: data for learner in learners for name, data in learner.sent.items()}
    listed = {file["id"]: file for file in get(url, "/files").json()["data"]}
    for learner in learners:
        assert learner.files.keys() <= listed.keys()
    for file in listed.values():
        if file["purpose"] == "fine-tune" and file["id"] not in looked_into:
            content = get(url, f"/files/{file['id']}/content").content
            assert content == sent[file["filename"]] and file["bytes"] == len(content)
            looked_into.add(file["id"])


def wait_for_a_job(learner: Learner) -> None:
    while not learner.jobs and learner.is_alive():
        time.sleep(0.001)


def finish(url: str, job_id: str) -> dict:
    deadline = time.monotonic() + 120
    while (job := get(url, f"/fine_tuning/jobs/{job_id}").json())["status"] not in ("succeeded", "failed"):
        assert time.monotonic() < deadline, f"{job_id} does not end"
        time.sleep(0.01)
    return job


def kill_again_and_again(folder: Path, count: int) -> str:
    simulated.base_weights(folder)  # trained once; or every server would begin with that, and be killed
    learners: list[Learner] = []
    looked_into: set[str] = set()
    in_flight = 0
    for number in range(count):
        with by_hand.quick_server(folder) as (url, process):
            check_files(url, learners, looked_into)
            learners.append(Learner(url, number))
            learners[-1].start()
            if number % 2 == 0:  # every other kill comes when there is a job to lose
                wait_for_a_job(learners[-1])
            time.sleep(random.uniform(0, 0.05))
            in_flight += learners[-1].waiting
            process.kill()
            learners[-1].join()
    with by_hand.quick_server(folder) as (url, _):
        check_files(url, learners, looked_into)
        jobs = [job_id for learner in learners for job_id in learner.jobs]
        for job_id in jobs:
            assert finish(url, job_id)["status"] == "succeeded"
    files = sum(len(learner.files) for learner in learners)
    assert in_flight >= count / 2
    assert files >= count / 2 and len(jobs) >= count / 2
    return f"{count} kills, {in_flight} with a request in flight; {files} files and {len(jobs)} jobs kept"


@pytest.fixture(autouse=True)
def jobs_take_no_time(monkeypatch):
    monkeypatch.setenv("LOCAL_API_JOB_SECONDS", "0")


@pytest.mark.endurance(sample=5, soak=200)
def test_nothing_acknowledged_is_lost(tmp_path, count, figures):
    figures(kill_again_and_again(tmp_path, count))
