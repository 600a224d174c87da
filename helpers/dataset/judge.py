"""The one place that says whether a row, or a file, would make a job fail: asked by dataset.check and by the API."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .codes import CODES, ERROR, Code, of_stage
from .lines import Line, Span, layout, of_file, of_rows, parsed
from .row import Job, Row

DEEPEST = 100  # objects and lists inside each other

Found = tuple[Code, str]  # a defect and where in the row, in words


class File(NamedTuple):
    """What is judged of a file as a whole."""

    rows: int
    formats: dict[str, tuple[int, int]]  # format -> rows, first line
    job: Job
    size: int = 0  # bytes
    largest: int = 0  # bytes that the Files API takes


class Refused(Exception):
    """A file that makes a job fail: the defect, its line, and where."""

    def __init__(self, code: Code, line: int, where: str):
        super().__init__(code.reason(line, where))
        self.code, self.line, self.where = code, line, where


def look_at(line: Line, job: Job) -> tuple[Row | None, list[Found]]:
    """The row of a line, None if it has none, and everything that is wrong with both but for the texts."""
    found = [(CODES[line.code], line.detail)] if line.code else []
    if line.code and line.code != "object_over_lines":
        return None, found
    if _is_too_deep(line.data, line.value):
        return None, [*found, (CODES["not_json"], "it is nested too deeply")]
    row = Row(line, job)
    for code in _of_any_row() if row.plain else of_stage("row"):
        if code.concerns(line.data):
            found += [(code, where) for where in code.find(row)]
    return row, found


@functools.cache
def _of_any_row() -> list[Code]:
    """What the shape of a plain row does not rule out."""
    return [code for code in of_stage("row") if code.marks]


def _is_too_deep(data: bytes, value, left: int = DEEPEST) -> bool:
    if data.count(b"{") + data.count(b"[") < DEEPEST:
        return False
    return _goes_deeper(value, left)


def _goes_deeper(value, left: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return left == 0 or any(_goes_deeper(one, left - 1) for one in inside)


def problem(example, method: str | None = None, model: str | None = None) -> str | None:
    """Why this row would make a fine-tuning job fail, in the words of a failed job; or None."""
    (line,) = parsed(of_rows([example]), from_file=False)
    _, found = look_at(line, Job(model, method))
    reasons = (code.reason(1, where) for code, where in found if code.severity == ERROR)
    return next(reasons, "").removeprefix("Example 1, ").removeprefix("Example 1: ") or None


def examples(path: Path, job: Job) -> Iterator[Row]:
    """The rows of a file one after the other. Raises Refused at the first that would make the job fail."""
    whole = layout(path)
    if whole.whole:
        raise Refused(CODES[whole.whole], 1, whole.detail)
    for line in parsed(of_file(path, Span(0, whole.size, 1))):
        row, found = look_at(line, job)
        for code, where in found:
            if code.severity == ERROR:
                raise Refused(code, line.number, where)
        if row is not None:
            yield row


def of_whole(file: File) -> Iterator[tuple[Code, int, str]]:
    """What is wrong with a file as a whole: the defect, a line or 0, and what was found."""
    for code in of_stage("file"):
        for line, where in code.find(file):
            yield code, line, where
