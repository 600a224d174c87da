"""The routes. Each reads a request, calls one function of the room that owns the subject, and returns JSON."""

import asyncio
import json
import math
import re
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from . import (
    batches,
    chat,
    completions,
    embeddings,
    files,
    graders,
    jobs,
    models,
    moderations,
    permissions,
    responses,
    scenarios,
    validate,
)
from .client import Client, ClientGone
from .errors import APIError, bad_request, is_damage, not_found, not_simulated, storage_error
from .history import Worker
from .queries import Query
from .scenarios import Caller
from .store import Store, new_id

MAX_JSON = 20 * 1024 * 1024  # bytes of a request that is not an upload
FORM_EXTRA = 64 * 1024  # bytes of a multipart body beside the file itself
CHUNK = 1024 * 1024  # bytes
# What makes a Python object out of a few bytes: a million of them take 0.3 s and 60 MB to read, at worst.
MARKS, MAX_MARKS = (b",", b'"', b"["), 1_000_000
MAX_KEYS = 5_000  # of one object; OpenAI takes so many properties of a schema
HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
DEPLOYMENT = "/deployments/{deployment}"  # where Azure names the model
# What OpenAI has and the mock has not, by the beginning of its path; a test looks for what the client calls beside it.
NOT_SIMULATED = {
    "/agents": "Agents",
    "/assistants": "The Assistants API",
    "/audio": "Audio",
    "/chatkit": "ChatKit",
    "/containers": "Containers",
    "/content_provenance_checks": "Content provenance checks",
    "/conversations": "The Conversations API",
    "/decisions": "Decisions",
    "/evals": "Evals",
    "/images": "Images",
    "/live": "The Live API",
    "/organization": "The administration API",
    "/projects": "The administration API",
    "/prompts": "Reusable prompts",
    "/realtime": "The Realtime API",
    "/responses/compact": "Compaction",
    "/safety": "Safety identifiers",
    "/skills": "Skills",
    "/threads": "The Assistants API",
    "/uploads": "Uploading in parts",
    "/vaults": "Vaults",
    "/vector_stores": "Vector stores",
    "/videos": "Videos",
    "/webhook_endpoints": "Webhooks",
    "/webhook_event_types": "Webhooks",
    "/workspace": "Workspaces",
}
ANY = ["GET", "POST", "DELETE"]
CLIENT_CLOSED_REQUEST = 499  # as nginx counts it
MAX_LIST = 100
# OpenAI's address, then Azure's: the newer one, and the older one, which names a version in its query.
PLACES = ("/v1", "/openai/v1", "/openai")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Mode:
    """How strict the server is. A lesson's server knows one key; one started by hand also takes ``sk-local``.

    ``lenient`` is for the openai package's own tests: it accepts limit 0, unknown cursors, max_tokens 0 and
    ``hyperparameters`` beside ``method``, and answers a pause with a status that the package's types know.
    """

    by_hand: bool = False
    guarded: bool = False  # runs programs only for its own key: on a shared computer others reach it too
    any_key: bool = False
    lenient: bool = False


