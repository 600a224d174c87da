"""Nearly the same texts: MinHash finds candidates among many rows, the exact share of common pieces decides.

A text is a set of pieces: every 5 bytes of it, in lower case, with runs of spaces made one. This works in any
language. Two texts are nearly the same if they have at least 80 % of their pieces in common (Jaccard index).
MinHash (Broder 1997): for a random order of all pieces, two sets have the same first piece as often as their
Jaccard index says. 64 orders are kept a text; 16 bands of 4 find the pairs worth a closer look.
"""

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PIECE = 5  # bytes
BLOCK = 5_000  # pieces compared at once: a long text needs no more memory than a short one
ORDERS = 64
BANDS = 16
NEARLY = 0.8  # share of common pieces of question and answer together
TRIES = 4  # candidates a row, so that many rows of one template do not take for ever
EACH = 0.5  # and at least of each alone: the same long document with another question is another row


def signature(text: str) -> "np.ndarray":
    """The MinHash of a text: shape (64,), uint32."""
    import numpy as np

    masks, factors = _orders()
    firsts = (
        ((pieces[None, :] ^ masks[:, None]) * factors[:, None]).min(axis=1)
        for pieces in map(np.unique, _pieces(text))
    )
    return functools.reduce(np.minimum, firsts)


@functools.cache
def _orders() -> "tuple[np.ndarray, np.ndarray]":
    import numpy as np

    random = np.random.RandomState(0)  # the legacy generator never changes its numbers
    masks = random.randint(0, 2**32, ORDERS, dtype=np.uint32)
    return masks, random.randint(0, 2**32, ORDERS, dtype=np.uint32) | np.uint32(1)


def _pieces(text: str) -> "Iterator[np.ndarray]":
    """The pieces of a text as uint32 numbers, at least one, a block of them at a time."""
    import numpy as np

    data = " ".join(text.lower().split()).encode("utf-8", "replace").ljust(PIECE)
    for start in range(0, len(data) - PIECE + 1, BLOCK):
        letters = np.frombuffer(data[start : start + BLOCK + PIECE - 1], np.uint8).astype(np.uint32)
        count = len(letters) - PIECE + 1
        pieces = np.zeros(count, np.uint32)
        for place in range(PIECE):
            pieces = (pieces ^ letters[place : place + count]) * np.uint32(0x9E3779B1)
            pieces ^= pieces >> np.uint32(15)
        yield pieces


def _set_of_pieces(text: str) -> "np.ndarray":
    """The different pieces of a text, in order."""
    import numpy as np

    return np.unique(np.concatenate(list(_pieces(text))))


def share(one: str, other: str) -> float:
    """The share of pieces that two texts have in common (Jaccard index), 0 to 1."""
    import numpy as np

    if one == other:
        return 1.0
    first, second = _set_of_pieces(one), _set_of_pieces(other)
    common = len(np.intersect1d(first, second, assume_unique=True))
    return common / (len(first) + len(second) - common)


def nearly_same(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """True if two (question, answer) pairs are nearly the same."""
    if share("\n".join(one), "\n".join(other)) < NEARLY:
        return False
    return share(one[0], other[0]) >= EACH and share(one[1], other[1]) >= EACH


def candidates(signatures: "np.ndarray") -> Iterator[tuple[int, int]]:
    """Pairs (earlier, later) of rows of a matrix of signatures that are probably nearly the same: of the rows
    that look like a later one the first, and a few more."""
    import numpy as np

    found: dict[int, list[int]] = {}
    width = ORDERS // BANDS
    for band in range(BANDS):
        columns = np.ascontiguousarray(signatures[:, band * width : (band + 1) * width])
        keys = columns.view([("", np.uint32)] * width).ravel()
        order = np.argsort(keys, kind="stable")
        same = keys[order][1:] == keys[order][:-1]
        first = None
        for place in np.flatnonzero(same):
            if first is None or not same[place - 1]:
                first = place  # the first of a group of equal keys
            for earlier in (first, place):
                pair = (int(order[earlier]), int(order[place + 1]))
                tried = found.setdefault(pair[1], [])
                if pair[0] not in tried and len(tried) < TRIES:
                    tried.append(pair[0])
                    if _estimate(signatures, pair) >= NEARLY - 0.15:
                        yield pair


def _estimate(signatures: "np.ndarray", pair: tuple[int, int]) -> float:
    return float((signatures[pair[0]] == signatures[pair[1]]).mean())
