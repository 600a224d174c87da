"""A suffix of the key sets the scene, and the date."""

import asyncio
import datetime
import threading

import openai
import pytest

from helpers.local_api import facts
from helpers.local_api.errors import APIError
from helpers.local_api.scenarios import SCENARIOS, SLOW_SECONDS, STAGE_DATE

from .conftest import MODEL, rows
from .test_chat import MESSAGES

PAID = ("job", "chat", "embeddings")


def calls(client, file_id: str) -> dict:
    """The three calls that cost money on the real API."""
    return {
        "job": lambda: client.fine_tuning.jobs.create(model=MODEL, training_file=file_id),
        "chat": lambda: client.chat.completions.create(model=MODEL, messages=MESSAGES),
        "embeddings": lambda: client.embeddings.create(model="text-embedding-3-small", input="x"),
    }


@pytest.fixture
def scene(api):
    """The calls of the same learner, in a scene."""
    file_id = api.upload(rows()).id

    def enter(suffix: str, **options) -> dict:
        return calls(api.another_client(api.key + suffix, **options), file_id)

    return enter


def attempts(answer) -> int:
    return int(answer.request.headers["x-stainless-retry-count"]) + 1


def test_closed_refuses_jobs_only_and_for_the_same_files(api, scene):
    closed = scene(".closed")
    error = api.refusal(closed["job"])
    assert isinstance(error, openai.PermissionDeniedError)
    assert error.body == {
        "message": "OpenAI is winding down the fine-tuning platform and your organization is no longer able to "
        "create new fine-tuning training jobs. Learn more https://developers.openai.com/api/docs/deprecations"
        "#update-to-openais-self-serve-fine-tuning",
        "type": "invalid_request_error",
        "param": None,
        "code": "training_not_available",
    }
    assert closed["chat"]() and closed["embeddings"]()
    client = api.another_client(api.key + ".closed")
    assert len(list(client.files.list())) == 1 and list(client.fine_tuning.jobs.list()) == []
    assert client.files.create(file=b"x", purpose="fine-tune").id


@pytest.mark.parametrize("call", PAID)
@pytest.mark.parametrize(
    ("day", "code"),
    [
        ("", "insufficient_quota"),
        ("@2026-08-02", "insufficient_quota"),
        ("@2026-08-03", "credit_balance_exhausted"),
    ],
)
def test_broke_is_not_worth_a_retry(api, scene, call, day, code):
    """The code is that of the day; the type stays."""
    error = api.refusal(scene(f".broke{day}", max_retries=2)[call])
    assert (error.status_code, error.code, error.type) == (429, code, "insufficient_quota")
    assert attempts(error.response) == 1


def test_only_the_header_of_the_mock_stops_the_retries_of_the_client(api, scene, monkeypatch):
    """What ``client_retries_no_credit`` of models.csv says, with the client that is installed."""
    told = APIError(429, "No credit.", type="insufficient_quota", code="insufficient_quota")
    told.headers = {"retry-after-ms": "1"}  # no time is lost
    monkeypatch.setattr("helpers.local_api.scenarios._out_of_credit", lambda day: told)
    error = api.refusal(scene(".broke", max_retries=2)["chat"])
    assert attempts(error.response) == 3
    assert facts.value("*", "client_retries_no_credit") == "yes"


@pytest.mark.parametrize("call", PAID)
def test_limited_says_when_to_come_back(api, scene, call):
    error = api.refusal(scene(".limited")[call])
    assert (error.status_code, error.code) == (429, "rate_limit_exceeded")
    headers = error.response.headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("1", "1000")
    assert headers["x-ratelimit-remaining-requests"] == "0"


@pytest.mark.parametrize("call", PAID)
def test_flaky_fails_twice_and_then_the_clients_retries_get_through(api, scene, call):
    assert api.refusal(scene(".flaky")[call]).status_code == 500
    assert api.refusal(scene(".flaky")[call]).status_code == 500
    assert scene(".flaky")[call]()
    assert scene(".flaky", max_retries=2)[call]()


def test_flaky_makes_one_job_and_not_three(api, scene):
    scene(".flaky", max_retries=2)["job"]()
    assert len(list(api.client.fine_tuning.jobs.list())) == 1


