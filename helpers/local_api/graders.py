"""Graders: checked, and string checks run. The other kinds are answered with a score of 0 that says so."""

import re

from .errors import bad_request

MAX_TEXT = 10_000_000  # characters that are filled into one text: a long one may be asked for again and again
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


def validate(grader: dict) -> dict:
    """POST .../graders/validate. The body's shape has been checked already."""
    return {"grader": grader}


def run(body: dict) -> dict:
    """POST .../graders/run."""
    grader, sample = body["grader"], body["model_sample"]
    if grader["type"] != "string_check":
        return _result(grader, 0.0, f"not simulated here: graders of type {grader['type']}")
    item = body.get("item")
    if item is not None and not isinstance(item, dict):
        raise bad_request("Invalid 'item': it must be an object.", "item")
    found, wanted = (_fill(grader[key], sample, item or {}) for key in ("input", "reference"))
    return _result(grader, float(_compare(found, wanted, grader["operation"])))


def _compare(found: str, wanted: str, operation: str) -> bool:
    if operation == "ilike":
        return wanted.lower() in found.lower()
    return {"eq": found == wanted, "ne": found != wanted, "like": wanted in found}[operation]


def _fill(template: str, sample: str, item: dict) -> str:
    """Replaces {{sample.output_text}} and {{item.key}}. 400 if a text becomes too long by it."""
    values = {"sample.output_text": sample} | {f"item.{key}": str(value) for key, value in item.items()}
    left = MAX_TEXT

    def value(match: re.Match) -> str:
        nonlocal left
        found = values.get(match[1], match[0])
        left -= len(found)
        if left < 0:
            raise bad_request(
                f"Invalid 'grader': filled in, a text has more than {MAX_TEXT:,} characters.", "grader"
            )
        return found

    return re.sub(r"{{\s*([\w.]+)\s*}}", value, template)


def _result(grader: dict, score: float, note: str | None = None) -> dict:
    return {
        "reward": score,
        "metadata": {
            "errors": dict.fromkeys(ERRORS, False) | {"other_error": bool(note)},
            "execution_time": 0.0,
            "name": grader["name"],
            "sampled_model_name": None,
            "scores": {} if note is None else {"note": note},
            "token_usage": None,
            "type": grader["type"],
        },
        "model_grader_token_usage_per_model": {},
        "sub_rewards": {},
    }
