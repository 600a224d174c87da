"""Answering with the trained engine: merged weights, several questions in one batch, a token at a time.

Questions that wait at the same time are answered together; that is several times as fast as one after the other.
"""

import ctypes
import functools
import queue
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from ...structured import Form
from .. import COLDEST
from . import training, weights
from .guide import Guide, least
from .weights import Base

MAX_BATCH = 32
AT_ONCE = 8_000_000  # pairs of a token that is read and one before it: attention keeps numbers for each
DEFAULT_TOKENS = 256  # of an answer if the request sets no limit; a small model may never come to an end
ROOM = 3  # times the tokens that its form needs at least has such an answer
IDLE_SECONDS = 300.0  # then the models are dropped from memory
KEPT = 2  # models kept in memory
GAP_SECONDS = 0.05  # between two questions that are answered together; one answer takes some seconds
BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")  # how SentencePiece writes a byte that is no token of its own
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # and a space
TOO_LONG = "This model's maximum context length is {} tokens. However, your messages resulted in {} tokens."


class ContextTooLong(Exception):
    """The prompt does not fit into the model."""


@dataclass
class Piece:
    """A part of an answer as it comes: text that is safe to show, its tokens' log-probabilities, why it ended."""

    text: str = ""
    logprobs: list[dict] = field(default_factory=list)
    finish_reason: str | None = None


class Answer:
    """One answer while it is written. Iterate over it to get its pieces; ``tokens`` counts what was generated.

    ``top_p`` and the penalties are those of a chat. A ``guide`` keeps it to a form. The log-probabilities are the
    model's own, before all that (as in vLLM, ``logprobs_mode``); ``top`` of them at each place, -1 for none.
    """

    def __init__(
        self,
        prompt: list[int],
        *,
        limit: int,
        temperature: float,
        seed,
        stops: list[str],
        top: int,
        top_p: float = 1.0,
        presence_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
        guide: Guide | None = None,
    ):
        self.prompt, self.limit, self.guide = prompt, limit, guide
        self.temperature, self.top_p = temperature, top_p
        self.presence_penalty, self.frequency_penalty = presence_penalty, frequency_penalty
        self.stops, self.top = [stop for stop in stops if stop], top
        self.random = torch.Generator()
        self.random.manual_seed(seed) if seed is not None else self.random.seed()
        self.generated: list[int] = []
        self.shown, self.waiting = 0, []
        self.done = False
        self._pieces: queue.SimpleQueue = queue.SimpleQueue()

    @property
    def tokens(self) -> int:
        return len(self.generated)

    def __iter__(self) -> Iterator[Piece]:
        try:
            while True:
                piece = self._pieces.get()
                if isinstance(piece, Exception):
                    raise piece
                yield piece
                if piece.finish_reason:
                    return
        finally:
            self.done = True  # whoever reads it has gone: no further token is computed

    def put(self, tokenizer, scores: torch.Tensor) -> int:
        """Chooses the next token by the scores of all tokens, passes on what can be shown, returns the token."""
        token = self._next(scores)
        if token == tokenizer.eos_token_id:
            self._finish(tokenizer, "stop")
            return token
        self.generated.append(token)
        if self.top >= 0:
            self.waiting.append(self._logprob(tokenizer, scores, token))
        text = tokenizer.decode(self.generated)
        ends = [text.find(stop) for stop in self.stops if stop in text]
        if ends:
            self._finish(tokenizer, "stop", text[: min(ends)])
        elif self.guide and self.guide.is_over():
            self._finish(tokenizer, "stop")
        elif self.tokens >= self.limit:
            self._finish(tokenizer, "stop" if self.guide and self.guide.is_complete() else "length")
        else:
            self._show(text[: len(text) - self._unsure(text)])
        return token

    def fail(self, error: Exception) -> None:
        self.done = True
        self._pieces.put(error)

    def _next(self, scores: torch.Tensor) -> int:
        if self.guide is None:
            return self._choose(scores)
        return self.guide.next(scores, self._choose, self.limit - self.tokens)

    def _choose(self, scores: torch.Tensor) -> int:
        if self.presence_penalty or self.frequency_penalty:
            used, times = torch.tensor(self.generated, dtype=torch.long).unique(return_counts=True)
            scores = scores.clone()
            scores[used] -= self.presence_penalty + self.frequency_penalty * times
        if self.temperature < COLDEST:
            return int(scores.argmax())
        chances = torch.softmax(scores / self.temperature, -1)
        if self.top_p < 1:
            ordered, tokens = chances.sort(descending=True)
            kept = ordered.cumsum(-1) - ordered < self.top_p  # the likeliest that together have this share
            kept[0] = True
            chances[tokens[~kept]] = 0
        return self._drawn(chances)

    def _drawn(self, chances: torch.Tensor) -> int:
        """A token; torch.multinomial draws a number for each of the vocabulary, which takes sixteen times as long."""
        sums = chances.cumsum(-1)
        if not sums[-1] > 0:
            raise RuntimeError("The model's scores are not numbers, so no token can be drawn.")
        point = torch.rand(1, generator=self.random, device="cpu") * sums[-1]
        last = torch.searchsorted(sums, sums[-1:])  # of those that can be drawn
        return int(torch.minimum(torch.searchsorted(sums, point, right=True), last))

    def _logprob(self, tokenizer, scores: torch.Tensor, token: int) -> dict:
        logs = torch.log_softmax(scores, -1)
        best = torch.topk(logs, self.top).indices.tolist() if self.top else []
        top = [_named(tokenizer, other, logs[other].item()) for other in best]
        return _named(tokenizer, token, logs[token].item()) | {"top_logprobs": top}

    def _unsure(self, text: str) -> int:
        """How many characters at the end may still change: half a character, or the beginning of a stop."""
        if text.endswith("\N{REPLACEMENT CHARACTER}"):
            return len(text) - len(text.rstrip("\N{REPLACEMENT CHARACTER}"))
        sizes = (n for stop in self.stops for n in range(len(stop) - 1, 0, -1) if text.endswith(stop[:n]))
        return max(sizes, default=0)

    def _show(self, text: str, finish_reason: str | None = None) -> None:
        new, logprobs = text[self.shown :], self.waiting
        if new or finish_reason:
            self.shown, self.waiting = len(text), []
            self._pieces.put(Piece(new, logprobs, finish_reason))

    def _finish(self, tokenizer, reason: str, text: str | None = None) -> None:
        self.done = True
        self._show(tokenizer.decode(self.generated) if text is None else text, reason)


