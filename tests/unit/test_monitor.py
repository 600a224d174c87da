"""The job monitor without a browser: what it would show, and how it follows a job."""

import asyncio
import re
import time

import httpx2
import ipywidgets
import pytest
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent

from helpers.widgets import job_view, monitor
from tests.unit.job_api import JOB_ID, JobAPI, event, job, step

PATIENCE = 120  # seconds: a deadline for a hang, not a measure of speed


def a_job(status="running", **changes) -> FineTuningJob:
    return FineTuningJob.construct(**job(status, **changes))


def some_events(*given: dict) -> list[FineTuningJobEvent]:
    return [FineTuningJobEvent.construct(**one) for one in given]


STARTED = event(1, "Fine-tuning job started", at=1_000)


# --- status and buttons --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "finished_at", "buttons"),
    [
        ("validating_files", None, (True, False, True)),
        ("queued", None, (True, False, True)),
        ("running", None, (True, False, True)),
        ("paused", None, (False, True, True)),
        ("succeeded", 2_000, (False, False, False)),
        ("failed", None, (False, False, False)),
        ("cancelled", 2_000, (False, False, False)),
        ("moderating", None, (False, False, True)),
        ("archived", 2_000, (False, False, False)),
        ("running", 2_000, (False, False, False)),
    ],
)
def test_buttons_follow_the_status(status, finished_at, buttons):
    seen = job_view.view(a_job(status, finished_at=finished_at), [], now=0)
    assert (seen.can_pause, seen.can_resume, seen.can_cancel) == buttons
    assert f"Status: {status}." in seen.status


def test_status_line_is_a_live_region_and_explains_itself():
    line = job_view.status_line(a_job("running"))
    assert line.startswith('<p role="status" aria-live="polite">') and "The model is being trained." in line
    assert "not known here; still watching" in job_view.status_line(a_job("moderating"))
    assert "has ended" in job_view.status_line(a_job("archived", finished_at=1))


def test_status_line_says_why_and_what_came_out_and_escapes_it():
    error = FineTuningJob.construct(**job()).model_construct(message="<b>7</b> examples")
    assert "&lt;b&gt;7&lt;/b&gt; examples" in job_view.status_line(a_job("failed", error=error))
    done = job_view.status_line(a_job("succeeded", fine_tuned_model="ft:a:b:<i>:c"))
    assert "<code>ft:a:b:&lt;i&gt;:c</code>" in done


# --- progress and time left ----------------------------------------------------------------------------


def test_progress_before_and_after_steps():
    assert "No step yet." in job_view.progress(a_job("queued"), [], now=0)
    shown = job_view.progress(a_job(), some_events(STARTED, step(30, 120, 1_010, 1.0)), now=1_010)
    assert 'aria-label="Training progress" value="0.250"' in shown
    assert "Step 30 of 120 (25%). About 30 s left." in shown
    ended = job_view.progress(a_job("succeeded"), some_events(STARTED, step(120, 120, 1_040, 1.0)), now=2_000)
    assert "Step 120 of 120 (100%).</span>" in ended


def test_time_left_prefers_the_estimate_of_the_api():
    events = some_events(STARTED, step(30, 120, 1_010, 1.0))
    assert job_view.seconds_left(a_job(estimated_finish=1_500), events, now=1_010) == 490
    assert job_view.seconds_left(a_job(estimated_finish=900), events, now=1_010) == 0


def test_time_left_does_not_count_a_pause():
    events = some_events(
        STARTED,
        step(10, 100, 1_010, 1.0),
        event(2, "Fine-tuning job paused", at=1_010),
        event(3, "Fine-tuning job resumed", at=9_000),
        step(20, 100, 9_010, 1.0),
    )
    assert job_view.seconds_left(a_job(), events, now=9_010) == 80


@pytest.mark.parametrize(
    ("status", "events"),
    [
        ("paused", (STARTED, step(1, 10, 1_001, 1.0))),
        ("queued", ()),
        ("running", (STARTED,)),
        ("running", (step(1, 10, 1_001, 1.0),)),
        ("running", (step(1, 10, 1_001, 1.0), event(3, "Fine-tuning job resumed", at=1_002))),
    ],
)
def test_no_time_left_without_anything_to_go_by(status, events):
    assert job_view.seconds_left(a_job(status), some_events(*events), now=1_010) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "About 0 s"),
        (89.4, "About 89 s"),
        (90, "About 2 min"),
        (3_600, "About 60 min"),
        (7_200, "About 2 h"),
    ],
)
def test_duration(seconds, words):
    assert job_view.duration(seconds) == words


