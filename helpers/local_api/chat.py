"""Chat completions, answered by the simulated or the trained engine; streamed, cut and counted as OpenAI does.

Real in the simulation: which answer the tiny model finds likeliest; temperature, top_p, penalties and seed (they
choose among its candidate answers), stop, limits, n, token counts, logprobs (its own). A model that was tuned on calls
answers with them; else ``tools`` says by which rule a function is called. With ``response_format`` the answer has the
form that is asked for, if need be with simulated values. Accepted without effect: logit_bias, prediction, verbosity,
audio, web_search_options and everything else that the types allow; but a model that reasons refuses some of them
(``models.refuse_settings``). The trained engine writes its answers itself, token by token, with real logprobs and the
counts of its own tokenizer. Where a form is asked for, or a call, it can write nothing else. It alone takes
``structured_outputs``, by which vLLM is asked for a choice, a regular expression or a grammar.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from .. import tokens
from . import facts, history, logprobs, models, structured, tools, usage, validate
from .client import Client, ClientGone
from .engines import simulated, trained
from .errors import APIError, bad_request, not_found
from .jobs import check_metadata
from .scenarios import Caller
from .store import Row, Store, new_id
from .structured import Form, FormError
from .tools import Call, Offer
from .validate import check_name, empty_array, model_dump

FINGERPRINT, TRAINED_FINGERPRINT = "fp_simulated", "fp_trained"  # every answer says where it comes from
LONGEST_JUDGEMENT = 24  # tokens
BYTES_OF_CHARACTER = 4  # in UTF-8, at most; a token has one at least
MAX_STOP = 1_000  # characters; the end of an answer is compared with its beginnings at every token
PIECE = re.compile(r"\s*\S+|\s+$")  # what one event of a stream carries
# by the names that vLLM gives them in ``structured_outputs`` (its page "Structured Outputs")
FORMS = {
    "choice": structured.of_choice,
    "regex": structured.of_regex,
    "grammar": structured.of_lark,
    "json": structured.of_schema,
}
PIECE_SECONDS = 0.03  # so that a learner sees the stream; none in tests, where jobs take no time either


@dataclass(frozen=True)
class Answer:
    """One choice: its text or its calls, and why it ended there."""

    text: str
    finish_reason: str
    calls: list[Call] = field(default_factory=list)
    logprobs: dict | None = None
    tokens: int = 0  # those of the reasoning among them
    reasoning: int = 0


def create(
    store: Store, caller: Caller, body: dict, *, lenient: bool = False, client: Client | None = None
) -> dict:
    """POST /chat/completions without ``stream``. ``lenient`` accepts max_tokens 0 (conformance only).

    Raises ClientGone if ``client`` leaves before the answer is complete.
    """
    return model_dump(ChatCompletion, complete(store, caller, body, lenient=lenient, client=client))


def judge(store: Store, caller: Caller, model: str, conversations: list[list[dict]]) -> list[str]:
    """What a model says to each conversation at temperature 0, for a grader."""
    options = {"model": model, "temperature": 0, "max_tokens": LONGEST_JUDGEMENT}
    completions = [create(store, caller, {"messages": messages} | options) for messages in conversations]
    return [completion["choices"][0]["message"]["content"] for completion in completions]


def stream(
    store: Store, caller: Caller, body: dict, *, lenient: bool = False, client: Client | None = None
) -> Iterator[str]:
    """POST /chat/completions with ``stream``: server-sent events. Errors are raised before the first one."""
    wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    return _events(chunks(store, caller, body, lenient=lenient, client=client), wants_usage)


def complete(
    store: Store, caller: Caller, body: dict, *, lenient: bool = False, client: Client | None = None
) -> dict:
    """The answer to a chat request, as a plain dict in the form of ``ChatCompletion``; kept if ``body`` says "store".

    ``body`` is what ``validate.check("chat", ...)`` returns: messages, tools, tool_choice, response_format, logprobs
    and all others. A choice's message has a text as its content, or ``tool_calls``; ``usage`` has its details.
    """
    client = client or Client()
    model = _checked(store, caller, body, lenient)
    client.require()
    if trained.owns(model.base):
        offered = tools.offer(body)
        written, prompt = _written_here(model, body, offered)
        for answer in written:
            client.at_leaving(partial(answer.fail, ClientGone()))
        answers = [_joined(answer, _pieces(answer, body), offered) for answer in written]
    else:
        answers, prompt = simulated_answers(store, model, body, client), None
    client.require()
    return _completion(store, caller, body, model, answers, prompt)


def chunks(
    store: Store, caller: Caller, body: dict, *, lenient: bool = False, client: Client | None = None
) -> Iterator[dict]:
    """The answer to the same request in parts, each a dict in the form of ``ChatCompletionChunk``.

    What is wrong with the request is raised by this call, before the first chunk. The last chunk has no choices
    and carries ``usage``; the others have none.
    """
    model = _checked(store, caller, body, lenient)
    if trained.owns(model.base):
        offered = tools.offer(body)
        return _live_chunks(store, caller, body, model, offered, *_written_here(model, body, offered))
    answers = simulated_answers(store, model, body, client or Client())
    return _chunks_of(_completion(store, caller, body, model, answers, None))


def _completion(store: Store, caller: Caller, body: dict, model, answers: list[Answer], prompt: int | None):
    """The completion of these answers, kept if the caller wants it stored. ``prompt`` tokens are counted if None."""
    completion = {
        "id": new_id("chatcmpl-", 29),
        "object": "chat.completion",
        "created": int(store.clock()),
        "model": model.name,
        "system_fingerprint": _fingerprint(model),
        "choices": [
            {
                "index": index,
                "message": _message(answer, body),
                "finish_reason": answer.finish_reason,
                "logprobs": answer.logprobs,
            }
            for index, answer in enumerate(answers)
        ],
        "usage": usage.count(
            store,
            caller,
            model,
            body,
            sum(answer.tokens for answer in answers),
            reasoning=sum(answer.reasoning for answer in answers),
            prompt=prompt,
        ),
        "service_tier": "default",
    }
    if body.get("store"):
        kept = {"completion": completion | {"metadata": body.get("metadata")}, "messages": body["messages"]}
        store.add("completion", completion["id"], caller.owner, kept)
    return completion


def _message(answer: Answer, body: dict) -> dict:
    message = {"role": "assistant", "content": answer.text, "refusal": None, "annotations": []}
    if not answer.calls:
        return message
    message["content"] = None
    if body.get("functions"):
        (call,) = answer.calls
        return message | _of_function(call)
    return message | {"tool_calls": [_tool_call(call) for call in answer.calls]}


def _of_function(call: Call) -> dict:
    return {"function_call": {"name": call.name, "arguments": call.arguments}}


def _tool_call(call: Call) -> dict:
    kind = "custom" if call.custom else "function"
    inner = {"name": call.name} | _arguments(kind, call.arguments)[kind]
    return {"id": new_id("call_", 24), "type": kind, kind: inner}


def _arguments(kind: str, text: str) -> dict:
    """What a call of this kind is called with."""
    return {kind: {"input" if kind == "custom" else "arguments": text}}


def _of_tool(index: int, part: dict) -> dict:
    return {"tool_calls": [{"index": index} | part]}


def _events(parts: Iterator[dict], wants_usage: bool) -> Iterator[str]:
    for chunk in parts:
        if chunk["choices"] and wants_usage:
            chunk = chunk | {"usage": None}
        if chunk["choices"] or wants_usage:
            yield f"data: {_as_json(chunk)}\n\n"
    yield "data: [DONE]\n\n"


def _as_json(chunk: dict) -> str:
    """A chunk, checked by the client's types; these know no custom tool in a stream, though its parser takes one."""
    calls = [call for choice in chunk["choices"] for call in choice["delta"].get("tool_calls") or []]
    if any("custom" in call for call in calls):
        return json.dumps(chunk)
    return ChatCompletionChunk(**chunk).to_json(indent=None)