def _named(tokenizer, token: int, logprob: float) -> dict:
    data = token_bytes(tokenizer, token)
    return {"token": data.decode("utf-8", errors="replace"), "logprob": logprob, "bytes": list(data)}


def token_bytes(tokenizer, token: int) -> bytes:
    """The bytes behind a token; one character may be cut into several tokens."""
    text = tokenizer.convert_ids_to_tokens(token)
    if not _is_byte_level(tokenizer):
        found = BYTE_TOKEN.fullmatch(text)
        return bytes([int(found[1], 16)]) if found else text.replace(SPACE, " ").encode()
    try:
        return bytes(_byte_of()[character] for character in text)
    except KeyError:  # a special token stands for itself
        return text.encode()


@functools.cache
def _is_byte_level(tokenizer) -> bool:
    """Whether its tokens are written in GPT-2's way; if not, in SentencePiece's."""
    return "ByteLevel" in str(tokenizer.backend_tokenizer.decoder)


@functools.cache
def _byte_of() -> dict[str, int]:
    """Byte-level BPE writes each byte as a printable character (GPT-2's encoder.py, bytes_to_unicode)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + i): byte for i, byte in enumerate(others)}


@torch.inference_mode()
def decode(model, tokenizer, answers: list[Answer]) -> None:
    """Writes all answers together, token by token, until each has come to its end.

    What all prompts begin with, such as the system prompt and its examples, is read once.
    """
    # of each prompt one token at least is left to be read: the first token of the answer is chosen after it
    start = training.same_start([answer.prompt[:-1] for answer in answers]) if len(answers) > 1 else 0
    cache = None
    if start:
        beginning = torch.tensor([answers[0].prompt[:start]], device=model.device)
        cache = _read(model, beginning, torch.ones_like(beginning), None).cache
        cache.batch_repeat_interleave(len(answers))
    rests = [answer.prompt[start:] for answer in answers]
    longest = max(map(len, rests))
    tokens = torch.tensor([[0] * (longest - len(rest)) + rest for rest in rests], device=model.device)
    real = [[1] * start + [0] * (longest - len(rest)) + [1] * len(rest) for rest in rests]
    real = torch.tensor(real, device=model.device)
    while True:
        out = _read(model, tokens, real, cache)
        # an answer chooses on the processor, so that the same seed draws the same everywhere
        cache, scores = out.cache, out.logits[:, -1].float().cpu()
        chosen = [_put(answer, tokenizer, row) for answer, row in zip(answers, scores, strict=True)]
        left = [i for i, answer in enumerate(answers) if not answer.done]
        if not left:
            return
        if len(left) < len(answers):
            answers, chosen = [answers[i] for i in left], [chosen[i] for i in left]
            cache.batch_select_indices(torch.tensor(left, device=model.device))
            real = real[left]
        tokens = torch.tensor(chosen, device=model.device)[:, None]
        real = torch.cat([real, torch.ones_like(tokens)], -1)


def _read(model, tokens: torch.Tensor, real: torch.Tensor, cache):
    """The model's output after these tokens, read in parts. ``real`` is 0 where a row, cache included, is filled up."""
    positions = (real.cumsum(-1) - 1).clamp(min=0)
    seen = real.shape[1] - tokens.shape[1]
    for part in tokens.split(max(1, AT_ONCE // real.numel()), dim=1):
        end = seen + part.shape[1]
        out = model(
            input_ids=part,
            attention_mask=real[:, :end],
            position_ids=positions[:, seen:end],
            cache=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache, seen = out.cache, end
    return out


def _put(answer: Answer, tokenizer, scores: torch.Tensor) -> int:
    """The next token of an answer. What goes wrong with it ends this answer alone."""
    try:
        return answer.put(tokenizer, scores)
    except Exception as error:  # noqa: BLE001 - who waits for it must hear of it, and the others of the batch go on
        answer.fail(error)
        return tokenizer.eos_token_id


def merged(base: Base, adapter: bytes | None):
    """The base with the trained matrices added into its own: as quick as the base alone."""
    model = training.load_model(base.folder)
    if adapter:
        model = training.with_lora(model, adapter, seed=0).merge_and_unload()
    return model.eval()


def give_memory_back() -> None:
    """Hands what was freed to the system. Linux keeps it: a model is some hundred tensors between other things."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


class Server:
    """A thread that answers what waits. Models are loaded at the first question and dropped when idle."""

    def __init__(self):
        self._waiting: queue.Queue = queue.Queue()
        self._models: dict[tuple[str, Base], torch.nn.Module] = {}
        self._tokenizers: dict[Base, tuple] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def tokenizer(self, base: Base) -> tuple:
        """A base's tokenizer, and how many characters the longest token of its vocabulary stands for, at most."""
        with self._lock:
            if base not in self._tokenizers:
                tokenizer = training.load_tokenizer(base.folder)
                self._tokenizers[base] = tokenizer, max(map(len, tokenizer.get_vocab()))
            return self._tokenizers[base]

    def ask(
        self,
        name: str,
        base_name: str,
        adapter: bytes | None,
        messages: list[dict],
        *,
        n,
        limit,
        seed,
        form: Form | None = None,
        **settings,
    ) -> tuple[list[Answer], int]:
        """``n`` answers that begin to be written, with the other ``settings`` of Answer, and the tokens of the prompt.

        Raises ContextTooLong if the prompt does not fit, training.Unwritable if the model cannot read such a chat,
        FormError if the form cannot be followed.
        """
        base = weights.base(base_name)
        tokenizer, longest_token = self.tokenizer(base)
        text = training.prompt_text(tokenizer, training.plain(messages))
        fewest = len(text) // longest_token  # to count the tokens of megabytes takes many seconds
        if fewest > context(base):
            raise ContextTooLong(TOO_LONG.format(context(base), f"at least {fewest}"))
        prompt = tokenizer.encode(text, add_special_tokens=False)
        room = context(base) - len(prompt)
        if room < 1:
            raise ContextTooLong(TOO_LONG.format(context(base), len(prompt)))
        guides = [Guide(form, tokenizer) if form else None for _ in range(n)]
        limit = limit or max(DEFAULT_TOKENS, ROOM * least(form, tokenizer) if form else 0)
        answers = []
        for i, guide in enumerate(guides):
            own = None if seed is None else (abs(seed) + i) % 2**63
            answers.append(Answer(prompt, limit=min(limit, room), seed=own, guide=guide, **settings))
        self._start()
        for answer in answers:
            self._waiting.put(((name, base), adapter, answer))
        return answers, len(prompt)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="trained-answers")
                self._thread.start()

    def _run(self) -> None:
        held = None
        while True:
            try:
                model, adapter, answer = held or self._waiting.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                self._models.clear()
                give_memory_back()
                continue
            batch, held = [answer], None
            while len(batch) < MAX_BATCH and held is None:
                try:
                    other = self._waiting.get(timeout=GAP_SECONDS)
                except queue.Empty:
                    break
                if other[0] == model:
                    batch.append(other[2])
                else:
                    held = other
            self._answer(*model, adapter, [answer for answer in batch if not answer.done])

    def _answer(self, name: str, base: Base, adapter: bytes | None, batch: list[Answer]) -> None:
        try:
            if batch:
                # one answer alone is too little work to be shared out
                torch.set_num_threads(training.quickest_threads() if len(batch) > 1 else 1)
                decode(self._model(name, base, adapter), self.tokenizer(base)[0], batch)
        except Exception as error:  # noqa: BLE001 - who waits for an answer must hear of it
            self._fail(batch, error)
        except BaseException as error:  # noqa: BLE001 - a library's panic: the thread lives on
            self._fail(batch, RuntimeError(str(error)))

    @staticmethod
    def _fail(batch: list[Answer], error: Exception) -> None:
        for answer in batch:
            answer.fail(error)

    def _model(self, name: str, base: Base, adapter: bytes | None):
        key = name, base
        if key not in self._models:
            while len(self._models) >= KEPT:
                del self._models[next(iter(self._models))]
            give_memory_back()
            self._models[key] = merged(base, adapter)
            give_memory_back()
        self._models[key] = self._models.pop(key)  # the one asked last is dropped last
        return self._models[key]


@functools.cache
def context(base: Base) -> int:
    """Tokens that the model takes, prompt and answer together."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base.folder, local_files_only=True)
    return config.get_text_config().max_position_embeddings


server = Server()