# --- curve, table, log ---------------------------------------------------------------------------------


def test_curve_says_that_it_is_simulated_only_if_it_is():
    events = some_events(step(1, 2, 1_000, 2.0, 2.5))
    assert "Loss (simulated)" in job_view.view(a_job(), events, 0).chart
    elsewhere = job_view.view(a_job(organization_id="org-123"), events, 0).chart
    assert "simulated" not in elsewhere and "Line chart: Loss." in elsewhere


def rows(table: str) -> list[list[str]]:
    return [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in re.findall("<tr>(.*?)</tr>", table)]


def test_table_of_a_job_with_sparse_validation():
    given = [
        {"step": i, "train_loss": 10.0 - i, "valid_loss": 5.0 if i % 10 == 0 else None} for i in range(1, 98)
    ]
    header, *body = rows(job_view.table(given))
    assert header == ["Step", "Training loss", "Validation loss"]
    assert [row[0] for row in body] == ["50", "60", "70", "80", "90", "97"]
    assert body[0] == ["50", "-40.00", "5.00"] and body[-1] == ["97", "-87.00", "–"]


def test_table_without_validation_holds_the_last_steps():
    given = [{"step": i, "train_loss": 1.0} for i in range(1, 10)]
    assert [row[0] for row in rows(job_view.table(given))[1:]] == ["4", "5", "6", "7", "8", "9"]
    assert [row[0] for row in rows(job_view.table(given[:1]))[1:]] == ["1"]
    assert job_view.table([]) == ""


def test_table_has_caption_and_scopes():
    table = job_view.table([{"step": 1, "train_loss": 1.0}])
    assert "<caption>" in table
    assert table.count('scope="col"') == 3 and table.count('scope="row"') == 1


def test_log_holds_the_last_eight_messages_and_no_steps():
    given = [event(i, f"Message {i}") for i in range(10)] + [step(i, 9, 1_000, 1.0) for i in range(1, 9)]
    items = re.findall("<li>.*?</li>", job_view.log(some_events(*given)))
    assert len(items) == 8
    assert "Message 2" in items[0] and "Message 9" in items[-1]
    assert job_view.log([]) == ""


def test_log_says_the_level_and_escapes():
    text = job_view.log(some_events(event(1, "<img src=x>", level="warn"), event(2, "bad", level="error")))
    assert "Warning: &lt;img src=x&gt;" in text and "Error: bad" in text and "<img" not in text


def test_points_skip_metrics_without_numbers():
    odd = event(1, "Step 1", data={"x": 1})
    assert job_view.points(some_events(odd, event(2, "m"), step(2, 3, 1_000, 1.0))) == [
        {"step": 2, "total_steps": 3, "train_loss": 1.0}
    ]


# --- following a job -----------------------------------------------------------------------------------


async def watched(api: JobAPI) -> ipywidgets.VBox:
    """A monitor that has followed its job to the end."""
    shown = monitor(api.client, JOB_ID, every=0)
    await asyncio.wait_for(shown.task, PATIENCE)
    return shown


def html(widget: ipywidgets.Widget) -> str:
    """All HTML in a widget, in order."""
    if isinstance(widget, ipywidgets.HTML):
        return widget.value
    return "".join(html(child) for child in getattr(widget, "children", ()))


def buttons(widget: ipywidgets.Widget) -> dict[str, ipywidgets.Button]:
    if isinstance(widget, ipywidgets.Button):
        return {widget.description: widget}
    return {k: v for child in getattr(widget, "children", ()) for k, v in buttons(child).items()}


@pytest.mark.parametrize(
    "last",
    [
        job("succeeded", fine_tuned_model="ft:m"),
        job("failed"),
        job("cancelled"),
        job("archived", finished_at=2_000),
    ],
    ids=lambda last: last["status"],
)
async def test_follows_to_each_end(last):
    api = JobAPI([job("queued"), job("running"), last], [STARTED, step(1, 1, 1_001, 2.0)])
    shown = await watched(api)
    assert f"Status: {last['status']}." in html(shown)
    assert "Step 1 of 1 (100%)" in html(shown) and "Fine-tuning job started" in html(shown)
    assert all(button.disabled for button in buttons(shown).values())
    assert api.calls.count(f"GET /{JOB_ID}") == 3


async def test_a_job_that_is_over_already_is_asked_for_once():
    api = JobAPI([job("succeeded")], [STARTED])
    await watched(api)
    assert api.calls == [f"GET /{JOB_ID}", f"GET /{JOB_ID}/events"]