def _chunks_of(completion: dict) -> Iterator[dict]:
    head = {key: completion[key] for key in ("id", "created", "model", "system_fingerprint", "service_tier")}
    head |= {"object": "chat.completion.chunk"}
    pause = PIECE_SECONDS if history.job_seconds() else 0
    for choice in completion["choices"]:
        for delta, likely in _deltas(choice):
            yield head | {"choices": [_part(choice, delta, None, likely)]}
            time.sleep(pause)
        yield head | {"choices": [_part(choice, {}, choice["finish_reason"])]}
    yield head | {"choices": [], "usage": completion["usage"]}


def _deltas(choice: dict) -> Iterator[tuple[dict, dict | None]]:
    """What the events of a choice carry, in OpenAI's order, with the logprobs of each."""
    message = choice["message"]
    first = {"role": "assistant", "content": None if message["content"] is None else "", "refusal": None}
    if "function_call" in message:
        call = message["function_call"]
        yield first | {"function_call": call | {"arguments": ""}}, None
        for piece in PIECE.findall(call["arguments"]):
            yield {"function_call": {"arguments": piece}}, None
        return
    yield first, None
    for index, call in enumerate(message.get("tool_calls") or []):
        kind = call["type"]
        (key,) = _arguments(kind, "")[kind]
        yield _of_tool(index, call | {kind: call[kind] | {key: ""}}), None
        for piece in PIECE.findall(call[kind][key]):
            yield _of_tool(index, _arguments(kind, piece)), None
    if choice["logprobs"] is None:
        yield from (({"content": piece}, None) for piece in PIECE.findall(message["content"] or ""))
        return
    waiting: list[dict] = []
    for token in choice["logprobs"]["content"]:
        waiting.append(token)
        data = bytes(byte for one in waiting for byte in one["bytes"])
        if token is choice["logprobs"]["content"][-1] or _is_whole(data):
            yield {"content": data.decode("utf-8", "replace")}, _logprobs(waiting)
            waiting = []


