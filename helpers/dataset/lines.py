"""Reading the lines of a file or of rows in memory, one after the other, and parsing them strictly."""

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

BLOCK = 1 << 20  # bytes read at once
PART = 4 << 20  # bytes: what one process checks at a time
BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
BETWEEN_OBJECTS = re.compile(rb"\}\r?\n(?=\{)")  # a safe place to divide a file, even if objects span lines
QUOTES_AROUND_JSON = re.compile("[{\\[,:]\\s*[“”„‟«»]")
NO_JSON = "not JSON: "  # before the reason why a row in memory cannot be written
TYPOGRAPHIC = "“”„‟«»"
LINE_ENDS = re.compile("[\r\n\x0b\x0c\x85\u2028\u2029]+")  # of other systems and programs
# An object over several lines is looked for in so many lines and characters.
MOST_LINES = 1_000
MOST_CHARACTERS = 200_000


class Span(NamedTuple):
    """A part of a file: bytes start to end; its first line has this number."""

    start: int
    end: int
    first_line: int


class Line(NamedTuple):
    """A row as it was read: its line numbers, where it starts, and its value or what is wrong with it."""

    number: int
    last: int  # more than number if an object is spread over lines
    offset: int
    data: bytes
    value: object = None
    code: str | None = None  # what is wrong with the line
    detail: str = ""
    rows: int = 1  # more if it ends in the wrong way


@dataclass
class Layout:
    """What one quick look over the file shows."""

    size: int = 0
    lines: int = 0
    bom: bool = False
    whole: str | None = None  # the code of a defect of the file as a whole, which makes its lines meaningless
    detail: str = ""
    first_line_is_whole: bool = False  # an array on a line of its own
    spans: list[Span] = field(default_factory=list)


def layout(path: Path | str, part: int = PART) -> Layout:
    """Counts the lines and divides the file into spans of about ``part`` bytes. Raises OSError."""
    found, start, first_line, newlines, tail = Layout(), 0, 1, 0, b""
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            if not found.size:
                _look_at_the_start(found, block)
            if found.size + len(block) - start >= part and (border := BETWEEN_OBJECTS.search(block)):
                before = newlines + block.count(b"\n", 0, border.end())
                found.spans.append(Span(start, found.size + border.end(), first_line))
                start, first_line = found.size + border.end(), before + 1
            newlines += block.count(b"\n")
            found.size += len(block)
            tail = (tail + block)[-200:]
    found.lines = newlines + (bool(tail) and not tail.endswith(b"\n"))
    if start < found.size:
        found.spans.append(Span(start, found.size, first_line))
    rows_are_lists = found.first_line_is_whole and found.lines > 1
    if found.whole == "json_array" and (rows_are_lists or not tail.rstrip().endswith(b"]")):
        found.whole = None
    return found


def _look_at_the_start(found: Layout, block: bytes) -> None:
    found.bom = block.startswith(BOM)
    if block.startswith(UTF16):
        found.whole, found.detail = "not_utf8", "it is UTF-16"
    elif block[:100].count(b"\0") > 20:
        found.whole, found.detail = "not_utf8", "it looks like UTF-16 or like no text at all"
    elif _opens_array(block.removeprefix(BOM).lstrip()):
        found.whole = "json_array"
        found.first_line_is_whole = is_json(block.removeprefix(BOM).lstrip().split(b"\n", 1)[0])


def _opens_array(text: bytes) -> bool:
    return text[:1] == b"[" and text[1:200].lstrip(b"[ \t\r\n")[:1] == b"{"


