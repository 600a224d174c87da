"""Lesson 05: what it shows and says of the recorded run, counted again by code other than the lesson's."""

import re

import pytest

from tests.notebooks import refresh
from tests.recount import RIVALS, better, share

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "05_use_model.ipynb")
TEXT = " ".join("\n".join(cell.source for cell in NOTEBOOK.cells).split())
TEST = ("paraphrase", "new")


def test_shares_of_the_scoreboard():
    found = refresh.shown(NOTEBOOK, "scoreboard.csv")
    rows = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr.*?</tr>", found, re.DOTALL)
    ]
    shown = {row[0]: [float(text) for text in row[1:5]] for row in rows[1:] if row[1]}
    assert rows[0][1:5] == ["form", "desk", "fact_paraphrase", "fact_new"]
    assert list(shown) == ["base", "tuned", "tuned_no_system", "nearest_example", "nearest_rule"]
    for way, shares in shown.items():
        counted = [share(way, "form", *TEST), share(way, "desk", *TEST)]
        counted += [share(way, "fact", kind) for kind in TEST]
        assert shares == pytest.approx(counted, abs=0.0051), way


def test_rows_without_a_model_state_more_facts():
    assert "here the two rows without a model state more of them" in TEXT
    assert {better(rival, "tuned", "fact", *TEST) for rival in RIVALS} == {*RIVALS}
