"""What an answer states that its rule does not say: a number, a place, a duty, a time.

The words that are looked for stand in data/airport/details.toml. An answer is read as a list of *details*, and each
has to stand in the rule or in the question. What is wrong in other words ("may" instead of "may not") is not seen.
"""

import functools
import re
import tomllib

from .checks import DATA, STYLE
from .record import rules

NUMBER = re.compile(r"\d[\d,.:]*\d|\d")
PIECE = re.compile(rf"{NUMBER.pattern}|[^\W\d_]+(?:'[^\W\d_]+)?|[.!?;]")  # number, word, end of a sentence
AS_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
IN_DIGITS = {word: str(number) for number, word in enumerate(AS_WORDS, start=2)}


@functools.cache
def _kinds() -> dict[str, set[str]]:
    """units, places, colours, duties, times: the words of each; "named", those that alone are a detail; "all"."""
    text = (DATA / "airport" / "details.toml").read_text(encoding="utf-8")
    kinds = {kind: set(words) for kind, words in tomllib.loads(text).items()}
    named = set.union(*(words for kind, words in kinds.items() if kind != "units"))
    return kinds | {"named": named, "all": named | kinds["units"]}


@functools.lru_cache(10_000)
def details(text: str) -> tuple[str, ...]:
    """The details that a text states, in order: "22 kg", "room 112", "yellow", "bin", "receipt", "noon".

    A number brings the unit behind it, else the place before it; one that is written as a word counts with its unit
    only. Small letters, singular, numbers in digits.
    """
    kinds = _kinds()
    words = ["", *map(_single, PIECE.findall(_one_word(text))), ""]
    found = []
    for before, word, after in zip(words, words[1:], words[2:], strict=False):
        number = IN_DIGITS.get(word, word)
        if number[:1].isdigit() and after in kinds["units"]:
            found.append(f"{number} {after}")
        elif word[:1].isdigit():
            found.append(f"{before} {word}" if before in kinds["places"] else word)
        elif word in kinds["named"]:
            found.append(word)
    return tuple(found)


def invented(answer: str, row: dict, rule: str | None = None) -> list[str]:
    """The details of an answer that stand neither in the rule of its row (or the one named) nor in its question.

    The desk in the last line does not count: ``desk`` judges it.
    """
    text = re.sub(rf"\n{STYLE['last_line']}.*", "", answer)
    known = details(row["question"]) + _of_rules()[rule or row["rule"]]
    return [one for one in details(text) if not any(_supports(other, one) for other in known)]


def invents(answer: str, row: dict) -> bool | None:
    """It states at least one detail that its rule does not. None if the row has no rule.

    So does an answer that states another rule: it is true, and no answer to the question.
    """
    return bool(invented(answer, row)) if row.get("rule") else None


def sound(answer: str, row: dict) -> bool | None:
    """It states nothing that its rule does not: the opposite of ``invents``. None if the row has no rule."""
    return not invented(answer, row) if row.get("rule") else None


def in_no_rule(answer: str, row: dict) -> bool | None:
    """No rule of the whole book says all its details: it is made up, or mixed from several rules."""
    return all(invented(answer, row, rule) for rule in _of_rules()) if row.get("rule") else None


@functools.cache
def _of_rules() -> dict[str, tuple[str, ...]]:
    """Rule -> its details."""
    return {rule: details(text) for rule, (text, _) in rules().items()}


def _supports(known: str, said: str) -> bool:
    """The same; of two numbers, that they are equal and no two units or places contradict each other."""
    if known == said:
        return True
    (number, other), (said_number, said_other) = _parts(known), _parts(said)
    return number != "" and number == said_number and "" in (other, said_other)


def _parts(detail: str) -> tuple[str, str]:
    """(number, unit or place) of a detail, each empty if there is none."""
    number = NUMBER.search(detail)
    return (number[0], detail.replace(number[0], "").strip()) if number else ("", detail)


def _one_word(text: str) -> str:
    """In small letters; a name of two words gets a mark that keeps it together."""
    text = text.lower().replace("-", " ")
    for name in (name for name in _kinds()["all"] if " " in name):
        text = text.replace(name, name.replace(" ", "'"))
    return text


def _single(word: str) -> str:
    """A word of the lists in the singular; any other as it is."""
    word = word.replace("'", " ")
    known = _kinds()["all"]
    for ending, instead in (("ies", "y"), ("es", ""), ("s", "")):
        if word not in known and word.endswith(ending) and word.removesuffix(ending) + instead in known:
            return word.removesuffix(ending) + instead
    return word
