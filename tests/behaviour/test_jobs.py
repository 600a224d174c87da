"""Fine-tuning jobs: from creation to the results, with a clock that the test moves."""

import base64
import csv
import io
import re

import pytest
from openai import omit

from helpers import dataset
from helpers.local_api import history

from .conftest import MODEL, rows

SNAPSHOT = "gpt-4o-mini-2024-07-18"
AUTO = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}


def test_a_new_job_says_what_was_asked_for(api, slow_job):
    job = slow_job
    assert re.fullmatch("ftjob-[0-9A-Za-z]{24}", job.id)
    assert (job.object, job.status, job.model, job.seed) == (
        "fine_tuning.job",
        "validating_files",
        SNAPSHOT,
        1,
    )
    assert job.hyperparameters.to_dict() == AUTO | {"n_epochs": 4}
    assert job.method.to_dict() == {
        "type": "supervised",
        "supervised": {"hyperparameters": AUTO | {"n_epochs": 4}},
    }
    assert (job.fine_tuned_model, job.finished_at, job.trained_tokens, job.error) == (None,) * 4
    assert (job.result_files, job.integrations, job.metadata) == ([], [], None)
    assert job.created_at == int(api.clock())


def test_statuses_come_in_order_and_the_job_ends_with_everything_filled(api, slow_job):
    seen = []
    for _ in range(101):
        job = api.client.fine_tuning.jobs.retrieve(slow_job.id)
        if job.status not in seen:
            seen.append(job.status)
        api.clock.move(1)
    assert seen == ["validating_files", "queued", "running", "succeeded"]
    assert job.hyperparameters.to_dict() == {
        "n_epochs": 4,
        "batch_size": 1,
        "learning_rate_multiplier": 1.8,
    }
    assert re.fullmatch(f"ft:{SNAPSHOT}:[a-z]+::[0-9A-Za-z]{{8}}", job.fine_tuned_model)
    assert job.finished_at == job.created_at + 100
    assert job.trained_tokens > 0 and job.trained_tokens % 4 == 0
    assert len(job.result_files) == 1 and job.error is None


def test_nothing_of_the_result_is_seen_too_early(api, slow_job):
    api.clock.move(99)
    job = api.client.fine_tuning.jobs.retrieve(slow_job.id)
    assert (job.status, job.fine_tuned_model, job.result_files) == ("running", None, [])
    assert api.client.fine_tuning.jobs.checkpoints.list(job.id).data == []
    assert not [model for model in api.client.models.list() if model.id.startswith("ft:")]


def test_events_tell_the_story_newest_first(api):
    job = api.finished_job(validation_file=api.upload(rows(3)).id)
    events = list(api.client.fine_tuning.jobs.list_events(job.id, limit=7))
    story = [event.message for event in reversed(events)]
    assert story[:4] == [
        f"Created fine-tuning job: {job.id}",
        f"Validating training file: {job.training_file} and validation file: {job.validation_file}",
        "Files validated, moving job to queued state",
        "Fine-tuning job started",
    ]
    assert story[-2:] == [
        f"New fine-tuned model created: {job.fine_tuned_model}",
        "The job has successfully completed",
    ]
    assert len({event.id for event in events}) == len(events)
    times = [event.created_at for event in events]
    assert times == sorted(times, reverse=True)


def test_checkpoints_are_told_after_the_last_step(api):
    """So the 20 newest events, which a plain list gives, name all checkpoints, as in live logs."""
    job = api.finished_job()
    newest = [event.message for event in api.client.fine_tuning.jobs.list_events(job.id).data]
    told = [text for text in newest if text.startswith("Checkpoint created at step")]
    names = [c.fine_tuned_model_checkpoint for c in api.client.fine_tuning.jobs.checkpoints.list(job.id)]
    assert told == [
        f"Checkpoint created at step {step} with Snapshot ID: {name}"
        for step, name in zip((36, 24), names[1:], strict=True)
    ]
    assert newest.index(told[-1]) < newest.index(
        next(text for text in newest if text.startswith("Step 48/48"))
    )


