"""dataset.fix: mends what needs no judgement."""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .lines import BOM, UTF16, decode, pieces
from .part import row_hash
from .row import padding, without_nulls


class Change(NamedTuple):
    """What was changed at a line of the original."""

    line: int
    what: str


def fix(path: Path | str, to: Path | str, encoding: str | None = None) -> list[Change]:
    """Writes a mended copy of a training file and returns the list of changes; the original stays as it is.

    Mended: the encoding (lines that are not UTF-8 are read as ``encoding``, or else as Windows-1252; look at
    those changes), a byte order mark, blank lines, line ends of other systems, keys that were filled with null,
    and rows that stand twice. Everything else needs your judgement and stays. Raises ValueError if ``to`` is the
    original, OSError if a file cannot be opened.
    """
    path, to = Path(path), Path(to)
    if to.exists() and os.path.samefile(path, to):
        raise ValueError(f"{to} is the original. Give another name: fix never overwrites it.")
    changes: list[Change] = []
    with open(path, "rb") as file, open(to, "w", encoding="utf-8", newline="\n") as target:
        for text in _mended(file, encoding or "cp1252", changes):
            target.write(text + "\n")
    return changes


def _mended(file: io.BufferedReader, encoding: str, changes: list[Change]) -> Iterator[str]:
    seen: dict[int, tuple[int, int]] = {}
    line_ends = nulls = 0
    for place, (number, text) in enumerate(_divided(_decoded(file, encoding, changes), changes)):
        ends_as_in_windows = text.endswith("\r\n")
        text = text.rstrip("\r\n")
        if not text.strip():
            changes.append(Change(number, "blank line removed"))
            continue
        if (mended := _without_nulls(text)) != text:
            nulls, text = nulls + 1, mended
        first_place, first = seen.setdefault(_identity(text), (place, number))
        if first_place != place:
            changes.append(Change(number, f"removed: the same row as line {first}"))
            continue
        line_ends += ends_as_in_windows
        yield text
    if nulls:
        changes.append(Change(1, f"keys with nothing in them deleted on {nulls:,} lines"))
    if line_ends:
        changes.append(Change(1, f"Windows line ends replaced on {line_ends:,} lines"))


def _divided(lines: Iterator[tuple[int, str]], changes: list[Change]) -> Iterator[tuple[int, str]]:
    """The lines; those on which several rows stand, divided by another sign than a line feed, as several."""
    for number, text in lines:
        if not (rows := pieces(text)):
            yield number, text
            continue
        changes.append(Change(number, f"other line ends replaced: {len(rows):,} rows stood on one line"))
        yield from ((number, row) for row in rows)


def _without_nulls(text: str) -> str:
    if not any(sign in text for sign in ("null", '""', "[]")):
        return text
    try:
        row = decode(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(row, dict) or not padding(row):
        return text
    return json.dumps(without_nulls(row), ensure_ascii=False)


def _identity(text: str) -> int:
    try:
        return row_hash(decode(text))
    except (ValueError, RecursionError):
        return row_hash(text)


def _decoded(file: io.BufferedReader, encoding: str, changes: list[Change]) -> Iterator[tuple[int, str]]:
    start = file.read(4)
    file.seek(0)
    if start.startswith(UTF16):
        changes.append(Change(1, "the file was UTF-16 and is now UTF-8"))
        yield from enumerate(
            io.TextIOWrapper(file, encoding="utf-16", errors="replace", newline="\n"), start=1
        )
        return
    for number, data in enumerate(file, start=1):
        if number == 1 and data.startswith(BOM):
            changes.append(Change(1, "byte order mark removed"))
            data = data.removeprefix(BOM)
        try:
            yield number, data.decode("utf-8")
        except UnicodeDecodeError as error:
            text = data.decode(encoding, "replace")
            near = text[max(0, error.start - 15) : error.start + 15].strip()
            changes.append(Change(number, f"not UTF-8, read as {encoding}: … {near} …"))
            yield number, text
