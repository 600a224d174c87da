"""Defects of lines, of rows that are not in OpenAI's form at all, and of the file as a whole."""

import difflib
from collections.abc import Iterable

from ..codes import (
    ERROR,
    JSONL,
    NOT_JSON,
    OLD,
    SEEN,
    SFT,
    SPEC,
    UNEXPECTED,
    WARNING,
    defect,
    shown_by_reading,
)
from ..foreign import is_conversation
from ..formats import METHOD_FORMATS, MIN_EXAMPLES
from ..row import Row

# --- what reading a line shows: found in lines.py, in checker.py for the file as a whole ----------------------

shown_by_reading(
    "not_utf8",
    ERROR,
    "is not UTF-8 text",
    "Save the file as UTF-8, or run dataset.fix.",
    JSONL,
    "The file is not UTF-8: line {line}, {where}",
)
shown_by_reading(
    "bom",
    WARNING,
    "the file starts with a byte order mark",
    "Save it as UTF-8 without BOM, or run dataset.fix.",
    "consequence: many readers take the invisible mark for a part of the first row and refuse it",
)
shown_by_reading(
    "blank_line",
    WARNING,
    "a blank line",
    "Delete it, or run dataset.fix.",
    "consequence: a reader that takes every line for a row stops here",
)
shown_by_reading(
    "line_ends", ERROR, "rows end with another sign than a line feed", "Run dataset.fix.", JSONL, NOT_JSON
)
shown_by_reading(
    "not_json",
    ERROR,
    "is not JSON",
    "Correct the line at that column, or write it with json.dumps.",
    JSONL,
    NOT_JSON,
)
shown_by_reading(
    "json_array",
    ERROR,
    "the whole file is one JSON array",
    "Load it with json.load and save it with dataset.write.",
    JSONL,
    "The whole file is one JSON array. Write one JSON object a line.",
)
shown_by_reading(
    "object_over_lines",
    ERROR,
    "one object is spread over several lines",
    "Put it on one line: json.dumps without indent.",
    JSONL,
    "Line {line} is not valid JSON: one object is spread over several lines.",
)
shown_by_reading(
    "typographic_quotes",
    ERROR,
    "has typographic quotes where JSON needs straight ones",
    'Replace them by ", and switch off smart quotes in the editor.',
    JSONL,
    NOT_JSON,
)


@defect(ERROR, JSONL, said=UNEXPECTED[:-1] + ": {where}.")
def not_object(row: Row) -> Iterable[str]:
    """is JSON, but not an object
    Write {"messages": [...]}."""
    if not isinstance(row.value, dict) and not row.form:
        call = "; dataset.from_messages makes a row of a list of messages" * is_conversation(row.value)
        yield f"it is {kind_of(row.value)}{call}"


@defect(ERROR, SEEN, once=True, said=UNEXPECTED + " {where}")
def no_messages(row: Row) -> Iterable[str]:
    """has no 'messages'
    Give the row a list 'messages'. Where a call is named: dataset.write(dataset.CALL(dataset.read(FILE)),
    NEW)."""
    if row.format is None and isinstance(row.value, dict) and "messages" not in row.value:
        near = nearest("messages", row.value)
        keys = ", ".join(repr(key) for key in list(row.value)[:5]) or "none"
        if near and (row.form is None or is_conversation(row.value[near])):
            yield f"it has {near!r}: did you mean 'messages'?"
        else:
            yield advice_on(row) or f"its keys are {keys}"


@defect(ERROR, SEEN, once=True, said=UNEXPECTED + " {where}")
def other_form(row: Row) -> Iterable[str]:
    """rows in the form of another tool
    A call that is named converts them: dataset.write(dataset.CALL(dataset.read(FILE)), NEW)."""
    if row.form and not (isinstance(row.value, dict) and "messages" not in row.value):
        yield advice_on(row)


def advice_on(row: Row) -> str:
    """What a row of another tool is, and what to do with it; "" if its form is not known."""
    return f"{row.form.name}; {row.form.advice}" if row.form else ""