def test_from_its_day_on_a_job_tells_of_the_safety_checks(api):
    """In the words and the form of a live job of that day."""
    client = api.another_client(f"{api.key}@2025-10-31")
    file = api.upload(rows())
    job = client.fine_tuning.jobs.create(model=MODEL, training_file=file.id, hyperparameters={"n_epochs": 1})
    api.app.state.service.worker.wait()
    job = client.fine_tuning.jobs.retrieve(job.id)
    end = [event for event in reversed(client.fine_tuning.jobs.list_events(job.id, limit=5).data)]
    assert [event.message for event in end] == [
        "New fine-tuned model created",
        "Evaluating model against our usage policies",
        f"Moderation checks for snapshot {job.fine_tuned_model} passed.",
        "Usage policy evaluations completed, model is now enabled for sampling",
        "The job has successfully completed",
    ]
    check = end[2]
    assert check.type == "moderation_checks" and check.data["blocked"] is False
    assert check.data["finetuned_model_checkpoint_id"] == job.fine_tuned_model
    assert len(check.data["results"]) == 15
    assert {tuple(result) for result in check.data["results"]} == {("flagged", "category", "enforcement")}
    assert not any(result["flagged"] for result in check.data["results"])
    assert "_day" not in job.to_dict()


@pytest.mark.parametrize(
    ("suffix", "part"),
    [
        ("banking_intent", "banking-intent"),
        ("My Model v1.0", "My-Model-v1-0"),
        ("__", ""),
        ("机场 客服", "机场-客服"),
    ],
)
def test_a_suffix_stands_in_the_name_without_strange_signs(api, suffix, part):
    job = api.finished_job(suffix=suffix, hyperparameters={"n_epochs": 1})
    assert job.fine_tuned_model.split(":")[3] == part and job.to_dict()["user_provided_suffix"] == suffix
    assert api.client.models.retrieve(job.fine_tuned_model).id == job.fine_tuned_model


def preferences() -> list[dict]:
    return [
        {
            "input": {"messages": [{"role": "user", "content": f"Bed {number}?"}]},
            "preferred_output": [{"role": "assistant", "content": "In the evening."}],
            "non_preferred_output": [{"role": "assistant", "content": "No."}],
        }
        for number in range(10)
    ]


@pytest.mark.parametrize(
    ("model", "day", "taken"),
    [
        ("gpt-4o-2024-08-06", "2025-06-01", True),
        ("gpt-4o-mini", "2025-06-01", True),
        ("gpt-4.1-nano", "2025-06-01", True),
        ("gpt-3.5-turbo", "2025-06-01", False),
        ("gpt-4o-2024-08-06", "2024-12-16", False),
        ("gpt-4o-2024-08-06", "2024-12-17", True),
    ],
)
def test_preferences_train_the_models_that_took_them_on_the_day(api, model, day, taken):
    client = api.another_client(f"{api.key}@{day}")
    order = {"model": model, "training_file": api.upload(preferences()).id, "method": {"type": "dpo"}}
    if taken:
        assert client.fine_tuning.jobs.create(**order).method.type == "dpo"
    else:
        error = api.refusal(client.fine_tuning.jobs.create, **order)
        assert (error.status_code, error.code) == (400, "model_not_available")


def test_the_default_rate_of_the_smallest_is_its_own_and_trains_as_any_other(api):
    job = api.finished_job(model="gpt-4.1-nano")
    assert job.hyperparameters.learning_rate_multiplier == 0.1
    events = [event for event in api.client.fine_tuning.jobs.list_events(job.id) if event.type == "metrics"]
    assert events[0].data["train_loss"] < 0.5 * events[-1].data["train_loss"]


