"""A state as it looks after years: thousands of jobs, each with all that a job leaves behind."""

import json

from helpers.local_api import jobs
from helpers.local_api.scenarios import Caller
from helpers.local_api.store import Store

CALLER = Caller("sk-local")
MODEL = "gpt-4o-mini-2024-07-18"
STEPS, MODELS = 10, 3  # of a job; with two files each
WEIGHTS = b"w" * 2000


def fill(store: Store, count: int) -> None:
    """Adds so many finished jobs with their files, states, events, checkpoints and models, one second apart."""
    rows = []
    start = store.clock() - count
    for number in range(count):
        rows += [(*row, start + number) for row in _job(store, number)]
    columns = "kind, id, parent, body, data, at, written, owner"
    with store.write() as db:
        db.executemany(
            f"INSERT INTO objects ({columns}) VALUES (?,?,?,?,?,?,?,?)",
            (
                (kind, id, parent, json.dumps(body), data, at, at, CALLER.owner)
                for kind, id, parent, body, data, at in rows
            ),
        )


def _job(store: Store, number: int):
    id, training, results = f"ftjob-{number:024}", f"file-{number:024}", f"file-r{number:023}"
    body = {"training_file": training, "metadata": {"number": str(number)}, "seed": 1}
    body = jobs.new_job(store, body, MODEL, "supervised", dict(jobs.AUTO)) | {"id": id}
    yield "file", training, None, _file(training, "fine-tune"), None
    yield "job", id, None, body, None
    names = [f"ft:{MODEL}:simulated::{number:08}:ckpt-step-{step}" for step in range(MODELS)]
    for status in ("queued", "running", "succeeded"):
        changes = {"status": status, "estimated_finish": None}
        if status == "succeeded":
            changes |= {"fine_tuned_model": names[-1], "result_files": [results], "trained_tokens": 1}
        yield "state", f"state-{number:020}{status}", id, changes, None
    for step in range(STEPS):
        event = {"id": f"ftevent-{number:018}{step:06}", "object": "fine_tuning.job.event", "level": "info"}
        event |= {"message": f"Step {step}", "type": "metrics", "data": {"step": step, "train_loss": 1.0}}
        yield "event", event["id"], id, event, None
    for step, name in enumerate(names):
        yield "model", name, id, {"base": MODEL, "organization": jobs.ORGANIZATION}, WEIGHTS
        checkpoint = {"id": f"ftckpt_{number:018}{step:06}", "object": "fine_tuning.job.checkpoint"}
        checkpoint |= {"fine_tuned_model_checkpoint": name, "fine_tuning_job_id": id}
        yield (
            "checkpoint",
            checkpoint["id"],
            id,
            checkpoint | {"step_number": step, "metrics": {"step": step}},
            None,
        )
    yield "file", results, id, _file(results, "fine-tune-results"), None


def _file(id: str, purpose: str) -> dict:
    fixed = {"object": "file", "bytes": 1, "created_at": 1, "expires_at": None, "status": "processed"}
    return fixed | {"id": id, "filename": "a.jsonl", "purpose": purpose, "status_details": None}
