"""Every claim of the article of 2023 is on the page about it, and its lessons still hold what the verdict rests on."""

import csv
import re

import pytest

from helpers import teach
from tests.notebooks import frame, refresh

PAGE = refresh.read(refresh.NOTEBOOKS / "article.ipynb")
SHOWN = re.compile(r"article\.(claims|verdicts)\((\d+), (\d+)")
OWN_SECTION = re.compile(r"claims\.loc\[\[([\d, ]+)\]")  # a lesson may show its claims itself
LESSONS = {path.name[:2]: path for path in refresh.lessons()}
# what each lesson must hold, in its text, code or outputs, whatever its words
RESTS_ON = {
    1: {"01": "scratch"},
    2: {"01": "scratch"},
    3: {"00": "three steps", "06": "interval", "07": "price"},
    4: {"01": r"\bpair"},
    5: {"01": "few_shot", "06": "nearest_rule", "09": "nearest_rule", "11": "parser"},
    6: {"01": "prompt", "07": "break-even", "11": "long prompt"},
    7: {"01": "pork"},
    8: {"01": r"\brole\b"},
    9: {"01": "paraphrase", "08": "tuned", "09": "paraphrase", "12": "wordings"},
    10: {"00": "three steps"},
    11: {"02": "bug hunt|bug_hunt"},
    12: {"02": "rule", "06": "expert|rater"},
    13: {"03": r"requests\.post"},
    14: {"04": "fine_tuning/jobs"},
    15: {"04": "model"},
    16: {"04": "succeeded"},
    17: {"05": "404"},
    18: {"05": "greeting"},
    19: {"07": r"GPT-3\.5"},
    20: {"07": "GPT-4"},
    21: {"06": "round", "07": "guess"},
    22: {"06": "published|cookbook"},
    23: {"07": "embedding|retriev|search", "08": "nearest_rule|search"},
    24: {"08": "retriev"},
    25: {"06": "rater|agreement"},
}


def claims() -> dict[int, dict]:
    with open(teach.DATA / "claims.csv", encoding="utf-8", newline="") as file:
        return {int(claim["number"]): claim for claim in csv.DictReader(file)}


def test_the_page_shows_every_claim_before_its_verdict():
    code = "\n".join(cell.source for cell in refresh.code_cells(PAGE))
    calls = [(kind, int(first), int(last)) for kind, first, last in SHOWN.findall(code)]
    assert [kind for kind, *_ in calls] == ["claims", "verdicts"] * (len(calls) // 2)
    for what in ("claims", "verdicts"):
        shown = [n for kind, first, last in calls if kind == what for n in range(first, last + 1)]
        assert shown == list(claims()), what


def test_the_page_leaves_room_for_a_guess_of_each_claim():
    code = "\n".join(cell.source for cell in refresh.code_cells(PAGE))
    found = re.findall(r'article\.verdicts\((\d+), (\d+), guess="(\?+)"\)', code)
    assert [len(guess) for _, _, guess in found] == [int(last) - int(first) + 1 for first, last, _ in found]
    assert found


def test_the_page_counts_the_verdicts_rightly():
    marks = [claim["mark"] for claim in claims().values()]
    assert (marks.count("yes"), marks.count("no"), marks.count("depends"), len(marks)) == (12, 3, 10, 25)
    text = " ".join("\n".join(cell.source for cell in PAGE.cells).split())
    assert "25 claims: twelve hold, three do not, ten depend" in text
    assert "Twelve of its 25 claims hold as they stand, and three do not. The other ten depend" in text


@pytest.mark.parametrize("number", claims())
def test_a_lesson_of_a_claim_holds_what_it_rests_on(number):
    named = claims()[number]["lessons"].split()
    assert named == list(RESTS_ON[number])
    for lesson in named:
        text = "\n".join(frame.texts(refresh.read(LESSONS[lesson])))
        assert re.search(RESTS_ON[number][lesson], text, re.IGNORECASE), lesson


def test_a_lesson_shows_no_claim_that_the_table_does_not_give_it():
    for lesson, path in LESSONS.items():
        code = "\n".join(cell.source for cell in refresh.code_cells(refresh.read(path)))
        shown = {int(number) for numbers in OWN_SECTION.findall(code) for number in numbers.split(",")}
        assert not [number for number in shown if lesson not in claims()[number]["lessons"].split()], lesson


def test_no_verdict_is_open():
    assert not [
        number
        for number, claim in claims().items()
        if re.search(r"\bopen until\b|still to be", claim["verdict"])
    ]
