"""Counts the recorded answers again, by code of its own: nothing of helpers.evaluate, on which the lessons rest.

A *side* is a table of 0 and 1, shape (questions, runs): what a way got right.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from math import comb

import numpy as np

from helpers.local_api.vectors import embed
from tests.environment import ROOT

DATA = ROOT / "data"
DESKS = (DATA / "airport" / "desks.txt").read_text(encoding="utf-8").split("\n")[:14]
DRAWS = 2000


def jsonl(name: str) -> list[dict]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


ROWS = {row["id"]: row for row in jsonl("recorded/questions.jsonl")}
RECORDED: dict[str, dict[str, dict[str, str]]] = {}  # way -> run -> id -> answer
for _row in jsonl("recorded/answers.jsonl"):
    RECORDED.setdefault(_row["way"], {}).setdefault(_row["run"], {})[_row["id"]] = _row["answer"]


# --- checks --------------------------------------------------------------------------------------------------


def tokens(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def names(text: str, part: str) -> bool:
    return f" {' '.join(tokens(part))} " in f" {' '.join(tokens(text))} "


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


# --- sides ---------------------------------------------------------------------------------------------------


def ids(*kinds: str) -> list[str]:
    return [id for id, row in ROWS.items() if row["kind"] in kinds]


@cache
def side(way: str, check: str, *kinds: str) -> np.ndarray:
    """What a recorded way, all trainings on the whole file, or a rival without a model got right."""
    recorded = RECORDED.get(way, {})
    whole = [recorded[run] for run in sorted(recorded) if re.fullmatch(r"base|.*-all-seed\d", run)]
    asked = ids(*kinds)
    answers = whole or [{id: RIVALS[way](ROWS[id]["question"]) for id in asked}]
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
    return {
        "nearest_rule": _nearest(
            [text for text, _ in _rules()], [f"{text}\nDesk: {at}" for text, at in _rules()]
        ),
        "nearest_example": _nearest([" ".join(pair) for pair in pairs], [answer for _, answer in pairs]),
    }


RIVALS = _rivals()


# --- who is better -------------------------------------------------------------------------------------------


def better(before: str, after: str, check: str, *kinds: str) -> str:
    """The name of the better way, or "": where the interval leaves out 0 and a test of signs agrees."""
    one, other = side(before, check, *kinds), side(after, check, *kinds)
    low, high = bootstrap(one, other)
    if low <= 0 <= high or p_of_signs(other.mean(axis=1) - one.mean(axis=1)) >= 0.05:
        return ""
    return after if low > 0 else before


def bootstrap(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of the differences, with questions and runs drawn anew."""
    draw, found = np.random.default_rng(1), []
    for _ in range(DRAWS):
        asked = draw.integers(len(one), size=len(one))
        means = [
            side[np.ix_(asked, draw.integers(side.shape[1], size=side.shape[1]))].mean()
            for side in (one, other)
        ]
        found.append(means[1] - means[0])
    found.sort()
    return found[DRAWS // 40], found[-DRAWS // 40]


def p_of_signs(gains: np.ndarray) -> float:
    """How often gains of these sizes are as far from 0 if a coin gives each its sign.

    If all are of one size it is counted exactly, else by tossing.
    """
    gains = gains[gains != 0]
    if len(set(np.abs(gains))) <= 1:
        return p_of_coin(int((gains > 0).sum()), len(gains))
    draw = np.random.default_rng(2)
    tossed = np.where(draw.random((20_000, len(gains))) < 0.5, gains, -gains).sum(axis=1)
    return float((np.abs(tossed) > abs(gains.sum()) - 1e-9).mean())


def p_of_coin(heads: int, tossed: int) -> float:
    """The exact sign test, two-sided."""
    fewer = min(heads, tossed - heads)
    return min(1.0, 2 * sum(comb(tossed, n) for n in range(fewer + 1)) / 2**tossed)
