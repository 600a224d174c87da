"""One row of a file, made once: its line, its format, its messages and its texts, for all that look at it."""

import functools
import json
import zlib
from typing import NamedTuple

from ..token_rules import snapshot
from .context import takes_images, takes_pairs, training_context
from .foreign import Form, recognize
from .formats import OUTPUTS, format_of
from .lines import Line

PLAIN_ROLES = frozenset(("system", "user", "assistant"))
TEXT_FREE = ("tool", "function")  # roles whose message may be empty


class Job(NamedTuple):
    """What the rows are for: the model to be tuned and the method, both as far as they are known."""

    model: str | None = None
    method: str | None = None

    @property
    def limit(self) -> int | None:
        """Tokens of one training example."""
        return training_context(self.model)

    @property
    def wants_pairs(self) -> bool:
        """True if the model is trained on prompt/completion pairs."""
        return takes_pairs(self.model)

    @property
    def refuses_images(self) -> bool:
        """True if it is known that the model cannot be tuned on images."""
        return self.model is not None and takes_images(self.model) is False

    @property
    def base(self) -> str:
        """The dated base model."""
        return snapshot(self.model or "")


class Message(NamedTuple):
    """A message and where it stands: "message 2", or "input, message 1"."""

    where: str
    value: dict
    role: object


class Row:
    """One row. ``value`` is without the nulls that mean nothing; ``nulls`` names their keys. ``form`` is that of
    another tool; then ``format`` is None."""

    def __init__(self, line: Line, job: Job):
        self.line, self.job, self.value = line, job, line.value
        self.nulls: list[str] = []
        self.form: Form | None = None
        self._digits = self._example = (
            None  # not cached_property, which takes a lock: every row comes by here
        )
        self.plain = job.method != "reinforcement" and _is_plain(line.value)
        if self.plain:
            self.format = "chat"
            return
        self.form = recognize(line.value, job.method)
        self.format = None if self.form else format_of(line.value, job.method)
        if self.format and (nulls := padding(line.value)):
            self.nulls, self.value = nulls, without_nulls(line.value)

    @functools.cached_property
    def lists(self) -> dict[str, object]:
        """The lists of messages, as they stand there, each by what precedes "message 1" in a report."""
        value = self.value
        if self.format in ("chat", "reinforcement"):
            return {"": value["messages"]}
        if self.format != "preference":
            return {}
        given = value.get("input")
        found = {"input, ": given.get("messages")} if isinstance(given, dict) else {}
        return found | {f"{key}, ": output for key, output in self.outputs.items()}

    @functools.cached_property
    def outputs(self) -> dict[str, object]:
        """The two outputs of a preference row, under their documented names."""
        return {key: self.value.get(key, self.value.get(other)) for key, other in OUTPUTS.items()}

    @functools.cached_property
    def conversations(self) -> list[list[Message]]:
        """The messages that are objects, list by list."""
        return [
            [
                Message(f"{where}message {number}", message, message.get("role"))
                for number, message in enumerate(messages, start=1)
                if isinstance(message, dict)
            ]
            for where, messages in self.lists.items()
            if isinstance(messages, list)
        ]

    @functools.cached_property
    def messages(self) -> list[Message]:
        """All of them."""
        return [message for messages in self.conversations for message in messages]

    @functools.cached_property
    def keys(self) -> frozenset:
        """Every key of every message."""
        return frozenset().union(*(message.value for message in self.messages))

    @functools.cached_property
    def options(self) -> dict:
        """The object in which "tools" stand: the row, or the input of a preference row."""
        options = self.value.get("input") if self.format == "preference" else self.format and self.value
        return options if isinstance(options, dict) else {}

    @functools.cached_property
    def parts(self) -> list[tuple[Message, str, object]]:
        """Each part of a message's content: message, where, part."""
        return [
            (message, f"{message.where}, part {number}", part)
            for message in self.messages
            if isinstance(message.value.get("content"), list)
            for number, part in enumerate(message.value["content"], start=1)
        ]

    @functools.cached_property
    def images(self) -> list[tuple[Message, str, object]]:
        """The parts that are images, with their address; None if they have none."""
        if not self.parts:
            return []
        return [
            (message, where, image.get("url") if isinstance(image := part.get("image_url"), dict) else None)
            for message, where, part in self.parts
            if isinstance(part, dict) and part.get("type") == "image_url"
        ]

    @functools.cached_property
    def calls(self) -> list[tuple[Message, str, object, dict | None]]:
        """Every tool call, old ones (function_call) too: message, where, the call, its function."""
        found = []
        for message in self.messages:
            listed = message.value.get("tool_calls")
            for number, call in enumerate(listed if isinstance(listed, list) else [], start=1):
                function = call.get("function") if isinstance(call, dict) else None
                where = f"{message.where}, call {number}"
                found.append((message, where, call, function if isinstance(function, dict) else None))
            if isinstance(call := message.value.get("function_call"), dict):
                found.append((message, message.where, None, call))
        return found

    @functools.cached_property
    def definitions(self) -> list[tuple[str, object]]:
        """Every definition of a tool or of an old function: where, and the function, if it is one."""
        found = []
        for key, kind in (("tools", "tool"), ("functions", "function")):
            listed = self.options.get(key)
            for number, tool in enumerate(listed if isinstance(listed, list) else [], start=1):
                function = tool.get("function") if isinstance(tool, dict) and key == "tools" else tool
                found.append((f"{kind} {number}", function))
        return found

    # --- the texts of a row without errors -------------------------------------------------------------------

    @property
    def digits(self) -> int:
        """How many digits the line has."""
        if self._digits is None:
            self._digits = len(self.line.data) - len(self.line.data.translate(None, b"0123456789"))
        return self._digits

    @property
    def example(self) -> "Example":
        """What the model is told, asked, and learns to answer."""
        if self._example is None:
            self._example = _of_plain(self.value) if self.plain else take_apart(self.value, self.format)
        return self._example


