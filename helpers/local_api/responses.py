"""The Responses API: a request becomes a chat, and what the chat answers becomes items.

Answered, cut and counted by ``chat``, so all that is simulated there is simulated here. What OpenAI does on its own
servers for a response is refused by name: built-in tools, conversations, reusable prompts. In the background nothing
runs either: the answer is there when the request returns, and is shown BACKGROUND_SECONDS later.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from openai.types import responses as types

from .. import tokens
from . import chat, history, models, usage, validate
from .client import Client
from .errors import APIError, bad_request
from .jobs import check_metadata
from .scenarios import Caller
from .store import Row, Store, new_id
from .validate import model_dump

BACKGROUND_SECONDS = 2.0  # none in tests, where jobs take no time either
RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "max_output_tokens": (16, None),  # not in the API description; the refusal was seen live by third parties
    "top_logprobs": (0, 20),
}
REFUSED = {
    "conversation": "The Conversations API",
    "prompt": "A reusable prompt",
    "context_management": "Compaction",
    "moderation": "Moderation of a response",
}
CALLS = {
    "function_call": "arguments",
    "custom_tool_call": "input",
}  # item -> where it says what is called with
OUTPUTS = {f"{kind}_output" for kind in CALLS}
# Kinds of items that a chat can be made of; all others come from built-in tools.
KINDS = {"message", "reasoning", "item_reference", *CALLS, *OUTPUTS}
PREFIXES = {
    "message": "msg_",
    "reasoning": "rs_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctc_",
}
LOGPROBS, ENCRYPTED = "message.output_text.logprobs", "reasoning.encrypted_content"
SUMMARY = "Simulated: no thought took place."
ITEM = "response_item"  # kind of the rows by which an item of an answer can be referred to
OVER = ("completed", "incomplete", "cancelled", "failed")
# of a chat request -> of a response: an error of the chat names what the caller has sent
NAMES = {
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "logprobs": "top_logprobs",
}
EVENTS = {
    "response.created": types.ResponseCreatedEvent,
    "response.in_progress": types.ResponseInProgressEvent,
    "response.output_item.added": types.ResponseOutputItemAddedEvent,
    "response.content_part.added": types.ResponseContentPartAddedEvent,
    "response.output_text.delta": types.ResponseTextDeltaEvent,
    "response.output_text.done": types.ResponseTextDoneEvent,
    "response.refusal.delta": types.ResponseRefusalDeltaEvent,
    "response.refusal.done": types.ResponseRefusalDoneEvent,
    "response.content_part.done": types.ResponseContentPartDoneEvent,
    "response.function_call_arguments.delta": types.ResponseFunctionCallArgumentsDeltaEvent,
    "response.function_call_arguments.done": types.ResponseFunctionCallArgumentsDoneEvent,
    "response.custom_tool_call_input.delta": types.ResponseCustomToolCallInputDeltaEvent,
    "response.custom_tool_call_input.done": types.ResponseCustomToolCallInputDoneEvent,
    "response.reasoning_summary_part.added": types.ResponseReasoningSummaryPartAddedEvent,
    "response.reasoning_summary_part.done": types.ResponseReasoningSummaryPartDoneEvent,
    "response.reasoning_summary_text.delta": types.ResponseReasoningSummaryTextDeltaEvent,
    "response.reasoning_summary_text.done": types.ResponseReasoningSummaryTextDoneEvent,
    "response.output_item.done": types.ResponseOutputItemDoneEvent,
    "response.completed": types.ResponseCompletedEvent,
    "response.incomplete": types.ResponseIncompleteEvent,
}


@dataclass(frozen=True)
class Asked:
    """A request, read: what was put in, the chat that it makes, and the response as it looks before it is answered."""

    store: Store
    caller: Caller
    body: dict
    items: list[dict]
    chat: dict
    response: dict

    def told(self) -> "Teller":
        """What tells of the answer; a model that reasons begins with an item that says so, and holds no thought.

        Its response names the effort, also where that is the model's own (OpenAI's cookbook, reasoning_items.ipynb).
        """
        model = models.choose(self.store, self.caller, self.body["model"])
        if not usage.reasoning_tokens(model, self.chat):
            return Teller(self.response, [])
        self.response["reasoning"]["effort"] = models.reasoning_effort(model, self.chat)
        is_encrypted = ENCRYPTED in (self.body.get("include") or [])
        return Teller(self.response, [_reasoning(is_encrypted, bool(self.response["reasoning"]["summary"]))])


def create(
    store: Store, caller: Caller, body: dict, *, lenient: bool = False, client: Client | None = None
) -> dict:
    """POST /responses without ``stream``. ``lenient`` takes what the client's own tests send (conformance only)."""
    asked = _read(store, caller, body, lenient)
    completion = _in_words_of_a_response(chat.complete, asked, lenient, client)
    (choice,) = completion["choices"]
    told = asked.told()
    for piece in _pieces_of_delta(choice["message"], choice.get("logprobs")):  # each part in one piece
        told.take(piece)
    told.finish()
    response = _ended(asked, told, choice["finish_reason"], completion)
    if body.get("background"):
        response = response | _not_yet("queued")
    return model_dump(types.Response, response)