def _is_whole(data: bytes) -> bool:
    """Whether no character is cut in two."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _part(choice: dict, delta: dict, finish_reason: str | None, logprobs: dict | None = None) -> dict:
    return {"index": choice["index"], "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}


def _fingerprint(model: models.Chosen) -> str:
    return TRAINED_FINGERPRINT if trained.owns(model.base) else FINGERPRINT


def _written_here(model: models.Chosen, body: dict, offered: Offer) -> tuple[list, int]:
    """The answers of the trained engine while they are written, and the tokens of the prompt."""
    from .engines.trained import serving, training  # loads torch: seconds, at the first question

    try:
        return serving.server.ask(
            model.name,
            model.base,
            model.weights,
            body["messages"],
            n=body.get("n") or 1,
            limit=_limit(body),
            seed=body.get("seed"),
            **_settings(body),
            stops=_stops(body),
            top=(body.get("top_logprobs") or 0) if body.get("logprobs") else -1,
            form=offered.written_form(_form(body)),
        )
    except serving.ContextTooLong as error:
        raise bad_request(str(error), "messages", "context_length_exceeded") from None
    except FormError as error:
        raise _bad_form(body, error) from None
    except training.Unwritable as error:
        raise bad_request(str(error), "messages") from None


def _pieces(written, body: dict) -> Iterator:
    """The pieces of an answer of the trained engine, as they come. 400 if its form gets too hard to follow."""
    try:
        yield from written
    except FormError as error:
        raise _bad_form(body, error) from None


def _joined(written, pieces: Iterable, offered: Offer) -> Answer:
    """An answer of the trained engine once it is complete."""
    pieces = list(pieces)
    text, finish_reason = "".join(piece.text for piece in pieces), pieces[-1].finish_reason
    if calls := offered.read(text) if offered.functions else None:
        if finish_reason == "stop":
            finish_reason = offered.finish_reason
        return Answer("", finish_reason, calls, tokens=written.tokens)
    likely = None if written.top < 0 else _logprobs([one for piece in pieces for one in piece.logprobs])
    return Answer(text, finish_reason, logprobs=likely, tokens=written.tokens)


def _logprobs(content: list[dict]) -> dict:
    return {"content": content, "refusal": None}


def _live_chunks(
    store: Store, caller: Caller, body: dict, model, offered: Offer, answers: list, prompt: int
) -> Iterator[dict]:
    """The chunks of answers that are being written: each piece is sent when it comes."""
    head = {"id": new_id("chatcmpl-", 29), "created": int(store.clock()), "model": model.name}
    head |= {"system_fingerprint": _fingerprint(model), "object": "chat.completion.chunk"}
    whole = []
    for index, answer in enumerate(answers):
        choice, pieces = {"index": index}, []
        told = _Told(offered, answer.top >= 0)
        for piece in _pieces(answer, body):
            pieces.append(piece)
            for delta, likely in told.take(piece):
                yield head | {"choices": [_part(choice, delta, None, likely)]}
        whole.append(_joined(answer, pieces, offered))
        yield head | {"choices": [_part(choice, {}, whole[-1].finish_reason)]}
    completion = _completion(store, caller, body, model, whole, prompt)
    yield head | {"choices": [], "usage": completion["usage"]}


class _Told:
    """Makes the deltas of a stream of the pieces of one answer: a text, or calls that are written as one."""

    def __init__(self, offered: Offer, with_logprobs: bool):
        self._offered, self._with_logprobs = offered, with_logprobs
        self._text, self._waiting, self._calls, self._begun = "", [], [], False

    def take(self, piece) -> Iterator[tuple[dict, dict | None]]:
        """What is new, with its logprobs."""
        self._text += piece.text
        self._waiting.append(piece)
        calls = self._offered.read(self._text) if self._offered.functions else None
        if calls == [] and not piece.finish_reason:  # it may become a call
            return
        if not self._begun:
            self._begun = True
            yield {"role": "assistant", "content": None if calls else "", "refusal": None}, None
        if calls:
            for index, call in enumerate(calls):
                yield from self._of_call(index, call)
            return
        for one in self._waiting:
            likely = _logprobs(one.logprobs) if self._with_logprobs else None
            if one.text or one.logprobs:
                yield {"content": one.text}, likely
        self._waiting = []

    def _of_call(self, index: int, call: Call) -> Iterator[tuple[dict, None]]:
        """What is new of one of the calls."""
        if index == len(self._calls):
            self._calls.append("")
            begun = replace(call, arguments="")
            yield _of_function(begun) if self._offered.legacy else _of_tool(index, _tool_call(begun)), None
        new = call.arguments[len(self._calls[index]) :]
        self._calls[index] = call.arguments
        if new and self._offered.legacy:
            yield {"function_call": {"arguments": new}}, None
        elif new:
            yield _of_tool(index, _arguments("custom" if call.custom else "function", new)), None


def _checked(store: Store, caller: Caller, body: dict, lenient: bool) -> models.Chosen:
    """The model that is asked. Raises what is wrong with the request."""
    if not lenient:
        validate.check_ranges(body, validate.CHAT_RANGES)
        if not body["messages"]:
            raise empty_array("messages")
        tools.check(body)
        _check_format(body)
        if body.get("top_logprobs") is not None and not body.get("logprobs"):
            message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."
            raise bad_request(message, "top_logprobs")
    check_stops(body)
    check_metadata(body.get("metadata") or {})
    model = models.choose(store, caller, body["model"])
    models.refuse_unless_chat(model)
    models.refuse_settings(model, body)
    _check_structured_outputs(model, body)
    if not lenient and not trained.owns(model.base):  # the trained engine counts with its own tokenizer
        _refuse_too_many_tokens(model, body)
    return model


def _refuse_too_many_tokens(model: models.Chosen, body: dict) -> None:
    """400 for more tokens than the model writes or takes.

    Words and codes were seen live by third parties (opencode issue 140, NextChat issue 3195, evals issue 1377).
    """
    limit, most = _limit(body), facts.value(model.base, "most_output")
    if limit is not None and most is not None and limit > int(most):
        name = "max_tokens" if body.get("max_completion_tokens") is None else "max_completion_tokens"
        message = f"{name} is too large: {limit}. This model supports at most {most} completion tokens, whereas you "
        raise bad_request(f"{message}provided {limit}.", name, "invalid_value")
    context = facts.value(model.base, "context")
    if context is None or BYTES_OF_CHARACTER * len(str(body["messages"])) + (limit or 0) < int(context):
        return
    prompt = tokens.count_messages(body["messages"], model.base, body.get("tools") or body.get("functions"))
    said, shorter = f"your messages resulted in {prompt} tokens", "messages"
    if prompt <= int(context) < prompt + (limit or 0):
        said = f"you requested {prompt + limit} tokens ({prompt} in the messages, {limit} in the completion)"
        shorter = "messages or completion"
    elif prompt <= int(context):
        return
    message = f"This model's maximum context length is {context} tokens. However, {said}. Please reduce the length of "
    raise bad_request(f"{message}the {shorter}.", "messages", "context_length_exceeded")


def _check_format(body: dict) -> None:
    """Raises what is wrong with ``response_format``."""
    wanted = body.get("response_format") or {"type": "text"}
    if wanted["type"] == "json_object" and "json" not in json.dumps(body["messages"]).lower():
        message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
        raise bad_request(f"{message}'json_object'.", "messages")
    if wanted["type"] != "json_schema":
        return
    given, path = wanted["json_schema"], "response_format.json_schema"
    check_name(f"{path}.name", given["name"])
    if "schema" not in given:
        message = f"Missing required parameter: '{path}.schema'."
        raise bad_request(message, f"{path}.schema", "missing_required_parameter")
    if problem := structured.problem(given["schema"], strict=bool(given.get("strict"))):
        raise _bad_format(given["name"], problem)


def _check_structured_outputs(model: models.Chosen, body: dict) -> None:
    """400 for what only a server like vLLM takes at a model that plays one of OpenAI's, and for more than one form."""
    given = body.get("structured_outputs")
    if given is None:
        return
    if not trained.owns(model.base):
        raise bad_request(
            "Unknown parameter: 'structured_outputs'.", "structured_outputs", "unknown_parameter"
        )
    if len(given) != 1 or (body.get("response_format") or {"type": "text"})["type"] != "text":
        message = (
            f"'structured_outputs' holds one of {', '.join(FORMS)}, and stands without 'response_format'."
        )
        raise bad_request(message, "structured_outputs")