def test_every_step_is_a_metrics_event(api):
    job = api.finished_job(validation_file=api.upload(rows(3)).id)
    events = [event for event in api.client.fine_tuning.jobs.list_events(job.id) if event.type == "metrics"]
    steps = [event.data for event in reversed(events)]
    assert [step["step"] for step in steps] == list(range(1, 49))
    assert {step["total_steps"] for step in steps} == {48}
    assert [step["step"] for step in steps if "full_valid_loss" in step] == [12, 24, 36, 48]
    last = events[0]
    losses = [("training loss", "train_loss"), ("validation loss", "valid_loss")]
    losses.append(("full validation loss", "full_valid_loss"))
    told = ", ".join(f"{name}={last.data[key]:.2f}" for name, key in losses if key in last.data)
    assert last.message == f"Step 48/48: {told}"


def test_pages_of_events(api):
    job = api.finished_job()
    first = api.client.fine_tuning.jobs.list_events(job.id)
    assert len(first.data) == 20 and first.has_more
    everything = list(api.client.fine_tuning.jobs.list_events(job.id, limit=100))
    assert [event.id for event in first] == [event.id for event in everything]
    page = api.client.fine_tuning.jobs.list_events(job.id, after=everything[-2].id)
    assert [event.id for event in page.data] == [everything[-1].id] and not page.has_more


def test_the_last_three_epochs_are_checkpoints_and_the_last_is_the_model(api):
    job = api.finished_job(suffix="garden", validation_file=api.upload(rows(3)).id)
    page = api.client.fine_tuning.jobs.checkpoints.list(job.id)
    names = [checkpoint.fine_tuned_model_checkpoint for checkpoint in page.data]
    assert [checkpoint.step_number for checkpoint in page.data] == [48, 36, 24]
    assert names[0] == job.fine_tuned_model
    assert re.fullmatch(f"ft:{SNAPSHOT}:[a-z]+:garden:[0-9A-Za-z]{{8}}", names[0])
    for name, step in zip(names[1:], (36, 24), strict=True):
        assert re.fullmatch(f"ft:{SNAPSHOT}:[a-z]+:garden:[0-9A-Za-z]{{8}}:ckpt-step-{step}", name)
    assert len({name.split(":")[4] for name in names}) == 3
    metrics = page.data[0].metrics
    assert metrics.step == 48 and metrics.train_loss > 0 and metrics.full_valid_loss > 0
    assert page.data[0].id.startswith("ftckpt_") and page.data[0].fine_tuning_job_id == job.id
    assert [c.step_number for c in api.client.fine_tuning.jobs.checkpoints.list(job.id, limit=1)] == [
        48,
        36,
        24,
    ]


def test_the_results_file_is_base64_of_a_csv_and_agrees_with_the_events(api):
    job = api.finished_job(validation_file=api.upload(rows(3)).id)
    (file_id,) = job.result_files
    assert api.client.files.retrieve(file_id).purpose == "fine-tune-results"
    content = api.client.files.content(file_id).read()
    assert api.client.files.retrieve(file_id).bytes == len(content)
    table = list(csv.DictReader(io.StringIO(base64.b64decode(content, validate=True).decode())))
    assert list(table[0]) == [
        "step",
        "train_loss",
        "train_accuracy",
        "valid_loss",
        "valid_mean_token_accuracy",
    ]
    assert [int(line["step"]) for line in table] == list(range(1, 49))
    events = {
        event.data["step"]: event.data
        for event in api.client.fine_tuning.jobs.list_events(job.id)
        if event.type == "metrics"
    }
    for line in table:
        step = events[int(line["step"])]
        assert float(line["train_loss"]) == pytest.approx(step["train_loss"], abs=1e-4)
        assert (line["valid_loss"] == "") == ("valid_loss" not in step)


def test_the_same_seed_gives_the_same_numbers_and_another_one_does_not(api):
    def losses(seed):
        job = api.finished_job(seed=seed)
        return [event.data for event in api.client.fine_tuning.jobs.list_events(job.id, limit=100)]

    assert losses(5) == losses(5) != losses(6)


# --- options -----------------------------------------------------------------------------------------------


def test_method_supervised(api):
    method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": 6}}}
    job = api.finished_job(method=method, hyperparameters=omit)
    assert job.hyperparameters.to_dict() == {
        "n_epochs": 2,
        "batch_size": 6,
        "learning_rate_multiplier": 1.8,
    }
    assert len(api.client.fine_tuning.jobs.checkpoints.list(job.id).data) == 2