def nearest(wanted: str, keys) -> str | None:
    """The key that is probably a misspelling of the wanted one."""
    spelling = {key.strip().lower(): key for key in keys}
    near = difflib.get_close_matches(wanted, spelling, n=1, cutoff=0.75)
    return spelling[near[0]] if near else None


@defect(
    ERROR,
    f"only content, refusal, audio and function_call may be null: {SPEC}",
    once=True,
    said="keys with the value null: {where}. Delete them.",
)
def null_keys(row: Row) -> Iterable[str]:
    """keys with the value null, or with nothing in them
    Delete them, or run dataset.fix."""
    if row.nulls:
        yield ", ".join(row.nulls[:8])


@defect(
    ERROR,
    "RFC 3629, section 3: UTF-8 has no code for it, so the row cannot be sent or read as text",
    said="half of a surrogate pair is not text.",
    marks=(b"\\u", b"\xed"),
)
def half_character(row: Row) -> Iterable[str]:
    """half of a surrogate pair, which is no character
    Delete it, or write the character whole."""
    if half := _half(row.value):
        yield f"U+{ord(half):04X}"


def _half(value) -> str | None:
    """The first character of any text in a value that is half a pair."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            return value[error.start]
        return None
    inside = (
        [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    )
    return next((half for one in inside if (half := _half(one))), None)


# --- all rows together: each function gets a File and yields lines and words ----------------------------------


@defect(ERROR, SFT, stage="file")
def too_few_rows(file) -> Iterable[tuple[int, str]]:
    """the file has fewer than 10 rows
    Add examples; gains are seen from 50 on."""
    if file.rows < MIN_EXAMPLES:
        yield 0, f"it has {file.rows}"


@defect(ERROR, f"/files and /uploads in {SPEC}", stage="file")
def file_too_large(file) -> Iterable[tuple[int, str]]:
    """the file is larger than the Files API takes (512 MB)
    Use fewer rows, or the Uploads API (up to 8 GB)."""
    if file.size > file.largest:
        yield 0, f"{file.size / 1e6:,.0f} MB"


@defect(
    ERROR,
    f"a job takes the one format of its method: {OLD}",
    stage="file",
    said="There are rows of several formats: {where}.",
)
def mixed_formats(file) -> Iterable[tuple[int, str]]:
    """rows of several formats in one file
    Put each format into a file of its own."""
    if len(file.formats) > 1:
        counted = (f"{count:,} {kind} from line {first}" for kind, (count, first) in file.formats.items())
        yield 0, ", ".join(counted)


@defect(
    ERROR,
    "OpenAI fine-tuning guide of 2024-05-13: only babbage-002 and davinci-002 take them",
    stage="file",
    said="Unexpected file format, expected chat messages for this model: {where} are pairs of prompt and completion.",
)
def prompt_completion(file) -> Iterable[tuple[int, str]]:
    """prompt/completion rows, which chat models do not take
    Convert them with dataset.from_prompt_completion."""
    if [*file.formats] == ["completion"] and not file.job.wants_pairs:
        count, first = file.formats["completion"]
        yield first, f"{count:,} rows"


@defect(ERROR, f"each method has a format of its own: {OLD}", stage="file")
def wrong_method(file) -> Iterable[tuple[int, str]]:
    """rows in the format of another method or model
    Choose the method that fits the rows, or convert them."""
    if len(file.formats) != 1:
        return
    ((kind, (count, first)),) = file.formats.items()
    wanted = METHOD_FORMATS.get(file.job.method)
    if file.job.wants_pairs:
        if kind != "completion":
            yield first, f"{count:,} {kind} rows; {file.job.model} takes prompt/completion pairs"
    elif wanted and kind not in (wanted, "completion"):
        yield first, f"{count:,} {kind} rows; the method {file.job.method} takes {wanted} rows"


def kind_of(value) -> str:
    """What a JSON value is, in words."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