def _bad_format(name: str, problem: str) -> APIError:
    return bad_request(f"Invalid schema for response_format '{name}': {problem}", "response_format")


def _bad_form(body: dict, error: FormError) -> APIError:
    """400 for a form that cannot be followed."""
    if body.get("structured_outputs"):
        return bad_request(f"Invalid 'structured_outputs': {error}", "structured_outputs")
    given = (body.get("response_format") or {}).get("json_schema")
    if given:
        return _bad_format(given["name"], str(error))
    return bad_request(f"Invalid 'tools': no answer of this form was found. {error}", "tools")


def check_stops(body: dict) -> None:
    """400 for a stop sequence that is too long."""
    if any(len(stop) > MAX_STOP for stop in _stops(body)):
        raise bad_request(f"Invalid 'stop': a sequence has at most {MAX_STOP} characters.", "stop")


def _stops(body: dict) -> list[str]:
    stop = body.get("stop")
    return [stop] if isinstance(stop, str) else stop or []


def _settings(body: dict) -> dict[str, float]:
    """How both engines choose."""
    return {
        "temperature": 1.0 if body.get("temperature") is None else body["temperature"],
        "top_p": 1.0 if body.get("top_p") is None else body["top_p"],
        "presence_penalty": body.get("presence_penalty") or 0.0,
        "frequency_penalty": body.get("frequency_penalty") or 0.0,
    }


