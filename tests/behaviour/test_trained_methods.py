"""Jobs that learn from preferences and from rewards, through the client, on a tiny model with random weights."""

import os
import signal

import pytest

from helpers.jobs import metrics, new_events
from helpers.local_api.engines.trained import lease
from tests import tiny_model

from .training_jobs import MODEL, pause_resume_and_kill, status, until

pytestmark = tiny_model.TIER

STYLE = {  # what the tiny model does now and then: an "e" among the first letters
    "type": "multi",
    "name": "style",
    "graders": {
        "early": {
            "type": "python",
            "name": "early",
            "source": "def grade(sample, item):\n    return float('e' in sample['output_text'][: item['letters']])",
        },
        "often": {
            "type": "string_check",
            "name": "often",
            "input": "{{sample.output_text}}",
            "reference": "e",
            "operation": "like",
        },
    },
    "calculate_output": "0.5 * early + 0.5 * often",
}


def said(role: str, content: str) -> dict:
    return {"role": role, "content": content}


def pairs(count: int = 12) -> list[dict]:
    return [
        {
            "input": {"messages": [said("user", f"When do I water bed {number}?")]},
            "preferred_output": [said("assistant", f"Water bed {number} in the evening.")],
            "non_preferred_output": [
                said("assistant", f"Beds such as bed {number} are watered now and then.")
            ],
        }
        for number in range(count)
    ]


def questions(count: int = 12) -> list[dict]:
    return [
        {"messages": [said("user", f"When do I water bed {number}?")], "letters": 9}
        for number in range(count)
    ]


def dpo(**numbers) -> dict:
    numbers = {"n_epochs": 2, "batch_size": 4} | numbers
    return {"type": "dpo", "dpo": {"hyperparameters": numbers}}


def rft(grader: dict = STYLE, **numbers) -> dict:
    numbers = {"n_epochs": 1, "batch_size": 4, "eval_interval": 2} | numbers
    return {"type": "reinforcement", "reinforcement": {"grader": grader, "hyperparameters": numbers}}


def create(api, rows: list[dict], method: dict, **options):
    options = {"model": MODEL, "seed": 1, "method": method} | options
    return api.client.fine_tuning.jobs.create(training_file=api.upload(rows).id, **options)


def steps(api, job) -> list[dict]:
    """The metrics of each step."""
    return [event.data for event in new_events(api.client, job.id) if event.type == "metrics"]


def told(api, job) -> list[str]:
    return [event.message for event in new_events(api.client, job.id)]


def succeeded(api, job):
    job = status(api, job, "succeeded", "failed")
    assert job.status == "succeeded", job.error
    return job


def answers(api, model: str) -> bool:
    options = {"model": model, "messages": [said("user", "When?")], "max_tokens": 2}
    return api.client.chat.completions.create(**options).usage.completion_tokens <= 2


# --- what comes out --------------------------------------------------------------------------------------------


def test_a_job_learns_from_preferences(local):
    job = create(local, pairs(), dpo(beta=0.2), validation_file=local.upload(pairs(3)).id)
    assert job.method.dpo.hyperparameters.beta == 0.2
    job = succeeded(local, job)
    assert job.method.dpo.hyperparameters.n_epochs == 2 and job.method.dpo.hyperparameters.rpo_alpha == 1.0
    seen = steps(local, job)
    assert [step["step"] for step in seen] == [1, 2, 3, 4, 5, 6]
    assert abs(seen[0]["rewards/margins"]) < 1e-3 and seen[-1]["rewards/margins"] > seen[0]["rewards/margins"]
    assert {"train_loss", "rewards/accuracies", "rewards/chosen", "rewards/rejected"} <= seen[0].keys()
    points = list(local.client.fine_tuning.jobs.checkpoints.list(job.id))
    assert [point.step_number for point in points] == [6, 3]
    assert points[0].metrics.full_valid_loss > 0
    margins = [step["rewards/margins"] for step in seen]
    assert list(metrics(local.client, job)["rewards/margins"]) == pytest.approx(margins, abs=1e-4)
    assert any("margin=" in text for text in told(local, job)) and any(
        "About 1" in t for t in told(local, job)
    )
    assert answers(local, job.fine_tuned_model) and answers(local, points[1].fine_tuned_model_checkpoint)


