"""Compares two ways on the same questions, over all training runs of both, and says how sure the difference is."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, comb, hypot, sqrt

import numpy as np
import pandas

from .counting import Z, as_runs, by_question, summary

Z_POWER = 0.841621  # of the normal distribution: 80 % lie below
DRAWS = 10_000  # of the bootstrap and of the sign-flip test
SURE = 0.05  # a p below it counts

Tables = pandas.DataFrame | Sequence[pandas.DataFrame]


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two ways on the same questions. Shares and their difference (after minus before) go from -1 to 1."""

    check: str
    before: str
    after: str
    runs: tuple[int, int]  # training runs of each
    asked: int  # questions
    ahead_before: int  # questions on which this way passes in more of its runs than the other
    ahead_after: int
    share_before: float
    share_after: float
    low: float  # ends of the 95 % interval of the difference
    high: float
    p: float  # how often chance alone brings a difference as large, if there is none

    @property
    def difference(self) -> float:
        return self.share_after - self.share_before

    def verdict(self, p: float | None = None) -> str:
        """In words. ``p``: use this one instead, such as one that was corrected for many looks."""
        p = self.p if p is None else p
        leaves_out_0 = not self.low <= 0 <= self.high
        if leaves_out_0 != (p < SURE):
            return "not settled"
        if not leaves_out_0:
            return "no difference seen"
        return f"{self.after if self.difference > 0 else self.before} is better"

    def __str__(self) -> str:
        return (
            f"{self.check}: {self.verdict()}. {self.before} {self.share_before:.0%}, {self.after} "
            f"{self.share_after:.0%} of {self.asked} questions, {points(self.difference)} points "
            f"(95 % interval {points(self.low)} to {points(self.high)}; {p_text(self.p)}); "
            f"{self.after} ahead on {self.ahead_after}, {self.before} on {self.ahead_before}."
        )

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        """At the end of a cell the same sentence as text that wraps between words."""
        return str(self)


def points(difference: float) -> str:
    """In points; near 0 with a decimal, so that an end above 0 is not printed as 0."""
    number = 100 * difference
    return f"{number:+.1f}" if 0 < abs(number) < 1 else f"{number:+.0f}"


def p_text(p: float) -> str:
    return "p below 0.001" if p < 0.001 else f"p {p:.2f}" if p >= 0.1 else f"p {p:.3f}"


def compare(
    before: Tables, after: Tables, check: str, names: tuple[str, str] = ("before", "after")
) -> Comparison:
    """Compares two ways question by question (paired). Printed, or at the end of a cell, it is a sentence.

    ``before`` and ``after``: what ``evaluate`` returned, one table or one for each training run. All runs count at
    once. One table on each side: the interval is that of Bonett and Price (2012), an adjusted Wald interval for
    paired shares, and p is the exact test of McNemar. Several: the interval comes from drawing questions and runs
    anew (percentile bootstrap, Efron 1979), and p from flipping the sign of each question's difference; with three
    runs a side, how much runs differ is known only roughly. Drawing both anew makes the interval rather too wide than
    too narrow (Owen 2007, The pigeonhole bootstrap).
    Raises ValueError if the tables have not been asked the same questions.
    """
    sides = as_runs(before), as_runs(after)
    if any(list(table.index) != list(sides[0][0].index) for side in sides for table in side):
        raise ValueError("The tables do not hold the same questions in the same order.")
    means = pandas.concat([by_question(side, check) for side in sides], axis=1, join="inner")
    ahead = means[1] - means[0]
    ahead_before, ahead_after = int((ahead < 0).sum()), int((ahead > 0).sum())
    if not len(means):
        low, high, p = -1.0, 1.0, 1.0
    elif len(sides[0]) == len(sides[1]) == 1:
        low, high = _bonett_price(ahead_before, ahead_after, len(ahead))
        p = _mcnemar(ahead_before, ahead_after)
    else:
        low, high = _bootstrap(*(_results(side, check, means.index) for side in sides))
        p = _sign_flip(ahead.to_numpy())
    shares = (float(share) if len(means) else 0.0 for share in means.mean())
    runs = len(sides[0]), len(sides[1])
    return Comparison(check, *names, runs, len(means), ahead_before, ahead_after, *shares, low, high, p)


