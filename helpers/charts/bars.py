"""Bars of shares, for a few ways or kinds of questions: the number can be read at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .chart import INK, TUNED, UNTUNED, Chart, axes_of, new_figure
from .shares import _sentence

if TYPE_CHECKING:
    # To import it takes half a second, and every lesson imports this module.
    import pandas


def share_bars(summaries: Mapping[str, pandas.DataFrame], title: str, *, tuned: bool = False) -> Chart:
    """Shares as bars, each with its number and a thin line for its 95 % interval: a panel a check, a bar a way.

    For up to five ways with short names. ``summaries``: as for ``share_chart``. ``tuned``: whether they are those of
    a tuned model; the bars are green then, else grey.
    """
    import pandas

    table = pandas.concat(summaries, names=["way", "check"])
    checks = list(dict.fromkeys(table.index.get_level_values("check")))
    figure = new_figure(3.4)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=12)
    for column, check in enumerate(checks, start=1):
        y_name = "Share of questions, %" if column == 1 else ""
        axes = axes_of(figure, check, "", y_name, panel=(1, len(checks), column))
        for place, found in enumerate(summaries.values()):
            if check in found.index:
                share, low, high = 100 * found.loc[check, ["share", "low", "high"]].astype(float)
                axes.bar(place, share, width=0.7, color=TUNED if tuned else UNTUNED)
                ends = [[max(0, share - low)], [max(0, high - share)]]
                axes.errorbar(place, share, ends, color=INK, capsize=4, linewidth=1)
                above = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center", "fontsize": 10}
                axes.annotate(f"{share:.0f}", (place, high), color=INK, fontweight="bold", **above)
        axes.set_xticks(range(len(summaries)), summaries, fontsize=9)
        axes.set_xlim(-0.6, len(summaries) - 0.4)
        axes.set_ylim(0, 113)
        axes.set_yticks([0, 50, 100], ["0", "50", "100"] if column == 1 else [""] * 3)
        axes.grid(visible=False, axis="x")
    figure.supxlabel("Bar and number: the share. Thin line: its 95 % interval", color=INK, fontsize=10)
    return Chart(figure, table.reset_index(), f"Bar chart: {title}. {_sentence(table)}")
