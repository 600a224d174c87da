"""What ``data/models.csv`` says of each model: the one place where names, dates and limits are kept."""

import csv
import functools
from pathlib import Path

TABLE = Path(__file__).parents[2] / "data" / "models.csv"


@functools.cache
def _table() -> dict[str, dict[str, list[str]]]:
    table: dict[str, dict[str, list[str]]] = {}
    with open(TABLE, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            table.setdefault(row["model"], {}).setdefault(row["fact"], []).append(row["value"])
    return table


def names() -> list[str]:
    """Every model of the table, in its order."""
    return [name for name in _table() if name != "*"]


def values(model: str, fact: str) -> list[str]:
    """All values of a fact, such as the methods by which a model could be tuned."""
    return _table().get(model, {}).get(fact, [])


def value(model: str, fact: str, default: str | None = None) -> str | None:
    """The one value of a fact, or the default."""
    found = values(model, fact)
    return found[0] if found else default


def snapshot(model: str) -> str:
    """The dated name behind a short one: gpt-3.5-turbo -> gpt-3.5-turbo-0125."""
    return value(model, "alias_of", model)
