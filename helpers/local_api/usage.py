"""The ``usage`` of a chat answer: what a service would bill, counted by the tokenizer of the model that is played.

Simulated are the two details, by plain rules. A prompt's beginning counts as cached if the same key sent the same
beginning to the same model a short time before. A model that reasons takes so many tokens for it as ``REASONING``
says: they are counted, and no reasoning takes place.
"""

import hashlib
import json
import threading
from collections import OrderedDict

from .. import tokens
from . import facts, models
from .scenarios import Caller
from .store import Store

REASONING = {"none": 0, "minimal": 64, "low": 128, "medium": 256, "high": 512, "xhigh": 1024, "max": 2048}
CACHE_STEP = 128  # tokens
READ = 500_000  # characters of a prompt that are compared
KEPT = 20_000  # beginnings that are remembered


def reasoning_tokens(model: models.Chosen, body: dict) -> int:
    """How many tokens an answer's reasoning takes, if nothing limits it."""
    return REASONING[models.reasoning_effort(model, body)]


def count(
    store: Store,
    caller: Caller,
    model: models.Chosen,
    body: dict,
    completion: int,
    *,
    reasoning: int,
    prompt: int | None,
) -> dict:
    """The ``usage`` of an answer with so many tokens, ``reasoning`` of them for reasoning.

    ``prompt`` is counted here if it is None: messages and definitions of tools.
    """
    cached = 0
    if prompt is None:
        tools = body.get("tools") or body.get("functions")
        prompt = tokens.count_messages(body["messages"], model.base, tools)
        cached = min(_cache.tokens(store, caller, model, body, prompt), prompt)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


class _Cache:
    """The beginnings of prompts, in steps, each with the time at which it was last sent."""

    def __init__(self):
        self._sent: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def tokens(self, store: Store, caller: Caller, model: models.Chosen, body: dict, prompt: int) -> int:
        """How many tokens of this prompt were sent before; from now on they have been."""
        least = int(facts.value("*", "cached_input_from"))
        if prompt < least:
            return 0
        sent = [body.get("tools") or body.get("functions"), body["messages"]]
        pieces = tokens.pieces(json.dumps(sent, ensure_ascii=False)[:READ], model.base)
        keys, running = {}, hashlib.sha256(f"{store.folder}\n{caller.owner}\n{model.name}\n".encode())
        for end in range(CACHE_STEP, len(pieces) + 1, CACHE_STEP):
            for piece in pieces[end - CACHE_STEP : end]:
                running.update(piece if isinstance(piece, bytes) else piece.encode("utf-8", "replace"))
            if end >= least:
                keys[end] = running.digest()
        now, seconds = store.clock(), 60 * float(facts.value("*", "cache_kept_minutes"))
        with self._lock:
            cached = max(
                (end for end, key in keys.items() if now - self._sent.get(key, 0) < seconds), default=0
            )
            for key in keys.values():
                self._sent.pop(key, None)
                self._sent[key] = now
            while len(self._sent) > KEPT:
                self._sent.popitem(last=False)
        return cached


_cache = _Cache()
