"""SIGKILL of the training process and of the kernel at any moment: each job ends, and nobody trains twice."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from openai import OpenAI

from helpers.jobs import metrics
from helpers.local_api.engines.trained import lease, worker
from helpers.local_api.store import Store
from tests import nursery

from .conftest import rows
from .test_trained_methods import dpo, pairs, questions, rft
from .training_jobs import MODEL, until, workers

pytestmark = [pytest.mark.slow]
ROOT = Path(__file__).parents[2]
BLOWS = ("worker", "kernel", "worker")  # and so on
MISSED = 2  # of each: a process had come to its end by itself
EARLY, LATE = 3.0, 1.5  # seconds: the latest blow after a training process began, or after it first saved

SUPERVISED = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 30, "batch_size": 2}}}
METHODS = {  # the rows, the method, and the steps that it takes
    "supervised": (rows(), SUPERVISED, 180),
    "dpo": (pairs(), dpo(n_epochs=30), 90),
    "reinforcement": (questions(), rft(n_epochs=6, compute_multiplier=0.25), 18),
}

# What a lesson's kernel does. It ends with whoever started it.
KERNEL = """
import os, sys
from helpers.connect import connect
connect()
print(os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"], flush=True)
sys.stdin.read()
"""


class Kernel:
    """A process that has called connect(), and a client of its API. Killed as Jupyter kills: the whole group.

    ``before`` is what it runs first.
    """

    def __init__(self, before: str = ""):
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{before}\n{KERNEL}"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        line = next(line for line in self.process.stdout if line.startswith("http"))
        self.client = OpenAI(base_url=line.split()[0], api_key=line.split()[1], max_retries=0)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.client.close()


class Watch(threading.Thread):
    """Counts the training processes again and again."""

    def __init__(self, folder: Path):
        super().__init__(daemon=True)
        self.folder, self.most, self.ended = folder, 0, threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.2):
            self.most = max(self.most, len(workers(self.folder)))


@contextmanager
def watched(folder: Path):
    watch = Watch(folder)
    watch.start()
    yield watch
    watch.ended.set()
    watch.join()


def create_jobs(client: OpenAI, methods: tuple[str, ...]) -> dict[str, int]:
    """A job of each of these methods: its id, and the steps that it takes."""
    jobs = {}
    for seed, name in enumerate(methods):
        examples, method, steps = METHODS[name]
        data = "".join((json.dumps(row) + "\n") for row in examples).encode()
        file = client.files.create(file=("train.jsonl", data), purpose="fine-tune")
        options = {"model": MODEL, "training_file": file.id, "method": method, "seed": seed}
        jobs[client.fine_tuning.jobs.create(**options).id] = steps
    return jobs


def unfinished(client: OpenAI, jobs: Iterable[str]) -> bool:
    found = {job.id: job.status for job in client.fine_tuning.jobs.list(limit=100)}
    return any(found[job] not in ("succeeded", "failed") for job in jobs)


def last_saved(store: Store) -> int:
    """A number that changes whenever a training process has saved how far it is, or has ended a job."""
    try:
        return max((path.stat().st_mtime_ns for path in (store.folder / "trained").glob("*.pt")), default=0)
    except FileNotFoundError:
        return 0


def wait_for_a_moment(client: OpenAI, jobs: Iterable[str], store: Store, rng: random.Random) -> int:
    """Waits for a training process, and then until it starts, or trains, for a while; its id."""
    (pid,) = until(lambda: unfinished(client, jobs) and workers(store.folder))
    if rng.random() < 0.3:
        time.sleep(rng.uniform(0, EARLY))
    else:
        before = last_saved(store)
        until(lambda: last_saved(store) != before or workers(store.folder) != [pid])
        time.sleep(rng.uniform(0, LATE))
    return pid


def kill_worker(store: Store, pid: int) -> bool:
    """Kills it, and lets its lease run out as if the seconds had passed. False if it has ended before."""
    held = lease.read(store)
    if workers(store.folder) != [pid]:
        return False
    os.kill(pid, signal.SIGKILL)
    until(lambda: workers(store.folder) == [])
    if held and (left := lease.read(store)) and left.body["name"] == held.body["name"]:
        store.update(lease.KIND, lease.ID, left.body | {"until": 0})
    return True


def check(client: OpenAI, job_id: str, steps: int) -> str:
    """The job has ended as it should, with nothing twice and nothing missing; how it has ended."""
    job = client.fine_tuning.jobs.retrieve(job_id)
    if job.status == "failed":
        assert job.error.code == "training_process_ended" and "without a word" in job.error.message
        assert job.fine_tuned_model is None
        return job.status
    assert job.status == "succeeded"
    assert list(metrics(client, job).step) == list(range(1, steps + 1))
    points = list(client.fine_tuning.jobs.checkpoints.list(job_id, limit=100))
    assert [point.step_number for point in points] == sorted({p.step_number for p in points}, reverse=True)
    assert points[0].fine_tuned_model_checkpoint == job.fine_tuned_model
    answer = client.chat.completions.create(
        model=job.fine_tuned_model, messages=[{"role": "user", "content": "When?"}], max_tokens=2
    )
    assert answer.usage.completion_tokens <= 2
    return job.status


@pytest.mark.endurance(sample=2, soak=30)
def test_every_job_ends_though_worker_and_kernel_are_killed(
    tmp_path, tiny_weights, monkeypatch, count, figures
):
    methods = ("supervised", "supervised")
    kill_again_and_again(methods, Kernel, tmp_path, tiny_weights, monkeypatch, count, figures)


@pytest.mark.endurance(sample=2, soak=60)
def test_jobs_of_the_other_methods_end_as_well(tmp_path, tiny_weights, monkeypatch, count, figures):
    """Their training processes are forked: to start one as the product does takes longer than the job."""
    monkeypatch.setenv("LOCAL_API_THREADS", "1")
    nursery.start()
    begin = partial(Kernel, nursery.USED)
    methods = ("reinforcement", "dpo")
    kill_again_and_again(methods, begin, tmp_path, tiny_weights, monkeypatch, count, figures)


def kill_again_and_again(methods, begin, tmp_path, tiny_weights, monkeypatch, count, figures) -> None:
    """More jobs of these methods are ordered whenever all have ended."""
    monkeypatch.setenv("LOCAL_API_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LOCAL_API_WEIGHTS", str(tiny_weights))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    rng = random.Random(5)
    blows = rng.sample((BLOWS * count)[:count], count)
    kernel = begin()
    store = Store(tmp_path / "state")
    jobs, hit, survived = create_jobs(kernel.client, methods), 0, 0
    with watched(store.folder) as watch:
        for blow in blows:
            if not unfinished(kernel.client, jobs):
                jobs |= create_jobs(kernel.client, methods)
            pid = wait_for_a_moment(kernel.client, jobs, store, rng)
            if blow == "worker":
                hit += kill_worker(store, pid)
            else:
                lived = workers(store.folder) == [pid]
                kernel.kill()
                survived += lived and workers(store.folder) == [pid]
                kernel = begin()
        until(lambda: not unfinished(kernel.client, jobs))
        until(lambda: workers(store.folder) == [] and not lease.is_held(store))
    ended = [check(kernel.client, job, steps) for job, steps in jobs.items()]
    kernel.kill()
    succeeded = ended.count("succeeded")
    figures(
        f"{hit} training processes killed, {survived} outlived their kernel; "
        f"{succeeded} of {len(jobs)} jobs succeeded, the others were given up"
    )
    assert watch.most == 1
    assert hit >= blows.count("worker") - MISSED and survived >= blows.count("kernel") - MISSED
    assert hit > 0 and succeeded >= len(jobs) - 1
    assert [path.name for path in (store.folder / "trained").iterdir()] == ["worker.log"]
    assert worker.next_job(store) is None
