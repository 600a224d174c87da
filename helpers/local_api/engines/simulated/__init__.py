"""The simulated engine: one real, tiny language model that stands in for GPT-3.5 and its successors.

It is trained on a small general text that ships with the package (the base), and then further, by gradient
descent, on the learner's chat examples (the tuning). It does not write answers of its own: its likelihood ranks
answers that were written by people. It shows how the workflow behaves, not how good fine-tuning is.
"""

import functools
import hashlib
import itertools
import json
import math
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from .. import COLDEST
from .model import END, Network, Turn
from .reading import (
    MESSAGES_LIMIT,
    Prompt,
    calls_of,
    is_reply,
    places,
    read_prompt,
    stems,
    text_of,
    tokens,
)

SAMPLE_LIMIT = 400  # examples; a longer file is trained on a random sample of this many
ANSWERS_LIMIT = 500  # tuned answers that a model keeps to choose from
CHECKPOINTS = 3  # epochs whose model is kept (OpenAI supervised fine-tuning guide)
LEARNING_RATE = 0.4  # for a multiplier of 1
LARGEST_MULTIPLIER = 1000.0  # beyond it all is noise, and numbers overflow
VALID_EVERY, VALID_BATCH = 10, 24  # steps between two looks at a few validation examples
SHARPNESS = 4.0  # words: an answer is drawn as if it had this many, see answers()
PRIOR = 0.9  # how much of an answer's likelihood without the question is taken off
BASE_EPOCHS, BASE_BATCH, BASE_RATE, BASE_SEED = 10, 8, 1.0, 0
SHORTLIST = 60  # candidate answers whose exact likelihood is computed
VERSION = 2  # of the code; another one makes another base
_BASE_FILE = Path(__file__).with_name("base.jsonl")


@dataclass
class TrainingRun:
    """What a training run gave.

    ``steps`` holds a dict for each step, with the field names of OpenAI's metrics events; losses are mean natural
    logarithms over the words of the answers. ``checkpoints`` are (epoch, step, weights) of the last three epochs.
    ``sampled`` is (examples trained on, examples given).
    """

    steps: list[dict]
    checkpoints: list[tuple[int, int, bytes]]
    sampled: tuple[int, int]


def base_weights(cache_folder: Path | None = None) -> bytes:
    """The model before tuning, as .npz bytes: trained at first use, then kept in the process and in the folder."""
    if cache_folder is None:
        return _trained_base()
    return _base_from(Path(cache_folder))


@functools.cache
def _base_from(folder: Path) -> bytes:
    key = hashlib.sha256(_BASE_FILE.read_bytes() + str(VERSION).encode()).hexdigest()[:16]
    path = folder / f"simulated-base-{key}.npz"
    try:
        data = path.read_bytes()
        Network.from_bytes(data)
        return data
    except (OSError, ValueError, KeyError, EOFError):  # not there, or damaged: made again
        data = _trained_base()
    try:
        _keep(data, path)
    except OSError:  # the disk is full: it is made again by the next process
        pass
    return data