def _limit(body: dict) -> int | None:
    limits = (body.get("max_completion_tokens"), body.get("max_tokens"))
    return next((limit for limit in limits if limit is not None), None)


# --- the simulated engine ----------------------------------------------------------------------------------


def simulated_answers(store: Store, model: models.Chosen, body: dict, client: Client) -> list[Answer]:
    """The answers of the simulated engine: calls that it was tuned on or that the rule makes, or texts.

    ``body`` is that of a chat, or says as much as one; whether the model chats is not asked.
    """
    weights = model.weights or simulated.base_weights(store.folder)
    offered, form = tools.offer(body), _form(body)
    learned = {text: [Call(*call) for call in calls] for text, calls in simulated.calls(weights).items()}
    learned = {text: calls for text, calls in learned.items() if offered.takes(calls)}
    if offered.answers_in_words(body["messages"]):
        learned = {}
    function = None if learned else offered.chosen(body["messages"])
    if function is not None:
        answers = [("", [offered.simulated(function, body["messages"])])] * (body.get("n") or 1)
    else:
        not_offered = simulated.calls(weights)

        def wanted(text: str) -> bool:
            if text in not_offered:
                return text in learned
            return not offered.must and (form is None or form.takes(text))

        texts = _chosen(weights, body, wanted, client) or _in_form(weights, body, form, not_offered, client)
        answers = [(text, learned.get(text, [])) for text in texts]
    reasoning = usage.reasoning_tokens(model, body)
    return [_cut(text, calls, offered, body, model, weights, reasoning) for text, calls in answers]


