"""Learning from rewards: the model answers, a grader rewards the answers, and the better ones become likelier.

Each question is answered several times. What counts is how much better an answer was than the others of its group
(GRPO: Shao et al., 2024, arXiv 2402.03300), so no second model has to guess what reward is usual. Answers are drawn
from the model as it is at that step, and each is learned from once: then the gradient is the plain policy gradient,
advantage times the slope of the answer's log-probability, a mean over all drawn tokens (as in TRL's GRPOTrainer).

Names of metrics are those of OpenAI's events ("Reinforcement fine-tuning", appendix); ``reward_std``,
``frac_reward_zero_std`` and ``kl`` are those of TRL's GRPOTrainer.
"""

import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from ...graders import Grade, refuse_if_broken
from . import serving, training
from .training import Example, Trainer

TOGETHER = 2  # answers that are learned at once on a thread; memory grows with them
DRAWN = 8  # answers to a question, for a compute multiplier of 1
MAX_ANSWER = 96  # tokens; a longer answer is cut, and graded as it is
EPSILON = 1e-4  # added to the spread of a group, as TRL does

Grader = Callable[[list[tuple[str, dict]]], list[Grade]]  # grades (answer, row) pairs


def drawn(compute_multiplier: float) -> int:
    """How many answers to a question are drawn: two at least, for there must be something to compare."""
    return max(2, round(DRAWN * compute_multiplier))


@dataclass(frozen=True)
class Question:
    """A row of the file: its conversation as tokens, and all of it for the grader."""

    tokens: list[int]
    row: dict


@dataclass(frozen=True)
class Drawn:
    """One answer of the model, with its end mark if it came to an end, and what the grader gave for it."""

    question: Question
    tokens: list[int]
    text: str
    grade: Grade | None = None

    @property
    def example(self) -> Example:
        asked = self.question.tokens
        return Example(asked + self.tokens, [False] * len(asked) + [True] * len(self.tokens))


@dataclass(frozen=True)
class Wishes:
    """What a job wants beside training.Settings. ``beta`` is the weight of the penalty for leaving the start."""

    drawn: int = DRAWN
    eval_interval: int = 5
    eval_samples: int = 1
    beta: float = 0.0


def encode(tokenizer, row: dict) -> Question:
    """A row in OpenAI's reinforcement format: messages that end with the user's, and keys for the grader."""
    text = training.prompt_text(tokenizer, training.plain(row["messages"]))
    return Question(tokenizer.encode(text, add_special_tokens=False), row)


# --- the loop ------------------------------------------------------------------------------------------------


def train(
    trainer: Trainer, model: "Answering", questions: list, validation: list, grade: Grader, wishes: Wishes
):
    """Yields a dict of metrics after each step, as ``training.train`` does."""
    for batch in training.coming(trainer, questions):
        watch = Stopwatch()
        answers = graded(model.draw(batch, wishes.drawn, f"{trainer.settings.seed}-{trainer.step}"), grade)
        watch.passed("sampling")
        metrics = learn(trainer, answers, wishes)
        watch.passed("training")
        if trainer.step % wishes.eval_interval == 0 or trainer.step == trainer.total:
            metrics |= validate(model, validation, grade, wishes)
            watch.passed("eval")
        serving.give_memory_back()  # what learning needed; drawing needs it in other pieces
        yield metrics | {"timing": {"step": watch.seconds}}


def graded(answers: list[Drawn], grade: Grader) -> list[Drawn]:
    """The answers with their rewards. Raises GraderBroken if the grader fails at most of them."""
    grades = grade([(answer.text, answer.question.row) for answer in answers])
    refuse_if_broken(grades)
    return [replace(answer, grade=one) for answer, one in zip(answers, grades, strict=True)]


def learn(trainer: Trainer, answers: list[Drawn], wishes: Wishes) -> dict:
    """One step: answers that were better than the rest of their group become likelier, worse ones less likely."""
    advantages = [one for group in groups(answers, wishes.drawn) for one in advantages_of(group)]
    tokens = sum(len(answer.tokens) for answer in answers)
    # an answer without advantage teaches nothing, unless leaving the start is punished
    taught = [(a.example, one) for a, one in zip(answers, advantages, strict=True) if one or wishes.beta]
    parts = [taught[i : i + TOGETHER] for i in range(0, len(taught), TOGETHER)]
    before = at_start(trainer, parts) if wishes.beta else [None] * len(parts)

    def gradient(part: list[tuple[Example, float]], before: torch.Tensor | None) -> tuple:
        gain, distance = objective(trainer.model, part, before)
        loss = (wishes.beta * distance - gain) / tokens
        return distance.item(), torch.autograd.grad(loss, trainer.weights)

    whole, all_slopes = 0.0, []
    for distance, slopes in trainer.pool.map(gradient, parts, before):  # added up at once: they are many
        whole += distance
        all_slopes = [sum(two) for two in zip(all_slopes, slopes, strict=True)] if all_slopes else slopes
    trainer.move([all_slopes] if all_slopes else [])
    trainer.tokens += tokens
    kl = {"kl": whole / tokens} if wishes.beta else {}
    return trainer.place() | told(answers, wishes.drawn) | kl