def test_a_job_learns_from_rewards(local):
    job = create(local, questions(), rft(), validation_file=local.upload(questions(3)).id)
    assert job.method.reinforcement.hyperparameters.eval_interval == 2
    job = succeeded(local, job)
    numbers = job.method.reinforcement.hyperparameters
    assert (numbers.n_epochs, numbers.compute_multiplier, numbers.eval_samples) == (1, 1.0, 1)
    seen = steps(local, job)
    assert [step["step"] for step in seen] == [1, 2, 3] and job.trained_tokens > 100
    assert all(0 <= step["train_mean_reward"] <= 1 and step["reward_std"] >= 0 for step in seen)
    assert [step["step"] for step in seen if "full_valid_mean_reward" in step] == [2, 3]
    assert {score["name"] for score in seen[0]["scores"]["graders"]} == {"early", "often"}
    assert set(seen[0]["timing"]["step"]) == {"sampling", "training"}
    points = list(local.client.fine_tuning.jobs.checkpoints.list(job.id))
    assert [point.step_number for point in points] == [3, 2]
    rewards = {p.fine_tuned_model_checkpoint: p.metrics.full_valid_mean_reward for p in points}
    (best,) = [text for text in told(local, job) if text.startswith("Best full validation mean reward")]
    assert rewards[best.rsplit(" ", 1)[1]] == max(rewards.values())
    found = metrics(local.client, job)
    assert list(found.step) == [1, 2, 3] and found.train_mean_reward.notna().all()
    assert list(found.full_valid_mean_reward.notna()) == [False, True, True]
    (before,) = [
        text for text in told(local, job) if text.startswith("Now the answers to 3 validation questions")
    ]
    assert "About 1 more minute" in before
    assert answers(local, job.fine_tuned_model) and answers(local, best.rsplit(" ", 1)[1])
    shown = local.client.fine_tuning.jobs.retrieve(job.id).method.reinforcement.grader
    assert shown.to_dict() == STYLE


@pytest.mark.slow
def test_both_methods_start_from_a_tuned_model(local):
    first = succeeded(local, create(local, pairs(), dpo(n_epochs=1)))
    second = create(local, questions(), rft(beta=0.1, compute_multiplier=0.25), model=first.fine_tuned_model)
    third = succeeded(
        local, create(local, pairs(), dpo(n_epochs=1), model=succeeded(local, second).fine_tuned_model)
    )
    assert abs(steps(local, third)[0]["rewards/margins"]) < 1e-3  # measured from where it starts
    kl = [step["kl"] for step in steps(local, second)]
    assert kl[0] == pytest.approx(0, abs=1e-4) and all(value >= 0 for value in kl)


def test_rewards_that_are_all_equal_are_said(local):
    never = {
        "type": "string_check",
        "name": "n",
        "input": "{{sample.output_text}}",
        "reference": "never that",
    }
    grader = never | {"operation": "eq"}
    job = succeeded(local, create(local, questions(16), rft(grader, compute_multiplier=0.25)))
    (warning,) = [
        e for e in new_events(local.client, job.id) if e.message.startswith("All rewards are equal")
    ]
    assert warning.level == "warn" and "teach it first by examples" in warning.message
    assert [step["frac_reward_zero_std"] for step in steps(local, job)] == [1.0] * 4


def test_a_grader_that_fails_fails_the_job_with_its_error(local):
    source = "def grade(sample, item):\n    return item['nothing']"
    job = status(local, create(local, questions(), rft(python(source))), "succeeded", "failed")
    assert (job.status, job.error.code, job.error.param) == (
        "failed",
        "grader_failed",
        "method.reinforcement.grader",
    )
    assert "KeyError: 'nothing' (line 2: return item['nothing'])" in job.error.message


def python(source: str) -> dict:
    return {"type": "python", "name": "mine", "source": source}


def test_a_key_that_the_grader_asks_for_is_missing_in_a_row(local):
    grader = {
        "type": "string_check",
        "name": "n",
        "input": "{{item.answer}}",
        "reference": "",
        "operation": "ne",
    }
    rows = [row | {"answer": "x"} for row in questions()]
    del rows[7]["answer"]
    job = status(local, create(local, rows, rft(grader)), "succeeded", "failed")
    assert job.error.code == "grader_failed" and "Example 8 has no 'answer'" in job.error.message


@pytest.mark.slow
def test_a_model_of_this_computer_may_be_the_judge(local):
    judge = {
        "type": "score_model",
        "name": "j",
        "model": MODEL,
        "input": [said("user", "{{sample.output_text}}")],
    }
    found = local.client.fine_tuning.alpha.graders.run(grader=judge, model_sample="a", item={})
    assert (
        found.metadata.sampled_model_name == MODEL
        and found.metadata.errors.model_grader_server_error is False
    )
    label = judge | {"type": "label_model", "labels": ["a", "b"], "passing_labels": ["a"]}
    both = {
        "type": "multi",
        "name": "m",
        "graders": {"one": judge, "two": label},
        "calculate_output": "one + two",
    }
    job = succeeded(local, create(local, questions(), rft(both, compute_multiplier=0.25)))
    assert len(steps(local, job)) == 3


