"""Batches: a file of requests, answered as each would be alone, and shown as the clock passes."""

import json

import pytest

from helpers.local_api import batches

from .conftest import MODEL, wait_until

CHAT = "/v1/chat/completions"


def request(name: str, url: str = CHAT, **body) -> dict:
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Hello?"}], "temperature": 0}
    return {"custom_id": name, "method": "POST", "url": url, "body": body or asked}


def upload(api, lines: list, purpose: str = "batch") -> str:
    data = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    return api.client.files.create(file=("requests.jsonl", data.encode()), purpose=purpose).id


def create(api, lines: list, endpoint: str = CHAT, **options):
    batch = api.client.batches.create(
        input_file_id=upload(api, lines), endpoint=endpoint, completion_window="24h", **options
    )
    api.app.state.service.worker.wait()
    return batch


def finished(api, lines: list, endpoint: str = CHAT, **options):
    return api.client.batches.retrieve(create(api, lines, endpoint, **options).id)


def lines_of(api, file_id: str) -> list[dict]:
    return [json.loads(line) for line in api.client.files.content(file_id).text.splitlines()]


def test_a_batch_gives_the_answers_that_the_requests_get_alone(api):
    batch = finished(api, [request("a"), request("b")], metadata={"for": "me"})
    assert (batch.status, batch.object, batch.metadata) == ("completed", "batch", {"for": "me"})
    assert batch.request_counts.to_dict() == {"total": 2, "completed": 2, "failed": 0}
    assert batch.error_file_id is None and batch.errors is None
    alone = api.client.chat.completions.create(**request("x")["body"])
    lines = lines_of(api, batch.output_file_id)
    assert [line["custom_id"] for line in lines] == ["a", "b"]
    for line in lines:
        assert line["error"] is None and line["response"]["status_code"] == 200
        answer = line["response"]["body"]["choices"][0]["message"]["content"]
        assert answer == alone.choices[0].message.content
    assert api.client.files.retrieve(batch.output_file_id).purpose == "batch_output"
    assert batch.usage.total_tokens == 2 * alone.usage.total_tokens and batch.model == alone.model


@pytest.mark.parametrize(
    ("endpoint", "body", "key"),
    [
        ("/v1/responses", {"model": MODEL, "input": "Hello?"}, "output"),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "Hello?"}, "data"),
        ("/v1/completions", {"model": "babbage-002", "prompt": "Hello"}, "choices"),
        ("/v1/moderations", {"input": "Hello?"}, "results"),
    ],
)
def test_each_endpoint_answers(api, endpoint, body, key):
    batch = finished(api, [request("a", endpoint, **body)], endpoint)
    (line,) = lines_of(api, batch.output_file_id)
    assert line["response"]["body"][key]


def test_a_request_that_fails_is_in_the_file_of_errors(api):
    lines = [
        request("good"),
        request("bad", model="no-such-model", messages=[{"role": "user", "content": "x"}]),
    ]
    lines.append(request("streamed", **request("x")["body"], stream=True))
    batch = finished(api, lines)
    assert batch.request_counts.to_dict() == {"total": 3, "completed": 1, "failed": 2}
    bad, streamed = lines_of(api, batch.error_file_id)
    assert (bad["custom_id"], bad["response"]["status_code"]) == ("bad", 404)
    assert bad["response"]["body"]["error"]["code"] == "model_not_found"
    assert streamed["response"]["body"]["error"]["param"] == "stream"
    assert [line["custom_id"] for line in lines_of(api, batch.output_file_id)] == ["good"]


def test_statuses_come_in_order(api, monkeypatch):
    api.clock.stop()
    monkeypatch.setenv("LOCAL_API_JOB_SECONDS", "100")
    batch, seen = create(api, [request("a")]), []
    for _ in range(102):
        now = api.client.batches.retrieve(batch.id)
        if now.status not in seen:
            seen.append(now.status)
        assert (now.output_file_id is None) == (now.status != "completed")
        api.clock.move(1)
    assert seen == ["validating", "in_progress", "finalizing", "completed"]
    assert now.in_progress_at == now.created_at + 10 and now.completed_at == now.created_at + 100
    assert now.expires_at == now.created_at + 86_400


def test_a_cancelled_batch_stays_so_and_leaves_no_file(api, monkeypatch):
    api.clock.stop()
    monkeypatch.setenv("LOCAL_API_JOB_SECONDS", "100")
    batch = create(api, [request("a")])
    api.clock.move(20)
    assert api.client.batches.cancel(batch.id).status == "cancelling"
    api.clock.move(100)
    now = api.client.batches.retrieve(batch.id)
    assert (now.status, now.output_file_id) == ("cancelled", None) and now.cancelled_at
    assert not [file for file in api.client.files.list() if file.purpose == "batch_output"]
    assert api.refusal(api.client.batches.cancel, batch.id).status_code == 400


GOOD = json.dumps(request("a"))


@pytest.mark.parametrize(
    ("lines", "code", "line"),
    [
        ([GOOD, "no json"], "invalid_json_line", None),
        ([GOOD, "[1]"], "invalid_json_line", 2),
        ([GOOD, GOOD], "duplicate_custom_id", 2),
        ([{**request("a"), "method": "GET"}], "invalid_method", 1),
        ([{**request("a"), "url": "/v1/embeddings"}], "invalid_url", 1),
        ([{**request("a"), "body": "x"}], "missing_required_parameter", 1),
        ([{"custom_id": 7}], "missing_required_parameter", 1),
    ],
)
def test_a_file_that_is_wrong_fails_the_batch_with_its_line(api, lines, code, line):
    batch = finished(api, lines)
    assert batch.status == "failed" and batch.failed_at and batch.output_file_id is None
    problem = batch.errors.data[0]
    assert problem.code == code and problem.line == line, problem


def test_what_cannot_be_ordered_is_refused_at_once(api):
    chat = upload(api, [request("a")], purpose="fine-tune")
    for options, status, param in (
        ({"input_file_id": "file-none"}, 400, "input_file_id"),
        ({"input_file_id": chat}, 400, "input_file_id"),
        ({"endpoint": "/v1/videos"}, 400, "endpoint"),
        ({"endpoint": "/v1/files"}, 400, "endpoint"),
        ({"completion_window": "1h"}, 400, "completion_window"),
        (
            {"output_expires_after": {"anchor": "created_at", "seconds": 5}},
            400,
            "output_expires_after.seconds",
        ),
    ):
        order = {"input_file_id": upload(api, [request("a")]), "endpoint": CHAT, "completion_window": "24h"}
        error = api.refusal(api.client.batches.create, **order | options)
        assert (error.status_code, error.param) == (status, param), error
    assert api.refusal(api.client.batches.retrieve, "batch_none").status_code == 404


def test_batches_are_listed_newest_first_and_are_their_owners(api):
    first, second = (create(api, [request("a")]) for _ in range(2))
    page = api.client.batches.list(limit=1)
    assert [batch.id for batch in page] == [second.id, first.id]
    other = api.another_client("sk-local-other")
    assert other.batches.list().data == []
    assert api.refusal(other.batches.retrieve, first.id).status_code == 404


def test_a_batch_whose_process_was_killed_is_answered_when_it_is_asked_for(api):
    store, worker = api.app.state.service.store, api.app.state.service.worker
    file_id = upload(api, [request("a")])
    from helpers.local_api.scenarios import Caller

    body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
    batch = batches.create(store, Caller(api.key), body)  # nobody was told of it
    assert api.client.batches.retrieve(batch["id"]).status == "validating"
    worker.wait()
    wait_until(lambda: api.client.batches.retrieve(batch["id"]).status == "completed")
