"""One example taken apart: what the model is told, what it is asked, and what it learns to answer."""

import json
import zlib
from dataclasses import dataclass


@dataclass
class Example:
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
        preferred = row.get("preferred_output") or row.get("preferred_completion")
        other = row.get("non_preferred_output") or row.get("non_preferred_completion")
        example = _chat(row["input"]["messages"] + preferred)
        example.texts += [text_of(message) for message in other]
        return example
    return _chat(row["messages"])


def _chat(messages: list[dict]) -> Example:
    last = len(messages) - 1
    while last > 0 and messages[last]["role"] != "assistant":
        last -= 1
    texts = [text_of(message) for message in messages]
    system, asked, answers, question = [], [], [], ""
    for number, (message, text) in enumerate(zip(messages, texts, strict=True)):
        role = message["role"]
        if role in ("system", "developer") and number < last:
            system.append(text)
        elif number < last:
            asked.append(text)
        if role == "user" and number < last:
            question = text
        if (
            role == "assistant"
            and message.get("weight") != 0
            and isinstance(message.get("content"), str | list)
        ):
            answers.append(text)
    return Example("\n".join(system), "\n".join(asked), question, texts[last], answers, texts)


def text_of(message: dict) -> str:
    """The text of a message, with its tool calls as JSON; of an image only its address, if that is short."""
    content = message.get("content")
    if type(content) is str and len(message) == 2:
        return content
    texts = [content] if isinstance(content, str) else []
    if isinstance(content, list):
        texts += [_text_of_part(part) for part in content]
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
