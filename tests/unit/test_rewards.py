"""Learning from rewards on the tiny model: the gradient against a plain one, what is drawn, what teaches nothing."""

import pytest

from helpers.local_api.graders import Grade, GraderBroken
from tests import tiny_model

if tiny_model.HAS_TORCH:
    import torch

    from helpers.local_api.engines.trained import rewards, serving, training

    from .test_preferences import left_the_start
    from .test_trained_engine import adapter_that_does_something, fresh

pytestmark = tiny_model.TIER
DRAWN = 4
SHARP = 8  # with its random weights as they are, the tiny model finds all tokens about equally likely, come what may


def row(number: int) -> dict:
    return {"messages": [{"role": "user", "content": f"When do I water bed {number}?"}], "bed": number}


@pytest.fixture(autouse=True)
def short_answers(monkeypatch):
    monkeypatch.setattr(rewards, "MAX_ANSWER", 12)


class School:
    """A trainer at its start, the questions, and the model that answers them."""

    def __init__(self, folder, tokenizer, rows=4, adapter=None, parts=1, **settings):
        self.questions = [rewards.encode(tokenizer, row(number)) for number in range(rows)]
        options = {"n_epochs": 10, "batch_size": 2, "seed": 1, "usual_rate": 3e-2} | settings
        model = fresh(folder, adapter=adapter)
        model.get_base_model().model.norm.weight.data *= SHARP
        self.trainer = training.Trainer(model, training.Settings(**options), rows, parts)
        self.answering = rewards.Answering(self.trainer, tokenizer)


def a_letter(answers: list[tuple[str, dict]]) -> list[Grade]:
    """The share of "e" among an answer's letters."""
    return [Grade(text.count("e") / max(1, len(text))) for text, _ in answers]


def drawn(school, grades=None, seed="s") -> list:
    answers = school.answering.draw(school.questions[:2], DRAWN, seed)
    grades = grades or [0.0, 1.0, 0.5, 0.5, 0.0, 0.0, 0.0, 1.0]
    return [rewards.replace(a, grade=Grade(g)) for a, g in zip(answers, grades, strict=True)]


# --- what is drawn ---------------------------------------------------------------------------------------------


def test_answers_are_those_of_the_model_that_would_be_served(folder, tokenizer):
    school = School(folder, tokenizer, adapter=adapter_that_does_something(folder))
    answers = school.answering.draw(school.questions[:1], 3, "seed")
    model = fresh(folder, adapter=adapter_that_does_something(folder)).merge_and_unload().eval()
    model.model.norm.weight.data *= SHARP
    chance = rewards.random.Random("seed")
    for answer in answers:
        options = {"limit": 12, "temperature": 1.0, "seed": chance.getrandbits(63), "stops": [], "top": -1}
        one = serving.Answer(school.questions[0].tokens, **options)
        serving.decode(model, tokenizer, [one])
        assert one.generated == answer.tokens[: len(one.generated)]


def test_drawing_leaves_the_model_as_it_was(folder, tokenizer):
    school = School(folder, tokenizer, adapter=adapter_that_does_something(folder))
    before = {name: value.clone() for name, value in school.trainer.model.named_parameters()}
    threads = torch.get_num_threads()
    first = school.answering.draw(school.questions, DRAWN, "seed")
    assert all(torch.equal(value, before[name]) for name, value in school.trainer.model.named_parameters())
    assert (
        first
        == school.answering.draw(school.questions, DRAWN, "seed")
        != school.answering.draw(school.questions, DRAWN, "other")
    )
    assert torch.get_num_threads() == threads


def test_an_answer_is_learned_with_its_end_and_without_its_question(folder, tokenizer):
    question = rewards.encode(tokenizer, row(1))
    assert tokenizer.decode(question.tokens).endswith("assistant\n")
    example = rewards.Drawn(question, [5, 6, tokenizer.eos_token_id], "ab").example
    assert example.tokens == [*question.tokens, 5, 6, tokenizer.eos_token_id]
    assert example.trained == [False] * len(question.tokens) + [True] * 3


# --- the gradient ----------------------------------------------------------------------------------------------


def plain_gradient(trainer, answers, beta=0.0) -> list:
    """REINFORCE with group-relative advantages, one answer at a time; nothing of ours is in it."""

    def logs(answer):
        tokens = torch.tensor([answer.question.tokens + answer.tokens])
        found = trainer.model(tokens).logits[0, :-1].log_softmax(-1).gather(1, tokens[0, 1:, None])[:, 0]
        return found[-len(answer.tokens) :]

    given = torch.tensor([answer.grade.reward for answer in answers]).view(-1, DRAWN)
    advantages = ((given - given.mean(1, True)) / (given.std(1, keepdim=True) + 1e-4)).flatten()
    loss = 0
    for advantage, answer in zip(advantages, answers, strict=True):
        now = logs(answer)
        with trainer.at_start(), torch.no_grad():
            before = logs(answer)
        loss += (beta * ((before - now).exp() - (before - now) - 1) - advantage * now).sum()
    return torch.autograd.grad(loss / sum(len(answer.tokens) for answer in answers), trainer.weights)


