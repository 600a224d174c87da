"""A tiny neural language model in numpy: how it predicts the next word, how it learns.

It is a feed-forward network (Bengio et al., "A Neural Probabilistic Language Model", 2003). It sees the last two
words of the answer so far, the user's words and the instruction's words, and gives a probability to every word
of its vocabulary. The topic of the question goes straight to the output, past the hidden layer, so that a few
epochs suffice to tie an answer to its question. Words that stand in the prompt can be copied: two learned numbers
say how much likelier a word is that stands in the question, or in a passage that fits the question. The better
a passage fits, the less the topic counts: what is learned by heart steps back behind what stands in the prompt.

Training is in float64, so that processors that round differently agree on the decimals that are shown.
"""

import functools
import io
import json
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from .reading import MESSAGES_LIMIT, Prompt, read_prompt, stems, text_of, tokens

EMBEDDING, HIDDEN, TOPIC = 16, 32, 64
TOPIC_LENGTH = 7.0  # the larger, the faster an answer is tied to the words of its question
VOCABULARY_LIMIT = 3000
UNKNOWN, END = 0, 1  # END also stands before the first word of an answer
PER_WORD = ("embedding", "output", "output_bias")  # these weights have one row for each word
CLIP = 1.0  # largest norm of a gradient
TOGETHER = 32  # answers that are computed at once, to bound the memory


@dataclass
class Turn:
    """One answer to learn or to score, as word numbers: (length, 2) words before, (length,) words to predict."""

    before: np.ndarray
    target: np.ndarray
    user: np.ndarray
    instruction: np.ndarray
    topic: np.ndarray
    copied: np.ndarray
    copy_weights: np.ndarray


