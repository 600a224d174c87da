"""Many at once: clients on one server, and two servers on one state folder. Nothing is lost or mixed up."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from openai import DefaultHttpx2Client, OpenAI

from tests import by_hand

from .conftest import MODEL, rows
from .test_chat import MESSAGES


def whole_workflow(client: OpenAI, name: str) -> list[str]:
    """From upload to answer; the identifiers of the file, the job and the model that it leaves."""
    data = "".join(json.dumps(row) + "\n" for row in rows(10)).encode()
    file = client.files.create(file=(f"{name}.jsonl", data), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(
        model=MODEL,
        training_file=file.id,
        suffix=name,
        hyperparameters={"n_epochs": 1},
        metadata={"name": name},
    )
    deadline = time.monotonic() + 300
    while job.status not in ("succeeded", "failed") and time.monotonic() < deadline:
        time.sleep(0.05)
        job = client.fine_tuning.jobs.retrieve(job.id)
    assert job.status == "succeeded"
    assert job.training_file == file.id and f":{name}:" in job.fine_tuned_model
    assert client.files.content(file.id).read() == data
    assert client.files.content(job.result_files[0]).read()
    assert len(client.fine_tuning.jobs.checkpoints.list(job.id).data) == 1
    answer = client.chat.completions.create(model=job.fine_tuned_model, messages=MESSAGES)
    assert answer.model == job.fine_tuned_model
    return [file.id, job.id, job.fine_tuned_model]


def crowd(folder: Path, urls: list[str], clients: int, times: int) -> str:
    """Each client does the whole workflow several times, on one server after the other; then all is counted."""
    answers = []
    hooks = {"response": [answers.append]}
    with DefaultHttpx2Client(timeout=600, trust_env=False, event_hooks=hooks) as connections:

        def client(url: str) -> OpenAI:
            return OpenAI(base_url=url, api_key="sk-local", max_retries=0, http_client=connections)

        def learner(number: int) -> list[list[str]]:
            return [
                whole_workflow(client(urls[(number + turn) % len(urls)]), f"c{number}t{turn}")
                for turn in range(times)
            ]

        with ThreadPoolExecutor(clients) as pool:
            made = [result for results in pool.map(learner, range(clients)) for result in results]
        for url in urls:
            files = {file.id for file in client(url).files.list(purpose="fine-tune")}
            jobs = {job.id for job in client(url).fine_tuning.jobs.list(limit=100)}
            models = {model.id for model in client(url).models.list() if model.id.startswith("ft:")}
            assert files == {file for file, _, _ in made}
            assert jobs == {job for _, job, _ in made}
            assert models == {model for _, _, model in made}
            assert len(files) == len(jobs) == len(models) == clients * times
        for _, job, _ in made:
            assert_each_event_once(client(urls[0]), job)
    # no job was computed twice: one file was uploaded for each, and one with its results was written
    assert len(list((folder / "files").iterdir())) == 2 * clients * times
    return (
        f"{clients} clients on {len(urls)} servers: {len(made)} files, jobs and models, none lost, mixed up or "
        f"computed twice; {len(answers)} requests"
    )


def assert_each_event_once(client: OpenAI, job: str) -> None:
    told = [event.message for event in client.fine_tuning.jobs.list_events(job, limit=100)]
    assert len(set(told)) == len(told) and told.count("The job has successfully completed") == 1


@pytest.fixture(autouse=True)
def quick_jobs(monkeypatch, tmp_path):
    monkeypatch.setenv("LOCAL_API_JOB_SECONDS", "0")
    by_hand.base_model(tmp_path)  # not made once in each server


@pytest.mark.endurance(sample=4, soak=30)
def test_clients_at_the_same_time_on_one_server(tmp_path, count, figures):
    with by_hand.quick_server(tmp_path) as (url, _):
        figures(crowd(tmp_path, [url], clients=count, times=5))


@pytest.mark.endurance(sample=4, soak=600)
def test_clients_at_the_same_time_on_two_servers(tmp_path, count, figures):
    clients = min(count, 50)
    with by_hand.quick_server(tmp_path) as (one, _), by_hand.quick_server(tmp_path) as (other, _):
        figures(crowd(tmp_path, [one, other], clients, times=count // clients))


@pytest.mark.slow
@pytest.mark.endurance(sample=100, soak=10_000)
def test_memory_and_threads_do_not_grow_with_the_requests(tmp_path, count, figures):
    with by_hand.quick_server(tmp_path) as (url, process):
        client = OpenAI(base_url=url, api_key="sk-local", max_retries=0)
        names = whole_workflow(client, "first")
        server = psutil.Process(process.pid)
        mixed_requests(client, names, count // 10)
        before = server.memory_info().rss / 1e6
        mixed_requests(client, names, count)
        after, threads = server.memory_info().rss / 1e6, server.num_threads()
    figures(f"{count} mixed requests: {before:.0f} MB, then {after:.0f} MB, {threads} threads")
    assert after < before + 30 and threads < 60  # the pool of Starlette has 40


def mixed_requests(client: OpenAI, names: list[str], count: int) -> None:
    """So many requests of ten kinds, one after the other; what they make is deleted again."""
    file, job, model = names
    for _ in range(count // 10):
        made = client.files.create(file=("a.jsonl", b"x" * 1000), purpose="fine-tune")
        client.files.content(made.id).read()
        client.files.delete(made.id)
        client.files.list(limit=5)
        client.files.retrieve(file)
        client.fine_tuning.jobs.retrieve(job)
        client.fine_tuning.jobs.list(limit=5)
        client.fine_tuning.jobs.list_events(job)
        client.models.list()
        client.chat.completions.create(model=model, messages=MESSAGES)
