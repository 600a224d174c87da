"""Checks that compare rows with each other: duplicates, leaks, consistency. All work on the kept numbers."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from .part import ENDS_CLOSED, ENDS_OPEN, HAS_SYSTEM, HAS_TEXT, IS_JSON, Part
from .similar import ORDERS, candidates, nearly_same
from .texts import LANGUAGES

if TYPE_CHECKING:
    import numpy as np

MOST = 0.8  # a habit is what so many rows share
ENOUGH = 10  # rows, before one can speak of a habit
DOMINANT_AMONG_TEXTS = 0.3  # one answer's share, where the other answers are mostly different from each other
DOMINANT_AMONG_LABELS = 0.8  # and where they are a few labels
MOSTLY_CLOSED = 0.9

Texts = tuple[str, str]  # what is asked, and the answer


def compare(part: Part) -> None:
    """Adds what is found by comparing all rows of a file with each other, but for near-duplicates."""
    if not part.columns["line"]:
        return
    columns = as_arrays(part)
    _duplicates(part, columns)
    _conflicts(part, columns)
    if len(columns["line"]) >= ENOUGH:
        _system_prompts(part, columns)
        _dominant_answer(part, columns)
        _style(part, columns)
        _open_ends(part, columns)
        _languages(part, columns)


def as_arrays(part: Part) -> dict[str, "np.ndarray"]:
    """The columns of a part as numpy arrays over the same memory."""
    import numpy as np

    return {name: np.frombuffer(values, dtype=values.typecode) for name, values in part.columns.items()}


def _groups(values: "np.ndarray"):
    """Arrays of places at which the same value stands, for values that stand at two places or more."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    ordered = values[order]
    borders = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])))
    for group in np.flatnonzero(np.diff(borders) > 1):
        yield order[borders[group] : borders[group + 1]]


def _duplicates(part: Part, columns: dict) -> None:
    lines = columns["line"]
    found = [
        (int(lines[again]), int(lines[group[0]])) for group in _groups(columns["row"]) for again in group[1:]
    ]
    for line, first in sorted(found):
        part.add("duplicate", line, f"the same as line {first}")


def _conflicts(part: Part, columns: dict) -> None:
    lines, answers = columns["line"], columns["answer"]
    found = []
    for group in _groups(columns["asked"] ^ (columns["system"] * 3)):
        first = group[0]
        found += [(int(lines[row]), int(lines[first])) for row in group[1:] if answers[row] != answers[first]]
    for line, first in sorted(found):
        part.add("conflicting_answers", line, f"line {first} answers the same question differently")


def _most_common(values: "np.ndarray") -> tuple[int, int]:
    """The most frequent value and how often it stands."""
    import numpy as np

    different, counts = np.unique(values, return_counts=True)
    return different[counts.argmax()], int(counts.max())


def _system_prompts(part: Part, columns: dict) -> None:
    most, count = _most_common(columns["system"])
    rows = len(columns["system"])
    if not MOST * rows <= count < rows:
        return
    for place in (columns["system"] != most).nonzero()[0]:
        how = "another system prompt" if columns["form"][place] & HAS_SYSTEM else "no system prompt"
        part.add(
            "system_prompts", int(columns["line"][place]), f"{how}; {count:,} of {rows:,} rows share one"
        )


def _dominant_answer(part: Part, columns: dict) -> None:
    import numpy as np

    answers = columns["answer"]
    different, first, counts = np.unique(answers, return_index=True, return_counts=True)
    top, rows = int(counts.argmax()), len(answers)
    count, others = int(counts[top]), len(different) - 1
    are_labels = others < (rows - count) / 2
    if count >= (DOMINANT_AMONG_LABELS if are_labels else DOMINANT_AMONG_TEXTS) * rows:
        line = int(columns["line"][first[top]])
        part.add("dominant_answer", line, f"the answer of this line stands in {count:,} of {rows:,} rows")


def _style(part: Part, columns: dict) -> None:
    texts = columns["form"] & HAS_TEXT > 0
    if texts.sum() < ENOUGH:
        return
    said = {"opening": "begin with", "closing": "end with", "last_line": "have a last line that begins with"}
    for name, verb in said.items():
        most, count = _most_common(columns[name][texts])
        keeps = columns[name] == most
        if most:
            word = part.words.get(int(most), "the same word")
            _breakers(part, columns, texts, keeps, f"{count:,} of {texts.sum():,} answers {verb} {word!r}")
    keeps = columns["form"] & IS_JSON > 0
    _breakers(part, columns, texts, keeps, f"{keeps.sum():,} of {texts.sum():,} answers are JSON")