@dataclass
class Service:
    """What every request needs: the state, the background worker, the stage and the mode."""

    store: Store
    mode: Mode
    stage: scenarios.Stage = field(default_factory=scenarios.Stage)

    def __post_init__(self):
        with self.store.in_good_state():
            files.remove_expired(self.store)
            self.worker = Worker(self.store, {"batch": batches.advance})
            self.worker.resume()
            self.own_key = f"sk-local-{self.store.token()}"

    def caller(self, request: Request) -> Caller:
        """Who asks. 401 without a key that is known here."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else request.headers.get("api-key", "")
        if not key:
            raise scenarios.missing_key()
        if self.mode.any_key:
            return Caller("anybody")
        return scenarios.caller(key, self._may_enter)

    def _may_enter(self, owner: str) -> bool:
        return owner == self.own_key or self.mode.by_hand


@dataclass(frozen=True)
class Call:
    """One request, read and checked."""

    service: Service
    caller: Caller
    path: dict[str, str]
    query: Query
    body: dict
    client: Client

    @property
    def who(self) -> tuple[Store, Caller]:
        return self.service.store, self.caller


# --- files -------------------------------------------------------------------------------------------------


async def upload(request: Request) -> Response:
    """POST /files: the body goes to disk as it comes, and never into memory as a whole."""
    service: Service = request.app.state.service
    caller = await _enter(request, service)
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise bad_request("Send the file as multipart/form-data, with the fields 'file' and 'purpose'.")
    request = Request(request.scope, partial(_receive, request.receive, _Meter()))
    form = await _read_form(request)
    try:
        file = form.get("file")
        if file is None or isinstance(file, str):
            raise bad_request("Missing required parameter: 'file'.", "file", "missing_required_parameter")
        if file.size > files.MAX_BYTES:
            raise files.too_large()
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        chunks = iter(partial(file.file.read, CHUNK), b"")
        name = file.filename or "upload"
        return JSONResponse(
            await run_in_threadpool(files.create, service.store, caller, fields, name, chunks)
        )
    finally:
        await form.close()


async def _read_form(request: Request) -> FormData:
    """The form, its file on disk. 400 if it is not one, or if its texts are not Unicode."""
    try:
        form = await request.form(max_files=1, max_fields=20)
        for name, value in form.items():
            (name + (value if isinstance(value, str) else value.filename)).encode()
    except ValueError as error:
        raise bad_request(f"We could not read the form of your request. {error}") from None
    return form


class _Meter:
    """Counts the bytes of a form and raises once they are too many."""

    def __init__(self):
        self.left = files.MAX_BYTES + FORM_EXTRA

    def count(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise files.too_large()


async def _receive(receive: Callable, meter: _Meter) -> dict:
    message = await receive()
    meter.count(len(message.get("body", b"")))
    return message


def _files(call: Call) -> dict:
    query = call.query
    page = files.list_all(
        *call.who,
        purpose=query.text("purpose"),
        after=query.text("after"),
        limit=query.limit(10_000, 10_000),
        order=query.order("desc"),
    )
    return query.listing(page, lambda row: row.body)


def _content(call: Call) -> Response:
    path, _ = files.content(*call.who, call.path["id"])
    if not path.exists():
        raise not_found("File object", call.path["id"])
    return FileResponse(path, media_type="application/octet-stream")


# --- fine-tuning -------------------------------------------------------------------------------------------


def _create_job(call: Call) -> dict:
    _refuse_code_of_others(call, ((call.body.get("method") or {}).get("reinforcement") or {}).get("grader"))
    job = jobs.create(*call.who, call.body, lenient=call.service.mode.lenient)
    call.service.worker.submit(job["id"], call.caller.owner)
    return job


def _run_grader(call: Call) -> dict:
    _refuse_code_of_others(call, call.body["grader"])
    return graders.run(call.body, partial(chat.judge, *call.who))


def _refuse_code_of_others(call: Call, grader: dict | None) -> None:
    """403 for a Python grader from whoever does not know the key of this state: it would run as the server's user."""
    service = call.service
    if grader and graders.runs_code(grader) and service.mode.guarded and call.caller.owner != service.own_key:
        raise APIError(
            403,
            "A Python grader runs on this computer, so it needs this server's own key, which it printed when it began.",
        )


def _job(call: Call) -> dict:
    return _brought_forward(call, jobs.retrieve(*call.who, call.path["id"]))


def _brought_forward(call: Call, job: dict) -> dict:
    """The job; if it is not over, somebody works on it from now on: who did so may have been killed."""
    if job["status"] not in jobs.TERMINAL:
        call.service.worker.submit(job["id"], call.caller.owner)
    return job


