"""The spend guard before a provider whose front end reads as much as any: no job without a yes, no key elsewhere."""

import asyncio
import contextlib
import dataclasses
import json
import os
import posixpath
import random
import re
import socket
import subprocess
import time
from collections import Counter
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import httpx2
import pytest
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st
from openai import APIStatusError, AzureOpenAI, OpenAI

from helpers import connect as connect_module
from helpers.dataset import processes
from helpers.local_api import validate
from helpers.local_api.engines.trained import lease, weights
from helpers.local_api.server import Server
from helpers.spend_guard import Estimate, Key, SpendGuard, Target, guard, orders, price_in
from tests.behaviour.shop import CODE, DATA, SECRET, Shop
from tests.environment import KEY_NAMES

ORDERS = ("/fine_tuning/jobs", "/fine-tunes", "/fine_tunes")  # the last two: older and other services' names
MODEL = "x/Llama-3.1-8B-Instruct"
JOB = {"model": MODEL, "training_file": "file-0", "hyperparameters": {"n_epochs": 3}}
READS_ONLY = {"GET", "HEAD", "OPTIONS", "TRACE"}


# --- a provider behind a lenient front end --------------------------------------------------------------------


def foldings(target: str) -> set[str]:
    """The paths that front ends may read in a target: decoded up to twice, and folded to words and slashes."""
    return {folded(text) for text in (target, unquote(target), unquote(unquote(target)))}


def folded(text: str) -> str:
    text = re.split(r"[?#]", text.replace("\\", "/"))[0].lower()
    words = [word.split(";")[0].strip(" \t\r\n\x00") for word in text.split("/")]
    path = posixpath.normpath("/" + "/".join(words).lstrip("/"))
    return re.sub(r"(\.\w+|\.+)$", "", path)


def reads_an_order(method: str, target: str, headers: list[tuple[str, str]], body: str = "") -> bool:
    """Whether any front end could take this for an order, with any header that gives another path or method."""
    targets = [target, *(value for name, value in headers if re.search("ur[il]|path|prefix", name))]
    methods = [method, *(value for name, value in headers if "method" in name)]
    methods += re.findall(r"method[^=&]*=([A-Za-z]+)", unquote(unquote(target)) + "&" + body)
    changes_something = {one.strip().upper() for one in methods} - READS_ONLY
    return bool(changes_something) and any(path.endswith(ORDERS) for one in targets for path in foldings(one))


class FrontEnd:
    """An ASGI app that takes every request, and remembers which ones were orders and which keys came."""

    def __init__(self):
        self.forget()
        self.server = Server(self).start()

    def forget(self) -> None:
        self.orders: list[str] = []
        self.seen: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.keys: set[str] = set()
        self.statuses_of_content: list[int] = []  # of the next looks at a file's content; 200 after them
        self.jobs: list[dict] = []

    @property
    def port(self) -> int:
        return urlsplit(self.server.base_url).port

    async def __call__(self, scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        method, path = scope["method"], scope["raw_path"].decode()
        target = f"{path}?{scope['query_string'].decode()}" if scope["query_string"] else path
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        self.seen.append(f"{method} {target}")
        self.headers.append(dict(headers))
        self.keys |= {value for name, value in headers if name in ("authorization", "api-key")}
        if reads_an_order(method, target, headers, body.decode("latin-1")):
            self.orders.append(f"{method} {target} {headers} {body!r}")
            if method == "POST" and path == "/v1/fine_tuning/jobs":
                self.jobs.append({"id": "ftjob-0", "status": "running"} | json.loads(body))
        status, answer = self._answer(path)
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/json")]}
        )
        await send({"type": "http.response.body", "body": answer})

    def _answer(self, path: str) -> tuple[int, bytes]:
        if path.endswith("/content"):
            status = self.statuses_of_content.pop(0) if self.statuses_of_content else 200
            return status, DATA if status == 200 else b"{}"
        if path.endswith("/fine_tuning/jobs"):
            return 200, json.dumps({"data": self.jobs}).encode()
        return 200, json.dumps({"id": "x", "bytes": len(DATA), "data": []}).encode()


class World:
    """The front end, a stranger who must never be asked, and a guard before the first."""

    def __init__(self, front: FrontEnd, stranger: FrontEnd, name: str, limit: float):
        self.front, self.stranger = front, stranger
        price = price_in([{"fact": "training_price", "model": "*", "value": "0.40"} | SOURCE])
        target = Target(name, f"http://127.0.0.1:{front.port}/v1", price=price)
        self.guard = SpendGuard(target, Key(SECRET), limit)
        self.server = Server(self.guard).start()
        self.port = urlsplit(self.server.base_url).port

    def forget(self) -> None:
        """Everything is as at the beginning."""
        self.front.forget()
        self.stranger.forget()
        self.guard._orders.clear()
        self.guard._digests.clear()

    def send(self, raw: bytes) -> bytes:
        """Everything that comes back for these bytes, until the connection is closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            found = b""
            with contextlib.suppress(ConnectionError):
                while part := connection.recv(65536):
                    found += part
        for server in (self.server, self.front.server):  # what came in one go may still be under way
            while server._server.server_state.tasks:
                time.sleep(0.005)
        return found

    def raw(self, method: str, target: str, headers=(), body: bytes = b"", token: str | None = None) -> bytes:
        token = self.guard.token if token is None else token
        lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
        lines += [f"Authorization: Bearer {token}"] if token else []
        lines += [f"{name}: {value}" for name, value in headers]
        lines += [f"Content-Length: {len(body)}"] if body else []
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

    def ask(self, method: str, target: str, headers=(), body: bytes = b"", **options) -> tuple[int, str]:
        """Status and text of the answer to one request, spelled exactly so."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(self.raw(method, target, headers, body, **options))
            with connection.makefile("rb") as file:
                answer = file.read()
        head, _, text = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), text.decode("utf-8", "replace")

    def order(self, **changes) -> tuple[int, str]:
        return self.ask("POST", "/v1/fine_tuning/jobs", body=json.dumps(JOB | changes).encode())

    def nothing_was_ordered(self) -> None:
        assert self.front.orders == []
        assert self.stranger.seen == []
        assert self.front.keys <= {SECRET, f"Bearer {SECRET}"}


