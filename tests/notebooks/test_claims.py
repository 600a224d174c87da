"""Every claim of the article of 2023 is met in the lessons that the table names: shown from it by its number."""

import csv
import re

from helpers import teach
from tests.notebooks import refresh

LACKING: set[str] = set()  # lessons that do not show their claims yet: a list to be emptied
TABLE = re.compile(r'claims = pd\.read_csv\(\s*"\.\./data/claims\.csv", index_col="number"')
SHOWN = re.compile(r"claims\.loc\[\[([\d, ]+)\]")
LESSONS = {path.name[:2]: path for path in refresh.lessons()}


def claims() -> list[dict]:
    with open(teach.DATA / "claims.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def shown(lesson: str) -> set[int]:
    """The numbers of the claims that a lesson shows."""
    code = "\n".join(cell.source for cell in refresh.code_cells(refresh.read(LESSONS[lesson])))
    found = SHOWN.findall(code)
    assert not found or TABLE.search(code), f"lesson {lesson} does not read claims from the table"
    return {int(number) for numbers in found for number in numbers.split(",")}


def test_every_claim_is_met_where_the_table_says():
    named: dict[str, set[int]] = {}
    for claim in claims():
        for lesson in claim["lessons"].split():
            named.setdefault(lesson, set()).add(int(claim["number"]))
    lacking = {lesson for lesson in named if lesson not in LESSONS or named[lesson] - shown(lesson)}
    assert lacking <= LACKING, {
        lesson: sorted(named[lesson] - shown(lesson)) for lesson in lacking & {*LESSONS}
    }


def test_a_lesson_shows_no_claim_that_the_table_does_not_give_it():
    lessons = {int(claim["number"]): claim["lessons"].split() for claim in claims()}
    for lesson in LESSONS:
        assert not [number for number in shown(lesson) if lesson not in lessons[number]], lesson


def test_no_verdict_is_open():
    assert not [
        claim["number"] for claim in claims() if re.search(r"\bopen until\b|still to be", claim["verdict"])
    ]
