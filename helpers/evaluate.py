"""Find out whether answers got better: the same questions, counted by rules that were fixed before.

An *answering function* takes a question and returns an answer, both texts. It may ask a model, read a recorded
answer, or copy: ``evaluate`` does not care. Rows are dicts with the keys of data/airport/practice.jsonl.
"""

import html
import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, sqrt
from pathlib import Path

import pandas

from .charts import Chart, share_chart
from .charts import size_curve as _size_curve

DATA = Path(__file__).resolve().parents[1] / "data"
DESKS = (DATA / "airport" / "desks.txt").read_text(encoding="utf-8").splitlines()
STYLE = tomllib.loads((DATA / "airport" / "house_style.toml").read_text(encoding="utf-8"))
Z = 1.959964  # of the normal distribution: 95 % lie within
Z_POWER = 0.841621  # 80 % lie below

Answering = Callable[[str], str]


# --- checks ----------------------------------------------------------------------------------------------


def form(answer: str, row: dict) -> bool:
    """House style of the airport: at most 30 words, then a last line with one of its 14 desks."""
    *text, last = answer.strip().splitlines() or [""]
    words = " ".join(text).split()
    return 0 < len(words) <= STYLE["most_words"] and last in {STYLE["last_line"] + desk for desk in DESKS}


def desk(answer: str, row: dict) -> bool | None:
    """It names the right desk and no other; in any form, so that no model fails for a form it was never told.

    Where there are lines of that style, only these count. None if the row has no desk.
    """
    if not row.get("desk"):
        return None
    lines = re.findall(rf"{STYLE['last_line'].strip()} *(.+)", answer)
    text = "\n".join(lines) if lines else answer
    return {name for name in DESKS if _holds(text, name)} == {row["desk"]}


def fact(answer: str, row: dict) -> bool | None:
    """Every fact of the row stands in the answer word for word, capitals aside. None if the row has no facts."""
    return all(_holds(answer, one) for one in row["facts"]) if row.get("facts") else None


def _holds(text: str, part: str) -> bool:
    """Whether the part stands in the text as whole words: "3 kg" does not stand in "13 kg"."""
    return re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text, re.IGNORECASE) is not None


CHECKS = {"form": form, "desk": desk, "fact": fact}


# --- counting --------------------------------------------------------------------------------------------


def evaluate(
    answer: Answering, rows: Sequence[dict], checks: Mapping[str, Callable] = CHECKS
) -> pandas.DataFrame:
    """Asks every row's question and checks each answer.

    Returns a row a question: question, answer, and a column for each check: True, False, or None where the
    check has nothing to look for. A check is any function of (answer, row). The index is the row's id.
    """
    found = []
    for number, row in enumerate(rows):
        text = answer(row["question"])
        results = {name: check(text, row) for name, check in checks.items()}
        found.append({"id": row.get("id", number), "question": row["question"], "answer": text} | results)
    return pandas.DataFrame(found, columns=["id", "question", "answer", *checks]).set_index("id")


def summary(table: pandas.DataFrame) -> pandas.DataFrame:
    """What ``evaluate`` found, counted: a row a check with passed, asked, and share, low, high from 0 to 1.

    low and high are the ends of the 95 % interval: where the share may lie for all such questions.
    """
    rows = {}
    for name in table.columns.drop(["question", "answer"]):
        asked = table[name].dropna()
        passed = int(asked.astype(bool).sum())
        low, high = interval(passed, len(asked))
        share = passed / len(asked) if len(asked) else float("nan")
        rows[name] = {"passed": passed, "asked": len(asked), "share": share, "low": low, "high": high}
    return pandas.DataFrame.from_dict(rows, orient="index").rename_axis("check")


def interval(passed: int, asked: int) -> tuple[float, float]:
    """The 95 % interval of a share, from 0 to 1 (Wilson 1927); (0, 1) if nothing was asked."""
    if asked == 0:
        return 0.0, 1.0
    share = passed / asked
    middle = share + Z**2 / (2 * asked)
    spread = Z * sqrt(share * (1 - share) / asked + Z**2 / (4 * asked**2))
    scale = 1 + Z**2 / asked
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


@dataclass(frozen=True)
class Comparison:
    """Two ways on the same questions: how often only one of them passed, and the difference of the shares."""

    check: str
    before: str
    after: str
    asked: int
    only_before: int
    only_after: int
    difference: float  # of the shares, after minus before, from -1 to 1
    low: float
    high: float

    def __str__(self) -> str:
        counts = (
            f"only {self.after} passed {self.only_after}, only {self.before} {self.only_before} "
            f"of {self.asked} questions; difference {100 * self.difference:+.0f} points, "
            f"95 % interval {_points(self.low)} to {_points(self.high)}"
        )
        if self.low <= 0 <= self.high:
            return f"{self.check}: no difference seen between {self.before} and {self.after} ({counts})."
        better, worse = (self.after, self.before) if self.low > 0 else (self.before, self.after)
        return f"{self.check}: {better} is better than {worse} ({counts})."


def _points(difference: float) -> str:
    """In points; near 0 with a decimal, so that an end above 0 is not printed as 0."""
    points = 100 * difference
    return f"{points:+.1f}" if 0 < abs(points) < 1 else f"{points:+.0f}"


