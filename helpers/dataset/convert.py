"""Rows in OpenAI's form from other forms: files, tables, and what other tools write.

A converter loses nothing and rewrites no text. Each key of a row, and each of its messages, ends in the result, or
ValueError names the row and the key; ``drop`` names keys that you give up. A cell with nothing in it (None, NaN, "")
counts as not there. A dict or list that stands where a text belongs becomes JSON; a whole number that a spreadsheet
made 4.0 becomes 4 again; other values are refused.
"""

import ast
import csv
import json
import numbers
import re
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from pathlib import Path

from . import jsonl
from .foreign import CONVERSATIONS, Form, is_column_wise, is_list_of_objects, recognize
from .formats import ROLES, format_of
from .row import padding, without_nulls

SPEAKERS = {
    "system": "system",
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "chatgpt", "assistant", "model", "bot", "ai", "chatbot"), "assistant"),
}
PAIR_OF_TURNS = (
    ("human", "user", "query"),
    ("assistant", "gpt", "bot", "response"),
)  # ms-swift: two in one object
ASKED = ("user", "assistant")
CHATML = re.compile(r"<\|im_start\|>(\w+)\n(.*?)(?:<\|im_end\|>|\Z)", re.DOTALL)
HH = re.compile(r"\n\n(Human|Assistant): ?")  # the transcripts of Anthropic's hh-rlhf
MOST_EXACT = 2**53  # above, a float may have lost digits
LARGEST_CELL = 2**31 - 1


# --- files and tables ----------------------------------------------------------------------------------------


def from_file(
    path: Path | str,
    question: str = "question",
    answer: str = "answer",
    system: str | None = None,
    drop: Iterable[str] = (),
) -> list[dict]:
    """Rows in OpenAI's form from a file of your own: .csv or .tsv, .xlsx (its first sheet), .json or .jsonl.

    A table needs a column of questions and one of answers; ``from_table`` says how their names and ``system`` are
    used. JSON rows in OpenAI's form stay as they are; those that another tool wrote are converted; others are taken
    for the rows of a table. Excel files need the package openpyxl. Raises ValueError that says what to do, OSError
    if there is no such file.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind in (".jsonl", ".json", ".ndjson"):
        rows = _converted(_json_rows(path), question, answer, system, drop)
    elif kind in (".xlsx", ".xlsm"):
        rows = from_table(_excel(path), question, answer, system, drop)
    elif kind in (".csv", ".tsv", ".txt"):
        rows = from_table(path, question, answer, system, drop)
    else:
        raise ValueError(
            f"{path.name} is not .csv, .xlsx or .jsonl. Save it from your program as 'CSV UTF-8'."
        )
    if not rows:
        raise ValueError(f"{path.name} has no rows.")
    return rows


def _json_rows(path: Path) -> list:
    """The rows of a file of JSON lines, or of one JSON value."""
    try:
        rows = jsonl.read(path)
    except ValueError as error:
        try:
            rows = json.loads(path.read_bytes().decode("utf-8-sig"))
        except (ValueError, RecursionError):
            raise error from None
    if isinstance(rows, list) and len(rows) == 1 and not isinstance(rows[0], str):
        rows = rows[0]
    if isinstance(rows, dict):
        rows = _from_columns(rows) if is_column_wise(rows) else [rows]
    return [json.loads(row) if recognize(row) and isinstance(row, str) else row for row in rows]


def _from_columns(table: dict) -> list[dict]:
    """The rows of pandas' column-wise JSON."""
    if table.keys() == {"columns", "index", "data"}:
        return [dict(zip(table["columns"], cells, strict=True)) for cells in table["data"]]
    first = next(iter(table.values()))
    return [{name: column[place] for name, column in table.items()} for place in first]


