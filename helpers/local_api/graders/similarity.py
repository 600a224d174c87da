"""How alike two texts are, from 0 to 1, by the metrics that OpenAI's text_similarity grader names.

Each is the plain formula of its paper, on words without capitals and marks; ``fuzzy_match`` is that of
``rapidfuzz.fuzz.ratio``, on characters. OpenAI does not publish which of the variants it takes.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

LONGEST = 20_000  # characters of a text that is compared
REFUSED = {
    "cosine": 'cosine is for evals only, not for fine-tuning (OpenAI\'s guide "Graders").',
    "meteor": "meteor needs WordNet, which this course does not install.",
}


def similarity(metric: str, text: str, reference: str) -> float:
    """From 0 to 1. Raises ValueError if a text is too long to be compared."""
    if max(len(text), len(reference)) > LONGEST:
        raise ValueError(f"Texts of more than {LONGEST:,} characters are not compared.")
    if metric == "fuzzy_match":
        return fuzzy_match(text, reference)
    return METRICS[metric](words(text), words(reference))


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def fuzzy_match(text: str, reference: str) -> float:
    """Twice what both have in common, in order, as a share of the characters of both."""
    both = len(text) + len(reference)
    return 2 * common(text, reference) / both if both else 1.0


def common(first: Sequence, second: Sequence) -> int:
    """The length of the longest common subsequence, with whole numbers as rows of bits (Hyyrö, 2004)."""
    places: dict = {}
    for place, item in enumerate(first):
        places[item] = places.get(item, 0) | 1 << place
    all_places = row = (1 << len(first)) - 1
    for item in second:
        hits = row & places.get(item, 0)
        row = (row + hits | row - hits) & all_places
    return len(first) - row.bit_count()


def grams(found: list[str], size: int) -> Counter:
    """How often each run of ``size`` words stands there."""
    return Counter(zip(*(found[i:] for i in range(size)), strict=False))


def f_score(hits: int, said: int, wanted: int) -> float:
    """The harmonic mean of precision and recall."""
    return 2 * hits / (said + wanted) if said + wanted else 0.0


def rouge(size: int) -> Callable:
    """ROUGE-N as F-score (Lin, 2004)."""

    def score(text: list[str], reference: list[str]) -> float:
        said, wanted = grams(text, size), grams(reference, size)
        return f_score((said & wanted).total(), said.total(), wanted.total())

    return score


def rouge_l(text: list[str], reference: list[str]) -> float:
    """ROUGE-L as F-score (Lin, 2004)."""
    return f_score(common(text, reference), len(text), len(reference))


def bleu(text: list[str], reference: list[str]) -> float:
    """BLEU of one sentence, up to 4 words; from 2 on, one is added to hits and runs (Papineni; Lin and Och, 2004)."""
    if not text or not grams(text, 1) & grams(reference, 1):
        return 0.0
    logs = 0.0
    for size in range(1, 5):
        said, more = grams(text, size), size > 1
        logs += math.log(((said & grams(reference, size)).total() + more) / (said.total() + more))
    return math.exp(logs / 4 + min(0.0, 1 - len(reference) / len(text)))


def gleu(text: list[str], reference: list[str]) -> float:
    """The smaller of precision and recall over all runs of 1 to 4 words (Wu and others, 2016)."""
    said, wanted = (
        sum((grams(found, size) for size in range(1, 5)), Counter()) for found in (text, reference)
    )
    most = max(said.total(), wanted.total())
    return (said & wanted).total() / most if most else 0.0


METRICS = {"bleu": bleu, "gleu": gleu, "rouge_l": rouge_l} | {f"rouge_{n}": rouge(n) for n in range(1, 6)}