def is_json(text: str | bytes) -> bool:
    """True if a text is one JSON value and nothing else."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def of_file(path: Path | str, span: Span) -> Iterator[tuple[int, int, bytes]]:
    """Number, offset and bytes of each line of a span."""
    with open(path, "rb") as file:
        file.seek(span.start)
        offset, number = span.start, span.first_line
        while offset < span.end:
            data = file.readline()
            if not data:  # the file has become shorter
                return
            yield number, offset, data.removeprefix(BOM) if offset == 0 else data
            offset += len(data)
            number += 1


def of_rows(rows: Iterable) -> Iterator[tuple[int, int, bytes]]:
    """The same for rows in memory: they are written as JSON, so that there is one way to check."""
    for number, row in enumerate(rows, start=1):
        yield number, number - 1, as_line(row)


def as_line(row) -> bytes:
    """A row as a JSON line. What JSON cannot hold becomes a line that is not JSON, and says so."""
    try:
        return json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, RecursionError) as error:
        return f"{NO_JSON}{error}".encode("utf-8", "replace")


def parsed(lines: Iterator[tuple[int, int, bytes]], from_file: bool = True) -> Iterator[Line]:
    """Every line that is not blank as a Line, and blank ones with that code. Never raises on bad data."""
    waiting: deque[tuple[int, int, bytes]] = deque()
    do_not_join_before = 0
    while True:
        if waiting:
            number, offset, data = waiting.popleft()
        else:
            following = next(lines, None)
            if following is None:
                return
            number, offset, data = following
        if not data or data.isspace():
            yield Line(number, number, offset, data, code="blank_line")
            continue
        line = _parse(number, offset, data, from_file)
        if line.code == "not_json" and data.lstrip()[:1] == b"{" and number >= do_not_join_before:
            joined, taken = _join(data, waiting, lines)
            if joined is not None:
                for _ in range(taken):
                    waiting.popleft()
                line = Line(number, number + taken, offset, data, joined, "object_over_lines")
            else:
                do_not_join_before = number + taken
        yield line


def _parse(number: int, offset: int, data: bytes, from_file: bool) -> Line:
    try:
        text = data.decode("utf-8") if from_file else data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        detail = f"byte {error.start + 1} is {data[error.start]:#04x}"
        return Line(number, number, offset, data, code="not_utf8", detail=detail)
    try:
        return Line(number, number, offset, data, decode(text))
    except ValueError as error:
        if rows := pieces(text):
            detail = f"{len(rows):,} rows on one line"
            return Line(number, number, offset, data, code="line_ends", detail=detail, rows=len(rows))
        code, detail = _explain(text, error)
    except RecursionError:
        code, detail = "not_json", "it is nested too deeply"
    return Line(number, number, offset, data, code=code, detail=detail)


def _refuse(name: str):
    raise ValueError(f"{name} is not a JSON number")


decode = json.JSONDecoder(parse_constant=_refuse).decode  # Python alone would let NaN and Infinity pass


def _explain(text: str, error: ValueError) -> tuple[str, str]:
    if not isinstance(error, json.JSONDecodeError):
        return "not_json", str(error)
    if any(mark in text for mark in TYPOGRAPHIC) and (found := QUOTES_AROUND_JSON.search(text)):
        return "typographic_quotes", f"column {found.end()}: {text[found.end() - 1]}"
    if text.lstrip()[:4] == '"{""':
        return "not_json", "a table program has put the row in quotes and doubled its own"
    if text.lstrip()[:2] == "{'":
        return "not_json", f"column {error.colno}: it is written as Python writes a dict, with single quotes"
    if error.msg == "Extra data" and text.lstrip()[:1] == "{":
        return (
            "not_json",
            f"column {error.colno}: after the object something follows: {_near(text, error.pos)}",
        )
    if text.startswith(NO_JSON):
        return "not_json", text.removeprefix(NO_JSON)
    if text.lstrip()[:1].isalpha():
        return (
            "not_json",
            f"column 1: a row begins with {{, not with {_near(text, 0)}. dataset.from_file reads tables",
        )
    return "not_json", f"column {error.colno}: {error.msg}, at {_near(text, error.pos)}"


def pieces(text: str) -> list[str]:
    """The rows that stand on one line because another sign than a line feed divides them; none if they do not."""
    text = text.rstrip("\r\n")
    found = [piece for piece in LINE_ENDS.split(text) if piece.strip()] if LINE_ENDS.search(text) else []
    return found if len(found) > 1 and all(map(_is_object, found)) else []


def _is_object(text: str) -> bool:
    try:
        return isinstance(decode(text), dict)
    except (ValueError, RecursionError):
        return False


def _near(text: str, position: int) -> str:
    return repr(text[position : position + 20].strip()) if text[position:].strip() else "the end of the line"


def _join(data: bytes, waiting: deque, lines: Iterator) -> tuple[object, int]:
    """The object that this line and the next ones form together and how many those are; or None, and how many
    lines need not be tried again."""
    text, taken = data.decode("utf-8", "replace"), 0
    while True:
        try:
            value = decode(text)
        except json.JSONDecodeError as error:
            is_json_so_far = not text[error.pos :].strip()
        except (ValueError, RecursionError):
            is_json_so_far = False
        else:
            return (value if isinstance(value, dict) else None), taken
        if not is_json_so_far or taken >= MOST_LINES or len(text) >= MOST_CHARACTERS:
            return None, taken
        if taken == len(waiting):
            following = next(lines, None)
            if following is None:
                return None, taken
            waiting.append(following)
        text += waiting[taken][2].decode("utf-8", "replace")
        taken += 1
