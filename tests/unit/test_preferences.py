"""DPO on the tiny model: loss and slope against the paper's formula and TRL's, the reference, what is learned."""

import importlib.util

import pytest

from tests import tiny_model

if tiny_model.HAS_TORCH:
    import torch
    from torch.nn.functional import log_softmax

    from helpers.local_api.engines.trained import preferences, training

    from .test_trained_engine import adapter_that_does_something, fresh

pytestmark = tiny_model.TIER
HAS_TRL = importlib.util.find_spec("trl") is not None
BETA, ALPHA = 0.3, 0.7


def row(number: int) -> dict:
    def said(role, text):
        return {"role": role, "content": text}

    return {
        "input": {"messages": [said("system", "Be brief."), said("user", f"When do I water bed {number}?")]},
        "preferred_output": [said("assistant", f"Water bed {number} in the evening.")],
        "non_preferred_output": [
            said("assistant", f"Beds such as bed {number} are often watered now and then.")
        ],
    }


TALK = row(3) | {
    "input": {
        "messages": [
            {"role": "user", "content": "When?"},
            {"role": "assistant", "content": "At six."},
            {"role": "user", "content": "And bed 3?"},
        ]
    }
}


def trainer_of(folder, rows: list[dict], tokenizer, adapter=None, parts=1, **settings) -> tuple:
    pairs = [preferences.encode(tokenizer, one) for one in rows]
    options = {"n_epochs": 6, "batch_size": 4, "learning_rate_multiplier": 1.0, "seed": 1} | settings
    trainer = training.Trainer(
        fresh(folder, adapter=adapter), training.Settings(**options), len(pairs), parts
    )
    return trainer, preferences.with_reference(trainer, pairs)


def left_the_start(trainer) -> None:
    """Moves the model, so that it differs from its reference."""
    generator = torch.Generator().manual_seed(5)
    for weight in trainer.weights:
        weight.data = weight.data + 0.05 * torch.randn(weight.shape, generator=generator)


def test_only_the_two_outputs_are_learned(tokenizer):
    pair = preferences.encode(tokenizer, TALK)
    for example, key in ((pair.better, "preferred_output"), (pair.worse, "non_preferred_output")):
        learned = [token for token, on in zip(example.tokens, example.trained, strict=True) if on]
        assert tokenizer.decode(learned) == TALK[key][0]["content"] + "<|im_end|>"
        assert "At six." in tokenizer.decode(example.tokens)


def test_an_output_of_weight_0_is_learned_all_the_same(tokenizer):
    weighted = TALK | {"preferred_output": [TALK["preferred_output"][0] | {"weight": 0}]}
    assert preferences.encode(tokenizer, weighted) == preferences.encode(tokenizer, TALK)


def papers_loss(model, pair, reference) -> "torch.Tensor":
    """Rafailov et al., 2023, equation 7, one answer at a time; nothing of ours is in it."""
    ratios = []
    for example, before in zip((pair.better, pair.worse), reference, strict=True):
        logits = model(torch.tensor([example.tokens[:-1]])).logits[0].float()
        logs = log_softmax(logits, -1)[range(len(logits)), example.tokens[1:]]
        ratios.append((logs * torch.tensor(example.trained[1:]).float()).sum() - before)
    return -torch.log(torch.sigmoid(BETA * (ratios[0] - ratios[1])))


def supervised_loss(model, pairs) -> "torch.Tensor":
    """Mean loss of the better answers' tokens, by transformers' own."""
    total = count = 0
    for pair in pairs:
        labels = [t if on else -100 for t, on in zip(pair.better.tokens, pair.better.trained, strict=True)]
        size = sum(pair.better.trained)
        total += size * model(torch.tensor([pair.better.tokens]), labels=torch.tensor([labels])).loss
        count += size
    return total / count


@pytest.mark.parametrize("parts", [1, 2])
def test_loss_and_slope_are_those_of_the_papers(parts, folder, tokenizer):
    trainer, pairs = trainer_of(
        folder, [row(1), TALK, row(2)], tokenizer, adapter_that_does_something(folder), parts, batch_size=3
    )
    left_the_start(trainer)
    losses = [papers_loss(trainer.model, pair, pair.before) for pair in pairs]
    agrees(trainer, pairs, sum(losses) / 3 + ALPHA * supervised_loss(trainer.model, pairs))


