"""Rows in the form of another tool: which one it is, and which call converts them.

Sources: huggingface.co/docs/trl/dataset_formats; data/README.md of hiyouga/LLaMA-Factory; Custom-dataset.md and
Agent-support.md of modelscope/ms-swift; docs/dataset-formats of axolotl-ai-cloud/axolotl; the documents of Vertex AI
and of Amazon Bedrock.
"""

import ast
import json
from typing import NamedTuple

from .formats import KNOWN_ROLES, OTHERS, PREFERRED

# In what words people keep a question and its answer, side by side; the first that is there counts.
QUESTIONS = (
    "question query prompt instruction user human source article document input input_text message_1 text"
).split()
ANSWERS = (
    "answer response output output_text assistant target summary ideal completion generation message_2 label"
).split()
BESIDE = ("completion", "response", "output", "assistant")  # under others, a grader may want it
CONVERSATIONS = ("conversations", "conversation")
SYSTEM = (
    "system",
    "system_prompt",
    "system_message",
    "instructions",
    "system_instruction",
    "systeminstruction",
)
CHOSEN = ("chosen", "chosen_response", "response", *PREFERRED)
REJECTED = ("rejected", "rejected_response", "rejected_messages", *OTHERS)
PICTURE_KEYS = ("image", "images", "video", "videos", "audio", "audios")
WHO = ("role", "from", "speaker", "author")  # the key that says whose turn it is
SAID = ("content", "value", "text", "tool_calls", "function_call")  # and the key of what is said
CALL, REPLY = "call", "tool"
SPEAKERS = {  # who it is, in lower case -> the role
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "chatgpt", "assistant", "model", "bot", "ai", "chatbot"), "assistant"),
    **dict.fromkeys(("function_call", "tool_call"), CALL),
    **dict.fromkeys(("observation", "tool_response", "function_response"), REPLY),
}

TOLD_BY = {key: role for key, role in SPEAKERS.items() if role in ("user", "assistant", "system")}
TOLD_BY |= {"query": "user", "response": "assistant"}  # ms-swift


class Form(NamedTuple):
    """A form that another tool writes. ``call`` is the function of ``dataset`` that converts such rows, if any."""

    name: str
    call: str | None
    instead: str = ""  # what to do where no call helps
    keys: tuple[str, ...] = ()  # a row without messages that has all keys of one of these lists has this form
    options: tuple[tuple[str, str], ...] = ()

    @property
    def advice(self) -> str:
        """What to do with such rows."""
        options = "".join(f", {key}={value!r}" for key, value in self.options)
        return f"convert them with dataset.{self.call}(rows{options})" if self.call else self.instead


READ = "read the file with dataset.from_file"
TWICE = Form("rows written as JSON twice", None, READ)
PANDAS = Form("pandas' column-wise JSON", None, READ)
WRAPPED = Form("all rows in one object", None, READ)
JSON_TEXT = Form("messages or tools written as JSON text", "from_messages")
SYSTEM_BESIDE = Form("a system prompt beside the messages (Anthropic, Bedrock)", "from_messages")
ANSWER_BESIDE = Form("an answer beside the messages", "from_messages")
GEMINI = Form("Gemini's contents and parts", "from_messages")
CALLS = Form("calls of tools without an id, or as messages of their own (TRL, ms-swift)", "from_messages")
SHAREGPT = Form("ShareGPT rows", "from_sharegpt")
PREFERENCES = Form(
    "preference rows of another tool (OpenAI's have input, preferred_output, non_preferred_output)",
    "from_preferences",
    keys=("chosen rejected", "response rejected_response", "chosen_response rejected_response"),
)
PAIRS_OF_MESSAGES = Form(
    "TRL's prompt and completion as lists, which join to one list of messages", "from_prompt_completion"
)
PROMPTS = Form("prompts without an answer, as for rewards (method reinforcement)", "from_prompts")
CHATML = Form("texts in ChatML", "from_chatml")
TEXTS = Form("plain texts (TRL's language modelling)", None, "write a question and an answer for each")
UNPAIRED = Form(
    "answers with a label good or bad (KTO)",
    None,
    "OpenAI has no such method: keep the good ones as examples, or pair them for dpo",
    keys=("kto_tag", "prompt completion label"),
)
PICTURES = Form(
    "pictures beside the texts (ms-swift, LLaMA-Factory, LLaVA)",
    None,
    "put each into its message as a part of the type image_url",
)
BY_KEYS = (
    Form(
        "requests or answers of the Batch API, not examples",
        None,
        "take the messages out of 'body', and the answer out of 'response'",
        keys=("custom_id body", "custom_id response"),
    ),
    UNPAIRED,
    PREFERENCES,
    Form(
        "steps with labels (TRL's stepwise supervision)",
        None,
        "OpenAI has no such method",
        keys=("prompt completions labels",),
    ),
    Form("tokens instead of texts", None, "take the rows before they were tokenized", keys=("input_ids",)),
    Form("single messages", None, "gather those of each conversation in 'messages'", keys=("role content",)),
    Form("Alpaca rows", "from_alpaca", keys=("instruction output", "instruction response")),
    Form("ms-swift's query and response", "from_alpaca", keys=("query response", "prompt response")),
)