def _converted(rows: list, question: str, answer: str, system: str | None, drop: Iterable[str]) -> list[dict]:
    forms = {recognize(row): number for number, row in reversed([*enumerate(rows, start=1)])}
    if forms.keys() == {None}:
        if all(format_of(row) in ("chat", "preference") for row in rows):
            return rows
        return from_table(rows, question, answer, system, drop)
    if len(forms) > 1:
        there = (f"row {number}: {form.name if form else 'no known form'}" for form, number in forms.items())
        raise ValueError(f"There are rows of several forms. Convert each by itself: {'; '.join(there)}.")
    (form,) = forms
    if not form.call:
        raise ValueError(f"The rows are {form.name}: {form.instead}.")
    return _call(form, rows, question, answer, system, drop)


def _call(form: Form, rows: list, question: str, answer: str, system: str | None, drop) -> list[dict]:
    if form.call == "from_table":
        there = dict(form.options)
        if question in rows[0] and answer in rows[0]:
            there = {"question": question, "answer": answer}
        return from_table(rows, **there, system=system, drop=drop)
    convert = globals()[form.call]
    takes_system = form.call in ("from_alpaca", "from_prompt_completion", "from_sharegpt")
    return convert(rows, system=system, drop=drop) if takes_system else convert(rows, drop=drop)


def _excel(path: Path):
    import pandas

    try:
        # all cells as they are: "NA" is a text, and 007 too
        return pandas.read_excel(path, dtype=object, keep_default_na=False, na_values=[""])
    except ImportError:
        raise ValueError(
            f"To read {path.name}, this Python needs the package openpyxl, which the course does not install. "
            "Save the sheet as 'CSV UTF-8' in Excel and give that file, or install openpyxl."
        ) from None


def from_table(
    table,
    question: str = "question",
    answer: str = "answer",
    system: str | None = None,
    drop: Iterable[str] = (),
) -> list[dict]:
    """Chat rows from a CSV file (a path), a pandas DataFrame or dicts, with a column of questions and one of answers.

    A column named "system" gives each row its system prompt; ``system`` gives the same one to all. The names of
    the other two columns can be given. CSV with commas, semicolons or tabs, in UTF-8. Raises ValueError that
    names the missing column, the row with an empty cell, or a column that has no place in an example.
    """
    rows = []
    for number, record in enumerate(_records(table), start=1):
        if not isinstance(record, Mapping):
            raise ValueError(f"Row {number} is not an object with the columns {question!r} and {answer!r}.")
        for column in (question, answer):
            if column not in record:
                there = ", ".join(repr(name) for name in record)
                raise ValueError(f"There is no column {column!r}. The columns are {there}; name yours.")
        keys = _Keys(number, record, drop)
        turns = [("user", question, keys.take(question)), ("assistant", answer, keys.take(answer))]
        rows.append(keys.chat([keys.message(*turn) for turn in turns], system))
    return rows


def _records(table) -> Iterable:
    if isinstance(table, str | Path):
        return _csv(table)
    if not hasattr(table, "to_dict"):
        return table
    _refuse_twins([*table.columns])
    return table.to_dict("records")


def _csv(path: Path | str) -> list[dict]:
    csv.field_size_limit(LARGEST_CELL)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first_line = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=first_line.count)
            head, *lines = [
                cells for cells in csv.reader(file, delimiter=delimiter, strict=True) if cells
            ] or [[]]
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8. Save it from the spreadsheet as 'CSV UTF-8'.") from None
    except csv.Error as error:
        raise ValueError(f"{path} is not CSV: {error}. Look for a quote that is not closed.") from None
    while head and not head[-1].strip():
        head.pop()
    _refuse_twins(head)
    for number, cells in enumerate(lines, start=1):
        if any(cells[len(head) :]):
            raise ValueError(
                f"Row {number} has more cells ({len(cells)}) than there are columns ({len(head)}). "
                f'A text with {delimiter!r} in it needs quotes: "Yes{delimiter} gladly."'
            )
    return [dict(zip_longest(head, cells[: len(head)])) for cells in lines]


