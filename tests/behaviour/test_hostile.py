"""Endurance: hostile forms, bodies, raw bytes, rows, streams and ranges. No answer is a 5xx, nothing is left over."""

import itertools
import json
import os
import random
import socket
from collections import Counter
from contextlib import suppress

import pytest
import requests

from helpers import dataset
from helpers.local_api import files, history, jobs
from helpers.local_api.scenarios import Caller
from helpers.local_api.store import Store
from tests import by_hand

from .conftest import MODEL, rows, wait_until
from .test_errors import check_envelope, send
from .test_malformed import END, FILE, JOBS, PURPOSE


def told(statuses: Counter) -> str:
    """How often each answer was given."""
    return ", ".join(f"{times} times {status}" for status, times in sorted(statuses.items()))


# --- forms -----------------------------------------------------------------------------------------------------

SECONDS = [
    "3600",
    "٣٦٠٠",
    "²",
    "9" * 5000,
    "-3600",
    "1e4",
    " 3600",
    "3600\n",
    "",
    "0x1000",
    "3600.0",
    "2592001",
]


def field(name: str, value: str = "x") -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


PARTS = [
    *[PURPOSE, FILE, field("x"), field("purpose", "user_data")] * 3,
    *(
        field("expires_after[anchor]", "created_at") + field("expires_after[seconds]", value)
        for value in SECONDS
    ),
    *[field("purpose", "x" * 100_000), field("purpose", "batch"), field("file", "no file"), field("", "")],
    *[
        field("x") * 21,
        field("x") * 10_000,
        b"--b\r\n\r\nno headers\r\n",
        b"--b\r\nContent-Disposition: x\r\n\r\n\r\n",
    ],
    *[
        b"--b\r\nA: " + b"a" * 100_000 + b"\r\n\r\n\r\n",
        b"--b\r\nno colon\r\n\r\n\r\n",
        b"--b\nbare\n\n\n",
        b"\r\n" * 1000,
    ],
    *[
        FILE.replace(b"x.jsonl", name)
        for name in (b"", b"../../x", b"a" * 5000, b"\xff\x00", b'"; name="purpose')
    ],
    FILE.replace(b"bytes", b"--b-\r\n--\r\n" * 100),
]
ENDS = [END, END, END, b"", b"--b", b"--b--", END + END, END + b"after the end"]
TYPES = [
    *[
        "multipart/form-data; boundary=b",
        "Multipart/Form-Data; boundary=b",
        'MULTIPART/FORM-DATA; Boundary="b"',
    ],
    *[
        "multipart/form-data;boundary=b;charset=utf-8",
        "multipart/form-data",
        "multipart/form-data; boundary=",
    ],
    *[
        "multipart/form-data; boundary=" + "b" * 300,
        "multipart/mixed; boundary=b",
        "multipart/form-data; boundary=é",
    ],
]


@pytest.mark.endurance(sample=12, soak=67)
def test_forms(api, count, figures):
    picker, statuses = random.Random(1), Counter()
    store = api.app.state.service.store
    for _ in range(count):
        good = picker.choice([b"", PURPOSE, PURPOSE + FILE, FILE + PURPOSE])
        body = good + b"".join(picker.choices(PARTS, k=picker.randrange(3))) + picker.choice(ENDS)
        kind = picker.choice(TYPES[:3] * 5 + TYPES)
        pieces = [body[start : start + 1000] for start in range(0, len(body), 1000)]
        data = iter(pieces) if picker.random() < 0.3 else body  # in chunks, without a length
        answer = send(api, "POST", "/files", data=data, headers={"Content-Type": kind.encode()})
        statuses[answer.status_code] += 1
        assert answer.status_code == 200 or (answer.status_code in (400, 413) and check_envelope(answer)), (
            answer.text
        )
    assert statuses.keys() >= {200, 400}
    kept = {file.id for file in api.client.files.list()}
    assert len(kept) == statuses[200] and {path.name for path in store.uploads.iterdir()} >= kept
    assert not list(store.uploads.glob("*.part"))
    figures(f"{count} forms: {told(statuses)}; nothing else left on disk")


def test_a_content_type_in_capitals_is_a_form(api):
    answer = send(api, "POST", "/files", data=PURPOSE + FILE + END, headers={"Content-Type": TYPES[2]})
    assert answer.status_code == 200


@pytest.mark.parametrize("seconds", SECONDS[1:], ids=range(len(SECONDS) - 1))
def test_an_expiry_is_written_in_plain_digits(api, seconds):
    form = field("expires_after[anchor]", "created_at") + field("expires_after[seconds]", seconds)
    body = PURPOSE + form + FILE + END
    answer = send(api, "POST", "/files", data=body, headers={"Content-Type": TYPES[0]})
    assert answer.status_code == 400 and check_envelope(answer)["param"] == "expires_after"


