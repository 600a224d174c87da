"""What ``data/models.csv`` says of the models that can be tuned."""

import csv
import functools
from pathlib import Path

TABLE = Path(__file__).parents[2] / "data" / "models.csv"


@functools.cache
def _facts() -> dict[tuple[str, str], list[dict]]:
    facts: dict[tuple[str, str], list[dict]] = {}
    with open(TABLE, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            facts.setdefault((row["model"], row["fact"]), []).append(row)
    return facts


def snapshot(model: str) -> str:
    """The dated base model: of a short name, and of a tuned one (ft:...)."""
    base = model.split(":")[1] if model.startswith("ft:") else model
    alias = _facts().get((base, "alias_of"))
    return alias[0]["value"] if alias else base


def training_context(model: str | None) -> int | None:
    """Tokens of one training example; what is longer is cut at the end. None if nobody states it.

    Without a model it is the longest of all: what is longer than that is cut by every model.
    """
    if model is None:
        limits = [
            row["value"] for key, rows in _facts().items() if key[1] == "training_context" for row in rows
        ]
    else:
        limits = [row["value"] for row in _facts().get((snapshot(model), "training_context"), [])]
    return max(map(int, limits), default=None)


def takes_pairs(model: str | None) -> bool:
    """True if the model is trained on prompt/completion pairs instead of chats, as babbage-002 was."""
    methods = _facts().get((snapshot(model), "fine_tunable_method"), []) if model else []
    return any("prompt/completion" in row["note"] for row in methods)