def code_in(answer: str) -> str:
    """The code that the refusal of an order shows."""
    return CODE.search(json.loads(answer)["error"]["message"])[1]


SOURCE = {"source": "a page", "date": "2026-11-22", "grade": "T"}


@pytest.fixture(scope="module")
def two_hosts():
    hosts = FrontEnd(), FrontEnd()
    yield hosts
    for host in hosts:
        host.server.stop()


@pytest.fixture(autouse=True)
def nothing_is_used_yet(monkeypatch):
    monkeypatch.setattr(SpendGuard, "spent_usd", 0.0)
    monkeypatch.setattr(SpendGuard, "jobs_of_unknown_price", 0)


@pytest.fixture(scope="module")
def worlds(two_hosts):
    """Makes a world for a provider's name and a limit, once."""
    made: dict[tuple, World] = {}

    def world(name: str = "other", limit: float = 5.0) -> World:
        if (name, limit) not in made:
            made[name, limit] = World(*two_hosts, name, limit)
        made[name, limit].forget()
        return made[name, limit]

    yield world
    for one in made.values():
        one.server.stop()


@pytest.fixture
def world(worlds, request, caplog):
    yield worlds(**getattr(request, "param", {}))
    assert "Exception in ASGI application" not in caplog.text


# --- which addresses may pass ---------------------------------------------------------------------------------

TWO_READINGS = """
/v1/fine_tuning/jobs#  /v1/fine_tuning/jobs#x  /v1/fine_tuning/jobs#/../x  /v1/fine_tuning/jobs?limit=1#
/v1/fine_tuning/jobs/.  /v1/./fine_tuning/jobs  /v1/fine_tuning/./jobs  /v1/fine_tuning/x/../jobs
/v1/fine_tuning/jobs/x/..  /v1/fine_tuning/jobs/%2e%2e/..  /v1/fine_tuning/jobs/x%2F../..
/v1/fine_tuning/jobs/%2e  /v1/fine_tuning/jobs/x/%2e%2e  /v1/fine_tuning/jobs/x/%2E.  /v1/fine_tuning/%2e/jobs
/v1/files/../fine_tuning/jobs  /v1/files/%2e%2e/fine_tuning/jobs  /v1/files/x%2f..%2f../fine_tuning/jobs
/v1/fine_tuning%2fjobs  /v1/fine_tuning%2Fjobs  /v1%2ffine_tuning/jobs  /v1/fine_tuning%252fjobs
/v1/fine_tuning/%256Aobs  /v1/fine_tuning/j%256Fbs  /v1/fine_tuning\\jobs  /v1\\fine_tuning\\jobs
/v1/fine_tuning/jobs\\  /v1/fine_tuning%5cjobs  /v1/fine_tuning%5Cjobs  /v1/fine_tuning%255cjobs
//v1/fine_tuning/jobs  ///v1/fine_tuning/jobs  //127.0.0.1/v1/fine_tuning/jobs  \\v1\\fine_tuning\\jobs
http://127.0.0.1/v1/fine_tuning/jobs  HTTP://127.0.0.1/v1/fine_tuning/jobs  127.0.0.1/v1/fine_tuning/jobs
v1/fine_tuning/jobs  ./v1/fine_tuning/jobs  ../v1/fine_tuning/jobs  \\/v1/fine_tuning/jobs
/v1/chat/../fine_tuning/jobs  /v1/chat/completions/../../fine_tuning/jobs  /v1/models/x/../../fine_tuning/jobs
/v1/fine_tuning/jobs%3fx  /v1/fine_tuning/jobs/%3Fx/cancel  /v1/fine_tuning/jobs%23  /v1/fine_tuning/jobs%23/x
/v1/fine_tuning/jobs%3ba=b  /v1/fine_tuning/jobs/%3b  /v1/files/%2e%2e%2ffine_tuning%2fjobs
""".split()
UNKNOWN = """
/v1/fine_tuning/jobs/  /v1/fine_tuning/jobs//  /v1//fine_tuning//jobs  /v1/fine_tuning//jobs  /v1/%66ine_tuning/jobs
/v1/fine_tuning/%6Aobs  /v1/fine_tuning/job%73  /v1/fine%5ftuning/jobs  /%76%31/fine_tuning/jobs
/v1/FINE_TUNING/JOBS  /v1/Fine_Tuning/jobs  /V1/fine_tuning/jobs  /v1/fine_tuning/jobs%20  /v1/fine_tuning/jobs%09
/v1/fine_tuning/jobs%00  /v1/fine_tuning/jobs%0d%0a  /v1/fine_tuning/%20jobs  /v1/fine_tuning%20/jobs
/v1/fine_tuning/jobs;a=b  /v1/fine_tuning;a/jobs  /v1/fine_tuning/jobs;  /v1;x/fine_tuning/jobs
/v1/fine_tuning/jobs/;x  /v1/fine_tuning/x/..;/jobs  /v1/fine_tuning/jobs.json  /v1/fine_tuning/jobs.
/v1/fine-tunes  /v1/fine_tunes  /v1/fine-tunes/  /fine_tuning/jobs  /v1/v1/fine_tuning/jobs  /v2/fine_tuning/jobs
/v0/fine_tuning/jobs  /openai/fine_tuning/jobs  /openai/v1/fine_tuning/jobs  /v1/beta/fine_tuning/jobs
/v1/deployments/fine_tuning/jobs  /v1/organizations/x/fine_tuning/jobs  /v1/projects/p/fine_tuning/jobs
/v1/chat/fine_tuning/jobs  /v1/models/fine_tuning/jobs  /v1/files/fine_tuning/jobs
""".split()
OVERRIDES = [
    ("X-HTTP-Method-Override", "POST"),
    ("X-HTTP-Method", "POST"),
    ("X-Method-Override", "POST"),
    ("X-Original-Method", "POST"),
    ("X-Original-URL", "/v1/fine_tuning/jobs"),
    ("X-Rewrite-URL", "/v1/fine_tuning/jobs"),
    ("X-Original-URI", "/v1/fine_tuning/jobs"),
    ("X-Forwarded-Uri", "/v1/fine_tuning/jobs"),
    ("X-Forwarded-Path", "/v1/fine_tuning/jobs"),
    ("X-Forwarded-Prefix", "/v1/fine_tuning/jobs"),
    ("X-Envoy-Original-Path", "/v1/fine_tuning/jobs"),
]


