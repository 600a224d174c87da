"""Graders: what gives an answer its reward, described in JSON as OpenAI's guide "Graders" has it.

``check`` says what is wrong with one, ``Grading`` grades answers with it, ``run`` answers the API's trial of one.
Two of OpenAI's metrics of similarity are refused, and so is a judge that is only simulated; the reason is said.

``export-job`` copies this folder: what grades takes nothing from the rest of the API, unless a model judges.
"""

import time

from .grade import ERRORS, Ask, Grade, GraderBroken, Sample, TooLong, refuse_if_broken
from .kinds import PYTHON, Wrong, made, parts_of

__all__ = [
    "Ask",
    "Grade",
    "GraderBroken",
    "Grading",
    "check",
    "judges",
    "refuse_if_broken",
    "refuse_unless_filled",
    "run",
    "runs_code",
    "validate",
]


class Grading:
    """Grades answers with one grader. ``ask`` has a model answer; only graders with a model need it.

    A context manager: a Python grader has a process of its own, which ends with it.
    """

    def __init__(self, grader: dict, ask: Ask | None = None):
        self._kind = made(grader, ask)

    def grades(self, answers: list[tuple[str, dict]]) -> list[Grade]:
        """A grade for each pair of an answer and its row. What goes wrong is in the grade, with a reward of 0."""
        return self._kind.grades([Sample(text, row) for text, row in answers])

    def __enter__(self) -> "Grading":
        return self

    def __exit__(self, *_) -> None:
        self._kind.close()


def check(grader: dict, param: str = "grader") -> None:
    """Raises 400 for a grader that could never work. Its shape has been checked already."""
    from ..errors import bad_request

    try:
        made(grader, None)
    except Wrong as wrong:
        raise bad_request(f"Invalid '{param}{wrong.place}': {wrong}", f"{param}{wrong.place}") from None


def validate(grader: dict) -> dict:
    """POST .../graders/validate."""
    check(grader)
    return {"grader": grader}


def runs_code(grader: dict) -> bool:
    """Whether a program in it would run on this computer."""
    return any(part["type"] == PYTHON for part in parts_of(grader))


def judges(grader: dict) -> list[str]:
    """The models that are asked for a judgement."""
    return [part["model"] for part in parts_of(grader) if "model" in part]


def refuse_unless_filled(grader: dict, rows: list[dict]) -> None:
    """Raises GraderBroken for the first row that lacks a key which the grader's texts ask for."""
    kind = made(grader, None)
    for number, row in enumerate(rows, 1):
        if missing := kind.missing(row):
            raise GraderBroken(
                f"Example {number} has no '{missing}', which the grader asks for as {{{{item.{missing}}}}}. Add "
                "the key to each row, or change the grader."
            )


def run(body: dict, ask: Ask | None = None) -> dict:
    """POST .../graders/run."""
    from ..errors import bad_request

    grader, item = body["grader"], body.get("item")
    if item is not None and not isinstance(item, dict):
        raise bad_request("Invalid 'item': it must be an object.", "item")
    check(grader)
    start = time.monotonic()
    try:
        with Grading(grader, ask) as grading:
            (grade,) = grading.grades([(body["model_sample"], item or {})])
    except TooLong as error:
        raise bad_request(f"Invalid 'grader': {error}", "grader") from None
    return _result(grader, grade, time.monotonic() - start)


def _result(grader: dict, grade: Grade, seconds: float) -> dict:
    details = {
        name: None for name in ("python_grader_runtime_error_details", "model_grader_server_error_details")
    }
    details["python_grader_server_error_type"] = None
    if f"{grade.error}_details" in details:
        details[f"{grade.error}_details"] = grade.details
    return {
        "reward": grade.reward,
        "metadata": {
            "errors": {name: name == grade.error for name in ERRORS} | details,
            "execution_time": seconds,
            "name": grader.get("name", ""),
            "sampled_model_name": grader.get("model"),
            "scores": {} if grade.details is None else {"note": grade.details},
            "token_usage": None,
            "type": grader["type"],
        },
        "model_grader_token_usage_per_model": {},
        "sub_rewards": grade.parts,
    }
