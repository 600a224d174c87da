"""What happens in a simulated job: validated, trained, written down at once, and shown as the clock passes.

``LOCAL_API_JOB_SECONDS`` sets how long a job seems to take (0 in tests). If it is not set, that is 8 seconds, and more
for many epochs. Every step can be repeated after a kill: it writes all its rows in one transaction, and only if they
are not there yet.
"""

import base64
import csv
import io
import math
import os
import queue
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..dataset.report import auto_epochs
from . import errors, facts, jobs
from .engines import simulated
from .engines.trained import lease
from .store import FAR, Row, Store, new_id
from .training_files import Failure, TrainingFile, read_file

MAX_ATTEMPTS = 5  # that end without a word, as the process does
BEGUN = "begun"  # kind of the row that stands while a process works on a job
# What OpenAI checks a tuned model for, in the words of a live event of 2025-10-31 (ed-donner/llm_engineering,
# week6/community-contributions/hopeogbons); its guide lists the first thirteen.
SAFETY_CATEGORIES = (
    *(
        "harassment/threatening",
        "sexual",
        "sexual/minors",
        "propaganda",
        "hate",
        "hate/threatening",
        "illicit",
    ),
    *("violence", "advice", "self-harm/intent", "self-harm/instructions", "sensitive", "highly-sensitive"),
    *("biological threats", "cyber security threats"),
)
NOT_BLOCKING = {"self-harm/instructions"}
METRICS = ("train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy")
SECONDS, SECONDS_AN_EPOCH = 8.0, 1.5  # of a job: a long training can be watched while it runs
CSV_NAMES = {
    "train_mean_token_accuracy": "train_accuracy"
}  # where a column is called otherwise than its metric
WORDS = {  # of a metric in the text of its event, as OpenAI's events have them where they are known
    "train_loss": "training loss",
    "rewards/accuracies": "better answer ahead",
    "rewards/margins": "margin",
    "valid_loss": "validation loss",
    "full_valid_loss": "full validation loss",
    "train_mean_reward": "train mean reward",
    "full_valid_mean_reward": "full validation mean reward",
}
EQUAL_STEPS = 3  # in which nothing could be learned from rewards, before a warning
LAST_STEPS = 5  # by which the end of a training is judged


def job_seconds(epochs: int = 0) -> float:
    """How long a job of so many epochs seems to take."""
    given = os.environ.get("LOCAL_API_JOB_SECONDS")
    return max(SECONDS, SECONDS_AN_EPOCH * epochs) if given is None else float(given)


# --- "auto" ------------------------------------------------------------------------------------------------


def resolve(hyperparameters: dict, examples: int, base: str) -> dict:
    """The numbers behind "auto". Epochs: rule of OpenAI's data preparation notebook; batch size: 0.2 % of the
    examples, at most 256 (OpenAI's documentation of 2023); multiplier: as seen in logged jobs, in models.csv."""
    auto = {
        "n_epochs": auto_epochs(examples),
        "batch_size": min(256, max(1, round(0.002 * examples))),
        "learning_rate_multiplier": float(facts.value(base, "auto_learning_rate_multiplier", "1.0")),
        "beta": 0.1,
    }
    return {key: auto[key] if value == "auto" else value for key, value in hyperparameters.items()}


# --- the two steps -----------------------------------------------------------------------------------------


def advance(store: Store, job_id: str, owner: str) -> None:
    """Does what is left to do for a job: validation, then training. Does nothing for one that is done."""
    row = store.get("job", job_id, owner)
    if row is None or _statuses(store, job_id) & {"running", *jobs.TERMINAL}:
        return
    try:
        begin_attempt(store, row)
        training, validation = read_files(store, row, partial(_refuse_if_over, store, row))
        _write(store, row, "queued", _queued_rows)
        if jobs.is_trained_here(row.body):
            lease.ensure_worker(store)
        else:
            train(store, row, training, validation)
    except JobOver:
        pass
    except Failure as failure:
        error = failure.error
        _write(store, row, "failed", lambda *place: _failed_rows(*place, error))
    except BaseException as error:  # noqa: BLE001 - also a library's panic: the job must not wait for ever
        reason = _what_went_wrong(error)
        store.despite_full_disk(
            lambda: _write(store, row, "failed", lambda *place: _failed_rows(*place, reason))
        )
    store.despite_full_disk(lambda: forget_attempts(store, row))


