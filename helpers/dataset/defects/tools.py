"""Defects of tool definitions, calls and replies, and of their older form, functions."""

import re
from collections.abc import Iterable

from ..codes import ERROR, OLD, SPEC, WARNING, defect
from ..lines import is_json
from ..row import Message, Row
from .file import kind_of

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
REPLIES = ("tool", "function")


def is_name(name) -> bool:
    """True for 1 to 64 of a-z, A-Z, 0-9, _ and -."""
    return isinstance(name, str) and NAME.fullmatch(name) is not None


@defect(ERROR, f"FunctionObject in {SPEC}")
def function_name(row: Row) -> Iterable[str]:
    """a function name that is not 1 to 64 of a-z, A-Z, 0-9, _ and -
    Rename the function."""
    named = [(where, function) for _, where, _, function in row.calls] + row.definitions
    named += [(message.where, message.value) for message in row.messages if message.role == "function"]
    for where, function in named:
        if isinstance(function, dict) and "name" in function and not is_name(function["name"]):
            yield f"{where}: {function['name']!r:.80}"


@defect(ERROR, f"ChatCompletionMessageToolCall and FunctionObject in {SPEC}")
def tool_call_shape(row: Row) -> Iterable[str]:
    """a tool call or tool definition that lacks a part
    A call needs id, "type": "function" and function {name, arguments}; a tool needs function {name}."""
    for message in row.messages:
        calls = message.value.get("tool_calls", ...)
        if calls is not ... and (not isinstance(calls, list) or not calls):
            found = (
                "an empty list: delete the key" if calls == [] else f"{kind_of(calls)}, not a list of calls"
            )
            yield f"{message.where}: 'tool_calls' is {found}"
        if not isinstance(message.value.get("function_call"), dict | None):
            yield f"{message.where}: 'function_call' is not an object"
    for _message, where, call, function in row.calls:
        if function is None:
            yield f"{where}: no 'function'"
            continue
        if call is not None and call.get("type") != "function":
            yield f'{where}: no "type": "function"'
        if call is not None and not isinstance(call.get("id"), str):
            yield f"{where}: no 'id'"
        if "name" not in function:
            yield f"{where}: the function has no 'name'"
    for key in ("tools", "functions"):
        if not isinstance(row.options.get(key, []), list):
            yield f"{key!r} is not a list"
    for where, function in row.definitions:
        if not isinstance(function, dict) or "name" not in function:
            yield f"{where}: no 'function' with a 'name'"
    if not isinstance(parallel := row.options.get("parallel_tool_calls", True), bool):
        yield f"'parallel_tool_calls' is {kind_of(parallel)}, not true or false"


@defect(ERROR, f"arguments are a JSON string: {OLD}")
def tool_arguments(row: Row) -> Iterable[str]:
    """arguments of a tool call that are not a text with JSON in it
    Write them with json.dumps."""
    for _message, where, _call, function in row.calls:
        arguments = function.get("arguments") if function else ""
        if not isinstance(arguments, str):
            yield f"{where}: they are {kind_of(arguments)}"
        elif function and not is_json(arguments):
            yield f"{where}: {arguments[:40]!r}"


@defect(ERROR, f"FunctionParameters in {SPEC}")
def tool_parameters(row: Row) -> Iterable[str]:
    """parameters of a tool that are not a JSON schema of an object
    Write {"type": "object", "properties": {...}}, or leave them out."""
    for where, function in row.definitions:
        if isinstance(function, dict) and "parameters" in function:
            parameters = function["parameters"]
            if not isinstance(parameters, dict):
                yield f"{where}: they are {kind_of(parameters)}"
            elif parameters.get("type", "object") != "object":
                yield f"{where}: their type is {parameters['type']!r:.40}"
            elif not isinstance(parameters.get("properties", {}), dict):
                yield f"{where}: their properties are {kind_of(parameters['properties'])}"


@defect(WARNING, "consequence: the model learns to call tools that it was not offered")
def tool_undefined(row: Row) -> Iterable[str]:
    """a call of a tool that the row's 'tools' do not define
    Add the definition to 'tools' of this row."""
    defined = {
        name for _, one in row.definitions if isinstance(one, dict) and is_name(name := one.get("name"))
    }
    for message, _where, _call, function in row.calls:
        name = function.get("name") if function else None
        if is_name(name) and name not in defined:
            yield f"{message.where}: {name!r}"


@defect(WARNING, "consequence: the model learns to trust results that it never asked for")
def tool_reply_without_call(row: Row) -> Iterable[str]:
    """a tool reply that answers no earlier call
    Give it the tool_call_id (an old function's: the name) of the call before it."""
    for messages in row.conversations:
        called: set = set()
        for message in messages:
            if message.role == "tool":
                answered = message.value.get("tool_call_id")
                if not isinstance(answered, str) or ("id", answered) not in called:
                    yield f"{message.where}: tool_call_id {answered!r:.60}"
            elif message.role == "function" and ("name", str(message.value.get("name"))) not in called:
                yield f"{message.where}: function {message.value.get('name')!r:.60}"
            called.update(_open_calls(message))


@defect(
    WARNING,
    "microsoft-foundry/fine-tuning issue 23: Azure refuses the file without saying where. Consequence: the model "
    "learns to go on without the result",
)
def tool_call_without_reply(row: Row) -> Iterable[str]:
    """a call that no tool message answers before the next turn
    Add the reply: a tool message with its tool_call_id, right after the call."""
    for messages in row.conversations:
        open_calls: dict = {}
        for number, message in enumerate(messages):
            if message.role in REPLIES and open_calls:
                key = "id" if message.role == "tool" else "name"
                answered = key, str(message.value.get("tool_call_id" if key == "id" else "name"))
                # a reply that answers none has the wrong id: that is the defect, not the call
                open_calls.pop(answered if answered in open_calls else next(iter(open_calls)))
            if message.role not in REPLIES or number == len(messages) - 1:
                yield from (f"{where}: {what[1]!r:.60}" for what, where in open_calls.items())
                open_calls = {}
            if number < len(messages) - 1:
                open_calls |= _open_calls(message)


def _open_calls(message: Message) -> dict[tuple[str, str], str]:
    """What a message calls: an id, or the name of an old function -> where."""
    found = {}
    calls = message.value.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        if isinstance(call, dict) and isinstance(call.get("id"), str) and "function" in call:
            found["id", call["id"]] = message.where
    old = message.value.get("function_call")
    if isinstance(old, dict) and isinstance(old.get("name"), str):
        found["name", old["name"]] = message.where
    return found
