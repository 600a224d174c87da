"""Checks: functions of an answer and its row that say True, False, or None where there is nothing to look for."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "data"
DESKS = (DATA / "airport" / "desks.txt").read_text(encoding="utf-8").splitlines()
Check = Callable[[str, dict], bool | None]
STYLE = tomllib.loads((DATA / "airport" / "house_style.toml").read_text(encoding="utf-8"))


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
    return {name for name in DESKS if holds(text, name)} == {row["desk"]}


def fact(answer: str, row: dict) -> bool | None:
    """Every fact of the row stands in the answer word for word, capitals aside. None if the row has no facts."""
    return all(holds(answer, one) for one in row["facts"]) if row.get("facts") else None


def right(answer: str, row: dict) -> bool | None:
    """One of the words that the row calls right stands in the answer; for general knowledge. None without such."""
    return any(holds(answer, one) for one in row["right"]) if row.get("right") else None


def no_rule(answer: str, row: dict) -> bool:
    """It says that it has no rule on that, in the words that the training files teach."""
    return "no rule" in answer.lower()


def makes_up(answer: str, row: dict) -> bool:
    """It neither states the facts of its row (a row without facts has none to state) nor says that no rule answers."""
    return not no_rule(answer, row) and not fact(answer, row)


def fact_asked_as(kind: str) -> Check:
    """``fact`` for the rows of one kind; None for all others."""
    return lambda answer, row: fact(answer, row) if row["kind"] == kind else None


CHECKS = {"form": form, "desk": desk, "fact": fact}
FACTS_APART = {  # facts of rules that were trained, and of rules that are in no training example
    "form": form,
    "desk": desk,
    "fact, trained": fact_asked_as("paraphrase"),
    "fact, new": fact_asked_as("new"),
}


def holds(text: str, part: str) -> bool:
    """Whether the part stands in the text as whole words: "3 kg" does not stand in "13 kg"."""
    return re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text, re.IGNORECASE) is not None
