"""The recorded jobs with preferences and rewards: their tables are what the kept answers give."""

import csv

import pytest

from data.recorded import make, methods

BOOK = make.Book("methods_answers.jsonl").rows
NAMES = sorted({row["model"] for row in BOOK})


def table(name: str) -> list[dict]:
    with open(make.RECORDED / f"methods_{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def shares(model: str) -> dict[str, str]:
    """What the kept answers of a model give, as the tables write it."""
    rows = {row["id"]: row for row in make.questions()}
    found = methods.counted([rows[row["id"]] | row for row in BOOK if row["model"] == model])
    return {key: f"{value:.2f}" if isinstance(value, float) else str(value) for key, value in found.items()}


def test_each_model_was_asked_the_practice_questions_once():
    asked = {model: [row["id"] for row in BOOK if row["model"] == model] for model in NAMES}
    wanted = sorted(row["id"] for row in make.questions() if row["kind"] in make.TEST)
    assert len(wanted) == 120 and all(sorted(ids) == wanted for ids in asked.values())
    ways = ("examples", "rewards", "preferences-base", "preferences-tuned")
    assert NAMES == sorted(["base", *(f"{way}-seed{seed}" for way in ways for seed in methods.SEEDS)])


@pytest.mark.parametrize("row", table("rewards"), ids=lambda row: f"seed{row['seed']}")
def test_rewards_bring_the_form_to_nineteen_of_twenty(row):
    for when, model in (("before", "examples"), ("after", "rewards")):
        found = shares(f"{model}-seed{row['seed']}")
        assert {key: row[f"{key}_{when}"] for key in found} == found
    assert float(row["form_before"]) < 0.5 and float(row["form_after"]) >= 0.95
    assert float(row["desk_after"]) < float(row["desk_before"])  # what was not taught got worse


@pytest.mark.parametrize("row", table("preferences"), ids=lambda row: f"{row['start']}-seed{row['seed']}")
def test_preferences_are_followed_in_free_answers_more_often_than_before(row):
    start = "base" if row["start"] == "base" else f"examples-seed{row['seed']}"
    for when, model in (("before", start), ("after", f"preferences-{row['start']}-seed{row['seed']}")):
        found = shares(model)
        assert {key: row[f"{key}_{when}"] for key in ("form", "desk")} == {
            key: found[key] for key in ("form", "desk")
        }
    assert float(row["form_after"]) > float(row["form_before"]) and float(row["margin"]) > 0
