"""What a check has found, to be read in a notebook, in a terminal or as a table."""

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from .codes import CODES, SEVERITIES

if TYPE_CHECKING:
    import pandas as pd

SHOWN_LINES = 8  # line numbers a code, in the short forms


class Problem(NamedTuple):
    """One defect at one place."""

    line: int  # from 1; 0 if it is about the file as a whole
    last_line: int  # more than line if it covers several
    code: str
    severity: str
    what: str
    where: str  # details: which message, which column
    mend: str


@dataclass
class Report:
    """The result of dataset.check. ``problems`` holds at most 100 a code; ``totals`` counts all.

    ``rows`` are all rows, ``good_rows`` those without an error; only these are counted in ``tokens`` (all of
    them), ``kept_tokens`` (each row cut at the training context) and ``answer_tokens`` (the assistant's texts;
    they are part of ``tokens``). ``exact`` is False if the tokens are estimates: then they are the most that it
    can be, and ``least_tokens`` the least that may be kept; ``pictures_not_counted`` are in neither. ``notes`` say
    what was not checked or counted.
    """

    name: str
    model: str | None
    rows: int
    good_rows: int
    tokens: int
    kept_tokens: int
    answer_tokens: int
    exact: bool
    totals: dict[str, int]
    problems: list[Problem] = field(repr=False)
    notes: list[str] = field(default_factory=list)
    least_tokens: int = 0
    pictures_not_counted: int = 0

    @property
    def errors(self) -> int:
        """How many defects make a job fail."""
        return self._count("error")

    @property
    def warnings(self) -> int:
        """How many defects train something that is not wanted."""
        return self._count("warning")

    @property
    def hints(self) -> int:
        """How many places are worth a look."""
        return self._count("hint")

    def _count(self, severity: str) -> int:
        return sum(count for code, count in self.totals.items() if CODES[code].severity == severity)

    def table(self) -> "pd.DataFrame":
        """One row a problem: line, last line, code, severity, what, where, mend. At most 100 rows a code."""
        import pandas as pd

        return pd.DataFrame(self.problems, columns=list(Problem._fields))

    def as_dict(self) -> dict:
        """The whole report in plain types, for JSON."""
        names = ("name", "model", "rows", "good_rows", "tokens", "kept_tokens", "answer_tokens", "exact")
        names += ("least_tokens", "pictures_not_counted")
        counts = {"errors": self.errors, "warnings": self.warnings, "hints": self.hints}
        problems = [problem._asdict() for problem in self.problems]
        plain = {name: getattr(self, name) for name in names}
        return {**plain, **counts, "totals": self.totals, "notes": self.notes, "problems": problems}

    def summary(self) -> str:
        """One sentence: rows, tokens, and how many defects of each severity."""
        counts = ", ".join(_plural(self._count(severity), severity) for severity in SEVERITIES)
        about = "" if self.exact else "about "
        return f"{_plural(self.rows, 'row')}, {about}{_plural(self.tokens, 'token')}: {counts}"

    def __str__(self) -> str:
        blocks = [f"{self.name}: {self.summary()}"]
        for code, count, lines, first in self._by_code():
            known = CODES[code]
            head = f"{known.severity.upper():7} {code}: {known.what}"
            where = f"\n        {first.where}" if first.where else ""
            blocks.append(f"{head}\n        {_places(count, lines)}{where}\n        Fix: {known.mend}")
        return "\n".join([*blocks, *(f"Note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        head = "".join(
            f'<th scope="col" style="text-align:left">{title}</th>'
            for title in ("Severity", "What is wrong", "Where", "How to fix it")
        )
        body = "".join(_html_row(*found) for found in self._by_code())
        rows = body or '<tr><td colspan="4">Nothing found.</td></tr>'
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        caption = html.escape(f"Check of {self.name}. {self.summary()}")
        return (
            f'<table><caption style="text-align:left">{caption}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{notes}"
        )

    def _by_code(self) -> list[tuple[str, int, list[str], Problem]]:
        """Code, how many, the first line numbers, the first problem: the worst first."""
        grouped: dict[str, list[Problem]] = {}
        for problem in self.problems:
            grouped.setdefault(problem.code, []).append(problem)
        return [
            (code, self.totals[code], [_lines(problem) for problem in found[:SHOWN_LINES]], found[0])
            for code, found in grouped.items()
        ]


def auto_epochs(examples: int) -> int:
    """What n_epochs="auto" means: 3 epochs; more for a small file (100 examples seen at least, 25 epochs at
    most), fewer for a huge one. Source: OpenAI cookbook, Chat_finetuning_data_prep.ipynb."""
    if 3 * examples < 100:
        return min(25, 100 // examples)
    if 3 * examples > 25_000:
        return max(1, 25_000 // examples)
    return 3


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _lines(problem: Problem) -> str:
    return str(problem.line) if problem.last_line == problem.line else f"{problem.line}-{problem.last_line}"


def _places(count: int, lines: list[str]) -> str:
    if lines == ["0"]:
        return "the file as a whole"
    more = f" and {count - len(lines):,} more" if count > len(lines) else ""
    several = count > 1 or "-" in lines[0]
    return f"line{'s' if several else ''} {', '.join(lines)}{more}"


def _html_row(code: str, count: int, lines: list[str], first: Problem) -> str:
    known = CODES[code]
    where = _places(count, lines) + (f"<br>{html.escape(first.where)}" if first.where else "")
    cells = [f"{html.escape(known.what)} (<code>{code}</code>)", where, html.escape(known.mend)]
    tds = "".join(f'<td style="text-align:left">{cell}</td>' for cell in cells)
    return f'<tr><th scope="row" style="text-align:left">{known.severity}</th>{tds}</tr>'
