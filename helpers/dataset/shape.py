"""Checks of the shape of one row: keys, roles, types, tools, images, preferences."""

import difflib
import json
import re
from collections.abc import Iterator, Set

from .formats import ROLES, format_of

Found = tuple[str, str]  # a code and where in the row, in words

ROW_KEYS = {"messages", "tools", "parallel_tool_calls", "functions"}
PREFERENCE_KEYS = {"input", "preferred_output", "non_preferred_output"}
OTHER_SPELLING = {
    "preferred_output": "preferred_completion",
    "non_preferred_output": "non_preferred_completion",
}
PAIR_KEYS = {"prompt", "completion"}
MESSAGE_KEYS = {"role", "content", "name", "weight", "tool_calls", "tool_call_id", "function_call", "refusal"}
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
KNOWN_ROLES = frozenset(ROLES)
PLAIN_ROLES = frozenset(("system", "user", "assistant"))
MOST_KEYS = 20  # unknown keys reported of one object
MAX_IMAGES = 10
MAX_IMAGE_BYTES = 10_000_000
IMAGE_TYPES = ("jpeg", "jpg", "png", "webp")
BASE64_IMAGE = re.compile(rf"data:image/({'|'.join(IMAGE_TYPES)});base64,", re.IGNORECASE)
WRONG_ENDING = re.compile(r"\.(gif|bmp|tiff?|svg|heic|pdf|avif)(\?|#|$)", re.IGNORECASE)


def check_shape(row) -> list[Found]:
    """Everything that is wrong with the shape of a row, as (code, where)."""
    if _is_plain(row):
        return []
    kind = format_of(row)
    if not isinstance(row, dict):
        return [("not_object", f"it is {_kind_of(row)}")]
    if kind == "chat":
        return list(_chat(row))
    if kind == "preference":
        return list(_preference(row))
    if kind == "completion":
        return list(_pair(row))
    near = _nearest("messages", row)
    return [("no_messages", f"did you mean {near!r}?" if near else f"its keys are {_names(row)}")]


def _is_plain(row) -> bool:
    """True for the usual row, which has nothing but texts and is right: told in one pass, for speed."""
    if type(row) is not dict or len(row) != 1 or type(messages := row.get("messages")) is not list:
        return False
    role = None
    for message in messages:
        if type(message) is not dict or len(message) != 2:
            return False
        role, content = message.get("role"), message.get("content")
        if (
            type(role) is not str
            or role not in PLAIN_ROLES
            or type(content) is not str
            or not content.strip()
        ):
            return False
    return role == "assistant"


def _kind_of(value) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _names(keys) -> str:
    return ", ".join(repr(key) for key in list(keys)[:5]) or "none"


def _nearest(wanted: str, keys) -> str | None:
    """The key that is probably a misspelling of the wanted one."""
    spelling = {key.strip().lower(): key for key in keys}
    near = difflib.get_close_matches(wanted, spelling, n=1, cutoff=0.75)
    return spelling[near[0]] if near else None


def _unknown_keys(keys: Set[str], known: set[str], where: str) -> Iterator[Found]:
    for key in sorted(keys - known)[:MOST_KEYS]:
        near = difflib.get_close_matches(key.strip().lower(), known, n=1, cutoff=0.75)
        yield "unknown_key", f"{where}{key!r:.60}" + (f"; did you mean {near[0]!r}?" if near else "")


def _chat(row: dict) -> Iterator[Found]:
    if not row.keys() <= ROW_KEYS:
        yield from _unknown_keys(row.keys(), ROW_KEYS, "")
    messages = row["messages"]
    yield from _messages(messages)
    if not isinstance(messages, list) or not messages:
        return
    if "tools" in row or "functions" in row:
        yield from _definitions(row)
    messages = [message for message in messages if isinstance(message, dict)]
    if any("tool_calls" in message or message.get("role") == "tool" for message in messages):
        yield from _tool_links(messages, _defined(row))
    roles = [message.get("role") for message in messages]
    if all(role in ROLES or role == "developer" for role in roles):  # else the misspelt role is the defect
        yield from _turns(messages, roles)


def _turns(messages: list[dict], roles: list[str]) -> Iterator[Found]:
    if "assistant" not in roles:
        yield "no_assistant", f"roles: {', '.join(roles[:5])}"
        return
    if roles[-1] != "assistant":
        yield "ends_on_user_turn", f"message {len(roles)} is from the role {roles[-1]!r}"
    if all(_is_zero(message.get("weight")) for message in messages if message["role"] == "assistant"):
        yield "all_weights_zero", ""


