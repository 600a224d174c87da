"""Jobs that fail, each for a reason that a learner can read and mend."""

import json

import pytest

from .conftest import rows


def failed(api, examples: list, **options):
    job = api.finished_job(examples, **options)
    assert (job.status, job.fine_tuned_model, job.result_files) == ("failed", None, [])
    assert job.finished_at is not None
    event = next(event for event in api.client.fine_tuning.jobs.list_events(job.id) if event.level == "error")
    assert event.message == job.error.message
    assert api.client.fine_tuning.jobs.checkpoints.list(job.id).data == []
    return job.error


def with_content(number: int, content: str) -> list[dict]:
    """Twelve rows; the answer of one of them is replaced."""
    examples = rows()
    examples[number - 1]["messages"][2]["content"] = content
    return examples


def test_too_few_rows(api):
    error = failed(api, rows(9))
    assert (error.code, error.param) == ("invalid_n_examples", "training_file")
    assert error.message == "Training file has 9 example(s), but must have at least 10 examples"


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"messages": [{"content": "x"}]}, "Example 7, message 1 Discriminator 'role' is missing in value"),
        ({"messages": [{"role": "pilot", "content": "x"}]}, "Example 7, message 1 has the unknown role"),
        ({"messages": []}, "Example 7"),
        ({"messages": [{"role": "user", "content": "x"}]}, "Example 7: There is no message with the role"),
        ({"text": "x"}, "Example 7: Unexpected file format"),
        ([1, 2], "Example 7"),
        *(
            (
                {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": calls}]},
                what,
            )
            for calls in (["x"], True, {"a": 1}, [{"function": "x"}])
            for what in ["Example 7, message 2"]
        ),
        (with_content(1, "half of a pair: \ud800")[0], "Example 7: half of a surrogate pair"),
    ],
)
def test_a_bad_row_is_named_with_its_number(api, row, what):
    examples = rows()
    examples[6] = row
    error = failed(api, examples)
    assert (error.code, error.param) == ("invalid_training_file", "training_file")
    assert error.message.startswith("The job failed due to an invalid training file. Invalid file format. ")
    assert what in error.message


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b'{"messages": [\n' * 12, "Line 1 is not valid JSON"),
        ("\n".join(map(json.dumps, rows())).encode() + b"\n{'a': 1}", "Line 13 is not valid JSON"),
        ("\r".join(map(json.dumps, rows())).encode(), "Line 1 is not valid JSON"),
        (b"\xff\xfe\x00" * 12, "not UTF-8"),
        (b"[" * 100_000, "Line 1 is not valid JSON"),
    ],
)
def test_a_file_that_is_not_jsonl(api, data, what):
    file = api.client.files.create(file=("x.jsonl", data), purpose="fine-tune")
    job = api.client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=file.id)
    api.app.state.service.worker.wait()
    job = api.client.fine_tuning.jobs.retrieve(job.id)
    assert (job.status, job.error.code) == ("failed", "invalid_training_file")
    assert what in job.error.message


def test_a_bad_validation_file_is_named(api):
    error = failed(api, rows(), validation_file=api.upload([{"messages": []}]).id)
    assert (error.code, error.param) == ("invalid_validation_file", "validation_file")


def test_the_wrong_format_for_the_method(api):
    method = {"type": "dpo"}
    error = failed(api, rows(), model="gpt-4.1-mini", method=method, hyperparameters={})
    assert error.code == "invalid_training_file"
    assert "is in the fine-tune-chat format" in error.message and "method=dpo" in error.message


def test_rows_flagged_by_moderation(api):
    examples = with_content(4, "No. [mock:flag=hate]")
    examples[8]["messages"][1]["content"] += " [mock:flag=violence]"
    error = failed(api, examples)
    assert "flagged by our moderation API" in error.message
    assert "hate, violence" in error.message and error.message.endswith("Flagged lines: 4, 9")


def test_a_model_blocked_after_training(api):
    error = failed(api, with_content(2, "[mock:block=self-harm/intent]"))
    assert "safety checks after training" in error.message and "self-harm/intent" in error.message


def test_a_block_comes_after_the_training_as_an_event_of_its_own_type(api):
    job = api.finished_job(with_content(2, "[mock:block=violence]"))
    events = list(api.client.fine_tuning.jobs.list_events(job.id))
    assert sum(event.type == "metrics" for event in events) == 48
    (check,) = [event for event in events if event.type == "moderation_checks"]
    assert check.data["blocked"] is True
    assert [result["category"] for result in check.data["results"] if result["flagged"]] == ["violence"]
    assert not [model for model in api.client.models.list() if model.id.startswith("ft:")]


def test_a_file_deleted_before_it_is_read(api, monkeypatch):
    file = api.upload(rows())
    worker = api.app.state.service.worker
    with monkeypatch.context() as patch:
        patch.setattr(worker, "submit", lambda *job: None)
        job = api.client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=file.id)
    api.client.files.delete(file.id)
    api.client.fine_tuning.jobs.retrieve(job.id)
    worker.wait()
    error = api.client.fine_tuning.jobs.retrieve(job.id).error
    assert (error.code, error.param) == ("file_not_found", "training_file")


def test_after_a_mistake_of_ours_the_job_fails_and_the_next_one_runs(api, monkeypatch, capfd):
    def broken(*arguments, **options):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("helpers.local_api.engines.simulated.train", broken)
        assert failed(api, rows()).code == "server_error"
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert api.finished_job().status == "succeeded"
