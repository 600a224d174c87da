"""dataset.check: everything that is wrong with a training file."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from . import across
from .codes import CODES, SEVERITIES
from .context import takes_pairs
from .example import take_apart
from .formats import MIN_EXAMPLES, format_of
from .lines import Layout, Span, as_line, decode, layout, of_rows, parsed
from .part import Part, Settings, check_part
from .processes import check_spans
from .report import Problem, Report

MAX_BYTES = 512_000_000  # Files API; OpenAI says "512 MB"
MOST_NEAR = 50_000  # rows up to which near-duplicates are looked for unasked
LARGE = 16_000_000  # bytes from which several processes pay off

METHOD_FORMATS = {"supervised": "chat", "vision": "chat", "reinforcement": "chat", "dpo": "preference"}
Progress = Callable[[int, int], None]  # bytes done, bytes in all


def check(
    path_or_rows: Path | str | Iterable,
    model: str | None = None,
    method: str | None = None,
    against: Path | str | Iterable | None = None,
    *,
    content: bool = True,
    near_duplicates: bool | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Checks a training file, or rows in memory, and reports every defect with its line and its cure.

    ``model`` is the one to be tuned: it decides how tokens are counted and how long a row may be. Without it
    tokens are counted as for gpt-4o and later, and only what every model would cut is called too long.
    ``method`` is "supervised" or "dpo"; without it the rows decide. ``against`` is the validation file; it is
    only compared with, not checked. ``content=False`` leaves out everything but shapes and token counts.
    Near-duplicates are looked for in up to 50,000 rows, or always with ``near_duplicates=True``. Large files
    are checked in several processes, one a core or as many as ``workers`` says.

    Never raises on bad data. Raises OSError if a file cannot be opened, ValueError for an unknown method, and
    RuntimeError if the processes that check a large file end over it, for want of memory.
    """
    if method is not None and method not in METHOD_FORMATS:
        raise ValueError(f"method is {method!r}, but must be one of {', '.join(METHOD_FORMATS)}.")
    source = _open(path_or_rows)
    other = _open(against) if against is not None else None
    near = _wants_near(near_duplicates, content, source, other)
    settings = Settings(model, content, near, source.path is not None)
    part = source.check(settings, workers, progress)
    _check_file(part, source, model, method)
    notes = []
    if content:
        across.compare(part)
        if near:
            across.near_duplicates(part, source.texts(part))
        if other is not None:
            _compare_with(part, source, other, settings, workers)
        if not near:
            notes.append(
                f"Near-duplicates were not looked for among {source.found.lines:,} lines. "
                "Ask for it with near_duplicates=True; it takes 300 bytes of memory a row."
            )
    return _report(part, source, model, notes)


def _wants_near(asked: bool | None, content: bool, source: "_Source", other: "_Source | None") -> bool:
    if asked is not None:
        return asked and content
    lines = source.found.lines + (other.found.lines if other else 0)
    return content and lines <= MOST_NEAR


class _Source:
    """A file or rows in memory: how to check all of it, and how to read one row again."""

    def __init__(self, path: Path | None, rows: list):
        self.path, self.rows = path, rows
        self.found = layout(path) if path else Layout(lines=len(rows))
        self.name = path.name if path else "rows in memory"

    def check(self, settings: Settings, workers: int | None, progress: Progress | None = None) -> Part:
        settings = settings._replace(from_file=self.path is not None)
        if not self.path:
            return check_part(parsed(of_rows(self.rows), from_file=False), settings)
        part = Part()
        if self.found.bom:
            part.add("bom", 1)
        if self.found.whole:
            part.add(self.found.whole, 1, self.found.detail, max(self.found.lines, 1))
            return part
        spans = self.found.spans
        if self.found.size < LARGE and self.found.spans:
            spans = [Span(0, self.found.size, 1)]
            workers = 1
        for span, checked in zip(
            spans, check_spans(self.path, spans, settings, workers or _cores()), strict=True
        ):
            part.merge(checked)
            if progress:
                progress(span.end, self.found.size)
        return part

    def texts(self, part: Part) -> Callable[[int], across.Texts]:
        """A function that gives what is asked and answered in the n-th good row."""
        offsets = part.columns["offset"]

        def read(row: int) -> across.Texts:
            value = self._value(offsets[row])
            example = take_apart(value, format_of(value))
            return example.asked, example.answer

        return read

    def _value(self, offset: int):
        if not self.path:
            return decode(as_line(self.rows[offset]).decode("utf-8", "surrogatepass"))
        with open(self.path, "rb") as file:
            file.seek(offset)
            return next(parsed(_numbered(file))).value