def _is_zero(weight) -> bool:
    return type(weight) in (int, float) and weight == 0


def _messages(messages, where: str = "") -> Iterator[Found]:
    if not isinstance(messages, list) or not messages:
        yield "empty_messages", f"{where}it is {'an empty list' if messages == [] else _kind_of(messages)}"
        return
    images = 0
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict):
            yield "message_not_object", f"{where}message {number} is {_kind_of(message)}"
            continue
        if isinstance(content := message.get("content"), list):
            images += sum(isinstance(part, dict) and part.get("type") == "image_url" for part in content)
        yield from _message(message, f"{where}message {number}")
    if images > MAX_IMAGES:
        yield "image_count", f"{where}{images} images"


def _message(message: dict, where: str) -> Iterator[Found]:
    meant = {}  # missing key -> the misspelt key that was probably meant
    for key in ("role", "content"):
        if key not in message and (near := _nearest(key, message.keys() - MESSAGE_KEYS)):
            meant[key] = near
    yield from _unknown_keys(message.keys() - set(meant.values()), MESSAGE_KEYS, f"{where}: ")
    role = message.get("role")
    if "role" not in message:
        yield "missing_role", where + _did_you_mean(meant.get("role"))
    elif role == "developer":
        yield "developer_role", where
    elif not isinstance(role, str) or role not in KNOWN_ROLES:
        near = difflib.get_close_matches(str(role).strip().lower(), ROLES, n=1)
        yield "unknown_role", f"{where}: {str(role)[:40]!r}" + _did_you_mean(near[0] if near else None)
    yield from _content(message, where, meant.get("content"))
    if "weight" in message:
        yield from _weight(message, where)
    if "name" in message and not _is_name(message["name"]):
        yield ("function_name" if role == "function" else "message_name"), f"{where}: {message['name']!r:.80}"
    if "tool_calls" in message:
        yield from _tool_calls(message["tool_calls"], where)
    if isinstance(call := message.get("function_call"), dict):
        yield from _function(call, where)


def _did_you_mean(key: str | None) -> str:
    return f"; did you mean {key!r}?" if key else ""


def _content(message: dict, where: str, meant: str | None) -> Iterator[Found]:
    content = message.get("content")
    if content is None:
        if not (message.get("tool_calls") or message.get("function_call") or message.get("refusal")):
            yield "missing_content", where + _did_you_mean(meant)
    elif isinstance(content, str):
        if (
            not content.strip()
            and not message.get("tool_calls")
            and message.get("role") not in ("tool", "function")
        ):
            yield "empty_content", where
    elif isinstance(content, list):
        yield from _parts(content, message.get("role"), where)
    else:
        yield "content_type", f"{where}: it is {_kind_of(content)}"


def _parts(parts: list, role, where: str) -> Iterator[Found]:
    if not parts:
        yield "empty_content", where
    for number, part in enumerate(parts, start=1):
        place = f"{where}, part {number}"
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "image_url":
            yield from _image(part, role, place)
        elif kind == "refusal" and role == "assistant":
            continue
        elif kind != "text" or not isinstance(part.get("text"), str):
            yield "content_part", f"{place}: {str(kind)[:40]!r}"