def test_slow_answers_later(api, monkeypatch):
    """Each answer waits for the seconds that the scene is said to take; without a scene it waits for none."""
    waits = []

    async def noted(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("helpers.local_api.app.anyio.sleep", noted)
    for suffix in (".slow", "", ".slow"):
        assert api.another_client(api.key + suffix).models.list().data
    assert waits == [SLOW_SECONDS, 0, SLOW_SECONDS]
    assert f"takes {SLOW_SECONDS:.0f} seconds longer" in SCENARIOS["slow"]


def test_a_client_gives_up_on_a_slow_answer(api, monkeypatch):
    """The answer comes when the client is gone for certain, so that its time-out does not race with it."""
    given_up = threading.Event()

    async def until_the_client_is_gone(_: float) -> None:
        while not given_up.is_set():
            await asyncio.sleep(0.01)

    monkeypatch.setattr("helpers.local_api.app.anyio.sleep", until_the_client_is_gone)
    try:
        with pytest.raises(openai.APITimeoutError):
            api.another_client(api.key + ".slow", timeout=0.1).models.list()
    finally:
        given_up.set()


@pytest.mark.parametrize(
    "suffix", [".unknown", "@2026-02-30", "@2026-13-01", "@tomorrow", ".closed.broke", "@"]
)
def test_a_scene_that_does_not_exist_is_refused(api, suffix):
    assert api.refusal(api.another_client(api.key + suffix).models.list).status_code in (400, 401)


def test_reading_is_free_in_every_scene(api, monkeypatch):
    monkeypatch.setattr("helpers.local_api.scenarios.SLOW_SECONDS", 0)
    job = api.finished_job()
    for name in SCENARIOS:
        client = api.another_client(f"{api.key}.{name}")
        assert client.fine_tuning.jobs.retrieve(job.id).status == "succeeded"


# --- dates -------------------------------------------------------------------------------------------------


def on(api, day: str):
    return api.another_client(f"{api.key}@{day}")


def test_the_stage_is_a_day_on_which_all_could_be_tuned(api):
    assert STAGE_DATE == datetime.date(2025, 6, 1)
    for model in ("gpt-3.5-turbo", "gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano"):
        names = {m.id for m in api.client.models.list()}
        assert model in names


@pytest.mark.parametrize(("day", "there"), [("2026-10-22", True), ("2026-10-23", False)])
def test_a_base_model_is_there_until_the_day_before_its_end(api, day, there):
    names = {model.id for model in on(api, day).models.list()}
    assert ("gpt-3.5-turbo" in names) is there
    if there:
        assert on(api, day).models.retrieve("gpt-3.5-turbo")
        return
    for call in (
        lambda: on(api, day).models.retrieve("gpt-3.5-turbo"),
        lambda: on(api, day).chat.completions.create(model="gpt-3.5-turbo", messages=MESSAGES),
    ):
        error = api.refusal(call)
        assert (error.status_code, error.code, error.param) == (404, "model_not_found", None)
        assert error.body["message"] == (
            "The model `gpt-3.5-turbo` has been deprecated, learn more here: "
            "https://platform.openai.com/docs/deprecations"
        )


@pytest.mark.parametrize(("day", "there"), [("2027-01-13", True), ("2027-01-14", False)])
def test_a_tuned_model_ends_with_its_base(api, day, there):
    name = api.finished_job().fine_tuned_model
    client = on(api, day)
    assert (name in {model.id for model in client.models.list()}) is there
    if there:
        assert client.chat.completions.create(model=name, messages=MESSAGES).choices
    else:
        error = api.refusal(client.chat.completions.create, model=name, messages=MESSAGES)
        assert (error.status_code, error.code) == (404, "model_not_found")
        assert "has been deprecated" in error.message


@pytest.mark.parametrize(
    ("day", "open_"), [("2026-05-06", True), ("2026-05-07", False), ("2027-01-06", False)]
)
def test_jobs_are_refused_from_the_day_on_which_newcomers_were(api, day, open_):
    create = calls(on(api, day), api.upload(rows()).id)["job"]
    if open_:
        assert create().status
    else:
        assert api.refusal(create).code == "training_not_available"


def test_a_model_that_does_not_exist_yet_is_not_found(api):
    error = api.refusal(on(api, "2023-01-01").models.retrieve, "gpt-4o")
    assert (error.status_code, error.code) == (404, "model_not_found")
    assert "deprecated" not in error.message


def test_a_scene_and_a_date_together(api):
    client = api.another_client(api.key + ".broke@2027-01-15")
    assert "gpt-4o" not in {model.id for model in client.models.list()}
    refused = api.refusal(client.embeddings.create, model="text-embedding-3-small", input="x")
    assert refused.code == "credit_balance_exhausted"
