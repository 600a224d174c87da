"""Lesson 04: what it says of the recorded checkpoints, counted again, and what it keeps from the reader."""

import csv
import json
import re

import numpy as np
import pytest

from data.recorded import checkpoints
from tests.notebooks import refresh
from tests.recount import DATA, RECORDED, ROWS, compared, corrected, desk, form, ids, wilson

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "04_create_job.ipynb")
SEEDS = (0, 1, 2)
TEXT = " ".join("\n".join(cell.source for cell in NOTEBOOK.cells).split())


def stored() -> list[dict]:
    with open(DATA / "recorded" / "checkpoints.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- the recorded checkpoints --------------------------------------------------------------------------------


def test_the_table_is_made_from_the_answers():
    assert stored() == [{key: str(value) for key, value in row.items()} for row in checkpoints.rows()]


@pytest.mark.parametrize("row", stored(), ids=lambda row: f"epoch {row['after epoch']}")
def test_a_checkpoint_counted_again(row):
    form_of, desk_of = (
        np.array([side(check, seed, row["after epoch"]) for seed in SEEDS]) for check in (form, desk)
    )
    assert form_of.shape == (3, 20)
    assert row["form"] == f"{form_of.sum()} of 60"
    assert row["right desk"] == f"{desk_of.sum()} of 60"
    low, high = wilson(desk_of.mean(), 20)
    assert row["desk, 95 % interval"] == f"{100 * low:.0f} to {100 * high:.0f} %"


def side(check, seed: int, epoch: str) -> list[bool]:
    """What one checkpoint got right, question by question."""
    run = f"tuned-all-seed{seed}" + ("" if epoch == "4" else f"-epoch{epoch}")
    answers = RECORDED["tuned"][run]
    return [check(answers[id], ROWS[id]) for id in ids("valid")]


def test_what_is_said_of_the_turn_and_of_the_answers():
    rows = stored()
    losses = [float(row["validation loss"]) for row in rows]
    assert losses[1] == losses[2] == min(losses) < losses[3]
    assert "The loss is lowest after epoch 2 (epoch 3 rounds to the same)." in TEXT
    desks = [int(row["right desk"].split()[0]) for row in rows]
    assert desks[1] <= desks[2] <= desks[3] and "right desks do not become fewer after the turn" in TEXT
    assert all(int(row["form"].split()[0]) > 55 for row in rows)
    assert "the form is there after the first epoch" in TEXT


def test_no_difference_to_the_lowest_loss_is_seen_by_another_count():
    """The verdicts of the last column: where the interval and the test of signs, corrected for three looks, stand."""
    lowest = np.array([side(desk, seed, "2") for seed in SEEDS]).T
    others = [row for row in stored() if row["after epoch"] != "2"]
    found = [
        compared(lowest, np.array([side(desk, seed, row["after epoch"]) for seed in SEEDS]).T)
        for row in others
    ]
    for row, (_, low, high, _), p in zip(others, found, corrected([one[3] for one in found]), strict=True):
        leaves_out_0 = not low <= 0 <= high
        verdict = "not settled" if leaves_out_0 != (p < 0.05) else "no difference seen"
        assert row["desk, against epoch 2"] == verdict and not (leaves_out_0 and p < 0.05)


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
    shown = refresh.shown(NOTEBOOK, "failures[name] = why(name)")
    assert "provided method=supervised" in shown and "Flagged lines: 4, 9" in shown
