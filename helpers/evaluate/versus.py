"""A recorded way against everything that needs no training, on the 120 questions for practice."""

from collections.abc import Mapping, Sequence

import pandas

from .checks import CHECKS
from .comparing import Comparison, Tables, compare
from .counting import evaluate
from .record import every_run, questions
from .ways import COLUMNS, WHAT, airport_without_a_model

RIVALS = ("base", "few_shot", "few_shot_nearest", "book", "rule")  # those with a model first
RIVALS += ("majority", "nearest_example", "nearest_rule")


def against(way: str = "tuned") -> pandas.DataFrame:
    """A way next to every rival that needs no training, a row a rival (the index).

    Columns: what answers, then one for each check, headed by the share that the way reached. A cell says the rival's
    share and, with all runs counted by ``compare``, whether the way is better (✓), worse (✗), or neither.
    """
    found = {rival: comparisons_with(way, rival) for rival in RIVALS}
    names = {
        name: f"{name} ({way}: {percent(one.share_after)})"
        for name, one in next(iter(found.values())).items()
    }
    rows = {
        rival: {"what answers": WHAT[rival]} | {names[name]: cell(one) for name, one in columns.items()}
        for rival, columns in found.items()
    }
    return pandas.DataFrame.from_dict(rows, orient="index")


def comparisons_with(way: str, rival: str) -> dict[str, Comparison]:
    """The comparisons of a rival (before) with a way (after), one for each column of ``COLUMNS``."""
    found = {}
    for name, (check, kinds) in COLUMNS.items():
        rows = questions(*kinds)
        found[name] = compare(answers_of(rival, rows), every_run(way, rows), check, (rival, way))
    return found


def answers_of(rival: str, rows: Sequence[dict], checks: Mapping = CHECKS) -> Tables:
    """What ``evaluate`` finds in the answers of a rival, without a model or recorded."""
    without = airport_without_a_model()
    return evaluate(without[rival], rows, checks) if rival in without else every_run(rival, rows, checks)


def cell(one: Comparison) -> str:
    """The share before, and the verdict on what came after."""
    words = {
        f"{one.after} is better": f"✓ {one.after} better",
        f"{one.before} is better": f"✗ {one.after} worse",
    }
    return f"{percent(one.share_before)}: {words.get(one.verdict(), one.verdict())}"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"
