"""Checking a part of a file: each row alone, and the few numbers by which rows are compared later."""

import array
import hashlib
import json
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .. import tokens
from .codes import CODES
from .context import training_context
from .counting import RowCounter
from .example import Example, take_apart
from .formats import format_of
from .lines import Line
from .shape import check_shape
from .similar import signature
from .texts import check_texts, is_json_object, language

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
# bits of "form"
HAS_TEXT, IS_JSON, ENDS_CLOSED, ENDS_OPEN, HAS_SYSTEM = 1, 2, 4, 8, 16


class Settings(NamedTuple):
    """What is checked, and for which model."""

    model: str | None
    content: bool = True  # look into the texts and compare rows, or only check shapes and count tokens
    near: bool = False  # make signatures for near-duplicates
    from_file: bool = True


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
    columns: dict[str, array.array] = field(
        default_factory=lambda: {name: array.array(kind) for name, kind in COLUMNS.items()}
    )
    words: dict[int, str] = field(default_factory=dict)
    signatures: list[bytes] = field(default_factory=list)

    def add(self, code: str, line: int, detail: str = "", last: int | None = None) -> None:
        """Counts a defect and keeps it, if there are not yet 100 of its code."""
        self.totals[code] += 1
        kept = self.examples.setdefault(code, [])
        if len(kept) < KEEP:
            kept.append((line, last or line, detail[:DETAIL]))

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
        for name, values in other.columns.items():
            self.columns[name].extend(values)
        if len(self.words) < KEEP_WORDS:
            self.words.update(other.words)
        self.signatures += other.signatures

    def count_format(self, kind: str, line: int, count: int = 1) -> None:
        """Counts rows of a training format."""
        before, first = self.formats.get(kind, (0, line))
        self.formats[kind] = (before + count, first)


def check_part(lines: Iterator[Line], settings: Settings) -> Part:
    """Checks rows one by one. Never raises on bad data."""
    part = Part()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", tokens.TokenEstimateWarning)
        tokens.count("", settings.model or "")
        part.estimated = bool(caught)
        warnings.simplefilter("ignore", tokens.TokenEstimateWarning)
        counter = RowCounter(settings.model or "")
        limit = training_context(settings.model)
        for line in lines:
            try:
                _check_line(part, line, settings, counter, limit)
            except RecursionError:
                part.add("not_json", line.number, "it is nested too deeply")
    return part


def _check_line(part: Part, line: Line, settings: Settings, counter: RowCounter, limit: int | None) -> None:
    if line.code:
        part.add(line.code, line.number, line.detail, line.last)
    if line.code == "blank_line":
        return
    part.rows += 1
    if line.code and line.code != "object_over_lines":
        return
    found = check_shape(line.value)
    for code, where in found:
        part.add(code, line.number, where, line.last)
    if kind := format_of(line.value):
        part.count_format(kind, line.number)
    if any(CODES[code].severity == "error" for code, _ in found):
        return
    size, answer_tokens = counter.row(line.value, kind)
    all_tokens = size.most
    part.good += 1
    part.tokens += all_tokens
    part.kept_tokens += min(all_tokens, limit or all_tokens)
    part.least_tokens += min(size.least, limit or size.least)
    part.answer_tokens += answer_tokens
    part.pictures_not_counted += size.uncounted
    part.estimated |= not size.exact
    if limit and all_tokens > limit:
        about = "" if size.exact else "about "
        cut_off = f"{about}{all_tokens:,} tokens, {all_tokens - limit:,} are cut off"
        part.add("too_long", line.number, cut_off, line.last)
    if not settings.content:
        return
    example = take_apart(line.value, kind)
    for code, where in check_texts(line.data, example):
        part.add(code, line.number, where, line.last)
    _keep(part, line, example)
    if settings.near:
        part.signatures.append(signature(f"{example.asked}\n{example.answer}").tobytes())


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def row_hash(row) -> int:
    """A number by which the same row is found again, whatever the order of its keys."""
    return _hash(_as_json(row))


_as_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


def _keep(part: Part, line: Line, example: Example) -> None:
    """Appends a row to the columns."""
    answer = example.answer
    words = answer.split() or [""]
    _, line_break, last_line = answer.rstrip().rpartition("\n")
    values = {
        "line": line.number,
        "offset": line.offset,
        "row": row_hash(line.value),
        "system": _hash(example.system),
        "asked": _hash(as_asked(example.asked)),
        "answer": _hash(answer.strip()),
        "opening": _word(part, words[0]),
        "closing": _word(part, words[-1]),
        "last_line": _word(part, last_line.split()[0] if line_break else ""),
        "form": _form(example, words),
        "asked_in": language(example.question),
        "answered_in": language(answer),
    }
    for name, value in values.items():
        part.columns[name].append(value)


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


def _form(example: Example, words: list[str]) -> int:
    text = example.answer.rstrip()
    form = HAS_TEXT if example.answers and text else 0
    form |= IS_JSON if is_json_object(text) else 0
    form |= HAS_SYSTEM if example.system else 0
    if text[-1:].isalpha() and text[-1].islower():
        return form | (ENDS_OPEN if len(words) >= 4 else 0)
    return form | (0 if text[-1:].isalnum() else ENDS_CLOSED)
