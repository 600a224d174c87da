"""One bad input never stops the others: what it asks for is refused, given up or ended, and the next one is served."""

import json
import socket
import subprocess
import sys
import threading
import tracemalloc

import pytest

from helpers.local_api import app, chat, history, jobs, validate
from helpers.local_api.client import Client
from helpers.local_api.engines import simulated
from helpers.local_api.engines.simulated.model import Network
from helpers.local_api.errors import APIError
from helpers.local_api.scenarios import Caller
from helpers.local_api.store import Store
from helpers.local_api.training_files import LINES_A_STEP

from ..environment import ROOT
from .conftest import MODEL, rows, wait_until
from .test_errors import check_envelope, send

JSON = {"Content-Type": "application/json"}
BLANKS = " " * 1_000_000  # alone they overflow the stack of tiktoken


class PanicException(BaseException):
    """As pyo3 raises it where a library written in Rust panics: no Exception."""


def panic(*arguments, **options):
    raise PanicException


# --- jobs ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_million_blanks_stop_neither_jobs_nor_chat(api):
    examples = rows()
    examples[3]["messages"][1]["content"] += BLANKS
    assert api.finished_job(examples).status == "succeeded"
    assert api.finished_job().status == "succeeded"
    asked = [{"role": "user", "content": f"When?{BLANKS}"}]
    usage = api.client.chat.completions.create(model=MODEL, messages=asked).usage
    assert 7_800 < usage.prompt_tokens < 7_900


