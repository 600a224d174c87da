"""The training process: takes the waiting jobs one after the other, writes what happens, and ends by itself.

It outlives the notebook that started it. It is paused and cancelled through the database only, at the next step.
"""

import base64
import math
import os
import re
import sys
import threading
import time
import traceback
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from ... import errors, history, jobs
from ...graders import GraderBroken
from ...store import Row, Store, new_id
from ...training_files import Failure
from . import PLACE, base_of, problem, resolve, turns, weights
from .lease import PACE, Lease, LeaseLost

ACTIVE = ("queued", "running")
GRADER = "method.reinforcement.grader"
MAX_ATTEMPTS = 5  # that end without a word and without having saved a further state
ESTIMATE_AFTER = 2  # steps


class Stopped(Exception):
    """The job is not to be trained now: it was paused or cancelled."""


def main(folder: str, name: str) -> int:
    """Trains until no job is left or the lease is lost. Returns 0."""
    if not Path(folder).exists():
        return 0
    store = Store(folder, guest=True)
    lease = Lease(store, name)
    try:
        lease.renew()
        threading.Thread(target=_keep, args=(store, name), daemon=True).start()
        tidy(store)
        while not lease.release_if(lambda: next_job(store) is None):
            if row := next_job(store):
                run(store, lease, row)
    except LeaseLost:
        print("Another training process has taken over, or the state is gone: this one ends.", flush=True)
    return 0


def _keep(store: Store, name: str) -> None:
    """Renews the lease while the process lives."""
    lease = Lease(store, name)
    try:
        while True:
            time.sleep(PACE)
            lease.renew()
    except Exception:  # noqa: BLE001 - whatever it is: without a lease this process must write no more, and cannot
        return


def tidy(store: Store) -> None:
    """Removes what is still kept of jobs that have ended: one was cancelled in a pause, or a process killed."""
    for path in (store.folder / "trained").glob("ftjob-*.p*"):
        if jobs.status(store, path.stem) in jobs.TERMINAL:
            path.unlink(missing_ok=True)


def next_job(store: Store) -> Row | None:
    """The oldest job that waits for this engine, or that another process has left unfinished."""
    for row in store.every("job"):
        if jobs.is_trained_here(row.body) and jobs.status(store, row.id) in ACTIVE:
            return row
    return None