def test_the_front_end_of_these_tests_reads_them_all_as_orders():
    assert [one for one in TWO_READINGS + UNKNOWN if not reads_an_order("POST", one, [])] == []
    assert not reads_an_order("GET", "/v1/fine_tuning/jobs?limit=1", [])
    assert not reads_an_order("POST", "/v1/fine_tuning/jobs/x/cancel", [])


def test_no_other_spelling_of_the_order_reaches_the_provider(world):
    body = json.dumps(JOB).encode()
    assert len(TWO_READINGS + UNKNOWN) >= 88
    for targets, wanted in ((TWO_READINGS, 400), (UNKNOWN, 402)):
        for target in targets:
            status, said = world.ask("POST", target, body=body)
            assert (status, world.front.seen) == (wanted, []), target
            assert "spend_guard" in said and "othing was sent" in said
    world.nothing_was_ordered()


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "QUERY", "COPY", "Post ", "XPOST"])
def test_no_other_method_makes_an_order(world, method):
    status, _ = world.ask(method, "/v1/fine_tuning/jobs", body=json.dumps(JOB).encode())
    assert status in (400, 402) and world.front.seen == []


def test_a_method_in_small_letters_is_what_it_is_sent_as(world):
    assert world.ask("post", "/v1/fine_tuning/jobs", body=json.dumps(JOB).encode())[0] == 402
    world.nothing_was_ordered()


@pytest.mark.parametrize(("name", "value"), OVERRIDES)
def test_no_header_makes_another_call_of_it(world, name, value):
    """Nor does a body go along with a call that only reads."""
    body = json.dumps(JOB).encode()
    assert reads_an_order(
        "GET" if value == "POST" else "POST", "/v1/fine_tuning/jobs", [(name.lower(), value)]
    )
    assert world.ask("GET", "/v1/fine_tuning/jobs", [(name, value)], body)[0] == 200
    assert world.ask("POST", "/v1/files", [(name, value)], body)[0] == 200
    assert world.ask("POST", "/v1/files", [("Connection", name), (name, value)], body)[0] == 200
    assert len(world.front.seen) == 3
    assert not [headers for headers in world.front.headers if name.lower() in headers]
    assert "content-length" not in world.front.headers[0]
    world.nothing_was_ordered()


@pytest.mark.parametrize(
    "query",
    ["_method=POST", "limit=1&_method=POST", "limit=1%26_method=POST", "limit=1%2526_method%253DPOST"],
)
def test_no_query_makes_another_call_of_it(world, query):
    assert reads_an_order("GET", f"/v1/fine_tuning/jobs?{query}", [])
    status, said = world.ask("GET", f"/v1/fine_tuning/jobs?{query}")
    assert (status, world.front.seen) == (400, []) and "limit" in said


NO_PATHS = [
    *["@127.0.0.1:{port}/x", ":{port}/v1/x", "/@127.0.0.1:{port}/v1/models", "//127.0.0.1:{port}/v1/models"],
    *["http://127.0.0.1:{port}/v1/models", "127.0.0.1:{port}", "/\\127.0.0.1:{port}/v1/models", "*", ""],
    *["\\\\127.0.0.1:{port}/v1/models", ".evil.example/v1/models", "?@127.0.0.1:{port}/v1/models"],
]


@pytest.mark.parametrize(
    "base",
    [
        *["http://127.0.0.1:{port}/v1", "https://api.openai.com/v1", "https://host.example"],
        *["https://host.example/a%20b/v1", "https://[::1]:8080/v1"],
    ],
)
def test_the_key_goes_to_the_provider_and_to_no_other_host(two_hosts, base):
    """A base without a port, as the real ones have, is asked without a network."""
    hosts, statuses = [], []
    front, stranger = two_hosts
    base = base.format(port=front.port)
    guard = SpendGuard(Target("other", base), Key(SECRET))

    def answer(request: httpx2.Request) -> httpx2.Response:
        hosts.append(request.url.netloc.decode())
        return httpx2.Response(200, stream=httpx2.ByteStream(b"{}"))

    async def ask(path: bytes) -> int:
        scope = {"type": "http", "method": "GET", "raw_path": path, "path": "", "query_string": b""}
        scope |= {"asgi": {"spec_version": "2.4"}, "headers": [(b"api-key", guard.token.encode())]}
        await guard(scope, None, collect)
        return statuses[-1]

    async def collect(message):
        statuses.extend([message["status"]] if "status" in message else [])

    guard._client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    for target in NO_PATHS:
        assert asyncio.run(ask(target.format(port=stranger.port).encode())) in (400, 402), target
    assert hosts == []
    assert asyncio.run(ask(f"{urlsplit(base).path}/models".encode())) == 200
    assert hosts == [urlsplit(base).netloc]


@pytest.mark.parametrize("token", ["", "sk-local", SECRET, "{token}x", "x{token}", "Bearer {token}"])
def test_nothing_passes_without_the_guards_token(world, token):
    token = token.format(token=world.guard.token)
    for method, target in (
        ("POST", "/v1/fine_tuning/jobs"),
        ("GET", "/v1/models"),
        ("POST", "/admin"),
        ("GET", "*"),
    ):
        status, said = world.ask(method, target, body=json.dumps(JOB).encode(), token=token)
        assert (status, json.loads(said)["error"]["code"]) == (401, "invalid_api_key")
    assert world.front.seen == []


def test_no_other_key_is_sent_beside_the_providers(world):
    assert world.ask("GET", "/v1/models", [("api-key", "sk-other"), ("Authorization", "Basic abc")])[0] == 200
    assert world.front.keys == {f"Bearer {SECRET}"}


# --- what may pass --------------------------------------------------------------------------------------------