def test_method_dpo_learns_from_preference_rows(api):
    preference = [
        {
            "input": {"messages": row["messages"][:2]},
            "preferred_output": row["messages"][2:],
            "non_preferred_output": [{"role": "assistant", "content": "No idea."}],
        }
        for row in rows()
    ]
    method = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.5, "n_epochs": 1}}}
    job = api.finished_job(preference, model="gpt-4.1-mini", method=method, hyperparameters=omit)
    assert (job.status, job.method.type) == ("succeeded", "dpo")
    assert job.method.dpo.hyperparameters.beta == 0.5
    assert job.hyperparameters is not None
    assert job.trained_tokens == dataset.check(preference, model="gpt-4.1-mini").kept_tokens


def test_trained_tokens_are_those_of_the_checker_times_epochs(api):
    tool = {"type": "function", "function": {"name": "water", "parameters": {"type": "object"}}}
    image = {"type": "image_url", "image_url": {"url": "https://garden.example/bed.png", "detail": "low"}}
    seen = [{"role": "user", "content": [image]}, {"role": "assistant", "content": "It is dry."}]
    for examples in (rows(), [row | {"tools": [tool]} for row in rows()], [{"messages": seen}] * 12):
        job = api.finished_job(examples, model="gpt-4o")
        assert job.trained_tokens == 4 * dataset.check(examples, model="gpt-4o").kept_tokens


@pytest.mark.parametrize(("count", "epochs"), [(10, 10), (12, 8), (33, 3), (34, 3), (100, 3)])
def test_auto_epochs_follow_the_rule_of_openais_notebook(api, count, epochs):
    job = api.finished_job(rows(count), hyperparameters=omit)
    assert job.hyperparameters.n_epochs == epochs


def test_jobs_are_listed_newest_first_and_found_by_metadata(api):
    first = api.create_job(metadata={"course": "garden", "try": "1"})
    second = api.create_job(metadata={"course": "garden", "try": "2"})
    third = api.create_job()
    jobs = api.client.fine_tuning.jobs

    def found(**options):
        return [job.id for job in jobs.list(**options)]

    assert found() == found(limit=1) == [third.id, second.id, first.id]
    assert found(metadata={"course": "garden"}) == [second.id, first.id]
    assert found(metadata={"course": "garden", "try": "1"}) == [first.id]
    assert found(metadata={"course": "kitchen"}) == []
    assert found(extra_query={"metadata": "null"}) == [third.id]
    assert jobs.retrieve(first.id).metadata == {"course": "garden", "try": "1"}


def test_a_wandb_integration_is_accepted_and_shown(api):
    wandb = {"type": "wandb", "wandb": {"project": "p", "tags": ["a"]}}
    job = api.create_job(integrations=[wandb])
    assert job.integrations[0].wandb.project == "p"


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"n_epochs": 51}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"n_epochs": 2.5}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"n_epochs": "many"}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"n_epochs": True}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"batch_size": 257}}, "hyperparameters.batch_size"),
        (
            {"hyperparameters": {"learning_rate_multiplier": 0}},
            "hyperparameters.learning_rate_multiplier",
        ),
        ({"hyperparameters": {"epochs": 3}}, "hyperparameters.epochs"),
        (
            {"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 3}}}},
            "method.dpo.hyperparameters.beta",
        ),
        ({"method": {"type": "magic"}}, "method.type"),
        ({"method": {"type": "reinforcement"}}, "method.type"),
        ({"method": {"type": "supervised"}, "hyperparameters": {"n_epochs": 3}}, "hyperparameters"),
        ({"suffix": ""}, "suffix"),
        ({"suffix": "x" * 65}, "suffix"),
        ({"suffix": 7}, "suffix"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"metadata": {str(n): "v" for n in range(17)}}, "metadata"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"integrations": [{"type": "wandb"}]}, "integrations[0].wandb"),
        ({"training_file": "file-none"}, "training_file"),
        ({"validation_file": "file-none"}, "validation_file"),
        ({"training_file": None}, "training_file"),
        ({"model": "gpt-9"}, "model"),
        ({"model": "text-embedding-3-small"}, "model"),
        ({"extra_body": {"epochs": 3}}, "epochs"),
    ],
)
def test_a_wrong_request_is_refused_with_its_param(api, options, param):
    options = {"model": MODEL, "training_file": api.upload(rows(1)).id} | options
    error = api.refusal(api.client.fine_tuning.jobs.create, **options)
    assert (error.status_code, error.type, error.param) == (400, "invalid_request_error", param)
    assert list(api.client.fine_tuning.jobs.list()) == []


