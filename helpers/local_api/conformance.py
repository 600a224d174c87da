"""A server for the openai package's own tests: a temporary state folder, seeded, lenient where they need it.

It changes the seeds, the key check and the leniencies named in ``Mode``; the same routes answer.
"""

import json
import tempfile

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from . import jobs
from .app import Mode, create_app
from .server import run_forever
from .store import Store

OWNER = "anybody"
JOB = "ft-AF1WoRqd3aJAHsqc9NY7iL8F"
FILES = ("file-abc123", "file_id")
TUNED = (
    ("ft:gpt-4o-mini-2024-07-18:org:weather:B7R9VjQd", "gpt-4o-mini-2024-07-18"),
    ("ft:gpt-4o-mini:acemeco:suffix:abc123", "gpt-4o-mini-2024-07-18"),
)
PERMISSION = "cp_zc4Q7MP6XxulcVzj4MZdwsAB"
COMPLETION = "completion_id"
MESSAGE = {"role": "user", "content": "Hello"}
DAY = 86_400  # seconds


def seed(store: Store) -> None:
    """Replaces all state by the objects that the tests name."""
    with store.write() as db:
        db.execute("DELETE FROM objects WHERE kind != 'token'")
    for file_id in FILES:
        _seed_file(store, file_id)
    _seed_job(store)
    for name, base in TUNED:
        store.add("model", name, OWNER, {"base": base, "organization": jobs.ORGANIZATION})
    for checkpoint in (TUNED[0][0], JOB):
        _seed_permission(store, checkpoint)
    store.add("completion", COMPLETION, OWNER, {"completion": _completion(), "messages": [MESSAGE]})


def _seed_file(store: Store, file_id: str) -> None:
    example = {"messages": [MESSAGE, {"role": "assistant", "content": "Hello."}]}
    size = store.save_bytes(file_id, [(json.dumps(example) + "\n").encode() * 10])
    body = {
        "id": file_id,
        "object": "file",
        "bytes": size,
        "created_at": int(store.clock()),
        "expires_at": None,
        "filename": "training.jsonl",
        "purpose": "fine-tune",
        "status": "processed",
        "status_details": None,
    }
    store.add("file", file_id, OWNER, body)


def _seed_job(store: Store) -> None:
    """A job in the middle of its run, as the tests cancel, pause and resume it."""
    body = {"model": TUNED[0][1], "training_file": FILES[0]}
    job = jobs.new_job(store, body, TUNED[0][1], "supervised", jobs.AUTO) | {"id": JOB}
    store.add("job", JOB, OWNER, job)
    with store.write() as db:
        jobs.insert_state(store, db, OWNER, JOB, {"status": "running"})
        jobs.insert_state(store, db, OWNER, JOB, {"status": "succeeded"}, at=store.clock() + DAY)


def _seed_permission(store: Store, checkpoint: str) -> None:
    id = PERMISSION if checkpoint == TUNED[0][0] else PERMISSION + "2"
    body = {"id": id, "object": "checkpoint.permission", "created_at": 0, "project_id": "project"}
    store.add("permission", id, OWNER, body, parent=checkpoint)


def _completion() -> dict:
    message = {"role": "assistant", "content": "Hello.", "refusal": None}
    return {
        "id": COMPLETION,
        "object": "chat.completion",
        "created": 0,
        "model": TUNED[0][1],
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
