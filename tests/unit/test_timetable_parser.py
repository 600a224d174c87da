"""The hand-written parser of the timetable's questions: its counts, what it reads, that its queries are valid."""

import json
import random

import pytest

from helpers import evaluate, timetable
from helpers.evaluate.timetable_parser import parse

RIGHT = {  # rows -> how many answers are right, of how many; for a key: of those where query or answer has it
    "train": {
        "right": (300, 300),
        "to": (289, 289),
        "day": (214, 214),
        "after": (62, 62),
        "before": (54, 54),
        "land": (19, 19),
        "airline": (40, 40),
        "avoid": (19, 19),
        "direct": (44, 44),
        "via": (17, 17),
        "terminal": (25, 25),
        "max": (23, 23),
        "sort": (69, 69),
        "limit": (63, 63),
    },
    "valid": {
        "right": (59, 60),
        "to": (59, 60),
        "day": (42, 42),
        "after": (10, 10),
        "before": (9, 9),
        "land": (2, 2),
        "airline": (7, 7),
        "avoid": (4, 4),
        "direct": (10, 10),
        "via": (2, 2),
        "terminal": (5, 5),
        "max": (4, 4),
        "sort": (16, 16),
        "limit": (15, 15),
    },
    "practice": {
        "right": (42, 60),
        "to": (59, 60),
        "day": (41, 44),
        "after": (7, 13),
        "before": (7, 10),
        "land": (3, 5),
        "airline": (9, 12),
        "avoid": (1, 5),
        "direct": (9, 10),
        "via": (1, 3),
        "terminal": (6, 7),
        "max": (8, 8),
        "sort": (11, 13),
        "limit": (11, 13),
    },
}


def labelled(name: str) -> list[dict]:
    """Questions with their right query, whether the file holds chat rows or questions."""
    rows = evaluate.timetable_rows(name)
    if "query" in rows[0]:
        return rows
    messages = [[message["content"] for message in row["messages"]] for row in rows]
    return [{"question": question, "query": json.loads(answer)} for _, question, answer in messages]


@pytest.mark.parametrize("name", ("train", "valid", "practice"))
def test_its_counts(name):
    rows = labelled(name)
    answers = [evaluate.answer_by_parser(row["question"]) for row in rows]
    counts = {}
    for check in ("right", *timetable.KEYS):
        verdicts = [
            evaluate.TIMETABLE_CHECKS[check](answer, row) for answer, row in zip(answers, rows, strict=True)
        ]
        verdicts = [verdict for verdict in verdicts if verdict is not None]
        counts[check] = (sum(verdicts), len(verdicts))
    assert counts == RIGHT[name]


@pytest.mark.parametrize(
    "question, query",
    [
        (
            "half eight in the evening or later, to Dubai, Sunday",
            {"to": "Dubai", "day": "sun", "after": "20:30"},
        ),
        ("paris after 2200", {"to": "Paris", "after": "22:00"}),
        ("paris for 2200", {"to": "Paris", "max": 2200}),
        ("paris not before 10 am", {"to": "Paris", "after": "10:00"}),
        ("evening, before eight, seoul", {"to": "Seoul", "after": "18:00", "before": "20:00"}),
        ("land in seoul before eight in the evening", {"to": "Seoul", "land": "20:00"}),
        ("seul le lundi, pas avec kapok", {"to": "Seoul", "day": "mon", "avoid": "Kapok Wings"}),
        ("die drei günstigsten flüge nach moskau", {"to": "Moscow", "sort": "cheap", "limit": 3}),
        ("vuelos a tokio con escala en pekín", {"to": "Tokyo", "via": "Beijing"}),
        ("в сидней, до 5000 юаней", {"to": "Sydney", "max": 5000}),
        ("周三下午四点左右去成都", {"to": "Chengdu", "day": "wed", "after": "15:00", "before": "17:00"}),
        ("hello?", {}),
    ],
)
def test_what_it_reads(question, query):
    assert parse(question) == query


def test_whatever_it_answers_is_a_valid_query():
    said = [row["question"] for row in evaluate.timetable_rows("unlabelled")]
    words = " ".join(said).split() + ["25:99", "0", "99999", "~0", "via Tokyo", "after", "to"] * 40
    picker = random.Random(23)
    for question in [*said, *(" ".join(picker.choices(words, k=20)) for _ in range(100))]:
        query = parse(question)
        assert not query or timetable.checked(query) == query, question
    assert evaluate.answer_by_parser("hello?") == "{}"
