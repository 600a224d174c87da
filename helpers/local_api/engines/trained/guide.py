"""Keeps an answer of the trained engine to a form, token by token, and brings it to its end in time."""

import functools
from collections.abc import Callable

import llguidance
import torch
from llguidance.hf import from_tokenizer

from ...structured import Form, Writer, refuse_if_broken

AGAIN = 16  # tokens after which an end is looked for again, if none was found
NEAR = 128  # tokens to the limit, beside those that the end takes; from here on the end is kept in sight


@functools.lru_cache(maxsize=8)
def reader(tokenizer) -> llguidance.LLTokenizer:
    """The tokenizer as llguidance reads it; the first time it takes a second."""
    return from_tokenizer(tokenizer)


@functools.lru_cache(maxsize=64)
def least(form: Form, tokenizer) -> int:
    """How many tokens a text of the form needs at least, as far as was found; 0 if no text was."""
    end = Writer(form).ending()
    return 0 if end is None else len(reader(tokenizer).tokenize_bytes(end))


class Guide:
    """What one answer with a form may go on with. Raises FormError where the form gets too hard to follow."""

    def __init__(self, form: Form, tokenizer):
        self._tokens = reader(tokenizer)
        self._matcher = form.matcher(self._tokens)
        self._writer = Writer(form)
        self._near = NEAR + least(form, tokenizer)
        self._rest: list[int] | None = None  # the tokens that are left, once only the end is written

    def next(self, scores: torch.Tensor, choose: Callable[[torch.Tensor], int], left: int) -> int:
        """The token that is chosen among those that may follow.

        If the form could then not be ended within the ``left`` tokens, but can be now, the answer is ended instead.
        """
        if self._rest is None:
            token = choose(self._allowed(scores))
            if left > self._near or self._can_end_after(token, left):
                self._writer.put(self._bytes(token))
            else:
                self._rest = self._end(self._writer) + [self._tokens.eos_token]
        if self._rest is not None:
            token = self._rest.pop(0)
        self._matcher.consume_token(token)
        refuse_if_broken(self._matcher)
        return token

    def is_over(self) -> bool:
        """Whether nothing may follow."""
        return self._matcher.is_stopped()

    def is_complete(self) -> bool:
        """Whether the answer may end here."""
        return self._matcher.is_accepting()

    def _allowed(self, scores: torch.Tensor) -> torch.Tensor:
        """The scores, minus infinity for all tokens that may not follow."""
        may = torch.frombuffer(bytearray(self._matcher.compute_logit_bias()), dtype=torch.uint8)
        refuse_if_broken(self._matcher)
        # a model may have more scores than there are tokens
        allowed = torch.zeros(len(scores), dtype=torch.bool)
        allowed[: len(may)] = may[: len(scores)] > 0
        return scores.masked_fill(~allowed.to(scores.device), -torch.inf)

    def _can_end_after(self, token: int, left: int) -> bool:
        """Whether the answer can end within ``left`` tokens of which this is one; or cannot be helped any more."""
        if token == self._tokens.eos_token:
            return True
        after = self._writer.copy()
        after.put(self._bytes(token))
        end = self._end(after)
        if end is None or len(end) > left - 1:
            now = self._end(self._writer)
            if now is None:
                self._near = left - AGAIN
            return now is None or len(now) > left
        self._near = NEAR + len(end)
        return True

    def _end(self, writer: Writer) -> list[int] | None:
        end = writer.ending()
        return None if end is None else self._tokens.tokenize_bytes(end)

    def _bytes(self, token: int) -> bytes:
        return b"" if token == self._tokens.eos_token else self._tokens.decode_bytes([token])