def recognize(row, method: str | None = None) -> Form | None:
    """The form of another tool that a row has; None if it has none that is known, or OpenAI's own."""
    if isinstance(row, str):
        return TWICE if row.lstrip()[:1] == "{" and isinstance(load(row), dict) else None
    if not isinstance(row, dict) or not row:
        return None
    if any(key in row for key in (*PREFERRED, *OTHERS)):
        both = any(row.get(key) for key in PREFERRED) and any(row.get(key) for key in OTHERS)
        return PREFERENCES if both and not isinstance(row.get("input"), dict) else None
    if is_column_wise(row):
        return PANDAS
    if row.get("messages") is not None:
        return _beside_messages(row, method)
    if _wraps_rows(row):
        return WRAPPED
    values = {str(key).strip().lower(): value for key, value in row.items() if value is not None}
    filled = {key: value for key, value in values.items() if value != ""}
    form = _without_messages(filled, row, method) or _without_messages(values, row, method)
    pictured = form and form.call and any(filled.get(key) for key in PICTURE_KEYS)
    return PICTURES if pictured and form is not PROMPTS else form


def _wraps_rows(row: dict) -> bool:
    if len(row) != 1 or not {*CONVERSATIONS}.isdisjoint(row):
        return False
    (rows,) = row.values()
    if not is_list_of_objects(rows) or any(who in one for one in rows for who in WHO):
        return False
    return all("messages" in one or recognize(one) for one in rows)


def _beside_messages(row: dict, method: str | None) -> Form | None:
    messages = row["messages"]
    if isinstance(messages, str) and is_conversation(load(messages)) or isinstance(row.get("tools"), str):
        return JSON_TEXT
    if is_list_of_objects(messages):
        if all("from" in one and "value" in one for one in messages) or is_role_to_text(messages):
            return SHAREGPT
        if _has_other_calls(messages):
            return CALLS
    if method == "reinforcement":
        return None  # all other keys are for the grader
    if any(row.get(key) is not None for key in REJECTED):
        return PREFERENCES
    if any(row.get(key) for key in SYSTEM):
        return SYSTEM_BESIDE
    if is_conversation(messages) and role_of(messages[-1]) != "assistant":
        if any(isinstance(row.get(key), str) for key in BESIDE):
            return ANSWER_BESIDE
    if isinstance(row.get("label"), bool) or row.get("kto_tag") is not None:
        return UNPAIRED
    pictured = any(isinstance(value, list | str) and value for value in map(row.get, PICTURE_KEYS))
    return PICTURES if pictured else None


def _has_other_calls(messages: list[dict]) -> bool:
    if any(role_of(one) in (CALL, REPLY) and not is_own(one) for one in messages):
        return True
    lists = [one["tool_calls"] for one in messages if isinstance(one.get("tool_calls"), list)]
    calls = [call for calls in lists for call in calls]
    return bool(calls) and all(
        isinstance(call, dict) and call.get("id") is None and isinstance(call.get("function"), dict)
        for call in calls
    )


