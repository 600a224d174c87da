"""Counts the recorded answers again, by code of its own: nothing of helpers.evaluate, on which the lessons rest.

A *side* is a table of 0 and 1, shape (questions, runs): what a way got right.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from math import comb, sqrt

import numpy as np

from helpers import timetable
from helpers.local_api.vectors import embed
from tests.environment import ROOT

DATA = ROOT / "data"
DESKS = (DATA / "airport" / "desks.txt").read_text(encoding="utf-8").split("\n")[:14]
DRAWS = 2000
Z = 1.959964


def jsonl(name: str) -> list[dict]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


ROWS = {row["id"]: row for row in jsonl("recorded/questions.jsonl")}
RECORDED: dict[str, dict[str, dict[str, str]]] = {}  # way -> run -> id -> answer
for _row in jsonl("recorded/answers.jsonl"):
    RECORDED.setdefault(_row["way"], {}).setdefault(_row["run"], {})[_row["id"]] = _row["answer"]


# --- checks --------------------------------------------------------------------------------------------------


def names(text: str, part: str) -> bool:
    """Whether the part stands there as whole words, capitals aside."""
    return re.search(rf"(?<!\w){re.escape(part.lower())}(?!\w)", text.lower()) is not None


def form(answer: str, row: dict) -> bool:
    text, _, last = answer.strip().rpartition("\n")
    return 1 <= len(text.split()) <= 30 and last.startswith("Desk: ") and last[6:] in DESKS


def desk(answer: str, row: dict) -> bool:
    marked = [line.partition("Desk:")[2] for line in answer.split("\n") if "Desk:" in line]
    named = [name for name in DESKS if names("\n".join(marked) if any(marked) else answer, name)]
    return named == [row["desk"]]


def fact(answer: str, row: dict) -> bool:
    return all(names(answer, one) for one in row["facts"])


CHECKS = {"form": form, "desk": desk, "fact": fact}


# --- the timetable's queries, and the rules that were taught ------------------------------------------------

QUERIES = {
    f"valid{number:03}": timetable.read(row["messages"][2]["content"])
    for number, row in enumerate(jsonl("timetable/valid.jsonl"), start=1)
} | {row["id"]: row["query"] for row in jsonl("timetable/sealed.jsonl")}


@cache
def queries() -> dict[tuple[str, str], dict[int, list[bool]]]:
    """(way, split) -> seed -> whether each recorded answer finds the right flights."""
    found: dict = {}
    for row in jsonl("recorded/timetable_answers.jsonl"):
        is_right = timetable.same_flights(row["answer"], QUERIES[row["id"]])
        found.setdefault((row["way"], row["split"]), {}).setdefault(row["seed"], []).append(is_right)
    return found


def agreements(way: str) -> dict[int, list[bool]]:
    """seed -> whether three of the four answers drawn for a question find the same flights, and some."""
    found: dict = {}
    for row in jsonl("recorded/timetable_drawn.jsonl"):
        if row["way"] == way:
            flights = [tuple(timetable.numbers(answer)) for answer in row["answers"]]
            found.setdefault(row["seed"], []).append(any(one and flights.count(one) >= 3 for one in flights))
    return dict(sorted(found.items()))


def right_queries(way: str, split: str = "sealed", seeds: int | None = None) -> float:
    """The share of right queries: the mean of all trainings, or of those with the first seeds."""
    found = queries()[way, split]
    return float(np.mean([np.mean(found[seed]) for seed in sorted(found)[:seeds]]))


@cache
def taught() -> dict[tuple[str, str], dict[str, str]]:
    """(run, kind of questions) -> id -> answer, of what data/recorded/facts.py recorded."""
    found: dict = {}
    for row in jsonl("recorded/facts_answers.jsonl"):
        found.setdefault((row["run"], row["kind"]), {})[row["id"]] = row["answer"]
    return found


# --- sides ---------------------------------------------------------------------------------------------------


def ids(*kinds: str) -> list[str]:
    return [id for id, row in ROWS.items() if row["kind"] in kinds]


@cache
def side(way: str, check: str, *kinds: str) -> np.ndarray:
    """What a recorded way, all trainings on the whole file, or a rival without a model got right."""
    recorded = RECORDED.get(way, {})
    whole = [recorded[run] for run in sorted(recorded) if re.fullmatch(r"base|.*-all-seed\d", run)]
    asked = ids(*kinds)
    answers = whole or [{id: WITHOUT_A_MODEL[way](ROWS[id]["question"]) for id in asked}]
    return np.array([[float(CHECKS[check](one[id], ROWS[id])) for one in answers] for id in asked])


def share(way: str, check: str, *kinds: str) -> float:
    return side(way, check, *kinds).mean()


def _nearest(texts: list[str], answers: list[str]) -> Callable[[str], str]:
    table = embed(texts)
    return lambda question: answers[int(((table - embed([question])) ** 2).sum(axis=1).argmin())]


def _rules() -> list[tuple[str, str]]:
    """(text, desk) of each rule of the book."""
    found = []
    for part in (DATA / "airport" / "rules.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        heading, *lines = part.split("\n")
        found += [(line.split("** ", 1)[1], heading) for line in lines if line.startswith("- **")]
    return found


def _rivals() -> dict[str, Callable[[str], str]]:
    pairs = [[one["content"] for one in row["messages"][-2:]] for row in jsonl("airport/train.jsonl")]
    answers = [answer for _, answer in pairs]
    return {
        "nearest_rule": _nearest(
            [text for text, _ in _rules()], [f"{text}\nDesk: {at}" for text, at in _rules()]
        ),
        "nearest_example": _nearest([" ".join(pair) for pair in pairs], answers),
    }


def _commonest() -> str:
    """The first training answer with the commonest last line."""
    answers = [row["messages"][-1]["content"] for row in jsonl("airport/train.jsonl")]
    ends = [answer.rpartition("\n")[2] for answer in answers]
    return answers[ends.index(max(dict.fromkeys(ends), key=ends.count))]


COMMONEST = _commonest()
RIVALS = _rivals()
WITHOUT_A_MODEL = RIVALS | {"majority": lambda question: COMMONEST}


# --- who is better -------------------------------------------------------------------------------------------


def better(before: str, after: str, check: str, *kinds: str) -> str:
    """The name of the better way, or "": where the interval leaves out 0 and a test of signs agrees."""
    _, low, high, p = compared(side(before, check, *kinds), side(after, check, *kinds))
    if low <= 0 <= high or p >= 0.05:
        return ""
    return after if low > 0 else before


def compared(before: np.ndarray, after: np.ndarray) -> tuple[float, float, float, float]:
    """Difference, ends of its interval, p: over questions and runs; of one run each Bonett and Price, McNemar."""
    gains = after.mean(axis=1) - before.mean(axis=1)
    if before.shape[1] == after.shape[1] == 1:
        more, fewer = int((gains > 0).sum()), int((gains < 0).sum())
        ends = bonett_price(more, fewer, len(gains))
        return float(gains.mean()), *ends, p_of_coin(more, more + fewer)
    return float(gains.mean()), *bootstrap(before, after), p_of_signs(gains)


def bonett_price(more: int, fewer: int, asked: int) -> tuple[float, float]:
    up, down = (more + 1) / (asked + 2), (fewer + 1) / (asked + 2)
    spread = Z * sqrt((up + down - (up - down) ** 2) / (asked + 2))
    return max(-1.0, up - down - spread), min(1.0, up - down + spread)


def bootstrap(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of the differences, with questions and runs drawn anew."""
    asked, *runs = _drawn(len(one), one.shape[1], other.shape[1])
    means = [
        (asked @ side * times).sum(axis=1) / side.size for side, times in zip((one, other), runs, strict=True)
    ]
    found = np.sort(means[1] - means[0])
    return float(found[DRAWS // 40]), float(found[-DRAWS // 40])


@cache
def _drawn(*sizes: int) -> list[np.ndarray]:
    """For groups of these sizes: how often each member is drawn, a row a draw."""
    draw = np.random.default_rng(1)
    times = [
        [np.bincount(draw.integers(size, size=size), minlength=size) for size in sizes] for _ in range(DRAWS)
    ]
    return [np.array(group) for group in zip(*times, strict=True)]


def p_of_signs(gains: np.ndarray) -> float:
    """How often gains of these sizes are as far from 0 if a coin gives each its sign.

    If all are of one size it is counted exactly, else by tossing.
    """
    gains = gains[gains != 0]
    if len(set(np.abs(gains))) <= 1:
        return p_of_coin(int((gains > 0).sum()), len(gains))
    coins = np.random.default_rng(2).integers(2, size=(20_000, len(gains))) * 2 - 1
    return float((np.abs(coins @ gains) > abs(gains.sum()) - 1e-9).mean())


def p_of_coin(heads: int, tossed: int) -> float:
    """The exact sign test, two-sided."""
    fewer = min(heads, tossed - heads)
    return min(1.0, 2 * sum(comb(tossed, n) for n in range(fewer + 1)) / 2**tossed)


def corrected(ps: list[float]) -> list[float]:
    """Holm: the smallest p times the number of tests, the next times one less, and never smaller than before."""
    order = sorted(range(len(ps)), key=ps.__getitem__)
    steps = np.maximum.accumulate([(len(ps) - rank) * ps[place] for rank, place in enumerate(order)])
    return [float(min(1, steps[order.index(place)])) for place in range(len(ps))]


def wilson(share: float, asked: int) -> tuple[float, float]:
    """The roots of (share - x)^2 = z^2 x (1 - x) / asked."""
    part = Z**2 / asked
    low, high = sorted(np.roots([1 + part, -(2 * share + part), share**2]).real)
    return max(0.0, low), min(1.0, high)
