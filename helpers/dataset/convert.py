"""Rows in OpenAI's form from other forms: files, tables, and what other tools write.

A converter loses nothing and rewrites no text. Each key of a row, and each of its messages, ends in the result, or
ValueError names the row and the key; ``drop`` names keys that you give up, ``system`` gives all rows the same system
prompt. A cell with nothing in it (None, NaN, "") counts as not there. A dict or list that stands where a text belongs
becomes JSON; a whole number that a spreadsheet made 4.0 becomes 4 again; other values are refused.
"""

import csv
import json
import numbers
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import zip_longest
from pathlib import Path

from . import foreign
from .foreign import Form, is_conversation, is_list_of_objects, load, recognize
from .formats import format_of
from .lines import Span, of_file, parsed
from .row import padding, without_nulls

Drop = Iterable[str]
ASKED = ("user", "assistant")
WEIGHTS = ("weight", "loss", "train")  # others say true or false where OpenAI says 1 or 0
CHATML = re.compile(r"<\|im_start\|>(\w+)\n(.*?)(?:<\|im_end\|>|\Z)", re.DOTALL)
HH = re.compile(r"\n\n(Human|Assistant): ?")  # the transcripts of Anthropic's hh-rlhf
LIST_OF_OBJECTS = re.compile(r"\s*\[\s*\{")
MOST_EXACT = 2**53  # above, a float may have lost digits
LARGEST_CELL = 2**31 - 1
BY_HAND = "Convert this row by hand."


# --- files and tables ----------------------------------------------------------------------------------------


