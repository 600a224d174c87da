"""Random requests to every route: whatever is sent, the answer is never a 5xx that is not documented.

In-process, so that 20,000 requests take minutes. Objects that exist are named often enough for the calls to get
past "not found".
"""

import asyncio
import json
import sqlite3
from collections import Counter
from contextlib import closing
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from starlette.routing import Mount

from helpers.local_api import batches, chat, files, history, jobs, responses
from helpers.local_api.app import PLACES, Mode, create_app
from helpers.local_api.scenarios import Caller
from helpers.local_api.store import Store

from .conftest import rows

MODELS = ["gpt-4o-mini", "gpt-3.5-turbo", "gpt-4.1", "gpt-4o", "babbage-002", "ft:none"]
KEYS = ["sk-local"] * 40 + ["sk-local.closed", "sk-local@2027-01-15", "sk-local@2023-01-01", "sk-wrong", ""]
WORDS = [
    *[
        "model",
        "messages",
        "role",
        "content",
        "user",
        "assistant",
        "system",
        "text",
        "type",
        "stream",
        "stop",
    ],
    *["training_file", "validation_file", "hyperparameters", "method", "supervised", "dpo", "beta", "auto"],
    *["n_epochs", "batch_size", "learning_rate_multiplier", "suffix", "seed", "metadata", "integrations"],
    *["input", "dimensions", "encoding_format", "base64", "float", "n", "max_tokens", "temperature", "store"],
    *[
        "grader",
        "model_sample",
        "item",
        "string_check",
        "name",
        "reference",
        "operation",
        "eq",
        "project_ids",
    ],
    *["stream_options", "include_usage", "tools", "function", "tool_calls", "response_format", "wandb"],
]

# what stands in a path -> which ids fit; None: those of the path's first word
PLACEHOLDERS = {"{model:path}": "models", "{model}": "models", "{deployment}": "models"}
PLACEHOLDERS |= {"{rest:path}": None, "{id}": None}

text = st.one_of(
    st.sampled_from([*WORDS, *MODELS]), st.text(st.characters(categories=None, codec=None), max_size=20)
)
number = st.one_of(st.integers(-3, 300), st.integers(), st.floats())
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), number, text),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(text, inner, max_size=4)),
    max_leaves=12,
)


def mostly(
    usual: st.SearchStrategy, other: st.SearchStrategy = anything, odds: int = 12
) -> st.SearchStrategy:
    """The usual values; one time in ``odds``, others."""
    return st.integers(1, odds).flatmap(lambda drawn: other if drawn == odds else usual)


a_call = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["call_1", "call_2"]),
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": text, "arguments": text}),
    }
)
message = mostly(
    st.one_of(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["user", "assistant", "system", "developer"]), "content": text},
            optional={"name": text},
        ),
        st.fixed_dictionaries(
            {"role": st.just("assistant"), "tool_calls": mostly(st.lists(a_call, max_size=2))},
            optional={"content": text, "annotations": anything, "refusal": st.none()},
        ),
        st.fixed_dictionaries(
            {"role": st.just("tool"), "content": text, "tool_call_id": st.sampled_from(["call_1", "call_2"])}
        ),
    )
)


def an_object(inner: st.SearchStrategy) -> st.SearchStrategy:
    """The schema of an object that strict mode takes."""
    return st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3).map(
        lambda found: {
            "type": "object",
            "properties": found,
            "required": list(found),
            "additionalProperties": False,
        }
    )


schema = st.recursive(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])},
        optional={
            "enum": st.lists(text, max_size=3),
            "pattern": mostly(st.sampled_from(["^a+$", "[0-9]{3}", "(a+)+$", "(?=a)"])),
            "minimum": number,
            "maxLength": mostly(st.integers(0, 9)),
            "minItems": mostly(st.integers(0, 3)),
            "format": mostly(st.sampled_from(["date", "email", "uri"])),
            "$ref": st.sampled_from(["#", "#/$defs/a", "http://127.0.0.1:9/x"]),
        },
    ),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, max_size=2)}),
        an_object(inner),
    ),
    max_leaves=4,
)


