"""A chart of time: how long things lasted, and days that changed something for all of them."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from .chart import INK, Chart, axes_of, new_figure

if TYPE_CHECKING:
    # To import it takes half a second, and every lesson imports this module.
    import pandas

BARS = "#C9D1D9"


def timeline(
    spans: pandas.DataFrame,
    days: pandas.DataFrame,
    title: str,
    name: str = "Model",
    *,
    checked: str | None = None,
) -> Chart:
    """A bar for each span of time, and a numbered dashed line for each day; the numbers are explained below.

    ``spans`` has the columns name, start, end; ``days`` the columns day, what; all days are texts such as
    2026-10-23. Both are drawn in their order, the first span on top. The vertical axis is called ``name``.
    ``checked`` is the day on which the facts were last looked up: a thick line stands there for "today", since a
    chart that moves on each day could not be compared. The chart's data has a row for each: name, start, end.
    Raises ValueError without a span.
    """
    import pandas
    from matplotlib.dates import YearLocator

    if spans.empty:
        raise ValueError("There is no span of time to draw: the table is empty.")
    legend = [f"{number}: {row.day} {row.what}" for number, row in enumerate(days.itertuples(), start=1)]
    figure = new_figure(1.5 + 0.32 * len(spans) + 0.2 * len(legend))
    axes = axes_of(figure, title, "\n".join(["Year", *legend]), name)
    for place, row in enumerate(spans.itertuples()):
        start, end = date.fromisoformat(row.start), date.fromisoformat(row.end)
        axes.barh(place, end - start, left=start, height=0.55, color=BARS, edgecolor=INK, linewidth=0.8)
        beside = {"xycoords": ("axes fraction", "data"), "va": "center", "annotation_clip": False}
        axes.annotate(f"to {row.end}", xy=(1.01, place), color=INK, fontsize=9, **beside)
    for number, row in enumerate(days.itertuples(), start=1):
        day = date.fromisoformat(row.day)
        axes.axvline(day, color=INK, linestyle="--", linewidth=1.5)
        side = "left" if checked and row.day > checked else "right"  # away from the thick line
        axes.annotate(
            f" {number} ", xy=(day, -0.9), ha=side, va="center", color=INK, fontweight="bold", fontsize=10
        )
    if checked:
        days = pandas.concat([days, pandas.DataFrame({"day": [checked], "what": ["the facts were checked"]})])
        _mark(axes, date.fromisoformat(checked))
    axes.set_yticks(range(len(spans)), spans["name"])
    axes.set_ylim(len(spans) - 0.5, -2.6 if checked else -1.3)
    axes.set_xlim(date.fromisoformat(min(spans["start"])), _last_day(spans, days))
    axes.xaxis.set_major_locator(YearLocator())
    axes.grid(axis="y", visible=False)
    marks = pandas.DataFrame({"name": days["what"], "start": days["day"], "end": days["day"]})
    table = pandas.concat([spans[["name", "start", "end"]], marks], ignore_index=True)
    return Chart(figure, table, f"Timeline: {title}. {_sentence(spans, days)}")


def _mark(axes, day: date) -> None:
    """A thick line through all spans, with its name at its head."""
    axes.axvline(day, color=INK, linewidth=3)
    sign = {"facecolor": "white", "edgecolor": INK, "boxstyle": "round,pad=0.25"}
    place = {"xy": (day, -2), "xytext": (6, 0), "textcoords": "offset points", "ha": "right", "va": "center"}
    axes.annotate(f"facts checked on {day}", color=INK, fontsize=9, bbox=sign, **place)


def _last_day(spans: pandas.DataFrame, days: pandas.DataFrame) -> date:
    """Where the axis of time ends: a little after the last day, so that its line can be seen."""
    first = date.fromisoformat(min(spans["start"]))
    last = date.fromisoformat(max([*spans["end"], *days["day"]]))
    return last + (last - first) / 50


def _sentence(spans: pandas.DataFrame, days: pandas.DataFrame) -> str:
    bars = "; ".join(f"{row.name} from {row.start} to {row.end}" for row in spans.itertuples(index=False))
    lines = "; ".join(f"{row.day}: {row.what}" for row in days.itertuples(index=False))
    return f"{bars}. Marked days: {lines}." if lines else f"{bars}."
