"""``logprobs`` of the simulated models: the likelihood that the tiny model itself gives to each word of an answer.

The tokens are those of the tokenizer of the model that is played. The tiny model knows words: the likelihood of a word
stands at the token with which it begins, the rest of the word is certain (0). So all tokens together have the
likelihood of the answer.
"""

from .. import tokens
from .engines import simulated

IMPOSSIBLE = -9999.0  # what OpenAI's API shows instead of minus infinity


def of_text(weights: bytes, messages: list[dict], whole: str, shown: str, model: str, top: int) -> dict:
    """The ``logprobs`` of a choice that shows the beginning ``shown`` of the answer ``whole``.

    Each token comes with the ``top`` likeliest words at its place, those of the tiny model, in lower case.
    """
    words = simulated.likelihoods(weights, messages, whole, top)
    starts = [len(whole[: word.start].encode("utf-8", "replace")) for word in words]
    content, at, begun = [], 0, 0
    for piece in tokens.pieces(shown, model):
        data = piece if isinstance(piece, bytes) else piece.encode("utf-8", "replace")
        at += len(data)
        beginning = []
        while begun < len(words) and starts[begun] < at:
            beginning.append(words[begun])
            begun += 1
        content.append(_token(data, whole, beginning, top))
    return {"content": content, "refusal": None}


def _token(data: bytes, whole: str, beginning: list[simulated.Word], top: int) -> dict:
    """One token, in which these words begin."""
    chosen = _named(data, sum(word.logprob for word in beginning))
    others = [chosen] if top else []
    if beginning and top:
        first = beginning[0]
        lead = data[: len(data) - len(data.lstrip())]
        said = whole[first.start : first.end].lower()
        others = [
            chosen if word == said else _named(lead + word.encode(), logprob) for word, logprob in first.top
        ]
    return chosen | {"top_logprobs": others}


def _named(data: bytes, logprob: float) -> dict:
    token = data.decode("utf-8", errors="replace")
    return {"token": token, "logprob": max(logprob, IMPOSSIBLE), "bytes": list(data)}
