"""Charts of shares: how many of the questions pass a check, with the uncertainty of a sample."""

from collections.abc import Mapping, Sequence

import pandas

from .chart import INK, TRAINING, VALIDATION, Chart, axes_of, new_figure

SHAPES = ("o", "s", "D", "^", "v", "P")


def share_chart(summaries: Mapping[str, pandas.DataFrame], title: str) -> Chart:
    """Shares with their 95 % intervals, a row a check and a mark a way.

    ``summaries``: name of a way -> what ``evaluate.summary`` returns (index: check; columns passed, asked,
    share, low, high; shares from 0 to 1). Ways differ in shape and are labelled; at most six.
    """
    table = pandas.concat(summaries, names=["way", "check"])
    checks = list(dict.fromkeys(table.index.get_level_values("check")))
    height = 1.2 + 0.32 * len(table)
    figure = new_figure(height)
    axes = axes_of(figure, title, "Share of questions, % (bar: 95 % interval)", "Check")
    places, names = [], []
    for row, check in enumerate(checks):
        for number, way in enumerate(summaries):
            if check not in summaries[way].index:
                continue
            found = summaries[way].loc[check]
            y = row + (number + 1) / (len(summaries) + 1)
            color = (TRAINING, VALIDATION)[number % 2]
            axes.plot([100 * found["low"], 100 * found["high"]], [y, y], color=color, linewidth=2)
            axes.plot([100 * found["share"]], [y], SHAPES[number % len(SHAPES)], color=color, markersize=7)
            places.append(y)
            names.append(f"{check}: {way}")
    axes.set_yticks(places, names)
    axes.set_xlim(-2, 102)
    axes.set_ylim(len(checks), 0)
    return Chart(figure, table.reset_index(), f"Chart of shares: {title}. {_sentence(table)}")


def _sentence(table: pandas.DataFrame) -> str:
    parts = [
        f"{check}, {way}: {row['share']:.0%} ({row['low']:.0%} to {row['high']:.0%})"
        for (way, check), row in table.iterrows()
    ]
    return "; ".join(parts) + "."


def size_curve(points: pandas.DataFrame, title: str, checks: Sequence[str]) -> Chart:
    """How results grow with the number of training rows: a line a check, a small mark for each training run.

    ``points`` has the columns rows, seed and one column a check with shares from 0 to 1.
    """
    means = points.groupby("rows")[list(checks)].mean()
    figure = new_figure()
    axes = axes_of(figure, title, "Training rows", "Share of questions, %")
    strokes = ((TRAINING, "-", "o"), (VALIDATION, "--", "s"), (INK, ":", "D"))
    for check, (color, stroke, marker) in zip(checks, strokes, strict=False):
        axes.plot(means.index, 100 * means[check], color=color, linestyle=stroke, linewidth=2)
        axes.plot(points["rows"], 100 * points[check], marker, color=color, markersize=5, alpha=0.6)
        end = {"xycoords": ("axes fraction", "data"), "va": "center", "annotation_clip": False}
        axes.annotate(check, xy=(1.01, 100 * means[check].iloc[-1]), color=INK, fontsize=9, **end)
    axes.set_ylim(-2, 102)
    said = "; ".join(
        f"{check}: " + ", ".join(f"{share:.0%} with {rows} rows" for rows, share in means[check].items())
        for check in checks
    )
    return Chart(figure, points, f"Line chart: {title}. Means of the seeds. {said}.")