def stream(
    store: Store, caller: Caller, body: dict, *, lenient: bool = False, client: Client | None = None
) -> Iterator[str]:
    """POST /responses with ``stream``: server-sent events. Errors are raised before the first one."""
    asked = _read(store, caller, body, lenient)
    return _events(asked, _in_words_of_a_response(chat.chunks, asked, lenient, client))


def _in_words_of_a_response(call, asked: Asked, lenient: bool, client: Client | None):
    """What the chat gives. An error that it raises names the parameters of a response."""
    try:
        return call(asked.store, asked.caller, asked.chat, lenient=lenient, client=client)
    except APIError as error:
        said, param = error.error, error.error["param"]
        ours = param and _ours(param)
        message = said["message"] if ours == param else said["message"].replace(param, ours)
        for name, other in NAMES.items():
            message = message.replace(f"'{name}'", f"'{other}'")
        raise APIError(
            error.status, message, type=said["type"], param=ours, code=said["code"], headers=error.headers
        ) from None


def _ours(param: str) -> str:
    """The place in the request of a response that became this place in the request of a chat."""
    if param.startswith("messages"):
        return "input"
    if param.startswith("tools["):
        return param.replace(".function", "").replace(".custom", "")
    name, dot, rest = param.replace("response_format.json_schema", "response_format").partition(".")
    return NAMES.get(name, name) + dot + rest


def _events(asked: Asked, chunks: Iterator[dict]) -> Iterator[str]:
    told = asked.told()
    yield from told.begin()
    finish_reason, chunk = "stop", {}
    for chunk in chunks:  # the last one has the usage
        for choice in chunk["choices"]:
            for piece in _pieces_of_delta(choice["delta"], choice.get("logprobs")):
                yield from told.take(piece)
            finish_reason = choice["finish_reason"] or finish_reason
    yield from told.finish()
    yield told.end(_ended(asked, told, finish_reason, chunk))


# --- what a request says -----------------------------------------------------------------------------------


def _read(store: Store, caller: Caller, body: dict, lenient: bool) -> Asked:
    """The request, checked. Raises what is wrong with it; the chat that it makes is checked by ``chat``."""
    if lenient:  # the client's tests send everything at once, or nothing
        body = {"model": "gpt-4o-mini", "input": "Hello"} | body
        body = {key: value for key, value in body.items() if key not in REFUSED}
    else:
        _check(body)
    items = [*_before(store, caller, body), *(new := _input(store, caller, body.get("input")))]
    _refuse_unanswered(items)
    return Asked(store, caller, body, new, _chat(body, items), new_response(store, body))