def test_a_file_of_another_purpose_is_refused(api):
    file = api.client.files.create(file=b"x", purpose="user_data")
    error = api.refusal(api.client.fine_tuning.jobs.create, model=MODEL, training_file=file.id)
    assert (error.status_code, error.param) == (400, "training_file")


# --- cancel, pause, resume ---------------------------------------------------------------------------------


def test_a_cancelled_job_stays_cancelled_and_makes_no_model(api, slow_job):
    api.clock.move(50)
    jobs = api.client.fine_tuning.jobs
    job = jobs.cancel(slow_job.id)
    assert job.status == "cancelled" and job.finished_at == int(api.clock())
    events = [event.message for event in jobs.list_events(job.id, limit=100)]
    api.clock.move(1000)
    job = jobs.retrieve(job.id)
    assert (job.status, job.fine_tuned_model, job.result_files) == ("cancelled", None, [])
    assert [event.message for event in jobs.list_events(job.id, limit=100)] == events
    assert jobs.checkpoints.list(job.id).data == []
    for call in (jobs.cancel, jobs.pause, jobs.resume):
        assert api.refusal(call, job.id).status_code == 400


def test_a_finished_job_cannot_be_cancelled_paused_or_resumed(api):
    job = api.finished_job()
    for call in (
        api.client.fine_tuning.jobs.cancel,
        api.client.fine_tuning.jobs.pause,
        api.client.fine_tuning.jobs.resume,
    ):
        assert api.refusal(call, job.id).status_code == 400
    assert api.client.fine_tuning.jobs.retrieve(job.id).status == "succeeded"


def test_a_paused_job_stands_still_and_goes_on_where_it_was(api, slow_job):
    jobs = api.client.fine_tuning.jobs

    def step():
        return next(
            (event.data["step"] for event in jobs.list_events(slow_job.id) if event.type == "metrics"), 0
        )

    api.clock.move(50)
    before = step()
    assert jobs.pause(slow_job.id).status == "paused"
    assert jobs.pause(slow_job.id).status == "paused"
    api.clock.move(10_000)
    assert (jobs.retrieve(slow_job.id).status, step()) == ("paused", before)
    assert [job.status for job in jobs.list()] == ["paused"]
    assert jobs.resume(slow_job.id).status == "queued"
    api.clock.move(1)
    assert jobs.retrieve(slow_job.id).status == "running"
    assert before <= step() <= before + 1
    api.clock.move(48)
    assert jobs.retrieve(slow_job.id).status == "running"
    api.clock.move(2)
    job = jobs.retrieve(slow_job.id)
    assert job.status == "succeeded" and job.fine_tuned_model
    assert [c.step_number for c in jobs.checkpoints.list(job.id)] == [48, 36, 24]


@pytest.mark.parametrize("when", [0, 15, 50])
def test_a_job_can_be_paused_twice_and_cancelled_while_paused(api, slow_job, when):
    jobs = api.client.fine_tuning.jobs
    api.clock.move(when)
    for _ in range(2):
        assert jobs.pause(slow_job.id).status == "paused"
        api.clock.move(500)
        jobs.resume(slow_job.id)
        api.clock.move(1)
    jobs.pause(slow_job.id)
    assert jobs.cancel(slow_job.id).status == "cancelled"
    api.clock.move(1e6)
    assert jobs.retrieve(slow_job.id).status == "cancelled"


