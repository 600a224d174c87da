"""How DataFrames are shown in a notebook: text begins at the left, numbers end at the right."""

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


def left_columns(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The cells of the head and of the body that are at the left."""
    parts = tables.as_html(frame).partition("<tbody>")
    found = [re.findall(rf"<t[hd][^>]*{tables.LEFT}>(.*)</t[hd]>", part) for part in (parts[0], parts[2])]
    return tuple(found)


def test_columns_of_text_are_at_the_left_with_their_heads():
    head, body = left_columns(FRAME)
    assert head == ["name", "note", "right"]
    assert body == ["majority", "NaN", "True", "few-shot", "&lt;b&gt; 1", "False"]


def test_nothing_else_changes():
    """Only a place in a line, so no theme can make it illegible; and nothing of what is printed."""
    html = tables.as_html(FRAME)
    assert html.replace(tables.LEFT, "") == FRAME._repr_html_()
    assert re.fullmatch(r' style="text-align: left"', tables.LEFT)
    with pd.option_context("display.notebook_repr_html", False):
        assert tables.as_html(FRAME) is None


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
    assert left_columns(frame) == (head, body)


def test_a_table_whose_columns_are_cut_stays_as_it_is():
    wide = pd.DataFrame({f"c{number}": ["x"] for number in range(60)})
    with pd.option_context("display.max_columns", 4):
        assert tables.as_html(wide) == wide._repr_html_()


def test_of_heads_in_two_rows_the_second_is_aligned():
    deep = pd.DataFrame([["x", 1]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")]))
    assert left_columns(deep) == (["b"], ["x"])


def test_rows_that_are_cut_are_aligned_too():
    with pd.option_context("display.max_rows", 4):
        head, body = left_columns(pd.DataFrame({"a": ["x"] * 9, "n": range(9)}))
    assert head == ["a"] and body == ["x", "x", "...", "x", "x"]


def test_a_notebook_that_imports_helpers_shows_them_so(monkeypatch):
    class Shell:
        display_formatter = DisplayFormatter()

    monkeypatch.setattr("IPython.get_ipython", Shell)
    tables.register()
    shown, _ = Shell.display_formatter.format(FRAME)
    assert shown["text/html"] == tables.as_html(FRAME) and shown["text/plain"] == repr(FRAME)


def test_importing_helpers_loads_neither_pandas_nor_ipython():
    code = "import sys, helpers; print({'pandas', 'IPython'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
