"""The tickets of data/tickets: rows, a check for each key of their JSON, and what was recorded."""

import json
from collections.abc import Callable

from .checks import DATA
from .counting import Answering

KEYS = ("topic", "urgent", "order")


def tickets(name: str) -> list[dict]:
    """The tickets to "train" on, or those to "test" with: dicts with id, question, topic, urgent and order."""
    lines = (DATA / "tickets" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def ticket_answers() -> dict[str, Answering]:
    """What was recorded of a really trained model, by way (base, few_shot, tuned): a function from ticket to answer."""
    questions = {row["id"]: row["question"] for row in tickets("test")}
    found: dict[str, dict[str, str]] = {}
    for row in tickets("answers"):
        found.setdefault(row["way"], {})[questions[row["id"]]] = row["answer"]
    return {way: answers.__getitem__ for way, answers in found.items()}


def ticket_check(key: str) -> Callable[[str, dict], bool]:
    """A check: the answer is JSON that gives this key the value of the ticket."""

    def check(answer: str, row: dict) -> bool:
        try:
            return json.loads(answer)[key] == row[key]
        except (ValueError, TypeError, KeyError):
            return False

    return check


TICKET_CHECKS = {key: ticket_check(key) for key in KEYS}
