"""The timetable of data/timetable: rows, checks of a query and of each key, rivals without a model, a table of ways."""

from collections.abc import Mapping, Sequence

import pandas

from .. import timetable
from ..dataset import jsonl
from .checks import Check
from .counting import Answering, by_question
from .rivals import by_words, majority, nearest_example


def timetable_rows(name: str) -> list[dict]:
    """The rows of data/timetable/NAME.jsonl: chat rows for "train" and "valid", else questions with ids."""
    return jsonl.read(timetable.FOLDER / f"{name}.jsonl")


def valid_query(answer: str, row: dict) -> bool:
    """A query that can be executed stands in the answer."""
    return _query(answer) is not None


def same_flights(answer: str, row: dict) -> bool:
    """The query of the answer finds the flights that ``row["query"]`` finds, as ``timetable.same_flights`` has it."""
    return timetable.same_flights(answer, row["query"])


def same_key(key: str) -> Check:
    """A check: the answer gives this key the wanted value, or leaves it out as wanted; None where neither has it."""

    def check(answer: str, row: dict) -> bool | None:
        query = _query(answer) or {}
        if key not in query and key not in row["query"]:
            return None
        return query.get(key) == row["query"].get(key)

    return check


TIMETABLE_CHECKS = {"valid": valid_query, "right": same_flights} | {
    key: same_key(key) for key in timetable.KEYS
}


def timetable_rivals(examples: Sequence[dict]) -> dict[str, Answering]:
    """Rivals that need neither a model nor a parser, made of training examples: name -> answering function."""
    return {
        "majority": majority(examples),
        "nearest_example": nearest_example(examples),
        "nearest_example_by_words": nearest_example(examples, by_words),
    }


def timetable_board(
    tables: Mapping[str, pandas.DataFrame | Sequence[pandas.DataFrame]],
    rows: Sequence[dict],
    by: str = "kind",
) -> pandas.DataFrame:
    """Ways next to each other: a row a way; shares from 0 to 1, two decimals.

    Columns: valid, right, and right among the questions of each "kind", "voice" or "language" (``by``). ``tables``:
    name of a way -> what ``evaluate`` found with ``TIMETABLE_CHECKS``, one table or one for each run; then it is their
    mean. ``rows``: those that were asked.
    """
    groups = {row["id"]: f"right, {row[by]}" for row in rows}
    shares = {}
    for way, of_way in tables.items():
        right = by_question(of_way, "right")
        shares[way] = {"valid": by_question(of_way, "valid").mean(), "right": right.mean()}
        shares[way] |= right.groupby(groups).mean().to_dict()
    return pandas.DataFrame(shares).T.round(2)


def _query(answer: str) -> dict | None:
    try:
        return timetable.read(answer)
    except ValueError:
        return None
