"""Batches: many requests in one file, answered together for half the price, simulated.

As with a job, what happens is computed at once in the background and shown as the clock passes: validating, in
progress, finalizing, completed. Each line is answered by the function that answers the same request alone.
"""

import datetime
import json
import traceback
from collections.abc import Callable

from openai.types import Batch, BatchError

from .. import dataset
from . import chat, completions, embeddings, errors, files, history, moderations, responses, validate
from .client import Client
from .errors import APIError, bad_request, not_found
from .jobs import check_metadata
from .scenarios import Caller
from .store import HIDDEN, Row, Store, new_id
from .validate import model_dump

ID = "batch_"
MAX_REQUESTS = 50_000  # OpenAI's API description, as the next
MAX_BYTES = 200 * 1024 * 1024
WINDOW_SECONDS = 86_400  # of the only completion_window, 24h
MOST_ERRORS = 100  # that a batch tells of
TERMINAL = ("completed", "failed", "cancelled", "expired")
# endpoint -> the kind of its bodies, and what answers one
ANSWERS: dict[str, tuple[str, Callable]] = {
    "/v1/chat/completions": ("chat", chat.create),
    "/v1/responses": ("response", responses.create),
    "/v1/completions": ("completion", completions.create),
    "/v1/embeddings": (
        "embeddings",
        lambda store, caller, body, client: embeddings.create(store, caller, body),
    ),
    "/v1/moderations": ("moderation", lambda store, caller, body, client: moderations.create(body)),
}


def create(store: Store, caller: Caller, body: dict) -> dict:
    """POST /batches. The file is read when the batch begins, not now."""
    if body["endpoint"] not in ANSWERS:
        message = (
            f"Batches of {body['endpoint']} are not simulated here. Simulated are: {', '.join(ANSWERS)}."
        )
        raise bad_request(message, "endpoint", "not_simulated")
    check_metadata(body.get("metadata") or {})
    expires = body.get("output_expires_after")
    if expires and not files.MIN_EXPIRY <= expires["seconds"] <= files.MAX_EXPIRY:
        message = f"Invalid 'output_expires_after.seconds': from {files.MIN_EXPIRY} to {files.MAX_EXPIRY}."
        raise bad_request(message, "output_expires_after.seconds")
    files.for_purpose(store, caller, body["input_file_id"], "input_file_id", "batch")
    batch = new_batch(store, body)
    store.add("batch", batch["id"], caller.owner, kept(batch, caller, body))
    return model_dump(Batch, batch)


def new_batch(store: Store, body: dict) -> dict:
    """A batch as it looks when it has just been created."""
    now = int(store.clock())
    return {
        "id": new_id(ID),
        "object": "batch",
        "endpoint": body["endpoint"],
        "input_file_id": body["input_file_id"],
        "completion_window": body["completion_window"],
        "status": "validating",
        "created_at": now,
        "expires_at": now + WINDOW_SECONDS,
        "metadata": body.get("metadata"),
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "model": None,
        **dict.fromkeys(("errors", "output_file_id", "error_file_id", "usage")),
        **{f"{name}_at": None for name in ("in_progress", "finalizing", "completed", "failed", "expired")},
        **{f"{name}_at": None for name in ("cancelling", "cancelled")},
    }


def kept(batch: dict, caller: Caller, body: dict) -> dict:
    """What is written of a batch: also the day on which its requests are asked, and how long its files are kept."""
    seconds = (body.get("output_expires_after") or {}).get("seconds")
    return {"batch": batch, "day": caller.date.isoformat(), "keeps": seconds}


def retrieve(store: Store, caller: Caller, batch_id: str) -> dict:
    """GET /batches/{id}."""
    return view(store, _own(store, caller, batch_id))


def list_all(store: Store, caller: Caller, *, after: str | None, limit: int):
    """GET /batches, newest first: rows, whether there are more."""
    return store.page("batch", caller.owner, after=after, limit=limit)


def cancel(store: Store, caller: Caller, batch_id: str) -> dict:
    """POST /batches/{id}/cancel: what has not happened yet never will."""
    row = _own(store, caller, batch_id)
    with store.write() as db:
        status = view(store, row)["status"]
        if status in TERMINAL:
            message = f"Cannot cancel a batch with status '{status}'."
            raise bad_request(message, code="invalid_batch_status")
        hidden = f"DELETE FROM objects WHERE parent = :batch AND {HIDDEN}"
        db.execute(hidden, {"batch": batch_id, "now": store.clock()})
        now = store.moment(batch_id)
        changes = {"status": "cancelling", "cancelling_at": int(now)}
        store.insert(db, "state", new_id("state-"), row.owner, changes, parent=batch_id, at=now)
        changes = {"status": "cancelled", "cancelled_at": int(now)}
        # a moment later, so that the answer shows "cancelling", as OpenAI's does
        store.insert(db, "state", new_id("state-"), row.owner, changes, parent=batch_id, at=now + 1e-3)
    return view(store, row) | {"status": "cancelling"}