async def test_plain_text_is_the_same_for_every_job():
    """Strict nbval compares it."""
    first, second = await watched(JobAPI([job("succeeded")])), await watched(JobAPI([job("failed")]))
    assert first._repr_mimebundle_()["text/plain"] == second._repr_mimebundle_()["text/plain"] == repr(first)
    assert len(repr(first)) <= 110


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (httpx2.ConnectError("no route"), "The connection to the API is lost. Trying again."),
        (httpx2.ReadTimeout("slow"), "The API did not answer in time. Trying again."),
        (429, "The API refuses for now (429): Said the API with 429. Trying again."),
        (500, "The API answered with an error (500): Said the API with 500. Trying again."),
    ],
    ids=["lost", "slow", "429", "500"],
)
async def test_trouble_is_shown_and_the_monitor_goes_on(trouble, words, monkeypatch):
    said = []
    monkeypatch.setattr(job_view, "notice", lambda problem: said.append(problem) or f"<p>{problem}</p>")
    api = JobAPI([job("running"), trouble, job("succeeded")])
    shown = await watched(api)
    assert said == [words]
    assert "Status: succeeded." in html(shown) and words not in html(shown)


@pytest.mark.parametrize("code", [401, 403, 404])
async def test_stops_where_asking_again_is_pointless(code):
    api = JobAPI([code])
    shown = await watched(api)
    assert f'<p role="alert">The API answered with an error ({code}): Said the API' in html(shown)
    assert "The monitor has stopped." in html(shown)
    assert api.calls == [f"GET /{JOB_ID}"]


@pytest.mark.parametrize(("name", "call"), [("Pause", "pause"), ("Cancel", "cancel")])
async def test_button_calls_the_api_and_shows_at_once(name, call):
    api = JobAPI([job("running")])
    shown = monitor(api.client, JOB_ID, every=1_000)  # so long that only the click can bring the next poll
    await until(lambda: not buttons(shown)[name].disabled)
    api.answers.append(job("cancelled"))
    buttons(shown)[name].click()
    await asyncio.wait_for(shown.task, PATIENCE)
    assert f"POST /{JOB_ID}/{call}" in api.calls
    assert "Status: cancelled." in html(shown)


async def test_resume_calls_the_api():
    api = JobAPI([job("paused")])
    shown = monitor(api.client, JOB_ID, every=1_000)
    await until(lambda: not buttons(shown)["Resume"].disabled)
    api.answers.append(job("succeeded"))
    buttons(shown)["Resume"].click()
    await asyncio.wait_for(shown.task, PATIENCE)
    assert f"POST /{JOB_ID}/resume" in api.calls


async def test_click_from_another_thread():
    """JupyterLab delivers clicks through subshells, which are threads."""
    api = JobAPI([job("running")])
    shown = monitor(api.client, JOB_ID, every=1_000)
    await until(lambda: not buttons(shown)["Cancel"].disabled)
    api.answers.append(job("cancelled"))
    await asyncio.to_thread(buttons(shown)["Cancel"].click)
    await asyncio.wait_for(shown.task, PATIENCE)
    assert "Status: cancelled." in html(shown)


async def test_a_refused_click_is_explained_and_stays_until_the_next():
    api = JobAPI([job("running")])
    shown = monitor(api.client, JOB_ID, every=1_000)
    await until(lambda: not buttons(shown)["Pause"].disabled)
    api.answers.append(409)
    buttons(shown)["Pause"].click()
    await until(lambda: "(409)" in html(shown))
    api.answers[:] = [job("cancelled")]
    shown._wake.set()
    await asyncio.wait_for(shown.task, PATIENCE)
    assert '<p role="alert">The API answered with an error (409)' in html(shown)


async def test_a_mistake_of_ours_is_shown_and_raised(monkeypatch):
    def broken(*_):
        raise KeyError("oops")

    monkeypatch.setattr(job_view, "view", broken)
    shown = monitor(JobAPI([job("running")]).client, JOB_ID, every=0)
    with pytest.raises(KeyError):
        await asyncio.wait_for(shown.task, PATIENCE)
    assert "The monitor stopped. The job goes on." in html(shown)


def test_outside_a_notebook_it_says_what_to_use():
    with pytest.raises(RuntimeError, match="helpers.jobs.wait"):
        monitor(JobAPI([job("running")]).client, JOB_ID)


async def until(condition) -> None:
    """Waits for a condition."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "It did not happen."
        await asyncio.sleep(0.01)
