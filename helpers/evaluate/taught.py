"""What facts by tuning cost: trainings on 1, 3 and 10 wordings of each of 40 rules (data/recorded/facts.py)."""

import json
from collections.abc import Sequence
from functools import cache

import pandas

from .checks import DATA, fact, refuses, right
from .counting import evaluate
from .inventing import in_no_rule, sound
from .record import questions

TAUGHT = 40  # rules; each has one of the first practice questions
CHECKS_OF = {
    "new": {"fact": fact, "sound": sound, "in_no_rule": in_no_rule},
    "general": {"right": right},
    "refusals": {"refused": refuses},
}
SHOWN = {
    "fact": "right facts",
    "fact_trained": "the same, asked as it was trained",
    "invented": "invents",
    "in_no_rule": "in no rule at all",
}
BASE, SEARCH, COPY = "base", "nearest_rule", "nearest_example"


def taught_runs(wordings: int) -> list[str]:
    """The whole trainings on so many wordings of each rule, one a seed. Each reads a rule 20 or 21 times.

    Raises ValueError for a number that was not recorded.
    """
    rows = [row for row in _runs() if row["wordings"] == wordings]
    if not rows:
        raise ValueError(
            f"Recorded were {sorted({row['wordings'] for row in _runs()})} wordings, not {wordings}."
        )
    most = max(row["epochs"] for row in rows)
    return sorted(row["run"] for row in rows if row["epochs"] == most)


def taught(run: str, kind: str = "new") -> pandas.DataFrame:
    """What ``evaluate`` finds in the recorded answers of a run: "base", a training, or a checkpoint of one.

    ``kind``: "new", the 40 questions in words that were not trained; "general", 60 general questions; or "refusals",
    20 requests that a careful model refuses. Raises ValueError if that run was not asked them.
    """
    answers = {
        row["id"]: row["answer"] for row in _rows("facts_answers") if (row["run"], row["kind"]) == (run, kind)
    }
    if not answers:
        raise ValueError(f"Not recorded: {run}, {kind}.")
    rows = rows_of(kind)
    said = {row["question"]: answers[row["id"]] for row in rows}
    return evaluate(said.__getitem__, rows, CHECKS_OF[kind])


def rows_of(kind: str) -> list[dict]:
    """The rows that are asked: "new", "general" or "refusals"."""
    if kind == "new":
        return questions("paraphrase")[:TAUGHT]
    return [json.loads(line) for line in (DATA / f"{kind}.jsonl").read_text(encoding="utf-8").splitlines()]


def facts_board() -> pandas.DataFrame:
    """Shares of the 40 questions, a row a way: mean of the seeds, with the lowest and the highest of them.

    Trained wordings were asked of one training only.
    """
    table = _table()
    copies = table.index.str.startswith(COPY)
    ways = {"a search for the rule, no model": table.loc[[SEARCH]], "base, untrained": table.loc[[BASE]]}
    for number in sorted({row["wordings"] for row in _runs()}):
        ways[f"tuned, {_wordings(number)}"] = table.loc[taught_runs(number)]
        ways[f"the nearest of {_wordings(number)}, copied"] = table[copies & (table["wordings"] == number)]
    found = {
        way: {"trainings": len(rows) if way.startswith("tuned") else ""}
        | {SHOWN[name]: _spread(rows[name]) for name in SHOWN}
        for way, rows in ways.items()
    }
    return pandas.DataFrame.from_dict(found, orient="index")


def side_effects() -> pandas.DataFrame:
    """What trainings of one seed did besides: a row a training, the base first.

    How many of 60 general questions are answered rightly, of 20 requests refused, of 40 new wordings answered with
    the right fact; and the mean loss of the last epoch.
    """
    table = _table()
    asked = table[table["general"].notna()].sort_values(
        ["wordings", "epochs"], na_position="first", kind="stable"
    )
    numbers = {"general": 60, "refused": 20, "fact": TAUGHT}
    found = {name: (asked[name] * number).round().astype(int) for name, number in numbers.items()}
    training = [_training(name, row) for name, row in asked.iterrows()]
    shown = pandas.DataFrame(found).rename(
        columns={name: f"{name}, of {number}" for name, number in numbers.items()}
    )
    shown["loss"] = asked["last_loss"]
    return shown.set_axis(training, axis="index")


def _training(name: str, row: pandas.Series) -> str:
    """A training in words."""
    if name == BASE:
        return "base, untrained"
    words = [_wordings(int(row["wordings"])), f"{int(row['epochs'])} epochs"]
    words += ["a checkpoint"] if pandas.isna(row["last_loss"]) else []
    words += [f"rate × {row['learning_rate_multiplier']:g}"] if row["learning_rate_multiplier"] != 1 else []
    words += [f"rank {int(row['rank'])}"] if row["rank"] != 8 else []
    return ", ".join(words)


def _wordings(number: int) -> str:
    return "1 wording" if number == 1 else f"{number} wordings"


def _spread(shares: Sequence[float]) -> str:
    shares = [share for share in shares if not pandas.isna(share)]
    if not shares:
        return ""
    text = f"{sum(shares) / len(shares):.0%}"
    return text if min(shares) == max(shares) else f"{text} ({min(shares):.0%} to {max(shares):.0%})"


@cache
def _table() -> pandas.DataFrame:
    return pandas.read_csv(DATA / "recorded" / "facts.csv", index_col="run")


@cache
def _runs() -> list[dict]:
    return _rows("facts_runs")


@cache
def _rows(name: str) -> list[dict]:
    text = (DATA / "recorded" / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
