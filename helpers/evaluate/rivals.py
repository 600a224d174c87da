"""Rivals that need no training. A result of a tuned model counts where it beats every one of them.

A *search* is a function from a question to the places of all texts, the nearest first.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..local_api import vectors
from .checks import in_style
from .counting import Answering

Search = Callable[[str], list[int]]


# --- searches ----------------------------------------------------------------------------------------------


def by_meaning(texts: Sequence[str], embed: Callable = vectors.embed) -> Search:
    """A search by embeddings: the texts whose vectors are most similar to the question's come first.

    ``embed``: from a list of texts to an array with a vector a text, each of length 1; without it the word vectors
    that the mock API serves.
    """
    table = embed(list(texts))
    return lambda question: _best_first(table @ embed([question])[0])


def by_words(texts: Sequence[str]) -> Search:
    """A search by words, BM25 (Robertson and Zaragoza 2009): a shared word counts more the rarer it is."""
    bags = [Counter(words(text)) for text in texts]
    mean = sum(bag.total() for bag in bags) / len(bags)
    holding = Counter(word for bag in bags for word in bag)

    def score(word: str, bag: Counter) -> float:
        rare = math.log(1 + (len(bags) - holding[word] + 0.5) / (holding[word] + 0.5))
        return rare * bag[word] * 2.5 / (bag[word] + 1.5 * (0.25 + 0.75 * bag.total() / mean))

    return lambda question: _best_first([sum(score(word, bag) for word in words(question)) for bag in bags])


def merged(*searches: Search) -> Search:
    """Several searches as one, by reciprocal rank fusion (Cormack and others 2009)."""

    def search(question: str) -> list[int]:
        scores: Counter = Counter()
        for one in searches:
            for rank, place in enumerate(one(question), start=1):
                scores[place] += 1 / (60 + rank)
        return sorted(scores, key=lambda place: -scores[place])

    return search


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def _best_first(scores: Sequence[float]) -> list[int]:
    return [int(place) for place in np.argsort(-np.asarray(scores), kind="stable")]


# --- answers without a model -----------------------------------------------------------------------------------


def majority(examples: Sequence[dict]) -> Answering:
    """Always the same answer: the first of the training answers whose last line is the commonest."""
    answers = [answer_of(example) for example in examples]
    ends = [answer.splitlines()[-1] for answer in answers]
    constant = answers[ends.index(Counter(ends).most_common(1)[0][0])]
    return lambda question: constant


def nearest_example(
    examples: Sequence[dict], search: Callable[[Sequence[str]], Search] = by_meaning
) -> Answering:
    """The answer of the training example, question and answer read together, that a search puts first."""
    find = search([f"{question_of(example)} {answer_of(example)}" for example in examples])
    return lambda question: answer_of(examples[find(question)[0]])


def nearest_rule(
    rules: Mapping[str, tuple[str, str]], search: Callable[[Sequence[str]], Search] = by_meaning
) -> Answering:
    """The rule that a search puts first, with its desk, as it stands in the book. ``rules``: id -> (text, desk)."""
    listed = list(rules.values())
    find = search([text for text, _ in listed])
    printed = [in_style(*rule) for rule in listed]
    return lambda question: printed[find(question)[0]]


def without_a_model(examples: Sequence[dict], rules: Mapping[str, tuple[str, str]]) -> dict[str, Answering]:
    """The three rivals that need no model, by their names: majority, nearest_example and nearest_rule."""
    return {
        "majority": majority(examples),
        "nearest_example": nearest_example(examples),
        "nearest_rule": nearest_rule(rules),
    }


def nearest_turns(examples: Sequence[dict], number: int = 3) -> Callable[[str], list[dict]]:
    """Few-shot with *retrieved* examples: a function from a question to the messages to put before it.

    They are the questions and answers of the training examples that are most like the question, the most alike last.
    """
    find = by_meaning([f"{question_of(example)} {answer_of(example)}" for example in examples])

    def turns(question: str) -> list[dict]:
        chosen = [examples[place] for place in reversed(find(question)[:number])]
        return [message for example in chosen for message in example["messages"][-2:]]

    return turns


def question_of(example: dict) -> str:
    """The last question of a training example."""
    return example["messages"][-2]["content"]


def answer_of(example: dict) -> str:
    """The answer of a training example."""
    return example["messages"][-1]["content"]
