"""Defects of the keys, roles and contents of a row's messages."""

import difflib
from collections.abc import Iterable, Iterator, Set

from ..codes import BEST, COOKBOOK, ERROR, HINT, OLD, SCHEMA, SPEC, WARNING, defect
from ..foreign import SPEAKERS
from ..formats import KNOWN_ROLES, OUTPUT_KEYS, ROLES
from ..row import TEXT_FREE, Message, Row, stands_for_text
from .file import kind_of, nearest

ROW_KEYS = {"messages", "tools", "parallel_tool_calls", "functions"}
MESSAGE_KEYS = {"role", "content", "name", "weight", "tool_calls", "tool_call_id", "function_call", "refusal"}
OF_ONE_ROLE = {
    "tool_calls": "assistant",
    "function_call": "assistant",
    "refusal": "assistant",
    "tool_call_id": "tool",
}
MOST_KEYS = 20  # unknown keys reported of one object


@defect(ERROR, SCHEMA, said="'messages' must be a list with at least one message; {where}.")
def empty_messages(row: Row) -> Iterable[str]:
    """'messages' is not a list with at least one message
    Fill it, or delete the row."""
    if row.format == "preference" and not isinstance(row.value.get("input"), dict):
        yield f"'input' is {kind_of(row.value.get('input'))}, not an object with 'messages'"
    for where, messages in row.lists.items():
        if where in ("", "input, ") and (not isinstance(messages, list) or not messages):
            yield f"{where}it is {'an empty list' if messages == [] else kind_of(messages)}"


@defect(ERROR, SCHEMA, said="{place} is not a JSON object: {detail}.")
def message_not_object(row: Row) -> Iterable[str]:
    """a message is not an object
    Write {"role": ..., "content": ...}."""
    for where, messages in row.lists.items():
        for number, message in enumerate(messages if isinstance(messages, list) else [], start=1):
            if not isinstance(message, dict):
                yield f"{where}message {number}: it is {kind_of(message)}"


@defect(
    ERROR,
    "error of a real job: \"message 2 Discriminator 'role' is missing in value\"",
    said="{place} Discriminator 'role' is missing in value",
)
def missing_role(row: Row) -> Iterable[str]:
    """a message has no role
    Add the role: system, user or assistant."""
    for message in row.messages:
        if "role" not in message.value:
            yield message.where + _did_you_mean("role", _meant(message.value).get("role"))


@defect(ERROR, SCHEMA, said="{place} has the unknown role {detail}; known are " + ", ".join(ROLES))
def unknown_role(row: Row) -> Iterable[str]:
    """a role that OpenAI does not know
    Use system, user, assistant or tool. dataset.from_messages puts them for human, gpt and the like."""
    for message in row.messages:
        role = message.role
        if "role" in message.value and not _is_known(role):
            said = str(role).strip().lower()
            near = [SPEAKERS[said]] if said in SPEAKERS else difflib.get_close_matches(said, ROLES, n=1)
            yield f"{message.where}: {str(role)[:40]!r}" + "".join(f"; did you mean {one!r}?" for one in near)


@defect(WARNING, f"consequence: nobody states that it is accepted; it is missing in: {SCHEMA}")
def developer_role(row: Row) -> Iterable[str]:
    """the role 'developer' is not in the description of training rows
    Write 'system'."""
    if row.format != "reinforcement":  # there it is described
        yield from (message.where for message in row.messages if message.role == "developer")


@defect(
    WARNING,
    f"{COOKBOOK} counts it as a format error. Consequence: what it holds is not trained, or the row is refused",
)
def unknown_key(row: Row) -> Iterable[str]:
    """a key that is not in the chat format
    Correct its spelling or delete it."""
    if row.format == "completion":
        yield from _unknown_keys(row.value.keys(), {"prompt", "completion"}, "")
    elif row.format == "chat":
        yield from _unknown_keys(row.value.keys(), ROW_KEYS, "")
    elif row.format == "preference":
        yield from _unknown_keys(row.value.keys(), {"input"} | OUTPUT_KEYS, "")
        yield from _unknown_keys(row.options.keys(), ROW_KEYS, "input: ")
    if not row.keys <= MESSAGE_KEYS:
        for message in row.messages:
            keys = message.value.keys() - set(_meant(message.value).values())
            yield from _unknown_keys(keys, MESSAGE_KEYS, f"{message.where}: ")


