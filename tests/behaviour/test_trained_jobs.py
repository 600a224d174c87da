"""Jobs of the trained engine through the client: a real training process, on a tiny model with random weights."""

import os
import signal

import psutil

from helpers.jobs import metrics, new_events
from helpers.local_api.engines import trained
from helpers.local_api.engines.trained import lease, turns
from tests import tiny_model

from .conftest import rows
from .training_jobs import MODEL, create, pause_resume_and_kill, status, steps, until, workers

pytestmark = tiny_model.TIER

ASKED = [{"role": "user", "content": "When do I water bed 3?"}]


def test_a_job_trains_and_its_model_answers(local):
    job = create(local, suffix="garden", validation_file=local.upload(rows(3)).id)
    assert (job.status, job.organization_id) == ("validating_files", trained.ORGANIZATION)
    job = status(local, job, "succeeded", "failed")
    assert job.status == "succeeded", job.error
    assert steps(local, job) == [1, 2, 3, 4, 5, 6]
    assert job.hyperparameters.n_epochs == 2 and job.trained_tokens > 100
    table = metrics(local.client, job)
    assert list(table.step) == [1, 2, 3, 4, 5, 6] and table.train_loss.gt(0).all()
    assert list(table.valid_loss.dropna().index) == [2, 5]
    points = list(local.client.fine_tuning.jobs.checkpoints.list(job.id))
    assert [point.step_number for point in points] == [6, 3]
    assert points[0].fine_tuned_model_checkpoint == job.fine_tuned_model
    assert job.fine_tuned_model.startswith(f"ft:{MODEL}:") and ":garden:" in job.fine_tuned_model
    listed = {model.id for model in local.client.models.list()}
    assert {MODEL, job.fine_tuned_model, points[1].fine_tuned_model_checkpoint} <= listed
    answers_plainly_and_streamed(local, job.fine_tuned_model)


def answers_plainly_and_streamed(api, model):
    options = {"model": model, "messages": ASKED, "temperature": 0, "max_tokens": 9}
    whole = api.client.chat.completions.create(**options, logprobs=True, top_logprobs=2, n=2)
    first, second = whole.choices
    assert whole.system_fingerprint == "fp_trained" and whole.usage.completion_tokens == 18
    assert first.message.content == second.message.content and first.finish_reason == "length"
    assert len(first.logprobs.content) == 9 and len(first.logprobs.content[0].top_logprobs) == 2
    events = list(
        api.client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True})
    )
    text = "".join(e.choices[0].delta.content or "" for e in events if e.choices)
    assert text == first.message.content and events[-1].usage.completion_tokens == 9
    error = api.refusal(
        api.client.chat.completions.create, model=model, messages=[{"role": "user", "content": "bed " * 2000}]
    )
    assert (error.status_code, error.code) == (400, "context_length_exceeded")


def test_pause_resume_and_a_killed_process(local):
    job = create(local, epochs=50)
    pause_resume_and_kill(local, job, 12, steps)
    job = status(local, job, "succeeded", "failed")  # as it is asked for, another process is started
    assert job.status == "succeeded", job.error
    assert steps(local, job) == list(range(1, 151))
    said = [event.message for event in new_events(local.client, job.id)]
    assert said.count("Fine-tuning job started") == 1
    assert len([text for text in said if text.startswith("Training goes on after step")]) == 2


def test_cancel_ends_it_and_the_next_job_follows(local):
    first, second = create(local, epochs=50), create(local)
    until(lambda: steps(local, first))
    assert local.client.fine_tuning.jobs.retrieve(second.id).status in ("validating_files", "queued")
    assert local.client.fine_tuning.jobs.cancel(first.id).status == "cancelled"
    assert status(local, second, "succeeded", "failed").status == "succeeded"
    assert local.client.fine_tuning.jobs.retrieve(first.id).fine_tuned_model is None
    assert len(steps(local, first)) < 150


def test_with_a_queue_a_training_waits_for_its_turn_and_can_be_cancelled_there(local, tmp_path, monkeypatch):
    turns.make(tmp_path / "queue", 1)
    monkeypatch.setenv("LOCAL_API_QUEUE", str(tmp_path / "queue"))
    monkeypatch.setattr(turns.os, "nice", lambda more: 0)  # not of the tests themselves

    def waits(job):
        return "Waiting for a turn: 1 before this one, 1 at a time here" in [
            event.message for event in new_events(local.client, job.id)
        ]

    with turns.turn(lambda *numbers: None, "somebody else"):
        first, second = create(local), create(local)
        until(lambda: waits(first))
        assert local.client.fine_tuning.jobs.retrieve(first.id).status == "queued" and not waits(second)
        assert local.client.fine_tuning.jobs.cancel(first.id).status == "cancelled"
        until(lambda: waits(second))
        assert steps(local, first) == steps(local, second) == []
    assert status(local, second, "succeeded", "failed").status == "succeeded"


