"""POST /completions, the legacy endpoint: babbage-002, davinci-002, gpt-3.5-turbo-instruct and what is tuned from them.

The simulated model is asked as in a chat, with the prompt as what the user says. So it does not go on with a text;
it answers with one that it knows. ``suffix``, ``logit_bias`` and ``best_of`` are without effect.
"""

import json
from collections.abc import Iterator

from openai.types import Completion

from .. import tokens
from . import chat, models, validate
from .client import Client
from .errors import bad_request
from .scenarios import Caller
from .store import Store, new_id
from .texts import texts_of
from .validate import model_dump

DEFAULT_TOKENS = 16  # OpenAI's API description, CreateCompletionRequest
MAX_PROMPTS = 128
SETTINGS = ("n", "stop", "temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")
RANGES = {key: range_ for key, range_ in validate.CHAT_RANGES.items() if key in ("temperature", "top_p", "n")}
RANGES |= {"max_tokens": (0, None), "best_of": (1, 20), "logprobs": (0, 5)}
RANGES |= {"presence_penalty": (-2, 2), "frequency_penalty": (-2, 2)}


def create(
    store: Store, caller: Caller, body: dict, *, lenient: bool = False, client: Client | None = None
) -> dict:
    """POST /completions without ``stream``. ``lenient`` accepts best_of 0 (conformance only)."""
    return model_dump(Completion, _complete(store, caller, body, lenient, client or Client()))


def stream(
    store: Store, caller: Caller, body: dict, *, lenient: bool = False, client: Client | None = None
) -> Iterator[str]:
    """POST /completions with ``stream``: server-sent events. Errors are raised before the first one."""
    wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    return _events(_complete(store, caller, body, lenient, client or Client()), wants_usage)


def _complete(store: Store, caller: Caller, body: dict, lenient: bool, client: Client) -> dict:
    if not lenient:
        validate.check_ranges(body, RANGES)
        if (body.get("best_of") or body.get("n") or 1) < (body.get("n") or 1):
            raise bad_request("Invalid 'best_of': it must be at least 'n'.", "best_of")
    chat.check_stops(body)
    model = models.choose(store, caller, body["model"])
    models.refuse_unless_completing(model)
    prompts = _prompts(body.get("prompt"), body["model"])
    limit = DEFAULT_TOKENS if body.get("max_tokens") is None else body["max_tokens"]
    choices, answers = [], []
    for prompt in prompts:
        client.require()
        asked = {key: body.get(key) for key in SETTINGS} | {"max_tokens": limit}
        asked |= {"messages": [{"role": "user", "content": prompt}]}
        if body.get("logprobs") is not None:
            asked |= {"logprobs": True, "top_logprobs": body["logprobs"]}
        for answer in chat.simulated_answers(store, model, asked, client):
            answers.append(answer)
            choices.append(_choice(len(choices), body, prompt, answer))
    return {
        "id": new_id("cmpl-", 29),
        "object": "text_completion",
        "created": int(store.clock()),
        "model": model.name,
        "system_fingerprint": chat.FINGERPRINT,
        "choices": choices,
        "usage": _usage(prompts, answers, model.base),
    }


def _prompts(given: str | list | None, model: str) -> list[str]:
    """The prompts as texts; token numbers are turned back into text first. Without one, a new document begins."""
    if given is None or given == []:
        return [""]
    return texts_of(given, model, "prompt", MAX_PROMPTS, "prompts")


def _choice(index: int, body: dict, prompt: str, answer: chat.Answer) -> dict:
    before = prompt if body.get("echo") else ""
    return {
        "index": index,
        "text": before + answer.text,
        "finish_reason": answer.finish_reason,
        "logprobs": None if body.get("logprobs") is None else _logprobs(answer, len(prompt)),
    }


def _logprobs(answer: chat.Answer, start: int) -> dict:
    """The log-probabilities of a chat in the older form: lists side by side."""
    content = (answer.logprobs or {}).get("content") or []
    offsets = []
    for item in content:
        offsets.append(start)
        start += len(item["token"])
    return {
        "tokens": [item["token"] for item in content],
        "token_logprobs": [item["logprob"] for item in content],
        "top_logprobs": [
            {other["token"]: other["logprob"] for other in item["top_logprobs"]} for item in content
        ],
        "text_offset": offsets,
    }


def _usage(prompts: list[str], answers: list[chat.Answer], base: str) -> dict:
    prompt = sum(tokens.count_many(prompts, base))
    completion = sum(answer.tokens for answer in answers)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _events(completion: dict, wants_usage: bool) -> Iterator[str]:
    """The parts of a completion. Their ``finish_reason`` is null before the last, which OpenAI's types do not know."""
    head = {key: value for key, value in completion.items() if key not in ("choices", "usage")}
    head |= {"usage": None} if wants_usage else {}
    for choice in completion["choices"]:
        for piece in chat.PIECE.findall(choice["text"]):
            part = {"index": choice["index"], "text": piece, "finish_reason": None, "logprobs": None}
            yield _event(head | {"choices": [part]})
        yield _event(head | {"choices": [choice | {"text": ""}]})
    if wants_usage:
        yield _event(head | {"choices": [], "usage": completion["usage"]})
    yield "data: [DONE]\n\n"


def _event(chunk: dict) -> str:
    return f"data: {json.dumps(chunk)}\n\n"
