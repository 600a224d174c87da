"""data/general.jsonl: questions of general knowledge, with words that a right answer holds."""

import json
import re
from pathlib import Path

from data.recorded.make import ELSEWHERE
from tests.each import of_each

DATA = Path(__file__).resolve().parents[2] / "data"
TEXT = (DATA / "general.jsonl").read_text(encoding="utf-8")
ROWS = [json.loads(line) for line in TEXT.splitlines()]
RULES = (DATA / "airport" / "rules.md").read_text(encoding="utf-8")


def holds(text: str, word: str) -> bool:
    """Whether the word stands in the text as a whole word, capitals aside."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


def test_ids_are_in_order():
    assert [row["id"] for row in ROWS] == [f"g{number:02}" for number in range(1, 61)]
    assert f"`general.jsonl` ({len(ROWS)} rows)" in (DATA / "README.md").read_text(encoding="utf-8")
    assert TEXT.endswith("}\n") and "\\u" not in TEXT


def test_no_question_stands_twice():
    assert len({row["question"].lower() for row in ROWS}) == len(ROWS)


def test_questions_of_the_recorded_run_are_taken_over_word_for_word():
    questions = {row["question"] for row in ROWS}
    known = {"What is the capital of France?", "How many days are in a week?", "What is the largest ocean?"}
    assert known | {"Who wrote Romeo and Juliet?"} <= questions & set(ELSEWHERE)


@of_each(ROWS, lambda row: row["id"])
def test_row_has_right_words_that_its_question_does_not_give_away(row):
    assert list(row) == ["id", "question", "right"]
    assert row["right"] and all(word and word == word.strip() for word in row["right"])
    assert len(set(map(str.lower, row["right"]))) == len(row["right"])
    assert not any(word.lower() in row["question"].lower() for word in row["right"])


@of_each(ROWS, lambda row: row["id"])
def test_no_right_word_stands_in_a_rule_of_the_airport(row):
    """So that an answer about the airport is not counted as right. Numbers are too few for that."""
    assert not any(holds(RULES, word) for word in row["right"] if not word.isdigit())
    assert "airport" not in row["question"].lower()
