"""A server for the openai package's own tests: a temporary state folder, seeded, lenient where they need it.

It changes the seeds, the key check and the leniencies named in ``Mode``; the same routes answer.
"""

import json
import tempfile

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from . import batches, jobs, responses
from .app import Mode, create_app
from .scenarios import Caller
from .server import run_forever
from .store import Store

OWNER = "anybody"
JOB = "ft-AF1WoRqd3aJAHsqc9NY7iL8F"
FILES = ("file-abc123", "file_id")
TUNED = "ft:gpt-4o-mini-2024-07-18:org:weather:B7R9VjQd"
BASE = "gpt-4o-mini-2024-07-18"
MODELS = (TUNED, "ft:gpt-4o-mini:acemeco:suffix:abc123", "gpt-6-astra")
PERMISSIONS = {TUNED: "cp_zc4Q7MP6XxulcVzj4MZdwsAB", JOB: "cp_of_the_job"}
COMPLETION = "completion_id"
RESPONSES = ("resp_677efb5139a88190b512bc3fef8e535d", "resp_123", "response_id", "previous_response_id")
ITEM = {"id": "msg_abc", "type": "message", "role": "user", "status": "completed"}
ITEM |= {"content": [{"type": "input_text", "text": "Hello"}]}
BATCH = "batch_id"
BATCH_ORDER = {"endpoint": "/v1/responses", "input_file_id": "input_file_id", "completion_window": "24h"}
MESSAGE = {"role": "user", "content": "Hello"}
EXAMPLE = {"messages": [MESSAGE, {"role": "assistant", "content": "Hello."}]}
BYTES = (json.dumps(EXAMPLE) + "\n").encode() * 10
DAY = 86_400  # seconds


def seed(store: Store) -> None:
    """Replaces all state by the objects that the tests name."""
    for file_id in FILES:
        if not store.path(file_id).exists():
            store.save_bytes(file_id, [BYTES])
    with store.write() as db:
        db.execute("DELETE FROM objects WHERE kind != 'token'")
        for file_id in FILES:
            store.insert(db, "file", file_id, OWNER, _file(store, file_id))
        _insert_job(store, db)
        for name in MODELS:
            store.insert(db, "model", name, OWNER, {"base": BASE, "organization": jobs.ORGANIZATION})
        for checkpoint, id in PERMISSIONS.items():
            body = {"id": id, "object": "checkpoint.permission", "created_at": 0, "project_id": "project"}
            store.insert(db, "permission", id, OWNER, body, parent=checkpoint)
        kept = {"completion": _completion(), "messages": [MESSAGE]}
        store.insert(db, "completion", COMPLETION, OWNER, kept)
        for response_id in RESPONSES:
            kept = {
                "response": _response(store, response_id),
                "input": [ITEM],
                "ends_at": store.clock() + DAY,
            }
            store.insert(db, "response", response_id, OWNER, kept)
        batch = batches.new_batch(store, BATCH_ORDER) | {"id": BATCH}
        store.insert(db, "batch", BATCH, OWNER, batches.kept(batch, Caller(OWNER), BATCH_ORDER))
        file = _file(store, FILES[0]) | {"id": BATCH_ORDER["input_file_id"], "purpose": "batch"}
        store.insert(db, "file", file["id"], OWNER, file)


def _response(store: Store, response_id: str) -> dict:
    """A response that still runs in the background, as the tests cancel it."""
    return responses.new_response(store, {"model": BASE, "background": True}) | {"id": response_id}


def _file(store: Store, file_id: str) -> dict:
    return {
        "id": file_id,
        "object": "file",
        "bytes": len(BYTES),
        "created_at": int(store.clock()),
        "expires_at": None,
        "filename": "training.jsonl",
        "purpose": "fine-tune",
        "status": "processed",
        "status_details": None,
    }


def _insert_job(store: Store, db) -> None:
    """A job in the middle of its run, as the tests cancel, pause and resume it."""
    body = {"model": BASE, "training_file": FILES[0]}
    job = jobs.new_job(store, body, BASE, "supervised", jobs.AUTO) | {"id": JOB}
    store.insert(db, "job", JOB, OWNER, job)
    jobs.insert_state(store, db, OWNER, JOB, {"status": "running"})
    jobs.insert_state(store, db, OWNER, JOB, {"status": "succeeded"}, at=store.clock() + DAY)


def _completion() -> dict:
    message = {"role": "assistant", "content": "Hello.", "refusal": None}
    return {
        "id": COMPLETION,
        "object": "chat.completion",
        "created": 0,
        "model": BASE,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "metadata": None,
    }


def create_conformance_app(store: Store):
    """The API in its lenient mode, with ``POST /_mock/reset`` to restore the seed."""

    async def reset(request: Request) -> JSONResponse:
        await run_in_threadpool(seed, store)
        return JSONResponse({"reset": True})

    seed(store)
    return create_app(
        store, Mode(any_key=True, lenient=True), [Route("/_mock/reset", reset, methods=["POST"])]
    )


def serve(port: int) -> int:
    """Serves on a temporary state folder until Ctrl+C. Returns the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_conformance_app(Store(folder))
        run_forever(app, port, lambda url: print(f"Conformance server at {url}. Any key works.", flush=True))
    return 0
