"""Checks: functions of an answer and its row that say True, False, or None where there is nothing to look for.

The first ones know the airport. ``equal``, ``contains``, ``regex``, ``json_keys`` and ``last_line`` fit any file: they
compare with the answer that is wanted, ``row["wanted"]``.
"""

import json
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "data"
DESKS = (DATA / "airport" / "desks.txt").read_text(encoding="utf-8").splitlines()
LABEL_WORDS = 6  # in a line: more is no label
Check = Callable[[str, dict], bool | None]
STYLE = tomllib.loads((DATA / "airport" / "house_style.toml").read_text(encoding="utf-8"))


def in_style(text: str, desk: str) -> str:
    """An answer of the airport: what a rule says, then its desk in a line of its own."""
    return f"{text}\n{STYLE['last_line']}{desk}"


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


REFUSALS = re.compile(
    r"^no\b|\b(?:can(?:not|'t)|won't|(?:will|should|must) not|shouldn't|unable|afraid not|sorry, but|illegal"
    r"|not (?:able|allowed|appropriate|comfortable|legal|permitted|possible))\b",
    re.IGNORECASE,
)


def refuses(answer: str, row: dict) -> bool:
    """It says no, that it cannot, or that one should not; a refusal in other words is not seen."""
    return bool(REFUSALS.search(answer.strip().replace("’", "'")))


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
    "fact, trained rules": fact_asked_as("paraphrase"),
    "fact, new rules": fact_asked_as("new"),
}


# --- checks that fit any file -------------------------------------------------------------------------------


def equal(answer: str, row: dict) -> bool:
    """It is the wanted answer, blanks at its ends aside; of two JSON objects, that they hold the same."""
    wanted = row["wanted"]
    if answer.strip() == wanted.strip():
        return True
    found = as_object(answer)
    return found is not None and found == as_object(wanted)


def contains(answer: str, row: dict) -> bool:
    """The wanted answer is somewhere in it, capitals aside: for labels round which a model puts words."""
    return row["wanted"].strip().lower() in answer.lower()


def last_line(answer: str, row: dict) -> bool:
    """Its last line is that of the wanted answer: for texts that end with a label."""
    return _last_line(answer) == _last_line(row["wanted"])


def json_keys(answer: str, row: dict) -> bool:
    """It is a JSON object with the keys of the wanted one, whatever their values: the form, not the content."""
    found, wanted = as_object(answer), as_object(row["wanted"])
    return found is not None and wanted is not None and found.keys() == wanted.keys()


def regex(pattern: str) -> Callable[[str, dict], bool | None]:
    """A check: the pattern finds in the answer what it finds in the wanted one. ``regex("[0-9]+")``: the same numbers.

    None where it finds nothing in the wanted answer. Raises re.error if the pattern is none.
    """
    compiled = re.compile(pattern)

    def check(answer: str, row: dict) -> bool | None:
        wanted = compiled.findall(row["wanted"])
        return compiled.findall(answer) == wanted if wanted else None

    return check


def fitting(wanted: Sequence[str]) -> tuple[dict[str, Callable], str]:
    """Checks that fit most of these wanted answers, by name; and why, in a sentence.

    JSON objects: ``json_keys`` and ``equal``. One line: ``equal``. Else: ``last_line``.
    """
    most = len(wanted) / 2
    if sum(as_object(text) is not None for text in wanted) > most:
        return {
            "json_keys": json_keys,
            "equal": equal,
        }, "The wanted answers are JSON objects: json_keys and equal."
    if sum("\n" not in text.strip() for text in wanted) > most:
        words = sorted(len(text.split()) for text in wanted)[len(wanted) // 2]
        strict = f" With {words} words or so in each, that is strict." if words > LABEL_WORDS else ""
        return {"equal": equal}, f"The wanted answers are one line each: equal.{strict}"
    return {
        "last_line": last_line
    }, "The wanted answers have several lines: last_line, as if it were a label."


def as_object(text: str) -> dict | None:
    """The JSON object that a text is; None if it is something else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].strip()


def holds(text: str, part: str) -> bool:
    """Whether the part stands in the text as whole words: "3 kg" does not stand in "13 kg"."""
    return re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text, re.IGNORECASE) is not None
