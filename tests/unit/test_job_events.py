"""What the events of a trained job say: metrics in words, warnings, the best checkpoint, the results file."""

import pytest

from helpers.local_api import history


def step(number: int, total: int = 9, **metrics) -> dict:
    return {"step": number, "total_steps": total} | metrics


def equal(count: int, reward: float, share: float = 1.0) -> list[dict]:
    return [step(n, train_mean_reward=reward, frac_reward_zero_std=share) for n in range(1, count + 1)]


def preferred(margin: float, better: float, last: int = 9) -> list[dict]:
    return [step(n, **{"rewards/margins": margin, "rewards/chosen": better}) for n in range(1, last + 1)]


@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        ({"train_loss": 1.234}, "Step 3/9: training loss=1.23"),
        (
            {"train_loss": 1, "valid_loss": 2, "full_valid_loss": 3, "train_mean_token_accuracy": 1},
            "Step 3/9: training loss=1.00, validation loss=2.00, full validation loss=3.00",
        ),
        (
            {"train_loss": 0.5, "rewards/accuracies": 1, "rewards/margins": 0.2},
            "Step 3/9: training loss=0.50, better answer ahead=1.00, margin=0.20",
        ),
        (
            {"train_mean_reward": 0.42, "full_valid_mean_reward": 0.68, "scores": {}},
            "Step 3/9: train mean reward=0.42, full validation mean reward=0.68",
        ),
    ],
)
def test_the_metrics_of_a_step_in_words(metrics, text):
    assert history.metrics_event(step(3, **metrics)) == (text, step(3, **metrics), "info")


def test_rewards_that_are_all_equal_are_said_once():
    said = [history.warnings(equal(count, 0.0)) for count in range(1, 6)]
    assert [len(texts) for texts in said] == [0, 0, 1, 0, 0]
    assert "teach it first by examples" in said[2][0]
    assert "does already what is rewarded" in history.warnings(equal(3, 1.0))[0]
    assert history.warnings(equal(3, 0.0, share=0.75)) == []


def test_better_answers_that_became_less_likely_are_said_at_the_end():
    assert "less likely too (their reward is -0.50)" in history.warnings(preferred(2.0, -0.5))[0]
    assert history.warnings(preferred(2.0, -0.5, last=8)) == []  # not the last step
    assert history.warnings(preferred(2.0, 0.5)) == history.warnings(preferred(-1.0, -0.5)) == []


def test_the_best_checkpoint_is_that_of_the_highest_reward_in_validation():
    def point(number, **metrics):
        return {"step_number": number, "fine_tuned_model_checkpoint": f"model-{number}", "metrics": metrics}

    rewards = [point(n, full_valid_mean_reward=r) for n, r in ((5, 0.4), (10, 0.9), (15, 0.8))]
    assert (
        history.best_checkpoint(rewards) == "Best full validation mean reward: 0.90 at step 10, by model-10"
    )
    assert history.best_checkpoint([point(5), point(10, train_loss=0.1)]) is None


def test_a_checkpoint_tells_the_numbers_of_its_step():
    metrics = step(5, train_mean_reward=0.5, scores={"graders": []}, timing={})
    assert history.checkpoint_metrics(metrics) == {"step": 5, "train_mean_reward": 0.5}


def test_the_results_file_has_the_columns_of_its_method():
    examples = [step(1, train_loss=1.0, train_mean_token_accuracy=0.5)]
    assert history.metrics_csv(examples).decode().splitlines() == [
        "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy",
        "1,1.00000,0.50000,,",
    ]
    rewards = [step(1, train_mean_reward=0.25)]
    table = history.metrics_csv(rewards, ("train_mean_reward", "full_valid_mean_reward"))
    assert table.decode().splitlines() == ["step,train_mean_reward,full_valid_mean_reward", "1,0.25000,"]