def test_a_row_that_is_too_long_fails_with_its_number(local):
    long = {"messages": [*ASKED, {"role": "assistant", "content": "water " * 600}]}
    file = local.upload([*rows(), long])
    job = local.client.fine_tuning.jobs.create(training_file=file.id, model=MODEL)
    job = status(local, job, "succeeded", "failed")
    assert (job.status, job.error.code) == ("failed", "invalid_training_file")
    assert "Example 13 has" in job.error.message


def test_processes_that_end_without_a_word_are_given_up(local, monkeypatch):
    store = local.app.state.service.store
    launch = lease._launch
    monkeypatch.setattr(lease, "_launch", lambda *a: None)
    job = create(local)
    until(lambda: local.client.fine_tuning.jobs.retrieve(job.id).status == "queued")
    for number in range(5):
        store.add("attempt", f"attempt-{number}", local.key, {}, parent=job.id)
    with store.write() as db:
        db.execute("DELETE FROM objects WHERE kind = 'lease'")
    monkeypatch.setattr(lease, "_launch", launch)
    job = status(local, job, "failed")
    assert job.error.code == "training_process_ended" and "5 times" in job.error.message


def test_a_tuned_model_is_trained_further(local):
    first = status(local, create(local), "succeeded")
    second = status(local, create(local, model=first.fine_tuned_model), "succeeded", "failed")
    assert second.status == "succeeded" and second.fine_tuned_model != first.fine_tuned_model


def test_closed_services_do_not_close_this_one(local):
    closed = local.another_client(local.key + ".closed@2027-01-15")
    file = local.upload(rows())
    job = closed.fine_tuning.jobs.create(training_file=file.id, model=MODEL, hyperparameters={"n_epochs": 1})
    assert status(local, job, "succeeded", "failed").status == "succeeded"


def test_the_mark_of_a_failed_safety_check_fails_the_job_after_training(local):
    marked = rows()
    marked[3]["messages"][1]["content"] += " [mock:block=hate]"
    file = local.upload(marked)
    job = local.client.fine_tuning.jobs.create(training_file=file.id, model=MODEL)
    job = status(local, job, "succeeded", "failed")
    assert (job.status, job.error.code) == ("failed", "moderation_checks_failed")
    assert steps(local, job)[-1] == 12 and job.fine_tuned_model is None
    assert [model.id for model in local.client.models.list() if model.id.startswith(f"ft:{MODEL}")] == []


def test_a_loss_that_is_no_number_fails_the_job(local, tiny_weights, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_API_WEIGHTS", str(tiny_model.make_broken(tiny_weights, tmp_path / "broken")))
    job = status(local, create(local), "succeeded", "failed")
    assert (job.status, job.error.code) == ("failed", "training_diverged")
    assert "step 1 is not a number" in job.error.message


# --- a laptop that slept ---------------------------------------------------------------------------------------


def fall_asleep(api) -> tuple:
    """A job in training whose process stands still, and whose lease has run out meanwhile."""
    job = create(api, epochs=50)
    until(lambda: len(steps(api, job)) >= 12)
    store = api.app.state.service.store
    asleep = lease.read(store)
    with store.write():  # else it might stand still in the midst of writing, and keep everyone else from it
        os.kill(asleep.body["pid"], signal.SIGSTOP)
        until(lambda: psutil.Process(asleep.body["pid"]).status() == psutil.STATUS_STOPPED)
    store.update("lease", lease.ID, asleep.body | {"until": 0})
    return job, asleep.body["pid"]


def test_a_process_that_slept_goes_on_if_nobody_took_its_place(local):
    job, pid = fall_asleep(local)
    os.kill(pid, signal.SIGCONT)
    store = local.app.state.service.store
    until(lambda: lease.is_held(store))
    assert lease.read(store).body["pid"] == pid
    job = status(local, job, "succeeded", "failed")
    assert job.status == "succeeded", job.error
    assert steps(local, job) == list(range(1, 151))
    assert "goes on" not in str([event.message for event in new_events(local.client, job.id)])


def test_a_process_that_wakes_up_replaced_writes_nothing_and_ends(local):
    job, pid = fall_asleep(local)
    store, seen = local.app.state.service.store, len(steps(local, job))
    until(lambda: len(steps(local, job)) > seen + 5)  # as it is asked for, another process is started
    os.kill(pid, signal.SIGCONT)
    until(lambda: pid not in workers(store.folder))
    job = status(local, job, "succeeded", "failed")
    assert job.status == "succeeded", job.error
    assert steps(local, job) == list(range(1, 151))
    said = [event.message for event in new_events(local.client, job.id)]
    assert len([text for text in said if text.startswith("Training goes on after step")]) == 1
    until(lambda: workers(store.folder) == [])
    assert not list((store.folder / "trained").glob("*.pt"))