def apart(
    one: Tables, other: Tables, check: str, names: tuple[str, str] = ("one", "other")
) -> pandas.DataFrame:
    """Compares the shares of two groups of *different* questions, which cannot be paired: a table of one row.

    The 95 % interval of the difference (other minus one) comes from the ends of both shares' intervals (Newcombe 1998,
    Statistics in Medicine 17, 873-890, method 10). Of several runs the shares are means; the intervals are those of
    the questions.
    """
    first, second = (summary(tables).loc[check] for tables in (one, other))
    difference = second["share"] - first["share"]
    low = difference - hypot(second["share"] - second["low"], first["high"] - first["share"])
    high = difference + hypot(second["high"] - second["share"], first["share"] - first["low"])
    shares = {
        name: f"{found['share']:.0%} of {found['asked']:.0f}"
        for name, found in zip(names, (first, second), strict=True)
    }
    verdict = "no difference seen" if low <= 0 <= high else "a difference"
    found = {"points": points(difference), "95 % interval": f"{points(low)} to {points(high)}"}
    return pandas.DataFrame([{"check": check} | shares | found | {"verdict": verdict}])


def comparisons(planned: Sequence[Comparison], looks: Sequence[Comparison] = ()) -> pandas.DataFrame:
    """Comparisons as a table, a row each: first those that were planned before, then the others, the *looks*.

    Whoever looks often enough sees a difference somewhere. So the p of the looks are corrected for their number
    (Holm 1979); the planned ones stand as they are.
    """
    kinds = [("planned", one, one.p) for one in planned]
    kinds += [("look", one, p) for one, p in zip(looks, holm([one.p for one in looks]), strict=True)]
    return pandas.DataFrame(
        {
            "kind": kind,
            "check": one.check,
            "before": f"{one.before} {one.share_before:.0%}",
            "after": f"{one.after} {one.share_after:.0%}",
            "points": points(one.difference),
            "95 % interval": f"{points(one.low)} to {points(one.high)}",
            "p": p_text(p).removeprefix("p "),
            "verdict": one.verdict(p),
        }
        for kind, one, p in kinds
    )


def holm(ps: Sequence[float]) -> list[float]:
    """The p of several tests, corrected for their number by Holm's steps (1979), in the same order."""
    corrected, highest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = highest
    return corrected


def rows_needed(difference: float, disagreement: float) -> int:
    """How many questions show a difference of two shares in four of five trials (Connor 1987, paired).

    ``difference`` of the shares, ``disagreement``: the share of questions on which only one of the two passes;
    both from 0 to 1. It counts the chance of the questions only: two trainings differ by their seeds as well.
    Raises ValueError if the disagreement is smaller than the difference.
    """
    if not 0 < abs(difference) <= disagreement <= 1:
        raise ValueError(
            "The disagreement must be at least as large as the difference, and both within 0 to 1."
        )
    root = Z * sqrt(disagreement) + Z_POWER * sqrt(disagreement - difference**2)
    return ceil(root**2 / difference**2)


# --- intervals and tests -----------------------------------------------------------------------------------


def _bonett_price(only_before: int, only_after: int, asked: int) -> tuple[float, float]:
    one, other = (only_after + 1) / (asked + 2), (only_before + 1) / (asked + 2)
    spread = Z * sqrt((one + other - (one - other) ** 2) / (asked + 2))
    return max(-1.0, one - other - spread), min(1.0, one - other + spread)


def _mcnemar(only_before: int, only_after: int) -> float:
    """The exact test: how often so uneven a split of the disagreements comes from a fair coin (two-sided)."""
    tossed, fewer = only_before + only_after, min(only_before, only_after)
    return min(1.0, 2 * sum(comb(tossed, heads) for heads in range(fewer + 1)) / 2**tossed)


def _results(side: Sequence[pandas.DataFrame], check: str, rows: pandas.Index) -> np.ndarray:
    """0 and 1: shape (questions, runs)."""
    return np.array([table.loc[rows, check].astype(float) for table in side]).T


def _bootstrap(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the difference of two means, with the questions and the runs drawn anew each time."""
    random = np.random.default_rng(0)
    asked = len(before)
    questions = random.multinomial(asked, np.full(asked, 1 / asked), DRAWS) / asked
    differences = 0.0
    for sign, results in ((-1, before), (1, after)):
        runs = results.shape[1]
        drawn = random.multinomial(runs, np.full(runs, 1 / runs), DRAWS) / runs
        differences = differences + sign * (questions @ results * drawn).sum(axis=1)
    low, high = np.quantile(np.round(differences, 9), [0.025, 0.975]) + 0.0  # an end at 0 is 0
    return float(low), float(high)


def _sign_flip(differences: np.ndarray) -> float:
    """How often the mean is as far from 0 if the sign of each question's difference is left to a coin."""
    if not differences.any():
        return 1.0
    flips = np.random.default_rng(0).choice([-1, 1], (DRAWS, len(differences)))
    as_far = np.abs(flips @ differences) >= abs(differences.sum()) - 1e-9
    return float((as_far.sum() + 1) / (DRAWS + 1))
