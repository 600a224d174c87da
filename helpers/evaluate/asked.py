"""Several ways at once: all of them asked, counted, put next to each other, and compared with one of them."""

from collections.abc import Mapping, Sequence

import pandas

from ..charts import Chart
from .checks import FACTS_APART, STYLE
from .comparing import Comparison, Tables, compare
from .counting import as_runs, board, evaluate, size_chart, summary
from .record import recorded, runs
from .versus import answers_of

Asked = Mapping[str, Tables]  # name of a way -> what ``evaluate`` returned, one table or one a training run


# --- checks ------------------------------------------------------------------------------------------------


def no_desk_line(answer: str, row: dict) -> bool:
    """The answer names no desk of the airport, for questions that have nothing to do with it."""
    return STYLE["last_line"].strip() not in answer


# --- ask ---------------------------------------------------------------------------------------------------


def ask_all(ways: Sequence[str], rows: Sequence[dict], checks: Mapping = FACTS_APART) -> dict[str, list]:
    """What ``evaluate`` finds for each of these ways, by name: a list with one table a training run.

    A way is one that was recorded (all its trainings on the whole file), or majority, nearest_example, nearest_rule.
    """
    return {way: as_runs(answers_of(way, rows, checks)) for way in ways}


def every_size(
    way: str, sizes: Sequence[int], rows: Sequence[dict], checks: Mapping = FACTS_APART, whole: int = 112
) -> dict[int, list]:
    """The same for one way, recorded after training on so many rows: rows -> tables. ``whole``: those of the file."""
    return {
        size: [
            evaluate(recorded(way, run), rows, checks) for run in runs(way, size if size < whole else None)
        ]
        for size in sizes
    }


# --- count -------------------------------------------------------------------------------------------------


def growth(tables: Mapping[int, Sequence[pandas.DataFrame]], title: str) -> Chart:
    """How shares grow with the training rows, as a chart. ``tables``: training rows -> one table a training run."""
    points = pandas.DataFrame(
        {"rows": size, "seed": seed} | dict(summary(table)["share"])
        for size, those in tables.items()
        for seed, table in enumerate(those)
    )
    return size_chart(points, title, list(points.columns[2:]))


def their_answers(tables: Mapping[str, pandas.DataFrame], ids: Sequence) -> pandas.DataFrame:
    """The answers of some ways to the same questions: a row a question, with a column for each way."""
    first = next(iter(tables.values()))
    columns = {"question": first.loc[list(ids), "question"]}
    columns |= {way: table.loc[list(ids), "answer"] for way, table in tables.items()}
    return pandas.DataFrame(columns).reset_index(drop=True)


# --- compare -----------------------------------------------------------------------------------------------


def strongest(tables: Asked, groups: Sequence[Sequence[str]], checks: Sequence[str]) -> list[tuple[str, str]]:
    """In each check the way with the highest share of each group, as (way, check); of equal ones the first."""
    shown = board(tables)
    return [(shown.loc[list(group), check].idxmax(), check) for check in checks for group in groups]


def compare_with(after: str, pairs: Sequence[tuple[str, str]], tables: Asked) -> list[Comparison]:
    """One way with others: a comparison for each (way before, check), over all runs of both."""
    return [compare(tables[way], tables[after], check, (way, after)) for way, check in pairs]