def _keep(data: bytes, path: Path) -> None:
    """Writes the file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


# More threads make such small sums slower, and much slower where other programs run beside them.
one_thread = threadpool_limits.wrap(limits=1)


@functools.cache
@one_thread
def _trained_base() -> bytes:
    examples = _base_examples()
    network = Network.fresh(_words(examples), BASE_SEED)
    network.asked = _asked(examples)
    rng = np.random.default_rng(BASE_SEED)
    turns = [network.turns(example) for example in examples]
    for _ in range(BASE_EPOCHS):
        order = rng.permutation(len(turns))
        for first in range(0, len(order), BASE_BATCH):
            network.step(_joined(turns, order[first : first + BASE_BATCH]), BASE_RATE)
    return network.to_bytes()


@functools.cache
def _base_examples() -> list[dict]:
    return [json.loads(line) for line in _BASE_FILE.read_text(encoding="utf-8").splitlines()]


@one_thread
def train(
    examples: list[dict],
    validation_examples: list[dict],
    *,
    n_epochs: int,
    batch_size: int,
    learning_rate_multiplier: float,
    seed: int,
    start: bytes,
    at_each_step: Callable[[], None] = lambda: None,
) -> TrainingRun:
    """Train further from ``start`` (``base_weights()`` or a tuned model) on chat examples.

    There are ceil(examples / batch_size) steps in an epoch. A step without a word to learn has loss 0.
    ``at_each_step`` is called before each; what it raises ends the training. Raises ValueError if there is no
    example.
    """
    if not examples:
        raise ValueError("There is no example to train on. Give at least one.")
    rng = np.random.default_rng([abs(seed), seed < 0])
    sample, validation = (_sample(rows, rng) for rows in (examples, validation_examples))
    network = Network.from_bytes(start).with_words(_words(sample), int(rng.integers(2**32)))
    _keep_answers(network, sample)
    network.asked += _asked(sample)
    turns = []
    for example in sample:
        at_each_step()
        turns.append(network.turns(example))
    valid = [network.turns(example) for example in validation]
    per_epoch = math.ceil(len(turns) / batch_size)
    rate = LEARNING_RATE * min(learning_rate_multiplier, LARGEST_MULTIPLIER)
    run = TrainingRun([], [], (len(sample), len(examples)))
    for epoch in range(1, n_epochs + 1):
        order = rng.permutation(len(turns))
        for first in range(0, len(order), batch_size):
            at_each_step()
            loss, accuracy = network.step(_joined(turns, order[first : first + batch_size]), rate)
            step = len(run.steps) + 1
            metrics = {"step": step, "total_steps": per_epoch * n_epochs}
            metrics |= {"train_loss": loss, "train_mean_token_accuracy": accuracy}
            run.steps.append(metrics | _validation(network, valid, step, step == epoch * per_epoch))
        if epoch > n_epochs - CHECKPOINTS:
            run.checkpoints.append((epoch, len(run.steps), network.to_bytes()))
    return run


def _validation(network: Network, valid: list[list[Turn]], step: int, epoch_ends: bool) -> dict:
    """The loss on a few validation examples, in turn; at the end of an epoch on all of them too."""
    if not valid or (step % VALID_EVERY and not epoch_ends):
        return {}
    few = [(step // VALID_EVERY * VALID_BATCH + i) % len(valid) for i in range(min(VALID_BATCH, len(valid)))]
    found = dict(zip(_names("valid"), network.loss(_joined(valid, few)), strict=True))
    if epoch_ends:
        found |= zip(_names("full_valid"), network.loss(_joined(valid, range(len(valid)))), strict=True)
    return found


def _names(which: str) -> tuple[str, str]:
    return f"{which}_loss", f"{which}_mean_token_accuracy"


def _joined(turns: list[list[Turn]], chosen) -> list[Turn]:
    return [turn for i in chosen for turn in turns[i]]


def _sample(examples: list[dict], rng: np.random.Generator) -> list[dict]:
    if len(examples) <= SAMPLE_LIMIT:
        return examples
    return [examples[i] for i in sorted(rng.choice(len(examples), SAMPLE_LIMIT, replace=False))]


def _words(examples: list[dict]) -> list[str]:
    """All words of the examples, the most frequent first."""
    texts = (text_of(message) for example in examples for message in example["messages"])
    return [word for word, _ in Counter(word for text in texts for word in tokens(text)).most_common()]


def _asked(examples: list[dict]) -> Counter:
    """In how many user messages each stem stands."""
    messages = (message for example in examples for message in example["messages"])
    return Counter(
        stem for message in messages if message.get("role") == "user" for stem in stems(text_of(message))
    )


def _learned(examples: list[dict]) -> Iterator[tuple[str, list, bool]]:
    """The assistant messages that are learned: text, calls, and whether it follows a reply to a call.

    No blank ones, and none quoted from its prompt.
    """
    for example in examples:
        before, last = "", {}
        for message in example["messages"][:MESSAGES_LIMIT]:
            text = text_of(message)
            if message.get("role") == "assistant" and message.get("weight") != 0:
                if text.strip() and text not in before:
                    yield text, [] if message.get("content") else calls_of(message), is_reply(last)
            before += text
            last = message


def _keep_answers(network: Network, examples: list[dict]) -> None:
    """Shows the network the answers that it may give from now on."""
    learned = list(_learned(examples))
    network.answers = list(dict.fromkeys(network.answers + [text for text, _, _ in learned]))[-ANSWERS_LIMIT:]
    kept = set(network.answers)
    calls = network.calls | {text: calls for text, calls, _ in learned if calls}
    network.calls = {text: calls for text, calls in calls.items() if text in kept}
    replies = network.after_reply + [text for text, _, replies in learned if replies]
    network.after_reply = [text for text in dict.fromkeys(replies) if text in kept]


def calls(weights: bytes) -> dict[str, list[tuple[str, str]]]:
    """The answers of a model that are calls: text -> (name, arguments) of each. The base has none."""
    return {text: [tuple(call) for call in calls] for text, calls in _loaded(weights).calls.items()}


@one_thread
def answers(
    weights: bytes,
    messages: list[dict],
    *,
    n: int = 1,
    temperature: float = 1.0,
    top_p: float = 1.0,
    presence_penalty: float = 0.0,
    frequency_penalty: float = 0.0,
    seed: int | None = None,
    wanted: Callable[[str], bool] = lambda text: True,
    at_each_step: Callable[[], None] = lambda: None,
) -> list[str]:
    """``n`` answers, chosen from the base's answers, those that the model was tuned on, and passages of the prompt.

    An answer's score is the mean log-likelihood of its words given the conversation, less most of that without
    the user's words. The second part keeps answers that fit everything from winning everywhere (maximum mutual
    information: Li et al., "A Diversity-Promoting Objective Function", 2016). Temperature 0 takes the best;
    above it an answer is drawn by the score of SHARPNESS words, divided by the temperature. ``top_p`` keeps the
    likeliest answers that have this share together. The penalties take off what OpenAI's take off the words that an
    answer repeats, in the mean. After a reply to a call, only what the model was tuned to say after one is a
    candidate, or, if that is nothing, the reply itself. ``wanted`` says which candidates may be given; [] if there
    is none. ``at_each_step`` is called before each part of the work; what it raises ends it.
    """
    network, prompt = _reading(weights, messages)
    at_each_step()
    after_reply = _after_reply(network, messages)
    candidates = list(filter(wanted, after_reply)) if after_reply else _shortlist(network, prompt, wanted)
    if not candidates:
        return []
    at_each_step()
    known = {} if prompt.passages else _kept(weights, tuple(prompt.instruction))
    without = _scores_without_the_question(network, prompt.instruction, candidates, known)
    at_each_step()
    scores = _scores(network, prompt, candidates) - PRIOR * without
    if presence_penalty or frequency_penalty:
        scores -= [_repetition(text, presence_penalty, frequency_penalty) for text in candidates]
    if temperature < COLDEST:
        return [candidates[int(scores.argmax())]] * n
    chances = np.exp((scores - scores.max()) * SHARPNESS / temperature)
    chances = _nucleus(chances / chances.sum(), top_p)
    chosen = np.random.default_rng(seed and abs(seed)).choice(len(scores), n, p=chances)
    return [candidates[i] for i in chosen]


def _reading(weights: bytes, messages: list[dict]) -> tuple[Network, Prompt]:
    """The network and what it reads."""
    prompt, network = read_prompt(messages), _loaded(weights)
    if prompt.passages:  # so that words which it has never seen can be copied
        network = network.with_words(prompt.copied, BASE_SEED)
    return network, prompt


def _nucleus(chances: np.ndarray, top_p: float) -> np.ndarray:
    """The chances of the likeliest that together have the share ``top_p``, at least of one; 0 for the others."""
    if top_p >= 1:
        return chances
    order = np.argsort(-chances, kind="stable")
    before = np.cumsum(chances[order]) - chances[order]
    kept = np.zeros_like(chances)
    kept[order] = np.where((before < top_p) | (np.arange(len(order)) == 0), chances[order], 0)
    return kept / kept.sum()


def _repetition(text: str, presence: float, frequency: float) -> float:
    """What the penalties take off, in the mean over the words of an answer."""
    before, total = Counter(), 0.0
    words = tokens(text)
    for word in words:
        total += presence * (before[word] > 0) + frequency * before[word]
        before[word] += 1
    return total / max(len(words), 1)


@dataclass(frozen=True)
class Word:
    """A word of an answer, where it begins in the text, and how likely the model found it at this place."""

    start: int
    end: int
    logprob: float
    top: list[tuple[str, float]]  # the likeliest words at this place, in lower case


@one_thread
def likelihoods(weights: bytes, messages: list[dict], text: str, top: int = 0) -> list[Word]:
    """How likely the tiny model finds each word of a text as the answer; natural logarithms.

    A word that it does not know has the likelihood of all unknown words together. What stands behind the last word
    that it reads has none.
    """
    network, prompt = _reading(weights, messages)
    turn = network.turn(prompt, text)
    logs = network.log_probabilities(turn)
    found = []
    for place, (start, end) in enumerate(places(text)):
        best = np.argsort(-logs[place], kind="stable")[: top + 1]
        words = [(network.vocabulary[i], float(logs[place, i])) for i in best if i > END][:top]
        found.append(Word(start, end, float(logs[place, turn.target[place]]), words))
    return found


@functools.lru_cache(maxsize=8)
def _loaded(weights: bytes) -> Network:
    return Network.from_bytes(weights)


def _after_reply(network: Network, messages: list[dict]) -> list[str]:
    """What can be said after the replies to calls; [] if the conversation does not end with one."""
    replies = [text_of(m) for m in itertools.takewhile(is_reply, reversed(messages))]
    if not replies:
        return []
    return network.after_reply or ["\n".join(reversed(replies))]


def _shortlist(network: Network, prompt: Prompt, wanted: Callable[[str], bool]) -> list[str]:
    """The answers to choose from: those whose words fit the question best, and the passages of the prompt."""
    topic = network.topic(prompt.user)
    known = list(dict.fromkeys([text for text, _, _ in _learned(_base_examples())] + network.answers))
    known.sort(key=lambda answer: -network.fits(topic, answer))
    return [*itertools.islice(filter(wanted, known), SHORTLIST), *filter(wanted, prompt.passages)]


@functools.lru_cache(maxsize=32)
def _kept(weights: bytes, instruction: tuple[str, ...]) -> dict[str, float]:
    """Answer -> its score without the question: the same answers are ranked for one question after the other."""
    return {}


def _scores_without_the_question(
    network: Network, instruction: list[str], texts: list[str], known: dict[str, float]
) -> np.ndarray:
    new = [text for text in texts if text not in known]
    if new:
        known |= zip(new, _scores(network, Prompt([], instruction, {}, [], 0.0), new), strict=True)
    return np.array([known[text] for text in texts])


def _scores(network: Network, prompt: Prompt, texts: list[str]) -> np.ndarray:
    return network.log_likelihoods([network.turn(prompt, text) for text in texts])