def from_file(
    path: Path | str,
    question: str = "question",
    answer: str = "answer",
    system: str | None = None,
    drop: Drop = (),
) -> list[dict]:
    """Rows in OpenAI's form from a file of your own: .csv or .tsv, .xlsx (its first sheet), .json or .jsonl.

    Rows in OpenAI's form stay as they are; those that another tool wrote are converted; others are taken for the
    rows of a table, which needs a column of questions and one of answers (``from_table`` says how they are used).
    Excel files need the package openpyxl. Raises ValueError that says what to do, OSError if there is no such file.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind in (".jsonl", ".json", ".ndjson"):
        rows = _json_rows(path)
    elif kind in (".xlsx", ".xlsm"):
        rows = _records(_excel(path))
    elif kind in (".csv", ".tsv", ".txt"):
        rows = _csv(path)
    else:
        raise ValueError(
            f"{path.name} is not .csv, .xlsx or .jsonl. Save it from your program as 'CSV UTF-8'."
        )
    if not rows:
        raise ValueError(f"{path.name} has no rows.")
    return _converted(rows, question, answer, system, drop)


def _json_rows(path: Path) -> list:
    """The rows of a file of JSON lines, or of one JSON value."""
    try:
        rows = json.loads(path.read_bytes().decode("utf-8-sig"))
        rows = rows if isinstance(rows, dict | list) and not is_conversation(rows) else [rows]
    except (ValueError, RecursionError):
        rows = _lines(path)
    return [one for row in (rows if isinstance(rows, list) else [rows]) for one in _unpacked(row)]


def _unpacked(row) -> list:
    """The rows that are in a row: more than one where it holds them all."""
    form = recognize(row)
    if form is foreign.PANDAS:
        return _from_columns(row)
    if form is foreign.WRAPPED:
        return [*next(iter(row.values()))]
    if form is foreign.TWICE:
        return [json.loads(row)]
    return [{"messages": row} if is_conversation(row) else row]


def _lines(path: Path) -> list:
    rows = []
    for line in parsed(of_file(path, Span(0, path.stat().st_size, 1))):
        if line.code in (None, "object_over_lines"):
            rows.append(line.value)
        elif line.code != "blank_line":
            raise ValueError(f"Line {line.number} is not valid JSON: {line.detail}. dataset.check says more.")
    return rows


def _from_columns(table: dict) -> list[dict]:
    """The rows of pandas' column-wise JSON."""
    if table.keys() == {"columns", "index", "data"}:
        return [dict(zip(table["columns"], cells, strict=True)) for cells in table["data"]]
    columns = [column.values() if isinstance(column, dict) else column for column in table.values()]
    return [dict(zip(table, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _converted(rows: list, question: str, answer: str, system: str | None, drop: Drop) -> list[dict]:
    if all(format_of(row) in ("chat", "preference") and not recognize(row) for row in rows):
        return rows
    forms: dict[Form | str, int] = {}
    for number, row in enumerate(rows, start=1):
        if what := recognize(row) or format_of(row):
            forms.setdefault(what, number)
    convertible = all(form.call for form in forms if isinstance(form, Form))
    if convertible and all(isinstance(row, dict) and {question, answer} <= row.keys() for row in rows):
        return from_table(rows, question, answer, system, drop)
    if len(forms) > 1:
        names = {form: form.name if isinstance(form, Form) else "no form of another tool" for form in forms}
        there = (f"row {number}: {names[form]}" for form, number in forms.items())
        raise ValueError(f"There are rows of several forms. Convert each by itself: {'; '.join(there)}.")
    form = next(iter(forms), None)
    if not convertible:
        raise ValueError(f"The rows are {form.name}: {form.instead}.")
    if form == "completion":
        return from_prompt_completion(rows, system, drop)
    if not isinstance(form, Form):
        return from_table(rows, question, answer, system, drop)
    return globals()[form.call](rows, **dict(form.options), system=system, drop=drop)


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
    drop: Drop = (),
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
        asked = keys.messages("user", question, keys.take(question))
        answered = keys.messages("assistant", answer, keys.take(answer))
        rows.append(keys.chat([*asked, *answered], system))
    return rows


def _records(table) -> list:
    if isinstance(table, str | Path):
        return _csv(table)
    if not hasattr(table, "to_dict"):
        return [*table]
    _refuse_twins([*table.columns])
    return table.to_dict("records")


def _csv(path: Path | str) -> list[dict]:
    csv.field_size_limit(LARGEST_CELL)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            start, first_line = 0, file.readline()
            if first_line.startswith("sep="):  # Excel's own line
                start, first_line = file.tell(), file.readline()
            file.seek(start)
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
    while lines and not any(lines[-1]):
        lines.pop()
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


def from_prompt_completion(rows: Iterable[Mapping], system: str | None = None, drop: Drop = ()) -> list[dict]:
    """Chat rows from {"prompt", "completion"} rows: texts, or TRL's lists of messages, which are joined.

    Spaces around a text are removed, as the old format wanted them there; nothing else.
    """
    return _chats(_prompt_and_completion, rows, system, drop)


def _prompt_and_completion(keys: "_Keys") -> list[dict]:
    both = [keys.take(key) for key in ("prompt", "completion")]
    asked, answered = (text.strip() if isinstance(text, str) else text for text in both)
    return keys.messages("user", "prompt", asked) + keys.messages("assistant", "completion", answered)


def from_sharegpt(rows: Iterable[Mapping], system: str | None = None, drop: Drop = ()) -> list[dict]:
    """Chat rows from {"conversations": [{"from": "human", "value": ...}, ...]} and its variants.

    The list may be called conversation or messages, a turn may have role and content, or a question and its answer
    together. A system prompt and tools beside the list, weights, "loss" and "train" of turns are kept; function_call
    and observation become calls and replies. Raises ValueError that names the row for an unknown speaker.
    """
    return _chats(lambda keys: keys.conversation(*foreign.CONVERSATIONS, "messages"), rows, system, drop)


def from_messages(rows: Iterable, system: str | None = None, drop: Drop = ()) -> list[dict]:
    """Chat rows from rows that are nearly so: messages or tools written as JSON text, a system prompt beside the
    messages (Anthropic, Bedrock), Gemini's "contents" with "parts", calls of tools without ids (TRL) or as messages
    of their own (ms-swift), messages under another name, bare lists of messages, an answer beside them."""
    return _chats(_nearly_chat, rows, system, drop)


def _nearly_chat(keys: "_Keys") -> list[dict]:
    messages = keys.conversation("messages", "contents", *foreign.CONVERSATIONS)
    if messages and messages[-1]["role"] != "assistant":
        if answer := keys.take(*foreign.BESIDE):
            return messages + keys.messages("assistant", "answer", answer)
    return messages


def from_alpaca(rows: Iterable[Mapping], system: str | None = None, drop: Drop = ()) -> list[dict]:
    """Chat rows from {"instruction", "input", "output"}: the input, if any, follows the instruction.

    Also with "system" and "history" (LLaMA-Factory), and as "query" and "response" (ms-swift).
    """
    return _chats(_instruction_and_output, rows, system, drop)


def _instruction_and_output(keys: "_Keys") -> list[dict]:
    return keys.instruction() + keys.messages("assistant", "output", keys.take("output", "response"))


def from_chatml(texts: Iterable[str | Mapping], system: str | None = None, drop: Drop = ()) -> list[dict]:
    """Chat rows from ChatML texts, or rows with a "text": <|im_start|>role, a line break, the text, <|im_end|>.

    Raises ValueError that names the row if there is no such mark in it, or a text outside of the marks.
    """
    rows = ({"text": text} if isinstance(text, str) else text for text in texts)
    return _chats(_chatml, rows, system, drop)


def _chatml(keys: "_Keys") -> list[dict]:
    text = keys.take("text") or ""
    turns = CHATML.findall(text)
    if not turns:
        keys.refuse("has no <|im_start|> followed by a role and a line break.")
    if outside := CHATML.sub("", text).strip():
        keys.refuse(f"has a text outside of the marks: {outside[:40]!r}.")
    return [keys.message(role, role, said) for role, said in turns]


def from_prompts(rows: Iterable[Mapping], system: str | None = None, drop: Drop = ()) -> list[dict]:
    """Rows for the method reinforcement from {"prompt", ...}: other keys stay, for the grader."""
    return [_for_rewards(keys, system) for keys in _each(rows, drop)]


def _for_rewards(keys: "_Keys", system: str | None) -> dict:
    asked, others = keys.messages("user", "prompt", keys.take("prompt")), keys.left
    if "messages" in others:
        keys.refuse("has 'prompt' and 'messages'. Drop one of them.")
    keys.left = {}
    return keys.chat(asked, system) | others


def from_preferences(rows: Iterable[Mapping], system: str | None = None, drop: Drop = ()) -> list[dict]:
    """OpenAI's preference rows (input, preferred_output, non_preferred_output) from those of other tools.

    TRL: prompt, chosen and rejected as texts or lists of messages; without a prompt, what both lists begin with is
    the input. ms-swift: messages with rejected_response. LLaMA-Factory: conversations or an instruction, with chosen
    and rejected. Transcripts ("\\n\\nHuman: ") of Anthropic's hh-rlhf.
    """
    return [_preference(keys, system) for keys in _each(rows, drop)]


def _preference(keys: "_Keys", system: str | None) -> dict:
    if "chosen" in keys.left and keys.left.get("messages") == keys.left["chosen"]:
        keys.take("messages")  # Hugging Face's binarized UltraFeedback has the better answer twice
    given = keys.before_both()
    both = [
        [] if (said := keys.take(*names)) is None else keys.messages("assistant", names[0], said)
        for names in (foreign.CHOSEN, foreign.REJECTED)
    ]
    if not both[0]:
        both[0], given = given[-1:], given[:-1]  # ms-swift: the last message is the better answer
    for place, answers in enumerate(both):
        if given and len(answers) > len(given) and answers[: len(given)] == given:
            both[place] = answers[len(given) :]
    shared = 0
    while shared + 1 < min(map(len, both)) and both[0][shared] == both[1][shared]:
        shared += 1
    given, both = given + both[0][:shared], [answers[shared:] for answers in both]
    for name, answers in zip(("chosen", "rejected"), both, strict=True):
        if [message.get("role") for message in answers] != ["assistant"]:
            keys.refuse(f"{name!r} is not one answer after what both share. {BY_HAND}")
    if not given:
        keys.refuse("has no prompt before both answers: put it under the key 'prompt'.")
    chat = keys.chat(given, system)
    return {"input": chat, "preferred_output": both[0], "non_preferred_output": both[1]}


# --- the keys of one row -------------------------------------------------------------------------------------


def _chats(messages_of: Callable, rows: Iterable, system: str | None, drop: Drop) -> list[dict]:
    """A chat row for each row, of the messages that the function makes of its keys."""
    return [keys.chat(messages_of(keys), system) for keys in _each(rows, drop)]


def _each(rows: Iterable, drop: Drop):
    for number, row in enumerate(rows, start=1):
        if is_conversation(row):
            row = {"messages": row}
        if not isinstance(row, Mapping):
            raise ValueError(f"Row {number} is not an object.")
        yield _Keys(number, row, drop)


class _Keys:
    """The keys of a row that hold something. Each has to be taken before ``chat`` makes the row."""

    def __init__(self, number: int, row: Mapping, drop: Drop):
        drop = {drop} if isinstance(drop, str) else {*drop}
        self.number = number
        kept = {key: _plain(value) for key, value in row.items() if key not in drop}
        self.left = {key: value for key, value in kept.items() if not _is_empty(value)}

    def refuse(self, why: str):
        """Raises ValueError that names the row."""
        raise ValueError(f"Row {self.number}{' ' if why.startswith(('has ', 'is ')) else ': '}{why}")

    def take(self, *names: str):
        """The value of the first of these keys that is there, in capitals or not."""
        for name in names:
            for key in self.left:
                if name == key or name == str(key).strip().lower():
                    return self.left.pop(key)
        return None

    def chat(self, messages: list[dict], system: str | None) -> dict:
        """A chat row of these messages, with what else the row says of them. Raises ValueError for what is left."""
        own = self.take(*foreign.SYSTEM)
        if isinstance(own, dict | list):  # Gemini and Bedrock
            own = self.joined(own["parts"] if isinstance(own, dict) and "parts" in own else own)
        given = messages[0].get("content") if messages and messages[0].get("role") == "system" else None
        told = {self.text("system", text) for text in (own, system, given) if not _is_empty(text)}
        if len(told) > 1:
            self.refuse(f"has two system prompts: {' and '.join(sorted(map(repr, told)))}.")
        if told and given is None:
            messages = [{"role": "system", "content": told.pop()}, *messages]
        row = {"messages": messages}
        if tools := self.tools(self.take("tools")):
            row["tools"] = tools
        row |= {key: self.take(key) for key in ("parallel_tool_calls", "functions") if key in self.left}
        for key in self.left:
            self.refuse(
                f"has the key {key!r}, which has no place in an example. drop=[{key!r}] leaves it out."
            )
        return row

    def text(self, key: str, value) -> str:
        """The text of a cell. Raises ValueError for a value that is none."""
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
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
        self.refuse(f"{key!r} is {value!r:.60}, which is no text. Write it as one.")

    def joined(self, parts) -> str:
        """The text of Gemini's or Bedrock's parts: [{"text": ...}]."""
        if not is_list_of_objects(parts) or any(part.keys() != {"text"} for part in parts):
            self.refuse("a content has parts that are not texts. Convert it by hand.")
        return "".join(self.text("text", part["text"]) for part in parts)

    def message(self, role: str, key: str, value) -> dict:
        """A message of one text."""
        if _is_empty(value):
            self.refuse(f"has no text for the role {role!r}. Fill it or delete the row.")
        return {"role": role, "content": self.text(key, value)}

    def conversation(self, *names: str) -> list[dict]:
        """The messages that stand under the first of these names, else under the only other one that has some."""
        value = self.take(*names, foreign.other_name(self.left) or names[0])
        if value is None:
            self.refuse(f"has no {names[0]!r}.")
        if _turns(value) is None and not foreign.is_role_to_text(value):
            self.refuse(f"{names[0]!r} is no list of messages, nor JSON text of one: {value!r:.60}.")
        return self.of_turns(_turns(value) or value)

    def before_both(self) -> list[dict]:
        """The messages before both answers of a preference row, perhaps with the better one."""
        if not {"instruction", "query"}.isdisjoint(self.left):
            return self.instruction()
        given = self.take("messages", *foreign.CONVERSATIONS, "prompt", "question", "input")
        if isinstance(given, dict) and "messages" in given:  # OpenAI's own input
            self.left |= given
            given = self.take("messages")
        return [] if given is None else self.messages("user", "prompt", given)

    def instruction(self) -> list[dict]:
        """The history, if any, and the question of an Alpaca row."""
        found = []
        for turn in self.take("history") or []:
            if not isinstance(turn, list | tuple) or len(turn) != 2:
                self.refuse("'history' is not a list of pairs.")
            found += [self.message(role, "history", text) for role, text in zip(ASKED, turn, strict=True)]
        asked, more = self.take("instruction", "query", "prompt"), self.take("input", "context")
        if asked is not None and more is not None:
            asked = f"{self.text('instruction', asked)}\n\n{self.text('input', more)}"
        return found + self.messages("user", "instruction", more if asked is None else asked)

    def messages(self, role: str, key: str, value) -> list[dict]:
        """Messages from a text, which is of that role, or from a conversation in the words of any tool."""
        turns = _turns(value)
        if turns and any("role" in turn or foreign.role_of(turn) for turn in turns):
            return self.of_turns(turns)
        return [self.message(role, key, value)]

    def of_turns(self, turns: list[dict]) -> list[dict]:
        """The messages of a conversation."""
        found: list[dict] = []
        for turn in without_nulls({"messages": turns})["messages"] if padding({"messages": turns}) else turns:
            self._add(found, turn)
        return self._with_ids(found)

    def _add(self, found: list[dict], turn: Mapping) -> None:
        """Adds the message, or the two, of a turn."""
        left = {key: value for key, value in turn.items() if not _is_empty(value)}
        if foreign.is_role_to_text([turn]):
            told = [(foreign.TOLD_BY[key], key) for key in turn]
            for role, key in sorted(told, key=lambda one: one[0] == "assistant"):
                found.append(self.message(role, key, left.pop(key, None)))
        elif foreign.is_own(turn):
            found.append(self._own(dict(turn)))
            return
        else:
            self._add_other(found, turn, left)
        if left:
            self.refuse(f"a turn has the key {next(iter(left))!r}. {BY_HAND}")

    def _own(self, message: dict) -> dict:
        """A message in OpenAI's words, but for weights and for parts without a type."""
        parts = message.get("content")
        if is_list_of_objects(parts) and all(part.keys() == {"text"} for part in parts):
            message["content"] = self.joined(parts)
        return message | self._weight(message["role"], message)

    def _add_other(self, found: list[dict], turn: Mapping, left: dict) -> None:
        """Adds a message in the words of another tool. What is taken of the turn leaves ``left``."""
        role = foreign.role_of(turn)
        if role is None:
            self.refuse(f"unknown speaker {foreign.said_by(turn)!r}. {BY_HAND}")
        left.pop(next((who for who in foreign.WHO if who in turn), None), None)
        key = next((key for key in ("value", "content", "text", "parts") if key in left), "value")
        said = left.pop(key, None)
        weight = self._weight("assistant" if role == foreign.CALL else role, left)
        if role != foreign.CALL:
            text = self.joined(said) if key == "parts" else said
            found.append(self.message(role, key, text) | weight)
            if role == foreign.REPLY:
                found[-1]["tool_call_id"] = None
            return
        calls = load(said) if isinstance(said, str) else said
        calls = calls if isinstance(calls, list) else [calls]
        if not all(isinstance(call, dict) and call.keys() == {"name", "arguments"} for call in calls):
            self.refuse(f"a call is not {{name, arguments}} as JSON: {said!r:.60}. {BY_HAND}")
        calls = [{"type": "function", "function": call} for call in calls]
        if found and found[-1]["role"] == "assistant" and not weight:  # said before, or a call beside it
            found[-1] = found[-1] | {"tool_calls": [*found[-1].get("tool_calls", []), *calls]}
        else:
            found.append({"role": "assistant", "tool_calls": calls} | weight)

    def _weight(self, role: str, left: dict) -> dict:
        """The weight of a message, taken out of its keys. Only answers are learned, so 0 says nothing elsewhere."""
        there = (key for key in WEIGHTS if type(left.get(key)) in (int, bool, float) and left[key] in (0, 1))
        found = [int(left.pop(key)) for key in there]
        if role == "assistant":
            return {"weight": found[-1]} if found else {}
        if any(found):
            self.refuse(f"a message of the role {role!r} is to be learned. OpenAI learns answers only.")
        return {}

    def _with_ids(self, messages: list[dict]) -> list[dict]:
        """Calls and replies with their ids, where another tool leaves them out; arguments as JSON text."""
        found, open_calls, number = [], {}, 0
        for message in messages:
            calls = message.get("tool_calls")
            if is_list_of_objects(calls) and all(isinstance(call.get("function"), dict) for call in calls):
                message, open_calls = message | {"tool_calls": []}, {}
                for call in calls:
                    number += 1
                    function = call["function"]
                    if "arguments" in function:
                        function = function | {"arguments": self.text("arguments", function["arguments"])}
                    call = call | {"id": call.get("id") or f"call_{number}", "function": function}
                    message["tool_calls"].append(call)
                    open_calls[call["id"]] = function.get("name")
            elif message.get("role") == foreign.REPLY and message.get("tool_call_id") is None:
                answered = [call for call, name in open_calls.items() if name == message.get("name", name)]
                if answered:
                    message = message | {"tool_call_id": answered[0]}
                    del open_calls[answered[0]]
                elif "tool_call_id" in message:
                    self.refuse(f"a reply answers no call: {message['content'][:40]!r}. {BY_HAND}")
            found.append(message)
        return found

    def tools(self, value) -> list:
        """Definitions of tools, also those that somebody wrote as JSON text or without their wrapping."""
        tools = load(value) if isinstance(value, str) else value
        if value is None or tools == []:
            return []
        if not is_list_of_objects(tools) or not all("function" in one or "name" in one for one in tools):
            self.refuse("'tools' is not a list of definitions, nor JSON text of one.")
        bare = [{key: value for key, value in one.items() if key != "type"} for one in tools]
        return [
            one if "function" in one else {"type": "function", "function": function}
            for one, function in zip(tools, bare, strict=True)
        ]


def _turns(value) -> list[dict] | None:
    """The turns of a conversation, of a single message, of JSON text, of a transcript; None for anything else."""
    if isinstance(value, str) and value.startswith("\n\nHuman:"):
        _, *pieces = HH.split(value)
        said = [{"from": who, "value": text} for who, text in zip(pieces[::2], pieces[1::2], strict=True)]
        return said if said[-1]["value"].strip() else said[:-1]  # where the answer is to follow
    if isinstance(value, str):
        value = load(value) if LIST_OF_OBJECTS.match(value) else None
        if is_conversation(value) and any(foreign.role_of(turn) is None for turn in value):
            return None  # a text that only looks like one
    value = [value] if isinstance(value, dict) else value
    return value if is_conversation(value) else None


def _plain(value):
    """A value without the arrays and numbers of numpy, which pandas puts into rows that it has read from Parquet."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list) or hasattr(value, "tolist"):
        value = value if isinstance(value, list) else value.tolist()
        return [_plain(one) for one in value] if isinstance(value, list) else value
    return value


def _is_empty(value) -> bool:
    """True for an empty cell, as Python, pandas (NaN, NA, NaT) and JSON write it."""
    if isinstance(value, str):
        return not value.strip()
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, dict | list):
        return not value
    return isinstance(value, numbers.Real) and value != value