def _refuse_twins(columns: list) -> None:
    for column in columns:
        if columns.count(column) > 1:
            raise ValueError(f"Two columns are called {column!r}. Rename one.")


# --- other tools ---------------------------------------------------------------------------------------------


def from_prompt_completion(
    rows: Iterable[Mapping], system: str | None = None, drop: Iterable[str] = ()
) -> list[dict]:
    """Chat rows from {"prompt", "completion"} rows: texts, or TRL's lists of messages, which are joined.

    Spaces around a text are removed, as the old format wanted them there; nothing else.
    """
    chats = []
    for keys in _each(rows, drop):
        prompt, completion = keys.take("prompt"), keys.take("completion")
        asked = keys.messages("user", "prompt", _stripped(prompt))
        chats.append(
            keys.chat(asked + keys.messages("assistant", "completion", _stripped(completion)), system)
        )
    return chats


def _stripped(text):
    return text.strip() if isinstance(text, str) else text


def from_sharegpt(rows: Iterable[Mapping], system: str | None = None, drop: Iterable[str] = ()) -> list[dict]:
    """Chat rows from {"conversations": [{"from": "human", "value": ...}, ...]} and its variants.

    The list may be called conversation or messages, a turn may have role and content, or a question and its answer
    together. A system prompt and tools beside the list, weights and "loss" of turns are kept. Raises ValueError that
    names the row for a speaker other than system, human and gpt (or their usual names).
    """
    chats = []
    for keys in _each(rows, drop):
        turns = keys.take(*CONVERSATIONS, "messages")
        if not isinstance(turns, list) or not turns:
            raise ValueError(f"Row {keys.number} has no 'conversations'.")
        chats.append(keys.chat(keys.turns(turns), system))
    return chats


def from_alpaca(rows: Iterable[Mapping], system: str | None = None, drop: Iterable[str] = ()) -> list[dict]:
    """Chat rows from {"instruction", "input", "output"}: the input, if any, follows the instruction.

    Also with "system" and "history" (LLaMA-Factory), and as "query" and "response" (ms-swift).
    """
    chats = []
    for keys in _each(rows, drop):
        asked = keys.alpaca_question()
        answer = keys.message("assistant", "output", keys.take("output", "response"))
        chats.append(keys.chat([*asked, answer], system))
    return chats


def from_preferences(rows: Iterable[Mapping], drop: Iterable[str] = ()) -> list[dict]:
    """OpenAI's preference rows (input, preferred_output, non_preferred_output) from those of other tools.

    TRL: prompt, chosen and rejected as texts or lists of messages; without a prompt, what both lists begin with is
    the input. ms-swift: messages with rejected_response. LLaMA-Factory: conversations or an instruction, with chosen
    and rejected. Transcripts ("\\n\\nHuman: ") of Anthropic's hh-rlhf.
    """
    return [_preference(keys) for keys in _each(rows, drop)]


def _preference(keys: "_Keys") -> dict:
    given = _prompt(keys)
    both = [
        keys.answers("chosen", keys.take("chosen", "response")),
        keys.answers("rejected", keys.take("rejected", "rejected_response", "rejected_messages")),
    ]
    if keys.asked_and_answered:  # ms-swift: the last message is the better answer
        both[0], given = given[-1:], given[:-1]
    for place, answers in enumerate(both):
        if given and len(answers) > len(given) and answers[: len(given)] == given:
            both[place] = answers[len(given) :]
    shared = 0
    while shared + 1 < min(map(len, both)) and both[0][shared] == both[1][shared]:
        shared += 1
    given, both = given + both[0][:shared], [answers[shared:] for answers in both]
    for name, answers in zip(("chosen", "rejected"), both, strict=True):
        if [message.get("role") for message in answers] != ["assistant"]:
            raise ValueError(
                f"Row {keys.number}: {name!r} is not one answer after what both share. Convert this row by hand."
            )
    if not given:
        raise ValueError(f"Row {keys.number} has no prompt before both answers.")
    chat = keys.chat(given, None)
    return {"input": chat, "preferred_output": both[0], "non_preferred_output": both[1]}