def _what_went_wrong(error: BaseException) -> dict:
    """The error of a job that ended for no fault of its files."""
    if known := errors.storage_error_of_a_job(error):
        return known
    traceback.print_exception(error)
    message = "The local API made a mistake. Please report it."
    return {"code": "server_error", "message": message, "param": None}


class JobOver(Exception):
    """The job was cancelled meanwhile: there is nothing more to do for it."""


def _refuse_if_over(store: Store, row: Row) -> None:
    """Raises JobOver for a cancelled job. To be called between two steps of work."""
    if jobs.status(store, row.id) in jobs.TERMINAL:
        raise JobOver


def begin_attempt(store: Store, row: Row) -> None:
    """Writes down that a process begins to work on a job. Raises Failure if too many have ended over it."""
    with store.write() as db:
        attempts = len(store.children(BEGUN, row.id, hidden=True))
        store.insert(db, BEGUN, new_id("begun-"), row.owner, {}, parent=row.id)
    if attempts >= MAX_ATTEMPTS:
        message = (
            f"The process of the local API ended {attempts} times while it worked on this job, so the job was given "
            "up. Often the reason is too little memory for the file. Try it with fewer or shorter examples."
        )
        raise Failure(message, "process_ended", None)


def forget_attempts(store: Store, row: Row) -> None:
    """This attempt has come to an end, whichever: the process lives."""
    with store.write() as db:
        db.execute("DELETE FROM objects WHERE kind = ? AND parent = ?", (BEGUN, row.id))


def read_files(
    store: Store, row: Row, at_each_step: Callable[[], None] = lambda: None
) -> tuple[TrainingFile, TrainingFile | None]:
    """The training and the validation file of a job. Raises Failure if one is gone or is not valid."""
    job = row.body
    files = []
    for param in ("training_file", "validation_file"):
        file_id = job[param]
        if file_id and not store.path(file_id).exists():
            raise Failure(f"The file {file_id} was deleted before it was read.", "file_not_found", param)
        method = job["method"]["type"]
        path = file_id and store.path(file_id)
        files.append(
            file_id and read_file(path, file_id, method, param, job["seed"], at_each_step, job["model"])
        )
    return tuple(files)


def _base(job: dict) -> str:
    """The base model under the one that is trained further."""
    return job["model"].split(":")[1] if job["model"].startswith("ft:") else job["model"]


def train(store: Store, row: Row, training: TrainingFile, validation: TrainingFile | None) -> None:
    """Trains, then writes all that will be seen of it."""
    job = row.body
    base = _base(job)
    method = job["method"]["type"]
    numbers = resolve(job["method"][method]["hyperparameters"], training.count, base)
    examples = training.sample
    run = simulated.train(
        examples,
        validation.sample if validation else [],
        n_epochs=numbers["n_epochs"],
        batch_size=min(numbers["batch_size"], len(examples)),
        learning_rate_multiplier=numbers["learning_rate_multiplier"] / _unit(base),
        seed=job["seed"],
        start=_start_weights(store, row),
        at_each_step=partial(_refuse_if_over, store, row),
    )
    story = Story(job, base, method, numbers, training, run)
    written = False
    try:
        story.csv_size = store.save_bytes(story.csv_id, [base64.b64encode(metrics_csv(run.steps))])
        written = _write(store, row, "running", story.rows)
    finally:
        if not written:  # the job was cancelled meanwhile, or the disk is full
            store.path(story.csv_id).unlink(missing_ok=True)


def _unit(base: str) -> float:
    """What counts as a multiplier of 1 in the simulation: 1, or less for a model whose "auto" is less.

    A multiplier is relative to a rate of the model's own, which OpenAI does not tell; the tiny model has one rate.
    """
    return min(1.0, float(facts.value(base, "auto_learning_rate_multiplier", "1.0")))


def _start_weights(store: Store, row: Row) -> bytes:
    name = row.body["model"]
    if not name.startswith("ft:"):
        return simulated.base_weights(store.folder)
    weights = store.data("model", name, row.owner)
    if weights is None:
        raise Failure(f"The model {name} was deleted before training began.", "model_not_found", "model")
    return weights


