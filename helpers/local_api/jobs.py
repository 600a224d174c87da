"""Fine-tuning jobs. Creating one only writes its row; ``history`` computes what happens and when it is seen."""

import re
import secrets

from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint

from . import facts, files, graders, models, validate
from .engines import trained
from .errors import APIError, bad_request
from .scenarios import Caller, refuse_if_closed
from .store import FAR, HIDDEN, Row, Store, new_id
from .validate import model_dump

ORGANIZATION = "org-simulated"
TERMINAL = ("succeeded", "failed", "cancelled")
MAX_SEED = 2_147_483_647
MAX_SUFFIX = 64
MAX_PAIRS, MAX_KEY, MAX_VALUE = 16, 64, 512
AUTO = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}
OPENAIS = {  # hyperparameters that a method has beside these, at OpenAI
    "dpo": ("beta",),
    "reinforcement": ("compute_multiplier", "eval_interval", "eval_samples", "reasoning_effort"),
}
DAY = "_day"  # of the stage on which a job was created; kept with it, and never shown
NOT_IN_A_NAME = re.compile(r"[\W_]+")


def create(store: Store, caller: Caller, body: dict, *, lenient: bool = False) -> dict:
    """POST /fine_tuning/jobs. ``lenient`` accepts ``hyperparameters`` beside ``method`` (conformance only)."""
    _check_limits(body)
    method, hyperparameters = _method(body, lenient)
    _check_method(body, method, hyperparameters)
    for judge in graders.judges(body["method"][method]["grader"]) if method == "reinforcement" else ():
        models.choose(store, caller, judge)
    if not trained.owns(body["model"]):  # no closing service takes away what runs on one's own computer
        refuse_if_closed(caller)
    chosen = models.choose_for_training(store, caller, body["model"], method)
    files.for_training(store, caller, body["training_file"], "training_file")
    if body.get("validation_file"):
        files.for_training(store, caller, body["validation_file"], "validation_file")
    job = new_job(store, body, chosen.name, method, hyperparameters) | {DAY: caller.date.isoformat()}
    _write_new(store, caller, job)
    return view(store, store.get("job", job["id"], caller.owner))


def new_job(store: Store, body: dict, model: str, method: str, hyperparameters: dict) -> dict:
    """A job as it looks when it has just been created."""
    grader = body["method"]["reinforcement"]["grader"] if method == "reinforcement" else None
    return {
        "id": new_id("ftjob-"),
        "object": "fine_tuning.job",
        "created_at": int(store.clock()),
        "model": model,
        "fine_tuned_model": None,
        "finished_at": None,
        "organization_id": trained.ORGANIZATION if trained.owns(model) else ORGANIZATION,
        "result_files": [],
        "status": "validating_files",
        "training_file": body["training_file"],
        "validation_file": body.get("validation_file"),
        "trained_tokens": None,
        "error": None,
        "estimated_finish": None,
        "seed": secrets.randbelow(MAX_SEED) if body.get("seed") is None else body["seed"],
        "integrations": body.get("integrations") or [],
        "metadata": body.get("metadata"),
        "user_provided_suffix": body.get("suffix"),
        "shared_with_openai": False,
        **method_fields(method, hyperparameters, grader),
    }


def method_fields(method: str, hyperparameters: dict, grader: dict | None = None) -> dict:
    """How a job reports its method; ``hyperparameters`` is filled for supervised jobs only, as at OpenAI."""
    empty = dict.fromkeys(AUTO)
    with_grader = {"grader": grader} if grader else {}
    return {
        "hyperparameters": hyperparameters if method == "supervised" else empty,
        "method": {"type": method, method: with_grader | {"hyperparameters": hyperparameters}},
    }


def _write_new(store: Store, caller: Caller, job: dict) -> None:
    and_validation = f" and validation file: {job['validation_file']}" if job["validation_file"] else ""
    with store.write() as db:
        store.insert(db, "job", job["id"], caller.owner, job)
        for text in (
            f"Created fine-tuning job: {job['id']}",
            f"Validating training file: {job['training_file']}{and_validation}",
        ):
            insert_event(store, db, caller.owner, job["id"], text)


def insert_event(
    store: Store, db, owner: str, job_id: str, message: str, *, at=None, level="info", data=None
):
    """Adds one event to a job, inside the caller's transaction."""
    kind = "message" if not data else "moderation_checks" if "blocked" in data else "metrics"
    event = {
        "id": new_id("ftevent-"),
        "object": "fine_tuning.job.event",
        "level": level,
        "message": message,
        "type": kind,
        "data": data or {},
    }
    store.insert(db, "event", event["id"], owner, event, parent=job_id, at=at)


def insert_state(store: Store, db, owner: str, job_id: str, changes: dict, *, at=None) -> None:
    """From ``at`` on the job shows these fields."""
    store.insert(db, "state", new_id("state-"), owner, changes, parent=job_id, at=at)