# --- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "param"),
    [
        ({"type": "reinforcement"}, "method.reinforcement.grader"),
        (rft(python("x = 1")), "method.reinforcement.grader.source"),
        (rft(STYLE | {"calculate_output": "nothing"}), "method.reinforcement.grader.calculate_output"),
        (rft(compute_multiplier=11), "method.reinforcement.hyperparameters.compute_multiplier"),
        (rft(eval_interval=0), "method.reinforcement.hyperparameters.eval_interval"),
        (rft(eval_samples=0), "method.reinforcement.hyperparameters.eval_samples"),
        (rft(beta=-1), "method.reinforcement.hyperparameters.beta"),
        (dpo(beta=0), "method.dpo.hyperparameters.beta"),
        (dpo(rpo_alpha=-1), "method.dpo.hyperparameters.rpo_alpha"),
        (dpo(loss="x"), "method.dpo.hyperparameters.loss"),
    ],
)
def test_a_wrong_method_is_refused_with_its_place(method, param, local):
    error = local.refusal(create, local, questions(), method)
    assert (error.status_code, error.param) == (400, param)


def test_a_judge_that_does_not_exist_is_refused(local):
    judge = {"type": "score_model", "name": "j", "input": [said("user", "x")]}
    error = local.refusal(create, local, questions(), rft(judge | {"model": f"ft:{MODEL}:none"}))
    assert error.status_code == 404
    error = local.refusal(create, local, questions(), rft(judge | {"model": "gpt-4o-2024-08-06"}))
    assert (error.status_code, error.param) == (400, "method.reinforcement.grader.model")
    assert "only simulated" in error.message


def test_the_simulated_models_say_who_can_do_it(local):
    error = local.refusal(create, local, questions(), rft(), model="o4-mini-2025-04-16")
    assert (error.status_code, error.code) == (400, "not_simulated") and MODEL in error.message
    penalty = dpo(rpo_alpha=1.0)
    error = local.refusal(create, local, pairs(), penalty, model="gpt-4.1-mini-2025-04-14")
    assert (error.code, error.param) == ("unknown_parameter", "method.dpo.hyperparameters.rpo_alpha")


@pytest.mark.parametrize(
    ("rows", "method", "found"),
    [
        (pairs(), rft(), "is in the fine-tune-preference format"),
        (questions(), dpo(), "Example 1"),
        ([*questions(), {"messages": [said("user", "?"), said("assistant", "!")]}], rft(), "Example 13"),
    ],
)
def test_a_file_of_another_kind_fails_the_job(rows, method, found, local):
    job = status(local, create(local, rows, method), "succeeded", "failed")
    assert (job.status, job.error.code) == ("failed", "invalid_training_file")
    assert found in job.error.message


# --- pause, kill, cancel ---------------------------------------------------------------------------------------

LONG = {
    "dpo": (pairs, dpo(n_epochs=30)),
    "reinforcement": (questions, rft(n_epochs=5, compute_multiplier=0.25)),
}
TOTAL = {"dpo": 90, "reinforcement": 15}
ENOUGH = {"dpo": 12, "reinforcement": 3}


@pytest.mark.slow
@pytest.mark.parametrize("method", LONG)
def test_pause_resume_and_a_killed_process(method, local):
    rows, how = LONG[method]
    job = create(local, rows(), how)
    pause_resume_and_kill(local, job, ENOUGH[method], steps)
    succeeded(local, job)  # as it is asked for, another process is started
    assert [step["step"] for step in steps(local, job)] == list(range(1, TOTAL[method] + 1))
    assert told(local, job).count("Fine-tuning job started") == 1
    assert len([text for text in told(local, job) if text.startswith("Training goes on after step")]) == 2
    points = list(local.client.fine_tuning.jobs.checkpoints.list(job.id, limit=100))
    assert len({point.step_number for point in points}) == len(points)


@pytest.mark.slow
@pytest.mark.parametrize("method", LONG)
def test_cancel_ends_it_and_the_next_job_follows(method, local):
    rows, how = LONG[method]
    first, second = create(local, rows(), how), create(local, rows(), how)
    until(lambda: steps(local, first))
    assert local.client.fine_tuning.jobs.cancel(first.id).status == "cancelled"
    until(lambda: steps(local, second))
    local.client.fine_tuning.jobs.cancel(second.id)
    assert local.client.fine_tuning.jobs.retrieve(first.id).fine_tuned_model is None
    assert len(steps(local, first)) < TOTAL[method]


@pytest.mark.slow
def test_what_was_interrupted_gives_the_same_numbers(local):
    """On as many threads: their number changes the last digits, and so, now and then, what is drawn."""
    rows, how = questions(), rft(n_epochs=3, compute_multiplier=0.25)
    whole = succeeded(local, create(local, rows, how))
    job = create(local, rows, how)
    until(lambda: len(steps(local, job)) >= 3)
    os.kill(lease.read(local.app.state.service.store).body["pid"], signal.SIGKILL)
    succeeded(local, job)
    assert [step["train_mean_reward"] for step in steps(local, job)] == pytest.approx(
        [step["train_mean_reward"] for step in steps(local, whole)], abs=1e-6
    )
    assert local.client.fine_tuning.jobs.retrieve(job.id).trained_tokens == whole.trained_tokens