# --- JSON bodies -----------------------------------------------------------------------------------------------

MESSAGES = [{"role": "user", "content": "x"}]
CHAT = {"model": MODEL, "messages": MESSAGES}
JOB = {"model": MODEL, "training_file": "file-none"}
GRADER = {"type": "string_check", "name": "n", "input": "i", "reference": "r", "operation": "eq"}
FIELDS = [  # path, a good body, the field that is replaced
    *[("/chat/completions", CHAT, name) for name in CHAT],
    *[
        ("/chat/completions", CHAT, name)
        for name in ("n", "stop", "temperature", "top_p", "max_tokens", "seed", "stream")
    ],
    *[
        ("/chat/completions", CHAT, name)
        for name in ("store", "metadata", "logit_bias", "tools", "response_format")
    ],
    *[("/chat/completions", CHAT, name) for name in ("stream_options", "logprobs", "top_logprobs", "user")],
    *[(JOBS, JOB, name) for name in JOB],
    *[
        (JOBS, JOB, name)
        for name in ("suffix", "seed", "metadata", "hyperparameters", "method", "integrations")
    ],
    *[
        ("/embeddings", {"model": "text-embedding-3-small", "input": "x"}, n)
        for n in ("model", "input", "dimensions")
    ],
    *[
        ("/fine_tuning/alpha/graders/run", {"grader": GRADER, "model_sample": "s"}, n)
        for n in ("grader", "item")
    ],
]
VALUES = [
    *[
        "null",
        "true",
        "0",
        "-0",
        "-1",
        "1e309",
        "-1e309",
        "NaN",
        "Infinity",
        "5e-324",
        "1" + "0" * 4000,
        "1.5",
        "1e10",
    ],
    *[
        '""',
        '"x"',
        '"\\ud800"',
        '"\\u0000"',
        '"' + "x" * 100_000 + '"',
        "[]",
        "[[]]",
        "[null]",
        "{}",
        '{"a":1}',
        '{"a":"b"}',
    ],
    *[
        '{"a":{"b":{"c":[]}}}',
        "[" * 900 + "]" * 900,
        '{"a":' * 900 + "1" + "}" * 900,
        "[{}]",
        '[{"role":"user"}]',
    ],
    *[
        '["a","b"]',
        "[1,2,3]",
        "[[1],[2]]",
        '{"n_epochs":1e308}',
        '{"n_epochs":"auto"}',
        '{"type":"dpo"}',
        "[" + "1," * 9000 + "1]",
    ],
]


@pytest.mark.endurance(sample=60, soak=455)
def test_json_bodies(api, count, figures):
    statuses = Counter()
    every = list(itertools.product(FIELDS, VALUES))
    for (path, good, name), value in random.Random(2).sample(every, count):
        raw = json.dumps(good | {name: "@@"}).replace('"@@"', value)
        answer = send(api, "POST", path, data=raw.encode(), headers={"Content-Type": "application/json"})
        statuses[answer.status_code] += 1
        assert answer.status_code == 200 or (answer.status_code < 500 and check_envelope(answer)), (
            name,
            value[:50],
        )
    assert statuses.keys() >= {200, 400}
    figures(f"{count} bodies: {told(statuses)}")


# --- raw HTTP --------------------------------------------------------------------------------------------------

TARGETS = [
    *[
        b"/v1/models",
        b"/v1/files",
        b"*",
        b"//evil.example/v1/models",
        b"http://evil.example/v1/models",
        b"v1/models",
        b"",
    ],
    *[
        b"/v1/../../../etc/passwd",
        b"/v1/files/..%2f..%2fstate.sqlite/content",
        b"/v1/files/%00/content",
        b"/v1/models?%ED%A0%80",
    ],
    *[
        b"/v1/" + b"a" * 1_000_000,
        b"/v1/models/\xf0\x9f\x90\xa2",
        b"/v1/models#x",
        b"/v1/models\\..",
        b"/v1/%2e%2e/%2e%2e/etc/passwd",
    ],
]
METHODS = [b"GET", b"get", b"POST", b"TRACE", b"CONNECT", b"OPTIONS", b"G\xc9T", b"A" * 10_000, b""]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.1 x", b"x"]
HEADERS = [
    *[
        b"Host: 127.0.0.1",
        b"Host: [::1]:1",
        b"Host: evil.example",
        b"Host: a\r\nHost: b",
        b"No colon",
        b": no name",
        b"",
    ],
    *[
        b"A: b\r\n" * 10_000 + b"Host: 127.0.0.1",
        b"A: " + b"a" * 1_000_000,
        b"Content-Length: -1",
        b"Content-Length: 1\r\nContent-Length: 2",
    ],
    *[
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: chunked, gzip\r\nContent-Length: 3",
        b"Expect: 100-continue",
    ],
    *[
        b"Upgrade: websocket\r\nConnection: Upgrade",
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings",
        b"A:\x00b",
        b"A: b\n c",
    ],
    *[
        b"Authorization: Bearer \xff",
        b"Authorization: " + b"B" * 60_000,
        b"Range: bytes=0-",
        b"Content-Encoding: gzip",
    ],
]
BODIES = [b"", b"{}", b"zz\r\n", b"5\r\nabc", b"ffffffffffffffff\r\nx\r\n", b"0\r\n\r\n", b"x" * 100_000]
OTHERS = [
    *[
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50,
        b"\x00" * 10_000,
        b"\r\n" * 10_000,
        bytes(range(256)) * 40,
    ],
    *[
        b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET",
        b"GET /v1/models HTTP/1.1\r\n",
    ],
]