def _write(store: Store, row: Row, status: str, rows) -> bool:
    """Writes the rows of one step in one transaction, unless they are there or the job has been cancelled.

    True if they were written now.
    """
    with store.write() as db:
        seen = _statuses(store, row.id)
        if status in seen or seen & set(jobs.TERMINAL) or store.get("job", row.id, row.owner) is None:
            return False
        now, later = store.moment(row.id), 0.0
        last = (store.children("state", row.id) or [None])[-1]
        if last and last.body["status"] == "paused":
            now, later = last.at, FAR
        seconds = 0 if jobs.is_trained_here(row.body) else job_seconds()
        for kind, offset, *what in rows(row.body["id"], seconds):
            at = now + offset + later
            if kind == "state":
                jobs.insert_state(
                    store, db, row.owner, row.id, what[0] | _stamp(what[0], now + offset), at=at
                )
            elif kind == "event":
                message, data, level = what
                jobs.insert_event(store, db, row.owner, row.id, message, at=at, level=level, data=data)
            else:
                id, body, data = what
                store.insert(db, kind, id, row.owner, body, parent=row.id, at=at, data=data)
    return True


def _statuses(store: Store, job_id: str) -> set[str]:
    """Every status of the job that is written down, shown already or not."""
    return {state.body["status"] for state in store.children("state", job_id, hidden=True)}


def _stamp(changes: dict, at: float) -> dict:
    return {"finished_at": int(at)} if changes["status"] in jobs.TERMINAL else {}


def _queued_rows(job_id: str, seconds: float):
    at = 0.1 * seconds
    yield "event", at, "Files validated, moving job to queued state", None, "info"
    yield "state", at, {"status": "queued"}


def _failed_rows(job_id: str, seconds: float, error: dict):
    at = 0.2 * seconds
    yield "event", at, error["message"], None, "error"
    yield "state", at, {"status": "failed", "error": error, "estimated_finish": None}


@dataclass
class Story:
    """One training run, told as rows of the store: events, states, checkpoints, models and the results file."""

    job: dict
    base: str
    method: str
    numbers: dict
    training: TrainingFile
    run: simulated.TrainingRun
    csv_size: int = 0

    def __post_init__(self):
        self.csv_id = new_id("file-")
        self.models = {
            step: self._model_name(None if step == self.last_step else step)
            for _, step, _ in self.run.checkpoints
        }

    @property
    def last_step(self) -> int:
        return len(self.run.steps)

    def _model_name(self, step: int | None) -> str:
        suffix = jobs.in_a_name(self.job["user_provided_suffix"])
        name = f"ft:{self.base}:simulated:{suffix}:{new_id('', 8)}"
        return name if step is None else f"{name}:ckpt-step-{step}"

    def rows(self, job_id: str, seconds: float):
        """(kind, offset in seconds, ...) of everything that happens from the start of training on."""
        start = 0.2 * seconds
        seconds = max(seconds, job_seconds(self.numbers["n_epochs"]))
        end = 0.95 * seconds
        running = jobs.method_fields(self.method, self.numbers)
        yield "event", start, "Fine-tuning job started", None, "info"
        yield "state", start, {"status": "running", **running}
        trained_on, _ = self.run.sampled
        if self.training.count > trained_on:
            text = f"Simulated: trained on a random sample of {trained_on} of {self.training.count} examples"
            yield "event", start, text, None, "warn"
        for step in self.run.steps:
            at = start + (end - start) * step["step"] / self.last_step
            yield "event", at, *metrics_event(step)
        for step, name in self.models.items():  # after the last step, as in live logs
            if step != self.last_step:
                text = f"Checkpoint created at step {step} with Snapshot ID: {name}"
                yield "event", end, text, None, "info"
        if self.training.blocked:
            yield from self._blocked(seconds)
        else:
            yield from self._succeeded(seconds)

    def _blocked(self, seconds: float):
        error, data = blocked(self.training.blocked, self.models[self.last_step])
        yield "event", seconds, error["message"], data, "error"
        yield "state", seconds, {"status": "failed", "error": error, "estimated_finish": None}

    def _succeeded(self, seconds: float):
        final = self.models[self.last_step]
        yield (
            "file",
            seconds,
            self.csv_id,
            results_file(self.csv_id, self.csv_size, self.job["created_at"]),
            None,
        )
        for _, step, weights in self.run.checkpoints:
            body = {"base": self.base, "organization": jobs.ORGANIZATION}
            yield "model", seconds, self.models[step], body, weights
            checkpoint = self._checkpoint(step)
            yield "checkpoint", seconds, checkpoint["id"], checkpoint, None
        for text, data in created_events(self.job, final):
            yield "event", seconds, text, data, "info"
        yield "event", seconds, "The job has successfully completed", None, "info"
        yield (
            "state",
            seconds,
            {
                "status": "succeeded",
                "fine_tuned_model": final,
                "result_files": [self.csv_id],
                "trained_tokens": self.training.tokens(self.base) * self.numbers["n_epochs"],
                "estimated_finish": None,
            },
        )

    def _checkpoint(self, step: int) -> dict:
        return {
            "id": new_id("ftckpt_"),
            "object": "fine_tuning.job.checkpoint",
            "fine_tuned_model_checkpoint": self.models[step],
            "fine_tuning_job_id": self.job["id"],
            "step_number": step,
            "metrics": checkpoint_metrics(self.run.steps[step - 1]),
        }


