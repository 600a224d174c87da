"""Chat rows from other forms: files, tables, prompt/completion, ShareGPT, Alpaca, ChatML."""

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from . import jsonl

SHAREGPT_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
}
CHATML = re.compile(r"<\|im_start\|>(\w+)\n(.*?)(?:<\|im_end\|>|\Z)", re.DOTALL)


def from_file(
    path: Path | str, question: str = "question", answer: str = "answer", system: str | None = None
) -> list[dict]:
    """Chat rows from a file of your own: .csv or .tsv, .xlsx, or .jsonl.

    A table needs a column of questions and one of answers; ``from_table`` says how their names and ``system`` are
    used. JSONL rows that have "messages" (or the pairs of DPO) stay as they are; others are taken for the rows of a
    table. Excel files need the package openpyxl. Raises ValueError that says what to do, OSError if there is no
    such file.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind == ".jsonl":
        rows = jsonl.read(path)
        if not all(isinstance(row, dict) and {"messages", "preferred_output"} & row.keys() for row in rows):
            rows = _from_records(rows, question, answer, system)
    elif kind in (".xlsx", ".xlsm"):
        rows = from_table(_excel(path), question, answer, system)
    elif kind in (".csv", ".tsv", ".txt"):
        rows = from_table(path, question, answer, system)
    else:
        raise ValueError(
            f"{path.name} is not .csv, .xlsx or .jsonl. Save it from your program as 'CSV UTF-8'."
        )
    if not rows:
        raise ValueError(f"{path.name} has no rows.")
    return rows


def _excel(path: Path):
    import pandas

    try:
        return pandas.read_excel(path)
    except ImportError:
        raise ValueError(
            f"To read {path.name}, this Python needs the package openpyxl, which the course does not install. "
            "Save the sheet as 'CSV UTF-8' in Excel and give that file, or install openpyxl."
        ) from None


def from_table(
    table, question: str = "question", answer: str = "answer", system: str | None = None
) -> list[dict]:
    """Chat rows from a CSV file (a path) or a pandas DataFrame with a column of questions and one of answers.

    A column named "system" gives each row its system prompt; ``system`` gives the same one to all. The names of
    the other two columns can be given. CSV with commas, semicolons or tabs, in UTF-8. Raises ValueError that
    names the missing column or the row with an empty cell.
    """
    records = _csv(table) if isinstance(table, str | Path) else table.to_dict("records")
    return _from_records(records, question, answer, system)


def _from_records(records: list, question: str, answer: str, system: str | None) -> list[dict]:
    rows = []
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise ValueError(f"Row {number} is not an object with the columns {question!r} and {answer!r}.")
        for column in (question, answer):
            if column not in record:
                there = ", ".join(repr(name) for name in record)
                raise ValueError(f"There is no column {column!r}. The columns are {there}; name yours.")
        own = system if system is not None else record.get("system")
        rows.append(
            _chat(number, [("system", own), ("user", record[question]), ("assistant", record[answer])])
        )
    return rows


def _csv(path: Path | str) -> list[dict]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first_line = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=first_line.count)
            return list(csv.DictReader(file, delimiter=delimiter))
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8. Save it from the spreadsheet as 'CSV UTF-8'.") from None


def _chat(number: int, turns: list[tuple[str, object]]) -> dict:
    """A chat row; a missing system prompt is left out, any other missing text is an error."""
    messages = []
    for role, text in turns:
        if role == "system" and _is_missing(text):
            continue
        if _is_missing(text):
            raise ValueError(f"Row {number} has no text for the role {role!r}. Fill it or delete the row.")
        messages.append({"role": role, "content": str(text).strip()})
    return {"messages": messages}


def _is_missing(text) -> bool:
    # pandas writes an empty cell as NaN, which does not equal itself
    return text is None or text != text or not str(text).strip()


def from_prompt_completion(rows: Iterable[Mapping], system: str | None = None) -> list[dict]:
    """Chat rows from {"prompt", "completion"} rows; spaces around both are removed, nothing else.

    Raises ValueError that names the row if a text is missing.
    """
    return [
        _chat(number, [("system", system), ("user", row.get("prompt")), ("assistant", row.get("completion"))])
        for number, row in enumerate(rows, start=1)
    ]


def from_sharegpt(rows: Iterable[Mapping]) -> list[dict]:
    """Chat rows from {"conversations": [{"from": "human", "value": ...}, ...]}.

    Raises ValueError that names the row for a speaker other than system, human and gpt (or their usual names).
    """
    chats = []
    for number, row in enumerate(rows, start=1):
        turns = []
        if not row.get("conversations"):
            raise ValueError(f"Row {number} has no 'conversations'.")
        for turn in row["conversations"]:
            if turn.get("from") not in SHAREGPT_ROLES:
                raise ValueError(
                    f"Row {number}: unknown speaker {turn.get('from')!r}. Convert this row by hand."
                )
            turns.append((SHAREGPT_ROLES[turn["from"]], turn.get("value")))
        chats.append(_chat(number, turns))
    return chats


def from_alpaca(rows: Iterable[Mapping], system: str | None = None) -> list[dict]:
    """Chat rows from {"instruction", "input", "output"}: the input, if any, follows the instruction.

    Raises ValueError that names the row if instruction or output is missing.
    """
    chats = []
    for number, row in enumerate(rows, start=1):
        asked = "\n\n".join(filter(None, [row.get("instruction"), row.get("input")]))
        own = row.get("system") or system
        chats.append(_chat(number, [("system", own), ("user", asked), ("assistant", row.get("output"))]))
    return chats


def from_chatml(texts: Iterable[str]) -> list[dict]:
    """Chat rows from ChatML texts, one a conversation: <|im_start|>role, a line break, the text, <|im_end|>.

    Raises ValueError that names the row if there is no such mark in it.
    """
    chats = []
    for number, text in enumerate(texts, start=1):
        turns = CHATML.findall(text)
        if not turns:
            raise ValueError(f"Row {number} has no <|im_start|> followed by a role and a line break.")
        chats.append(_chat(number, turns))
    return chats