@pytest.mark.endurance(sample=20, soak=92)
def test_raw_bytes(api, count, figures, capfd):
    host, port = api.url.removeprefix("http://").removesuffix("/v1").split(":")
    picker, statuses = random.Random(3), Counter()
    for number in range(count):
        raw = OTHERS[number] if number < len(OTHERS) else any_request(picker)
        answer = exchange(host, int(port), raw)
        status = answer.split(b" ", 2)[1].decode() if answer else "none"
        statuses[status] += 1
        assert status == "none" or (answer.startswith(b"HTTP/1.1 ") and status < "500"), raw[:200]
        assert b"Traceback" not in answer and b"root:" not in answer and b"SQLite format" not in answer
    assert send(api, "GET", "/files").status_code == 200
    assert "Traceback" not in "".join(capfd.readouterr())
    figures(f"{count} connections: {told(statuses)}")


def any_request(picker: random.Random) -> bytes:
    """A request of which one or two things are odd."""
    method, target, version, header, body = b"GET", b"/v1/models", b"HTTP/1.1", HEADERS[0], b""
    for odd in picker.sample(range(4), k=picker.choice([1, 1, 2])):
        method = picker.choice(METHODS) if odd == 0 else method
        target = picker.choice(TARGETS) if odd == 1 else target
        version = picker.choice(VERSIONS) if odd == 2 else version
        header, body = (picker.choice(HEADERS), picker.choice(BODIES)) if odd == 3 else (header, body)
    return method + b" " + target + b" " + version + b"\r\n" + header + b"\r\n\r\n" + body


def exchange(host: str, port: int, raw: bytes) -> bytes:
    """What the server says to these bytes and the end of the connection."""
    answer = b""
    with socket.create_connection((host, port), timeout=20) as connection:
        try:
            connection.sendall(raw)
            connection.settimeout(0.5)  # a server that waits for more has nothing to say
            while data := connection.recv(65536):
                answer += data
                connection.settimeout(0.05)
        except (ConnectionError, TimeoutError):
            pass
    return answer


# --- rows ------------------------------------------------------------------------------------------------------

ODD = [
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    "",
    " ",
    "x",
    "a" * 5000,
    [],
    [None],
    ["x"],
    {},
    {"a": 1},
    [{}],
    [[]],
]
ODD += [
    [{"type": "text", "text": "x"}],
    [{"type": "text"}],
    [{"function": "x"}],
    [{"id": "a", "function": {"name": 1}}],
]
KEYS = [
    "role",
    "content",
    "name",
    "weight",
    "tool_calls",
    "tool_call_id",
    "function_call",
    "refusal",
    "messages",
    "tools",
]
ROLES = ["system", "user", "assistant", "tool", "function", "pilot"]


def odd_row(picker: random.Random) -> object:
    """A good row with one to three things changed."""
    row = json.loads(json.dumps(picker.choice(rows(3))))
    for _ in range(picker.randrange(1, 4)):
        places = [row, *row["messages"]] if isinstance(row.get("messages"), list) else [row]
        place = picker.choice([place for place in places if isinstance(place, dict)])
        change = picker.randrange(4)
        if change == 0 and place:
            del place[picker.choice(list(place))]
        elif change == 1:
            place["role"] = picker.choice(ROLES)
        else:
            place[picker.choice(KEYS)] = picker.choice(ODD)
    return row


