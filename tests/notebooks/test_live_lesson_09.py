"""Lesson 09 with LIVE = True: the cells that replay a recording really train and ask, from top to bottom.

Only that nothing fails is looked at, and that the answers come from models that were trained here.
"""

from pathlib import Path

import pytest

from helpers.local_api.engines import trained
from tests.notebooks import live, refresh

CHANGES = {
    '"../data/airport/{name}.jsonl"': '"{folder}/{{name}}.jsonl"',
    "questions()[5:10]": "questions()[5:6]",
    "3 if LIVE": "40 if LIVE",
    'evaluate.questions("valid")\n': 'evaluate.questions("valid")[:2]\n',
    "max_tokens=60": "max_tokens=20",
}
ROWS = {"train": 20, "valid": 4}  # of each file


def changes(folder: Path) -> dict[str, str]:
    """What is changed in the lesson; its files are written into the folder, cut short."""
    for name, number in ROWS.items():
        lines = (refresh.ROOT / f"data/airport/{name}.jsonl").read_text(encoding="utf-8").splitlines()
        (folder / f"{name}.jsonl").write_text("\n".join(lines[:number]) + "\n", encoding="utf-8")
    return {old: new.format(folder=folder.as_posix()) for old, new in CHANGES.items()}


@pytest.mark.slow
def test_the_lesson_trains_and_asks_when_it_is_live(tmp_path, monkeypatch):
    notebook = live.executed("09", changes(tmp_path), tmp_path / "state", monkeypatch)
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