functions = st.fixed_dictionaries(
    {"name": mostly(st.sampled_from(["f", "g"]), text)},
    optional={"description": text, "parameters": mostly(an_object(schema)), "strict": st.booleans()},
)
tool = mostly(st.fixed_dictionaries({"type": st.just("function"), "function": functions}))
one_choice = st.one_of(
    st.sampled_from(["none", "auto", "required"]),
    st.sampled_from(["f", "g"]).map(lambda name: {"type": "function", "function": {"name": name}}),
)
response_format = st.one_of(
    st.sampled_from([{"type": "text"}, {"type": "json_object"}]),
    st.fixed_dictionaries(
        {
            "type": st.just("json_schema"),
            "json_schema": st.fixed_dictionaries(
                {"name": mostly(st.just("x"), text), "schema": mostly(an_object(schema))},
                optional={"strict": mostly(st.booleans())},
            ),
        }
    ),
)


def bodies(ids: dict[str, list[str]]) -> dict[str, st.SearchStrategy]:
    """For each route that takes JSON, by the end of its path: bodies that are almost right."""
    epochs = st.dictionaries(
        st.sampled_from(["n_epochs", "batch_size", "learning_rate_multiplier", "beta"]), mostly(number)
    )
    model = mostly(st.sampled_from(MODELS + ids["models"]))
    file = mostly(st.sampled_from(ids["files"]))
    job = st.fixed_dictionaries(
        {"model": model, "training_file": file},
        optional={
            "validation_file": file,
            "hyperparameters": mostly(epochs),
            "suffix": mostly(text),
            "seed": mostly(st.integers(0, 9)),
            "metadata": mostly(st.dictionaries(text, text, max_size=2)),
            "method": mostly(st.fixed_dictionaries({"type": st.sampled_from(["supervised", "dpo"])})),
            "integrations": anything,
        },
    )
    chat = st.fixed_dictionaries(
        {"model": model, "messages": mostly(st.lists(message, min_size=1, max_size=3))},
        optional={
            "n": mostly(st.integers(1, 3)),
            "stop": mostly(text),
            "max_tokens": mostly(st.integers(1, 9)),
            "temperature": mostly(st.floats(0, 2)),
            "seed": mostly(st.integers()),
            "stream": mostly(st.booleans()),
            "stream_options": mostly(st.just({"include_usage": True})),
            "store": mostly(st.booleans()),
            "tools": mostly(st.lists(tool, max_size=2)),
            "tool_choice": mostly(one_choice),
            "parallel_tool_calls": mostly(st.booleans()),
            "functions": mostly(st.lists(functions, min_size=1, max_size=2), odds=2),
            "function_call": mostly(st.sampled_from(["none", "auto", {"name": "f"}])),
            "response_format": mostly(response_format),
            "logprobs": mostly(st.booleans()),
            "top_logprobs": mostly(st.integers(0, 20)),
            "top_p": mostly(st.floats(0, 1)),
            "presence_penalty": mostly(st.floats(-2, 2)),
            "frequency_penalty": mostly(st.floats(-2, 2)),
            "reasoning_effort": mostly(st.sampled_from(["none", "low", "max"])),
        },
    )
    call = st.sampled_from(["call_1", "call_2"])
    syntax = {"type": st.just("grammar"), "syntax": st.sampled_from(["regex", "lark"])}
    definition = st.one_of(text, st.sampled_from(["[0-9]{2}", 'start: "a"', "start: start"]))
    format = st.fixed_dictionaries(syntax | {"definition": definition})
    item = st.one_of(
        message,
        message,
        st.fixed_dictionaries(
            {"role": st.sampled_from(["user", "assistant"])},
            optional={
                "type": st.just("message"),
                "content": st.lists(
                    st.fixed_dictionaries(
                        {"type": st.sampled_from(["input_text", "output_text", "input_image"])},
                        optional={"text": text, "annotations": st.just([]), "image_url": text},
                    ),
                    max_size=2,
                ),
            },
        ),
        st.fixed_dictionaries(
            {"type": st.just("function_call"), "call_id": call, "name": text, "arguments": text}
        ),
        st.fixed_dictionaries(
            {"type": st.just("custom_tool_call"), "call_id": call, "name": text, "input": text}
        ),
        st.fixed_dictionaries(
            {
                "type": st.sampled_from(["function_call_output", "custom_tool_call_output"]),
                "call_id": call,
                "output": mostly(text),
            }
        ),
        st.fixed_dictionaries(
            {"type": st.sampled_from(["item_reference", "reasoning", "web_search_call"]), "id": text},
            optional={"summary": st.just([])},
        ),
    )
    flat_tool = st.fixed_dictionaries(
        {"type": st.sampled_from(["function", "web_search"]), "name": text, "parameters": anything}
    ) | st.fixed_dictionaries({"type": st.just("custom"), "name": text}, optional={"format": mostly(format)})
    response = st.fixed_dictionaries(
        {"model": model, "input": mostly(st.one_of(text, st.lists(item, min_size=1, max_size=4)))},
        optional={
            "instructions": mostly(text),
            "previous_response_id": mostly(st.sampled_from(ids["responses"])),
            "max_output_tokens": mostly(st.integers(1, 40)),
            "temperature": mostly(st.floats(0, 2)),
            "stream": mostly(st.booleans()),
            "store": mostly(st.booleans()),
            "background": mostly(st.booleans()),
            "tools": mostly(st.lists(flat_tool, max_size=2)),
            "tool_choice": mostly(st.sampled_from(["none", "auto", "required"])),
            "text": mostly(st.fixed_dictionaries({"format": st.fixed_dictionaries({"type": text})})),
            "metadata": mostly(st.dictionaries(text, text, max_size=2)),
        },
    )
    prompts = st.one_of(text, st.lists(text, max_size=3), st.lists(st.integers(0, 2**40), max_size=3))
    completion = st.fixed_dictionaries(
        {"model": mostly(st.sampled_from(["babbage-002", "davinci-002"]), model), "prompt": mostly(prompts)},
        optional={
            "n": mostly(st.integers(1, 3)),
            "max_tokens": mostly(st.integers(0, 9)),
            "echo": mostly(st.booleans()),
            "stop": mostly(text),
            "logprobs": mostly(st.integers(0, 5)),
            "stream": mostly(st.booleans()),
        },
    )
    batch = st.fixed_dictionaries(
        {
            "input_file_id": file,
            "endpoint": mostly(st.sampled_from(["/v1/chat/completions", "/v1/responses"])),
            "completion_window": mostly(st.just("24h")),
        },
        optional={"metadata": mostly(st.dictionaries(text, text, max_size=2))},
    )
    inputs = st.one_of(text, st.lists(text, max_size=3), st.lists(st.integers(0, 2**40), max_size=3))
    embeddings = st.fixed_dictionaries(
        {"model": mostly(st.just("text-embedding-3-small")), "input": mostly(inputs)},
        optional={
            "dimensions": mostly(st.integers(1, 2000)),
            "encoding_format": st.sampled_from(["float", "base64"]),
        },
    )
    grader = st.fixed_dictionaries(
        {
            "type": st.sampled_from(["string_check", "text_similarity", "python"]),
            "name": text,
            "input": text,
            "reference": text,
            "operation": st.sampled_from(["eq", "like"]),
        }
    )
    run = st.fixed_dictionaries({"grader": mostly(grader), "model_sample": text}, optional={"item": anything})
    return {
        "/responses/input_tokens": response,
        "/responses": response,
        "/chat/completions/{id}": st.fixed_dictionaries({"metadata": mostly(st.dictionaries(text, text))}),
        "/chat/completions": chat,
        "/completions": completion,
        "/batches": batch,
        "/moderations": st.fixed_dictionaries({"input": mostly(st.one_of(text, st.lists(text, max_size=3)))}),
        "/fine_tuning/jobs": job,
        "/embeddings": embeddings,
        "/graders/run": run,
        "/graders/validate": st.fixed_dictionaries({"grader": mostly(grader)}),
        "/permissions": st.fixed_dictionaries({"project_ids": mostly(st.lists(text, max_size=3))}),
    }