def _check(body: dict) -> None:
    for name in ("model", "input"):
        if body.get(name) is None:
            raise bad_request(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    for name, what in REFUSED.items():
        if body.get(name) is not None:
            raise _not_simulated(what, name)
    validate.check_ranges(body, RANGES)
    check_metadata(body.get("metadata") or {})
    if body.get("background") and body.get("store") is False:
        raise bad_request("'background' needs 'store': it is looked up later.", "store")


def _not_simulated(what: str, param: str) -> APIError:
    message = f"{what} is part of the OpenAI API, but it is not simulated here. See the README for what is."
    return bad_request(message, param, "not_simulated")


def _input(store: Store, caller: Caller, given: str | list | None) -> list[dict]:
    """The items of a request as they are kept and listed: each with an id, texts as parts."""
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    return [_item(store, caller, item, number) for number, item in enumerate(given or [])]


def _item(store: Store, caller: Caller, item: dict, number: int) -> dict:
    kind = item.get("type") or ("message" if "role" in item else "item_reference")
    if kind not in KINDS:
        raise _not_simulated(f"An item of type '{kind}'", f"input[{number}].type")
    if kind == "item_reference":
        row = store.get(ITEM, item["id"], caller.owner)
        if row is None:
            raise bad_request(f"Item with id '{item['id']}' not found.", "input")
        return row.body
    item_id = item.get("id") or new_id(PREFIXES.get(kind, "fc_"), 50)
    item = item | {"type": kind, "id": item_id, "status": "completed"}
    if kind == "message":
        content = item["content"]
        parts = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
        item["content"] = [_said(part) for part in parts] if item["role"] == "assistant" else parts
    return item


def _said(part: dict) -> dict:
    """A text of the assistant, which may be given as any text, in the form in which it is listed."""
    is_text = part["type"] in ("input_text", "output_text")
    return {"annotations": []} | part | {"type": "output_text"} if is_text else part


def _before(store: Store, caller: Caller, body: dict) -> list[dict]:
    """The items of the conversation that the request goes on with, oldest first."""
    rounds, response_id = [], body.get("previous_response_id")
    while response_id:
        row = store.get("response", response_id, caller.owner)
        if row is None:
            message = f"Previous response with id '{response_id}' not found."
            raise bad_request(message, "previous_response_id", "previous_response_not_found")
        rounds.append([*row.body["input"], *row.body["response"]["output"]])
        response_id = row.body["response"]["previous_response_id"]
    return [item for items in reversed(rounds) for item in items]


def _refuse_unanswered(items: list[dict]) -> None:
    """400 as at OpenAI for a call without its output, or an output without its call."""
    calls = {item["call_id"]: item for item in items if item["type"] in CALLS}
    outputs = {item.get("call_id"): item for item in items if item["type"] in OUTPUTS}
    for call, output in outputs.items():
        if call not in calls:
            kind = output["type"].replace("_", " ")
            raise bad_request(f"No tool call found for {kind} with call_id {call}.", "input")
    for call, item in calls.items():
        if call not in outputs:
            kind = item["type"].replace("_", " ")
            raise bad_request(f"No tool output found for {kind} {call}.", "input")


def _chat(body: dict, items: list[dict]) -> dict:
    """The chat request that a response stands on."""
    text, tools = body.get("text") or {}, _tools(body)
    asked = {
        "model": body["model"],
        "messages": [*_instructions(body), *_messages(items)],
        "tools": tools or None,
        "tool_choice": _tool_choice(body, bool(tools)),
        "parallel_tool_calls": body.get("parallel_tool_calls") if tools else None,
        "response_format": _response_format(text.get("format")),
        "verbosity": text.get("verbosity"),
        "reasoning_effort": (body.get("reasoning") or {}).get("effort"),
        "max_completion_tokens": body.get("max_output_tokens"),
        "temperature": body.get("temperature"),
        "top_p": body.get("top_p"),
    }
    if LOGPROBS in (body.get("include") or []) or body.get("top_logprobs"):
        asked |= {"logprobs": True, "top_logprobs": body.get("top_logprobs") or 0}
    return {key: value for key, value in asked.items() if value is not None}


def _instructions(body: dict) -> list[dict]:
    text = body.get("instructions")
    return [{"role": "system", "content": text}] if text else []


def _messages(items: list[dict]) -> list[dict]:
    """The items as messages of a chat: each call is followed by its output, wherever that was given."""
    outputs = {item["call_id"]: item for item in items if item["type"] in OUTPUTS}
    messages, called = [], []
    for item in items:
        if item["type"] in CALLS:
            called.append(item)
        elif item["type"] != "reasoning":
            messages, called = messages + _calls(called, outputs), []
        if item["type"] == "message":
            messages.append({"role": item["role"], "content": _content(item)})
    return messages + _calls(called, outputs)


def _calls(called: list[dict], outputs: dict[str, dict]) -> list[dict]:
    """One message with these calls, then the replies of the tools."""
    if not called:
        return []
    calls = []
    for item in called:
        kind, key = ("custom", "input") if item["type"] == "custom_tool_call" else ("function", "arguments")
        calls.append({"id": item["call_id"], "type": kind, kind: {"name": item["name"], key: item[key]}})
    replies = [
        {"role": "tool", "tool_call_id": item["call_id"], "content": _output(outputs[item["call_id"]])}
        for item in called
    ]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *replies]


