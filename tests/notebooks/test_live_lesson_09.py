"""Lesson 09 with LIVE = True: the cells that replay a recording really train and ask, from top to bottom.

The weights are tiny and random and the files are cut short: only that nothing fails is looked at, and that the answers
come from models that were trained here.
"""

import nbformat
import pytest

from helpers.local_api.engines import trained
from tests import nursery, tiny_model
from tests.notebooks import refresh

CHANGES = {
    "LIVE = False": "LIVE = True",
    '"../data/airport/{name}.jsonl"': '"{folder}/{{name}}.jsonl"',
    "questions()[5:10]": "questions()[5:6]",
    "3 if LIVE": "40 if LIVE",
    'evaluate.questions("valid")\n': 'evaluate.questions("valid")[:2]\n',
    "max_tokens=60": "max_tokens=20",
}
ROWS = {"train": 20, "valid": 4}  # of each file
CELL_SECONDS = 300


def live_and_short(folder):
    """The lesson with these changes, each of which it must have a place for; its files are written into the folder."""
    for name, number in ROWS.items():
        lines = (refresh.ROOT / f"data/airport/{name}.jsonl").read_text(encoding="utf-8").splitlines()
        (folder / f"{name}.jsonl").write_text("\n".join(lines[:number]) + "\n", encoding="utf-8")
    (path,) = refresh.NOTEBOOKS.glob("09_*.ipynb")
    notebook = refresh.read(path)
    for old, new in CHANGES.items():
        places = [cell for cell in refresh.code_cells(notebook) if old in cell.source]
        assert len(places) == 1, f"{old!r} stands in {len(places)} cells of lesson 09"
        places[0].source = places[0].source.replace(old, new.format(folder=folder.as_posix()))
    return notebook


@pytest.mark.slow
def test_the_lesson_trains_and_asks_when_it_is_live(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_API_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LOCAL_API_WEIGHTS", str(tiny_model.shared()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("LOCAL_API_THREADS", "1")
    notebook = live_and_short(tmp_path)
    nursery.start()
    notebook.cells.insert(0, nbformat.v4.new_code_cell(nursery.USED))
    refresh.execute(notebook, refresh.NOTEBOOKS, CELL_SECONDS)
    ended = refresh.said(notebook, "jobs.find(client").splitlines()[-1]
    assert ended.startswith(f"succeeded ft:{trained.MODEL}:")
    own = refresh.said(notebook, "display(evaluate.loss_chart")
    assert "Line chart: My training." in own and "validation loss on all rows" in own and "my model" in own
    course = refresh.shown(notebook, "evaluate.by_epoch(")
    assert "desk, seed 0" in course and "loss, seed 0" in course and "seed 1" not in course
    assert course.partition("<tbody>")[2].count("<tr>") == trained.AUTO["supervised"]["n_epochs"]
    assert "last epoch" in refresh.shown(notebook, "evaluate.comparisons([],")
    assert "fact, new rules, tuned: " in refresh.said(notebook, "evaluate.chart(results")
    assert refresh.shown(notebook, "evaluate.compare(opened").count(">planned</td>") == 7
