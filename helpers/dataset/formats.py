"""Which training format a row has, and the first reason why a job would refuse it."""

ROLES = ("system", "user", "assistant", "tool", "function")  # of a training message, OpenAI's chat format
MIN_EXAMPLES = 10  # OpenAI supervised fine-tuning guide


def format_of(example) -> str | None:
    """Which training format a row has: "chat", "preference" (for DPO), "completion", or None."""
    if not isinstance(example, dict):
        return None
    if "messages" in example:
        return "chat"
    if "input" in example:
        return "preference"
    if {"prompt", "completion"} <= example.keys():
        return "completion"
    return None


def problem(example) -> str | None:
    """Why this row would make a fine-tuning job fail, or None. Rules: OpenAI's chat and DPO formats."""
    kind = format_of(example)
    if kind == "chat":
        return _problem_in_messages(example["messages"], needs_assistant=True)
    if kind == "preference":
        return _problem_in_preference(example)
    if kind == "completion":
        texts = (example["prompt"], example["completion"])
        return None if all(isinstance(text, str) for text in texts) else "prompt and completion must be text."
    return "Unexpected file format, expected either prompt/completion pairs or chat messages."


def _problem_in_messages(messages, needs_assistant: bool) -> str | None:
    if not isinstance(messages, list) or not messages:
        return "'messages' must be a list with at least one message."
    for number, message in enumerate(messages, start=1):
        if found := _problem_in_message(message):
            return f"message {number} {found}"
    if needs_assistant and not any(message["role"] == "assistant" for message in messages):
        return "There is no message with the role 'assistant': nothing to learn."
    return None


def _problem_in_message(message) -> str | None:
    if not isinstance(message, dict):
        return "is not a JSON object"
    if "role" not in message:
        return "Discriminator 'role' is missing in value"
    if message["role"] not in ROLES:
        return f"has the unknown role {message['role']!r}; known are {', '.join(ROLES)}"
    if not _are_calls(message.get("tool_calls")):
        return "has 'tool_calls' that are not a list of objects, or their 'function' is not an object"
    instead = message.get("tool_calls") or message.get("function_call") or message.get("refusal")
    content = message.get("content")
    if not isinstance(content, str | list) and not (content is None and instead):
        return "has no 'content', or it is not text"
    if isinstance(content, list) and not all(isinstance(part, dict) for part in content):
        return "has 'content' parts that are not JSON objects"
    if "weight" in message and (message["role"] != "assistant" or message["weight"] not in (0, 1)):
        return "has a 'weight'; only assistant messages may have one, and it is 0 or 1"
    return None


def _are_calls(calls) -> bool:
    """True for a list of tool calls, and for none."""
    if calls is None:
        return True
    return isinstance(calls, list) and all(
        isinstance(call, dict) and isinstance(call.get("function") or {}, dict) for call in calls
    )


def _problem_in_preference(example: dict) -> str | None:
    given = example["input"]
    if not isinstance(given, dict):
        return "'input' is not a JSON object"
    if found := _problem_in_messages(given.get("messages"), needs_assistant=False):
        return f"input: {found}"
    for key in ("preferred_output", "non_preferred_output"):
        if found := _problem_in_messages(example.get(key), needs_assistant=True):
            return f"{key}: {found}"
    return None
