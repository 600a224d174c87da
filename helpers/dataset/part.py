"""Checking a part of a file: each row alone, and the few numbers by which rows are compared later."""

import functools
import hashlib
import json
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .. import tokens
from .codes import ERROR, Code, of_stage
from .counting import RowCounter
from .foreign import PANDAS, column_length
from .judge import look_at
from .languages import language
from .lines import Line, is_json
from .row import Example, Job, Row
from .similar import signature

KEEP = 100  # examples a code
DETAIL = 200  # characters of what is said of one
KEEP_WORDS = 5_000  # first and last words of answers, to name a style by

# What is kept of every good row, 63 bytes in all.
COLUMNS = {
    "line": "I",
    "offset": "Q",  # where the row starts, to read it again
    "row": "Q",  # hashes of the whole row, its system prompt, what is asked, the answer
    "system": "Q",
    "asked": "Q",
    "answer": "Q",
    "opening": "I",  # first word of the answer, its last word, and the first word of its last line
    "closing": "I",
    "last_line": "I",
    "form": "B",
    "asked_in": "B",  # languages
    "answered_in": "B",
}
# What parts of a file add up.
COUNTS = ("rows", "good", "tokens", "kept_tokens", "least_tokens", "answer_tokens", "pictures_not_counted")
PACK = struct.Struct("=" + "".join(COLUMNS.values())).pack
KEY_ENDS = (":", "=")  # of the first word of an answer such as "day: sun"


class Bit:
    """The bits of the column "form"."""

    HAS_TEXT, IS_JSON, ENDS_CLOSED, ENDS_OPEN, HAS_SYSTEM, OPENS_WITH_KEY = 1, 2, 4, 8, 16, 32


class Settings(NamedTuple):
    """What is checked, and for which model."""

    model: str | None
    content: bool = True  # look into the texts and compare rows, or only check shapes and count tokens
    near: bool = False  # make signatures for near-duplicates
    from_file: bool = True
    method: str | None = None

    @property
    def job(self) -> Job:
        """What the rows are for."""
        return Job(self.model, self.method)


@dataclass
class Part:
    """What was found in a part of the rows."""

    rows: int = 0  # all that are not blank
    good: int = 0  # those without an error
    tokens: int = 0  # of the good rows
    kept_tokens: int = 0  # the same, each row cut at the training context
    least_tokens: int = 0  # as kept_tokens, but where a row's tokens have bounds, with the lower one
    answer_tokens: int = 0
    pictures_not_counted: int = 0
    estimated: bool = False
    totals: Counter = field(default_factory=Counter)  # code -> how many
    examples: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)  # line, last line, where
    formats: dict[str, tuple[int, int]] = field(default_factory=dict)  # format -> rows, first line
    groups: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)  # code, where -> the same
    kept: bytearray = field(default_factory=bytearray)  # the columns, row after row
    words: dict[int, str] = field(default_factory=dict)
    signatures: list[bytes] = field(default_factory=list)

    def add(self, code: str, line: int, detail: str = "", last: int | None = None) -> None:
        """Counts a defect and keeps it, if there are not yet 100 of its code."""
        self.totals[code] += 1
        kept = self.examples.setdefault(code, [])
        if len(kept) < KEEP:
            kept.append((line, last or line, detail[:DETAIL]))

    def group(self, code: str, line: int, detail: str, count: int = 1) -> None:
        """Counts rows of which the same is said: they make one defect. Beyond 100 kinds each makes its own."""
        key = (code, detail[:DETAIL])
        if key in self.groups or len(self.groups) < KEEP:
            before, first = self.groups.get(key, (0, line))
            self.groups[key] = (before + count, first)
        else:
            self.add(code, line, detail)

    def close(self) -> None:
        """Makes a defect of each group."""
        for (code, detail), (count, first) in self.groups.items():
            self.add(code, first, f"{detail} ({count:,} rows)" if count > 1 else detail)
        self.groups = {}

    def merge(self, other: "Part") -> None:
        """Adds what was found in the next part."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.estimated |= other.estimated
        self.totals.update(other.totals)
        for code, found in other.examples.items():
            kept = self.examples.setdefault(code, [])
            kept += found[: KEEP - len(kept)]
        for kind, (count, first) in other.formats.items():
            self.count_format(kind, first, count)
        for (code, detail), (count, first) in other.groups.items():
            self.group(code, first, detail, count)
        self.kept += other.kept
        if len(self.words) < KEEP_WORDS:
            self.words.update(other.words)
        self.signatures += other.signatures

    def count_format(self, kind: str, line: int, count: int = 1) -> None:
        """Counts rows of a training format."""
        before, first = self.formats.get(kind, (0, line))
        self.formats[kind] = (before + count, first)


def check_part(lines: Iterator[Line], settings: Settings) -> Part:
    """Checks rows one by one. Never raises on bad data."""
    part, job = Part(), settings.job
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", tokens.TokenEstimateWarning)
        tokens.count("", settings.model or "")
        part.estimated = bool(caught)
        warnings.simplefilter("ignore", tokens.TokenEstimateWarning)
        counter = RowCounter(settings.model or "")
        texts, limit = of_stage("texts"), job.limit
        for line in lines:
            row = _look(part, line, job)
            if row is not None:
                _count(part, row, counter, limit)
                if settings.content:
                    _read(part, row, texts, settings.near)
    return part


def _look(part: Part, line: Line, job: Job) -> Row | None:
    """The row of a line, if a job would take it. What is found is added."""
    if line.code != "blank_line":
        part.rows += line.rows
    row, found = look_at(line, job)
    if row is not None and row.form is PANDAS:
        part.rows += column_length(row.value) - 1
    if row is not None and row.format:
        part.count_format(row.format, line.number)
    for code, where in found:
        if code.once:
            part.group(code.code, line.number, where)
        else:
            part.add(code.code, line.number, where, line.last)
    return None if any(code.severity == ERROR for code, _ in found) else row


def _count(part: Part, row: Row, counter: RowCounter, limit: int | None) -> None:
    """Counts a row and its tokens."""
    size, answer_tokens = counter.row(row.value, row.format)
    all_tokens = size.most
    part.good += 1
    part.tokens += all_tokens
    part.kept_tokens += min(all_tokens, limit or all_tokens)
    part.least_tokens += min(size.least, limit or size.least)
    part.answer_tokens += answer_tokens
    part.pictures_not_counted += size.uncounted
    part.estimated |= not size.exact
    for code in of_stage("tokens"):
        for where in code.find(row, size):
            part.add(code.code, row.line.number, where, row.line.last)


def _read(part: Part, row: Row, texts: list[Code], near: bool) -> None:
    """Looks into the texts of a row, and keeps its numbers."""
    line = row.line
    for code in texts:
        if not code.marks or code.concerns(line.data):
            for where in code.find(row):
                part.add(code.code, line.number, where, line.last)
    _keep(part, row)
    if near:
        part.signatures.append(signature(f"{row.example.asked}\n{row.example.answer}").tobytes())


def text_hash(text: str) -> int:
    """A number by which the same text is found again."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little")