def view(store: Store, row: Row) -> dict:
    """A batch as it looks now."""
    batch = dict(row.body["batch"])
    for state in store.children("state", row.id):
        batch |= state.body
    return model_dump(Batch, batch)


def _own(store: Store, caller: Caller, batch_id: str) -> Row:
    row = store.get("batch", batch_id, caller.owner)
    if row is None:
        raise not_found("batch", batch_id, "batch_id")
    return row


# --- what happens ------------------------------------------------------------------------------------------


class BatchOver(Exception):
    """The batch was cancelled meanwhile: there is nothing more to do for it."""


class Invalid(Exception):
    """The file cannot be worked on. ``problems`` are what ``errors`` of the batch shows."""

    def __init__(self, *problems: dict):
        self.problems = list(problems)


def advance(store: Store, batch_id: str, owner: str) -> None:
    """Answers every request of a batch and writes what will be seen of it. Does nothing for one that is done."""
    row = store.get("batch", batch_id, owner)
    if row is None or store.children("state", batch_id, hidden=True):
        return
    try:
        _write(store, row, _outcome(store, row))
    except BatchOver:
        pass
    except Invalid as invalid:
        _fail(store, row, invalid.problems)
    except BaseException as error:  # noqa: BLE001 - also a library's panic: the batch must not wait for ever
        if (known := errors.storage_error_of_a_job(error)) is None:
            traceback.print_exception(error)
            known = {"code": "server_error", "message": "The local API made a mistake. Please report it."}
        _fail(store, row, [_problem(known["code"], known["message"])])


def _outcome(store: Store, row: Row) -> dict:
    """The lines of the two files, by whether a request was answered: {True: [...], False: [...]}."""
    requests = _requests(store, row)
    caller = Caller(row.owner, date=datetime.date.fromisoformat(row.body["day"]))
    kind, answer = ANSWERS[row.body["batch"]["endpoint"]]
    outcome: dict[bool, list[dict]] = {True: [], False: []}
    for request in requests:
        if store.children("state", row.id):
            raise BatchOver
        status, body = _answer(store, caller, kind, answer, request["body"])
        response = {"status_code": status, "request_id": new_id("req_", 32), "body": body}
        line = {"id": new_id("batch_req_"), "custom_id": request["custom_id"]}
        outcome[status == 200].append(line | {"response": response, "error": None})
    return outcome


def _answer(store: Store, caller: Caller, kind: str, answer: Callable, body: dict) -> tuple[int, dict]:
    """Status and body of one answer, as if it had been asked alone."""
    try:
        if body.get("stream"):
            raise bad_request("A request in a batch cannot be streamed.", "stream")
        return 200, answer(store, caller, validate.check(kind, body), client=Client())
    except APIError as error:
        return error.status, error.envelope


def _requests(store: Store, row: Row) -> list[dict]:
    """The lines of the file. Raises Invalid with what is wrong with them, by line."""
    path = store.path(row.body["batch"]["input_file_id"])
    if not path.exists():
        raise Invalid(_problem("file_not_found", "The input file was deleted before it was read."))
    if path.stat().st_size > MAX_BYTES:
        raise Invalid(_problem("file_too_large", f"The input file has more than {MAX_BYTES:,} bytes."))
    requests, problems, seen = [], [], set()
    try:
        for line, request in dataset.read_lines(path):
            if found := _wrong(request, row.body["batch"]["endpoint"], seen):
                problems.append(_problem(*found, line))
            requests.append(request)
            if len(problems) == MOST_ERRORS:
                break
    except ValueError as error:  # no UTF-8, or no JSON; its text names the line
        problems.append(_problem("invalid_json_line", str(error)))
    if len(requests) > MAX_REQUESTS:
        problems.append(_problem("too_many_requests", f"A batch has at most {MAX_REQUESTS:,} requests."))
    if not requests and not problems:
        problems.append(_problem("empty_file", "The input file holds no request."))
    if problems:
        raise Invalid(*problems)
    return requests


