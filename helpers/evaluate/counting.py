"""Asks every question, checks every answer, counts, and says how sure a share is."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import sqrt

import pandas

from ..charts import Chart, share_bars, share_chart
from ..charts import size_curve as _size_curve
from .checks import CHECKS

Answering = Callable[[str], str]
AT_ONCE = 32  # questions on their way to a server
Z = 1.959964  # of the normal distribution: 95 % lie within


def evaluate(
    answer: Answering, rows: Sequence[dict], checks: Mapping[str, Callable] = CHECKS
) -> pandas.DataFrame:
    """Asks every row's question and checks each answer.

    Returns a row a question: question, answer, and a column for each check: True, False, or None where the
    check has nothing to look for. A check is any function of (answer, row). The index is the row's id.
    """
    found = []
    for number, row in enumerate(rows):
        text = answer(row["question"])
        results = {name: check(text, row) for name, check in checks.items()}
        found.append({"id": row.get("id", number), "question": row["question"], "answer": text} | results)
    return pandas.DataFrame(found, columns=["id", "question", "answer", *checks]).set_index("id")


def at_once(ask: Answering, rows: Sequence[dict]) -> Answering:
    """Asks all questions of the rows at once, 32 at a time, and returns an answering function that knows the answers.

    A server that answers several requests together is done sooner. The function raises KeyError for other questions.
    """
    questions = [row["question"] for row in rows]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(questions, pool.map(ask, questions), strict=True)).__getitem__


def summary(tables: pandas.DataFrame | Sequence[pandas.DataFrame]) -> pandas.DataFrame:
    """What ``evaluate`` found, counted: a row a check with passed, asked, and share, low, high from 0 to 1.

    low and high are the ends of the 95 % interval: where the share over *all* such questions lies. Of several
    runs, one table each, ``passed`` is their mean; the interval is that of the questions alone, so it does not
    tell how far another training would be off.
    """
    runs = as_runs(tables)
    rows = {}
    for name in runs[0].columns.drop(["question", "answer"]):
        results = by_question(runs, name)
        passed, asked = results.sum(), len(results)
        low, high = interval(passed, asked)
        share = passed / asked if asked else float("nan")
        number = int(passed) if len(runs) == 1 else round(passed, 1)
        rows[name] = {"passed": number, "asked": asked, "share": share, "low": low, "high": high}
    return pandas.DataFrame.from_dict(rows, orient="index").rename_axis("check")


def by_question(tables: pandas.DataFrame | Sequence[pandas.DataFrame], check: str) -> pandas.Series:
    """For each question the share of the runs that passed, from 0 to 1; questions without a result are left out."""
    columns = pandas.concat([table[check] for table in as_runs(tables)], axis=1).dropna()
    return columns.astype(float).mean(axis=1)


def interval(passed: float, asked: int) -> tuple[float, float]:
    """The 95 % interval of a share, from 0 to 1 (Wilson 1927); (0, 1) if nothing was asked."""
    if asked == 0:
        return 0.0, 1.0
    share = passed / asked
    middle = share + Z**2 / (2 * asked)
    spread = Z * sqrt(share * (1 - share) / asked + Z**2 / (4 * asked**2))
    scale = 1 + Z**2 / asked
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def board(tables: Mapping[str, pandas.DataFrame | Sequence[pandas.DataFrame]]) -> pandas.DataFrame:
    """Ways next to each other: a row a way, a column a check, in it the share that passed, 0 to 1, two decimals.

    ``tables``: name of a way -> what ``evaluate`` returned, one table or one for each run; then it is their mean.
    """
    shares = {way: summary(of_way)["share"] for way, of_way in tables.items()}
    return pandas.DataFrame(shares).T.round(2).rename_axis(columns=None)


def by_epoch(
    epochs: Mapping[int, Sequence[pandas.DataFrame]], losses: Sequence[pandas.DataFrame], check: str = "desk"
) -> pandas.DataFrame:
    """How trainings went on, a row an epoch: for each training the answers that passed, and its validation loss.

    ``epochs``: epoch -> what ``evaluate`` returned after it, a table for each training; ``losses``: the losses of the
    same trainings, with the column full_valid_loss (``losses`` of this package, or ``jobs.metrics``).
    """
    rows = {}
    for place, epoch in enumerate(epochs):
        passed = {
            f"{check}, seed {seed}": int(table[check].sum()) for seed, table in enumerate(epochs[epoch])
        }
        lost = [one["full_valid_loss"].dropna().tolist()[place] for one in losses]
        rows[epoch] = passed | {f"loss, seed {seed}": round(loss, 2) for seed, loss in enumerate(lost)}
    return pandas.DataFrame.from_dict(rows, orient="index").rename_axis("epoch")


def same_answers(tables: Sequence[pandas.DataFrame], check: str) -> pandas.DataFrame:
    """How alike runs are, a row a pair of them: questions that both pass, one alone, none; same words in the answer.

    Two runs with the same share may pass quite different questions.
    """
    rows = {}
    for one in range(len(tables)):
        for other in range(one + 1, len(tables)):
            a, b = (tables[place][check].astype(bool) for place in (one, other))
            words = (tables[one]["answer"] == tables[other]["answer"]).sum()
            counts = [(a & b).sum(), (a ^ b).sum(), (~a & ~b).sum(), words]
            rows[f"{one} and {other}"] = [int(count) for count in counts]
    columns = ["both pass", "only one passes", "none passes", "same words"]
    return pandas.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("runs")


def chart(tables: Mapping[str, pandas.DataFrame | Sequence[pandas.DataFrame]], title: str) -> Chart:
    """Results of ``evaluate`` as a chart of shares with 95 % intervals. ``tables``: name of a way -> its table(s)."""
    return share_chart({name: summary(table) for name, table in tables.items()}, title)


def bars(
    tables: Mapping[str, pandas.DataFrame | Sequence[pandas.DataFrame]], title: str, *, tuned: bool = False
) -> Chart:
    """The same as bars, for a few ways or kinds of questions; ``tuned``: whether a tuned model answered."""
    return share_bars({name: summary(table) for name, table in tables.items()}, title, tuned=tuned)


def size_chart(points: pandas.DataFrame, title: str, checks: Sequence[str] = tuple(CHECKS)) -> Chart:
    """How results grow with the training rows. ``points``: columns rows, seed and the share of each check, 0 to 1."""
    return _size_curve(points, title, checks)


def as_runs(tables: pandas.DataFrame | Sequence[pandas.DataFrame]) -> list[pandas.DataFrame]:
    """One table, or one for each run, as a list of tables."""
    return [tables] if isinstance(tables, pandas.DataFrame) else list(tables)