_hash_of_system = functools.lru_cache(1_000)(text_hash)  # many rows share one


def row_hash(row) -> int:
    """A number by which the same row is found again, whatever the order of its keys."""
    return text_hash(_as_json(row))


_as_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


def _keep(part: Part, row: Row) -> None:
    """Appends a row to the columns, in their order."""
    example = row.example
    answer = example.answer
    first, *more = answer.split(None, 4) or [""]
    form = _form(example, has_words=len(more) >= 3)
    last = answer.rsplit(None, 1)[-1] if more else first
    _, line_break, last_line = answer.rstrip().rpartition("\n")
    last_line = last_line.split(None, 1)[0] if line_break else ""
    if form & Bit.IS_JSON:
        first = last = last_line = ""  # keys and values, no style
    part.kept += PACK(
        row.line.number,
        row.line.offset,
        text_hash(_written(row)),
        _hash_of_system(example.system),
        text_hash(as_asked(example.asked)),
        text_hash(answer.strip()),
        _word(part, first),
        _word(part, last),
        _word(part, last_line),
        form | (Bit.OPENS_WITH_KEY if first.endswith(KEY_ENDS) else 0),
        language(example.question),
        language(answer),
    )


def _written(row: Row) -> str:
    """The row as a text that is the same for the same row, whatever the order of its keys."""
    if not row.plain:
        return _as_json(row.value)
    return "\0".join([part for one in row.value["messages"] for part in (one["role"], one["content"])])


def as_asked(text: str) -> str:
    """What is asked, without capitals and spacing: so the same question is found again."""
    return " ".join(text.lower().split())


def _word(part: Part, word: str) -> int:
    """A number for a word; 0 for none. The word is remembered, so that a report can name it."""
    if not word:
        return 0
    number = zlib.crc32(word.encode("utf-8", "replace"))
    if len(part.words) < KEEP_WORDS:
        part.words[number] = word[:40]
    return number


def _form(example: Example, has_words: bool) -> int:
    text = example.answer.rstrip()
    form = Bit.HAS_TEXT if example.answers and text else 0
    form |= Bit.IS_JSON if _is_json_object(text) else 0
    form |= Bit.HAS_SYSTEM if example.system else 0
    if text[-1:].isalpha() and text[-1].islower():
        return form | (Bit.ENDS_OPEN if has_words else 0)
    return form | (0 if text[-1:].isalnum() else Bit.ENDS_CLOSED)


def _is_json_object(text: str) -> bool:
    """True if the text is a JSON object or list, and nothing else."""
    text = text.strip()
    return text[:1] in ("{", "[") and text[-1:] in ("}", "]") and is_json(text)