def forms() -> st.SearchStrategy:
    """Uploads: right, or with parts that are missing, doubled or strange."""
    name = st.sampled_from(["file", "purpose", "expires_after[seconds]", "expires_after[anchor]", "x"])
    value = st.one_of(st.sampled_from([b"fine-tune", b"batch", b"created_at", b"3600"]), st.binary())
    right = st.just([("file", True, b"bytes"), ("purpose", False, b"fine-tune")])
    return mostly(right, st.lists(st.tuples(name, st.booleans(), value), max_size=4), odds=3).map(_form)


def _form(parts) -> bytes:
    lines = []
    for name, is_file, data in parts:
        filename = '; filename="a.jsonl"' if is_file else ""
        lines.append(
            f'--b\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'.encode() + data
        )
    return b"\r\n".join([*lines, b"--b--\r\n"])


def requests_to(app, ids: dict[str, list[str]]) -> st.SearchStrategy:
    """(method, path, query, key, body, content type): every route, with known and unknown ids."""
    mount = next(
        route for route in app.routes if isinstance(route, Mount)
    )  # the others lead to the same routes
    # of the routes that are not simulated, which take any method, one method is enough
    routes = sorted((max(route.methods), route.path) for route in mount.routes)
    known, form = bodies(ids), forms()
    everything = [id for group in ids.values() for id in group]
    value = st.one_of(
        st.integers(1, 30).map(str), st.sampled_from([*everything, "asc", "desc", "null"]), text
    )
    names = st.sampled_from(["limit", "after", "order", "purpose", "metadata", "metadata[a]", "model", "x"])
    queries = st.one_of(st.just({}), st.dictionaries(names, value, max_size=2))

    @st.composite
    def one(draw):
        method, path = draw(st.sampled_from(routes))
        body, content_type = b"", "application/json"
        if method == "POST" and path == "/files":
            body, content_type = draw(form), "multipart/form-data; boundary=b"
        elif method == "POST":
            right = next((known[end] for end in known if path.endswith(end)), anything)
            body = draw(
                st.one_of(right, right, right, anything).map(lambda value: json.dumps(value).encode())
            )
        if draw(st.integers(0, 19)) == 0:
            body = draw(st.binary(max_size=50))
        if draw(st.integers(0, 19)) == 0:
            method, path = draw(st.sampled_from(["PUT", "PATCH", "HEAD", "OPTIONS", "GET"])), "/" + draw(text)
        for placeholder, kind in PLACEHOLDERS.items():
            fitting = ids.get(kind or path.split("/")[1], everything)
            path = path.replace(
                placeholder, draw(mostly(st.sampled_from(fitting), text, odds=6)).replace("{", "")
            )
        place = draw(mostly(st.just("/v1"), st.sampled_from(PLACES)))
        return method, place + path, draw(queries), draw(st.sampled_from(KEYS)), body, content_type

    return one()