def _output(item: dict) -> str:
    output = item["output"]
    return output if isinstance(output, str) else "\n".join(part.get("text") or "" for part in output)


def _content(item: dict) -> str | list[dict]:
    parts = [_chat_part(part) for part in item["content"]]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _chat_part(part: dict) -> dict:
    if part["type"] == "input_image":
        return {"type": "image_url", "image_url": {"url": part.get("image_url") or ""}}
    if part["type"] == "input_file":
        return {"type": "file", "file": {key: part[key] for key in ("file_id", "filename") if part.get(key)}}
    return {"type": "text", "text": part.get("text") or part.get("refusal") or ""}


def _tools(body: dict) -> list[dict]:
    """The tools in the form of a chat. 400 for those that OpenAI runs itself."""
    tools = body.get("tools") or []
    for number, tool in enumerate(tools):
        if tool["type"] not in ("function", "custom"):
            raise _not_simulated(f"The tool '{tool['type']}'", f"tools[{number}].type")
    allowed = _allowed(body)
    return [_tool(tool) for tool in tools if allowed is None or tool["name"] in allowed]


def _tool(tool: dict) -> dict:
    keys = ("name", "description", "parameters", "strict", "format")
    inner = {key: tool[key] for key in keys if tool.get(key) is not None}
    if (inner.get("format") or {}).get("type") == "grammar":
        inner["format"] = {"type": "grammar", "grammar": inner["format"]}
    return {"type": tool["type"], tool["type"]: inner}


def _allowed(body: dict) -> list | None:
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] == "allowed_tools":
        return [tool.get("name") for tool in choice["tools"]]
    return None


def _tool_choice(body: dict, has_tools: bool) -> str | dict | None:
    choice = body.get("tool_choice")
    if choice in ("none", "auto") and not has_tools:  # what many send; a chat would refuse it
        return None
    if not isinstance(choice, dict):
        return choice
    if choice["type"] == "allowed_tools":
        return choice["mode"]
    if choice["type"] not in ("function", "custom"):
        raise _not_simulated(f"The tool '{choice['type']}'", "tool_choice.type")
    return {"type": choice["type"], choice["type"]: {"name": choice["name"]}}


def _response_format(given: dict | None) -> dict | None:
    if not given or given["type"] == "text":
        return None
    if given["type"] == "json_object":
        return given
    schema = {key: value for key, value in given.items() if key != "type"}
    return {"type": "json_schema", "json_schema": schema}


# --- what is answered --------------------------------------------------------------------------------------


def new_response(store: Store, body: dict) -> dict:
    """The response before it is answered."""
    text, reasoning = body.get("text") or {}, body.get("reasoning") or {}
    usual = {"function": {"description": None, "parameters": None, "strict": True}}
    tools = [usual.get(tool["type"], {}) | tool for tool in body.get("tools") or []]
    return {
        "id": new_id("resp_", 50),
        "object": "response",
        "created_at": int(store.clock()),
        "model": body["model"],
        "output": [],
        "instructions": body.get("instructions"),
        "previous_response_id": body.get("previous_response_id"),
        "background": bool(body.get("background")),
        "store": body.get("store") is not False,
        "tools": tools,
        "tool_choice": body.get("tool_choice") or "auto",
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "temperature": 1.0 if body.get("temperature") is None else body["temperature"],
        "top_p": 1.0 if body.get("top_p") is None else body["top_p"],
        "top_logprobs": body.get("top_logprobs") or 0,
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": body.get("max_tool_calls"),
        "text": {
            "format": text.get("format") or {"type": "text"},
            "verbosity": text.get("verbosity") or "medium",
        },
        "reasoning": {
            "effort": reasoning.get("effort"),
            "summary": reasoning.get("summary") or reasoning.get("generate_summary"),
        },
        "truncation": body.get("truncation") or "disabled",
        "service_tier": "default",
        "metadata": body.get("metadata") or {},
        "prompt_cache_key": body.get("prompt_cache_key"),
        "safety_identifier": body.get("safety_identifier"),
        "user": body.get("user"),
        "error": None,
        **_not_yet("in_progress"),
    }