def _jobs(call: Call) -> dict:
    query, store = call.query, call.service.store
    page = jobs.list_all(
        *call.who, after=query.text("after"), limit=query.limit(20, MAX_LIST), metadata=query.metadata()
    )
    return query.listing(page, lambda row: _brought_forward(call, jobs.view(store, row)))


def _pause(call: Call) -> dict:
    job = jobs.pause(*call.who, call.path["id"])
    # the client's strict tests take only the statuses of its types, and those lack "paused"
    return job | {"status": "queued"} if call.service.mode.lenient else job


def _resume(call: Call) -> dict:
    job = jobs.resume(*call.who, call.path["id"])
    call.service.worker.submit(job["id"], call.caller.owner)
    return job


def _events(call: Call) -> dict:
    query = call.query
    _job(call)  # who reads nothing but the events must see them go on, too
    page = jobs.events(*call.who, call.path["id"], after=query.text("after"), limit=query.limit(20, MAX_LIST))
    return query.listing(page, jobs.event_view)


def _checkpoints(call: Call) -> dict:
    query = call.query
    page = jobs.checkpoints(
        *call.who, call.path["id"], after=query.text("after"), limit=query.limit(10, MAX_LIST)
    )
    return query.listing(page, jobs.checkpoint_view)


def _models(call: Call) -> dict:
    limit = call.query.limit(models.ALL, 10_000)
    return models.list_all(*call.who, after=call.query.text("after"), limit=limit)


def _create_permission(call: Call) -> dict:
    made = permissions.create(*call.who, call.path["model"], call.body)
    first, last = (made[0]["id"], made[-1]["id"]) if made else (None, None)
    return {"object": "list", "data": made, "first_id": first, "last_id": last, "has_more": False}


def _permissions(call: Call) -> dict:
    query = call.query
    page = permissions.list_all(
        *call.who,
        call.path["model"],
        project=query.text("project_id"),
        after=query.text("after"),
        limit=query.limit(10, MAX_LIST),
        newest_first=query.order("descending", ("ascending", "descending")) == "descending",
    )
    return query.listing(page, permissions.view)


# --- chat --------------------------------------------------------------------------------------------------


def _chat(call: Call) -> dict | Response:
    options = {"lenient": call.service.mode.lenient, "client": call.client}
    if call.body.get("stream"):
        return _event_stream(chat.stream(*call.who, call.body, **options))
    return chat.create(*call.who, call.body, **options)


def _completions(call: Call) -> dict:
    query = call.query
    page = chat.list_all(
        *call.who,
        model=query.text("model"),
        metadata=query.metadata(),
        after=query.text("after"),
        limit=query.limit(20, MAX_LIST),
        order=query.order("asc"),
    )
    return query.listing(page, chat.view)


def _messages(call: Call) -> dict:
    data = chat.messages(*call.who, call.path["id"])
    ids = [item["id"] for item in data] or [None]
    return {"object": "list", "data": data, "first_id": ids[0], "last_id": ids[-1], "has_more": False}


def _legacy(call: Call) -> dict | Response:
    options = {"lenient": call.service.mode.lenient, "client": call.client}
    if call.body.get("stream"):
        return _event_stream(completions.stream(*call.who, call.body, **options))
    return completions.create(*call.who, call.body, **options)


def _response(call: Call) -> dict | Response:
    options = {"lenient": call.service.mode.lenient, "client": call.client}
    if call.body.get("stream"):
        return _event_stream(responses.stream(*call.who, call.body, **options))
    return responses.create(*call.who, call.body, **options)


def _kept_response(call: Call) -> dict | Response:
    if call.query.text("stream") == "true":
        after = call.query.number("starting_after", -1)
        return _event_stream(responses.replay(*call.who, call.path["id"], after))
    return responses.retrieve(*call.who, call.path["id"])


def _input_items(call: Call) -> dict:
    query = call.query
    page = responses.input_items(
        *call.who,
        call.path["id"],
        after=query.text("after"),
        limit=query.limit(20, MAX_LIST),
        order=query.order("desc"),
    )
    return query.listing(page, lambda item: item)