def _prompt(keys: "_Keys") -> list[dict]:
    """What stands before both answers, as messages; for ms-swift's rows with the better answer at the end."""
    messages, conversations = keys.take("messages"), keys.take(*CONVERSATIONS)
    if messages:
        keys.asked_and_answered = not keys.has("chosen")
        return keys.messages("user", "messages", messages)
    if conversations:
        return keys.turns(conversations)
    prompt = keys.take("prompt", "question")
    if prompt is not None:
        return keys.messages("user", "prompt", prompt)
    return keys.alpaca_question() if keys.has("instruction") or keys.has("query") else []


def from_messages(rows: Iterable[Mapping], drop: Iterable[str] = ()) -> list[dict]:
    """Chat rows from rows that are nearly so: messages or tools written as JSON text, a system prompt beside the
    messages (Anthropic, Bedrock), or Gemini's "contents" with "parts"."""
    chats = []
    for keys in _each(rows, drop):
        messages = keys.take("messages")
        if messages is None:
            messages = [keys.gemini(one) for one in keys.take("contents") or []]
        if isinstance(messages, str):
            messages = _loaded(keys.number, "messages", messages)
        if not is_list_of_objects(messages):
            raise ValueError(f"Row {keys.number}: 'messages' is not a list of messages.")
        chats.append(keys.chat(keys.messages("user", "messages", messages), None))
    return chats


def from_prompts(rows: Iterable[Mapping], drop: Iterable[str] = ()) -> list[dict]:
    """Rows for the method reinforcement from {"prompt", ...}: other keys stay, for the grader."""
    chats = []
    for keys in _each(rows, drop):
        asked = keys.messages("user", "prompt", keys.take("prompt"))
        others = {key: keys.take(key) for key in [*keys.left]}
        if "messages" in others:
            raise ValueError(f"Row {keys.number} has 'prompt' and 'messages'. Drop one of them.")
        chats.append({"messages": asked, **others})
    return chats


def from_chatml(texts: Iterable[str | Mapping], drop: Iterable[str] = ()) -> list[dict]:
    """Chat rows from ChatML texts, or rows with a "text": <|im_start|>role, a line break, the text, <|im_end|>.

    Raises ValueError that names the row if there is no such mark in it, or a text outside of the marks.
    """
    chats = []
    for keys in _each(({"text": text} if isinstance(text, str) else text for text in texts), drop):
        text = keys.take("text") or ""
        turns = CHATML.findall(text)
        if not turns:
            raise ValueError(f"Row {keys.number} has no <|im_start|> followed by a role and a line break.")
        if outside := CHATML.sub("", text).strip():
            raise ValueError(f"Row {keys.number} has a text outside of the marks: {outside[:40]!r}.")
        chats.append(keys.chat([keys.message(role, role, said) for role, said in turns], None))
    return chats


# --- the keys of one row -------------------------------------------------------------------------------------


def _each(rows: Iterable, drop: Iterable[str]):
    drop = [*drop]
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise ValueError(f"Row {number} is not an object.")
        yield _Keys(number, row, drop)