def _breakers(part: Part, columns: dict, texts: "np.ndarray", keeps: "np.ndarray", habit: str) -> None:
    import numpy as np

    keepers = texts & keeps
    count = keepers.sum()
    if not MOST * texts.sum() <= count < texts.sum():
        return
    if len(np.unique(columns["answer"][keepers])) * 2 <= count:
        return  # labels such as yes and no: the word is the answer, not its style
    already = {line for line, _, _ in part.examples.get("style_break", [])}
    for place in (texts & ~keeps).nonzero()[0]:
        line = int(columns["line"][place])
        if line not in already:
            part.add("style_break", line, habit)


def _open_ends(part: Part, columns: dict) -> None:
    """An answer that stops after a word, where nearly all end with a full stop or the like."""
    form = columns["form"]
    texts = form & HAS_TEXT > 0
    closed = (form & ENDS_CLOSED > 0) & texts
    if closed.sum() < MOSTLY_CLOSED * max(texts.sum(), ENOUGH):
        return
    already = {line for line, _, _ in part.examples.get("answer_cut_off", [])}
    for place in (texts & (form & ENDS_OPEN > 0)).nonzero()[0]:
        line = int(columns["line"][place])
        if line not in already:
            part.add("answer_cut_off", line, "no full stop at the end, unlike nearly all other answers")


def _languages(part: Part, columns: dict) -> None:
    asked, answered = columns["asked_in"], columns["answered_in"]
    known = (asked > 0) & (answered > 0)
    same = known & (asked == answered)
    if known.sum() >= ENOUGH and same.sum() >= MOST * known.sum():
        for place in (known & ~same).nonzero()[0]:
            where = f"{LANGUAGES[asked[place]]} question, {LANGUAGES[answered[place]]} answer"
            part.add("answer_language", int(columns["line"][place]), where)
    if same.sum() < ENOUGH:
        return
    most, count = _most_common(answered[same])
    if count >= MOST * same.sum():
        for place in (same & (answered != most)).nonzero()[0]:
            where = f"{LANGUAGES[answered[place]]}; {count:,} rows are {LANGUAGES[most]}"
            part.add("mixed_languages", int(columns["line"][place]), where)


# --- near-duplicates and leaks -----------------------------------------------------------------------------


def _matrix(*parts: Part) -> "np.ndarray":
    import numpy as np

    joined = b"".join(signature for part in parts for signature in part.signatures)
    return np.frombuffer(joined, np.uint32).reshape(-1, ORDERS)


def near_duplicates(part: Part, texts: Callable[[int], Texts]) -> None:
    """Adds rows that are nearly the same as an earlier one. ``texts`` gives question and answer of a row."""
    rows, lines = part.columns["row"], part.columns["line"]
    found: dict[int, int] = {}
    for earlier, later in sorted(candidates(_matrix(part)), key=lambda pair: (pair[1], pair[0])):
        if later not in found and rows[earlier] != rows[later] and nearly_same(texts(earlier), texts(later)):
            found[later] = earlier
    for later, earlier in sorted(found.items()):
        part.add("near_duplicate", lines[later], f"nearly the same as line {lines[earlier]}")


def leaks(part: Part, other: Part) -> set[int]:
    """Adds rows whose question is in the other file too, and returns their places."""
    import numpy as np

    columns, others = as_arrays(part), as_arrays(other)
    order = np.argsort(others["asked"], kind="stable")
    ordered = others["asked"][order]
    where = np.minimum(np.searchsorted(ordered, columns["asked"]), max(len(ordered) - 1, 0))
    places = (ordered[where] == columns["asked"]).nonzero()[0] if len(ordered) else np.array([], int)
    for place in places:
        its_line = others["line"][order[where[place]]]
        part.add(
            "leak",
            int(columns["line"][place]),
            f"the same question as line {its_line} of the validation file",
        )
    return set(map(int, places))


def near_leaks(
    part: Part,
    other: Part,
    known: set[int],
    texts: Callable[[int], Texts],
    other_texts: Callable[[int], Texts],
) -> None:
    """Adds rows that are nearly the same as a row of the other file and not yet known as leaks."""
    others = len(other.columns["line"])
    found: dict[int, int] = {}
    for two, row in candidates(_matrix(other, part)):  # the other first, so that each row is compared with it
        one = row - others
        if two < others <= row and one not in known and one not in found:
            if nearly_same(texts(one), other_texts(two)):
                found[one] = two
    for one, two in sorted(found.items()):
        detail = f"nearly the same as line {other.columns['line'][two]} of the validation file"
        part.add("near_leak", part.columns["line"][one], detail)
