"""Many at once: clients on one server, and two servers on one state folder. Nothing is lost or mixed up."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from openai import DefaultHttpx2Client, OpenAI

from helpers.local_api.engines import simulated
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


def crowd(urls: list[str], clients: int, times: int) -> str:
    """Each client does the whole workflow several times, on one server after the other; then all is counted."""
    with DefaultHttpx2Client(timeout=300, trust_env=False) as connections:

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
    return (
        f"{clients} clients on {len(urls)} servers: {len(made)} files, jobs and models, none lost or mixed up"
    )


@pytest.fixture(autouse=True)
def quick_jobs(monkeypatch, tmp_path):
    monkeypatch.setenv("LOCAL_API_JOB_SECONDS", "0")
    simulated.base_weights(tmp_path)  # trained once in this process, and not once in each server


@pytest.mark.endurance(sample=4, soak=30)
@pytest.mark.parametrize(("servers", "times"), [(1, 5), (2, 2)])
def test_clients_at_the_same_time(servers, times, tmp_path, count, figures):
    with ExitStack() as stack:
        urls = [stack.enter_context(by_hand.quick_server(tmp_path))[0] for _ in range(servers)]
        figures(crowd(urls, clients=count, times=times))