def view(store: Store, row: Row) -> dict:
    """The job as it looks now."""
    job = {key: value for key, value in row.body.items() if key != DAY}
    for state in store.children("state", row.id):
        job.update(state.body)
    beyond_types = {}
    if (
        job["status"] == "paused"
    ):  # in OpenAI's example of a paused job, but missing from its list of statuses
        beyond_types["status"] = "paused"
        job["status"] = "queued"
    if job["method"]["type"] == "reinforcement":  # the types know only one grader in a multi grader
        beyond_types["method"] = job.pop("method")
    return model_dump(FineTuningJob, job, **beyond_types)


def status(store: Store, job_id: str) -> str:
    """The status of a job now, "paused" included."""
    states = store.children("state", job_id)
    return states[-1].body["status"] if states else "validating_files"


def in_a_name(suffix: str | None) -> str:
    """How a suffix stands in the name of a model: one hyphen for each run of other signs than letters and digits.

    Seen live for the underscore: ``banking_intent`` made ``…:banking-intent:…`` (a job of 2025-10-31 in
    ed-donner/llm_engineering, week6/community-contributions/hopeogbons). Other signs are taken to be alike.
    """
    return NOT_IN_A_NAME.sub("-", suffix or "").strip("-")


def has_safety_events(job: dict) -> bool:
    """True from the day on which OpenAI's jobs were seen to tell of the safety checks after training."""
    since = facts.value("*", "safety_events_from")
    return job.get(DAY, "") >= since


def is_trained_here(job: dict) -> bool:
    """True if the trained engine, and not the simulated one, does this job."""
    return job["organization_id"] == trained.ORGANIZATION


def own(store: Store, caller: Caller, job_id: str) -> Row:
    """The caller's job, or 404."""
    row = store.get("job", job_id, caller.owner)
    if row is None:
        raise APIError(
            404, f"Could not find fine tune: {job_id}", param="fine_tuning_job_id", code="fine_tune_not_found"
        )
    return row


def retrieve(store: Store, caller: Caller, job_id: str) -> dict:
    """GET /fine_tuning/jobs/{id}."""
    return view(store, own(store, caller, job_id))


def list_all(store: Store, caller: Caller, *, after: str | None, limit: int, metadata: dict | None):
    """GET /fine_tuning/jobs, newest first. ``metadata`` keeps the jobs that carry all its pairs; {} those with none."""

    def keep(row: Row) -> bool:
        has = row.body["metadata"] or {}
        return not has if metadata == {} else metadata.items() <= has.items()

    if metadata is None:
        return store.page("job", caller.owner, after=after, limit=limit)
    return store.page("job", caller.owner, after=after, limit=limit, having=metadata, keep=keep)


def events(store: Store, caller: Caller, job_id: str, *, after: str | None, limit: int):
    """GET .../events, newest first."""
    own(store, caller, job_id)
    return store.page("event", caller.owner, after=after, limit=limit, parent=job_id)


def event_view(row: Row) -> dict:
    """One event, with the time at which it was seen to happen."""
    event = row.body | {"created_at": int(row.at)}
    if event["type"] == "moderation_checks":  # OpenAI supervised fine-tuning guide; its types lack it
        return model_dump(FineTuningJobEvent, event | {"type": "message"}, type="moderation_checks")
    return model_dump(FineTuningJobEvent, event)


def checkpoints(store: Store, caller: Caller, job_id: str, *, after: str | None, limit: int):
    """GET .../checkpoints, newest first."""
    own(store, caller, job_id)
    return store.page("checkpoint", caller.owner, after=after, limit=limit, parent=job_id)


def checkpoint_view(row: Row) -> dict:
    """One checkpoint."""
    return model_dump(FineTuningJobCheckpoint, row.body | {"created_at": int(row.at)})


# --- cancel, pause, resume ---------------------------------------------------------------------------------


def cancel(store: Store, caller: Caller, job_id: str) -> dict:
    """POST .../cancel: what has not happened yet never will. It works on a full disk too."""
    row = own(store, caller, job_id)
    store.despite_full_disk(lambda: _cancel(store, row))
    return view(store, row)


def _cancel(store: Store, row: Row) -> None:
    job_id = row.id
    with store.write() as db:
        _refuse_if_over(view(store, row)["status"], job_id, "cancelled")
        now = store.moment(job_id)
        db.execute(
            f"DELETE FROM objects WHERE parent = :job AND {HIDDEN}", {"job": job_id, "now": store.clock()}
        )
        changes = {"status": "cancelled", "finished_at": int(now), "estimated_finish": None}
        insert_state(store, db, row.owner, job_id, changes, at=now)
        insert_event(store, db, row.owner, job_id, "Fine-tuning job cancelled", at=now)


def pause(store: Store, caller: Caller, job_id: str) -> dict:
    """POST .../pause. A job that is paused already stays so."""
    row = own(store, caller, job_id)
    with store.write() as db:
        status = view(store, row)["status"]
        _refuse_if_over(status, job_id, "paused")
        if status == "paused":
            return view(store, row)
        now = store.moment(job_id)
        later = f"UPDATE objects SET at = at + {FAR} WHERE parent = :job AND {HIDDEN}"
        db.execute(later, {"job": job_id, "now": store.clock()})
        changes = {"status": "paused", "estimated_finish": None}
        insert_state(store, db, row.owner, job_id, changes, at=now)
        insert_event(store, db, row.owner, job_id, "Fine-tuning job paused", at=now)
    return view(store, row)


