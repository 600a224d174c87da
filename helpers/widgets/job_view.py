"""What the job monitor shows, computed from a job and its events: no widgets, no network, no clock."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ..charts import loss_curve_svg
from ..jobs import is_over
from ..language import said

if TYPE_CHECKING:
    # To import them takes a second, and lessons without a job import this module too.
    import openai
    from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent

    Events = Sequence[FineTuningJobEvent]

MEANING = {
    "validating_files": "The files are being checked.",
    "queued": "The job waits for its turn.",
    "running": "The model is being trained.",
    "paused": "Training stands still until you press Resume.",
    "succeeded": "The model is ready.",
    "failed": "There is no model.",
    "cancelled": "There is no final model.",
}
LEVEL = {"info": "", "warn": "Warning: ", "error": "Error: "}
LOG_LENGTH, TABLE_LENGTH = 8, 6
SIMULATED = "org-simulated"  # the organization of every job of the mock API


@dataclass(frozen=True)
class View:
    """The parts of the monitor: HTML each, and which of its buttons work."""

    status: str
    progress: str
    chart: str
    table: str
    log: str
    can_pause: bool
    can_resume: bool
    can_cancel: bool


def view(job: FineTuningJob, events: Events, now: float) -> View:
    """What to show of a job. ``events`` are oldest first, ``now`` is a Unix time in seconds."""
    measured = points(events)
    over = is_over(job)
    return View(
        status=status_line(job),
        progress=progress(job, events, now),
        chart=loss_curve_svg(
            measured, "Loss", last_step=total_steps(measured), simulated=job.organization_id == SIMULATED
        ),
        table=table(measured),
        log=log(events),
        can_pause=job.status in ("validating_files", "queued", "running") and not over,
        can_resume=job.status == "paused" and not over,
        can_cancel=not over,
    )


def points(events: Events) -> list[dict]:
    """The numbers of the metrics events: step, total_steps, train_loss and, where measured, valid_loss."""
    return [e.data for e in events if e.type == "metrics" and isinstance(e.data, dict) and "step" in e.data]


def total_steps(measured: Sequence[dict]) -> int | None:
    """How many steps the job will have, if it has said so."""
    return measured[-1].get("total_steps") if measured else None


def status_line(job: FineTuningJob) -> str:
    """The status in the API's word and in plain words. Read aloud when it changes, so it holds no numbers."""
    unknown = (
        said("The job has ended.") if is_over(job) else said("This status is not known here; still watching.")
    )
    parts = [f"<strong>Status: {_text(job.status)}.</strong>", said(MEANING.get(job.status, unknown))]
    if job.error and job.error.message:
        parts.append(f"{_text(job.error.message)}")
    if job.fine_tuned_model:
        parts.append(f"Its name: <code>{_text(job.fine_tuned_model)}</code>")
    return f'<p role="status" aria-live="polite">{" ".join(parts)}</p>'


def progress(job: FineTuningJob, events: Events, now: float) -> str:
    """A progress bar, and the same in words."""
    measured = points(events)
    step, total = (measured[-1]["step"], total_steps(measured)) if measured else (0, None)
    if not total:
        share, text = "0", said("No step yet.")
    else:
        share = f"{step / total:.3f}"
        text = said("Step {} of {} ({:.0%}).").format(step, total, step / total)
        if (left := seconds_left(job, events, now)) is not None:
            text += f" {duration(left)} left."
    return f'<progress aria-label="Training progress" value="{share}" max="1"></progress> <span>{text}</span>'


def seconds_left(job: FineTuningJob, events: Events, now: float) -> float | None:
    """Seconds until the end: the API's own estimate, else from the pace since training began or resumed.

    None while the job does not run, or if there is nothing to go by.
    """
    if job.status != "running":
        return None
    if job.estimated_finish:
        return max(0.0, job.estimated_finish - now)
    start = next((i for i in reversed(range(len(events))) if _starts(events[i])), None)
    measured = points(events)
    total = total_steps(measured)
    if start is None or not total:
        return None
    step = measured[-1]["step"]
    before = (points(events[:start]) or [{"step": 0}])[-1]["step"]
    if step == before:
        return None
    return (now - events[start].created_at) / (step - before) * (total - step)


def _starts(event: FineTuningJobEvent) -> bool:
    return event.message.lower().endswith(("job started", "job resumed"))


def duration(seconds: float) -> str:
    """A time in words, as exact as an estimate deserves."""
    if seconds < 90:
        return f"About {seconds:.0f} s"
    if seconds < 90 * 60:
        return f"About {seconds / 60:.0f} min"
    return f"About {seconds / 3600:.0f} h"


def table(measured: Sequence[dict]) -> str:
    """The newest numbers of the curve as a table: the last step, and the last ones with a validation loss."""
    if not measured:
        return ""
    *earlier, last = measured
    with_validation = [point for point in earlier if point.get("valid_loss") is not None]
    shown = [*(with_validation or earlier)[1 - TABLE_LENGTH :], last]
    rows = "".join(
        f'<tr><th scope="row">{point["step"]}</th>'
        f"<td>{_loss(point.get('train_loss'))}</td><td>{_loss(point.get('valid_loss'))}</td></tr>"
        for point in shown
    )
    what = "with a validation loss, and the last step" if with_validation else "measured"
    return (
        f"<table><caption>The last steps {what}</caption>"
        '<thead><tr><th scope="col">Step</th><th scope="col">Training loss</th>'
        f'<th scope="col">Validation loss</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def log(events: Events) -> str:
    """The last messages, oldest first. The steps are left out: they are in the curve and the table."""
    messages = [event for event in events if event.type != "metrics"][-LOG_LENGTH:]
    items = "".join(f"<li>{_log_line(event)}</li>" for event in messages)
    return f"<p><strong>{said('Last events')}</strong></p><ul>{items}</ul>" if items else ""


def _log_line(event: FineTuningJobEvent) -> str:
    at = datetime.fromtimestamp(event.created_at)
    level = LEVEL.get(event.level, "")
    return f"<time>{at:%H:%M:%S}</time> {level}{_text(event.message)}"


def notice(problem: str) -> str:
    """A line that is read aloud at once; empty if there is nothing to say."""
    return f'<p role="alert">{_text(problem)}</p>' if problem else ""


def explain(error: openai.APIError) -> str:
    """An error of the API in words."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return "The API did not answer in time."
    if isinstance(error, openai.APIConnectionError):
        return "The connection to the API is lost."
    if isinstance(error, openai.RateLimitError):
        return f"The API refuses for now (429): {_said(error)}"
    if isinstance(error, openai.APIStatusError):
        return f"The API answered with an error ({error.status_code}): {_said(error)}"
    return f"The API's answer could not be used: {error.message}"


def _said(error: openai.APIStatusError) -> str:
    """The API's own words. The client puts its own and the whole body around them."""
    body = error.body if isinstance(error.body, dict) else {}
    return body.get("message") or error.message


def is_final(error: openai.APIError) -> bool:
    """Whether asking again is pointless: no such job, a wrong key, or a key without the right."""
    import openai

    return isinstance(error, openai.NotFoundError | openai.AuthenticationError | openai.PermissionDeniedError)


def _text(text: str) -> str:
    return html.escape(str(text))