@pytest.mark.parametrize(("beta", "parts"), [(0.0, 1), (0.0, 3), (0.5, 1), (0.5, 2)])
def test_the_gradient_is_the_plain_one(beta, parts, folder, tokenizer):
    school = School(folder, tokenizer, adapter=adapter_that_does_something(folder), parts=parts)
    left_the_start(school.trainer)
    answers = drawn(school)
    wanted = plain_gradient(school.trainer, answers, beta)
    seen = []
    school.trainer.move = seen.extend
    metrics = rewards.learn(school.trainer, answers, rewards.Wishes(drawn=DRAWN, beta=beta))
    for mine, theirs in zip(map(sum, zip(*seen, strict=True)), wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)
    assert ("kl" in metrics) == bool(beta) and metrics.get("kl", 1) > 0


def test_groups_without_a_difference_teach_nothing(folder, tokenizer):
    school = School(folder, tokenizer)
    before = [weight.detach().clone() for weight in school.trainer.weights]
    metrics = rewards.learn(school.trainer, drawn(school, [1.0] * 4 + [0.0] * 4), rewards.Wishes(drawn=DRAWN))
    assert all(map(torch.equal, before, school.trainer.weights))
    assert (metrics["step"], metrics["frac_reward_zero_std"], metrics["train_mean_reward"]) == (1, 1.0, 0.5)


def test_what_a_step_tells(folder, tokenizer):
    school = School(folder, tokenizer)
    answers = drawn(school, [0.0, 1.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0])
    parts = {"form": 1.0, "desk": 0.5}
    answers[0] = rewards.replace(
        answers[0], grade=Grade(0.0, "python_grader_runtime_error", "KeyError", parts)
    )
    found = rewards.told(answers, DRAWN)
    assert found["train_mean_reward"] == 0.25 and found["frac_reward_zero_std"] == 0.5
    assert found["reward_std"] == pytest.approx(torch.tensor([0.0, 1, 0.5, 0.5, 0, 0, 0, 0]).std().item())
    assert found["completion_tokens_mean"] == sum(len(a.tokens) for a in answers) / 8
    assert found["errors"] == {"train_python_grader_runtime_error_count": 1}
    assert found["scores"]["graders"] == [
        {"name": "form", "train_reward_mean": 1.0},
        {"name": "desk", "train_reward_mean": 0.5},
    ]


# --- the loop --------------------------------------------------------------------------------------------------


def run(folder, tokenizer, steps=None, state=None, grade=a_letter, **settings) -> tuple:
    school = School(folder, tokenizer, **settings)
    if state:
        school.trainer.restore(state)
    seen, wishes = [], rewards.Wishes(drawn=8, eval_interval=4)
    both = school.questions, school.questions[:2]
    for metrics in rewards.train(school.trainer, school.answering, *both, grade, wishes):
        seen.append(metrics)
        if school.trainer.step == steps:
            break
    return school, seen


def test_what_is_rewarded_is_done_more_often(folder, tokenizer):
    school, seen = run(folder, tokenizer)
    assert [metrics["step"] for metrics in seen] == list(range(1, 21))
    first, last = (sum(m["train_mean_reward"] for m in some) / 5 for some in (seen[:5], seen[-5:]))
    assert last > first + 0.1
    assert [m["step"] for m in seen if "full_valid_mean_reward" in m] == [4, 8, 12, 16, 20]
    assert set(seen[3]["timing"]["step"]) == {"sampling", "training", "eval"}
    assert school.trainer.tokens == round(sum(m["completion_tokens_mean"] * 16 for m in seen))


def test_a_run_that_goes_on_after_a_break_gives_the_same_numbers(folder, tokenizer):
    _, whole = run(folder, tokenizer, n_epochs=2)
    school, first = run(folder, tokenizer, steps=3, n_epochs=2)
    again, rest = run(folder, tokenizer, state=school.trainer.state(), n_epochs=2)
    for name in ("train_mean_reward", "completion_tokens_mean"):
        assert [m[name] for m in first + rest] == pytest.approx([m[name] for m in whole], rel=1e-4)
    assert again.trainer.tokens == round(sum(m["completion_tokens_mean"] * 16 for m in whole))


def test_a_grader_that_fails_ends_it(folder, tokenizer):
    broken = Grade(0.0, "python_grader_runtime_error", "KeyError: 'bed'")
    with pytest.raises(GraderBroken, match="KeyError"):
        run(folder, tokenizer, grade=lambda answers: [broken] * len(answers))
