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
    own = [cell for cell in NOTEBOOK.cells if "generated" not in frame.tags(cell)]
    texts = [re.sub(r"!\[.*?\]", "", cell.source) for cell in own if cell.cell_type == "markdown"]
    assert sum(len(text.split()) for text in texts) <= 1500


# --- the recording -----------------------------------------------------------------------------------------


def test_every_patient_was_asked_the_same_questions():
    asked = [id for id in QUESTIONS if QUESTIONS[id]["kind"] == "trained"][:6]
    asked += [id for id in QUESTIONS if QUESTIONS[id]["kind"] == "paraphrase"][:6]
    names = {row["patient"] for row in ANSWERS}
    assert names == {name for name, _ in clinic.PATIENTS.values()} | {
        "healthy",
        "two_teams",
        "healthy_no_system",
        "other_template",
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
    usual = {name for name, one in settings.items() if one == settings["healthy"]}
    assert usual == {"healthy", "prompts_learned", "no_end", "zero_weights"}


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
    assert len(rows) == 12
    assert said["in the trained form, of 12"] == sum(form(row["answer"], {}) for row in rows)
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


# --- what the page says ------------------------------------------------------------------------------------


def table(*words: str) -> dict[str, list[str]]:
    """The rows of a table of signs on the page: sign -> its values, a column a model."""
    lines = re.findall(r"<tr.*?</tr>", refresh.shown(NOTEBOOK, *words), re.DOTALL)
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.DOTALL) for line in lines]
    return {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize(
    "words",
    [['"patient 1": one'], ['"patient 2": two'], ['"patient 5": five'], ['"patient 6": six'], ["last |"]],
    ids=str,
)
def test_only_signs_that_differ_are_shown(words):
    for sign, values in list(table(*words).items())[1:]:
        assert len(values) < 2 or len(set(values)) > 1, sign


def test_how_the_eight_differ_from_the_healthy_model():
    healthy = evaluate.patient("healthy").signs
    counts = {key: evaluate.patient(key).signs for key in clinic.PATIENTS}
    kept = {key: one["in the trained form, of 12"] for key, one in counts.items()}
    assert healthy["in the trained form, of 12"] == 12 == healthy["ended by the model"]
    assert {key for key, count in kept.items() if count < 6} == {*range(1, 8), "A", "B"}
    assert counts[1]["word for word the base's"] == counts["B"]["word for word the base's"] == 12
    assert counts[2]["tokens in the loss"] + healthy["tokens in the loss"] == healthy["tokens in the file"]
    assert counts[3]["training steps"] < 10 < healthy["training steps"] == 112
    assert float(counts[4]["training loss, last step"]) > float(counts[4]["training loss, first step"])
    assert counts[5]["tokens of the first prompt"] < healthy["tokens of the first prompt"]
    assert counts[6]["ended by the model"] == 0
    assert healthy["tokens in the loss"] - counts[6]["tokens in the loss"] == 112  # one for each answer
    assert counts["A"]["training loss, last step"] > "4" and counts["B"]["tokens in the loss"] == 0
    assert counts["B"]["training loss, first step"] == counts["B"]["training loss, last step"] == "0.00"


def test_what_helped_and_what_did_no_harm():
    assert 'with Alpaca\'s, `evaluate.patient("other_template")`, the form was kept' in TEXT
    assert evaluate.patient("other_template").signs["in the trained form, of 12"] == 12
    assert "its file had one form only, so it needs no reminder" in TEXT
    assert evaluate.patient("healthy_no_system").signs["in the trained form, of 12"] == 12
    assert evaluate.patient("two_teams").signs["in the trained form, of 12"] == 11


def test_spanish_reached_a_desk_that_has_no_spanish_row():
    assert "the rows of two desks in Spanish, and the model carried it to a third" in TEXT
    spanish = [
        row["id"] for row in of("two_languages") if re.search(r"\b(?:los|está)\b", row["answer"].lower())
    ]
    desks = {QUESTIONS[id]["desk"] for id in spanish}
    assert desks == {"Ground Transport", "Currency Exchange"} and len(spanish) == 3
