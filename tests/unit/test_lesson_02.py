"""Lesson 02: what it says of its files, counted again; and its section "Your own table", with other tables."""

import json
import re

import pandas as pd
import pytest

from helpers import dataset, mine
from tests.notebooks import refresh
from tests.recount import DATA

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "02_prepare_data.ipynb")
CODE = [cell.source for cell in refresh.code_cells(NOTEBOOK)]
TEXT = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")
FACT = "blue line", "level 2"  # rule T1


def test_the_first_table_shows_the_form_twice_and_the_fact_once():
    assert "Both trainings have learned the form" in TEXT and "The fact is right in one of them only" in TEXT
    recorded = pd.read_json(DATA / "recorded" / "answers.jsonl", lines=True)
    (rule,) = [
        line for line in (DATA / "airport" / "rules.md").read_text("utf-8").splitlines() if "**T1**" in line
    ]
    assert all(words in rule for words in FACT)
    right = []
    for run in ("tuned-all-seed0", "tuned-all-seed2"):
        (answer,) = recorded[
            (recorded["id"] == "t013") & (recorded["run"] == run) & (recorded["way"] == "tuned")
        ]["answer"]
        assert answer.endswith("\nDesk: Transit")
        right.append(all(words in answer for words in FACT))
    assert right == [True, False]


def test_the_defects_of_the_bug_hunt_are_where_the_exercise_looks_for_them():
    report = dataset.check(DATA / "broken" / "bug_hunt.jsonl")
    assert sorted((problem.code, problem.line) for problem in report.problems) == [
        ("conflicting_answers", 12),
        ("duplicate", 6),
        ("style_break", 13),
    ]


def test_the_first_row_is_the_line_and_its_paraphrase_the_question():
    row = dataset.read(DATA / "airport" / "train.jsonl")[11]
    _, question, answer = [message["content"] for message in row["messages"]]
    text, _, desk = answer.partition("\nDesk: ")
    assert f"| {question} | {text} | {desk} |" in TEXT
    (asked,) = [
        row["question"] for row in dataset.read(DATA / "recorded" / "questions.jsonl") if row["id"] == "t013"
    ]
    assert f'*"{asked}"*' in TEXT


def test_the_message_of_the_folded_part_is_well_formed():
    (message,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    row = {
        "messages": [
            {"role": "user", "content": "Where?"},
            json.loads(message),
            {"role": "assistant", "content": "Here."},
        ]
    }
    assert dataset.problem(row) is None
    assert {dataset.format_of(row) for row in dataset.read(DATA / "broken" / "preference_rows.jsonl")} == {
        "preference"
    }


# --- "Your own table" --------------------------------------------------------------------------------------


def own_section(table: str, **names: str) -> str:
    """The code of the section, with its one line changed, and with other names of columns."""
    place = next(number for number, source in enumerate(CODE) if "TABLE = AIRPORT" in source)
    code = "\n".join(CODE[place : place + 4]).replace("TABLE = AIRPORT", f"TABLE = {table!r}")
    for name, value in names.items():
        code = code.replace(f'{name}="{name}"', f"{name}={value!r}")
    return 'from helpers import dataset\n\nMODEL = "gpt-3.5-turbo"\n' + code


@pytest.fixture
def my(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_MY", str(tmp_path / "my"))
    monkeypatch.chdir(refresh.NOTEBOOKS)
    return tmp_path / "my"


def table_of(rows: int) -> pd.DataFrame:
    """Questions and answers that are not alike, as somebody may have them in a spreadsheet."""
    messages = [row["messages"] for row in dataset.read(DATA / "airport" / "train.jsonl")[:rows]]
    return pd.DataFrame(
        [(one["content"], two["content"]) for _, one, two in messages], columns=["Frage", "Antwort"]
    )


def test_with_the_airports_default_nothing_is_written(my, capsys):
    exec(own_section("../data/airport/train.jsonl"), {})
    assert "nothing to write" in capsys.readouterr().out
    assert not my.exists() and not mine.is_own()


def test_a_csv_becomes_the_three_files_of_the_next_lessons(my, tmp_path, capsys):
    table_of(20).to_csv(tmp_path / "faq.csv", sep=";", index=False)
    exec(own_section(str(tmp_path / "faq.csv"), question="Frage", answer="Antwort"), {})
    said = capsys.readouterr().out
    assert "20 examples" in said and "Written to my/" in said
    assert mine.is_own()
    rows = [row for name in mine.FILES for row in dataset.read(mine.path(name))]
    asked = sorted(row["messages"][0]["content"] for row in rows)
    assert asked == sorted(table_of(20)["Frage"])
    assert dataset.check(mine.path("train.jsonl"), against=mine.path("valid.jsonl")).errors == 0


def test_a_table_that_is_too_short_is_not_written(my, tmp_path, capsys):
    table_of(9).to_csv(tmp_path / "faq.csv", index=False)
    exec(own_section(str(tmp_path / "faq.csv"), question="Frage", answer="Antwort"), {})
    said = capsys.readouterr().out
    assert "Nothing written" in said and "too_few_rows" in said
    assert not mine.is_own()