def stands_for_text(message: dict) -> bool:
    """True if a message may go without content: it calls, or refuses."""
    return bool(message.get("tool_calls") or message.get("function_call") or message.get("refusal"))


def _is_plain(row) -> bool:
    """True for the usual row, which has nothing but texts and is right: told in one pass, for speed."""
    if type(row) is not dict or len(row) != 1 or type(messages := row.get("messages")) is not list:
        return False
    before = role = None
    for message in messages:
        if type(message) is not dict or len(message) != 2:
            return False
        role, content = message.get("role"), message.get("content")
        if (
            role == before
            or type(role) is not str
            or role not in PLAIN_ROLES
            or type(content) is not str
            or not content.strip()
        ):
            return False
        before = role
    return role == "assistant"


# --- null ----------------------------------------------------------------------------------------------------

# A null under one of these is filling; one null alone under "name" and the like is a slip.
ALWAYS_FILLING = {"tool_calls", "function_call", "refusal", "audio", "annotations"}
OPTIONAL = ALWAYS_FILLING | {"name", "weight", "tool_call_id"}
MAY_BE_NULL = {"refusal", "audio", "function_call"}  # nullable in OpenAI's description
ROW_OPTIONS = ("tools", "functions", "parallel_tool_calls")
MEANT = {"default", "const", "enum", "example", "examples"}  # of a JSON schema, where null says something


def padding(row: dict) -> list[str]:
    """The keys that somebody has filled with null where there was nothing, as Hugging Face's to_json does."""
    found = dict.fromkeys(key for key in ROW_OPTIONS if key in row and row[key] is None)
    for messages in (row.get("messages"), row.get("input"), *(row.get(key) for key in OUTPUTS)):
        if isinstance(messages, dict):
            found |= dict.fromkeys(key for key in ROW_OPTIONS if key in messages and messages[key] is None)
            messages = messages.get("messages")
        if isinstance(messages, list):
            found |= dict.fromkeys(_padding_of([one for one in messages if isinstance(one, dict)]))
    for holder in (row, row.get("input")):
        tools = holder.get("tools") if isinstance(holder, dict) else None
        if isinstance(tools, list) and _has_null(tools):
            found["tools"] = None
    return list(found)


def _padding_of(messages: list[dict]) -> list[str]:
    found = [key for message in messages for key in message if key in OPTIONAL and _is_nothing(message[key])]
    wrong = [key for key in found if key not in MAY_BE_NULL]
    if len(wrong) < 2 and not ALWAYS_FILLING.intersection(wrong):
        found = []
    for message in messages:
        content, calls = message.get("content"), message.get("tool_calls")
        for part in content if isinstance(content, list) else []:
            if isinstance(part, dict):
                found += [f"{key} of a part" for key, value in part.items() if value is None]
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict):
                found += [f"{key} of a call" for key in call if call[key] is None and key != "id"]
    return found


def _is_nothing(value) -> bool:
    """True for null, and for "" and [], which some write in its place."""
    return value is None or value == "" or value == []