def _without_messages(values: dict, row: dict, method: str | None) -> Form | None:
    """The form of a row as its keys tell, in lower case. ``row`` has them as they are written."""
    talk = next((values[key] for key in CONVERSATIONS if key in values), None)
    if isinstance(talk, str) and is_conversation(load(talk)):
        return JSON_TEXT
    answers = talk or any(key in values for key in ANSWERS if key != "label")
    if answers and isinstance(values.get("label"), bool):
        return UNPAIRED
    if is_list_of_objects(talk):
        return PREFERENCES if {"chosen", "rejected"} <= values.keys() else SHAREGPT
    if is_list_of_objects(values.get("contents")) and all("parts" in one for one in values["contents"]):
        return GEMINI
    for form in BY_KEYS:
        if any({*keys.split()} <= values.keys() for keys in form.keys):
            return form
    prompt = values.get("prompt")
    if {"prompt", "completion"} <= row.keys():
        return PAIRS_OF_MESSAGES if any(map(is_list_of_objects, (prompt, values.get("completion")))) else None
    if is_list_of_objects(prompt) or (isinstance(prompt, str) and method == "reinforcement"):
        return PROMPTS
    if columns := _columns(values, row):
        return Form("a table of questions and answers", "from_table", options=columns)
    if isinstance(text := values.get("text"), str):
        return CHATML if "<|im_start|>" in text else TEXTS
    if isinstance(prompt, str):
        return PROMPTS if "completion" not in row else None
    if name := other_name(row):
        return Form(f"messages under the name {name!r}", "from_messages")
    return None


def _columns(values: dict, row: dict) -> tuple[tuple[str, str], ...]:
    """The columns of question and answer, by the names that they have in the row; none if there are no such."""
    names = {str(key).strip().lower(): key for key in row}
    answer = next((name for name in ANSWERS if _is_told(values.get(name))), None)
    question = next((name for name in QUESTIONS if _is_told(values.get(name))), None)
    return (("question", names[question]), ("answer", names[answer])) if question and answer else ()


def _is_told(value) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool) or is_conversation(value)


def other_name(row) -> str | None:
    """The key under which a row has its only conversation."""
    names = [key for key, value in row.items() if is_conversation(value)]
    return names[0] if len(names) == 1 else None


def is_conversation(value) -> bool:
    """True for a list of objects each of which says who speaks and what."""
    return is_list_of_objects(value) and all(map(_is_turn, value))


def _is_turn(one: dict) -> bool:
    if any(who in one for who in WHO) and any(key in one for key in SAID):
        return True
    return "parts" in one


def is_role_to_text(value) -> bool:
    """True for turns such as [{"human": "Hello", "assistant": "Good day."}], or with one role in each."""
    return is_list_of_objects(value) and all(one and one.keys() <= TOLD_BY.keys() for one in value)


def said_by(turn: dict):
    """Who speaks, in the words of the row; "user" where Gemini leaves it out."""
    return next((turn[who] for who in WHO if who in turn), "user" if "parts" in turn else None)


def is_own(turn: dict) -> bool:
    """True for a message in OpenAI's words."""
    role = turn.get("role")
    return isinstance(role, str) and role in KNOWN_ROLES and not {"value", "parts"} & turn.keys()


def role_of(turn: dict) -> str | None:
    """The role of who speaks; None for somebody unknown. ShareGPT's "tool" is too, as its calls stand in texts."""
    who = said_by(turn)
    if is_own(turn):
        return who
    return SPEAKERS.get(who.strip().lower()) if isinstance(who, str) else None


def is_list_of_objects(value) -> bool:
    """True for a list, not empty, of nothing but objects."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def is_column_wise(row: dict) -> bool:
    """True for what pandas' to_json and to_dict write: {"question": {"0": ..., "1": ...}, ...}, or with lists."""
    if row.keys() == {"columns", "index", "data"}:
        return all(isinstance(value, list) for value in row.values())
    first, *others = row.values()
    if isinstance(first, list) and first and others:
        same = all(isinstance(column, list) and len(column) == len(first) for column in others)
        return same and all(isinstance(cell, str | list) for column in row.values() for cell in column)
    if not isinstance(first, dict) or not first or any(isinstance(cell, dict) for cell in first.values()):
        return False
    same = all(isinstance(column, dict) and column.keys() == first.keys() for column in others)
    return same and all(key.isdecimal() for key in first)


def column_length(row: dict) -> int:
    """How many rows column-wise JSON holds."""
    return len(row["data"] if row.keys() == {"columns", "index", "data"} else next(iter(row.values())))


def load(text: str):
    """What a text holds that is JSON, or Python's own writing of it; None if it is neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None
