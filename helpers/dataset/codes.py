"""What a defect is: one entry that says its code, how bad it is, what it means, how to mend it, why it counts, and
the function that finds it. The entries stand in ``defects``; this module collects them.

``error``: the job will fail, and a source says so. ``warning``: it will train something you do not want; the
source says what. ``hint``: worth a look. What no source states as a rule is never an error.
"""

import ast
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import NamedTuple

SEVERITIES = ERROR, WARNING, HINT = "error", "warning", "hint"  # the worst first

SFT = "OpenAI supervised fine-tuning guide, developers.openai.com/api/docs/guides/supervised-fine-tuning"
BEST = "OpenAI fine-tuning best practices, developers.openai.com/api/docs/guides/fine-tuning-best-practices"
OLD = "OpenAI fine-tuning guide of early 2025, platform.openai.com/docs/guides/fine-tuning"
SPEC = "OpenAI API description, github.com/openai/openai-openapi, commit f85dbe2"
SCHEMA = "OpenAI API description, branch manual_spec of 2025-04-29, schema FineTuneChatRequestInput"
COOKBOOK = "OpenAI cookbook, Chat_finetuning_data_prep.ipynb"
JSONL = f"one JSON object a line: {SFT}"
SEEN = (
    'error of a real job: "Unexpected file format, expected either prompt/completion pairs or chat messages."'
)
UNEXPECTED = "Unexpected file format, expected either prompt/completion pairs or chat messages."
NOT_JSON = "Line {line} is not valid JSON: {where}"

Find = Callable[..., Iterable]


class Code(NamedTuple):
    """One kind of defect."""

    code: str
    severity: str
    what: str
    mend: str
    source: str  # where the rule is stated; for a warning or hint also: what happens otherwise
    said: str = (
        ""  # how a failed job words it, if not as the checker does: {line}, {where}, {place}, {detail}
    )
    stage: str = (
        ""  # what the function looks at: "row", "tokens", "texts", "rows", "file"; "": reading shows it
    )
    find: Find | None = None
    once: bool = False  # one finding a file for all rows of which the same is said
    marks: tuple[bytes, ...] = ()  # the function runs only on a line with one of these in it
    compare: Find | None = None  # a second function, for what only all rows together show

    def concerns(self, data: bytes) -> bool:
        """True if the function has to look at a line."""
        for sign, marks in _signs(self.marks):  # a loop, because most rows of a large file come by here
            if sign in data:
                for mark in marks:
                    if mark in data:
                        return True
        return not self.marks

    def reason(self, line: int, where: str) -> str:
        """Why a job fails, in the form of OpenAI: 'Example 3, message 2: ...'."""
        place, _, detail = where.partition(": ")
        said = self.said.format(line=line, where=where, place=place, detail=detail)
        said = said or f"{where}: " * bool(where) + f"{self.what}. {self.mend}"
        if self.stage == "file" or said.startswith(("Line ", "The ")):
            return said
        return f"Example {line}{', ' if said.startswith(PLACES) else ': '}{said}"


@functools.cache
def _signs(marks: tuple[bytes, ...]) -> list[tuple[bytes, list[bytes]]]:
    """The marks by their rarest sign: one byte is found ten times as fast as several."""
    found: dict[bytes, list[bytes]] = {}
    for mark in marks:
        found.setdefault(next((sign for sign in RARE if sign in mark), mark), []).append(mark)
    return [*found.items()]


RARE = b"\xc3", b"\\", b"#", b"_", b">", b"K", b"-", b"I"

PLACES = ("message ", "input, message", "preferred_output, message", "non_preferred_output, message")

CODES: dict[str, Code] = {}


def defect(severity: str, source: str, stage: str = "row", **more) -> Callable[[Find], Find]:
    """Registers the function below as the one that finds this defect; its name is the code. See Code.

    The first line of the function's docstring says what is wrong, the rest how to mend it.
    """

    def register(find: Find) -> Find:
        what, mend = (find.__doc__ or _docstring_in_file(find)).split("\n", 1)
        code, mend = find.__name__, " ".join(mend.split())
        CODES[code] = Code(code, severity, what, mend, source, stage=stage, find=find, **more)
        return find

    return register


def _docstring_in_file(find: Find) -> str:
    """As it stands in the file: ``python -OO`` strips docstrings."""
    (function,) = ast.parse(inspect.getsource(find)).body
    return ast.get_docstring(function, clean=False)


def shown_by_reading(code: str, severity: str, what: str, mend: str, source: str, said: str = "") -> None:
    """Registers a defect that needs no function, because reading the line shows it."""
    CODES[code] = Code(code, severity, what, mend, source, said)


@functools.cache
def of_stage(stage: str) -> list[Code]:
    """The defects whose functions look at the same thing, in the order of the table."""
    return [code for code in CODES.values() if code.stage == stage]