def _not_yet(status: str) -> dict:
    return {
        "status": status,
        "output": [],
        "usage": None,
        "incomplete_details": None,
        "completed_at": None,
    }


def _ended(asked: Asked, told: "Teller", finish_reason: str, answered: dict) -> dict:
    """The response with its answer; kept, unless the caller does not want it. ``answered``: the chat's own answer."""
    is_cut = finish_reason == "length"
    if is_cut and told.items:
        told.items[-1]["status"] = "incomplete"
    response = asked.response | {
        "model": answered["model"],
        "status": "incomplete" if is_cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "output": told.items,
        "usage": _usage(answered["usage"]),
        "completed_at": None if is_cut else int(asked.store.clock()),
    }
    if response["store"]:
        _keep(asked, response)
    return response


def _keep(asked: Asked, response: dict) -> None:
    """Writes the response; one that runs in the background is shown as ended only later."""
    waits = response["background"] and not asked.body.get("stream") and history.job_seconds()
    kept = {
        "response": response,
        "input": asked.items,
        "ends_at": asked.store.clock() + (BACKGROUND_SECONDS if waits else 0),
    }
    owner = asked.caller.owner
    with asked.store.write() as db:
        asked.store.insert(db, "response", response["id"], owner, kept)
        for item in response["output"]:
            asked.store.insert(db, ITEM, item["id"], owner, item, parent=response["id"])


def _usage(used: dict) -> dict:
    """A chat's usage in the form of a response."""
    prompt = used.get("prompt_tokens_details") or {}
    completion = used.get("completion_tokens_details") or {}
    return {
        "input_tokens": used["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": prompt.get("cached_tokens") or 0, "cache_write_tokens": 0},
        "output_tokens": used["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": completion.get("reasoning_tokens") or 0},
        "total_tokens": used["total_tokens"],
    }


@dataclass
class Piece:
    """A part of an answer as it comes: some text or refusal, or some of a call's arguments."""

    text: str = ""
    refusal: str = ""
    call: dict | None = None  # its kind, id and name, with its first piece
    arguments: str = ""
    logprobs: list[dict] = field(default_factory=list)


def _pieces_of_delta(delta: dict, logprobs: dict | None) -> Iterator[Piece]:
    if delta.get("content"):
        yield Piece(text=delta["content"], logprobs=(logprobs or {}).get("content") or [])
    if delta.get("refusal"):
        yield Piece(refusal=delta["refusal"])
    for part in delta.get("tool_calls") or []:
        inner, call = part.get("function") or part.get("custom") or {}, None
        if part.get("id"):
            kind = "custom_tool_call" if part["type"] == "custom" else "function_call"
            call = {"type": kind, "call_id": part["id"], "name": inner["name"]}
        yield Piece(call=call, arguments=inner.get("arguments") or inner.get("input") or "")


def _pieces_of_output(output: list[dict]) -> Iterator[Piece]:
    """An answer that was kept, as it may have come."""
    for item in output:
        if key := CALLS.get(item["type"]):
            yield Piece(call={name: item[name] for name in ("type", "call_id", "name")})
            yield Piece(arguments=item[key])
        for part in item.get("content") or []:  # a reasoning item has none
            if part["type"] == "refusal":
                yield Piece(refusal=part["refusal"])
            else:
                yield from (Piece(text=text) for text in chat.PIECE.findall(part["text"]))


