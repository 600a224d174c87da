"""Learning from preferences: pairs of a better and a worse answer to the same conversation.

The loss is DPO's (Rafailov et al., 2023): the better answer is to gain on the worse one, measured against the model
that the job starts from. To it comes a share of the usual loss on the better answer (RPO: Pang et al., 2024), since
DPO alone is content if both answers become unlikely, the worse one more so. Names of metrics that begin with
``rewards/`` and ``eval_`` are those of TRL's DPOTrainer; the others are those of OpenAI's events.
"""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch.nn.functional import logsigmoid

from ....dataset.formats import OUTPUTS
from . import training
from .training import Example, Trainer

PAIRS_TOGETHER = 2  # in one row


@dataclass(frozen=True)
class Pair:
    """Two answers to the same conversation, and the log-probability of each before the first step, in nats."""

    better: Example
    worse: Example
    before: tuple[float, float] = (0.0, 0.0)

    @property
    def tokens(self) -> list[int]:
        return self.better.tokens + self.worse.tokens


def encode(tokenizer, row: dict) -> Pair:
    """A row in OpenAI's preference format. Only the two outputs are learned, nothing of the input."""
    given, *outputs = parts_of(row)
    given = [message | {"weight": 0} if message["role"] == "assistant" else message for message in given]
    learned = ([message | {"weight": 1} for message in output] for output in outputs)
    return Pair(*(training.encode(tokenizer, given + output) for output in learned))


def parts_of(row: dict) -> tuple[list[dict], list[dict], list[dict]]:
    """The messages of the input, of the better output and of the worse one."""
    better, worse = (row.get(key, row.get(other)) for key, other in OUTPUTS.items())
    return row["input"]["messages"], better, worse


def with_reference(trainer: Trainer, pairs: list[Pair]) -> list[Pair]:
    """The pairs with their log-probabilities under the model that the job starts from: no second model is needed."""
    parts = [pairs[i : i + PAIRS_TOGETHER] for i in range(0, len(pairs), PAIRS_TOGETHER)]
    with trainer.at_start():
        found = trainer.pool.map(partial(_log_probabilities_now, trainer.model), parts)
        both = [two for part in found for two in part]
    return [replace(pair, before=two) for pair, two in zip(pairs, both, strict=True)]


@torch.inference_mode()
def _log_probabilities_now(model, pairs: list[Pair]) -> list[tuple[float, float]]:
    return [tuple(two) for two in answers_of(model, pairs).T.tolist()]


def answers_of(model, pairs: list[Pair]) -> torch.Tensor:
    """(2, pairs): the log-probabilities of the better answers and of the worse ones."""
    examples = [pair.better for pair in pairs] + [pair.worse for pair in pairs]
    return training.log_probabilities(model, examples).view(2, len(pairs))


def loss_of(model, pairs: list[Pair], beta: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(DPO's loss of each pair, summed loss of the better answers' tokens, rewards).

    Rewards have the shape (2, pairs): beta times what the better and the worse answer have gained since the start.
    """
    now = answers_of(model, pairs)
    rewards = beta * (now - now.new_tensor([pair.before for pair in pairs]).T)
    return -logsigmoid(rewards[0] - rewards[1]), -now[0].sum(), rewards.detach()


def train(trainer: Trainer, pairs: list[Pair], validation: list[Pair], beta: float, rpo_alpha: float):
    """Yields a dict of metrics after each step, as ``training.train`` does. The pairs carry their reference."""
    for batch in training.coming(trainer, pairs):
        metrics = learn(trainer, batch, beta, rpo_alpha)
        yield metrics | validate(trainer, validation, beta)


def learn(trainer: Trainer, batch: list[Pair], beta: float, rpo_alpha: float) -> dict:
    """One step: DPO's loss, averaged over pairs, and ``rpo_alpha`` times the better answers' loss a token."""
    tokens = sum(sum(pair.better.trained) for pair in batch)

    def gradient(part: list[Pair]) -> tuple:
        dpo, supervised, rewards = loss_of(trainer.model, part, beta)
        loss = dpo.sum() / len(batch) + rpo_alpha * supervised / tokens
        return loss.item(), rewards, torch.autograd.grad(loss, trainer.weights)

    parts = trainer.parts_of(batch, PAIRS_TOGETHER)
    losses, rewards, gradients = zip(*trainer.pool.map(gradient, parts), strict=True)
    trainer.move(gradients)
    return trainer.place() | {"train_loss": sum(losses)} | told("rewards/", torch.cat(rewards, dim=1))


def told(prefix: str, rewards: torch.Tensor) -> dict:
    """Mean reward of either answer, how far apart they are, and in how many pairs the better one leads."""
    better, worse = rewards
    found = {
        "chosen": better,
        "rejected": worse,
        "margins": better - worse,
        "accuracies": (better > worse).float(),
    }
    return {f"{prefix}{name}": values.mean().item() for name, values in found.items()}


def validate(trainer: Trainer, validation: list[Pair], beta: float) -> dict:
    """DPO's loss and the rewards on a few validation pairs, in turn; at the end of an epoch on all of them."""
    chosen = training.to_validate(trainer, validation)
    if not chosen:
        return {}

    @torch.inference_mode()
    def score(part: list[Pair]) -> tuple:
        dpo, _, rewards = loss_of(trainer.model, part, beta)
        return dpo, rewards

    parts = [chosen[i : i + PAIRS_TOGETHER] for i in range(0, len(chosen), PAIRS_TOGETHER)]
    losses, rewards = zip(*trainer.pool.map(score, parts), strict=True)
    loss = torch.cat(losses).mean().item()
    full = {"full_valid_loss": loss} if trainer.epoch_ends else {}
    return {"valid_loss": loss} | full | told("eval_rewards/", torch.cat(rewards, dim=1))