def _has_null(value) -> bool:
    if isinstance(value, dict):
        return any((one is None and key not in MEANT) or _has_null(one) for key, one in value.items())
    return isinstance(value, list) and any(map(_has_null, value))


def without_nulls(row: dict) -> dict:
    """The row without the keys whose value is null; a message that has only its content null keeps it."""
    new = {key: _cleaned(value) for key, value in row.items() if value is not None or key not in ROW_OPTIONS}
    if isinstance(row.get("messages"), list):
        new["messages"] = [_cleaned(message, message=True) for message in row["messages"]]
    if isinstance(given := row.get("input"), dict):
        new["input"] = without_nulls(given)
    for key in OUTPUTS:
        if isinstance(row.get(key), list):
            new[key] = [_cleaned(message, message=True) for message in row[key]]
    return new


def _cleaned(value, message: bool = False):
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {key for key, one in value.items() if one is not None or key in MEANT}
    if message:
        kept -= {key for key in kept & OPTIONAL if _is_nothing(value[key])}
    if message and not stands_for_text(value):
        kept |= {"role", "content"}  # what is missing there is for somebody to write
    elif "arguments" in value:
        kept.add("arguments")
    return {key: _cleaned(one) if key not in MEANT else one for key, one in value.items() if key in kept}


# --- texts ---------------------------------------------------------------------------------------------------


class Example(NamedTuple):
    """The texts of one row, whatever its format."""

    system: str
    asked: str  # all that stands between the system prompt and the last answer
    question: str  # the last user message alone
    answer: str  # the last answer: its text, or its tool calls as JSON
    answers: list[str]  # every text that is learned
    texts: list[str]  # every text of the row


def take_apart(row: dict, kind: str) -> Example:
    """The texts of a row whose shape has been checked."""
    if kind == "completion":
        prompt, completion = row["prompt"], row["completion"]
        return Example("", prompt, prompt, completion, [completion], [prompt, completion])
    if kind == "preference":
        preferred, other = (row.get(key) or row.get(old) for key, old in OUTPUTS.items())
        example = _chat(row["input"]["messages"] + preferred)
        return example._replace(texts=example.texts + [text_of(message) for message in other])
    if kind == "reinforcement":  # nothing is learned from it word by word
        example = _chat([*row["messages"], {"role": "assistant", "content": ""}])
        return example._replace(answers=[])
    return _chat(row["messages"])


def _of_plain(row: dict) -> Example:
    """The same for a plain row, quicker."""
    messages = row["messages"]
    texts = [message["content"] for message in messages]
    if messages[0]["role"] == "system" and len(texts) == 3 and messages[1]["role"] == "user":
        return Example(texts[0], texts[1], texts[1], texts[2], texts[2:], texts)
    return _chat(messages)


def _chat(messages: list[dict]) -> Example:
    last = len(messages) - 1
    while last > 0 and messages[last]["role"] != "assistant":
        last -= 1
    system, asked, answers, texts, question = [], [], [], [], ""
    for number, message in enumerate(messages):
        role, text = message["role"], text_of(message)
        texts.append(text)
        if number < last:
            if role in ("system", "developer"):
                system.append(text)
            else:
                asked.append(text)
                if role == "user":
                    question = text
        if role == "assistant" and message.get("weight") != 0 and _has_text(message):
            answers.append(text)
    return Example("\n".join(system), "\n".join(asked), question, texts[last], answers, texts)


def _has_text(message: dict) -> bool:
    return isinstance(message.get("content"), str | list) or isinstance(message.get("refusal"), str)


def text_of(message: dict) -> str:
    """The text of a message, with its tool calls as JSON; of an image only its address, if that is short."""
    content = message.get("content")
    if type(content) is str and len(message) == 2:
        return content
    texts = [content] if isinstance(content, str) else []
    if isinstance(content, list):
        texts += [_text_of_part(part) for part in content]
    if isinstance(message.get("refusal"), str):
        texts.append(message["refusal"])
    for key in ("tool_calls", "function_call"):
        if message.get(key):
            texts.append(json.dumps(message[key], ensure_ascii=False, sort_keys=True))
    return "\n".join(texts)


def _text_of_part(part: dict) -> str:
    if part.get("type") == "image_url":
        url = part["image_url"]["url"]
        # two images that differ must not look alike, but their bytes are no text
        return url if len(url) < 300 else f"image {zlib.crc32(url.encode()):08x}"
    text = part.get("text") or part.get("refusal")
    return text if isinstance(text, str) else ""