async def call(app, method: str, path: str, query: dict, key: str, body: bytes, content_type: str):
    """(status, body) of one request, through ASGI, so that no client tidies it up."""
    sent = [{"type": "http.request", "body": body, "more_body": False}]
    answer = []

    async def receive():
        return (
            sent.pop() if sent else await asyncio.Event().wait()
        )  # the client stays until it has its answer

    async def send(message):
        answer.append(message)

    headers = {"host": "127.0.0.1", "authorization": f"Bearer {key}", "content-type": content_type}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path.encode("utf-8", "replace").decode(),
        "raw_path": b"",
        "root_path": "",
        "query_string": urlencode(query, errors="replace").encode(),
        "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await asyncio.wait_for(app(scope, receive, send), timeout=20)
    return answer[0]["status"], b"".join(message.get("body", b"") for message in answer[1:])


def check(status: int, body: bytes, method: str) -> None:
    assert status < 500 or status == 501, body
    if status == 501:
        assert b"not_simulated" in body
    elif status >= 400 and method != "HEAD":
        assert sorted(json.loads(body)["error"]) == ["code", "message", "param", "type"]


def fuzz(folder, count: int) -> str:
    """The answers to so many requests, counted by status."""
    app = create_app(Store(folder), Mode(by_hand=True))
    app.state.service.worker.submit = lambda *job: None  # training is not what is tested here
    ids, statuses = _some_objects(app), Counter()
    store = app.state.service.store
    with store.write() as db:
        db.execute("CREATE TABLE kept AS SELECT * FROM objects")
    with asyncio.Runner() as runner, closing(sqlite3.connect(store.database)) as watch:
        seen = _version(watch)

        @seed(1)
        @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(requests_to(app, ids))
        def one(request):
            nonlocal seen
            status, answer = runner.run(call(app, *request))
            check(status, answer, method=request[0])
            statuses[status] += 1
            if _version(watch) != seen:
                _restore(store)
                seen = _version(watch)

        one()
    assert min(statuses[200], statuses[400], statuses[404]) > count / 10, "the requests are too alike"
    return ", ".join(f"{times} times {status}" for status, times in sorted(statuses.items()))


