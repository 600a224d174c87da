"""helpers.jobs: waiting, metrics, finding."""

import base64

import pandas
import pytest

from helpers import jobs
from tests.unit.job_api import JOB_ID, JobAPI, event, job, step

PATIENCE = 120  # seconds: a deadline for a hang, not a measure of speed
CSV = (
    b"step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n"
    b"1,4.12345,0.1,,\n2,3.5,0.2,3.75,0.25\n"
)


def as_job(api: JobAPI):
    return api.client.fine_tuning.jobs.retrieve(JOB_ID)


# --- wait ----------------------------------------------------------------------------------------------


def test_wait_prints_changes_only_and_returns_the_last_job(capsys):
    statuses = ["validating_files", "queued", "queued", "running", "running", "running", "succeeded"]
    api = JobAPI([job(status) for status in statuses])
    ended = jobs.wait(api.client, JOB_ID, every=0, timeout=PATIENCE)
    assert ended.status == "succeeded"
    assert len(api.calls) == len(statuses)
    assert capsys.readouterr().out == "validating_files\nqueued\nrunning\nsucceeded\n"


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_wait_ends_on_each_terminal_status(status):
    api = JobAPI([job(status)])
    assert jobs.wait(api.client, JOB_ID, every=0, timeout=PATIENCE).status == status
    assert len(api.calls) == 1


def test_wait_says_why_a_job_failed(capsys):
    api = JobAPI([job("failed", error={"code": "c", "message": "7 example(s)", "param": None})])
    jobs.wait(api.client, JOB_ID, every=0, timeout=PATIENCE)
    assert capsys.readouterr().out == "failed: 7 example(s)\n"


def test_wait_passes_over_the_empty_error_of_a_healthy_job(capsys):
    api = JobAPI([job("succeeded", error={"code": None, "message": None, "param": None})])
    jobs.wait(api.client, JOB_ID, every=0, timeout=PATIENCE)
    assert capsys.readouterr().out == "succeeded\n"


def test_wait_polls_on_at_an_unknown_status_and_prints_it(capsys):
    api = JobAPI([job("moderating"), job("moderating"), job("paused"), job("succeeded")])
    assert jobs.wait(api.client, JOB_ID, every=0, timeout=PATIENCE).status == "succeeded"
    assert capsys.readouterr().out == "moderating\npaused\nsucceeded\n"


def test_wait_ends_on_an_unknown_status_of_a_finished_job():
    api = JobAPI([job("running"), job("archived", finished_at=2_000)])
    assert jobs.wait(api.client, JOB_ID, every=0, timeout=PATIENCE).status == "archived"


def test_wait_gives_up_after_the_timeout():
    api = JobAPI([job("running")])
    with pytest.raises(TimeoutError, match="job ftjob-1 is still 'running'.*call wait"):
        jobs.wait(api.client, JOB_ID, every=0, timeout=0)
    assert len(api.calls) == 1


@pytest.mark.parametrize(
    ("url", "every", "expected"),
    [
        ("http://127.0.0.1:8000/v1", 0.5, 0.5),
        ("http://localhost/v1", 1, 1),
        ("http://[::1]:8000/v1", 1, 1),
        ("https://api.openai.com/v1", 1, 5),
        ("https://api.openai.com/v1", 30, 30),
        ("https://localhost.example.com/v1", 1, 5),
    ],
)
def test_pace_spares_an_api_elsewhere(url, every, expected):
    assert jobs.pace(JobAPI(url=url).client, every) == expected


# --- metrics -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [CSV, base64.b64encode(CSV), base64.encodebytes(CSV), b"\xef\xbb\xbf" + CSV, CSV.replace(b"\n", b"\r\n")],
    ids=["plain", "base64", "base64 in lines", "with a byte order mark", "CRLF"],
)
def test_metrics(content):
    api = JobAPI([job("succeeded", result_files=["file-9"])], content=content)
    table = jobs.metrics(api.client, as_job(api))
    assert list(table.columns) == [*jobs.COLUMNS, "full_valid_loss"]
    assert table["step"].tolist() == [1, 2] and table["step"].dtype == "int64"
    assert table["train_loss"].tolist() == [4.12345, 3.5]
    assert pandas.isna(table["valid_loss"][0]) and table["valid_loss"][1] == 3.75
    assert table["full_valid_loss"].isna().all()
    assert "GET /v1/files/file-9/content" in api.calls


def test_metrics_have_the_loss_on_all_validation_rows_where_the_events_tell_it():
    told = step(2, 2, 1_000, 3.5, 3.75)
    told["data"]["full_valid_loss"] = 3.25
    events = [event(1, "Created"), step(1, 2, 1_000, 4.1), told]
    api = JobAPI([job("succeeded", result_files=["file-9"])], events, content=CSV)
    table = jobs.metrics(api.client, as_job(api))
    assert pandas.isna(table["full_valid_loss"][0]) and table["full_valid_loss"][1] == 3.25


