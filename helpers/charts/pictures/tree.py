"""Tune, retrieve, a prompt, or neither: data/decision_rules.csv as a tree of fourteen questions.

``walk`` goes the tree with answers to the helper's questions; a test compares it with the rules for all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..chart import TUNED
from . import svg

Answers = Mapping[str, str]
WIDTH, HEIGHT = 880, 882
TITLE = "Tune, retrieve, a better prompt, or neither?"
SEARCHED = "#D6EAF8"


@dataclass(frozen=True)
class Leaf:
    """An end of the tree: its words, a text for each line, and the answers of the rules that may end here."""

    lines: tuple[str, ...]
    answers: frozenset[str]
    look: Mapping[str, object]
    ink: str = svg.INK


@dataclass(frozen=True)
class Question:
    """A question, what decides it, and where yes and no lead: to a leaf, or to the question with a number."""

    lines: tuple[str, ...]
    holds: Callable[[Answers], bool]
    yes: Leaf | int
    no: Leaf | int
    x: float
    y: float
    width: float
    height: float


_NEITHER = {"fill": svg.PALE, "dash": "5 4"}
_SEARCH = {"fill": SEARCHED, "edge": svg.HERE, "stroke": 2}
_TUNE = {"fill": TUNED, "stroke": 3}


def _leaf(lines: str, answers: str, look: Mapping[str, object] | None = None) -> Leaf:
    """A leaf from its lines and the rules' answers, both divided by " / "."""
    ink = svg.WHITE if look is _TUNE else svg.INK
    return Leaf(tuple(lines.split(" / ")), frozenset(answers.split(" / ")), look or {}, ink)


def _top(row: int, lines: str, holds, yes, no) -> Question:
    return Question((lines,), holds, yes, no, 8, 48 + 64 * row, 560, 44)


def _left(row: int, lines: str, holds, yes, no) -> Question:
    return Question(tuple(lines.split(" / ")), holds, yes, no, 8, 392 + 84 * row, 266, 62)


def _right(row: int, lines: str, holds, yes, no) -> Question:
    return Question(tuple(lines.split(" / ")), holds, yes, no, 446, 392 + 84 * row, 266, 62)


QUESTIONS = {
    1: _top(
        0,
        "Would a page, a table, or fixed rules in code do the job?",
        lambda a: "yes" in (a["simple"], a["computed"]),
        _leaf("Neither: a page, / or plain code", "do not build it / write plain code", _NEITHER),
        2,
    ),
    2: _top(
        1,
        "Is a wrong answer a danger, or does nobody keep it right?",
        lambda a: a["danger"] == "yes" or a["keeper"] == "no",
        _leaf("Neither: do not build it", "do not build it", _NEITHER),
        3,
    ),
    3: _top(
        2,
        "Are there questions with known answers, to measure with?",
        lambda a: a["evaluation"] == "yes",
        4,
        _leaf("Prepare first: write them", "prepare first"),
    ),
    4: _top(
        3,
        "Is a careful prompt good enough, measured, cost included?",
        lambda a: a["prompt"] == "good enough",
        _leaf("Keep the prompt", "keep the prompt"),
        5,
    ),
    5: Question(
        ("Does it need facts of your own, which may change?",),
        lambda a: a["change"] != "it needs none",
        6,
        11,
        200,
        306,
        480,
        44,
    ),
    6: _left(
        0,
        "Are these facts written / down?",
        lambda a: a["written"] == "yes",
        7,
        _leaf("Prepare / first", "prepare first"),
    ),
    7: _left(
        1,
        "May the reader see the / found text as it is?",
        lambda a: a["shown"] == "yes",
        _leaf("Search, / no model", "search, no model", _SEARCH),
        8,
    ),
    8: _left(
        2,
        "Was no prompt tried, or / are facts still wrong?",
        lambda a: a["prompt"] == "not tried" or a["wrong"] in ("facts", "both"),
        9,
        12,
    ),
    9: _left(
        3,
        "Would all fit into one / prompt, not tried yet?",
        lambda a: a["size"] == "fits in a prompt",
        _leaf("Whole / book in / the prompt", "whole book in the prompt", _SEARCH),
        10,
    ),
    10: _left(
        4,
        "Was a prompt tried, and is / its form wrong, too?",
        lambda a: a["prompt"] != "not tried" and a["wrong"] == "both",
        12,
        _leaf("Retrieve", "retrieve", _SEARCH),
    ),
    11: _right(
        0,
        "Was a prompt tried, and is / only form or cost wrong?",
        lambda a: a["prompt"] != "not tried" and a["wrong"] in ("form", "cost"),
        12,
        _leaf("A better / prompt", "improve the prompt"),
    ),
    12: _right(
        1,
        "At least 50 examples on / which experts agree?",
        lambda a: a["examples"] == "50 or more",
        13,
        _leaf(
            "Not yet, or / by pairs or / rewards",
            "prepare first / retrieve / improve the prompt / tune by preferences / tune by rewards / "
            "distill the prompt",
        ),
    ),
    13: _right(
        2,
        "Priced, with people and / place: is it worth it?",
        lambda a: a["pays"] == "yes",
        14,
        _leaf("Not now: / prompt or / search", "prepare first / retrieve / improve the prompt"),
    ),
    14: _right(
        3,
        "Are facts wrong, too, or / do they change often?",
        lambda a: a["wrong"] == "both" or a["change"] == "often",
        _leaf("Tune and / retrieve", "tune and retrieve", _TUNE),
        _leaf("Tune", "tune", _TUNE),
    ),
}


