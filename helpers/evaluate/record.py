"""The recorded run: the questions, and what the really trained model answered."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache

import pandas

from .checks import CHECKS, DATA, STYLE
from .counting import Answering, evaluate

PRACTICE = ("paraphrase", "new")


def questions(*kinds: str) -> list[dict]:
    """The recorded questions of these kinds; without a kind the 120 for practice: "paraphrase" and "new"."""
    return [row for row in _read("questions.jsonl") if row["kind"] in (kinds or PRACTICE)]


def rules() -> dict[str, tuple[str, str]]:
    """The rules of the airport's book, data/airport/rules.md: id -> (text, desk)."""
    found, desk = {}, ""
    for line in (DATA / "airport" / "rules.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            desk = line.removeprefix("## ")
        elif rule := re.match(r"- \*\*(\w+)\*\* (.+)", line):
            found[rule[1]] = (rule[2], desk)
    return found


def sealed() -> list[dict]:
    """The 120 questions of the sealed test, with the kinds of the practice rows. To be opened once, at the end."""
    rows = questions(*(f"sealed_{kind}" for kind in PRACTICE))
    return [row | {"kind": row["kind"].removeprefix("sealed_")} for row in rows]


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


def every_run(way: str, rows: Sequence[dict], checks: Mapping = CHECKS) -> list[pandas.DataFrame]:
    """What ``evaluate`` finds in the recorded answers of a way, one table a training run."""
    return [evaluate(recorded(way, run), rows, checks) for run in runs(way)]


def next_to_rules(way: str, rows: Sequence[dict]) -> pandas.DataFrame:
    """The answers of a way's first run next to the rules that they should state: a row a question.

    Columns: question, answer, the airport's rule (with its desk), and True or False for each check.
    """
    table, book = evaluate(recorded(way), rows), rules()
    found = [book[row["rule"]] for row in rows]
    texts = [f"{text}\n{STYLE['last_line']}{desk}" for text, desk in found]
    table.insert(2, "the airport's rule", texts)
    return table.reset_index(drop=True)


@cache
def _answers() -> list[dict]:
    texts = {row["id"]: row["question"] for row in _read("questions.jsonl")}
    return [row | {"question": texts[row["id"]]} for row in _read("answers.jsonl")]


def _read(name: str) -> list[dict]:
    return [json.loads(line) for line in (DATA / "recorded" / name).read_text(encoding="utf-8").splitlines()]