def compare(
    before: pandas.DataFrame,
    after: pandas.DataFrame,
    check: str,
    names: tuple[str, str] = ("before", "after"),
) -> Comparison:
    """Compares two results of ``evaluate`` question by question (paired). Print it: it is a sentence.

    The interval of the difference is that of Bonett and Price (2012), an adjusted Wald interval for paired
    shares. Raises ValueError if the two have not been asked the same questions.
    """
    if list(before.index) != list(after.index):
        raise ValueError("The two tables do not hold the same questions in the same order.")
    both = pandas.DataFrame({"before": before[check], "after": after[check]}).dropna().astype(bool)
    asked = len(both)
    only_before = int((both["before"] & ~both["after"]).sum())
    only_after = int((~both["before"] & both["after"]).sum())
    one, other = (only_after + 1) / (asked + 2), (only_before + 1) / (asked + 2)
    spread = Z * sqrt((one + other - (one - other) ** 2) / (asked + 2))
    middle = one - other
    difference = (only_after - only_before) / asked if asked else 0.0
    ends = max(-1.0, middle - spread), min(1.0, middle + spread)
    return Comparison(check, *names, asked, only_before, only_after, difference, *ends)


def rows_needed(difference: float, disagreement: float) -> int:
    """How many questions show a difference of two shares in four of five trials (Connor 1987, paired).

    ``difference`` of the shares, ``disagreement``: the share of questions on which only one of the two passes;
    both from 0 to 1. Raises ValueError if the disagreement is smaller than the difference.
    """
    if not 0 < abs(difference) <= disagreement <= 1:
        raise ValueError(
            "The disagreement must be at least as large as the difference, and both within 0 to 1."
        )
    root = Z * sqrt(disagreement) + Z_POWER * sqrt(disagreement - difference**2)
    return ceil(root**2 / difference**2)


def chart(tables: Mapping[str, pandas.DataFrame], title: str) -> Chart:
    """Results of ``evaluate`` as a chart of shares with 95 % intervals. ``tables``: name of a way -> its table."""
    return share_chart({name: summary(table) for name, table in tables.items()}, title)


def size_chart(points: pandas.DataFrame, title: str, checks: Sequence[str] = tuple(CHECKS)) -> Chart:
    """How results grow with the training rows. ``points``: columns rows, seed and the share of each check, 0 to 1."""
    return _size_curve(points, title, checks)


# --- people ----------------------------------------------------------------------------------------------


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
    differ: list

    def __str__(self) -> str:
        if not self.rated:
            return "No answer has been rated by both."
        return (
            f"The raters agree on {self.same} of {self.rated} answers, {self.same / self.rated:.0%} "
            f"(95 % interval {self.low:.0%} to {self.high:.0%})."
        )


def agreement(first: pandas.Series, second: pandas.Series) -> Agreement:
    """How often two raters agree. Each Series holds a rater's words, such as yes and no, by the answer's id.

    Capitals and spaces at the ends do not count; an answer that one of them left empty is left out.
    """
    words = pandas.DataFrame({"first": first, "second": second}).dropna().astype(str)
    words = words.apply(lambda column: column.str.strip().str.lower())
    words = words[(words != "").all(axis=1)]
    same = words["first"] == words["second"]
    return Agreement(
        len(words), int(same.sum()), *interval(int(same.sum()), len(words)), list(words.index[~same])
    )


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


# --- baselines: what needs no model ------------------------------------------------------------------------


def majority(examples: Sequence[dict]) -> Answering:
    """Always the same answer: the first of the training answers that name the commonest desk."""
    answers = [example["messages"][-1]["content"] for example in examples]
    desks = [answer.splitlines()[-1] for answer in answers]
    commonest = Counter(desks).most_common(1)[0][0]
    constant = answers[desks.index(commonest)]
    return lambda question: constant


def copy(examples: Sequence[dict]) -> Answering:
    """The answer of the training question that shares most words with the question asked (Jaccard index)."""
    known = [(_words(one["messages"][-2]["content"]), one["messages"][-1]["content"]) for one in examples]

    def answer(question: str) -> str:
        asked = _words(question)
        return max(known, key=lambda one: len(asked & one[0]) / len(asked | one[0]))[1]

    return answer


def _words(text: str) -> set[str]:
    return set(re.findall(r"[\w']+", text.lower()))


# --- the recorded run ------------------------------------------------------------------------------------


def questions(*kinds: str) -> list[dict]:
    """The recorded questions of these kinds; without a kind the 120 of the test: "paraphrase" and "new"."""
    return [row for row in _read("questions.jsonl") if row["kind"] in (kinds or ("paraphrase", "new"))]


def recorded(way: str, run: str | None = None) -> Answering:
    """An answering function that reads what the really trained model answered; data/README.md names the ways.

    ``run`` is the training run, by default the first of ``runs(way)``; a checkpoint is such as
    "tuned-all-seed0-epoch1". Raises ValueError for one that was not recorded, and KeyError for a question that it
    was not asked.
    """
    known = runs(way)
    every = sorted({row["run"] for row in _answers() if row["way"] == way})
    if not known or run not in (None, *every):
        raise ValueError(f"Not recorded: {way}, {run}. Recorded of {way}: {', '.join(every) or 'nothing'}.")
    answers = {
        row["question"]: row["answer"]
        for row in _answers()
        if (row["way"], row["run"]) == (way, run or known[0])
    }
    return lambda question: answers[question]


def runs(way: str, rows: int | None = None) -> list[str]:
    """The training runs of a way, one a seed: those on all rows, or on ``rows`` of them; ["base"] if untrained."""
    found = list(dict.fromkeys(row["run"] for row in _answers() if row["way"] == way))
    wanted = re.compile(rf"base|\w+-{rows or 'all'}-seed\d+")
    return sorted(run for run in found if wanted.fullmatch(run))


@cache
def _answers() -> list[dict]:
    texts = {row["id"]: row["question"] for row in _read("questions.jsonl")}
    return [row | {"question": texts[row["id"]]} for row in _read("answers.jsonl")]


def _read(name: str) -> list[dict]:
    return [json.loads(line) for line in (DATA / "recorded" / name).read_text(encoding="utf-8").splitlines()]