def _wrong(request, endpoint: str, seen: set[str]) -> tuple[str, str, str] | None:
    """Code, message and parameter of what is wrong with a line. ``seen`` are the custom_ids so far."""
    if not isinstance(request, dict):
        return "invalid_json_line", "This line is not a JSON object.", None
    for key, kind in (("custom_id", str), ("method", str), ("url", str), ("body", dict)):
        if not isinstance(request.get(key), kind):
            return "missing_required_parameter", f"Missing required parameter: '{key}'.", key
    if request["method"] != "POST":
        return (
            "invalid_method",
            f"Invalid value: '{request['method']}'. Supported values are: 'POST'.",
            "method",
        )
    if request["url"] != endpoint:
        return "invalid_url", f"The URL is '{request['url']}', but this batch is for '{endpoint}'.", "url"
    if request["custom_id"] in seen:
        message = f"The custom_id '{request['custom_id']}' is already in use in this file."
        return "duplicate_custom_id", message, "custom_id"
    seen.add(request["custom_id"])
    return None


def _problem(code: str, message: str, param: str | None = None, line: int | None = None) -> dict:
    return {"code": code, "message": message, "param": param, "line": line}


def _fail(store: Store, row: Row, problems: list[dict]) -> None:
    listed = {"object": "list", "data": [BatchError(**problem).to_dict() for problem in problems]}
    states = [(0.2, {"status": "failed", "errors": listed, "failed_at": None})]
    store.despite_full_disk(lambda: _tell(store, row, states, {}))


def _write(store: Store, row: Row, outcome: dict) -> None:
    """Writes the files of the answers, then all that will be seen of the batch."""
    good, bad = outcome[True], outcome[False]
    named = {"output_file_id": ("output", good), "error_file_id": ("error", bad)}
    written, ids = {}, {}
    for field, (name, lines) in named.items():
        if lines:
            ids[field] = file_id = new_id("file-")
            data = [json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines]
            size = store.save_bytes(file_id, data)
            written[file_id] = _file(row, file_id, f"{row.id}_{name}.jsonl", size, int(store.clock()))
    counts = {"total": len(good) + len(bad), "completed": 0, "failed": 0}
    counted = counts | {"completed": len(good), "failed": len(bad)}
    model = next((line["response"]["body"].get("model") for line in good), None)
    done = {"model": model, "usage": _usage(good), "request_counts": counted, **ids}
    states = [
        (0.1, {"status": "in_progress", "request_counts": counts, "in_progress_at": None}),
        (0.9, {"status": "finalizing", "request_counts": counted, "finalizing_at": None}),
        (1.0, {"status": "completed", "completed_at": None} | done),
    ]
    if not _tell(store, row, states, written):
        for file_id in written:
            store.path(file_id).unlink(missing_ok=True)


def _tell(store: Store, row: Row, states: list[tuple[float, dict]], written: dict[str, dict]) -> bool:
    """Writes the states, by the share of the time at which they come, and the files. False if it was cancelled."""
    with store.write() as db:
        if store.children("state", row.id, hidden=True) or store.get("batch", row.id, row.owner) is None:
            return False
        now, seconds = store.moment(row.id), history.job_seconds()
        for share, changes in states:
            at = now + share * seconds
            stamped = {key: int(at) if key.endswith("_at") else value for key, value in changes.items()}
            store.insert(db, "state", new_id("state-"), row.owner, stamped, parent=row.id, at=at)
        for file_id, file in written.items():
            store.insert(db, "file", file_id, row.owner, file, parent=row.id, at=now + seconds)
    return True


def _file(row: Row, file_id: str, name: str, size: int, created: int) -> dict:
    keeps = row.body["keeps"]
    return {
        "id": file_id,
        "object": "file",
        "bytes": size,
        "created_at": created,
        "expires_at": created + keeps if keeps else None,
        "filename": name,
        "purpose": "batch_output",
        "status": "processed",
        "status_details": None,
    }


def _usage(lines: list[dict]) -> dict:
    """The tokens of all answers together."""
    usages = [line["response"]["body"].get("usage") or {} for line in lines]

    def total(*names: str) -> int:
        return sum(next((usage[name] for name in names if name in usage), 0) for usage in usages)

    read, written = total("input_tokens", "prompt_tokens"), total("output_tokens", "completion_tokens")
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": _detail(usages, "cached_tokens")},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": _detail(usages, "reasoning_tokens")},
        "total_tokens": read + written,
    }


def _detail(usages: list[dict], name: str) -> int:
    details = (part for usage in usages for part in usage.values() if isinstance(part, dict))
    return sum(part.get(name) or 0 for part in details)