def test_after_a_panic_the_job_has_failed_and_the_next_one_runs(api, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(simulated, "train", panic)
        job = api.finished_job()
    assert (job.status, job.error.code) == ("failed", "server_error")
    assert api.finished_job().status == "succeeded"


def test_the_worker_lives_on_whatever_is_raised(api, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(history, "advance", panic)
        job = api.create_job()
    assert api.client.fine_tuning.jobs.retrieve(job.id).status == "validating_files"
    api.app.state.service.worker.wait()  # asking for it has begun it again
    assert api.client.fine_tuning.jobs.retrieve(job.id).status == "succeeded"


ENDS = """
import os, sys
from helpers.local_api import history
from helpers.local_api.store import Store
history.simulated.base_weights = lambda folder: b""
history.simulated.train = lambda *arguments, **options: os.abort()
history.advance(Store(sys.argv[1]), *sys.argv[2:])
"""


@pytest.mark.slow
def test_a_job_over_which_the_process_ends_again_and_again_is_given_up(tmp_path):
    store, caller = Store(tmp_path), Caller("sk-local")
    first, second = new_job(store, caller), new_job(store, caller)
    done = subprocess.run(
        [sys.executable, "-c", ENDS, tmp_path, first, caller.owner], cwd=ROOT, capture_output=True
    )
    assert done.returncode == -6 and jobs.retrieve(store, caller, first)["status"] != "failed"
    for _ in range(history.MAX_ATTEMPTS - 1):  # as more such processes would do it
        history.begin_attempt(store, store.get("job", first, caller.owner))
    worker = history.Worker(store)
    worker.resume()
    worker.wait()
    given_up = jobs.retrieve(store, caller, first)
    assert (given_up["status"], given_up["error"]["code"]) == ("failed", "process_ended")
    assert f"ended {history.MAX_ATTEMPTS} times" in given_up["error"]["message"]
    assert jobs.retrieve(store, caller, second)["status"] == "succeeded"


def new_job(store: Store, caller: Caller) -> str:
    data = "".join(json.dumps(row) + "\n" for row in rows()).encode()
    file = app.files.create(store, caller, {"purpose": "fine-tune"}, "train.jsonl", [data])
    order = {"model": MODEL, "training_file": file["id"], "hyperparameters": {"n_epochs": 1}}
    return jobs.create(store, caller, order)["id"]


def test_attempts_that_came_to_an_end_are_not_counted(api):
    job = api.finished_job()
    assert api.app.state.service.store.children(history.BEGUN, job.id, hidden=True) == []


def test_a_cancelled_job_ends_at_its_next_step(api, monkeypatch):
    step, steps, reached, go_on = Network.step, [], threading.Event(), threading.Event()

    def slow_step(*arguments):
        steps.append(step(*arguments))
        if len(steps) == 3:
            reached.set()
            assert go_on.wait(60)
        return steps[-1]

    monkeypatch.setattr(Network, "step", slow_step)
    file = api.upload(rows())
    numbers = {"n_epochs": 50, "batch_size": 1}  # 600 steps
    job = api.client.fine_tuning.jobs.create(model=MODEL, training_file=file.id, hyperparameters=numbers)
    assert reached.wait(60)
    assert api.client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    go_on.set()
    api.app.state.service.worker.wait()
    assert len(steps) == 3
    assert api.client.fine_tuning.jobs.retrieve(job.id).status == "cancelled"
    messages = [event.message for event in api.client.fine_tuning.jobs.list_events(job.id)]
    assert messages[0] == "Fine-tuning job cancelled" and "Fine-tuning job started" not in messages


def test_a_cancelled_job_does_not_read_its_file_to_the_end(tmp_path):
    store, caller = Store(tmp_path), Caller("sk-local")
    job = new_job(store, caller)
    row = store.get("job", job, caller.owner)
    data = (json.dumps(rows()[0]) + "\n") * (2 * LINES_A_STEP) + "no JSON"
    store.path(row.body["training_file"]).write_text(data)
    jobs.cancel(store, caller, job)
    with pytest.raises(history.JobOver):
        history.read_files(store, row, lambda: history._refuse_if_over(store, row))


# --- requests that are too much --------------------------------------------------------------------------------


def test_while_one_request_is_validated_others_are_answered(api, monkeypatch):
    begun, go_on, check = threading.Event(), threading.Event(), validate.check

    def slow_check(name, body):
        begun.set()
        assert go_on.wait(60)
        return check(name, body)

    monkeypatch.setattr(validate, "check", slow_check)
    answers = []
    body = {"model": MODEL, "messages": [{}]}
    asking = threading.Thread(
        target=lambda: answers.append(send(api, "POST", "/chat/completions", json=body))
    )
    asking.start()
    assert begun.wait(60)
    assert send(api, "GET", "/files").status_code == 200 and not answers
    go_on.set()
    asking.join()
    assert answers[0].status_code == 400


SMALL_PARTS = ["{}", "[]", '""', "1", '{"role":1}', '"ab"', "1.5", "null"]


@pytest.mark.parametrize("part", SMALL_PARTS)
def test_a_bad_body_takes_little_memory(part):
    """Once it took 500 bytes a byte: every problem of every part was described."""
    raw = bytearray(b'{"model":"m","messages":[' + b",".join([part.encode()] * 30_000) + b"]}")
    with pytest.raises(APIError):
        validate.check("chat", app._parse(raw))
    tracemalloc.start()
    try:
        with pytest.raises(APIError) as caught:
            validate.check("chat", app._parse(raw))
        assert caught.value.status == 400
        assert tracemalloc.get_traced_memory()[1] < 60 * len(raw)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * 600_000 + b"[]]",
        b'{"a":[' + b"1," * 1_100_000 + b"1]}",
        b"{" + b",".join(b'"%d":1' % number for number in range(5_001)) + b"}",
        b'{"messages":[{' + b",".join(b'"%d":1' % number for number in range(5_001)) + b"}]}",
    ],
    ids=["lists", "numbers", "keys", "keys within"],
)
def test_a_body_of_too_many_parts_is_refused(api, body):
    answer = send(api, "POST", "/chat/completions", data=body, headers=JSON)
    assert answer.status_code == 400 and "at most" in check_envelope(answer)["message"]


MESSAGE = {"role": "user", "content": "x"}
TOOL = {"type": "function", "function": {"name": "f"}}
WANDB = {"type": "wandb", "wandb": {"project": "p"}}