def calls_of(client: OpenAI):
    """Calls of the openai client that a learner may make at a paid service, each with its first line."""
    jobs, chat, responses = client.fine_tuning.jobs, client.chat.completions, client.responses
    file, model = ("t.jsonl", DATA), "ft:gpt-4o-mini-2024-07-18:acme:airport:A1b2C3d4:ckpt-step-90"
    say = [{"role": "user", "content": "Hi"}]
    return {
        "POST /files": lambda: client.files.create(file=file, purpose="fine-tune"),
        "GET /files?limit=2&order=asc&purpose=fine-tune": lambda: client.files.list(
            purpose="fine-tune", limit=2, order="asc"
        ),
        "GET /files/file-0": lambda: client.files.retrieve("file-0"),
        "DELETE /files/file-0": lambda: client.files.delete("file-0"),
        "GET /files/file-0/content": lambda: client.files.content("file-0"),
        "POST /uploads": lambda: client.uploads.create(
            bytes=1, filename="t.jsonl", mime_type="text/jsonl", purpose="fine-tune"
        ),
        "POST /uploads/u/parts": lambda: client.uploads.parts.create("u", data=DATA),
        "POST /uploads/u/complete": lambda: client.uploads.complete("u", part_ids=["p"]),
        "POST /uploads/u/cancel": lambda: client.uploads.cancel("u"),
        "GET /models": lambda: client.models.list(),
        f"GET /models/{model}": lambda: client.models.retrieve(model),
        f"DELETE /models/{model}": lambda: client.models.delete(model),
        "GET /fine_tuning/jobs?limit=5&metadata%5Bstarter%5D=a+b": lambda: jobs.list(
            limit=5, metadata={"starter": "a b"}
        ),
        "GET /fine_tuning/jobs/j": lambda: jobs.retrieve("j"),
        "GET /fine_tuning/jobs/j/events?after=e&limit=1": lambda: jobs.list_events("j", limit=1, after="e"),
        "GET /fine_tuning/jobs/j/checkpoints": lambda: jobs.checkpoints.list("j"),
        "POST /fine_tuning/jobs/j/cancel": lambda: jobs.cancel("j"),
        "POST /fine_tuning/jobs/j/pause": lambda: jobs.pause("j"),
        "POST /fine_tuning/jobs/j/resume": lambda: jobs.resume("j"),
        f"POST /fine_tuning/checkpoints/{model}/permissions": lambda: (
            client.fine_tuning.checkpoints.permissions.create(model, project_ids=["p"])
        ),
        "POST /chat/completions": lambda: chat.create(model=model, messages=say),
        "GET /chat/completions/c": lambda: chat.retrieve("c"),
        "GET /chat/completions/c/messages": lambda: chat.messages.list("c"),
        "POST /completions": lambda: client.completions.create(model=model, prompt="Hi"),
        "POST /embeddings": lambda: client.embeddings.create(model="m", input="Hi", encoding_format="float"),
        "POST /moderations": lambda: client.moderations.create(input="Hi"),
        "POST /responses": lambda: responses.create(model=model, input="Hi"),
        "GET /responses/r?include%5B%5D=reasoning.encrypted_content": lambda: responses.retrieve(
            "r", include=["reasoning.encrypted_content"]
        ),
        "POST /responses/r/cancel": lambda: responses.cancel("r"),
    }


def test_the_clients_own_calls_pass_with_its_headers(world):
    with OpenAI(
        base_url=world.server.base_url, api_key=world.guard.token, organization="org-1", max_retries=0
    ) as client:
        for line, call in calls_of(client).items():
            world.front.seen.clear()
            call()
            assert world.front.seen == [line.replace(" /", " /v1/", 1)]
    for headers in world.front.headers:
        assert headers["openai-organization"] == "org-1"
        assert headers["x-stainless-lang"] == "python" and "OpenAI" in headers["user-agent"]
    world.nothing_was_ordered()


@pytest.mark.parametrize("world", [{"name": "azure"}], indirect=True)
def test_azures_paths_pass_at_azure(world):
    """A deployment in the path, an api-version, and the address without /v1 of the older way."""
    token, origin = world.guard.token, world.server.base_url.removesuffix("/v1")
    say = [{"role": "user", "content": "Hi"}]
    version = "api-version=2024-10-21"
    for options in ({"base_url": world.server.base_url}, {"azure_endpoint": origin}):
        with AzureOpenAI(api_key=token, api_version="2024-10-21", max_retries=0, **options) as client:
            client.chat.completions.create(model="my.airport-1", messages=say)
            client.fine_tuning.jobs.list()
            with pytest.raises(APIStatusError) as held:
                client.fine_tuning.jobs.create(model="gpt-4.1", training_file="file-0")
            assert held.value.status_code == 402 and CODE.search(held.value.message)
    chat = f"deployments/my.airport-1/chat/completions?{version}"
    asked = [line for line in world.front.seen if version in line]
    assert asked == [
        f"POST /v1/{chat}",
        f"GET /v1/fine_tuning/jobs?{version}",
        f"POST /openai/{chat}",
        f"GET /openai/fine_tuning/jobs?{version}",
    ]
    world.nothing_was_ordered()


@pytest.mark.parametrize(
    ("world", "passing"),
    [
        ({"name": "nebius"}, "POST /v0/models"),
        ({"name": "nebius"}, "GET /v0/models/meta/Llama-3.1-8B-LoRa:airport-JuNN"),
        ({"name": "crusoe"}, "POST /v1/fine_tuning/jobs/estimate_price"),
    ],
    indirect=["world"],
)
def test_what_one_provider_has_more_passes_there_and_nowhere_else(world, passing, worlds):
    method, target = passing.split()
    assert world.ask(method, target, body=b"{}" if method == "POST" else b"")[0] == 200
    assert world.front.seen == [passing]
    assert worlds("openai").ask(method, target)[0] == 402


def test_a_refusal_says_what_may_pass(world):
    _, said = world.ask("POST", "/v1/batches", body=b"{}")
    message = json.loads(said)["error"]["message"]
    assert "POST /v1/batches" in message and "nothing was sent" in message
    assert "files, uploads, models, fine_tuning/jobs" in message and "chat/completions" in message
    assert "POST /v1/fine_tuning/jobs" in message