def resume(store: Store, caller: Caller, job_id: str) -> dict:
    """POST .../resume: the job goes on where it was paused. One that is not paused goes on as it is."""
    row = own(store, caller, job_id)
    with store.write() as db:
        status = view(store, row)["status"]
        _refuse_if_over(status, job_id, "resumed")
        if status != "paused":
            return view(store, row)
        now = store.moment(job_id)
        *_, before, paused = [None, *store.children("state", job_id)]
        shift = now - paused.at - FAR
        db.execute("UPDATE objects SET at = at + ? WHERE parent = ? AND at > ?", (shift, job_id, FAR))
        insert_event(store, db, row.owner, job_id, "Fine-tuning job resumed", at=now)
        insert_state(store, db, row.owner, job_id, {"status": "queued"}, at=now)
        if before and before.body["status"] == "running":
            # a moment later, so that the answer shows "queued", as in OpenAI's example
            insert_state(store, db, row.owner, job_id, {"status": "running"}, at=now + 1e-3)
    return view(store, row)


def _refuse_if_over(status: str, job_id: str, what: str) -> None:
    if status in TERMINAL:
        message = f"Job {job_id} cannot be {what}: its status is '{status}'."
        raise bad_request(message, code="invalid_job_status")


# --- what a request may say --------------------------------------------------------------------------------


def _method(body: dict, lenient: bool) -> tuple[str, dict]:
    """The method and its hyperparameters, "auto" where nothing was said."""
    given = body.get("method")
    if given and body.get("hyperparameters") and not lenient:
        message = "Give either 'method' or the deprecated 'hyperparameters', not both."
        raise bad_request(message, "hyperparameters")
    if not given:
        given = {"type": "supervised", "supervised": {"hyperparameters": body.get("hyperparameters") or {}}}
        prefix = "hyperparameters."
    else:
        prefix = f"method.{given['type']}.hyperparameters."
    name = given["type"]
    others = [key for key in ("supervised", "dpo", "reinforcement") if key != name and given.get(key)]
    if others and not lenient:
        raise bad_request(f"'method.{others[0]}' does not fit 'method.type' {name}.", f"method.{others[0]}")
    hyperparameters = dict((given.get(name) or {}).get("hyperparameters") or {})
    if not lenient:
        validate.check_ranges(hyperparameters, validate.JOB_RANGES, prefix)
    defaults = dict.fromkeys(trained.AUTO[name], "auto") if trained.owns(body["model"]) else AUTO
    if name == "dpo":
        defaults = defaults | {"beta": "auto"}
    return name, defaults | hyperparameters


def _check_method(body: dict, method: str, hyperparameters: dict) -> None:
    """Raises what this method cannot do with this model."""
    if method == "reinforcement":
        if not trained.owns(body["model"]):
            message = f"Reinforcement fine-tuning is not simulated here. {trained.MODEL} can do it, on this computer"
            message += f". {problem}" if (problem := trained.problem()) else "."
            raise bad_request(message, "method.type", "not_simulated")
        if not (body["method"].get(method) or {}).get("grader"):
            raise bad_request(
                "Missing required parameter: 'method.reinforcement.grader'.",
                "method.reinforcement.grader",
                "missing_required_parameter",
            )
        graders.check(body["method"][method]["grader"], "method.reinforcement.grader")
    if not trained.owns(body["model"]):
        for name in hyperparameters.keys() - AUTO.keys() - set(OPENAIS.get(method, ())):
            path = f"method.{method}.hyperparameters.{name}"
            raise bad_request(f"Unknown parameter: '{path}'.", path, "unknown_parameter")


def _check_limits(body: dict) -> None:
    suffix, seed, metadata = body.get("suffix"), body.get("seed"), body.get("metadata") or {}
    if suffix is not None and not 1 <= len(suffix) <= MAX_SUFFIX:
        raise bad_request(f"Invalid 'suffix': it must have 1 to {MAX_SUFFIX} characters.", "suffix")
    if seed is not None and not 0 <= seed <= MAX_SEED:
        raise bad_request(f"Invalid 'seed': a whole number from 0 to {MAX_SEED}.", "seed")
    check_metadata(metadata)


def check_metadata(metadata: dict) -> None:
    """OpenAI's limits for metadata: 16 pairs, keys of 64 and values of 512 characters."""
    if len(metadata) > MAX_PAIRS:
        raise bad_request(f"Invalid 'metadata': at most {MAX_PAIRS} pairs, got {len(metadata)}.", "metadata")
    for key, value in metadata.items():
        if len(key) > MAX_KEY or len(value) > MAX_VALUE:
            message = f"Invalid 'metadata': a key has at most {MAX_KEY} characters, a value {MAX_VALUE}."
            raise bad_request(message, "metadata")
