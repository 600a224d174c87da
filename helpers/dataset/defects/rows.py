"""Defects that only all rows together show: duplicates, leaks, consistency.

Each function gets ``Rows``, the numbers that part.py keeps of every good row, and yields a line and what was found.
"""

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..codes import HINT, SPEC, WARNING, defect
from ..languages import LANGUAGES
from ..part import COLUMNS, KEY_ENDS, Bit, Part, text_hash
from ..similar import ORDERS, candidates, nearly_same

if TYPE_CHECKING:
    import numpy as np

MOST = 0.8  # a habit is what so many rows share
ENOUGH = 10  # rows, before one can speak of a habit
DOMINANT_AMONG_TEXTS = 0.3  # one answer's share, where the other answers are mostly different from each other
DOMINANT_AMONG_LABELS = 0.8  # and where they are a few labels
MOSTLY_CLOSED = 0.9
NOTHING = text_hash("")  # the answer of a row for reinforcement

Texts = tuple[str, str]  # what is asked, and the answer
Found = Iterator[tuple[int, str]]


class Rows:
    """The good rows of a file. ``read`` gives question and answer of the one that starts at an offset; None if
    near-duplicates are not wanted. ``other`` is the validation file."""

    def __init__(self, part: Part, read: Callable[[int], Texts] | None = None, other: "Rows | None" = None):
        self.part, self.read, self.other = part, read, other

    def texts(self, place: int) -> Texts:
        """What is asked and answered in a row."""
        return self.read(int(self["offset"][place]))

    @functools.cached_property
    def columns(self) -> dict[str, "np.ndarray"]:
        """The columns of the part as numpy arrays."""
        import numpy as np

        kept = np.frombuffer(self.part.kept, [(name, np.dtype(kind)) for name, kind in COLUMNS.items()])
        return {name: np.ascontiguousarray(kept[name]) for name in COLUMNS}

    def __len__(self) -> int:
        return len(self["line"])

    def __getitem__(self, name: str) -> "np.ndarray":
        return self.columns[name]

    def has(self, form: int) -> "np.ndarray":
        """Which rows have this bit of their form."""
        return self["form"] & form > 0

    def found(self, places, words: Callable[[int], str] | str) -> Found:
        """Line and words for each place."""
        for place in places:
            yield int(self["line"][place]), words if isinstance(words, str) else words(place)


@defect(WARNING, "consequence: it counts and costs twice; OpenAI states no rule", stage="rows")
def duplicate(rows: Rows) -> Found:
    """the same row is there twice
    Delete one, or run dataset.fix."""
    lines = rows["line"]
    pairs = [
        (int(lines[again]), int(lines[group[0]])) for group in _groups(rows["row"]) for again in group[1:]
    ]
    yield from ((line, f"the same as line {first}") for line, first in sorted(pairs))


@defect(WARNING, "consequence: they add cost and weight, but no variety", stage="rows")
def near_duplicate(rows: Rows) -> Found:
    """two rows are nearly the same
    Keep the better one."""
    if not rows.read:
        return
    hashes, found = rows["row"], {}
    for earlier, later in sorted(candidates(_matrix(rows)), key=lambda pair: (pair[1], pair[0])):
        if later not in found and hashes[earlier] != hashes[later]:
            if nearly_same(rows.texts(earlier), rows.texts(later)):
                found[later] = earlier
    yield from rows.found(
        sorted(found), lambda later: f"nearly the same as line {rows['line'][found[later]]}"
    )


@defect(WARNING, "consequence: the model learns to answer now this, now that", stage="rows")
def conflicting_answers(rows: Rows) -> Found:
    """the same question has different answers
    Decide which is right; keep one."""
    lines, answers, pairs = rows["line"], rows["answer"], []
    for group in _groups(rows["asked"] ^ (rows["system"] * 3)):
        first = group[0]
        pairs += [(int(lines[row]), int(lines[first])) for row in group[1:] if answers[row] != answers[first]]
    yield from (
        (line, f"line {first} answers the same question differently") for line, first in sorted(pairs)
    )