# --- odd orders -----------------------------------------------------------------------------------------------

DEEP = b'{"model":"m","training_file":"file-0","metadata":' + b"[" * 5000 + b"]" * 5000 + b"}"
LESS_DEEP = b'{"model":"m","training_file":"file-0","metadata":' + b"[" * 1001 + b"]" * 1001 + b"}"
ODD_BODIES = {
    "nothing": b"",
    "no JSON": b"model=a&training_file=b",
    "a list": b"[]",
    "a string": b'"job"',
    "null": b"null",
    "no file": b'{"model": "m"}',
    "deep": DEEP,
    "a little less deep": LESS_DEEP,
    "half a surrogate": rb'{"model": "m\ud800", "training_file": "file-0"}',
    "half a surrogate in a value": rb'{"model": "m", "training_file": "file-0", "suffix": "\udfff"}',
    "half a surrogate in a key": rb'{"model": "m", "training_file": "file-0", "\ud800": 1}',
    "half a surrogate in UTF-8": b'{"model": "m\xed\xa0\x80", "training_file": "file-0"}',
    "not UTF-8": b'{"model": "m\xff", "training_file": "file-0"}',
    "NaN": b'{"model": "m", "training_file": "file-0", "seed": NaN}',
    "without end": b'{"model": "m", "training_file": "file-0", "seed": 1e999}',
    "5,000 digits": b'{"model": "m", "training_file": "file-0", "seed": ' + b"9" * 5000 + b"}",
    "too long": b'{"model": "m", "training_file": "file-0", "suffix": "' + b"x" * 1_000_000 + b'"}',
    "compressed": b"\x1f\x8b\x08\x00\x00",
}


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES)
def test_an_order_that_cannot_be_read_is_refused(world, body):
    assert world.ask("POST", "/v1/fine_tuning/jobs", body=body)[0] in (400, 413)
    assert world.front.seen == []


