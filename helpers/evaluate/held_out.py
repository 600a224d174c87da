"""The rows of a test file, the reader's own or the airport's, as questions for a model."""

import json
from pathlib import Path

from .checks import in_style
from .own import askable, opening
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
    system = opening(_read(train))
    return [
        {
            "id": row["id"],
            "question": [*system, {"role": "user", "content": row["question"]}],
            "wanted": in_style(*book[row["rule"]]),
        }
        for row in rows
    ]


def _read(path: str | Path) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
