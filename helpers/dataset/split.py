"""dataset.split: training and validation rows without a leak between them."""

import random
from collections.abc import Iterable

from .formats import format_of
from .judge import problem
from .part import as_asked
from .row import take_apart
from .similar import candidates, nearly_same, signature


def split(rows: Iterable[dict], validation: float = 0.15, seed: int = 0) -> tuple[list[dict], list[dict]]:
    """Training rows and validation rows, each in their old order.

    Rows with the same question, and rows that are nearly the same, stay on one side; so the validation part can
    come out a little smaller than asked for. The same seed gives the same split. Raises ValueError if a row is
    broken or ``validation`` is not between 0 and 1.
    """
    rows = list(rows)
    if not 0 <= validation < 1:
        raise ValueError(
            f"validation is {validation}, but must be a share from 0 to less than 1, such as 0.15."
        )
    groups = _groups([_texts(row, number) for number, row in enumerate(rows, start=1)])
    random.Random(seed).shuffle(groups)
    wanted = round(len(rows) * validation)
    chosen: set[int] = set()
    for group in groups:
        if len(chosen) + len(group) <= wanted:
            chosen.update(group)
    training = [row for number, row in enumerate(rows) if number not in chosen]
    return training, [rows[number] for number in sorted(chosen)]


def _texts(row: dict, number: int) -> tuple[str, str]:
    if found := problem(row):
        raise ValueError(f"Row {number} is broken: {found} Run dataset.check first.")
    example = take_apart(row, format_of(row))
    return example.asked, example.answer


def _groups(texts: list[tuple[str, str]]) -> list[list[int]]:
    """The numbers of rows that must stay together, group by group."""
    if not texts:
        return []
    import numpy as np

    leader = list(range(len(texts)))

    def find(row: int) -> int:
        while leader[row] != row:
            leader[row] = leader[leader[row]]
            row = leader[row]
        return row

    first_with: dict[str, int] = {}
    for number, (asked, _) in enumerate(texts):
        leader[find(number)] = find(first_with.setdefault(as_asked(asked), number))
    signatures = np.stack([signature(f"{asked}\n{answer}") for asked, answer in texts])
    for one, two in candidates(signatures):
        if find(one) != find(two) and nearly_same(texts[one], texts[two]):
            leader[find(two)] = find(one)
    groups: dict[int, list[int]] = {}
    for number in range(len(texts)):
        groups.setdefault(find(number), []).append(number)
    return list(groups.values())