def run(store: Store, lease: Lease, row: Row) -> None:
    """Trains one job to its end, or until it is paused or cancelled."""
    diary = Diary(store, lease, row)
    try:
        with turns.turn(diary.wait):
            diary.begin_attempt()
            _train(store, row, diary)
    except Stopped:
        if jobs.status(store, row.id) not in jobs.TERMINAL:
            return  # paused
    except Failure as failure:
        diary.fail(failure.error)
    except GraderBroken as error:
        diary.fail({"code": "grader_failed", "message": str(error), "param": GRADER})
    except (LeaseLost, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - the job must say that it has ended, and why; a panic too
        traceback.print_exc()
        diary.fail(_explained(error))
    diary.forget()


def _explained(error: BaseException) -> dict:
    if known := errors.storage_error_of_a_job(error):
        return known
    text = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    if isinstance(error, MemoryError) or re.search("allocate memory|out of memory", str(error)):
        text = (
            f"This computer has too little free memory. Close other programs, or use a smaller batch. {text}"
        )
        return {"code": "out_of_memory", "message": text, "param": None}
    if isinstance(error, ImportError):
        text = f"Packages are missing. Install them with: python start.py local ({text})"
    return {"code": "server_error", "message": f"Training ended with an error. {text}", "param": None}


def _train(store: Store, row: Row, diary: "Diary") -> None:
    from . import courses  # loads torch: seconds
    from .judges import Judges

    job = row.body
    if what := problem(job["model"]):
        raise Failure(what, "model_not_found", "model")
    method = job["method"]["type"]
    files = history.read_files(store, row, partial(refuse_if_stopped, store, row))
    numbers = resolve(method, job["method"][method]["hyperparameters"])
    ask = Judges(store, row.owner).ask
    course = courses.COURSES[method](job, numbers, files, start_adapter(store, row), ask)
    with closing(course):
        _go_through(course, diary, numbers)
    if files[0].blocked:
        return diary.block(files[0].blocked)
    diary.succeed(course.tokens(), course.columns)


def _go_through(course, diary: "Diary", numbers: dict) -> None:
    """Trains from the start, or from where an earlier process came to, and writes down what happens."""
    from . import courses, devices, training

    trainer = course.trainer
    if saved := diary.saved_state():
        trainer.restore(saved)
    where = f"Training on {devices.described()}, in {str(trainer.model.dtype).removeprefix('torch.')}"
    diary.start(numbers, trainer, f"{where}; highest learning rate {trainer.settings.rate:.2g}")
    diary.note(course.prepare())
    clock = Clock(trainer)
    for metrics in course.steps():
        refuse_if_diverged(metrics)
        if course.is_kept():
            adapter = training.adapter_bytes(trainer.model)
            diary.checkpoint(metrics, adapter, course.base, is_last=trainer.step == trainer.total)
        going_on = diary.step(metrics)
        if course.is_kept() or not going_on or trainer.step % course.save_every == 0:
            diary.save(trainer.state())
        if not going_on:
            raise Stopped
        if seconds := clock.estimate():
            diary.estimate(seconds, courses.about(seconds))


def refuse_if_stopped(store: Store, row: Row) -> None:
    """Raises Stopped if the job was paused or cancelled."""
    if jobs.status(store, row.id) not in ACTIVE:
        raise Stopped


def refuse_if_diverged(metrics: dict) -> None:
    """Raises Failure if a loss is no number any more: nothing that follows can mend that."""
    if not all(math.isfinite(value) for value in metrics.values() if not isinstance(value, dict)):
        message = f"The loss at step {metrics['step']} is not a number. Use a lower learning_rate_multiplier."
        raise Failure(message, "training_diverged", "learning_rate_multiplier")


def start_adapter(store: Store, row: Row) -> bytes | None:
    """The matrices to train further, if the job starts from a tuned model."""
    name = row.body["model"]
    if base_of(name) == name:
        return None
    adapter = store.data("model", name, row.owner)
    if adapter is None:
        raise Failure(f"The model {name} was deleted before training began.", "model_not_found", "model")
    return adapter


class Clock:
    """How long the rest will take, judged by the first steps of this process."""

    def __init__(self, trainer):
        self.trainer, self.first, self.start = trainer, trainer.step, time.monotonic()

    def estimate(self) -> float | None:
        """Seconds that are left; once, after the first steps."""
        done = self.trainer.step - self.first
        if done != ESTIMATE_AFTER:
            return None
        return (time.monotonic() - self.start) / done * (self.trainer.total - self.trainer.step)


class Diary:
    """Writes what happens to a job: its states, events, checkpoints, models and results file.

    Nothing is written twice: a run that begins again at a saved step keeps what was seen of the steps after it.
    """

    def __init__(self, store: Store, lease: Lease, row: Row):
        self.store, self.lease, self.row, self.job = store, lease, row, row.body
        self.steps = self._steps()
        self.seen = max((step["step"] for step in self.steps), default=0)
        self.path = store.folder / "trained" / f"{row.id}.pt"
        self.before: int | None = None

    def _steps(self) -> list[dict]:
        events = self.store.children("event", self.row.id)
        return [event.body["data"] for event in events if "step" in event.body["data"]]

    @contextmanager
    def _writing(self, *also: str):
        """A transaction. Raises Stopped if the job is neither running, nor waiting, nor ``also``."""
        with self.store.write() as db:
            self.lease.check(db)
            self.status = jobs.status(self.store, self.row.id)
            if self.status not in (*ACTIVE, *also):
                raise Stopped
            yield db

    def _event(self, db, text: str, **options) -> None:
        jobs.insert_event(self.store, db, self.row.owner, self.row.id, text, **options)

    def _state(self, db, changes: dict) -> None:
        jobs.insert_state(self.store, db, self.row.owner, self.row.id, changes)

    def wait(self, before: int, at_once: int) -> None:
        """Tells that trainings of other people come first, whenever their number has changed; see ``turns``."""
        if before == self.before:
            return refuse_if_stopped(self.store, self.row)
        self.before = before
        with self._writing() as db:
            self._event(db, f"Waiting for a turn: {before} before this one, {at_once} at a time here")

    def begin_attempt(self) -> None:
        """Counts the processes that began and were never heard of again. Raises Failure at one too many."""
        with self._writing() as db:
            attempts = len(self.store.children("attempt", self.row.id))
            self.store.insert(db, "attempt", new_id("attempt-"), self.row.owner, {}, parent=self.row.id)
        if attempts >= MAX_ATTEMPTS:
            raise Failure(
                f"The training process was ended {attempts} times without a word, so this job was given up. Often "
                f"the reason is too little memory. Its log is {self.store.folder / 'trained' / 'worker.log'}",
                "training_process_ended",
                None,
            )

    def saved_state(self) -> bytes | None:
        """What an earlier process saved of this job."""
        return self.path.read_bytes() if self.path.exists() else None

    def start(self, numbers: dict, trainer, how: str) -> None:
        begun, method = self.seen or trainer.step, self.job["method"]
        grader = method.get("reinforcement", {}).get("grader")
        text = f"Training goes on after step {trainer.step}" if begun else "Fine-tuning job started"
        with self._writing() as db:
            self._event(db, how)
            self._event(db, text)
            self._state(db, {"status": "running", **jobs.method_fields(method["type"], numbers, grader)})

    def note(self, text: str | None, level: str = "info") -> None:
        """Tells something in an event, unless it has been told already."""
        if text and not self.seen:
            with self._writing("paused") as db:
                self._event(db, text, level=level)

    def step(self, metrics: dict) -> bool:
        """Writes one step. False if the job was paused meanwhile."""
        with self._writing("paused") as db:
            if metrics["step"] > self.seen:
                text, data, level = history.metrics_event(metrics)
                self._event(db, text, data=data, level=level)
                self.steps.append(metrics)
                for warning in history.warnings(self.steps):
                    self._event(db, warning, level="warn")
        self.seen = max(self.seen, metrics["step"])
        return self.status != "paused"

    def save(self, state: bytes) -> None:
        """Keeps a state to go on from, whole or not at all."""
        part = self.path.with_suffix(".part")
        with self._writing("paused") as db:  # of two processes, only the one that holds the lease gets here
            part.write_bytes(state)
            part.replace(self.path)
            db.execute("DELETE FROM objects WHERE kind = 'attempt' AND parent = ?", (self.row.id,))

    def estimate(self, seconds: float, text: str) -> None:
        with self._writing() as db:
            if self.status != "running":
                return
            self._event(db, text)
            self._state(db, {"status": "running", "estimated_finish": int(self.store.clock() + seconds)})

    def checkpoint(self, metrics: dict, adapter: bytes, base: weights.Base, is_last: bool) -> None:
        """The model after an epoch; it can be asked from now on. The last one is the job's result."""
        step = metrics["step"]
        if any(row.body["step_number"] == step for row in self.store.children("checkpoint", self.row.id)):
            return
        suffix = jobs.in_a_name(self.job["user_provided_suffix"])
        name = f"ft:{base.name}:{PLACE}:{suffix}:{new_id('', 8)}"
        name += "" if is_last else f":ckpt-step-{step}"
        body = {
            "id": new_id("ftckpt_"),
            "object": "fine_tuning.job.checkpoint",
            "fine_tuned_model_checkpoint": name,
            "fine_tuning_job_id": self.row.id,
            "step_number": step,
            "metrics": history.checkpoint_metrics(metrics),
        }
        place = {"parent": self.row.id}
        with self._writing("paused") as db:
            model = {"base": base.name, "weights": base.weights, "organization": self.job["organization_id"]}
            self.store.insert(db, "model", name, self.row.owner, model, data=adapter, **place)
            self.store.insert(db, "checkpoint", body["id"], self.row.owner, body, **place)
            if not is_last:
                self._event(db, f"Checkpoint created at step {step} with Snapshot ID: {name}")

    def succeed(self, tokens: int, columns: tuple[str, ...]) -> None:
        table = base64.b64encode(history.metrics_csv(self._steps(), columns))
        file_id = new_id("file-")
        file = history.results_file(file_id, self.store.save_bytes(file_id, [table]), self.job["created_at"])
        kept = [point.body for point in self.store.children("checkpoint", self.row.id)]
        name = kept[-1]["fine_tuned_model_checkpoint"]
        with self._writing() as db:
            self.store.insert(db, "file", file["id"], self.row.owner, file, parent=self.row.id)
            if best := history.best_checkpoint(kept):
                self._event(db, best)
            self._event(db, f"New fine-tuned model created: {name}")
            self._event(db, "The job has successfully completed")
            changes = {"status": "succeeded", "fine_tuned_model": name, "result_files": [file["id"]]}
            self._end(db, changes | {"trained_tokens": tokens})

    def block(self, categories: set[str]) -> None:
        """Ends the job as if its model had failed the safety checks; none of its models is left."""
        last = self.store.children("checkpoint", self.row.id)[-1]
        error, data = history.blocked(categories, last.body["fine_tuned_model_checkpoint"])
        with self._writing() as db:
            made = "DELETE FROM objects WHERE parent = ? AND kind IN ('model', 'checkpoint')"
            db.execute(made, (self.row.id,))
            self._event(db, error["message"], data=data, level="error")
            self._end(db, {"status": "failed", "error": error})

    def fail(self, error: dict) -> None:
        try:
            self.store.despite_full_disk(lambda: self._fail(error))
        except Stopped:
            pass

    def _fail(self, error: dict) -> None:
        with self._writing("paused") as db:
            self._event(db, error["message"], level="error")
            self._end(db, {"status": "failed", "error": error})

    def _end(self, db, changes: dict) -> None:
        end = {"finished_at": int(self.store.clock()), "estimated_finish": None}
        self._state(db, changes | end)

    def forget(self) -> None:
        """Removes what was kept to go on from."""
        self.path.unlink(missing_ok=True)


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # torch takes a second to say goodbye, and another process may train from now on