class Teller:
    """Makes items of the pieces of an answer, and the events that tell of them, in OpenAI's order."""

    def __init__(self, response: dict, thoughts: list[dict]):
        self.response, self.items, self._number, self._is_open = response, [*thoughts], 0, False

    def begin(self) -> Iterator[str]:
        for kind in ("created", "in_progress"):
            yield self._event(f"response.{kind}", response=self.response)
        for at, item in enumerate(self.items):
            yield self._event("response.output_item.added", output_index=at, item=item | {"summary": []})
            yield from self._summary(at, item)
            yield self._event("response.output_item.done", output_index=at, item=item)

    def _summary(self, at: int, item: dict) -> Iterator[str]:
        """The events of the summary of a reasoning item, if it has one."""
        for index, part in enumerate(item["summary"]):
            kind = "response.reasoning_summary"
            place = {"item_id": item["id"], "output_index": at, "summary_index": index}
            yield self._event(f"{kind}_part.added", **place, part=part | {"text": ""})
            yield self._event(f"{kind}_text.delta", **place, delta=part["text"])
            yield self._event(f"{kind}_text.done", **place, text=part["text"])
            yield self._event(f"{kind}_part.done", **place, part=part)

    def end(self, response: dict) -> str:
        return self._event(f"response.{response['status']}", response=response)

    def take(self, piece: Piece) -> list[str]:
        """The events of one piece."""
        events = []
        if piece.call:
            events += [*self._close(), *self._open(_call(piece.call))]
        elif (piece.text or piece.refusal) and not (self._is_open and self._item["type"] == "message"):
            part = "output_text" if piece.text else "refusal"
            events += [*self._close(), *self._open(_message(part))]
        if piece.arguments:
            key = CALLS[self._item["type"]]
            self._item[key] += piece.arguments
            events.append(self._of_item(f"response.{self._item['type']}_{key}.delta", delta=piece.arguments))
        if piece.text:
            self._part["text"] += piece.text
            self._part["logprobs"] += piece.logprobs
            events.append(
                self._of_part("response.output_text.delta", delta=piece.text, logprobs=piece.logprobs)
            )
        if piece.refusal:
            self._part["refusal"] += piece.refusal
            events.append(self._of_part("response.refusal.delta", delta=piece.refusal))
        return events

    def finish(self) -> list[str]:
        """The events at the end of the answer; an answer without a word is an empty message."""
        is_empty = not self._is_open and all(item["type"] == "reasoning" for item in self.items)
        return [*(self._open(_message("output_text")) if is_empty else []), *self._close()]

    def _close(self) -> list[str]:
        """The events that end the item at hand."""
        if not self._is_open:
            return []
        self._is_open, item = False, self._item
        item["status"] = "completed"
        if key := CALLS.get(item["type"]):
            told = {"name": item["name"]} if item["type"] == "function_call" else {}
            events = [self._of_item(f"response.{item['type']}_{key}.done", **told, **{key: item[key]})]
        else:
            key = "text" if self._part["type"] == "output_text" else "refusal"
            told = {key: self._part[key]} | ({"logprobs": self._part["logprobs"]} if key == "text" else {})
            events = [
                self._of_part(f"response.{self._part['type']}.done", **told),
                self._of_part("response.content_part.done", part=self._part),
            ]
        at = len(self.items) - 1
        return [*events, self._event("response.output_item.done", output_index=at, item=item)]

    def _open(self, item: dict) -> list[str]:
        self.items.append(item)
        self._is_open, at = True, len(self.items) - 1
        seen = item | {"content": []} if item["type"] == "message" else item
        events = [self._event("response.output_item.added", output_index=at, item=seen)]
        if item["type"] == "message":
            events.append(self._of_part("response.content_part.added", part=self._part))
        return events

    @property
    def _item(self) -> dict:
        return self.items[-1]

    @property
    def _part(self) -> dict:
        return self._item["content"][0]

    def _of_item(self, kind: str, **fields) -> str:
        place = {"item_id": self._item["id"], "output_index": len(self.items) - 1}
        return self._event(kind, **place, **fields)

    def _of_part(self, kind: str, **fields) -> str:
        return self._of_item(kind, content_index=0, **fields)

    def _event(self, kind: str, **fields) -> str:
        event = EVENTS[kind](type=kind, sequence_number=self._number, **fields)
        self._number += 1
        return f"event: {kind}\ndata: {event.to_json(indent=None)}\n\n"


