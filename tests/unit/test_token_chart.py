"""helpers.charts.next_tokens: two panels that differ by more than colour, and a text that says the same.

helpers.charts.trained_tokens: which tokens of an example are trained, in a picture, a text and a table.
"""

import html
import re

import pandas
import pytest

from helpers import charts
from helpers import tokens as counting


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
        "Bar charts: Pork. before: The 31.0%, ·you 20.0%, ↵ 10.0%. after: No 97.0%, Yes 2.0%."
    )


def test_panels_have_titles_and_axes_and_differ_by_more_than_colour():
    figure = charts.next_tokens(BOTH, "Pork").figure
    before, after = figure.axes
    assert [axes.get_title(loc="left") for axes in (before, after)] == ["before", "after"]
    assert {axes.get_xlabel() for axes in (before, after)} == {"Probability, %"}
    assert {axes.get_ylabel() for axes in (before, after)} == {"Next token"}
    assert {bar.get_facecolor()[:3] for bar in before.patches} == {(1, 1, 1)}  # empty bars against full ones
    assert (1, 1, 1) not in {bar.get_facecolor()[:3] for bar in after.patches}
    assert not any(bar.get_hatch() for axes in figure.axes for bar in axes.patches)
    assert [round(bar.get_width()) for bar in before.patches] == [31, 20, 10]
    assert before.get_ylim() == after.get_ylim()


def test_the_most_likely_comes_first_whatever_the_order_of_the_rows():
    chart = charts.next_tokens(BEFORE.iloc[::-1], "Pork")
    assert chart.data["token"].tolist() == ["The", "·you", "↵"]
    assert [label.get_text() for label in chart.figure.axes[0].get_yticklabels()] == ["The", "·you", "↵"]


def test_table_is_left_as_it_was_and_the_picture_can_be_drawn():
    before = BOTH.copy()
    assert charts.next_tokens(BOTH, "Pork").png().startswith(b"\x89PNG")
    assert BOTH.equals(before)


def test_three_models_are_too_many():
    with pytest.raises(ValueError, match="One or two models"):
        charts.next_tokens(pandas.concat([BOTH, tokens("third", {"a": 1.0})]), "Pork")


def test_both_panels_end_where_the_data_end():
    low = pandas.concat([tokens("before", {"a": 0.2, "b": 0.1}), tokens("after", {"c": 0.4})])
    assert [axes.get_xlim() for axes in charts.next_tokens(low, "T").figure.axes] == [(0, 50)] * 2


# --- trained tokens --------------------------------------------------------------------------------------

MODEL = "gpt-4.1-mini"
EXAMPLE = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "May I bring <pork>?"},
    {"role": "assistant", "content": "No.\nDesk: Quarantine"},
]


def test_the_answers_are_trained_and_nothing_else():
    table = charts.trained_tokens(EXAMPLE, MODEL).data
    assert table["token"].tolist() == [
        charts.tokens.visible(piece) for one in EXAMPLE for piece in counting.pieces(one["content"], MODEL)
    ]
    assert set(table.loc[table["trained"], "role"]) == {"assistant"}
    assert table.groupby("role")["trained"].all().to_dict() == {
        "assistant": True,
        "system": False,
        "user": False,
    }


def test_an_answer_of_weight_0_and_a_message_without_text_are_not_trained():
    talk = [*EXAMPLE[:2], EXAMPLE[2] | {"weight": 0}, *EXAMPLE[1:], {"role": "assistant", "content": None}]
    trained = charts.trained_tokens(talk, MODEL).data.groupby("message")["trained"].first()
    assert trained.to_dict() == {1: False, 2: False, 3: False, 4: False, 5: True}


def test_the_text_says_what_the_picture_shows():
    shown = charts.trained_tokens(EXAMPLE, MODEL)
    assert (
        repr(shown)
        == shown.alt
        == (
            "Tokens of an example as gpt-4.1-mini reads it. system, 3 tokens, only read: Be | ·short | .; "
            "user, 7 tokens, only read: May | ·I | ·bring | ·< | p | ork | >?; "
            "assistant, 6 tokens, trained: No | .↵ | Desk | : | ·Qu | arantine. 6 of 16 tokens are trained."
        )
    )
    assert f'role="img" aria-label="{html.escape(shown.alt)}"' in shown._repr_html_()


def test_trained_boxes_differ_by_more_than_colour_and_neighbours_by_colour():
    seen = charts.trained_tokens(EXAMPLE, MODEL)._repr_html_()
    boxes = re.findall(r'<span style="background:(#\w+);([^"]*)">(.*?)</span>', seen)
    table = charts.trained_tokens(EXAMPLE, MODEL).data
    assert [html.unescape(text) for _, _, text in boxes] == table["token"].tolist()
    assert ["bold" in look and "border-bottom" in look for _, look, _ in boxes] == table["trained"].tolist()
    assert boxes[0][0] != boxes[1][0] == boxes[4][0]
    assert "Bold and underlined: trained" in seen and "<pork" not in seen


def test_an_unknown_vocabulary_is_called_an_estimate(recwarn):
    shown = charts.trained_tokens(EXAMPLE, "text-davinci-003")
    assert "(an estimate: four bytes each)" in repr(shown)
    assert not [one for one in recwarn if one.category is counting.TokenEstimateWarning]