ODD_SETTINGS = [
    *({"hyperparameters": value} for value in ("auto", "x", [], [1], 3, 0, True, False, "")),
    *(
        {"hyperparameters": {"n_epochs": value}}
        for value in ("3", None, [], [3], {}, True, False, 3.0, 0.5, "AUTO")
    ),
    *({"hyperparameters": {"n_epochs": value}} for value in (0, -1, -1_000_000, 51, 10**12, 10**400, 1e300)),
    *({"hyperparameters": {"batch_size": value}} for value in (0, -1, 257, "4", None, 1.5, True)),
    *({"hyperparameters": {"learning_rate_multiplier": value}} for value in (0, -1, "2", None, [], True)),
    *({"hyperparameters": {"beta": value}} for value in (0, -0.1, 2.1, "0.1", None, False)),
    *(
        {"method": value}
        for value in ("dpo", [], 1, True, {}, {"type": "x"}, {"type": None}, {"type": ["dpo"]})
    ),
    *(
        {"method": {"type": "dpo", name: value}}
        for name in ("dpo", "supervised")
        for value in ("x", [], 1, True)
    ),
    *(
        {"method": {"type": "supervised", name: {"hyperparameters": {"n_epochs": value}}}}
        for name in ("supervised", "dpo", "reinforcement")
        for value in (-1, 51, "3")
    ),
    {"method": {"type": "dpo", "dpo": {"hyperparameters": [1]}}},
    {
        "hyperparameters": {"n_epochs": 1},
        "method": {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": -9}}},
    },
    {"n_epochs": -5},
    {"n_epochs": "3"},
    *(
        {"training_file": value}
        for value in (None, "", 1, [], {}, "../models", "a/b", "file-0?x", "file-0#", ".", "é")
    ),
    *({"training_file": "x" * 201, "validation_file": value} for value in (1, [], "a/../b")),
    *({"model": value} for value in (None, "", 1, [], {}, "a\nb", "m" * 201, "\x00")),
]


@pytest.mark.parametrize("world", [{"name": "nebius"}, {"name": "openai"}], indirect=True)
def test_settings_of_a_wrong_type_or_outside_their_range_are_refused_before_an_estimate(world):
    for odd in ODD_SETTINGS:
        status, said = world.order(**odd)
        assert (status, world.front.seen, world.guard._orders) == (400, [], {}), odd
        assert "No job was made" in said


def test_the_ranges_are_those_of_the_local_api():
    at_openai = {name: found for name, found in validate.JOB_RANGES.items() if name != "rpo_alpha"}  # our own
    for name, (least, most) in at_openai.items():
        if name in orders.WHOLE_NUMBERS:
            assert orders.WHOLE_NUMBERS[name] == (least, most or float("inf"))
        else:
            assert name in validate.MORE_THAN_ZERO and least == 0
            assert orders.ABOVE_ZERO[name] == (most or float("inf"))
    assert set(orders.WHOLE_NUMBERS) | set(orders.ABOVE_ZERO) == set(at_openai)


@pytest.mark.parametrize(
    "settings",
    [
        {"hyperparameters": {"n_epochs": 50, "batch_size": "auto", "learning_rate_multiplier": 2e-5}},
        {"hyperparameters": {"lora": True, "lora_r": 16, "warmup_ratio": 0.0, "n_epochs": 1}},
        {"hyperparameters": None, "method": None, "validation_file": None, "seed": 7},
        {"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.1}}}, "suffix": "Flughafen-é"},
        {"trainingType": "GlobalStandard", "metadata": {"n_epochs": "3"}},
    ],
)
def test_a_plain_order_is_held_approved_and_sent_as_it_was_asked_for(world, settings):
    status, said = world.order(**settings)
    assert status == 402 and world.front.orders == []
    world.guard.approve(code_in(said))
    assert world.order(**settings)[0] == 200
    assert [{key: job[key] for key in JOB | settings} for job in world.front.jobs] == [JOB | settings]


def test_what_is_sent_is_what_was_decided_on(world):
    """A key that comes twice, another encoding: the provider could have read another order in it."""
    twice = b'{"training_file": "file-9", "model": "m", "training_file": "file-0", "n_epochs": 1}'
    for number, body in enumerate((twice, twice.decode().encode("utf-16"))):
        headers = [("Content-Type", "application/json; charset=utf-7"), ("Content-Encoding", "identity")]
        _, said = world.ask("POST", "/v1/fine_tuning/jobs", headers, body)
        world.guard.approve(code_in(said))
        world.ask("POST", "/v1/fine_tuning/jobs", headers, body)
        sent = world.front.orders[number]
        assert sent.count("file-0") == 1 and "file-9" not in sent
        assert world.front.headers[-1]["content-type"] == "application/json"
        assert "content-encoding" not in world.front.headers[-1]
        world.front.jobs.clear()


def test_a_client_that_leaves_in_the_middle_leaves_no_traceback(world):
    for target in ("/v1/files", "/v1/fine_tuning/jobs"):
        raw = world.raw("POST", target, [("Content-Length", "1000000")]) + b"{"
        assert b"500" not in world.send(raw)[:20]
    world.nothing_was_ordered()


# --- smuggling ------------------------------------------------------------------------------------------------


def smuggled(token: str) -> dict[str, bytes]:
    """Bytes that two servers in a row may cut into different requests. Each hides an order."""
    job = json.dumps(JOB).encode()
    who = f"Host: x\r\nAuthorization: Bearer {token}\r\n".encode()
    order = b"POST /v1/fine_tuning/jobs HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (who, len(job), job)
    post, get = b"POST /v1/files HTTP/1.1\r\n" + who, b"GET /v1/models HTTP/1.1\r\n" + who
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(order), order)
    end = b"0\r\n\r\n" + order
    plain = post + b"Content-Length: 0\r\n\r\n"
    return {
        "CL.TE": post + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n" % len(end) + end,
        "TE.CL": post + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunk,
        "TE.TE": post + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n" + end,
        "TE unknown": post + b"Transfer-Encoding: xchunked\r\n\r\n" + end,
        "TE identity": post + b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n" + end,
        "TE after a blank": post + b"Transfer-Encoding : chunked\r\n\r\n" + end,
        "TE in a folded line": post
        + b"X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
        + end,
        "two lengths": post + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(order) + order,
        "the same length twice": post + b"Content-Length: 0, 0\r\n\r\n" + order,
        "a length below 0": post + b"Content-Length: -1\r\n\r\n" + order,
        "a length with a sign": post + b"Content-Length: +0\r\n\r\n" + order,
        "too short": post + b"Content-Length: %d\r\n\r\n" % (len(order) + 99) + order,
        "bare LF": (post + b"Content-Length: 0\r\n\r\n").replace(b"\r\n", b"\n") + order,
        "bare CR": post.replace(b"\r\n", b"\r") + b"\r\r" + order,
        "a body with GET": get + b"Content-Length: %d\r\n\r\n" % len(order) + order,
        "upgrade": get
        + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n"
        + order,
        "expect": post + b"Expect: 100-continue\r\nContent-Length: 0\r\n\r\n" + order,
        "CRLF in the path": b"GET /v1/models%0d%0aX:%20y HTTP/1.1\r\n" + who + b"\r\n" + order,
        "chunk extension": post + b"Transfer-Encoding: chunked\r\n\r\n0;\n" + end,
        "endless chunk": post + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n" + order,
        "HTTP/1.0": b"POST /v1/files HTTP/1.0\r\n" + who + b"Connection: keep-alive\r\n\r\n" + order,
        "HTTP/0.9": b"GET /v1/models\r\n" + order,
        "one after the other": plain + order,
        "three after the other": plain + order + plain + order + plain,
        "CONNECT": b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n" + who + b"\r\n" + order,
    }


@pytest.mark.parametrize("name", smuggled(""))
def test_no_order_is_smuggled_past_the_guard(world, name):
    answers = world.send(smuggled(world.guard.token)[name])
    statuses = {int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", answers)}
    assert statuses <= {100, 200, 400, 401, 402, 501}
    world.nothing_was_ordered()


def test_a_length_beside_a_transfer_encoding_is_refused(world):
    answers = world.send(smuggled(world.guard.token)["CL.TE"])
    assert answers.startswith(b"HTTP/1.1 400") and "POST /v1/files" not in world.front.seen


# --- estimates and the limit ----------------------------------------------------------------------------------


def usd(world: World) -> list[float | None]:
    return [order.estimate.usd for order in world.guard._orders.values()]


def test_of_two_numbers_of_epochs_the_dearer_is_estimated(world):
    def method(**of) -> dict:
        return {"type": "supervised", "supervised": {"hyperparameters": of}}

    world.order(hyperparameters={"n_epochs": 1})
    (one,) = usd(world)
    for epochs, asked in {
        40: {"hyperparameters": {"n_epochs": 40}, "method": method(n_epochs=1)},
        41: {"hyperparameters": {"n_epochs": 1}, "method": method(n_epochs=41)},
        8: {"hyperparameters": {"n_epochs": 1}, "method": method()},  # 100 // 12 rows: what "auto" means
        7: {"hyperparameters": {"batch_size": 1}, "method": method(n_epochs=7), "n_epochs": 2},
        42: {"n_epochs": 42},
        43: {"method": method(n_epochs=1) | {"dpo": {"hyperparameters": {"n_epochs": 43}}}},
    }.items():
        world.guard._orders.clear()
        world.order(**asked)
        assert usd(world) == [pytest.approx(max(epochs, 8 if epochs == 7 else 0) * one)], asked


@pytest.mark.parametrize("value", ["nan", "-0.40", "inf", "-inf", "a lot", "1e999"])
@pytest.mark.parametrize("content", [DATA, b""])
def test_a_price_that_is_no_amount_is_unknown_and_not_below_the_limit(value, content):
    price = price_in([{"fact": "training_price", "model": "*", "value": value} | SOURCE])
    found = orders.estimate(Target("other", "https://host/v1", price=price), JOB, content, 1000)
    assert found.usd is None and "Estimate: unknown" in found.words


@pytest.mark.parametrize("usd", [float("nan"), -0.01, float("inf")])
def test_no_estimate_is_anything_but_an_amount(usd):
    with pytest.raises(ValueError, match="no amount"):
        Estimate("words", usd)


def test_rows_that_cannot_be_counted_are_not_free():
    """Another service's rows may be none of ours: then the bytes are counted."""
    price = price_in([{"fact": "training_price", "model": "*", "value": "0.40"} | SOURCE])
    content = b'{"instruction": "a", "output": "b"}\n' * 100
    found = orders.estimate(Target("other", "https://host/v1", price=price), JOB, content, len(content))
    assert found.usd == pytest.approx(len(content) // 4 * 3 * 0.40 / 1e6)
    assert "rough guess" in found.words


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), -1.0])
def test_a_guard_has_a_limit_that_is_an_amount(limit):
    with pytest.raises(ValueError, match="number of US dollars"):
        SpendGuard(Target("other", "https://host/v1"), Key(SECRET), limit)


