"""helpers.charts.timeline: spans, days, the sentence that says both, and the table behind them."""

import pandas
import pytest

from helpers import charts

SPANS = pandas.DataFrame(
    {"name": ["old", "new"], "start": ["2023-01-01", "2024-06-01"], "end": ["2025-01-01", "2026-01-01"]}
)
DAYS = pandas.DataFrame({"day": ["2024-01-01"], "what": ["the door closes"]})


def test_the_alt_text_says_every_span_and_every_day():
    assert charts.timeline(SPANS, DAYS, "Doors").alt == (
        "Timeline: Doors. old from 2023-01-01 to 2025-01-01; new from 2024-06-01 to 2026-01-01. "
        "Marked days: 2024-01-01: the door closes."
    )


def test_the_table_has_a_row_for_each():
    table = charts.timeline(SPANS, DAYS, "Doors").data
    assert table["name"].tolist() == ["old", "new", "the door closes"]
    assert table["end"].tolist() == ["2025-01-01", "2026-01-01", "2024-01-01"]


def test_the_figure_has_title_axes_bars_and_numbered_lines():
    figure = charts.timeline(SPANS, DAYS, "Doors", "Door").figure
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "Doors" and axes.get_ylabel() == "Door"
    assert axes.get_xlabel() == "Year\n1: 2024-01-01 the door closes"
    assert [round(bar.get_width()) for bar in axes.patches] == [731, 579]  # days
    assert len(axes.lines) == 1


def test_without_days_and_without_spans():
    assert charts.timeline(SPANS, DAYS[:0], "Doors").alt.endswith("to 2026-01-01.")
    with pytest.raises(ValueError, match="no span"):
        charts.timeline(SPANS[:0], DAYS, "Doors")


def test_the_day_of_the_last_check_is_marked_in_picture_text_and_table():
    chart = charts.timeline(SPANS, DAYS, "Doors", checked="2025-06-30")
    assert chart.alt.endswith("Marked days: 2024-01-01: the door closes; 2025-06-30: the facts were checked.")
    assert (
        chart.data["name"].tolist()[-1] == "the facts were checked"
        and chart.data["end"].iloc[-1] == "2025-06-30"
    )
    (axes,) = chart.figure.axes
    closing, checked = axes.lines
    assert (
        checked.get_linewidth() > closing.get_linewidth()
        and checked.get_linestyle() != closing.get_linestyle()
    )
    assert "facts checked on 2025-06-30" in [text.get_text() for text in axes.texts]
    assert charts.timeline(SPANS, DAYS[:0], "Doors", checked="2025-06-30").alt.count("checked") == 1
