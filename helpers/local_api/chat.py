"""Chat completions, answered by the simulated or the trained engine; streamed, cut and counted as OpenAI does.

Real in the simulation: which answer the tiny model finds likeliest, temperature and seed (they choose among its
candidate answers), stop, max_tokens, n, token counts. Accepted without effect: tools, response_format, logprobs,
penalties, top_p, reasoning_effort and everything else that the types allow; but a model that reasons refuses some of
them (``models.refuse_settings``). The trained engine writes its answers itself, token
by token, with real logprobs and the counts of its own tokenizer.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from .. import tokens
from . import history, models, validate
from .client import Client, ClientGone
from .engines import simulated, trained
from .errors import bad_request, not_found
from .jobs import check_metadata
from .scenarios import Caller
from .store import Row, Store, new_id
from .validate import model_dump

FINGERPRINT, TRAINED_FINGERPRINT = "fp_simulated", "fp_trained"  # every answer says where it comes from
MAX_STOP = 1_000  # characters; the end of an answer is compared with its beginnings at every token
PIECE = re.compile(r"\s*\S+|\s+$")  # what one event of a stream carries
PIECE_SECONDS = 0.03  # so that a learner sees the stream; none in tests, where jobs take no time either


@dataclass(frozen=True)
class Answer:
    """One choice: its text and why it ended there."""

    text: str
    finish_reason: str
    logprobs: dict | None = None
    tokens: int | None = None  # counted by the engine; if None, by the tokenizer of the model that it plays


def create(
    store: Store, caller: Caller, body: dict, *, lenient: bool = False, client: Client | None = None
) -> dict:
    """POST /chat/completions without ``stream``. ``lenient`` accepts max_tokens 0 (conformance only).

    Raises ClientGone if ``client`` leaves before the answer is complete.
    """
    return model_dump(ChatCompletion, complete(store, caller, body, lenient=lenient, client=client))


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
        written, prompt = _written_here(model, body)
        for answer in written:
            client.at_leaving(partial(answer.fail, ClientGone()))
        answers = [_gathered(answer) for answer in written]
    else:
        answers, prompt = _answers(store, model, body, client), None
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
        return _live_chunks(store, caller, body, model, _written_here(model, body))
    return _chunks_of(complete(store, caller, body, lenient=lenient, client=client))


def _completion(store: Store, caller: Caller, body: dict, model, answers: list[Answer], prompt: int | None):
    completion = {
        "id": new_id("chatcmpl-", 29),
        "object": "chat.completion",
        "created": int(store.clock()),
        "model": model.name,
        "system_fingerprint": _fingerprint(model),
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": answer.text, "refusal": None, "annotations": []},
                "finish_reason": answer.finish_reason,
                "logprobs": answer.logprobs,
            }
            for index, answer in enumerate(answers)
        ],
        "usage": _usage(body["messages"], answers, model, prompt),
        "service_tier": "default",
    }
    if body.get("store"):
        kept = {"completion": completion | {"metadata": body.get("metadata")}, "messages": body["messages"]}
        store.add("completion", completion["id"], caller.owner, kept)
    return completion


def _events(parts: Iterator[dict], wants_usage: bool) -> Iterator[str]:
    for chunk in parts:
        if chunk["choices"] and wants_usage:
            chunk = chunk | {"usage": None}
        if chunk["choices"] or wants_usage:
            yield f"data: {ChatCompletionChunk(**chunk).to_json(indent=None)}\n\n"
    yield "data: [DONE]\n\n"


def _chunks_of(completion: dict) -> Iterator[dict]:
    head = {key: completion[key] for key in ("id", "created", "model", "system_fingerprint")}
    head |= {"object": "chat.completion.chunk"}
    pause = PIECE_SECONDS if history.job_seconds() else 0
    for choice in completion["choices"]:
        deltas = [{"role": "assistant", "content": "", "refusal": None}]
        deltas += [{"content": piece} for piece in PIECE.findall(choice["message"]["content"])]
        for delta in deltas:
            yield head | {"choices": [_part(choice, delta, None)]}
            time.sleep(pause)
        yield head | {"choices": [_part(choice, {}, choice["finish_reason"])]}
    yield head | {"choices": [], "usage": completion["usage"]}


def _part(choice: dict, delta: dict, finish_reason: str | None, logprobs: dict | None = None) -> dict:
    return {"index": choice["index"], "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}


def _fingerprint(model: models.Chosen) -> str:
    return TRAINED_FINGERPRINT if trained.owns(model.base) else FINGERPRINT


def _written_here(model: models.Chosen, body: dict) -> tuple[list, int]:
    """The answers of the trained engine while they are written, and the tokens of the prompt."""
    from .engines.trained import serving  # loads torch: seconds, at the first question

    try:
        return serving.server.ask(
            model.name,
            model.weights,
            body["messages"],
            n=body.get("n") or 1,
            limit=_limit(body),
            temperature=_temperature(body),
            seed=body.get("seed"),
            stops=_stops(body),
            top=(body.get("top_logprobs") or 0) if body.get("logprobs") else -1,
        )
    except serving.ContextTooLong as error:
        raise bad_request(str(error), "messages", "context_length_exceeded") from None


def _gathered(written) -> Answer:
    """An answer of the trained engine once it is complete."""
    pieces = list(written)
    return _joined(written, pieces)


def _joined(written, pieces: list) -> Answer:
    logprobs = None if written.top < 0 else _logprobs([one for piece in pieces for one in piece.logprobs])
    text = "".join(piece.text for piece in pieces)
    return Answer(text, pieces[-1].finish_reason, logprobs, written.tokens)


def _logprobs(content: list[dict]) -> dict:
    return {"content": content, "refusal": None}


def _live_chunks(store: Store, caller: Caller, body: dict, model, written: tuple) -> Iterator[dict]:
    """The chunks of answers that are being written: each piece is sent when it comes."""
    answers, prompt = written
    head = {"id": new_id("chatcmpl-", 29), "created": int(store.clock()), "model": model.name}
    head |= {"system_fingerprint": _fingerprint(model), "object": "chat.completion.chunk"}
    whole = []
    for index, answer in enumerate(answers):
        choice, pieces = {"index": index}, []
        first = {"role": "assistant", "content": "", "refusal": None}
        yield head | {"choices": [_part(choice, first, None)]}
        for piece in answer:
            pieces.append(piece)
            logprobs = _logprobs(piece.logprobs) if answer.top >= 0 else None
            if piece.text or piece.logprobs:
                yield head | {"choices": [_part(choice, {"content": piece.text}, None, logprobs)]}
        yield head | {"choices": [_part(choice, {}, pieces[-1].finish_reason)]}
        whole.append(_joined(answer, pieces))
    completion = _completion(store, caller, body, model, whole, prompt)
    yield head | {"choices": [], "usage": completion["usage"]}


def _checked(store: Store, caller: Caller, body: dict, lenient: bool) -> models.Chosen:
    """The model that is asked. Raises what is wrong with the request."""
    if not lenient:
        validate.check_ranges(body, validate.CHAT_RANGES)
        if not body["messages"]:
            raise bad_request("Invalid 'messages': at least one message is needed.", "messages")
    if any(len(stop) > MAX_STOP for stop in _stops(body)):
        raise bad_request(f"Invalid 'stop': a sequence has at most {MAX_STOP} characters.", "stop")
    check_metadata(body.get("metadata") or {})
    model = models.choose(store, caller, body["model"])
    models.refuse_unless_chat(model)
    models.refuse_settings(model, body)
    return model


def _stops(body: dict) -> list[str]:
    stop = body.get("stop")
    return [stop] if isinstance(stop, str) else stop or []


def _temperature(body: dict) -> float:
    return 1.0 if body.get("temperature") is None else body["temperature"]


def _limit(body: dict) -> int | None:
    limits = (body.get("max_completion_tokens"), body.get("max_tokens"))
    return next((limit for limit in limits if limit is not None), None)


def _answers(store: Store, model: models.Chosen, body: dict, client: Client) -> list[Answer]:
    texts = simulated.answers(
        model.weights or simulated.base_weights(store.folder),
        body["messages"],
        n=body.get("n") or 1,
        temperature=_temperature(body),
        seed=body.get("seed"),
        at_each_step=client.require,
    )
    return [_cut(text, _stops(body), _limit(body), model.base) for text in texts]


def _cut(text: str, stops: list[str], limit: int | None, model: str) -> Answer:
    """Ends the text before the first stop sequence, or after so many tokens."""
    ends = [text.find(mark) for mark in stops if mark and mark in text]
    if ends:
        text = text[: min(ends)]
    if limit is not None and tokens.count(text, model) > limit:
        return Answer(tokens.first(text, limit, model), "length")
    return Answer(text, "stop")


def _usage(messages: list, answers: list[Answer], model: models.Chosen, prompt: int | None) -> dict:
    if prompt is None:
        prompt = tokens.count_messages(messages, model.base)
        completion = sum(tokens.count(answer.text, model.base) for answer in answers)
    else:
        completion = sum(answer.tokens for answer in answers)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


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
