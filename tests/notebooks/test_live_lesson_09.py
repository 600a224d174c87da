"""Lesson 09 with LIVE = True: the cells that replay a recording really train and ask, from top to bottom.

The weights are tiny and random and the files are cut short: only that nothing fails is looked at, and that the answers
come from models that were trained here.
"""

import pytest

from helpers.local_api.engines import trained
from tests import tiny_model
from tests.notebooks import refresh

CHANGES = {
    "LIVE = False": "LIVE = True",
    'read_jsonl("train.jsonl"), ': 'read_jsonl("train.jsonl")[:20], ',
    ', read_jsonl("valid.jsonl")': ', read_jsonl("valid.jsonl")[:4]',
    "rows[::3]": "rows[::40]",
    'evaluate.questions("trained")\n': 'evaluate.questions("trained")[:2]\n',
    'evaluate.questions("valid")\n': 'evaluate.questions("valid")[:2]\n',
    "max_tokens=60": "max_tokens=20",
}
CELL_SECONDS = 300


def live_and_short():
    """The lesson with these changes, each of which it must have a place for."""
    (path,) = refresh.NOTEBOOKS.glob("09_*.ipynb")
    notebook = refresh.read(path)
    for old, new in CHANGES.items():
        places = [cell for cell in refresh.code_cells(notebook) if old in cell.source]
        assert len(places) == 1, f"{old!r} stands in {len(places)} cells of lesson 09"
        places[0].source = places[0].source.replace(old, new)
    return notebook


@pytest.mark.slow
def test_the_lesson_trains_and_asks_when_it_is_live(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_API_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LOCAL_API_WEIGHTS", str(tiny_model.shared()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = live_and_short()
    refresh.execute(notebook, refresh.NOTEBOOKS, CELL_SECONDS)
    assert (
        refresh.said(notebook, 'job = train(examples, "09")')
        .splitlines()[-1]
        .startswith(f"succeeded ft:{trained.MODEL}:")
    )
    losses = refresh.said(notebook, "validation loss after each epoch").splitlines()[0].split(": ")[1].split()
    assert len(losses) == trained.AUTO["n_epochs"]
    assert "desks, seed 0" in refresh.said(notebook, "curves = losses.pivot")
    assert "loss, seed 0" not in refresh.said(notebook, "curves = losses.pivot")
    looks = refresh.shown(notebook, "evaluate.comparisons([], [late, *looks])")
    assert looks.count(">look</td>") == 14
