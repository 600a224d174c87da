"""Rows in the form of another tool: which one it is, and which call converts them.

Sources: huggingface.co/docs/trl/dataset_formats; data/README.md of hiyouga/LLaMA-Factory; Custom-dataset.md of
modelscope/ms-swift; the documents of Vertex AI and of Amazon Bedrock.
"""

import json
from typing import NamedTuple

QUESTION_AND_ANSWER = [  # pairs of columns in which people keep a question and its answer
    ("question", "answer"),
    ("query", "answer"),
    ("input", "output"),
    ("user", "assistant"),
    ("human", "assistant"),
    ("source", "target"),
]
CONVERSATIONS = ("conversations", "conversation")
REJECTED = ("rejected_response", "rejected_messages", "rejected")


class Form(NamedTuple):
    """A form that another tool writes. ``call`` is the function of ``dataset`` that converts such rows, if any."""

    name: str
    call: str | None
    options: tuple[tuple[str, str], ...] = ()
    instead: str = ""  # what to do where no call helps

    @property
    def advice(self) -> str:
        """What to do with such rows."""
        options = "".join(f", {key}={value!r}" for key, value in self.options)
        return f"convert them with dataset.{self.call}(rows{options})" if self.call else self.instead


TWICE = Form("rows written as JSON twice", None, (), "read the file with dataset.from_file")
PANDAS = Form("pandas' column-wise JSON", None, (), "read the file with dataset.from_file")
JSON_TEXT = Form("messages or tools written as JSON text", "from_messages")
SYSTEM_BESIDE = Form("a system prompt beside the messages (Anthropic, Bedrock)", "from_messages")
GEMINI = Form("Gemini's contents and parts", "from_messages")
SHAREGPT = Form("ShareGPT rows", "from_sharegpt")
ALPACA = Form("Alpaca rows", "from_alpaca")
QUERY = Form("ms-swift's query and response", "from_alpaca")
PREFERENCES = Form(
    "preference rows of another tool (OpenAI's have input, preferred_output, non_preferred_output)",
    "from_preferences",
)
PAIRS_OF_MESSAGES = Form(
    "TRL's prompt and completion as lists, which join to one list of messages", "from_prompt_completion"
)
PROMPTS = Form("prompts without an answer, as for rewards (method reinforcement)", "from_prompts")
CHATML = Form("texts in ChatML", "from_chatml")
TEXTS = Form("plain texts (TRL's language modelling)", None, (), "write a question and an answer for each")
UNPAIRED = Form(
    "answers with a label good or bad (KTO)",
    None,
    (),
    "OpenAI has no such method: keep the good ones as examples, or pair them for dpo",
)
STEPWISE = Form("steps with labels (TRL's stepwise supervision)", None, (), "OpenAI has no such method")
BATCH = Form("requests of the Batch API, not examples", None, (), "take the messages out of 'body'")
PICTURES = Form(
    "pictures beside the messages (ms-swift, LLaMA-Factory)",
    None,
    (),
    "put each into its message as a part of the type image_url",
)


def recognize(row, method: str | None = None) -> Form | None:
    """The form of another tool that a row has; None if it has none that is known, or OpenAI's own."""
    if isinstance(row, str):
        return TWICE if row.lstrip()[:1] == "{" and isinstance(_load(row), dict) else None
    if not isinstance(row, dict) or not row:
        return None
    if is_column_wise(row):
        return PANDAS
    if row.get("messages") is not None:
        return _beside_messages(row, method)
    return _without_messages(row, {key for key, value in row.items() if value is not None and value != ""})


def _beside_messages(row: dict, method: str | None) -> Form | None:
    messages = row["messages"]
    if isinstance(messages, str) and is_list_of_objects(_load(messages)) or isinstance(row.get("tools"), str):
        return JSON_TEXT
    if is_list_of_objects(messages) and all("from" in one and "value" in one for one in messages):
        return SHAREGPT
    if method == "reinforcement":
        return None  # all other keys are for the grader
    if any(row.get(key) is not None for key in REJECTED):
        return PREFERENCES
    if row.get("system"):
        return SYSTEM_BESIDE
    if isinstance(row.get("label"), bool):
        return UNPAIRED
    pictures = (row.get(key) for key in ("images", "videos", "audios"))
    return PICTURES if any(isinstance(value, list) and value for value in pictures) else None


def _without_messages(row: dict, keys: set) -> Form | None:
    preferences = {"chosen", "rejected"} <= keys or {"response", "rejected_response"} <= keys
    if any(is_list_of_objects(row.get(key)) for key in CONVERSATIONS):
        return PREFERENCES if preferences else SHAREGPT
    if is_list_of_objects(row.get("contents")) and all("parts" in one for one in row["contents"]):
        return GEMINI
    if {"custom_id", "body"} <= keys:
        return BATCH
    if "kto_tag" in keys or ({"prompt", "completion"} <= keys and isinstance(row.get("label"), bool)):
        return UNPAIRED
    if preferences:
        return PREFERENCES
    if {"prompt", "completions", "labels"} <= keys:
        return STEPWISE
    if "instruction" in keys and keys & {"output", "response"}:
        return ALPACA
    if {"query", "response"} <= keys or {"prompt", "response"} <= keys:
        return QUERY
    if {"prompt", "completion"} <= keys:
        both = row["prompt"], row["completion"]
        return PAIRS_OF_MESSAGES if any(map(is_list_of_objects, both)) else None
    for question, answer in QUESTION_AND_ANSWER:
        if isinstance(row.get(question), str) and isinstance(row.get(answer), str):
            options = (("question", question), ("answer", answer))
            return Form("a table of questions and answers", "from_table", options)
    if isinstance(row.get("text"), str):
        return CHATML if "<|im_start|>" in row["text"] else TEXTS
    if isinstance(row.get("prompt"), str) or is_list_of_objects(row.get("prompt")):
        return PROMPTS if "completion" not in row else None
    return None


def is_list_of_objects(value) -> bool:
    """True for a list, not empty, of nothing but objects."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def is_column_wise(row: dict) -> bool:
    """True for what pandas' to_json writes without lines=True: {"question": {"0": ..., "1": ...}, ...}."""
    if row.keys() == {"columns", "index", "data"}:
        return all(isinstance(value, list) for value in row.values())
    columns = [*row.values()]
    if not all(isinstance(column, dict) and column for column in columns):
        return False
    return all(column.keys() == columns[0].keys() for column in columns) and all(
        key.isdecimal() for key in columns[0]
    )


def column_length(row: dict) -> int:
    """How many rows column-wise JSON holds."""
    return len(row["data"] if row.keys() == {"columns", "index", "data"} else next(iter(row.values())))


def _load(text: str):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