def _image(part: dict, role, place: str) -> Iterator[Found]:
    if role != "user":
        yield "image_on_assistant", f"{place}, role {role!r:.40}"
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else None
    if not isinstance(url, str):
        yield "content_part", f"{place}: no image_url with a url in it"
    elif url[:5].lower() == "data:":
        if not (head := BASE64_IMAGE.match(url)):
            yield "image_type", f"{place}: {url[:40]!r}"
        elif (size := (len(url) - head.end()) * 3 // 4) > MAX_IMAGE_BYTES:
            yield "image_size", f"{place}: {size / 1e6:.1f} MB"
    elif not url.lower().startswith(("http://", "https://")) or WRONG_ENDING.search(url):
        yield "image_type", f"{place}: {url[:60]!r}"


def _weight(message: dict, where: str) -> Iterator[Found]:
    weight = message["weight"]
    if message.get("role") != "assistant":
        yield "weight_role", f"{where}, role {message.get('role')!r:.40}"
    elif type(weight) not in (int, float) or weight not in (0, 1):
        yield "bad_weight", f"{where}: {weight!r:.40}"


def _is_name(name) -> bool:
    return isinstance(name, str) and NAME.fullmatch(name) is not None


def _tool_calls(calls, where: str) -> Iterator[Found]:
    if not isinstance(calls, list) or not calls:
        yield "tool_call_shape", f"{where}: 'tool_calls' is not a list with at least one call"
        return
    for number, call in enumerate(calls, start=1):
        place = f"{where}, call {number}"
        if not isinstance(call, dict) or not isinstance(call.get("function"), dict):
            yield "tool_call_shape", f"{place}: no 'function'"
            continue
        if call.get("type") != "function":
            yield "tool_call_shape", f'{place}: no "type": "function"'
        if not isinstance(call.get("id"), str):
            yield "tool_call_shape", f"{place}: no 'id'"
        yield from _function(call["function"], place)


def _function(function: dict, place: str) -> Iterator[Found]:
    if "name" not in function:
        yield "tool_call_shape", f"{place}: the function has no 'name'"
    elif not _is_name(function["name"]):
        yield "function_name", f"{place}: {function['name']!r:.80}"
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        yield "tool_arguments", f"{place}: they are {_kind_of(arguments)}"
        return
    try:
        json.loads(arguments)
    except (ValueError, RecursionError):
        yield "tool_arguments", f"{place}: {arguments[:40]!r}"


def _definitions(row: dict) -> Iterator[Found]:
    tools = row.get("tools", [])
    if not isinstance(tools, list):
        yield "tool_call_shape", "'tools' is not a list"
        return
    for number, tool in enumerate(tools, start=1):
        if (
            not isinstance(tool, dict)
            or not isinstance(tool.get("function"), dict)
            or "name" not in tool["function"]
        ):
            yield "tool_call_shape", f"tool {number}: no 'function' with a 'name'"
        elif not _is_name(tool["function"]["name"]):
            yield "function_name", f"tool {number}: {tool['function']['name']!r:.80}"


def _defined(row: dict) -> set[str]:
    tools = row.get("tools") if isinstance(row.get("tools"), list) else []
    functions = [tool.get("function") for tool in tools if isinstance(tool, dict)]
    return {
        function["name"]
        for function in functions
        if isinstance(function, dict) and _is_name(function.get("name"))
    }


def _tool_links(messages: list[dict], defined: set[str]) -> Iterator[Found]:
    called: set[str] = set()
    for number, message in enumerate(messages, start=1):
        if message.get("role") == "tool":
            answered = message.get("tool_call_id")
            if not isinstance(answered, str) or answered not in called:
                yield "tool_reply_without_call", f"message {number}: tool_call_id {answered!r:.60}"
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if not isinstance(call, dict):
                continue
            if isinstance(call.get("id"), str):
                called.add(call["id"])
            function = call.get("function")
            name = function.get("name") if isinstance(function, dict) else None
            if _is_name(name) and name not in defined:
                yield "tool_undefined", f"message {number}: {name!r}"


def _preference(row: dict) -> Iterator[Found]:
    outputs = {}
    for key, other in OTHER_SPELLING.items():
        if key not in row and other in row:
            yield "dpo_key_spelling", other
        outputs[key] = row.get(key, row.get(other))
    yield from _unknown_keys(row.keys(), PREFERENCE_KEYS | set(OTHER_SPELLING.values()), "")
    given = row["input"]
    if not isinstance(given, dict):
        yield "empty_messages", f"'input' is {_kind_of(given)}, not an object with 'messages'"
    else:
        yield from _unknown_keys(given.keys(), ROW_KEYS, "input: ")
        yield from _messages(given.get("messages"), "input, ")
    for key, output in outputs.items():
        yield from _output(key, output)
    first, second = outputs.values()
    if isinstance(first, list) and first and first == second:
        yield "dpo_identical", ""


def _output(key: str, output) -> Iterator[Found]:
    if not isinstance(output, list) or not output:
        yield "dpo_outputs", f"{key} is {'an empty list' if output == [] else _kind_of(output)}"
        return
    if len(output) > 1:
        yield "dpo_turns", f"{key} has {len(output)} messages"
    yield from _messages(output, f"{key}, ")
    role = output[0].get("role") if isinstance(output[0], dict) else None
    if role in ("system", "user", "tool", "function"):
        yield "dpo_outputs", f"{key} is from the role {role!r}, not the assistant"


def _pair(row: dict) -> Iterator[Found]:
    yield from _unknown_keys(row.keys(), PAIR_KEYS, "")
    for key in ("prompt", "completion"):
        if not isinstance(row[key], str):
            yield "content_type", f"{key!r} is {_kind_of(row[key])}"
    if row["completion"] == "":
        yield "empty_content", "'completion'"