def _chosen(weights: bytes, body: dict, wanted: Callable[[str], bool], client: Client) -> list[str]:
    return simulated.answers(
        weights,
        body["messages"],
        n=body.get("n") or 1,
        **_settings(body),
        seed=body.get("seed"),
        wanted=wanted,
        at_each_step=client.require,
    )


def _form(body: dict) -> Form | None:
    """The form that the answer must have; None for any text. 400 for one that cannot be followed."""
    wanted = body.get("response_format") or {"type": "text"}
    try:
        if body.get("structured_outputs"):
            ((kind, given),) = body["structured_outputs"].items()
            return FORMS[kind](given)
        if wanted["type"] == "json_object":
            return structured.of_schema(structured.OBJECT)
        if wanted["type"] == "text" or "schema" not in wanted["json_schema"]:
            return None
        given = wanted["json_schema"]
        return structured.of_schema(given["schema"], strict=bool(given.get("strict")))
    except FormError as error:
        raise _bad_form(body, error) from None


def _in_form(weights: bytes, body: dict, form: Form | None, calls: dict, client: Client) -> list[str]:
    """Simulated texts of the form, where no answer that the model knows has it."""
    if form is None:
        return [""] * (body.get("n") or 1)
    if body["response_format"]["type"] == "json_object":
        texts = _chosen(weights, body, lambda text: text not in calls, client)
        return [json.dumps({"answer": text}, ensure_ascii=False) for text in texts]
    try:
        return [form.simulated(tools.words(body["messages"]))] * (body.get("n") or 1)
    except FormError as error:
        raise _bad_form(body, error) from None