def created_events(job: dict, model: str) -> list[tuple[str, dict | None]]:
    """Texts and data of the events from the new model to the end of the safety checks, oldest first.

    Since the end of 2025 they tell of the checks and no longer name the model. What is checked here is nothing: the
    checks are simulated and pass, unless the training file holds a mark.
    """
    if not jobs.has_safety_events(job):
        return [(f"New fine-tuned model created: {model}", None)]
    return [
        ("New fine-tuned model created", None),
        ("Evaluating model against our usage policies", None),
        (f"Moderation checks for snapshot {model} passed.", safety_checks(set(), model)),
        ("Usage policy evaluations completed, model is now enabled for sampling", None),
    ]


def safety_checks(flagged: set[str], model: str) -> dict:
    """The data of the event that tells of the safety checks after training, in the form that was seen live."""
    results = [
        {
            "flagged": name in flagged,
            "category": name,
            "enforcement": "non_blocking" if name in NOT_BLOCKING - flagged else "blocking",
        }
        for name in (*SAFETY_CATEGORIES, *sorted(flagged - set(SAFETY_CATEGORIES)))
    ]
    return {"blocked": bool(flagged), "results": results, "finetuned_model_checkpoint_id": model}


def blocked(categories: set[str], model: str) -> tuple[dict, dict]:
    """The error and the event's data of a job whose model failed the safety checks after training."""
    names = ", ".join(sorted(categories))
    message = f"The model failed the safety checks after training: {names}. It cannot be used."
    error = {"code": "moderation_checks_failed", "message": message, "param": "training_file"}
    return error, safety_checks(categories, model)