@pytest.mark.parametrize(
    ("path", "name", "item", "most", "others"),
    [
        ("/chat/completions", "messages", MESSAGE, 2048, {}),
        ("/chat/completions", "messages", {}, None, {}),
        ("/chat/completions", "tools", TOOL, 128, {"messages": [MESSAGE]}),
        ("/chat/completions", "functions", {"name": "f"}, 128, {"messages": [MESSAGE]}),
        ("/chat/completions", "stop", "x", 4, {"messages": [MESSAGE]}),
        ("/chat/completions", "modalities", "text", 2048, {"messages": [MESSAGE]}),
        ("/embeddings", "input", "x", 2048, {}),
        ("/embeddings", "input", [1], 2048, {}),
        (
            "/fine_tuning/jobs",
            "integrations",
            {"type": "wandb", "wandb": {"project": "p"}},
            2048,
            {"training_file": "f"},
        ),
        ("/fine_tuning/checkpoints/ft:none/permissions", "project_ids", "p", 2048, {}),
    ],
)
def test_the_lists_of_a_request_have_limits(api, path, name, item, most, others):
    body = {"model": MODEL, name: [item] * 3_000, **others}
    if "permissions" in path:
        del body["model"]
    answer = send(api, "POST", path, json=body)
    error = check_envelope(answer)
    assert (answer.status_code, error["param"]) == (400, name if most else f"{name}[0].role")
    if most:
        assert error["code"] == "array_above_max_length"
        assert error["message"].endswith(
            f"with maximum length {most}, but got an array with length 3000 instead."
        )


def test_a_list_within_its_limit_is_taken(api):
    body = {"model": MODEL, "messages": [MESSAGE] * 2048, "stop": list("abcd"), "tools": [TOOL] * 128}
    assert send(api, "POST", "/chat/completions", json=body).status_code == 200
    assert send(api, "POST", "/chat/completions", json=body | {"stop": "x" * 1001}).status_code == 400


def test_a_refusal_does_not_send_the_request_back(api):
    long = "x" * 1_000_000
    for body in (
        {"model": long, "messages": [MESSAGE]},
        {"model": MODEL, "messages": [{"role": long}]},
        {long: 1},
    ):
        answer = send(api, "POST", "/chat/completions", json=body)
        assert 400 <= answer.status_code < 500 and len(answer.json()["error"]["message"]) < 3_000


def test_a_grader_does_not_multiply_its_texts(api):
    grader = {"type": "string_check", "name": "n", "reference": "r", "operation": "eq"}
    body = {"grader": grader | {"input": "{{sample.output_text}}" * 1_000}, "model_sample": "x" * 100_000}
    answer = send(api, "POST", "/fine_tuning/alpha/graders/run", json=body)
    assert answer.status_code == 400 and "10,000,000" in check_envelope(answer)["message"]


@pytest.mark.parametrize("temperature", ["5e-324", "1e-320", "1e-9"])
def test_the_coldest_temperature_is_as_zero(api, temperature):
    raw = '{"model": "%s", "messages": [{"role": "user", "content": "Where?"}], "temperature": %s}'
    cold, zero = (
        send(api, "POST", "/chat/completions", data=raw % (MODEL, t), headers=JSON)
        for t in (temperature, "0")
    )
    assert cold.json()["choices"] == zero.json()["choices"]


def test_a_panic_is_answered_in_the_form_of_the_api(api, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(chat.tokens, "count_messages", panic)
        body = {"model": MODEL, "messages": [MESSAGE]}
        answer = send(api, "POST", "/chat/completions", json=body)
        assert answer.status_code == 500 and check_envelope(answer)["type"] == "server_error"
    assert send(api, "POST", "/chat/completions", json=body).status_code == 200


# --- clients that leave ----------------------------------------------------------------------------------------


def test_what_a_client_asked_is_not_begun_or_ends_at_its_next_step_once_it_has_left(api, monkeypatch):
    """40 requests can be worked on at once; 60 clients ask and leave. Then the next client is served."""
    limit = 40
    read, begun, left, go_on = [], [], [], threading.Event()
    read_prompt, leave = simulated.read_prompt, Client.leave

    def slow_reading(messages):
        read.append(messages)
        assert go_on.wait(60)
        return read_prompt(messages)

    monkeypatch.setattr(simulated, "read_prompt", slow_reading)
    monkeypatch.setattr(simulated, "_shortlist", lambda *arguments: begun.append(arguments))
    monkeypatch.setattr(Client, "leave", lambda self: left.append(leave(self)))
    body = json.dumps({"model": MODEL, "messages": [MESSAGE]})
    host, port = api.url.removeprefix("http://").removesuffix("/v1").split(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {api.key}\r\n"
    clients = [socket.create_connection((host, int(port)), timeout=60) for _ in range(limit + 20)]
    for client in clients:
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    wait_until(lambda: len(read) == limit)
    for client in clients:
        client.close()
    wait_until(lambda: len(left) == len(clients))
    go_on.set()
    assert send(api, "GET", "/files").status_code == 200
    assert (len(read), begun) == (limit, [])
