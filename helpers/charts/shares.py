"""Charts of shares: how many of the questions pass a check, with the uncertainty of a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .chart import INK, TUNED, UNTUNED, Chart, axes_of, new_figure

if TYPE_CHECKING:
    # To import it takes half a second, and every lesson imports this module.
    import pandas


def share_chart(summaries: Mapping[str, pandas.DataFrame], title: str) -> Chart:
    """Shares with their 95 % intervals: a panel a check, a row a way.

    ``summaries``: name of a way -> what ``evaluate.summary`` returns (index: check; columns passed, asked,
    share, low, high; shares from 0 to 1). Where some names hold the word "tuned" and others do not, the tuned ways
    have full green dots, the others empty grey squares. Else all are dark.
    """
    import pandas

    table = pandas.concat(summaries, names=["way", "check"])
    checks = list(dict.fromkeys(table.index.get_level_values("check")))
    figure = new_figure(1.4 + 0.32 * len(summaries))
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=12)
    figure.supxlabel("Share of questions, % (bar: 95 % interval)", color=INK, fontsize=10)
    rows, looks = range(len(summaries)), _looks(summaries)
    for column, check in enumerate(checks, start=1):
        first = column == 1
        name = check.replace(", ", ",\n")  # in one line it would run into the next panel's
        axes = axes_of(figure, name, "", "Way" if first else "", panel=(1, len(checks), column))
        for row, found, look in zip(rows, summaries.values(), looks, strict=True):
            if check in found.index:
                share, low, high = 100 * found.loc[check, ["share", "low", "high"]].astype(float)
                axes.plot([low, high], [row, row], color=look["color"], linewidth=2)
                axes.plot([share], [row], markersize=6, **look)
        axes.set_yticks(rows, summaries if first else [""] * len(summaries))
        axes.set_xlim(-4, 104)
        axes.set_xticks([0, 50, 100])
        axes.set_ylim(len(summaries) - 0.5, -0.5)
    return Chart(figure, table.reset_index(), f"Chart of shares: {title}. {_sentence(table)}")


def _looks(names: Sequence[str]) -> list[dict]:
    """Colour and mark of each way, by its name."""
    tuned = ["tuned" in name and "untuned" not in name for name in names]
    if all(tuned) or not any(tuned):
        return [{"color": INK, "marker": "o"} for _ in names]
    looks = {True: {"color": TUNED, "marker": "o"}, False: {"color": UNTUNED, "marker": "s", "mfc": "white"}}
    return [looks[is_tuned] for is_tuned in tuned]


def _sentence(table: pandas.DataFrame) -> str:
    parts = [
        f"{check}, {way}: {row['share']:.0%} ({row['low']:.0%} to {row['high']:.0%})"
        for (way, check), row in table.iterrows()
    ]
    return "; ".join(parts) + "."


def size_curve(points: pandas.DataFrame, title: str, checks: Sequence[str]) -> Chart:
    """How results of tuned models grow with the training rows: a line a check, a small mark for each training run.

    ``points`` has the columns rows, seed and one column a check with shares from 0 to 1.
    """
    means = points.groupby("rows")[list(checks)].mean()
    figure = new_figure()
    axes = axes_of(figure, title, "Training rows", "Share of questions, %")
    strokes = (("-", "o"), ("--", "s"), (":", "D"), ("-.", "^"))
    for check, (stroke, marker) in zip(checks, strokes, strict=False):
        axes.plot(means.index, 100 * means[check], color=TUNED, linestyle=stroke, linewidth=2)
        axes.plot(points["rows"], 100 * points[check], marker, color=TUNED, markersize=5, alpha=0.6)
        end = {"xycoords": ("axes fraction", "data"), "va": "center", "annotation_clip": False}
        axes.annotate(check, xy=(1.01, 100 * means[check].iloc[-1]), color=INK, fontsize=9, **end)
    axes.set_ylim(-2, 102)
    said = "; ".join(
        f"{check}: " + ", ".join(f"{share:.0%} with {rows} rows" for rows, share in means[check].items())
        for check in checks
    )
    return Chart(figure, points, f"Line chart: {title}. Means of the seeds. {said}.")
