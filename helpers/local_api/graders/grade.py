"""What a grader gets and gives."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field

ERRORS = (  # GraderRunResponse of the openai package
    "formula_parse_error",
    "invalid_variable_error",
    "model_grader_parse_error",
    "model_grader_refusal_error",
    "model_grader_server_error",
    "other_error",
    "python_grader_runtime_error",
    "python_grader_server_error",
    "sample_parse_error",
    "truncated_observation_error",
    "unresponsive_reward_error",
)
OF_THE_ANSWER = ("sample_parse_error", "model_grader_parse_error")  # no fault of the grader
MOST_BROKEN = 0.5  # share of a step's answers that a grader may fail at

Ask = Callable[[str, list[list[dict]]], list[str]]  # (model, conversations) -> an answer to each


class GraderBroken(Exception):
    """The grader fails so often that its rewards mean nothing. The text says how, and what to do."""


class TooLong(Exception):
    """A text became too long when it was filled in."""


class Failed(Exception):
    """An answer could not be graded: ``kind`` is one of ERRORS, the text says why."""

    def __init__(self, kind: str, text: str):
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True)
class Grade:
    """The reward of an answer, 0 if it could not be graded; then ``error`` is one of ERRORS and ``details`` says why.

    ``parts`` has the rewards of the parts of a multi grader, by their names.
    """

    reward: float
    error: str | None = None
    details: str | None = None
    parts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """An answer and its row, under the names that graders know: ``sample`` and ``item``."""

    text: str
    item: dict

    @functools.cached_property
    def sample(self) -> dict:
        """The answer. ``output_json`` is there if the answer is JSON; ``output_tools`` is empty: no tool is called."""
        message = {"role": "assistant", "content": self.text, "refusal": None}
        found = {"output_text": self.text, "output_tools": [], "choices": [{"index": 0, "message": message}]}
        try:
            return found | {"output_json": json.loads(self.text)}
        except (ValueError, RecursionError):
            return found


def refuse_if_broken(grades: list[Grade]) -> None:
    """Raises GraderBroken if more than half of the answers could not be graded through the grader's own fault."""
    broken = [grade for grade in grades if grade.error and grade.error not in OF_THE_ANSWER]
    if len(broken) > MOST_BROKEN * len(grades):
        raise GraderBroken(
            f"The grader failed at {len(broken)} of {len(grades)} answers, so their rewards mean nothing. The first "
            f"error: {broken[0].details} Try the grader on one answer with fine_tuning.alpha.graders.run, and mend it."
        )