class _Keys:
    """The keys of a row that hold something. Each has to be taken before ``chat`` makes the row."""

    def __init__(self, number: int, row: Mapping, drop: Iterable[str]):
        drop = {drop} if isinstance(drop, str) else {*drop}
        self.number = number
        self.left = {key: value for key, value in row.items() if key not in drop and not _is_empty(value)}
        self.asked_and_answered = False

    def has(self, key: str) -> bool:
        return key in self.left

    def take(self, *names: str):
        """The value of the first of these keys that is there."""
        return next((self.left.pop(name) for name in names if name in self.left), None)

    def chat(self, messages: list[dict], system: str | None) -> dict:
        """A chat row of these messages, with what else the row says of them. Raises ValueError for what is left."""
        own = self.take("system", "system_prompt", "systemInstruction", "system_instruction")
        if isinstance(own, dict | list):  # Gemini and Bedrock
            own = self.gemini(own if isinstance(own, dict) else {"parts": own})["content"]
        given = messages[0]["content"] if messages and messages[0].get("role") == "system" else None
        told = {self.text("system", text) for text in (own, system, given) if not _is_empty(text)}
        if len(told) > 1:
            raise ValueError(
                f"Row {self.number} has two system prompts: {' and '.join(sorted(map(repr, told)))}."
            )
        if told and given is None:
            messages = [{"role": "system", "content": told.pop()}, *messages]
        row = {"messages": messages}
        if (tools := self.take("tools")) is not None:
            row["tools"] = self.tools(tools)
        for key in ("parallel_tool_calls", "functions"):
            if self.has(key):
                row[key] = self.take(key)
        if self.left:
            key = next(iter(self.left))
            raise ValueError(
                f"Row {self.number} has the key {key!r}, which has no place in an example. "
                f"drop=[{key!r}] leaves it out."
            )
        return row

    def text(self, key: str, value) -> str:
        """The text of a cell. Raises ValueError for a value that is none."""
        if isinstance(value, str):
            return value
        if isinstance(value, bool) or type(value).__name__ == "bool_":
            pass  # spreadsheets write TRUE, Python True, JSON true
        elif isinstance(value, numbers.Integral):
            return str(int(value))
        elif isinstance(value, numbers.Real) and abs(value) < MOST_EXACT:
            return str(int(value)) if value == int(value) else repr(float(value))
        elif isinstance(value, dict | list):
            try:
                return json.dumps(value, ensure_ascii=False, allow_nan=False)
            except (TypeError, ValueError):
                pass
        raise ValueError(f"Row {self.number}: {key!r} is {value!r:.60}, which is no text. Write it as one.")

    def message(self, role: str, key: str, value) -> dict:
        """A message of one text."""
        if _is_empty(value):
            raise ValueError(
                f"Row {self.number} has no text for the role {role!r}. Fill it or delete the row."
            )
        return {"role": role, "content": self.text(key, value)}

    def messages(self, role: str, key: str, value) -> list[dict]:
        """Messages from a text, which is of that role, or from a list of them, which stay as they are."""
        if isinstance(value, dict) and ("role" in value or "from" in value):
            value = [value]
        if not is_list_of_objects(value) or not all("role" in one or "from" in one for one in value):
            return [self.message(role, key, value)]
        if all("role" not in one and "from" in one for one in value):
            return self.turns(value)
        for number, message in enumerate(value, start=1):
            if message.get("role") not in (*ROLES, "developer"):
                raise ValueError(
                    f"Row {self.number}: message {number} of {key!r} has the role {message.get('role')!r}."
                )
        row = {"messages": value}
        return without_nulls(row)["messages"] if padding(row) else value

    def answers(self, key: str, value) -> list[dict]:
        """The messages of a chosen or rejected answer; of a transcript all of them."""
        if isinstance(value, str) and value.startswith("\n\nHuman:"):
            _, *pieces = HH.split(value)
            speakers = {"Human": "user", "Assistant": "assistant"}
            return [
                self.message(speakers[who], key, text)
                for who, text in zip(pieces[::2], pieces[1::2], strict=True)
            ]
        return [] if value is None else self.messages("assistant", key, value)

    def turns(self, turns: list) -> list[dict]:
        """Messages from the turns of ShareGPT and its variants."""
        found = []
        for turn in turns:
            if not isinstance(turn, Mapping):
                raise ValueError(f"Row {self.number}: a turn is not an object. Convert this row by hand.")
            if turn.get("role") in (*ROLES, "developer") and "from" not in turn:
                found += self.messages("user", "conversations", [self._with_weight({**turn})])
                continue
            left = {key: value for key, value in turn.items() if not _is_empty(value)}
            pair = [next((key for key in keys if key in left), None) for keys in PAIR_OF_TURNS]
            if all(pair):
                found += [
                    self.message(role, key, left.pop(key)) for role, key in zip(ASKED, pair, strict=True)
                ]
            else:
                found.append(self._turn(turn, left))
            if left:
                raise ValueError(
                    f"Row {self.number}: a turn has the key {next(iter(left))!r}. Convert this row by hand."
                )
        return found

    def _turn(self, turn: Mapping, left: dict) -> dict:
        who = next((key for key in ("from", "role", "speaker") if key in turn), "from")
        if not isinstance(turn.get(who), str) or turn[who] not in SPEAKERS:
            raise ValueError(
                f"Row {self.number}: unknown speaker {turn.get(who)!r}. Convert this row by hand."
            )
        left.pop(who)
        key = next((key for key in ("value", "content", "text") if key in left), "value")
        message = self.message(SPEAKERS[turn[who]], key, left.pop(key, None))
        weights = {
            key: left.pop(key) for key in ("weight", "loss", "train") if type(left.get(key)) in (int, bool)
        }
        return self._with_weight(message | weights)

    def _with_weight(self, message: dict) -> dict:
        """Others say "loss" or "train", true or false, where OpenAI says "weight", 1 or 0."""
        for key in ("loss", "train"):
            if isinstance(message.get(key), bool):
                message["weight"] = int(message.pop(key))
        return message

    def alpaca_question(self) -> list[dict]:
        """The history, if any, and the question of an Alpaca row."""
        found = []
        for turn in self.take("history") or []:
            if not isinstance(turn, list | tuple) or len(turn) != 2:
                raise ValueError(f"Row {self.number}: 'history' is not a list of pairs.")
            found += [self.message(role, "history", text) for role, text in zip(ASKED, turn, strict=True)]
        asked = [self.take("instruction", "query", "prompt"), self.take("input", "context")]
        parts = [
            self.text(key, one)
            for key, one in zip(("instruction", "input"), asked, strict=True)
            if one is not None
        ]
        return [*found, self.message("user", "instruction", "\n\n".join(parts))]

    def gemini(self, content: Mapping) -> dict:
        """A message from Gemini's {"role", "parts": [{"text"}]}."""
        parts = content.get("parts")
        if not is_list_of_objects(parts) or any(part.keys() != {"text"} for part in parts):
            raise ValueError(
                f"Row {self.number}: a content has parts that are not texts. Convert it by hand."
            )
        return {
            "role": SPEAKERS.get(content.get("role"), "user"),
            "content": "".join(self.text("text", part["text"]) for part in parts),
        }

    def tools(self, value) -> list:
        """Definitions of tools, also those that somebody wrote as JSON text or without their wrapping."""
        tools = _loaded(self.number, "tools", value) if isinstance(value, str) else value
        if not is_list_of_objects(tools) or not all("function" in one or "name" in one for one in tools):
            raise ValueError(f"Row {self.number}: 'tools' is not a list of definitions.")
        return [one if "function" in one else {"type": "function", "function": one} for one in tools]


def _loaded(number: int, key: str, text: str):
    """What a text holds that is JSON, or Python's own writing of it."""
    for load in (json.loads, ast.literal_eval):
        try:
            return load(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    raise ValueError(f"Row {number}: {key!r} is a text, but not JSON.")


def _is_empty(value) -> bool:
    """True for an empty cell, as Python, pandas (NaN, NA, NaT) and JSON write it."""
    if isinstance(value, str):
        return not value.strip()
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, dict | list):
        return not value
    return isinstance(value, numbers.Real) and value != value