@defect(
    WARNING,
    f"it is not among the keys of that role in {SPEC}. Consequence: it is not trained, or the row is refused",
)
def key_of_other_role(row: Row) -> Iterable[str]:
    """a key that a message of this role does not have
    Delete it, or correct the role."""
    for key in OF_ONE_ROLE.keys() & row.keys:
        for message in row.messages:
            if key in message.value and _is_known(message.role) and message.role != OF_ONE_ROLE[key]:
                yield f"{message.where}: {key!r} at the role {message.role!r}"


@defect(ERROR, COOKBOOK, said="There is no message with the role 'assistant': nothing to learn. {where}")
def no_assistant(row: Row) -> Iterable[str]:
    """no message of the assistant: nothing to learn
    Add the answer, or delete the row."""
    if roles := _roles_of_chat(row):
        if "assistant" not in roles:
            yield f"roles: {', '.join(roles[:5])}"


@defect(WARNING, "consequence: the last turn teaches nothing; OpenAI states no such rule")
def ends_on_user_turn(row: Row) -> Iterable[str]:
    """the last message is not the assistant's
    Add the answer, or delete what follows the last one."""
    roles = _roles_of_chat(row)
    if "assistant" in roles and roles[-1] != "assistant":
        yield f"message {len(roles)} is from the role {roles[-1]!r}"


@defect(
    ERROR,
    "Azure's guide to reinforcement fine-tuning, learn.microsoft.com: the final message must be from the user",
    said="{place} must be the user's: the model answers it, and a grader rewards the answer. It {detail}.",
)
def ends_on_answer(row: Row) -> Iterable[str]:
    """a row for reinforcement does not end with the user's question
    Delete what follows the last question; what a grader needs stands under a key of its own."""
    if row.format == "reinforcement" and row.messages:
        where, _, role = row.messages[-1]
        if _is_known(role) and role != "user":
            yield f"{where}: is from the role {role!r}"


@defect(
    HINT,
    "consequence: OpenAI takes it, but templates of other models and services want the roles to alternate",
)
def same_role_twice(row: Row) -> Iterable[str]:
    """two messages of one role follow each other
    Join them to one, unless you mean it."""
    for messages in row.conversations:
        for one, two in zip(messages, messages[1:], strict=False):
            if one.role == two.role and one.role in ("system", "developer", "user", "assistant"):
                if not (one.value.get("tool_calls") or one.value.get("function_call")):
                    yield f"{two.where}: again {two.role!r}"


# --- content -------------------------------------------------------------------------------------------------


@defect(
    ERROR,
    f"ChatCompletionRequestAssistantMessage in {SPEC}; {COOKBOOK}",
    said="{place} has no 'content'. Add the text; only a message with tool calls may go without.",
)
def missing_content(row: Row) -> Iterable[str]:
    """a message has no content
    Add the text; only a message with tool calls may go without."""
    for message in row.messages:
        if message.value.get("content") is None and not stands_for_text(message.value):
            yield message.where + _did_you_mean("content", _meant(message.value).get("content"))


@defect(WARNING, "consequence: an empty answer teaches the model to say nothing")
def empty_content(row: Row) -> Iterable[str]:
    """a message is empty
    Write the text, or delete the message."""
    if row.format == "completion" and row.value["completion"] == "":
        yield "'completion'"
    for message in row.messages:
        if message.role not in TEXT_FREE and not stands_for_text(message.value) and _is_empty(message.value):
            yield message.where


def _is_empty(message: dict) -> bool:
    content = message.get("content")
    if isinstance(content, list):
        return all(
            isinstance(part, dict)
            and part.get("type") == "text"
            and isinstance(part.get("text"), str)
            and not part["text"].strip()
            for part in content
        )
    return isinstance(content, str) and not content.strip()


@defect(ERROR, f"ChatCompletionRequestUserMessage in {SPEC}")
def content_type(row: Row) -> Iterable[str]:
    """content is neither text nor a list of parts
    Make it a text."""
    if row.format == "completion":
        for key in ("prompt", "completion"):
            if not isinstance(row.value[key], str):
                yield f"{key!r} is {kind_of(row.value[key])}"
    for message in row.messages:
        content, refusal = message.value.get("content"), message.value.get("refusal")
        if not isinstance(content, str | list | None):
            yield f"{message.where}: it is {kind_of(content)}"
        if not isinstance(refusal, str | None):
            yield f"{message.where}: its refusal is {kind_of(refusal)}"


