"""helpers.charts.next_tokens: two panels that differ by more than colour, and a text that says the same."""

import pandas
import pytest

from helpers import charts


def tokens(model: str, found: dict[str, float]) -> pandas.DataFrame:
    return pandas.DataFrame(
        {
            "model": model,
            "rank": range(1, len(found) + 1),
            "token": list(found),
            "probability": list(found.values()),
        }
    )


BEFORE = tokens("before", {"The": 0.31, " you": 0.2, "\n": 0.1})
AFTER = tokens("after", {"No": 0.97, "Yes": 0.02})
BOTH = pandas.concat([BEFORE, AFTER])


def test_alt_text_says_every_bar():
    assert charts.next_tokens(BOTH, "Pork").alt == (
        "Bar charts: Pork. before: The 31.0%, ·you 20.0%, ⏎ 10.0%. after: No 97.0%, Yes 2.0%."
    )


def test_panels_have_titles_and_axes_and_differ_by_their_pattern():
    figure = charts.next_tokens(BOTH, "Pork").figure
    before, after = figure.axes
    assert [axes.get_title(loc="left") for axes in (before, after)] == ["before", "after"]
    assert {axes.get_xlabel() for axes in (before, after)} == {"Probability, %"}
    assert {axes.get_ylabel() for axes in (before, after)} == {"Next token"}
    assert {bar.get_hatch() for bar in before.patches} != {bar.get_hatch() for bar in after.patches}
    assert [round(bar.get_width()) for bar in before.patches] == [31, 20, 10]
    assert before.get_ylim() == after.get_ylim()


def test_the_likeliest_comes_first_whatever_the_order_of_the_rows():
    chart = charts.next_tokens(BEFORE.iloc[::-1], "Pork")
    assert chart.data["token"].tolist() == ["The", "·you", "⏎"]
    assert [label.get_text() for label in chart.figure.axes[0].get_yticklabels()] == ["The", "·you", "⏎"]


def test_table_is_left_as_it_was_and_the_picture_can_be_drawn():
    before = BOTH.copy()
    assert charts.next_tokens(BOTH, "Pork").png().startswith(b"\x89PNG")
    assert BOTH.equals(before)


def test_three_models_are_too_many():
    with pytest.raises(ValueError, match="One or two models"):
        charts.next_tokens(pandas.concat([BOTH, tokens("third", {"a": 1.0})]), "Pork")