@dataclass
class Network:
    """The weights, the vocabulary they are for, and the answers that the model has been shown."""

    vocabulary: list[str]
    weights: dict[str, np.ndarray]
    answers: list[str] = field(default_factory=list)
    asked: Counter = field(default_factory=Counter)  # stem -> in how many questions of the training it stood
    calls: dict[str, list] = field(default_factory=dict)  # an answer -> the [name, arguments] that it calls
    after_reply: list[str] = field(default_factory=list)  # the answers that followed a function's reply

    def __post_init__(self):
        self.number = {word: i for i, word in enumerate(self.vocabulary)}

    @classmethod
    def fresh(cls, words: Iterable[str], seed: int) -> "Network":
        """An untrained network that knows these words."""
        vocabulary = ["<unk>", "<end>", *words]
        draw = np.random.default_rng(seed).standard_normal
        size = len(vocabulary)
        weights = {
            "embedding": 0.3 * draw((size, EMBEDDING)),
            "hidden": draw((4 * EMBEDDING, HIDDEN)) / np.sqrt(EMBEDDING),
            "hidden_bias": np.zeros(HIDDEN),
            "output": np.concatenate([0.1 * draw((size, HIDDEN)), np.zeros((size, TOPIC))], axis=1),
            "output_bias": np.zeros(size),
            "copy": np.ones(2),
        }
        return cls(vocabulary, weights)

    def with_words(self, words: Iterable[str], seed: int) -> "Network":
        """A float64 copy that knows more words; a new word starts near the mean of the known ones."""
        new = [word for word in words if word not in self.number]
        new = new[: VOCABULARY_LIMIT - len(self.vocabulary)]
        draw = np.random.default_rng(seed).standard_normal
        weights = {name: values.astype(float) for name, values in self.weights.items()}
        for name, values in weights.items():
            if name in PER_WORD:
                noise = values.std(axis=0) * draw((len(new), *values.shape[1:])) / 2
                # a bias whose exponential is the mean one: a new word is as likely as words are on average
                middle = np.log(np.exp(values).mean()) if name == "output_bias" else values.mean(axis=0)
                weights[name] = np.concatenate([values, middle + noise])
        shown = list(self.answers), Counter(self.asked), dict(self.calls), list(self.after_reply)
        return Network(self.vocabulary + new, weights, *shown)

    def turn(self, prompt: Prompt, answer: str) -> Turn:
        """An answer to a prompt, as numbers."""
        ids = [self.number.get(word, UNKNOWN) for word in tokens(answer)]
        copied = {self.number[word]: weight for word, weight in prompt.copied.items() if word in self.number}
        precision = self.weights["copy"].dtype
        return Turn(
            before=np.array(list(zip([END, END, *ids], [END, *ids], strict=False))),
            target=np.array([*ids, END]),
            user=self._known(prompt.user),
            instruction=self._known(prompt.instruction),
            topic=(self.topic(prompt.user) * (1 - prompt.found)).astype(precision),
            copied=_indices(copied),
            copy_weights=np.array(list(copied.values()), precision).reshape(-1, 2),
        )

    def topic(self, words: list[str]) -> np.ndarray:
        """(TOPIC,) the direction of the user's words; a word that stands in many questions counts less."""
        total = np.zeros(TOPIC)
        for stem in sorted(stems(" ".join(words))):
            total += direction(stem) / np.sqrt(1 + self.asked[stem])
        return TOPIC_LENGTH * total / max(np.sqrt(total @ total), 1e-9)

    def fits(self, topic: np.ndarray, answer: str) -> float:
        """How much the words of an answer are tied to a topic: a quick look before the exact likelihood."""
        words = self._known(tokens(answer))
        return float((self.weights["output"][words, HIDDEN:] @ topic).mean()) if len(words) else -np.inf

    def _known(self, words: list[str]) -> np.ndarray:
        return _indices(self.number[word] for word in words if word in self.number)

    def turns(self, example: dict) -> list[Turn]:
        """The answers of a chat example that are to be learned: assistant messages, but those of weight 0."""
        messages = example["messages"][:MESSAGES_LIMIT]
        return [
            self.turn(read_prompt(messages[:i]), text_of(message))
            for i, message in enumerate(messages)
            if message.get("role") == "assistant" and message.get("weight") != 0
        ]

    def log_likelihoods(self, turns: list[Turn]) -> np.ndarray:
        """(turns,) the mean log-probability of the words of each answer that the model knows."""
        means = []
        for some in _in_parts(turns):
            losses = self._losses(some)[0]
            means += [-losses[rows][turn.target != UNKNOWN].mean() for turn, rows in _with_rows(some)]
        return np.array(means)

    def log_probabilities(self, turn: Turn) -> np.ndarray:
        """(length, vocabulary) the log-probability of every word at each place of an answer."""
        likely = self._losses([turn])[2]
        with np.errstate(divide="ignore"):
            return np.log(likely / likely.sum(axis=1, keepdims=True))

    def loss(self, turns: list[Turn]) -> tuple[float, float]:
        """Mean loss and accuracy over the words of these answers that the model knows; 0, 0 if there are none."""
        return self._measure(turns, None)

    def step(self, turns: list[Turn], rate: float) -> tuple[float, float]:
        """One step of gradient descent. Returns loss and accuracy before it."""
        gradient = {}
        result = self._measure(turns, gradient)
        length = np.sqrt(sum(np.vdot(values, values) for values in gradient.values()))
        for name, values in gradient.items():
            values *= rate * CLIP / max(length, CLIP)
            self.weights[name] -= values
        return result

    def _measure(self, turns: list[Turn], gradient: dict | None) -> tuple[float, float]:
        """Mean loss and accuracy; the slope of that loss along each weight is added to ``gradient``."""
        count = max(sum((turn.target != UNKNOWN).sum() for turn in turns), 1)
        loss = right = 0.0
        for some in _in_parts(turns):
            target = np.concatenate([turn.target for turn in some])
            known = target != UNKNOWN
            precision = np.float32 if gradient is None else np.float64
            losses, first, likely, inputs, hidden = self._losses(some, precision)
            loss += losses[known].sum() / count
            right += first[known].sum() / count
            if gradient is not None:
                likely *= (known / likely.sum(axis=1) / count)[:, None]
                likely[np.arange(len(target)), target] -= known / count
                for name, slope in self._gradient(some, likely, inputs, hidden).items():
                    gradient[name] = gradient[name] + slope if name in gradient else slope
        return float(loss), float(right)

    def _losses(self, turns: list[Turn], precision=np.float32) -> tuple[np.ndarray, ...]:
        """Per word: its loss, whether it was the likeliest, what every word's probability is proportional to
        (vocabulary), inputs (4 x EMBEDDING), hidden values and topic (HIDDEN + TOPIC).

        ``precision`` is that of the exponentials, which take most of the time. In float32 they are quicker, and a
        loss that is else in float64 changes in its ninth digit.
        """
        weights = self.weights
        target = np.concatenate([turn.target for turn in turns])
        inputs = np.concatenate([self._inputs(turn) for turn in turns])
        hidden = np.tanh(inputs @ weights["hidden"] + weights["hidden_bias"])
        topics = [np.broadcast_to(turn.topic, (len(turn.target), TOPIC)) for turn in turns]
        hidden = np.concatenate([hidden, np.concatenate(topics)], axis=1)
        scores = hidden @ weights["output"].T
        scores += weights["output_bias"]
        for turn, rows in _with_rows(turns):
            scores[rows, turn.copied] += turn.copy_weights @ weights["copy"]
        scores -= scores.max(axis=1, keepdims=True)
        at_target = scores[np.arange(len(target)), target]
        likely = np.exp(scores, out=scores, dtype=precision)
        return np.log(likely.sum(axis=1)) - at_target, at_target == 0, likely, inputs, hidden

    def _inputs(self, turn: Turn) -> np.ndarray:
        """(words, 4 x EMBEDDING): two words before, the user's words, the instruction's words."""
        table = self.weights["embedding"]
        parts = [table[turn.before].reshape(len(turn.before), -1)]
        for words in (turn.user, turn.instruction):
            total = table[words].sum(axis=0) / math.sqrt(max(len(words), 1))  # numpy's root is float64
            parts.append(np.broadcast_to(total, (len(turn.before), EMBEDDING)))
        return np.concatenate(parts, axis=1)

    def _gradient(self, turns: list[Turn], error, inputs, hidden) -> dict[str, np.ndarray]:
        """The chain rule, from the error at the output back to the embedding."""
        back = error @ self.weights["output"][:, :HIDDEN]
        inside = back * (1 - hidden[:, :HIDDEN] ** 2)
        at_inputs = inside @ self.weights["hidden"].T
        gradient = {
            "output": error.T @ hidden,
            "output_bias": error.sum(axis=0),
            "hidden": inputs.T @ inside,
            "hidden_bias": inside.sum(axis=0),
            "copy": np.zeros_like(self.weights["copy"]),
            "embedding": np.zeros_like(self.weights["embedding"]),
        }
        for turn, rows in _with_rows(turns):
            gradient["copy"] += error[rows, turn.copied].sum(axis=0) @ turn.copy_weights
            before, user, instruction = np.split(at_inputs[rows], [2 * EMBEDDING, 3 * EMBEDDING], axis=1)
            np.add.at(gradient["embedding"], turn.before.ravel(), before.reshape(-1, EMBEDDING))
            for words, slope in ((turn.user, user), (turn.instruction, instruction)):
                np.add.at(gradient["embedding"], words, slope.sum(axis=0) / np.sqrt(max(len(words), 1)))
        return gradient

    def to_bytes(self) -> bytes:
        """Everything needed to go on from here, as a numpy archive."""
        out = io.BytesIO()
        shown = [self.vocabulary, self.answers, self.asked, self.calls, self.after_reply]
        texts = np.frombuffer(json.dumps(shown).encode(), dtype=np.uint8)
        small = {name: values.astype(np.float32) for name, values in self.weights.items()}
        np.savez(out, texts=texts, **small)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Network":
        """The network that ``to_bytes`` wrote, its weights in float32."""
        with np.load(io.BytesIO(data)) as archive:
            # a model that was tuned before calls were kept has three parts
            vocabulary, answers, asked, *calls = json.loads(archive["texts"].tobytes())
            weights = {name: archive[name] for name in archive.files if name != "texts"}
        return cls(vocabulary, weights, answers, Counter(asked), *calls)


def _with_rows(turns: list[Turn]) -> Iterator[tuple[Turn, slice]]:
    """Each turn with the place of its words when all are put one after the other."""
    start = 0
    for turn in turns:
        yield turn, slice(start, start + len(turn.target))
        start += len(turn.target)


def _in_parts(turns: list[Turn]) -> Iterator[list[Turn]]:
    for start in range(0, len(turns), TOGETHER):
        yield turns[start : start + TOGETHER]


def _indices(numbers: Iterable[int]) -> np.ndarray:
    return np.array(list(numbers), dtype=np.intp)


@functools.cache
def direction(stem: str) -> np.ndarray:
    """(TOPIC,) a fixed random direction for each stem, of length 1; any two are nearly at right angles."""
    values = np.random.default_rng(zlib.crc32(stem.encode())).standard_normal(TOPIC)
    return values / np.sqrt(values @ values)