def _create_batch(call: Call) -> dict:
    batch = batches.create(*call.who, call.body)
    call.service.worker.submit(batch["id"], call.caller.owner)
    return batch


def _batch(call: Call) -> dict:
    return _answered(call, batches.retrieve(*call.who, call.path["id"]))


def _answered(call: Call, batch: dict) -> dict:
    """The batch; if it has not begun, somebody works on it from now on: who did so may have been killed."""
    if batch["status"] == "validating":
        call.service.worker.submit(batch["id"], call.caller.owner)
    return batch


def _batches(call: Call) -> dict:
    query, store = call.query, call.service.store
    page = batches.list_all(*call.who, after=query.text("after"), limit=query.limit(20, MAX_LIST))
    return query.listing(page, lambda row: _answered(call, batches.view(store, row)))


def _embeddings(call: Call) -> dict:
    return embeddings.create(*call.who, call.body)


def _event_stream(events) -> Response:
    return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store"})


# --- the table of routes -----------------------------------------------------------------------------------


def _routes() -> list[Route]:
    job = "/fine_tuning/jobs/{id}"
    checkpoint = "/fine_tuning/checkpoints/{model}/permissions"
    completion = "/chat/completions/{id}"
    return [
        Route("/files", upload, methods=["POST"]),
        _route("GET", "/files", _files),
        _route("GET", "/files/{id}", lambda call: files.retrieve(*call.who, call.path["id"])),
        _route("GET", "/files/{id}/content", _content),
        _route("DELETE", "/files/{id}", lambda call: files.delete(*call.who, call.path["id"])),
        _route("POST", "/fine_tuning/jobs", _create_job, body="job"),
        _route("GET", "/fine_tuning/jobs", _jobs),
        _route("GET", job, _job),
        _route("POST", job + "/cancel", lambda call: jobs.cancel(*call.who, call.path["id"])),
        _route("POST", job + "/pause", _pause),
        _route("POST", job + "/resume", _resume),
        _route("GET", job + "/events", _events),
        _route("GET", job + "/checkpoints", _checkpoints),
        _route("POST", checkpoint, _create_permission, body="permission"),
        _route("GET", checkpoint, _permissions),
        _route(
            "DELETE",
            checkpoint + "/{id}",
            lambda call: permissions.delete(*call.who, call.path["model"], call.path["id"]),
        ),
        _route(
            "POST",
            "/fine_tuning/alpha/graders/validate",
            lambda call: graders.validate(call.body["grader"]),
            body="grader_validate",
        ),
        _route("POST", "/fine_tuning/alpha/graders/run", _run_grader, body="grader_run"),
        _route("GET", "/models", _models),
        _route("GET", "/models/{model:path}", lambda call: models.retrieve(*call.who, call.path["model"])),
        _route("DELETE", "/models/{model:path}", lambda call: models.delete(*call.who, call.path["model"])),
        _route("POST", "/chat/completions", _chat, body="chat"),
        _route("GET", "/chat/completions", _completions),
        _route("GET", completion, lambda call: chat.retrieve(*call.who, call.path["id"])),
        _route(
            "POST",
            completion,
            lambda call: chat.update(*call.who, call.path["id"], call.body),
            body="chat_update",
        ),
        _route("DELETE", completion, lambda call: chat.delete(*call.who, call.path["id"])),
        _route("GET", completion + "/messages", _messages),
        _route("POST", "/completions", _legacy, body="completion"),
        _route("POST", "/responses", _response, body="response"),
        _route(
            "POST",
            "/responses/input_tokens",
            lambda call: responses.count(*call.who, call.body, lenient=call.service.mode.lenient),
            body="response_count",
        ),
        _route("GET", "/responses/{id}", _kept_response),
        _route("DELETE", "/responses/{id}", lambda call: responses.delete(*call.who, call.path["id"])),
        _route("POST", "/responses/{id}/cancel", lambda call: responses.cancel(*call.who, call.path["id"])),
        _route("GET", "/responses/{id}/input_items", _input_items),
        _route("POST", "/batches", _create_batch, body="batch"),
        _route("GET", "/batches", _batches),
        _route("GET", "/batches/{id}", _batch),
        _route("POST", "/batches/{id}/cancel", lambda call: batches.cancel(*call.who, call.path["id"])),
        _route("POST", "/moderations", lambda call: moderations.create(call.body), body="moderation"),
        _route("POST", "/embeddings", _embeddings, body="embeddings"),
        *(
            _route("POST", DEPLOYMENT + path, handler, body=body)
            for path, handler, body in (
                ("/chat/completions", _chat, "chat"),
                ("/completions", _legacy, "completion"),
                ("/embeddings", _embeddings, "embeddings"),
            )
        ),
        *(
            Route(path + "{rest:path}", partial(_not_simulated, what), methods=ANY)
            for path, what in NOT_SIMULATED.items()
        ),
    ]