@pytest.mark.parametrize("text", ["5,50", "nan", "1e999"])
def test_a_limit_that_is_no_amount_is_refused(text, monkeypatch):
    monkeypatch.setenv("SPEND_LIMIT_USD", text)
    with pytest.raises(ValueError, match="number of US dollars"):
        connect_module._limit(5.0)


BY_THE_HOUR = {"method": {"type": "reinforcement", "reinforcement": {}}}


@pytest.mark.parametrize("world", [{"limit": 0.0}], indirect=True)
def test_where_nothing_is_left_of_the_limit_an_unknown_price_is_above_it(world):
    status, said = world.order(**BY_THE_HOUR)
    assert status == 402 and "passes the limit" in said and world.guard._orders == {}


def test_a_job_of_unknown_price_is_named_in_what_was_used(world):
    _, said = world.order(**BY_THE_HOUR)
    assert "limit cannot be checked" in said
    world.guard.approve(code_in(said))
    assert world.order(**BY_THE_HOUR)[0] == 200
    assert "used since the start: $0.00 and 1 job of unknown price" in world.order()[1]


def test_an_estimate_that_has_changed_is_shown_and_needs_its_own_yes(world, monkeypatch):
    first = code_in(world.order()[1])
    assert code_in(world.order()[1]) == first
    dear = dataclasses.replace(world.guard.target, price=lambda model: (4.0, "a newer page"))
    monkeypatch.setattr(world.guard, "target", dear)
    second = code_in(world.order()[1])
    assert float(second.split()[0][1:]) == pytest.approx(10 * float(first.split()[0][1:]), rel=0.05)
    with pytest.raises(ValueError, match="approves nothing"):
        world.guard.approve(first)


@pytest.mark.parametrize("failures", [1, 2, 3, 4])
def test_a_failed_look_at_a_file_is_tried_again(world, failures):
    """The same rows under another name are the running job, as soon as they can be read."""
    _, said = world.order()
    world.guard.approve(code_in(said))
    assert world.order()[0] == 200
    world.guard._digests.clear()
    world.front.statuses_of_content = [503] * failures
    answers = [world.order(training_file="file-1") for _ in range(3)]
    assert [status for status, _ in answers][-1] == 200
    assert json.loads(answers[-1][1])["id"] == "ftjob-0"
    assert len(world.front.jobs) == 1


# --- the yes --------------------------------------------------------------------------------------------------


def test_fifty_orders_at_once_and_one_yes_make_one_job():
    shop = Shop("openai")
    shop.provider.over_at_once = True
    shop.approve(shop.held())
    body = {"model": "gpt-4o-mini", "training_file": shop.file, "hyperparameters": {"n_epochs": 3}}

    async def all_at_once() -> Counter:
        limits = httpx2.Limits(max_connections=50)
        headers = {"api-key": shop.guard.token}
        async with httpx2.AsyncClient(limits=limits, timeout=60, headers=headers) as client:
            url = f"{shop.url}/fine_tuning/jobs"
            answers = await asyncio.gather(*(client.post(url, json=body) for _ in range(50)))
        return Counter(answer.status_code for answer in answers)

    assert asyncio.run(all_at_once()) == {200: 1, 402: 49}
    assert len(shop.provider.jobs) == 1
    shop.close()


def test_no_code_can_be_guessed_and_none_is_taken_over_http(world):
    world.order()
    (order,) = world.guard._orders.values()
    amount, _, letters = order.code.rpartition(" ")
    draw = random.Random(17)
    for _ in range(20_000):
        guess = "".join(draw.choices(guard.CODE_LETTERS, k=len(letters)))
        with pytest.raises(ValueError, match="approves nothing"):
            world.guard.approve(f"{amount} {guess}")
    assert not order.approved
    for target in ("/approve", "/v1/approve", f"/v1/approve/{order.code.split()[-1]}"):
        assert world.ask("POST", target, body=json.dumps({"code": order.code}).encode())[0] == 402
    assert not order.approved


# --- whatever is sent -----------------------------------------------------------------------------------------


def spellings(word: str) -> st.SearchStrategy:
    """A word as it is, with letters encoded once or twice, or in capitals."""

    def spell(place: int, how: str) -> str:
        letter = word[place % len(word)]
        changed = {"upper": letter.upper(), "once": f"%{ord(letter):02x}", "twice": f"%25{ord(letter):02X}"}
        return word.replace(letter, changed.get(how, letter), 1)

    return st.builds(
        spell, st.integers(0, 20), st.sampled_from(["as it is"] * 8 + ["upper", "once", "twice"])
    )


def often(usual: str, *others: str) -> st.SearchStrategy:
    return st.one_of(st.just(usual), st.just(usual), st.sampled_from(others))


