"""Batches: many requests in one file, answered together for half the price, simulated.

As with a job, what happens is computed at once in the background and shown as the clock passes: validating, in
progress, finalizing, completed. Each line is answered by the function that answers the same request alone.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial

from openai.types import Batch, BatchError

from .. import dataset
from . import chat, completions, embeddings, errors, files, history, models, moderations, responses, validate
from .client import Client, ClientGone
from .errors import APIError, bad_request, not_found
from .jobs import check_metadata
from .scenarios import Caller
from .store import Row, Store, new_id
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
    "/v1/embeddings": ("embeddings", lambda store, caller, body, client: embeddings.create(store, caller, body)),
    "/v1/moderations": ("moderation", lambda store, caller, body, client: moderations.create(body)),
}


def create(store: Store, caller: Caller, body: dict) -> dict:
    """POST /batches. The file is read when the batch begins, not now."""
    if body["endpoint"] not in ANSWERS:
        message = f"Batches of {body['endpoint']} are not simulated here. Simulated are: {', '.join(ANSWERS)}."
        raise bad_request(message, "endpoint", "not_simulated")
    check_metadata(body.get("metadata") or {})
    expires = body.get("output_expires_after")
    if expires and not files.MIN_EXPIRY <= expires["seconds"] <= files.MAX_EXPIRY:
        message = f"Invalid 'output_expires_after.seconds': from {files.MIN_EXPIRY} to {files.MAX_EXPIRY}."
        raise bad_request(message, "output_expires_after.seconds")
    files.for_purpose(store, caller, body["input_file_id"], "input_file_id", "batch")
    now = int(store.clock())
    batch = {
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
    kept = {"batch": batch, "day": caller.date.isoformat(), "keeps": expires and expires["seconds"]}
    store.add("batch", batch["id"], caller.owner, kept)
    return model_dump(Batch, batch)


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
        store.drop_hidden(db, batch_id)
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