@defect(
    WARNING,
    f"the same data must not be in both: validation_file in {SPEC}. Consequence: the loss looks too good",
    stage="rows",
)
def leak(rows: Rows) -> Found:
    """a training question that is also in the validation file
    Delete it from one of the files, or make both with dataset.split."""
    for place, its_line in _leaks(rows).items():
        yield int(rows["line"][place]), f"the same question as line {its_line} of the validation file"


def _leaks(rows: Rows) -> dict[int, int]:
    """Places of rows whose question is in the other file too, and its line there."""
    import numpy as np

    if rows.other is None or not len(rows.other):
        return {}
    others = rows.other["asked"]
    order = np.argsort(others, kind="stable")
    where = np.minimum(np.searchsorted(others[order], rows["asked"]), len(others) - 1)
    places = (others[order][where] == rows["asked"]).nonzero()[0]
    return {int(place): int(rows.other["line"][order[where[place]]]) for place in places}


@defect(WARNING, "consequence: the validation loss looks better than the model is", stage="rows")
def near_leak(rows: Rows) -> Found:
    """a training row that is nearly in the validation file
    Delete it from one of the files, or make both with dataset.split."""
    if rows.other is None or not rows.read:
        return
    others, known, found = len(rows.other), _leaks(rows), {}
    for two, row in candidates(_matrix(rows.other, rows)):  # the other first: each row is compared with it
        one = row - others
        if two < others <= row and one not in known and one not in found:
            if nearly_same(rows.texts(one), rows.other.texts(two)):
                found[one] = f"nearly the same as line {rows.other['line'][two]} of the validation file"
    yield from rows.found(sorted(found), found.get)


def _matrix(*several: Rows) -> "np.ndarray":
    import numpy as np

    joined = b"".join(signature for rows in several for signature in rows.part.signatures)
    return np.frombuffer(joined, np.uint32).reshape(-1, ORDERS)


@defect(WARNING, "consequence: the model is trained for a prompt that you will not use", stage="rows")
def system_prompts(rows: Rows) -> Found:
    """most rows share one system prompt, this one does not
    Use the same words everywhere, the ones you will use later."""
    most, count = _most_common(rows["system"])
    if len(rows) < ENOUGH or not MOST * len(rows) <= count < len(rows):
        return
    share = f"{count:,} of {len(rows):,} rows share one"
    for line, place in rows.found((rows["system"] != most).nonzero()[0], lambda place: place):
        kind = "another" if rows["form"][place] & Bit.HAS_SYSTEM else "no"
        yield line, f"{kind} system prompt; {share}"


@defect(WARNING, "consequence: giving that answer to everything is the easiest thing to learn", stage="rows")
def dominant_answer(rows: Rows) -> Found:
    """one answer dominates the file
    Add other examples, or drop some of these."""
    import numpy as np

    if len(rows) < ENOUGH:
        return
    different, first, counts = np.unique(rows["answer"], return_index=True, return_counts=True)
    top = int(counts.argmax())
    if different[top] == NOTHING:
        return
    count, others = int(counts[top]), len(different) - 1
    are_labels = others < (len(rows) - count) / 2
    if count >= (DOMINANT_AMONG_LABELS if are_labels else DOMINANT_AMONG_TEXTS) * len(rows):
        yield from rows.found(
            [first[top]], f"the answer of this line stands in {count:,} of {len(rows):,} rows"
        )


@defect(WARNING, "consequence: the form is learned less reliably", stage="rows")
def style_break(rows: Rows) -> Found:
    """most answers keep a form that this one breaks
    Rewrite it in the form of the others."""
    texts, said = rows.has(Bit.HAS_TEXT), set()
    if texts.sum() < ENOUGH:
        return
    for keeps, habit in _habits(rows, texts):
        for line, words in _breakers(rows, texts, keeps, habit):
            if line not in said:
                said.add(line)
                yield line, words