def _version(watch: sqlite3.Connection) -> int:
    """A number that changes whenever another connection has written."""
    return watch.execute("PRAGMA data_version").fetchone()[0]


def _restore(store: Store) -> None:
    """Undoes what a request has changed, so that the objects named by later ones are there."""
    with store.write() as db:
        db.execute("DELETE FROM objects")
        db.execute("INSERT INTO objects SELECT * FROM kept")


def _some_objects(app) -> dict[str, list[str]]:
    """A file, a finished job and what came of it, an unfinished job, a stored completion."""
    store, caller = app.state.service.store, Caller("sk-local")
    data = "".join(json.dumps(row) + "\n" for row in rows()).encode()
    file = files.create(store, caller, {"purpose": "fine-tune"}, "train.jsonl", [data])
    order = {"model": "gpt-4o-mini", "training_file": file["id"], "hyperparameters": {"n_epochs": 1}}
    job = jobs.create(store, caller, order)
    history.advance(store, job["id"], caller.owner)
    waiting = jobs.create(store, caller, order)
    question = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x"}], "store": True}
    completion = chat.create(store, caller, question)
    tuned = jobs.retrieve(store, caller, job["id"])["fine_tuned_model"]
    response = responses.create(store, caller, {"model": "gpt-4o-mini", "input": "x", "background": True})
    asked = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": question}
    requests = files.create(store, caller, {"purpose": "batch"}, "b.jsonl", [json.dumps(asked).encode()])
    order = {"input_file_id": requests["id"], "endpoint": asked["url"], "completion_window": "24h"}
    batch = batches.create(store, caller, order)
    return {
        "files": [file["id"], requests["id"]],
        "responses": [response["id"]],
        "batches": [batch["id"]],
        "fine_tuning": [job["id"], waiting["id"]],
        "models": [tuned],
        "chat": [completion["id"]],
    }


@pytest.fixture(autouse=True)
def jobs_take_no_time(monkeypatch):
    monkeypatch.setenv("LOCAL_API_JOB_SECONDS", "0")


@pytest.mark.endurance(sample=500, soak=20_000)
def test_random_requests(tmp_path, count, figures):
    figures(fuzz(tmp_path, count))