@defect(ERROR, f"ChatCompletionRequestMessageContentPart in {SPEC}; text and images only: {OLD}")
def content_part(row: Row) -> Iterable[str]:
    """a part of the content is neither text nor an image
    Write {"type": "text", "text": ...} or {"type": "image_url", "image_url": {"url": ...}}."""
    for message, where, part in row.parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "image_url":
            image = part.get("image_url")
            if not isinstance(image, dict) or not isinstance(image.get("url"), str):
                yield f"{where}: no image_url with a url in it"
            elif image.get("detail", "auto") not in ("auto", "low", "high"):
                yield f"{where}: its detail is {image['detail']!r:.40}, not auto, low or high"
        elif kind == "refusal" and message.role == "assistant" and isinstance(part.get("refusal"), str):
            continue
        elif kind != "text" or not isinstance(part.get("text"), str):
            yield f"{where}: it is {kind_of(part)}" if kind is None else f"{where}: {str(kind)[:40]!r}"


# --- weight and name -----------------------------------------------------------------------------------------


@defect(
    ERROR,
    BEST,
    said="{place} has a 'weight' of {detail}; only assistant messages may have one, and it is 0 or 1",
)
def bad_weight(row: Row) -> Iterable[str]:
    """a weight that is not 0 or 1
    Write 0 (skip) or 1 (learn)."""
    for message, weight in _weights(row):
        if message.role == "assistant" and (type(weight) not in (int, float) or weight not in (0, 1)):
            yield f"{message.where}: {weight!r:.40}"


@defect(
    ERROR,
    BEST,
    said="{place} has a 'weight' at the {detail}; only assistant messages may have one, and it is 0 or 1",
)
def weight_role(row: Row) -> Iterable[str]:
    """a weight on a message that is not the assistant's
    Delete it: only answers are learned."""
    for message, _weight in _weights(row):
        if message.role != "assistant":
            yield f"{message.where}: role {message.role!r:.40}"


def _weights(row: Row) -> Iterator[tuple[Message, object]]:
    if "weight" in row.keys:
        for message in row.messages:
            if "weight" in message.value:
                yield message, message.value["weight"]


@defect(WARNING, f"consequence: the row is paid for and teaches nothing; weight 0 skips a message: {BEST}")
def all_weights_zero(row: Row) -> Iterable[str]:
    """every answer has weight 0
    Give at least one answer weight 1, or delete the row."""
    if "weight" in row.keys and "assistant" in _roles_of_chat(row):
        weights = [message.value.get("weight", 1) for message in row.messages if message.role == "assistant"]
        if all(type(weight) in (int, float) and weight == 0 for weight in weights):
            yield ""


@defect(
    WARNING,
    "consequence: the API description sets no rule for it, but the one for function names is the safe choice",
)
def message_name(row: Row) -> Iterable[str]:
    """a message name that is not 1 to 64 of a-z, A-Z, 0-9, _ and -
    Use letters, digits, _ and - only."""
    from .tools import is_name

    if "name" in row.keys:
        for message in row.messages:
            if "name" in message.value and message.role != "function" and not is_name(message.value["name"]):
                yield f"{message.where}: {message.value['name']!r:.80}"


# --- helpers -------------------------------------------------------------------------------------------------


def _is_known(role) -> bool:
    return isinstance(role, str) and role in KNOWN_ROLES


def _roles_of_chat(row: Row) -> list[str]:
    """The roles of a chat row; none if one of them is misspelt, for then that is the defect."""
    if row.format != "chat" or not row.messages:
        return []
    roles = [message.role for message in row.messages]
    return roles if all(map(_is_known, roles)) else []


def _did_you_mean(key: str, there: str | None) -> str:
    return f": it has {there!r}: did you mean {key!r}?" if there else ""


def _meant(message: dict) -> dict[str, str]:
    """Of a message without role or content: the misspelt key that was probably meant."""
    unknown = message.keys() - MESSAGE_KEYS
    missing = [key for key in ("role", "content") if key not in message] if unknown else []
    return {key: near for key in missing if (near := nearest(key, unknown))}


def _unknown_keys(keys: Set[str], known: set[str], where: str) -> Iterator[str]:
    for key in sorted(keys - known)[:MOST_KEYS]:
        near = difflib.get_close_matches(key.strip().lower(), known, n=1, cutoff=0.75)
        near = ["weight"] if key in ("loss", "train") and "weight" in known else near  # ms-swift, axolotl
        yield f"{where}{key!r:.60}" + (f"; did you mean {near[0]!r}?" if near else "")
