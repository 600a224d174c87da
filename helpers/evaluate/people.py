"""What people say: which of two ways they prefer, and how far two raters agree."""

import html
from dataclasses import dataclass
from pathlib import Path

import pandas

from .. import mine
from .counting import interval


def preference(before: int, after: int, same: int, names: tuple[str, str] = ("before", "after")) -> str:
    """A sentence: which of two ways people preferred, from the votes for each and those for no difference.

    The share of those that chose has a 95 % interval (Wilson); if it holds one half, no difference was seen.
    """
    chose = before + after
    low, high = interval(after, chose)
    counts = f"{names[1]} {after}, {names[0]} {before}, no difference {same}"
    if low <= 0.5 <= high:
        found = f"no preference seen between {names[0]} and {names[1]}"
    else:
        found = f"{names[low > 0.5]} is preferred to {names[low <= 0.5]}"
    if not chose:
        return f"{found} (votes: {counts})."
    share = (
        f"{names[1]} won {after / chose:.0%} of the votes that chose, 95 % interval {low:.0%} to {high:.0%}"
    )
    return f"{found} (votes: {counts}; {share})."


@dataclass(frozen=True)
class Agreement:
    """Two raters on the same answers: how often they said the same. ``differ`` holds the others' ids."""

    rated: int
    same: int
    low: float
    high: float
    by_chance: float  # the share on which two would agree who give these words as often, but blindly
    differ: list

    @property
    def kappa(self) -> float:
        """Cohen's kappa (1960): agreement beyond chance, 1 at most, 0 for none; nan where chance explains all."""
        if self.by_chance == 1 or not self.rated:
            return float("nan")
        return (self.same / self.rated - self.by_chance) / (1 - self.by_chance)

    def __str__(self) -> str:
        if not self.rated:
            return "No answer has been rated by both."
        beyond = (
            f"kappa {self.kappa:.2f}"
            if self.by_chance < 1
            else "both always gave the same word: it tells nothing"
        )
        return (
            f"The raters agree on {self.same} of {self.rated} answers, {self.same / self.rated:.0%} "
            f"(95 % interval {self.low:.0%} to {self.high:.0%}). Chance alone would bring {self.by_chance:.0%}: "
            f"{beyond}."
        )


def agreement(first: pandas.Series, second: pandas.Series) -> Agreement:
    """How often two raters agree. Each Series holds a rater's words, such as yes and no, by the answer's id.

    Capitals and spaces at the ends do not count; an answer that one of them left empty is left out.
    """
    words = pandas.DataFrame({"first": first, "second": second}).dropna().astype(str)
    words = words.apply(lambda column: column.str.strip().str.lower())
    words = words[(words != "").all(axis=1)]
    same = words["first"] == words["second"]
    used = (words[rater].value_counts(normalize=True) for rater in words)
    by_chance = float(next(used).mul(next(used), fill_value=0).sum())
    ends = interval(int(same.sum()), len(words))
    return Agreement(len(words), int(same.sum()), *ends, by_chance, list(words.index[~same]))


def write_sheet(table: pandas.DataFrame, title: str, folder: Path | None = None) -> pandas.DataFrame:
    """Writes questions and answers of a table of ``evaluate`` for raters: sheet.csv, and sheet.html to print.

    They go into ``my/`` (or ``folder``), with empty columns "right" and "note", and no word on who answered. A
    sheet.csv that is there is kept: somebody may have filled it in. Returns the empty sheet.
    """
    sheet = table[["question", "answer"]].assign(right="", note="")
    folder = folder or mine.folder()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "sheet.csv").exists():
        sheet.to_csv(folder / "sheet.csv", encoding="utf-8-sig")
    (folder / "sheet.html").write_text(printable(sheet, title), encoding="utf-8")
    return sheet


def printable(sheet: pandas.DataFrame, title: str) -> str:
    """A sheet as a page to print, plain HTML without JavaScript; empty cells are wide enough to write in."""
    heads = "".join(f'<th scope="col">{html.escape(str(name))}</th>' for name in sheet.reset_index().columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_lines(value)}</td>" for value in row) + "</tr>\n"
        for row in sheet.reset_index().itertuples(index=False)
    )
    return PAGE.format(title=html.escape(title), heads=heads, rows=rows)


def _lines(value: object) -> str:
    return "" if pandas.isna(value) else html.escape(str(value)).replace("\n", "<br>")


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 1em; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ border: 1px solid #444; padding: 0.4em; text-align: left; vertical-align: top; }}
td:empty {{ min-width: 5em; }}
thead {{ display: table-header-group; }}
tr {{ break-inside: avoid; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>Rater: ____________________ Date: ____________________</p>
<table>
<thead><tr>{heads}</tr></thead>
<tbody>
{rows}</tbody>
</table>
</body>
</html>
"""