def _cut(
    text: str,
    calls: list[Call],
    offered: Offer,
    body: dict,
    model: models.Chosen,
    weights: bytes,
    reasoning: int,
) -> Answer:
    """The answer up to the first stop sequence, or to as many tokens as are left after the reasoning."""
    limit = _limit(body)
    if limit is not None:
        reasoning = min(reasoning, limit)
        limit -= reasoning
        if not limit and reasoning:
            return Answer("", "length", tokens=reasoning, reasoning=reasoning)
    if calls:
        return _cut_calls(calls, offered, limit, model.base, reasoning)
    shown, finish_reason = text, "stop"
    ends = [text.find(mark) for mark in _stops(body) if mark and mark in text]
    if ends:
        shown = text[: min(ends)]
    size = tokens.count(shown, model.base)
    if limit is not None and size > limit:
        shown, finish_reason, size = tokens.first(shown, limit, model.base), "length", limit
    likely = None
    if body.get("logprobs"):
        top = body.get("top_logprobs") or 0
        likely = logprobs.of_text(weights, body["messages"], text, shown, model.base, top)
    return Answer(shown, finish_reason, logprobs=likely, tokens=size + reasoning, reasoning=reasoning)


def _cut_calls(calls: list[Call], offered: Offer, limit: int | None, model: str, reasoning: int) -> Answer:
    """Calls with as much of their arguments as the limit leaves. Their tokens: those of names and arguments."""
    finish_reason = offered.finish_reason
    used, shown = 0, []
    for call in calls:
        name, size = (tokens.count(text, model) for text in (call.name, call.arguments))
        left = None if limit is None else limit - used - name
        if left is not None and size > left:
            size, finish_reason = max(left, 0), "length"
            call = replace(call, arguments=tokens.first(call.arguments, size, model))
        used += name + size
        shown.append(call)
        if finish_reason == "length":
            used = limit
            break
    return Answer("", finish_reason, shown, tokens=used + reasoning, reasoning=reasoning)


# --- stored completions: created with store=True -----------------------------------------------------------


def retrieve(store: Store, caller: Caller, completion_id: str) -> dict:
    """GET /chat/completions/{id}."""
    return view(_own(store, caller, completion_id))


def update(store: Store, caller: Caller, completion_id: str, body: dict) -> dict:
    """POST /chat/completions/{id}: replaces the metadata."""
    row = _own(store, caller, completion_id)
    check_metadata(body.get("metadata") or {})
    row.body["completion"]["metadata"] = body.get("metadata")
    store.update("completion", row.id, row.body)
    return view(row)


def delete(store: Store, caller: Caller, completion_id: str) -> dict:
    """DELETE /chat/completions/{id}."""
    _own(store, caller, completion_id)
    store.remove("completion", completion_id, caller.owner)
    return {"id": completion_id, "object": "chat.completion.deleted", "deleted": True}


def list_all(store: Store, caller: Caller, *, model, metadata, after, limit: int, order: str):
    """GET /chat/completions: rows, whether there are more."""

    def keep(row: Row) -> bool:
        completion = row.body["completion"]
        return (
            model in (None, completion["model"])
            and metadata.items() <= (completion["metadata"] or {}).items()
        )

    metadata = metadata or {}
    return store.page(
        "completion",
        caller.owner,
        after=after,
        limit=limit,
        newest_first=order == "desc",
        having=metadata | ({} if model is None else {"model": model}),
        keep=keep,
    )


def messages(store: Store, caller: Caller, completion_id: str) -> list[dict]:
    """GET /chat/completions/{id}/messages: what was asked, oldest first."""
    row = _own(store, caller, completion_id)
    return [
        {
            "id": f"{completion_id}-{index}",
            "role": message["role"],
            "content": message["content"] if isinstance(message.get("content"), str) else None,
            "name": message.get("name"),
            "content_parts": message["content"] if isinstance(message.get("content"), list) else None,
            "refusal": None,
        }
        for index, message in enumerate(row.body["messages"])
    ]


def view(row: Row) -> dict:
    """A stored completion."""
    return model_dump(ChatCompletion, row.body["completion"])


def _own(store: Store, caller: Caller, completion_id: str) -> Row:
    row = store.get("completion", completion_id, caller.owner)
    if row is None:
        raise not_found("chat completion", completion_id, "completion_id")
    return row
