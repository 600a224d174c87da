"""Lesson 04: what it says of the recorded checkpoints, counted again, and what it keeps from the reader."""

import csv
import json
import re

import pytest

from data.recorded import checkpoints
from tests.notebooks import refresh
from tests.recount import DATA, ROWS, desk, form, jsonl

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "04_create_job.ipynb")
TEXT = " ".join("\n".join(cell.source for cell in NOTEBOOK.cells).split())


def stored() -> list[dict]:
    with open(DATA / "recorded" / "checkpoints.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- the recorded checkpoints --------------------------------------------------------------------------------


def test_the_table_is_made_from_the_answers():
    assert stored() == [{key: str(value) for key, value in row.items()} for row in checkpoints.table()]


@pytest.mark.parametrize("row", stored(), ids=lambda row: f"{row['job']}, {row['after epoch']}")
def test_a_checkpoint_counted_again(row):
    of, epoch = int(row["job"].split()[0]), int(row["after epoch"])
    ends = {4: "", 20: "-of20"}[of] + ("" if epoch == of else f"-epoch{epoch}")
    runs = {f"tuned-all-seed{seed}{ends}" for seed in (0, 1, 2)}
    answers = [one for name in ("answers", "long") for one in jsonl(f"recorded/{name}.jsonl")]
    asked = [
        (one["answer"], ROWS[one["id"]])
        for one in answers
        if one["way"] == "tuned" and one["run"] in runs and ROWS[one["id"]]["kind"] == "valid"
    ]
    assert len(asked) == 60
    assert row["form"] == f"{sum(form(*one) for one in asked)} of 60"
    assert row["right desk"] == f"{sum(desk(*one) for one in asked)} of 60"


# --- the exercise --------------------------------------------------------------------------------------------


def test_the_settings_of_the_three_curves_are_nowhere_above_the_diagnosis():
    """A multiplier of 60 would be the answer."""
    hidden = json.loads((DATA / "exercises" / "04_curves.json").read_text(encoding="utf-8"))
    assert set(hidden) == {"A", "B", "C"}
    seen = "\n".join(
        cell.source + json.dumps([out.get("text", "") for out in cell.get("outputs", [])])
        for cell in NOTEBOOK.cells
    )
    seen = seen.partition("### Exercise: read three curves")[2].partition("### Exercise: fix a file")[0]
    seen = re.sub(r'"image/png": "[^"]*"', "", seen)
    for settings in hidden.values():
        for name, value in settings.items():
            assert not re.search(rf"{name}\W+{value}\b", seen)
    assert '"multiplier"' not in seen and "n_epochs" not in seen


# --- failed jobs ---------------------------------------------------------------------------------------------


def test_error_messages_are_shown_to_their_end():
    shown = refresh.shown(NOTEBOOK, "why(name)")
    assert "provided method=supervised" in shown and "Flagged lines: 4, 8, 11" in shown
