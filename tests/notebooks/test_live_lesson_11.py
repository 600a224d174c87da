"""Lesson 11 with LIVE = True: three jobs of three methods really train, one on the other, and what they made answers.

The weights are tiny and random and the files are cut short: only that nothing fails is looked at, and that the answers
come from models that were trained here.
"""

import nbformat
import pytest

from tests import nursery, tiny_model
from tests.notebooks import refresh

CHANGES = {
    "LIVE = False": "LIVE = True",
    "chats[:100]": "chats[:12]",
    "[100:164]": "[100:112]",
    "[100:148]": "[100:112]",
    "max_tokens=96": "max_tokens=8",
    '"learning_rate_multiplier": 0.2': '"compute_multiplier": 0.25',  # draws two answers
}
CELL_SECONDS = 300


def live_and_short():
    """The lesson with these changes, each of which has its place in one cell."""
    (path,) = refresh.NOTEBOOKS.glob("11_*.ipynb")
    notebook = refresh.read(path)
    for old, new in CHANGES.items():
        places = [cell for cell in refresh.code_cells(notebook) if old in cell.source]
        assert len(places) == 1, f"{old!r} stands in {len(places)} cells of lesson 11"
        places[0].source = places[0].source.replace(old, new)
    return notebook


@pytest.mark.slow
def test_the_lesson_trains_three_models_and_asks_them_when_it_is_live(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_API_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LOCAL_API_WEIGHTS", str(tiny_model.shared()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("LOCAL_API_THREADS", "1")
    notebook = live_and_short()
    nursery.start()
    notebook.cells.insert(0, nbformat.v4.new_code_cell(nursery.USED))
    refresh.execute(notebook, refresh.NOTEBOOKS, CELL_SECONDS)
    for words in ("start = trained(", "preferred = trained(", "rewarded = trained("):
        assert "succeeded" in refresh.said(notebook, words), words
    counts = refresh.shown(notebook, "rewarded = trained(")
    for name in ("100 examples", "then pairs", "then a reward"):
        assert name in counts