JOINTS = [
    "//",
    "%2f",
    "%252F",
    "\\",
    "%5c",
    "/./",
    "/x/../",
    "/%2e%2e/../",
    "/x%2F../",
    ";a=b/",
    "/.;/",
    "/%2e/",
]
ENDINGS = [
    *[
        "/",
        "//",
        "#",
        "#x",
        "?",
        "?limit=1",
        "?_method=POST",
        "?limit=1%26_method=POST",
        "?x=/../",
        "%20",
        "%09",
    ],
    *[
        "%00",
        ";a=b",
        "%3B",
        "%23",
        "%3fx",
        "/.",
        "/x/..",
        "/%2e%2e/..",
        "/x%2F../..",
        "/..;/",
        ".json",
        ".",
        "\\",
    ],
    *[
        "/estimate_price",
        "/x/cancel",
        "/%2e%2e/jobs",
        "/../jobs",
        "?api-version=1",
        "?limit=1#",
        "%0d%0a",
        "\x80",
    ],
]
OTHER_PATHS = [
    "files",
    "files/file-0",
    "models",
    "chat/completions",
    "responses",
    "uploads/x/parts",
    "v0/models",
]
VALUES = ["POST", "post", "PUT", "/v1/fine_tuning/jobs", "fine_tuning/jobs", "/v1/fine-tunes"]
HEADER_NAMES = [name for name, _ in OVERRIDES] + [
    "Host",
    "Forwarded",
    "Referer",
    "Cookie",
    "X-Forwarded-Host",
    "Te",
]
METHODS = ["POST"] * 8 + ["GET"] * 3 + ["PUT", "PATCH", "DELETE", "post", "OPTIONS"]

anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(codec=None), max_size=9)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)
numbers = st.one_of(st.integers(-2, 60), st.integers(), st.floats(), st.just("auto"), anything)
some_settings = st.dictionaries(
    st.sampled_from(["n_epochs", *validate.JOB_RANGES, "lora_r"]), numbers, max_size=3
)
parts = st.one_of(st.fixed_dictionaries({"hyperparameters": st.one_of(some_settings, anything)}), anything)
methods = st.fixed_dictionaries(
    {"type": st.one_of(st.sampled_from(orders.METHODS), anything)},
    optional={"supervised": parts, "dpo": parts, "reinforcement": parts},
)
jobs = st.fixed_dictionaries(
    {
        "model": st.one_of(st.just(MODEL), st.just(MODEL), anything),
        "training_file": st.one_of(st.just("file-0"), st.just("file-0"), st.just("../x"), anything),
    },
    optional={
        "hyperparameters": st.one_of(some_settings, some_settings, anything),
        "method": st.one_of(methods, methods, anything),
        "validation_file": anything,
        "metadata": anything,
        "seed": anything,
    },
)
bodies = st.one_of(
    st.just(json.dumps(JOB).encode()),
    jobs.map(lambda job: json.dumps(job).encode()),
    st.one_of(anything.map(lambda value: json.dumps(value).encode()), st.binary(max_size=30)),
    st.integers(1, 3000).map(
        lambda deep: b'{"model":"m","training_file":' + b"[" * deep + b"]" * deep + b"}"
    ),
)


@st.composite
def requests_to(draw, stranger: int) -> tuple[str, str, list[tuple[str, str]], bytes]:
    """Method, target, headers and body; about a third are orders in the right place."""
    headers = st.tuples(st.sampled_from(HEADER_NAMES), st.sampled_from([*VALUES, f"127.0.0.1:{stranger}"]))
    found = draw(st.lists(headers, max_size=3))
    if draw(st.integers(0, 2)) == 0:
        return "POST", "/v1/fine_tuning/jobs", found, draw(bodies)
    hosts = [
        f"@127.0.0.1:{stranger}",
        f":{stranger}",
        f"//127.0.0.1:{stranger}",
        f"http://127.0.0.1:{stranger}",
    ]
    host = draw(
        st.one_of(st.just(""), st.just(""), st.just(""), st.sampled_from([*hosts, "*", "x", "\\\\x"]))
    )
    base = draw(often("/v1", "", "/V1", "/v2/../v1", "//v1", "/%761", "/openai", "/v1/v1"))
    if draw(st.integers(0, 3)):
        joint = often("/", *JOINTS)
        path = draw(joint) + draw(spellings("fine_tuning")) + draw(joint) + draw(spellings("jobs"))
    else:
        path = "/" + draw(st.sampled_from([*OTHER_PATHS, "fine-tunes", "fine_tunes"]))
    target = host + base + path + draw(often("", *ENDINGS))
    return draw(st.sampled_from(METHODS)), target, found, draw(bodies)


@pytest.mark.slow
@pytest.mark.endurance(sample=200, soak=5000)
def test_whatever_is_sent_no_job_is_made_without_a_yes(world, count, figures):
    statuses: Counter = Counter()
    estimates: list[float | None] = []

    @seed(17)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=False,
    )
    @given(asked=requests_to(world.stranger.port))
    @example(asked=("POST", "/v1/fine_tuning/jobs", [], json.dumps(JOB).encode()))
    def send(asked):
        method, target, headers, body = asked
        status, said = world.ask(method, target, headers, body)
        statuses[status] += 1
        assert status in (200, 400, 401, 402, 413), said
        assert SECRET not in said
        estimates.extend(usd(world))
        assert all(one is None or one >= 0 for one in estimates[-1:])
        world.guard._orders.clear()
        world.nothing_was_ordered()

    send()
    assert sum(statuses.values()) >= count and min(statuses[200], statuses[400], statuses[402]) > 0
    assert len(estimates) > count / 50
    found = ", ".join(f"{number:,} x {status}" for status, number in sorted(statuses.items()))
    figures(
        f"{sum(statuses.values()):,} requests ({found}), {len(world.front.seen):,} reached the provider, "
        f"{len(estimates):,} orders held; 0 jobs without a yes, 0 requests to another host"
    )


# --- keys that stay at home -----------------------------------------------------------------------------------


def test_a_process_that_asks_no_provider_gets_no_key(monkeypatch, tmp_path):
    """The checker's workers, the training process, and pip."""
    given = []

    def start(*_, env, **__):
        given.append(env)
        raise OSError

    for name in (*KEY_NAMES, "Another_Api_Key"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setattr(subprocess, "Popen", start)
    assert processes._start() is None
    with pytest.raises(OSError):
        lease._launch(SimpleNamespace(folder=tmp_path), "worker-1")
    with pytest.raises(OSError):
        weights._fetch(tmp_path, ())
    assert len(given) == 3
    for environment in given:
        assert SECRET not in environment.values() and environment["PATH"] == os.environ["PATH"]
    assert os.environ["OPENAI_API_KEY"] == SECRET