def advantages_of(group: list[Drawn]) -> list[float]:
    """How much better each answer is than its group, in standard deviations; 0 for all if they are equally good."""
    rewards = [answer.grade.reward for answer in group]
    mean, spread = statistics.fmean(rewards), statistics.stdev(rewards)
    return [(reward - mean) / (spread + EPSILON) for reward in rewards]


def objective(
    model, part: list[tuple[Example, float]], before: torch.Tensor | None
) -> tuple[torch.Tensor, ...]:
    """(advantages times log-probabilities, distance from the start), each summed over the tokens of all answers.

    ``before`` are the tokens' log-probabilities at the start; without them the distance is 0. It is never negative,
    and its mean is the divergence of Kullback and Leibler (J. Schulman, "Approximating KL divergence", 2020, k3).
    """
    examples, advantages = zip(*part, strict=True)
    now, owners = training.token_log_probabilities(model, examples)
    gain = (now.new_tensor(advantages)[owners] * now).sum()
    left = now.new_zeros(1) if before is None else before - now
    return gain, (left.exp() - left - 1).sum()


def at_start(trainer: Trainer, parts: list) -> list[torch.Tensor]:
    """The log-probability of each token of each part under the model that the job starts from."""

    @torch.inference_mode()
    def score(part: list[tuple[Example, float]]) -> torch.Tensor:
        return training.token_log_probabilities(trainer.model, [example for example, _ in part])[0]

    with trainer.at_start():
        return list(trainer.pool.map(score, parts))


def groups(answers: list[Drawn], size: int) -> list[list[Drawn]]:
    """The answers of each question."""
    return [answers[i : i + size] for i in range(0, len(answers), size)]


def validate(model: "Answering", validation: list[Question], grade: Grader, wishes: Wishes) -> dict:
    """The mean reward of answers to all validation questions, drawn with the same seeds each time."""
    if not validation:
        return {}
    answers = graded(model.draw(validation, wishes.eval_samples, "validation"), grade)
    return {"full_valid_mean_reward": statistics.fmean(answer.grade.reward for answer in answers)}


def told(answers: list[Drawn], size: int) -> dict:
    """What the answers of a step have shown. Of a grader of several parts, each part's mean too."""
    rewards = [answer.grade.reward for answer in answers]
    equal = [len({answer.grade.reward for answer in group}) == 1 for group in groups(answers, size)]
    parts = [answer.grade.parts for answer in answers if answer.grade.parts]
    errors = Counter(answer.grade.error for answer in answers if answer.grade.error)
    scores = [
        {"name": n, "train_reward_mean": statistics.fmean(p[n] for p in parts)} for n in (parts or [{}])[0]
    ]
    return {
        "train_mean_reward": statistics.fmean(rewards),
        "reward_std": statistics.stdev(rewards),
        "completion_tokens_mean": statistics.fmean(len(answer.tokens) for answer in answers),
        "frac_reward_zero_std": statistics.fmean(equal),
        "scores": {"train_reward_mean": statistics.fmean(rewards), "graders": scores},
        "errors": {f"train_{name}_count": count for name, count in errors.items()},
    }


# --- answers -------------------------------------------------------------------------------------------------


class Answering:
    """The model that is trained, as it answers now."""

    def __init__(self, trainer: Trainer, tokenizer):
        self.model, self.tokenizer = trainer.model, tokenizer
        self.threads = training.quickest_threads()
        self.layers = [layer for layer in self.model.modules() if isinstance(layer, BaseTunerLayer)]
        self.kept = [layer.get_base_layer().weight.detach().clone() for layer in self.layers]

    def draw(self, questions: list[Question], count: int, seed: str) -> list[Drawn]:
        """``count`` answers to each question, drawn at temperature 1; the same ones again for the same seed."""
        chance = random.Random(seed)
        asked = [question for question in questions for _ in range(count)]
        answers = [
            serving.Answer(
                q.tokens, limit=MAX_ANSWER, temperature=1.0, seed=chance.getrandbits(63), stops=[], top=-1
            )
            for q in asked
        ]
        with self._merged() as model:
            for i in range(0, len(answers), serving.MAX_BATCH):
                serving.decode(model, self.tokenizer, answers[i : i + serving.MAX_BATCH])
        return [self._drawn(question, answer) for question, answer in zip(asked, answers, strict=True)]

    def _drawn(self, question: Question, answer: serving.Answer) -> Drawn:
        pieces = list(answer)
        end = [self.tokenizer.eos_token_id] if pieces[-1].finish_reason == "stop" else []
        return Drawn(question, answer.generated + end, "".join(piece.text for piece in pieces))

    @contextmanager
    def _merged(self):
        """Within it, the trained matrices are added to the base's own, as in the model that is served: half the time.

        To take them away again would leave rounding errors, so the base's own are put back.
        """
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        self.model.merge_adapter()
        try:
            yield self.model.get_base_model()
        finally:
            self.model.unmerge_adapter()
            for layer, weight in zip(self.layers, self.kept, strict=True):
                layer.get_base_layer().weight.data.copy_(weight)
            torch.set_num_threads(before)


class Stopwatch:
    """Seconds that the parts of a step took, by name."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def passed(self, name: str) -> None:
        """What ends now was ``name``."""
        self._last, before = time.monotonic(), self._last
        self.seconds[name] = self._last - before