def _route(
    method: str, path: str, handler: Callable[[Call], dict | Response], body: str | None = None
) -> Route:
    """A route whose handler runs in a thread, with its JSON body checked against ``validate.BODIES[body]``."""

    async def endpoint(request: Request) -> Response:
        service: Service = request.app.state.service
        caller = await _enter(request, service)
        raw = await _read_body(request) if body else b""
        client = Client()

        def work() -> Response:
            checked = validate.check(body, _named(request, _parse(raw))) if body else {}
            query = Query(request.query_params, service.mode.lenient)
            answer = handler(Call(service, caller, dict(request.path_params), query, checked, client))
            return answer if isinstance(answer, Response) else JSONResponse(answer)

        return await _while_wanted(request, client, work)

    return Route(path, endpoint, methods=[method])


def _named(request: Request, body):
    """The body, with the model that Azure's addresses name: there the body's own counts for nothing."""
    name = request.path_params.get("deployment")
    return body | {"model": name} if name and isinstance(body, dict) else body


async def _while_wanted(request: Request, client: Client, work: Callable[[], Response]) -> Response:
    """Does the work in a thread. If the client leaves, it is not begun, or it ends at its next step."""
    with anyio.CancelScope() as waiting:
        watching = asyncio.create_task(_watch(request, client, waiting))
        try:
            return await run_in_threadpool(work)
        except ClientGone:
            pass
        finally:
            watching.cancel()
    return Response(status_code=CLIENT_CLOSED_REQUEST)  # nobody reads it


