"""Texts with {{ item.key }} and {{ sample.output_text }} in them, filled in for an answer and its row."""

import json
import re

from .grade import Failed, Sample, TooLong

MAX_TEXT = 10_000_000  # characters that are filled into one text: a long one may be asked for again and again
FIELD = re.compile(r"{{\s*([^{}]*?)\s*}}")
PATH = re.compile(r"(item|sample)((?:\.[\w-]+|\[\d+\]|\[\"[^\"]*\"\]|\['[^']*'\])+)")
STEP = re.compile(r"\.([\w-]+)|\[(\d+)\]|\[[\"']([^\"']*)[\"']\]")


def problem(template: str) -> str | None:
    """What is wrong with a text, or None."""
    for name in FIELD.findall(template):
        if not PATH.fullmatch(name):
            return (
                f"'{{{{{name[:80]}}}}}' names nothing. Write {{{{item.KEY}}}} for a key of the row, or "
                "{{sample.output_text}} for the answer."
            )
    return None


def missing(template: str, item: dict) -> str | None:
    """The first key that the text asks for and the row lacks, or None."""
    for name in FIELD.findall(template):
        space, steps = _path(name)
        if space == "item":
            try:
                _walk(item, steps)
            except LookupError:
                return ".".join(map(str, steps))
    return None


def fill(template: str, sample: Sample) -> str:
    """The text with all values in place. Raises Failed for one that is not there, TooLong if they are too long."""
    left = MAX_TEXT

    def value(match: re.Match) -> str:
        nonlocal left
        found = _as_text(_value(match[1], sample))
        left -= len(found)
        if left < 0:
            raise TooLong(f"filled in, a text has more than {MAX_TEXT:,} characters.")
        return found

    return FIELD.sub(value, template)


def _value(name: str, sample: Sample):
    space, steps = _path(name)
    try:
        return _walk(sample.item if space == "item" else sample.sample, steps)
    except LookupError:
        if space == "sample" and steps[0] == "output_json":
            raise Failed("sample_parse_error", f"The answer is no JSON with {{{{{name}}}}}.") from None
        what = "row" if space == "item" else "answer"
        raise Failed("invalid_variable_error", f"The {what} has no {{{{{name}}}}}.") from None


def _path(name: str) -> tuple[str, list]:
    space, steps = PATH.fullmatch(name).groups()
    return space, [int(number) if number else key or quoted for key, number, quoted in STEP.findall(steps)]


def _walk(value, steps: list):
    """What lies at the end of the way. Raises LookupError where the way ends."""
    for step in steps:
        if not isinstance(value, list if isinstance(step, int) else dict):
            raise LookupError(step)
        value = value[step]
    return value


def _as_text(value) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        raise Failed("other_error", "A value of the row is nested too deeply to be written down.") from None