def _habits(rows: Rows, texts: "np.ndarray") -> Iterator[tuple["np.ndarray", str]]:
    """Which rows keep a habit, and the habit in words."""
    verbs = {"opening": "begin with", "closing": "end with", "last_line": "have a last line that begins with"}
    for name, verb in verbs.items():
        most, count = _most_common(rows[name][texts])
        if most:
            word = rows.part.words.get(int(most), "the same word")
            keeps = rows[name] == most
            if name == "opening" and word.endswith(KEY_ENDS):
                keeps |= rows.has(Bit.OPENS_WITH_KEY)  # keys and values, of which any may be left out
            yield keeps, f"{count:,} of {texts.sum():,} answers {verb} {word!r}"
    keeps = rows.has(Bit.IS_JSON)
    yield keeps, f"{keeps.sum():,} of {texts.sum():,} answers are JSON"


def _breakers(rows: Rows, texts: "np.ndarray", keeps: "np.ndarray", habit: str) -> Found:
    import numpy as np

    keepers = texts & keeps
    count = keepers.sum()
    if not MOST * texts.sum() <= count < texts.sum():
        return
    if len(np.unique(rows["answer"][keepers])) * 2 <= count:
        return  # labels such as yes and no: the word is the answer, not its style
    yield from rows.found((texts & ~keeps).nonzero()[0], habit)


@defect(WARNING, "consequence: the model switches language unasked", stage="rows")
def answer_language(rows: Rows) -> Found:
    """the answer is in another language than its question, unlike most rows
    Translate it."""
    known, same = _languages(rows)
    if len(rows) >= ENOUGH and known.sum() >= ENOUGH and same.sum() >= MOST * known.sum():
        asked, answered = rows["asked_in"], rows["answered_in"]
        yield from rows.found(
            (known & ~same).nonzero()[0],
            lambda place: f"{LANGUAGES[asked[place]]} question, {LANGUAGES[answered[place]]} answer",
        )


@defect(HINT, "consequence: too few rows to learn that language, enough to slip into it", stage="rows")
def mixed_languages(rows: Rows) -> Found:
    """a few rows are in another language than the rest
    If that is meant, add more of them; otherwise translate or delete them."""
    _, same = _languages(rows)
    if same.sum() < ENOUGH:
        return
    answered = rows["answered_in"]
    most, count = _most_common(answered[same])
    if count >= MOST * same.sum():
        yield from rows.found(
            (same & (answered != most)).nonzero()[0],
            lambda place: f"{LANGUAGES[answered[place]]}; {count:,} rows are {LANGUAGES[most]}",
        )


def _languages(rows: Rows) -> tuple["np.ndarray", "np.ndarray"]:
    """Which rows are in known languages, and which in one and the same for question and answer."""
    known = (rows["asked_in"] > 0) & (rows["answered_in"] > 0)
    return known, known & (rows["asked_in"] == rows["answered_in"])


def open_ends(rows: Rows) -> Found:
    """Answers that stop after a word, where nearly all end with a full stop or the like."""
    texts = rows.has(Bit.HAS_TEXT)
    if len(rows) < ENOUGH or (rows.has(Bit.ENDS_CLOSED) & texts).sum() < MOSTLY_CLOSED * max(
        texts.sum(), ENOUGH
    ):
        return
    already = {line for line, _, _ in rows.part.examples.get("answer_cut_off", [])}
    words = "no full stop at the end, unlike nearly all other answers"
    for line, said in rows.found((texts & rows.has(Bit.ENDS_OPEN)).nonzero()[0], words):
        if line not in already:
            yield line, said


def _groups(values: "np.ndarray") -> Iterator["np.ndarray"]:
    """Arrays of places at which the same value stands, for values that stand at two places or more."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    ordered = values[order]
    borders = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])))
    for group in np.flatnonzero(np.diff(borders) > 1):
        yield order[borders[group] : borders[group + 1]]


def _most_common(values: "np.ndarray") -> tuple[int, int]:
    """The most frequent value and how often it stands."""
    import numpy as np

    different, counts = np.unique(values, return_counts=True)
    return different[counts.argmax()], int(counts.max())
