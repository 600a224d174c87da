"""Lesson 00: what it promises and shows in its text is what its cells show, and what was recorded."""

import ast
import csv
import re

import pytest

from tests.notebooks import frame, refresh
from tests.recount import CHECKS, DATA, RECORDED, ROWS, jsonl

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "00_start_here.ipynb")
TEXT = " ".join("\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown").split())
RUN, SECOND = RECORDED["tuned"]["tuned-all-seed0"], RECORDED["tuned"]["tuned-all-seed1"]


def rows_of(html: str) -> list[list[str]]:
    cells = (
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in re.split("<tr[^>]*>", html)[1:]
    )
    return [[cell.replace("<br>", "\n").replace("\\n", "\n") for cell in row] for row in cells]


def test_the_table_that_opens_the_lesson_is_the_one_that_step_3_shows():
    before = refresh.said(NOTEBOOK, "before = answer").strip()
    promised = re.search(r"\| before \| after \| \| --- \| --- \| \| (.+?) \| (.+?) \|", TEXT)
    assert promised[1] == before
    shown = rows_of(refresh.shown(NOTEBOOK, '"after": [after]'))
    assert shown[-1][-2:] == [before, promised[2].replace("<br>", "\n")]


def test_how_many_examples_there_are():
    examples = jsonl("airport/train.jsonl")
    said = [int(number) for number in re.findall(r"(\d+) (?:questions|examples|of the file)", TEXT)]
    assert said and set(said) == {len(examples)}
    question = examples[0]["messages"][1]["content"]
    assert f'"{question}"' in TEXT


def test_the_three_real_answers_are_as_the_text_says():
    shown = rows_of(refresh.shown(NOTEBOOK, "next_to_rules"))[1:]
    ids = re.findall(
        r'"(t\d+)"', next(c.source for c in refresh.code_cells(NOTEBOOK) if "next_to_rules" in c.source)
    )
    assert [ROWS[id]["kind"] for id in ids] == ["paraphrase", "new", "new"]
    for id, row in zip(ids, shown, strict=True):
        assert row[-6:-4] == [ROWS[id]["question"], RUN[id]]
    verdicts = [[check(RUN[id], ROWS[id]) for check in CHECKS.values()] for id in ids]
    assert verdicts[0] == [True, True, True]
    assert [(form, fact) for form, _, fact in verdicts[1:]] == [(True, False), (True, False)]


def test_what_the_same_training_with_another_seed_answered():
    (quoted,) = re.findall(r'answered our first question so: "(.+?)"', TEXT)
    assert SECOND["trained01"].splitlines()[0] == quoted
    assert ROWS["trained01"]["question"] == jsonl("airport/train.jsonl")[0]["messages"][1]["content"]
    assert not CHECKS["fact"](SECOND["trained01"], ROWS["trained01"])


def test_what_later_lessons_use_of_python():
    """The list under "What you'll need" is true, and not longer than true."""
    later = [cell for path in refresh.lessons()[1:] for cell in refresh.code_cells(refresh.read(path))]
    trees = [node for cell in later for node in ast.walk(ast.parse(frame.as_python(cell)))]
    kinds = {type(node).__name__ for node in trees}
    names = {node.attr for node in trees if isinstance(node, ast.Attribute)}
    starred = {type(node).__name__ for node in trees if isinstance(node, ast.Starred)} | {
        "**" for node in trees if isinstance(node, ast.keyword) and node.arg is None
    }
    assert "functions, list comprehensions, `*` and `**` in calls, f-strings, and tables in pandas" in TEXT
    assert {"FunctionDef", "ListComp", "JoinedStr"} <= kinds
    assert starred == {"Starred", "**"}
    assert {"loc", "groupby"} <= names


@pytest.mark.parametrize("day", ["newcomer", "everyone"])
def test_the_closing_that_the_first_page_speaks_of_is_in_the_table(day):
    with open(DATA / "models.csv", encoding="utf-8", newline="") as file:
        notes = [row["note"] for row in csv.DictReader(file) if row["fact"] == "new_jobs_end"]
    assert [note for note in notes if note.startswith(day)]