def test_metrics_do_without_the_events_of_a_service_that_has_none(monkeypatch):
    api = JobAPI([job("succeeded", result_files=["file-9"])], content=CSV)
    monkeypatch.setattr(api, "_events", lambda after, limit: api._play(404))
    assert jobs.metrics(api.client, as_job(api))["full_valid_loss"].isna().all()


def test_metrics_without_any_validation_column():
    api = JobAPI([job("succeeded", result_files=["file-9"])], content=b"step,train_loss\n1,2.5\n")
    table = jobs.metrics(api.client, as_job(api))
    assert table["valid_loss"].isna().all() and table["valid_loss"].dtype == float
    assert table["full_valid_loss"].isna().all() and not [
        call for call in api.calls if call.endswith("/events")
    ]


@pytest.mark.parametrize("content", [b'{"messages": []}', b"", b"\xff\xfe\x00", base64.b64encode(b"no csv")])
def test_metrics_of_another_file(content):
    api = JobAPI([job("succeeded", result_files=["file-9"])], content=content)
    with pytest.raises(ValueError, match="file-9 is not a results file"):
        jobs.metrics(api.client, as_job(api))


@pytest.mark.parametrize(
    ("status", "advice"),
    [("running", "Call wait"), ("failed", "Only a job that succeeded"), ("succeeded", "Retrieve the job")],
)
def test_metrics_of_a_job_without_results(status, advice):
    api = JobAPI([job(status)])
    with pytest.raises(ValueError, match=f"ftjob-1 has no results file: its status is '{status}'. {advice}"):
        jobs.metrics(api.client, as_job(api))


# --- find ----------------------------------------------------------------------------------------------


def test_find_takes_the_newest_that_may_still_be_of_use():
    wanted = {"run": "a"}
    listed = [
        job("cancelled", id="5", metadata=wanted),
        job("failed", id="4", metadata=wanted),
        job("running", id="3", metadata={"run": "b"}),  # of a provider that ignores the filter
        job("running", id="2", metadata={"run": "a", "more": "x"}),
        job("succeeded", id="1", metadata=wanted),
    ]
    assert jobs.find(JobAPI(listed=listed).client, wanted).id == "2"


def test_find_asks_the_api_to_filter(monkeypatch):
    api = JobAPI()
    asked, ask = [], api.client.fine_tuning.jobs.list
    monkeypatch.setattr(
        api.client.fine_tuning.jobs, "list", lambda **query: asked.append(query) or ask(**query)
    )
    assert jobs.find(api.client, {"run": "a"}) is None
    assert asked == [{"metadata": {"run": "a"}}]


def test_find_without_a_match_and_without_metadata():
    listed = [job("succeeded"), job("running", metadata={"run": "b"})]
    assert jobs.find(JobAPI(listed=listed).client, {"run": "a"}) is None
    with pytest.raises(ValueError, match="at least one pair"):
        jobs.find(JobAPI(listed=listed).client, {})


def test_find_ends_where_a_service_sends_the_same_page_for_ever():
    api = JobAPI(listed=[job("succeeded", id="2"), job("running", id="1")], repeats=True)
    assert jobs.find(api.client, {"run": "a"}) is None
    assert len(api.calls) == 2
    api.listed[1]["metadata"] = {"run": "a"}
    assert jobs.find(api.client, {"run": "a"}).id == "1"


def test_find_looks_on_where_pages_overlap():
    """A list may grow while it is read: then the last of one page is the first of the next."""
    pages = [["4", "3"], ["3", "2"], ["2", "1"]]

    class Growing(JobAPI):
        def _answer(self, request):
            self.listed = [job(id=number, metadata={"run": number}) for number in pages.pop(0)]
            return super()._answer(request)

    assert jobs.find(Growing(repeats=True).client, {"run": "1"}).id == "1"
    assert pages == []


# --- events --------------------------------------------------------------------------------------------


def test_new_events_are_oldest_first_over_pages():
    api = JobAPI(events=[event(i, f"Message {i}") for i in range(250)])
    found = jobs.new_events(api.client, JOB_ID)
    assert [e.id for e in found] == [f"ftevent-{i}" for i in range(250)]
    assert len(api.calls) == 3


def test_new_events_stop_at_the_known_one():
    api = JobAPI(events=[event(i, f"Message {i}") for i in range(250)])
    assert [e.id for e in jobs.new_events(api.client, JOB_ID, "ftevent-247")] == [
        "ftevent-248",
        "ftevent-249",
    ]
    assert jobs.new_events(api.client, JOB_ID, "ftevent-249") == []
    assert len(api.calls) == 2


def test_new_events_end_where_a_service_sends_the_same_page_for_ever():
    api = JobAPI(events=[event(i, f"Message {i}") for i in range(250)], repeats=True)
    assert [e.id for e in jobs.new_events(api.client, JOB_ID)] == [f"ftevent-{i}" for i in range(150, 250)]
    assert len(api.calls) == 2
    assert jobs.new_events(api.client, JOB_ID, "ftevent-249") == []