@pytest.mark.parametrize("when", [0, 15, 50])
def test_a_resumed_job_ends_at_any_point_of_its_course(api, slow_job, when):
    jobs = api.client.fine_tuning.jobs
    api.clock.move(when)
    jobs.pause(slow_job.id)
    api.clock.move(500)
    jobs.resume(slow_job.id)
    api.clock.move(101 - when)
    assert jobs.retrieve(slow_job.id).status == "succeeded"


def test_resuming_a_running_job_changes_nothing(api, slow_job):
    api.clock.move(50)
    assert api.client.fine_tuning.jobs.resume(slow_job.id).status == "running"


# --- a clock that goes back --------------------------------------------------------------------------------

BACK = (1e-3, 3.0, 3600.0, 10 * 365 * 86400.0)  # seconds


@pytest.mark.parametrize("seconds", BACK)
def test_a_clock_that_goes_back_hides_nothing_of_a_job_that_is_over(api, seconds):
    api.clock.stop()
    job = api.finished_job()
    client = api.client

    def seen() -> list:
        return [
            client.fine_tuning.jobs.retrieve(job.id),
            client.fine_tuning.jobs.list().data,
            client.fine_tuning.jobs.list_events(job.id, limit=100).data,
            client.fine_tuning.jobs.checkpoints.list(job.id).data,
            client.files.list().data,
            client.files.content(job.result_files[0]).read(),
            client.models.retrieve(job.fine_tuned_model),
        ]

    before = seen()
    api.clock.move(-seconds)
    assert seen() == before
    newer = api.finished_job()  # and work goes on
    assert newer.status == "succeeded"
    assert {one.id for one in client.fine_tuning.jobs.list()} == {job.id, newer.id}
    assert client.files.delete(job.training_file).deleted


@pytest.mark.parametrize("seconds", BACK)
@pytest.mark.parametrize("what", ["cancel", "pause"])
def test_a_job_under_way_can_be_ended_and_held_after_the_clock_has_gone_back(api, slow_job, what, seconds):
    api.clock.move(50)
    jobs = api.client.fine_tuning.jobs
    assert jobs.retrieve(slow_job.id).status == "running"
    api.clock.move(-seconds)
    if jobs.retrieve(slow_job.id).status == "succeeded":
        return  # from a time before it was made, nothing of it is still to come
    if what == "cancel":
        assert jobs.cancel(slow_job.id).status == "cancelled"
        assert jobs.retrieve(slow_job.id).status == "cancelled"
    else:
        assert api.client.post(f"/fine_tuning/jobs/{slow_job.id}/pause", cast_to=dict)["status"] == "paused"
        assert api.client.post(f"/fine_tuning/jobs/{slow_job.id}/resume", cast_to=dict)["status"] == "queued"
        api.clock.move(200)
        assert jobs.retrieve(slow_job.id).status == "succeeded"


def test_a_job_that_was_not_computed_yet_ends_although_the_clock_has_gone_back(api, monkeypatch):
    api.clock.stop()
    monkeypatch.setenv("LOCAL_API_JOB_SECONDS", "100")
    worker = api.app.state.service.worker
    monkeypatch.setattr(worker, "submit", lambda *job: None)
    job = api.create_job()
    api.clock.move(-3600)
    monkeypatch.undo()
    assert api.client.fine_tuning.jobs.retrieve(job.id).id == job.id  # who looks brings it forward
    worker.wait()
    api.clock.move(101)
    assert api.client.fine_tuning.jobs.retrieve(job.id).status == "succeeded"


def test_a_job_of_many_epochs_can_be_watched(monkeypatch):
    """Without the variable of the tests: eight seconds, and for twenty epochs more; with it always as it says."""
    monkeypatch.delenv("LOCAL_API_JOB_SECONDS")
    assert history.job_seconds() == history.job_seconds(3) == 8 < 20 < history.job_seconds(20)
    monkeypatch.setenv("LOCAL_API_JOB_SECONDS", "0")
    assert history.job_seconds(20) == 0
