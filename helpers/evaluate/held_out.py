"""The rows of a test file, the reader's own or the airport's, as questions for a model."""

import json
from collections.abc import Sequence
from pathlib import Path

from .checks import STYLE
from .own import askable
from .record import rules


def held_out(test: str | Path, train: str | Path) -> list[dict]:
    """The rows of a test file, each with "id", "question" (the messages to send) and "wanted" (the right answer).

    The file has chat rows, as a training file has; see ``askable``. Or it is the airport's for practice, with bare
    questions: then the system prompt is that of the training file, and wanted is the airport's rule with its desk.
    Raises ValueError for rows of another kind.
    """
    rows = _read(test)
    if all("messages" in row for row in rows):
        return askable(rows)
    book = rules()
    if not all(row.get("rule") in book for row in rows):
        raise ValueError(f"{test}: each row needs messages, as in a training file.")
    system = _system(_read(train))
    return [
        {
            "id": row["id"],
            "question": [*system, {"role": "user", "content": row["question"]}],
            "wanted": f"{text}\n{STYLE['last_line']}{desk}",
        }
        for row in rows
        for text, desk in [book[row["rule"]]]
    ]


def _system(examples: Sequence[dict]) -> list[dict]:
    """The system message that the training examples begin with, in a list; empty if they have none."""
    return [message for message in examples[0]["messages"][:1] if message["role"] == "system"]


def _read(path: str | Path) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