def walk(answers: Answers) -> Leaf:
    """The end to which the answers to all questions of the decision helper lead."""
    place = 1
    while not isinstance(place, Leaf):
        question = QUESTIONS[place]
        place = question.yes if question.holds(answers) else question.no
    return place


def picture() -> svg.Picture:
    """The tree, drawn from ``QUESTIONS``."""
    body = svg.words(8, 30, TITLE, size=17, bold=True)
    body += "".join(_drawn(number, question) for number, question in QUESTIONS.items())
    return svg.page(WIDTH, HEIGHT, TITLE, _alt(), body)


def _drawn(number: int, question: Question) -> str:
    """The box of a question and its two exits: one goes down to what follows, the other to the side."""
    x, y, width, height = question.x, question.y, question.width, question.height
    drawn = svg.box(x, y, width, height) + svg.words(x + 12, y + 27, f"{number}.", bold=True)
    drawn += svg.words(x + 42, y + 27, question.lines)
    if number == 5:
        return drawn + _split(question)
    exits = {"yes": question.yes, "no": question.no}
    down = "yes" if question.yes == number + 1 else "no"  # at the foot of a lane "no" leads down, too
    side = "no" if down == "yes" else "yes"
    return drawn + _to_the_side(question, side, exits[side]) + _down(question, down, exits[down])


def _to_the_side(question: Question, word: str, target: Leaf | int) -> str:
    right, level = question.x + question.width, question.y + question.height / 2
    is_top = question.width > 300
    left, width = (616, 256) if is_top else (right + 42, 118)
    drawn = svg.arrow((right, level), (left, level)) + svg.words(right + 6, level - 6, word, size=14)
    if isinstance(target, int):
        return drawn + svg.words(left + 6, level + 5, f"go to {target}.", bold=True)
    return drawn + _leaf_box(target, left, question.y, width, question.height)


def _down(question: Question, word: str, below: Leaf | int) -> str:
    middle, foot = question.x + 60, question.y + question.height
    if isinstance(below, Leaf):
        drawn = _leaf_box(below, question.x, foot + 34, question.width, 44)
        return (
            drawn
            + svg.arrow((middle, foot), (middle, foot + 34))
            + svg.words(middle + 8, foot + 20, word, size=14)
        )
    following = QUESTIONS[below]
    middle = max(middle, following.x + 60)
    return svg.arrow((middle, foot), (middle, following.y)) + svg.words(middle + 8, foot + 15, word, size=14)


def _split(question: Question) -> str:
    """Question 5: yes leads down to the left lane, no to the right one."""
    foot, drawn = question.y + question.height, ""
    for word, target, x in (("yes", question.yes, 237), ("no", question.no, 643)):
        drawn += svg.arrow((x, foot), (x, QUESTIONS[target].y)) + svg.words(x + 8, foot + 24, word, size=14)
    return drawn


def _leaf_box(leaf: Leaf, x: float, y: float, width: float, height: float) -> str:
    foot = y + height / 2 + 5 - svg.LINE * (len(leaf.lines) - 1) / 2
    return svg.box(x, y, width, height, **leaf.look) + svg.words(
        x + width / 2, foot, leaf.lines, bold=True, fill=leaf.ink, middle=True
    )


def _alt() -> str:
    def said(target: Leaf | int) -> str:
        return f"go to {target}" if isinstance(target, int) else " ".join(target.lines)

    rows = (
        f"{number}. {' '.join(question.lines)} Yes: {said(question.yes)}. No: {said(question.no)}."
        for number, question in QUESTIONS.items()
    )
    return f"A tree of questions. {' '.join(rows)}"
