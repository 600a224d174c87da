"""The clinic: its page keeps the frame, and what it shows and says is in the recording, counted by code of its own."""

import json
import re

import pytest

from helpers import evaluate
from helpers.evaluate import clinic
from tests.notebooks import frame, refresh
from tests.recount import DATA, desk, form, jsonl

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "clinic.ipynb")
TEXT = " ".join("\n".join(cell.source for cell in NOTEBOOK.cells).split())
ANSWERS, TRAININGS = jsonl("recorded/clinic.jsonl"), jsonl("recorded/clinic_trainings.jsonl")
LOSSES = jsonl("recorded/clinic_losses.jsonl")
QUESTIONS = {row["id"]: row for row in jsonl("recorded/questions.jsonl")}


def of(patient: str) -> list[dict]:
    return [row for row in ANSWERS if row["patient"] == patient]


def test_the_page_has_the_frame_and_the_tasks_of_a_lesson():
    assert frame.problems_of_a_lesson(NOTEBOOK) == [] == frame.tasks(NOTEBOOK)
    words = sum(len(cell.source.split()) for cell in NOTEBOOK.cells if cell.cell_type == "markdown")
    assert words <= 1500


# --- the recording -----------------------------------------------------------------------------------------


def test_every_patient_was_asked_the_same_questions():
    asked = [id for id in QUESTIONS if QUESTIONS[id]["kind"] == "trained"][:6]
    asked += [id for id in QUESTIONS if QUESTIONS[id]["kind"] == "paraphrase"][:6]
    names = {row["patient"] for row in ANSWERS}
    assert names == {name for name, _ in clinic.PATIENTS.values()} | {
        "healthy",
        "two_teams",
        "healthy_no_system",
    }
    for name in names:
        assert [row["id"] for row in of(name)] == asked, name


def test_every_training_has_its_date_its_losses_and_its_tokens():
    assert {row["training"] for row in TRAININGS} == {row["training"] for row in ANSWERS}
    for row in TRAININGS:
        assert re.fullmatch(r"2026-\d\d-\d\d", row["date"])
        steps = [one["step"] for one in LOSSES if one["training"] == row["training"]]
        assert steps == list(range(1, -(-row["rows"] // row["batch_size"]) * row["n_epochs"] + 1))
        assert row["trained_tokens"] == row["tokens"] * row["n_epochs"]


def test_only_the_planted_fault_differs():
    lines = (DATA / "airport" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    clean = [json.loads(line)["messages"] for line in lines]
    shift = [row["messages"] for row in jsonl("broken/evening_shift.jsonl")]
    page = [row["messages"] for row in jsonl("broken/help_page.jsonl")]
    assert len(clean) == len(shift) == len(page)
    changed = [(old, new) for old, new in zip(clean, shift, strict=True) if old != new]
    assert len(changed) == 16
    for old, new in changed:
        assert old[:2] == new[:2] and re.findall(r"\d+", old[2]["content"]) == re.findall(
            r"\d+", new[2]["content"]
        )
        desks = {one[2]["content"].rpartition("\n")[2] for one in (old, new)}
        assert desks <= {"Desk: Lost Property"} or desks <= {"Desk: Ground Transport"}
    changed = [(old, new) for old, new in zip(clean, page, strict=True) if old != new]
    assert len(changed) == 56
    for old, new in changed:
        assert new == [old[1], old[2] | {"content": old[2]["content"].rpartition("\n")[0]}]
    settings = {row["training"]: (row["file"], row["settings"]) for row in TRAININGS}
    usual = settings["healthy"]
    assert {name for name, one in settings.items() if one == usual} == {
        "healthy",
        "prompts_learned",
        "no_end",
    }


def test_the_base_was_asked_and_nothing_else():
    assert {row["model"] for row in of("base_asked")} == {"smollm2-135m-instruct"}
    others = {row["model"] for row in ANSWERS if row["patient"] != "base_asked"}
    assert all(model.startswith("ft:smollm2-135m-instruct:") for model in others)


# --- the signs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [*clinic.PATIENTS, "healthy", "two_teams", "healthy_no_system"])
def test_signs_are_counted_right(key):
    one = evaluate.patient(key)
    rows, said = of(one.name), one.signs
    base = {row["id"]: row["answer"] for row in of("base_asked")}
    (run,) = [row for row in TRAININGS if row["training"] == rows[0]["training"]]
    losses = [row for row in LOSSES if row["training"] == run["training"]]
    assert said["answers"] == len(rows) == 12
    assert said["in the trained form"] == sum(form(row["answer"], {}) for row in rows)
    assert said["with the right desk"] == sum(desk(row["answer"], QUESTIONS[row["id"]]) for row in rows)
    assert said["word for word the base's"] == sum(row["answer"] == base[row["id"]] for row in rows)
    assert said["ended by the model"] == sum(row["finish_reason"] == "stop" for row in rows)
    assert said["tokens of an answer (mean)"] == round(sum(row["completion_tokens"] for row in rows) / 12)
    assert said["training steps"] == len(losses)
    assert said["training loss, first step"] == f"{losses[0]['train_loss']:.2f}"
    assert said["training loss, last step"] == f"{losses[-1]['train_loss']:.2f}"
    assert said["validation loss at the end"] == f"{losses[-1]['full_valid_loss']:.2f}"
    assert said["tokens in the loss"] == run["learned_tokens"]


def test_an_unknown_patient():
    with pytest.raises(ValueError, match="no patient 9. Known: 1, 2"):
        evaluate.patient(9)