@pytest.mark.endurance(sample=40, soak=1_500)
def test_rows_through_checker_and_job(tmp_path, count, figures, monkeypatch):
    """What the checker finds clean trains; what does not train says the row's number, and never blames the API."""
    monkeypatch.setenv("LOCAL_API_JOB_SECONDS", "0")
    store, caller, picker = Store(tmp_path / "state"), Caller("sk-local"), random.Random(4)
    ends, wrong = Counter(), []
    for _ in range(count):
        data = "".join(json.dumps(row) + "\n" for row in [*rows(11), odd_row(picker)]).encode()
        (tmp_path / "rows.jsonl").write_bytes(data)
        errors = dataset.check(tmp_path / "rows.jsonl").errors
        file = files.create(store, caller, {"purpose": "fine-tune"}, "rows.jsonl", [data])
        order = {
            "model": MODEL,
            "training_file": file["id"],
            "hyperparameters": {"n_epochs": 1, "batch_size": 12},
        }
        job = jobs.create(store, caller, order)
        history.advance(store, job["id"], caller.owner)
        job = jobs.retrieve(store, caller, job["id"])
        clean, trained = errors == 0, job["status"] == "succeeded"
        ends[f"{'clean' if clean else 'faulty'} and {'trained' if trained else 'refused'}"] += 1
        if not trained and (clean or not says_where(job["error"])):
            wrong.append((data.splitlines()[-1], job["error"]))
    assert not wrong, wrong[:5]
    assert ends["clean and trained"] and ends["faulty and refused"]
    figures(f"{count} rows: {told(ends)}")


def says_where(error: dict) -> bool:
    return error["code"] == "invalid_training_file" and "Example 12" in error["message"]


# --- streams ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.endurance(sample=5, soak=100)
def test_clients_that_leave_or_wait_harm_nobody(tmp_path, count, figures):
    unread, half = count * 6 // 10, count * 6
    with by_hand.server(tmp_path, LOCAL_API_JOB_SECONDS="8") as (url, process):
        host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
        assert get(url).status_code == 200
        before = connections_of(process.pid)
        head = f"Host: {host}\r\nAuthorization: Bearer sk-local\r\n"
        body = json.dumps(CHAT | {"stream": True})
        stream = (
            f"POST /v1/chat/completions HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        upload = (
            f"POST /v1/files HTTP/1.1\r\n{head}Content-Length: 100000\r\nContent-Type: {TYPES[0]}\r\n\r\n"
        )

        def connections(number: int, first: bytes):
            for _ in range(number):
                connection = socket.create_connection((host, int(port)), timeout=60)
                connection.sendall(first)
                yield connection

        for connection in connections(count, stream):
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            connection.close()
        held = [*connections(unread, stream), *connections(half, b"GET /v1/mod")]
        held += connections(count, upload.encode() + PURPOSE + FILE)
        assert get(url).status_code == 200
        for connection in held:
            connection.close()
        wait_until(lambda: connections_of(process.pid) <= before)
        assert get(url).json()["data"] == []
    figures(
        f"{count} aborted streams, {unread} unread, {half} half headers, {count} half uploads: others are served"
    )


def get(url: str) -> requests.Response:
    with requests.Session() as session:  # leaves no connection open
        return session.get(f"{url}/files", headers={"Authorization": "Bearer sk-local"}, timeout=60)


def connections_of(process: int) -> int:
    folder, found = f"/proc/{process}/fd", 0
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):  # closed meanwhile
            found += os.readlink(f"{folder}/{name}").startswith("socket:")
    return found


# --- ranges ----------------------------------------------------------------------------------------------------

RANGES = [
    *[
        "bytes=0-0",
        "bytes=0-",
        "bytes=-1",
        "bytes=5-2",
        "bytes=9-99999",
        "bytes=99999-",
        "bytes=0-,0-,0-",
        "bytes=-0",
    ],
    *[
        "bytes=" + "0-," * 1000 + "0-",
        "bytes=" + ",".join(f"{i}-{i}" for i in range(1000)),
        "bytes=a-b",
        "x",
        "",
    ],
    *["bytes=0-0,-1", "bytes= 0 - 1", "bytes=" + "9" * 5000 + "-", "lines=1-2"],
]


@pytest.mark.endurance(sample=9, soak=17)
def test_ranges(api, count, figures):
    data, statuses = b"".join(b"%09d\n" % number for number in range(1_000)), Counter()
    file = api.client.files.create(file=("a.jsonl", data), purpose="fine-tune")
    for wanted in RANGES[:count]:
        answer = send(api, "GET", f"/files/{file.id}/content", headers={"Range": wanted})
        statuses[answer.status_code] += 1
        assert answer.status_code in (200, 206, 400, 416)
        assert len(answer.content) <= 20 * len(data)
    figures(f"{count} ranges: {told(statuses)}")