def metrics_csv(steps: list[dict], metrics: tuple[str, ...] = METRICS) -> bytes:
    """The results file: for examples the columns that OpenAI documents; empty cells where nothing was measured."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["step", *(CSV_NAMES.get(name, name) for name in metrics)])
    for step in steps:
        table.writerow([step["step"], *(_short(step.get(key)) for key in metrics)])
    return out.getvalue().encode()


def results_file(file_id: str, size: int, created_at: int) -> dict:
    """The results file as an object of the API."""
    return {
        "id": file_id,
        "object": "file",
        "bytes": size,
        "created_at": created_at,
        "expires_at": None,
        "filename": "step_metrics.csv",
        "purpose": "fine-tune-results",
        "status": "processed",
        "status_details": None,
    }


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"


def metrics_event(step: dict) -> tuple[str, dict, str]:
    """Text, data and level of the event that tells of one step."""
    told = [f"{words}={step[name]:.2f}" for name, words in WORDS.items() if name in step]
    return f"Step {step['step']}/{step['total_steps']}: {', '.join(told)}", step, "info"


def warnings(steps: list[dict]) -> list[str]:
    """What has to be said after the last of these steps; nothing is said twice."""
    return [text for text in (_nothing_to_learn(steps), _less_likely(steps)) if text]


def _nothing_to_learn(steps: list[dict]) -> str | None:
    """After the first steps with rewards: whether all rewards of each question were equal."""
    if len(steps) != EQUAL_STEPS or any(step.get("frac_reward_zero_std") != 1 for step in steps):
        return None
    mean = sum(step["train_mean_reward"] for step in steps) / EQUAL_STEPS
    text = (
        f"All rewards are equal: in {EQUAL_STEPS} steps all answers to a question got the same reward, on average "
        f"{mean:.2f}, so nothing can be learned. "
    )
    if mean > 0:
        return (
            f"{text}If that is a good reward, the model does already what is rewarded; else mend the grader."
        )
    return (
        f"{text}The model never does what is rewarded: teach it first by examples (a supervised job on ten rows is "
        "often enough), then start this job from that model. Or reward a first step in the right direction."
    )


def _less_likely(steps: list[dict]) -> str | None:
    """After the last step with preferences: whether the better answers lost, though they lead more than before."""
    last = steps[-1]
    if last["step"] != last["total_steps"] or "rewards/margins" not in last:
        return None
    margin, better = (
        sum(step[name] for step in steps[-LAST_STEPS:]) / len(steps[-LAST_STEPS:])
        for name in ("rewards/margins", "rewards/chosen")
    )
    if margin <= 0 or better >= 0:
        return None
    return (
        f"The margin has risen to {margin:.2f}, but the better answers have become less likely too (their reward is "
        f"{better:.2f}): what the model writes freely may be worse than before. Compare its answers with those of "
        "the model that you started from. A lower learning_rate_multiplier or a higher rpo_alpha helps."
    )


def checkpoint_metrics(metrics: dict) -> dict:
    """What a checkpoint tells of its step."""
    return {k: v for k, v in metrics.items() if k != "total_steps" and not isinstance(v, dict)}


def best_checkpoint(checkpoints: list[dict]) -> str | None:
    """Which of them got the best reward in validation, in words; None if none was measured."""
    rewards = {c["step_number"]: c["metrics"].get("full_valid_mean_reward", -math.inf) for c in checkpoints}
    best = max(checkpoints, key=lambda c: rewards[c["step_number"]])
    if rewards[best["step_number"]] == -math.inf:
        return None
    reward, name = rewards[best["step_number"]], best["fine_tuned_model_checkpoint"]
    return f"Best full validation mean reward: {reward:.2f} at step {best['step_number']}, by {name}"


class Worker:
    """A background thread that brings new and interrupted jobs forward, one after the other.

    Jobs of the trained engine it only validates; then it sees to it that a training process lives.
    """

    def __init__(self, store: Store, others: dict[str, Callable] | None = None):
        """``others``: what is done for an id that begins so, in place of the work on a job."""
        self.store, self._others = store, others or {}
        self._waiting: queue.Queue = queue.Queue()
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, job_id: str, owner: str) -> None:
        """Queues a job once. The thread starts with the first one."""
        if self._is_training(job_id, owner):
            lease.ensure_worker(self.store)
            return
        with self._lock:
            if job_id in self._known:
                return
            self._known.add(job_id)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="simulated-training")
                self._thread.start()
        self._waiting.put((job_id, owner))

    def _is_training(self, job_id: str, owner: str) -> bool:
        """True for a valid job of the trained engine: it may have lost its process."""
        row = self.store.get("job", job_id, owner)
        if row is None or not jobs.is_trained_here(row.body):
            return False
        return jobs.status(self.store, job_id) in ("queued", "running")

    def resume(self) -> None:
        """Queues the jobs that a killed process has left unfinished."""
        for row in self.store.every("job"):
            if self._is_training(row.id, row.owner) or not (
                _statuses(self.store, row.id) & {"running", *jobs.TERMINAL}
            ):
                self.submit(row.id, row.owner)

    def wait(self) -> None:
        """Blocks until every queued job has been computed (for tests)."""
        self._waiting.join()

    def _run(self) -> None:
        while True:
            job_id, owner = self._waiting.get()
            try:
                with self.store.computing():
                    begin = job_id.partition("_")[0]
                    self._others.get(begin, advance)(self.store, job_id, owner)
            except BaseException:  # noqa: BLE001 - the next job must not suffer; this one is tried when asked for
                traceback.print_exc()
                self._known.discard(job_id)
            self._waiting.task_done()
