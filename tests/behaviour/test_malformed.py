"""Broken requests get a 4xx with OpenAI's envelope: never a 500, never silence."""

import json
import socket

import pytest

from .conftest import MODEL
from .test_errors import check_envelope, send

JOBS = "/fine_tuning/jobs"
BOUNDARY = {"Content-Type": "multipart/form-data; boundary=b"}
PURPOSE = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.jsonl"\r\n\r\nbytes\r\n'
END = b"--b--\r\n"
PATIENCE = 120  # seconds: a deadline for a hang, not a measure of speed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b"\xff\xfe\xfd",
        b'"text"',
        b"[]",
        b"null",
        b"NaN",
        b'{"model": NaN}',
        b'{"model": 1e999}',
        b'{"seed": ' + b"9" * 5000 + b"}",
        b'{"model": "\\ud800"}',
        b'{"a": ' * 10_000 + b"1" + b"}" * 10_000,
        b"[" * 100_000,
        b'{"model": "x", "model": "y"}',
        b'{"model": "gpt-4o\\u0000", "training_file": "\\u0000"}',
        b'{"metadata": {"a": {"b": {}}}, "model": "m", "training_file": "f"}',
    ],
)
@pytest.mark.parametrize("path", [JOBS, "/chat/completions", "/embeddings", "/fine_tuning/alpha/graders/run"])
def test_broken_json(api, path, body):
    answer = send(api, "POST", path, data=body, headers={"Content-Type": "application/json"})
    assert check_envelope(answer) and answer.status_code in (400, 404)


def test_too_much_json(api):
    body = b'{"model": "' + b"x" * 21 * 1024 * 1024 + b'"}'
    answer = send(api, "POST", JOBS, data=body, headers={"Content-Type": "application/json"})
    assert check_envelope(answer) and answer.status_code == 413


def test_deep_but_valid_json_in_a_free_field(api):
    """``item`` may be any object; it is deeper here than Python likes."""
    for depth in (100, 500, 900):
        item = json.loads('{"a": ' * depth + "1" + "}" * depth)
        grader = {"type": "string_check", "name": "n", "input": "i", "reference": "r", "operation": "eq"}
        body = {"grader": grader, "model_sample": "s", "item": item}
        answer = send(api, "POST", "/fine_tuning/alpha/graders/run", json=body)
        assert answer.status_code in (200, 400)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"file=x"),
        ({"Content-Type": "application/json"}, b"{}"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"file=x&purpose=fine-tune"),
        ({"Content-Type": "multipart/form-data"}, FILE + END),
        ({"Content-Type": "multipart/form-data; boundary="}, FILE + END),
        ({"Content-Type": "multipart/form-data; boundary=" + "b" * 5000}, FILE + END),
        (BOUNDARY, b""),
        (BOUNDARY, b"--b"),
        (BOUNDARY, END),
        (BOUNDARY, b"no boundary here"),
        (BOUNDARY, PURPOSE + END),
        (BOUNDARY, FILE + END),
        (BOUNDARY, PURPOSE + FILE[:-7]),
        (BOUNDARY, PURPOSE + FILE + FILE + END),
        (BOUNDARY, PURPOSE * 30 + FILE + END),
        (BOUNDARY, PURPOSE + FILE.replace(b'; name="file"', b"") + END),
        (BOUNDARY, FILE + PURPOSE.replace(b"fine-tune", b"x" * 2_000_000) + END),
        (BOUNDARY, PURPOSE + FILE.replace(b'; filename="x.jsonl"', b"") + END),
        (BOUNDARY, b"--b\r\nno colon\r\n\r\nx\r\n" + END),
        (
            {"Content-Type": "multipart/form-data; boundary=b; charset=unicode_escape"},
            PURPOSE + FILE.replace(b"x.jsonl", b"\\ud800") + END,
        ),
        (
            {"Content-Type": "multipart/form-data; boundary=b; charset=undefined"},
            PURPOSE + FILE + END,
        ),
    ],
)
def test_broken_forms(api, headers, body):
    answer = send(api, "POST", "/files", data=body, headers=headers)
    assert check_envelope(answer) and answer.status_code == 400
    assert send(api, "GET", "/files").json()["data"] == []


@pytest.mark.parametrize(
    "name", ["caf\xe9.jsonl".encode("latin-1"), b"\xff\xfe", "龟.jsonl".encode(), b"a\x00b"]
)
def test_a_file_name_may_be_any_bytes(api, name):
    body = PURPOSE + FILE.replace(b"x.jsonl", name) + END
    answer = send(api, "POST", "/files", data=body, headers=BOUNDARY)
    assert answer.status_code == 200 and answer.json()["bytes"] == len(b"bytes")


@pytest.mark.parametrize(
    "identifier", ["%00", "%ED%A0%80", "a" * 5000, "..%2f..%2fstate.sqlite", "%F0%9F%90%A2", "'--"]
)
@pytest.mark.parametrize(
    "path", ["/files/{}", "/files/{}/content", JOBS + "/{}", JOBS + "/{}/events", "/models/{}"]
)
def test_strange_identifiers_are_not_found(api, path, identifier):
    answer = send(api, "GET", path.format(identifier))
    assert check_envelope(answer) and answer.status_code == 404


@pytest.mark.parametrize(
    "query", ["limit=", "limit=-1", f"limit={'9' * 5000}", "limit=%00", "after=%ED%A0%80", "%00=%FF"]
)
@pytest.mark.parametrize("path", ["/files", JOBS, "/chat/completions"])
def test_strange_queries(api, path, query):
    answer = send(api, "GET", f"{path}?{query}")
    if query == "%00=%FF":  # a parameter that nobody knows
        assert answer.status_code == 200
    else:
        assert check_envelope(answer) and answer.status_code == 400


@pytest.mark.parametrize(
    "raw",
    [
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50,
        b"GET /v1/models HTTP/1.1\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 200_000 + b"\r\n\r\n",
        b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n",
        b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET http://evil.example/v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ],
)
def test_malformed_http_is_answered_with_a_4xx(api, raw):
    host, port = api.url.removeprefix("http://").removesuffix("/v1").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(raw)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 4") and b"\r\n\r\n" in answer


def test_a_caller_who_hangs_up_in_the_middle_of_a_body_harms_nobody(api):
    host, port = api.url.removeprefix("http://").removesuffix("/v1").split(":")
    head = f"POST /v1/{{}} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {api.key}\r\n"
    head += "Content-Length: 1000\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
    for path in ("files", "chat/completions"):
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            connection.sendall(head.format(path).encode() + FILE)
    assert send(api, "GET", "/files").json()["data"] == []


def test_numbers_that_are_no_numbers_never_reach_an_answer(api):
    body = {"model": MODEL, "training_file": "f", "hyperparameters": {"learning_rate_multiplier": "1e999"}}
    raw = json.dumps(body).replace('"1e999"', "1e999")
    answer = send(api, "POST", JOBS, data=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and "too large" in check_envelope(answer)["message"]