def _numbered(file):
    for number, data in enumerate(file, start=1):
        yield number, 0, data.removeprefix(b"\xef\xbb\xbf")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _open(path_or_rows: Path | str | Iterable) -> _Source:
    if isinstance(path_or_rows, str | Path):
        return _Source(Path(path_or_rows), [])
    return _Source(None, list(path_or_rows))


def _check_file(part: Part, source: _Source, model: str | None, method: str | None) -> None:
    """What concerns the file as a whole."""
    if source.found.size > MAX_BYTES:
        part.add("file_too_large", 0, f"{source.found.size / 1e6:,.0f} MB")
    if source.found.whole:
        return
    if part.rows < MIN_EXAMPLES:
        part.add("too_few_rows", 0, f"it has {part.rows}")
    formats = part.formats
    if len(formats) > 1:
        counted = ", ".join(f"{count:,} {kind} from line {first}" for kind, (count, first) in formats.items())
        part.add("mixed_formats", 0, counted)
        return
    for kind, (count, first) in formats.items():
        wanted = METHOD_FORMATS.get(method)
        if takes_pairs(model):
            if kind != "completion":
                part.add(
                    "wrong_method", first, f"{count:,} {kind} rows; {model} takes prompt/completion pairs"
                )
        elif kind == "completion":
            part.add("prompt_completion", first, f"{count:,} rows")
        elif wanted and kind != wanted:
            part.add("wrong_method", first, f"{count:,} {kind} rows; the method {method} takes {wanted} rows")


def _compare_with(
    part: Part, source: _Source, other: _Source, settings: Settings, workers: int | None
) -> None:
    others = other.check(settings, workers)
    known = across.leaks(part, others)
    if settings.near:
        across.near_leaks(part, others, known, source.texts(part), other.texts(others))


def _report(part: Part, source: _Source, model: str | None, notes: list[str]) -> Report:
    order = {code: place for place, code in enumerate(sorted(CODES, key=_severity))}
    totals = {code: part.totals[code] for code in sorted(part.totals, key=order.get)}
    problems = [_problem(code, *found) for code in totals for found in part.examples[code]]
    if part.rows > part.good:
        notes.append(
            f"{part.rows - part.good:,} of {part.rows:,} rows have errors; their texts and tokens are left out."
        )
    if part.least_tokens < part.kept_tokens:
        notes.append(
            f"The tokens are the most that it can be; at least they are {part.least_tokens:,}. Not known is how "
            "training counts tools, and the size or the detail of some pictures."
        )
    if part.pictures_not_counted:
        notes.append(
            f"Pictures are not counted: {part.pictures_not_counted:,}. Nobody says how many tokens {model} takes for one."
        )
    return Report(
        source.name,
        model,
        part.rows,
        part.good,
        part.tokens,
        part.kept_tokens,
        part.answer_tokens,
        not part.estimated,
        totals,
        problems,
        notes,
        part.least_tokens,
        part.pictures_not_counted,
    )


def _severity(code: str) -> int:
    return SEVERITIES.index(CODES[code].severity)


def _problem(code: str, line: int, last: int, where: str) -> Problem:
    known = CODES[code]
    return Problem(line, last, code, known.severity, known.what, where, known.mend)