def agrees(trainer, pairs: list, wanted: torch.Tensor) -> None:
    """Our loss of these pairs is the wanted one, and so is its slope along each weight."""
    slopes = torch.autograd.grad(wanted, trainer.weights)
    seen = []
    trainer.move = seen.extend
    metrics = preferences.learn(trainer, pairs, BETA, ALPHA)
    assert metrics["train_loss"] == pytest.approx(wanted.item(), abs=1e-4)
    for mine, theirs in zip(map(sum, zip(*seen, strict=True)), slopes, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not HAS_TRL, reason="TRL is installed by: python start.py test --all")
def test_loss_and_slope_are_those_of_trl(folder, tokenizer, tmp_path):
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    trainer, pairs = trainer_of(folder, [row(1), row(2)], tokenizer, adapter_that_does_something(folder))
    data = Dataset.from_list([trls_row(tokenizer, row(number)) for number in (1, 2)])
    options = DPOConfig(
        str(tmp_path), beta=BETA, loss_type=["sigmoid", "sft"], loss_weights=[1.0, ALPHA], bf16=False,
        use_cpu=True, report_to="none", per_device_train_batch_size=2, precompute_ref_log_probs=True,
        gradient_checkpointing=False,
    )  # fmt: skip
    theirs = DPOTrainer(trainer.model, args=options, train_dataset=data, processing_class=tokenizer)
    (batch,) = theirs.get_train_dataloader()
    left_the_start(trainer)
    agrees(trainer, pairs, theirs.compute_loss(trainer.model, batch))


def trls_row(tokenizer, one: dict) -> dict:
    """As texts: of a conversation TRL would learn the line break after the end mark too."""
    outputs = {"chosen": "preferred_output", "rejected": "non_preferred_output"}
    texts = {name: one[key][0]["content"] for name, key in outputs.items()}
    return {"prompt": training.prompt_text(tokenizer, one["input"]["messages"])} | texts


@pytest.mark.parametrize("tuned", [False, True])
def test_the_reference_is_the_model_that_the_job_starts_from(tuned, folder, tokenizer):
    adapter = adapter_that_does_something(folder) if tuned else None
    trainer, pairs = trainer_of(folder, [row(1), row(2)], tokenizer, adapter)
    _, _, rewards = preferences.loss_of(trainer.model, pairs, BETA)
    torch.testing.assert_close(rewards, torch.zeros(2, 2), atol=1e-4, rtol=0)
    base, again = trainer_of(folder, [row(1), row(2)], tokenizer)
    assert (pairs[0].before != again[0].before) == tuned  # a tuned start is not the base
    left_the_start(trainer)
    assert preferences.with_reference(trainer, pairs) == pairs  # taken again later, as after a kill


def run(folder, tokenizer, steps=None, state=None) -> tuple:
    trainer, pairs = trainer_of(folder, [row(number) for number in range(8)], tokenizer, usual_rate=3e-3)
    if state:
        trainer.restore(state)
    seen = []
    for metrics in preferences.train(trainer, pairs, pairs[:2], 0.1, 0.0):
        seen.append(metrics)
        if trainer.step == steps:
            break
    return trainer, seen


def test_the_better_answers_gain_on_the_worse_ones(folder, tokenizer):
    trainer, seen = run(folder, tokenizer)
    assert [metrics["step"] for metrics in seen] == list(range(1, 13))
    assert seen[0]["rewards/margins"] == pytest.approx(0, abs=1e-4)
    assert seen[0]["train_loss"] == pytest.approx(0.6931, abs=1e-4)  # as likely as not: ln 2
    assert seen[-1]["rewards/margins"] > 0.1 and seen[-1]["rewards/accuracies"] == 1
    assert [m["step"] for m in seen if "full_valid_loss" in m] == [2, 4, 6, 8, 10, 12]
    assert seen[-1]["eval_rewards/margins"] > 0.1


def test_a_run_that_goes_on_after_a_break_gives_the_same_numbers(folder, tokenizer):
    _, whole = run(folder, tokenizer)
    trainer, first = run(folder, tokenizer, steps=5)
    _, rest = run(folder, tokenizer, state=trainer.state())
    assert [m["train_loss"] for m in first + rest] == pytest.approx(
        [m["train_loss"] for m in whole], rel=1e-4
    )