def _message(part: str) -> dict:
    empty = {
        "output_text": {"type": "output_text", "text": "", "annotations": [], "logprobs": []},
        "refusal": {"type": "refusal", "refusal": ""},
    }
    return {
        "id": new_id("msg_", 50),
        "type": "message",
        "role": "assistant",
        "status": "in_progress",
        "content": [empty[part]],
    }


def _reasoning(is_encrypted: bool, has_summary: bool) -> dict:
    summary = [{"type": "summary_text", "text": SUMMARY}] if has_summary else []
    item = {"id": new_id("rs_", 50), "type": "reasoning", "summary": summary}
    return item | ({"encrypted_content": "simulated"} if is_encrypted else {})


def _call(call: dict) -> dict:
    return {
        "id": new_id(PREFIXES.get(call["type"], "fc_"), 50),
        "status": "in_progress",
        CALLS[call["type"]]: "",
        **call,
    }


# --- what was kept -----------------------------------------------------------------------------------------


def retrieve(store: Store, caller: Caller, response_id: str) -> dict:
    """GET /responses/{id}."""
    return view(store, _own(store, caller, response_id))


def replay(store: Store, caller: Caller, response_id: str, starting_after: int = -1) -> Iterator[str]:
    """GET /responses/{id}?stream=true: its events again, those after that number."""
    response = retrieve(store, caller, response_id)
    thoughts = [item for item in response["output"] if item["type"] == "reasoning"]
    told = Teller(response | _not_yet("in_progress"), thoughts)
    events = [*told.begin()]
    for piece in _pieces_of_output(response["output"]):
        events += told.take(piece)
    events += told.finish() if response["status"] in OVER else []
    if response["status"] in ("completed", "incomplete"):
        events.append(told.end(response))
    return iter(events[starting_after + 1 :])


def delete(store: Store, caller: Caller, response_id: str) -> dict:
    """DELETE /responses/{id}. What goes on from it can no longer be asked for."""
    _own(store, caller, response_id)
    with store.write() as db:
        db.execute("DELETE FROM objects WHERE kind = ? AND parent = ?", (ITEM, response_id))
    store.remove("response", response_id, caller.owner)
    return {"id": response_id, "object": "response", "deleted": True}


def cancel(store: Store, caller: Caller, response_id: str) -> dict:
    """POST /responses/{id}/cancel: only what runs in the background. One that is over stays as it is."""
    row = _own(store, caller, response_id)
    if not row.body["response"]["background"]:
        raise bad_request(
            "Only a response that was created with 'background' can be cancelled.", "response_id"
        )
    if view(store, row)["status"] not in OVER:
        row.body["response"] |= _not_yet("cancelled")
        row.body["ends_at"] = store.clock()
        store.update("response", row.id, row.body)
    return view(store, row)


def input_items(store: Store, caller: Caller, response_id: str, *, after, limit: int, order: str):
    """GET /responses/{id}/input_items: all items that the response was made from, whether there are more.

    None if ``after`` names none of them.
    """
    row = _own(store, caller, response_id)
    try:
        before = _before(store, caller, row.body["response"])
    except APIError:  # an earlier one was deleted
        before = []
    items = [*before, *row.body["input"]]
    if order == "desc":
        items.reverse()
    ids = [item["id"] for item in items]
    if after is not None and after not in ids:
        return None
    start = 0 if after is None else ids.index(after) + 1
    return items[start : start + limit], len(items) > start + limit


def count(store: Store, caller: Caller, body: dict, *, lenient: bool = False) -> dict:
    """POST /responses/input_tokens: what the input of a response would count."""
    asked = _read(store, caller, body, lenient)
    model = models.choose(store, caller, asked.body["model"])
    number = tokens.count_messages(asked.chat["messages"], model.base, asked.chat.get("tools"))
    return {"object": "response.input_tokens", "input_tokens": number}


def view(store: Store, row: Row) -> dict:
    """A response as it looks now."""
    response = row.body["response"]
    if store.clock() < row.body["ends_at"]:
        response = response | _not_yet("in_progress")
    return model_dump(types.Response, response)


def _own(store: Store, caller: Caller, response_id: str) -> Row:
    row = store.get("response", response_id, caller.owner)
    if row is None:
        raise APIError(404, f"Response with id '{response_id}' not found.")
    return row
