"""What a training job does, one class for each method; ``worker`` takes it through pause, kill and end.

A course holds the rows of the files as examples and a ``trainer`` that stands at the start. ``prepare()`` returns what
can be said before the first step. ``steps()`` trains: it yields the metrics of each step.
"""

import time
from collections.abc import Iterator

from ...graders import Ask, Grading, refuse_unless_filled
from ...training_files import Failure, TrainingFile
from . import base_of, preferences, rates, rewards, training, weights

PARAMS = ("training_file", "validation_file")
FORTH_AND_BACK = 3  # to learn from a token takes as long as to read it so many times
LEARNING = 0.7  # to learn from drawn answers takes, in times of drawing them
REHEARSED = 8  # questions that are answered before the first step if there is no validation file


class Examples:
    """Learning from examples. The other methods differ from it in what their methods say."""

    save_every = 10  # steps; so much is done again after a kill
    columns = ("train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy")

    def __init__(
        self, job: dict, numbers: dict, files: list[TrainingFile | None], adapter: bytes | None, ask: Ask
    ):
        """``numbers`` are the hyperparameters without "auto"; ``adapter`` is the tuned model to start from, if any;
        ``ask`` has a model judge answers."""
        self.job, self.numbers = job, numbers
        parts = training.share_out_threads(numbers["batch_size"])
        base = self.base = weights.base(base_of(job["model"]))
        self.tokenizer = training.load_tokenizer(base.folder)
        self.examples, self.validation = map(self._encoded, files, PARAMS)
        longest = max(map(self.longest, self.examples))
        model = training.with_lora(training.load_model(base.folder, longest), adapter, job["seed"])
        settings = training.Settings(
            numbers["n_epochs"],
            numbers["batch_size"],
            numbers["learning_rate_multiplier"],
            job["seed"],
            rates.usual_rate(job["method"]["type"], base),
        )
        self.trainer = training.Trainer(model, settings, len(self.examples), parts)

    def rows(self, file: TrainingFile) -> list[dict]:
        """The rows of a file, in the form that this method learns from."""
        return file.sample

    def messages(self, row: dict) -> list[dict]:
        """All messages of a row."""
        return row["messages"]

    def encode(self, row: dict):
        return training.encode(self.tokenizer, row["messages"])

    def longest(self, example) -> int:
        """Tokens that are read in one go, at most."""
        return len(example.tokens)

    def prepare(self) -> str | None:
        return None

    def steps(self) -> Iterator[dict]:
        return training.train(self.trainer, self.examples, self.validation)

    def is_kept(self) -> bool:
        """Whether the model is to be kept as it is after this step."""
        return self.trainer.epoch_ends

    def tokens(self) -> int:
        """Tokens of the whole training."""
        return sum(len(example.tokens) for example in self.examples) * self.numbers["n_epochs"]

    def close(self) -> None:
        """Ends what the training has started."""

    def _encoded(self, file: TrainingFile | None, param: str) -> list:
        """The rows of a file as examples. Raises Failure for one that is too long, or if there are too many."""
        if not file:
            return []
        if file.count > len(file.rows):
            message = (
                f"Training on this computer takes at most {len(file.rows)} examples; {file.count} were given."
            )
            raise Failure(message, f"invalid_{param}", param)
        return [self._example(row, number, param) for number, row in enumerate(self.rows(file), 1)]

    def _example(self, row: dict, number: int, param: str):
        # each message has a token at least, and writing them down takes the square of their number
        size, known, example = len(self.messages(row)), "at least ", None
        if size <= training.MAX_TOKENS:
            try:
                example = self.encode(row)
            except training.Unwritable as error:
                raise Failure(f"Example {number}: {error}", f"invalid_{param}", param) from None
            size, known = self.longest(example), ""
        if size > training.MAX_TOKENS:
            message = (
                f"Example {number} has {known}{size} tokens; training on this computer takes at most "
                f"{training.MAX_TOKENS}. Shorten it, or cut it into several examples."
            )
            raise Failure(message, f"invalid_{param}", param)
        return example