async def _watch(request: Request, client: Client, waiting: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    client.leave()
    waiting.cancel()


async def _enter(request: Request, service: Service) -> Caller:
    """The caller, after what the scene does to the call."""
    caller = service.caller(request)
    await anyio.sleep(service.stage.delay(caller))
    service.stage.enter(caller, request.method, request.url.path)
    return caller


async def _not_simulated(what: str, request: Request) -> Response:
    raise not_simulated(what)


async def _read_body(request: Request) -> bytearray:
    """The bytes of a JSON body. 413 for too many of them."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_JSON:
            raise APIError(413, f"The request is larger than {MAX_JSON // (1024 * 1024)} MB.")
    return raw


def _parse(raw: bytearray):
    """The JSON of a body. 400 for anything that is not JSON, or has more parts than any request needs."""
    if sum(map(raw.count, MARKS)) > MAX_MARKS:
        message = (
            f"Your request has too many parts: at most {MAX_MARKS:,} commas, quotes and brackets in all."
        )
        raise bad_request(message)
    try:
        text = raw.decode("utf-8-sig")
        body = json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_not_too_many_keys
        )
        if HALF_CHARACTER.search(text):  # an unpaired surrogate is JSON, but it is not text
            json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise bad_request(f"We could not parse the JSON body of your request. {error}") from None
    return body


def _not_too_many_keys(pairs: list[tuple]) -> dict:
    if len(pairs) > MAX_KEYS:
        raise ValueError(f"An object has {len(pairs):,} keys; at most {MAX_KEYS:,} are taken.")
    return dict(pairs)


def _no_constant(name: str):
    raise ValueError(f"{name} is not JSON.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"The number {text[:20]} is too large.")
    return number


# --- around every answer -----------------------------------------------------------------------------------


class Frame:
    """Refuses foreign hosts and adds the headers that every OpenAI answer carries."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        started, answering = time.perf_counter(), False

        async def send_with_headers(message):
            nonlocal answering
            if message["type"] == "http.response.start":
                answering = True
                milliseconds = round(1000 * (time.perf_counter() - started))
                message["headers"] = [*message["headers"], *_headers(milliseconds, message["headers"])]
            await send(message)

        app = self.app if _is_loopback(scope) else _foreign_host()
        try:
            await app(scope, receive, send_with_headers)
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a mistake of ours, or a library's panic, still gets the right form
            known = storage_error(error)
            if known is None:
                traceback.print_exc()
            if is_damage(error):
                scope["app"].state.service.store.suspect()
            if not answering:
                answer = _answer(known) if known else _mistake()
                await answer(scope, receive, send_with_headers)


def _headers(milliseconds: int, present: list) -> list[tuple[bytes, bytes]]:
    names = {name for name, _ in present}
    headers = {
        "x-request-id": new_id("req_", 32),
        "openai-processing-ms": str(milliseconds),
        "openai-version": "2020-10-01",
        "openai-organization": jobs.ORGANIZATION,
        **scenarios.rate_limit_headers(),
    }
    return [(name.encode(), value.encode()) for name, value in headers.items() if name.encode() not in names]


def _is_loopback(scope) -> bool:
    """A page on the web can point a name of its own at this machine (DNS rebinding): only loopback names may ask."""
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return name.strip("[]").lower() in LOOPBACK


def _foreign_host() -> Response:
    error = APIError(403, "This server answers only on 127.0.0.1 and localhost.", code="host_not_allowed")
    return JSONResponse(error.envelope, error.status)


async def _on_api_error(request: Request, error: APIError) -> Response:
    return _answer(error)


def _answer(error: APIError) -> Response:
    return JSONResponse(error.envelope, error.status, error.headers)


async def _on_http_error(request: Request, error: HTTPException) -> Response:
    method, path = request.method, request.url.path
    if error.status_code == 404:
        message = f"Invalid URL ({method} {path})"
        mended = APIError(404, message, code="unknown_url")
    elif error.status_code == 405:
        message = f"Not allowed to {method} on {path}."
        mended = APIError(405, message, code="method_not_supported", headers=dict(error.headers or {}))
    else:
        mended = APIError(error.status_code, f"The request could not be read. {error.detail}")
    return await _on_api_error(request, mended)


def _mistake() -> Response:
    error = APIError(500, "The local API made a mistake. Its log says more.", type="server_error")
    return JSONResponse(error.envelope, error.status, {"x-should-retry": "false"})


async def _on_disconnect(request: Request, error: ClientDisconnect) -> Response:
    return await _on_api_error(request, bad_request("The connection ended before the request was complete."))


def create_app(store: Store, mode: Mode = Mode(), extra_routes: list[Route] | None = None) -> Starlette:
    """The API as an ASGI application, usable in-process or served by ``server``."""
    routes = _routes()
    app = Starlette(
        routes=[*(extra_routes or []), *(Mount(place, routes=routes) for place in PLACES)],
        exception_handlers={
            APIError: _on_api_error,
            HTTPException: _on_http_error,
            ClientDisconnect: _on_disconnect,
        },
    )
    app.add_middleware(Frame)
    app.state.service = Service(store, mode)
    return app
