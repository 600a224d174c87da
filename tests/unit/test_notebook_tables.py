"""How DataFrames are shown in a notebook: text at the left and whole, numbers at the right, nothing for nobody."""

import html
import re
import subprocess
import sys

import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter

from helpers import tables

FRAME = pd.DataFrame(
    {
        "name": ["majority", "few-shot"],
        "rows": [120, 8],
        "share": ["68 %", "-3.5 %"],
        "usd": ["$0.53", None],
        "note": [None, "<b> 1"],
        "right": [True, False],
    }
)


def cells(part: str) -> list[tuple[str, str]]:
    """Style and text of each cell, in order."""
    found = re.findall(r'<t[hd](?: [a-z]+="\w*")*(?: style="([^"]*)")?>(.*?)</t[hd]>', part, re.DOTALL)
    return [(style, html.unescape(text)) for style, text in found]


def shown(frame: pd.DataFrame) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The cells of the head and of the body."""
    head, _, body = tables.as_html(frame).partition("<tbody>")
    return cells(head), cells(body)


def texts(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    return tuple([text for _, text in part] for part in shown(frame))


def at_left(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    return tuple([text for style, text in part if tables.LEFT in style] for part in shown(frame))


def test_columns_of_text_are_at_the_left_with_their_heads():
    head, body = at_left(FRAME)
    assert head == ["name", "note", "right"]
    assert body == ["majority", "", "✓ yes", "few-shot", "<b> 1", "✗ no"]


def test_what_is_printed_stays_as_it_is():
    frame = FRAME.rename_axis(columns="way")
    printed = repr(frame)
    tables.as_html(frame)
    assert repr(frame) == printed and "True" in printed and "way" in printed
    with pd.option_context("display.notebook_repr_html", False):
        assert tables.as_html(FRAME) is None


def test_the_style_has_no_colour_so_no_theme_can_make_it_illegible():
    assert "color" not in tables.as_html(FRAME) and "background" not in tables.as_html(FRAME)


@pytest.mark.parametrize(
    ("frame", "head", "body"),
    [
        (FRAME.set_index("name")[["rows"]], ["", "name"], ["majority", "few-shot"]),
        (FRAME[["rows"]].rename_axis("n"), [], []),
        (FRAME[["name"]].rename_axis(columns="check"), ["name"], ["majority", "few-shot"]),
        (
            pd.DataFrame(
                {"n": [1, 2], "t": ["x", "y"]}, index=pd.MultiIndex.from_product([["a"], ["b", "c"]])
            ),
            ["", "", "t"],
            ["a", "b", "x", "c", "y"],
        ),
        (FRAME[["rows"]].set_index(pd.Index([0.5, 1.5])), [], []),
        (pd.DataFrame(), [], []),
        (pd.DataFrame({"a": [], "b": []}), [], []),
        (pd.DataFrame({"a": ["x"]}).astype("category"), ["a"], ["x"]),
        (pd.DataFrame({"day": pd.to_datetime(["2026-11-28"])}), ["day"], ["2026-11-28"]),
    ],
)
def test_indexes_and_kinds(frame, head, body):
    assert at_left(frame) == (head, body)


@pytest.mark.parametrize(
    ("frame", "head"),
    [
        (FRAME[["rows"]], ["rows"]),
        (FRAME[["rows"]].loc[[1]], ["rows"]),
        (FRAME[["rows"]].rename_axis("n"), ["", "rows", "n", ""]),
        (FRAME[["rows"]].set_index(pd.Index(["a", "b"])), ["", "rows"]),
        (FRAME[["rows"]].set_index(pd.Index([0.5, 1.5])), ["", "rows"]),
    ],
)
def test_row_numbers_that_nobody_gave_are_left_out(frame, head):
    assert texts(frame)[0] == head


def test_columns_in_which_nothing_is_are_left_out():
    frame = pd.DataFrame(
        {"a": [None, None], "b": [" ", ""], "c": [float("nan")] * 2, "d": [0, 0], "e": ["-", None]}
    )
    assert texts(frame) == (["d", "e"], ["0", "-", "0", ""])
    assert texts(frame[["a"]])[0] == ["a"], "a table without a column would say less"
    assert texts(frame[:0])[0] == ["a", "b", "c", "d", "e"]


def test_yes_and_no_are_words_in_columns_of_any_kind():
    frame = pd.DataFrame({"kept": [True, False], "mixed": [True, "some"], "unknown": [None, False]})
    assert texts(frame)[1] == ["✓ yes", "✓ yes", "", "✗ no", "some", "✗ no"]
    assert texts(frame.set_index("kept"))[1][::3] == ["✓ yes", "✗ no"]


def test_numbers_are_those_of_pandas():
    frame = pd.DataFrame({"loss": [1.5, 0.123456789], "seen": [1.0, None], "n": [1, 1_000]})
    assert texts(frame)[1] == ["1.500000", "1.0", "1", "0.123457", "", "1000"]
    mixed = pd.DataFrame({"what": [1.5, 3, "word", [1, 2], 1 / 3]})
    assert texts(mixed)[1] == ["1.5", "3", "word", "[1, 2]", "0.333333"]


def test_long_texts_are_whole_and_lines_are_kept():
    answer = "No. " + "It is not allowed. " * 20 + "\n\nDesk: <Customs>"
    _, body = shown(pd.DataFrame({"question": ["May I?"], "answer": [answer], "n": [3], "p": ["0 to 3"]}))
    assert [text for _, text in body] == ["May I?", answer, "3", "0 to 3"]
    left, wraps = f"{tables.LEFT}; {tables.TOP}; ", tables.WRAPPED
    assert [style for style, _ in body] == [
        left + tables.IN_ONE_LINE,
        left + wraps,
        f"{tables.TOP}; {tables.IN_ONE_LINE}",
        left + tables.IN_ONE_LINE,
    ]


def test_some_columns_with_the_same_name():
    frame = pd.DataFrame([["x", 1, "y"]], columns=["a", "a", "a"])
    assert at_left(frame) == (["a", "a"], ["x", "y"])


def test_of_a_table_with_too_many_columns_nothing_is_aligned():
    wide = pd.DataFrame({f"c{number}": ["x"] for number in range(60)})
    with pd.option_context("display.max_columns", 4):
        head, body = shown(wide)
    assert [text for _, text in head] == ["c0", "c1", "...", "c58", "c59"]
    assert {style for style, _ in head + body} == {""}


def test_of_heads_in_two_rows_the_second_is_aligned():
    deep = pd.DataFrame([["x", 1]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")]))
    assert at_left(deep) == (["b"], ["x"])


def test_rows_that_are_cut_are_aligned_too():
    with pd.option_context("display.max_rows", 4):
        head, body = at_left(pd.DataFrame({"a": ["x"] * 9, "n": range(9)}))
    assert head == ["a"] and body == ["x", "x", "...", "x", "x"]
    assert len(texts(pd.DataFrame({"a": ["x"] * 61}))[1]) == 11  # as pandas does


def test_a_notebook_that_imports_helpers_shows_them_so(monkeypatch):
    class Shell:
        display_formatter = DisplayFormatter()

    monkeypatch.setattr("IPython.get_ipython", Shell)
    tables.register()
    data, _ = Shell.display_formatter.format(FRAME)
    assert data["text/html"] == tables.as_html(FRAME) and data["text/plain"] == repr(FRAME)


def test_importing_helpers_loads_neither_pandas_nor_ipython():
    code = "import sys, helpers; print({'pandas', 'IPython'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
