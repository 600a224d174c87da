"""Fine-tuning jobs: wait for one, read its metrics, find one instead of paying twice."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # To import them takes a second, and lessons without a job import this module too.
    import pandas
    from openai import OpenAI
    from openai.pagination import SyncCursorPage
    from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent

TERMINAL = ("succeeded", "failed", "cancelled")  # OpenAI API reference, status of a fine-tuning job
COLUMNS = ["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"]
FULL = "full_valid_loss"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
REMOTE_PACE = 5.0  # seconds between two polls of an API that is not on this computer


def is_over(job: FineTuningJob) -> bool:
    """Whether the job has ended. One with ``finished_at`` set is over whatever its status is called."""
    return job.status in TERMINAL or job.finished_at is not None


def pace(client: OpenAI, every: float) -> float:
    """Seconds between two polls: ``every``, but at least 5 for an API that is not on this computer."""
    return every if client.base_url.host in LOOPBACK else max(every, REMOTE_PACE)


def wait(client: OpenAI, job_id: str, every: float = 1.0, timeout: float = 3600.0) -> FineTuningJob:
    """Asks for the job every ``every`` seconds until it is over, prints each new status, returns the job.

    An API that is not on this computer is asked every 5 seconds at most. A status that is not known is
    printed and waited through. Raises TimeoutError after ``timeout`` seconds; the job itself goes on.
    """
    deadline = time.monotonic() + timeout
    shown = None
    while True:
        job = client.fine_tuning.jobs.retrieve(job_id)
        if job.status != shown:
            print(_status_line(job))
            shown = job.status
        if is_over(job):
            return job
        if time.monotonic() >= deadline:
            raise TimeoutError(
                f"After {timeout:.0f} seconds job {job_id} is still {job.status!r}. It goes on without you: "
                "call wait() again, or stop it with client.fine_tuning.jobs.cancel(job_id)."
            )
        time.sleep(pace(client, every))


def _status_line(job: FineTuningJob) -> str:
    reason = job.error.message if job.error else None
    return f"{job.status}: {reason}" if reason else job.status


def metrics(client: OpenAI, job: FineTuningJob) -> pandas.DataFrame:
    """The numbers of the job's results file, a row a step, and the loss on all validation rows from its events.

    Columns: step (int), train_loss, train_accuracy, valid_loss, valid_mean_token_accuracy, full_valid_loss (float,
    NaN where nothing was measured). valid_loss is measured on a few validation rows at a time, full_valid_loss on
    all of them, at the end of each epoch; it is in the events only. Other columns of the file are left out. Of a job
    with another method than "supervised" the table is as the file has it. The file may be CSV or, as OpenAI sends it,
    CSV in base64. Raises ValueError if the job has no results file or the file is something else.
    """
    import pandas

    if not job.result_files:
        raise ValueError(f"Job {job.id} has no results file: its status is {job.status!r}. {_advice(job)}")
    file_id = job.result_files[0]
    table = pandas.read_csv(io.BytesIO(_as_csv(client.files.content(file_id).read(), file_id)))
    if job.method and job.method.type != "supervised":
        return table
    table = table.reindex(columns=COLUMNS).astype(dict.fromkeys(COLUMNS[1:], float))
    full = _full_valid_losses(client, job.id) if table["valid_loss"].notna().any() else {}
    return table.assign(**{FULL: table["step"].map(full).astype(float)})


def _full_valid_losses(client: OpenAI, job_id: str) -> dict[int, float]:
    """Step -> loss on all validation rows, as the job's events tell it; empty where a service tells none."""
    import openai

    try:
        told = [event.data for event in new_events(client, job_id) if isinstance(event.data, dict)]
    except openai.APIStatusError:  # a service without events
        return {}
    return {data["step"]: data[FULL] for data in told if "step" in data and data.get(FULL) is not None}


def _advice(job: FineTuningJob) -> str:
    if not is_over(job):
        return "Call wait(client, job.id) and use the job that it returns."
    if job.status == "succeeded":
        return "Retrieve the job once more; the file can be a moment late."
    return "Only a job that succeeded has one; job.error and the job's events say what happened."


def _as_csv(content: bytes, file_id: str) -> bytes:
    for candidate in (content, _decoded(content)):
        if candidate.removeprefix(b"\xef\xbb\xbf").startswith(b"step,"):
            return candidate
    raise ValueError(
        f"File {file_id} is not a results file: it has no column 'step', neither as it is nor after "
        "base64 decoding. Is it the first id of job.result_files?"
    )


def _decoded(content: bytes) -> bytes:
    """The content out of base64, or nothing if it is not base64."""
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except ValueError:
        return b""


def find(client: OpenAI, metadata: dict[str, str]) -> FineTuningJob | None:
    """The newest job that carries these metadata and was neither failed nor cancelled, or None.

    Metadata are compared here too: a provider may ignore the filter of the list. Raises ValueError if
    ``metadata`` is empty, since every job would fit.
    """
    if not metadata:
        raise ValueError("find() needs at least one pair of metadata, for example {'run': 'airport-1'}.")
    for job in listed(client.fine_tuning.jobs.list(metadata=metadata)):
        carries = metadata.items() <= (job.metadata or {}).items()
        if carries and job.status not in ("failed", "cancelled"):
            return job
    return None


def listed(pages: SyncCursorPage) -> Iterator:
    """What a list holds, page after page. It ends at a page without anything new: some services ignore
    ``after`` and send the same page for ever. Pages may overlap, since a list can grow while it is read."""
    seen = set()
    for page in pages.iter_pages():
        new = [one for one in page.data or [] if one.id not in seen]
        if not new:
            return
        seen.update(one.id for one in new)
        yield from new


def new_events(client: OpenAI, job_id: str, last_id: str | None = None) -> list[FineTuningJobEvent]:
    """The events after the one with ``last_id`` (all if None), oldest first."""
    found = []
    for event in listed(client.fine_tuning.jobs.list_events(job_id, limit=100)):
        if event.id == last_id:
            break
        found.append(event)
    return found[::-1]