class Preferences(Examples):
    """Learning from pairs of a better and a worse answer."""

    columns = ("train_loss", "rewards/accuracies", "rewards/margins", "rewards/chosen", "rewards/rejected")
    columns += ("valid_loss", "eval_rewards/accuracies", "eval_rewards/margins")

    def rows(self, file: TrainingFile) -> list[dict]:
        return file.rows

    def messages(self, row: dict) -> list[dict]:
        return [message for part in preferences.parts_of(row) for message in part]

    def encode(self, row: dict):
        return preferences.encode(self.tokenizer, row)

    def longest(self, pair) -> int:
        return max(len(pair.better.tokens), len(pair.worse.tokens))

    def prepare(self) -> str:
        """Takes the pairs' reference; how long that took tells how long the training will."""
        start = time.monotonic()
        self.examples = preferences.with_reference(self.trainer, self.examples)
        seconds = (time.monotonic() - start) * FORTH_AND_BACK
        self.validation = preferences.with_reference(self.trainer, self.validation)
        left = 1 - self.trainer.step / self.trainer.total
        return about(seconds * self.numbers["n_epochs"] * left)

    def steps(self) -> Iterator[dict]:
        beta, rpo_alpha = self.numbers["beta"], self.numbers["rpo_alpha"]
        return preferences.train(self.trainer, self.examples, self.validation, beta, rpo_alpha)


class Rewards(Examples):
    """Learning from the rewards that a grader gives for the model's own answers."""

    save_every = 2
    columns = ("train_mean_reward", "reward_std", "full_valid_mean_reward", "completion_tokens_mean")
    columns += ("frac_reward_zero_std", "kl")

    def __init__(self, job: dict, numbers: dict, files: list[TrainingFile | None], adapter, ask: Ask):
        grader = job["method"]["reinforcement"]["grader"]
        for file in filter(None, files):
            refuse_unless_filled(grader, file.rows)
        super().__init__(job, numbers, files, adapter, ask)
        self.answering = rewards.Answering(self.trainer, self.tokenizer)
        self.grading = Grading(grader, ask)
        self.wishes = rewards.Wishes(
            rewards.drawn(self.numbers["compute_multiplier"]),
            self.numbers["eval_interval"],
            self.numbers["eval_samples"],
            self.numbers["beta"],
        )

    def rows(self, file: TrainingFile) -> list[dict]:
        return file.rows

    def encode(self, row: dict):
        return rewards.encode(self.tokenizer, row)

    def longest(self, question) -> int:
        return len(question.tokens) + rewards.MAX_ANSWER

    def prepare(self) -> str | None:
        """Has some questions answered and graded: what reward is usual before the first step, and how long it takes."""
        if self.trainer.step:
            return None
        start = time.monotonic()
        asked = self.validation or self.examples[:REHEARSED]
        reward = rewards.validate(self.answering, asked, self.grading.grades, self.wishes)
        steps = self.trainer.total
        seconds = (time.monotonic() - start) * ((1 + LEARNING) * steps + steps / self.wishes.eval_interval)
        what = "validation" if self.validation else "the first"
        mean = reward["full_valid_mean_reward"]
        return f"Now the answers to {len(asked)} {what} questions get a mean reward of {mean:.2f}. {about(seconds)}"

    def steps(self) -> Iterator[dict]:
        both = self.examples, self.validation
        return rewards.train(self.trainer, self.answering, *both, self.grading.grades, self.wishes)

    def is_kept(self) -> bool:
        trainer = self.trainer
        return trainer.step % self.wishes.eval_interval == 0 or trainer.step == trainer.total

    def tokens(self) -> int:
        return self.trainer.tokens

    def close(self) -> None:
        self.grading.__exit__()


COURSES = {"supervised": Examples, "dpo": Preferences, "reinforcement": Rewards}


def about(seconds: float) -> str:
    """How long it will take, for an event."""
    minutes = max(1, round(seconds / 60))
    return f"About {minutes} more minute{'s' if minutes > 1 else ''} on this computer"
