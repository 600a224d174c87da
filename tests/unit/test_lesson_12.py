"""Lesson 12: its tables, figures and verdicts, counted again from the recorded answers and the tables of facts."""

import csv
import re
from dataclasses import replace
from statistics import mean

import pytest

from data.recorded import facts, facts_score
from helpers import evaluate, roads, teach
from helpers.local_api.engines import trained
from tests.notebooks import refresh
from tests.recount import fact, jsonl, taught

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "12_grow.ipynb")
TEXT = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")
ANSWERS = taught()
JOBS = {row["run"]: row for row in jsonl("recorded/facts_runs.jsonl")}
NUMBERS = sorted({job["wordings"] for job in JOBS.values()})


def rows(table: str) -> list[dict[str, str]]:
    with open(teach.DATA / table, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table(words: str) -> list[list[str]]:
    """The rows of the table that the code cell with these words shows, names first."""
    return refresh.rows(refresh.shown(NOTEBOOK, words))[1:]


def whole(wordings: int) -> list[str]:
    """The trainings on so many wordings that read each rule 20 or 21 times."""
    return [
        run
        for run, job in JOBS.items()
        if (job["wordings"], job["epochs"]) == (wordings, facts.EPOCHS[wordings])
    ]


def share(run: str, check, kind: str = "new") -> float:
    found = ANSWERS[run, kind]
    known = {row["id"]: row for row in facts.questions(kind)}
    return mean(bool(check(answer, known[id])) for id, answer in found.items())


# --- what comes out ----------------------------------------------------------------------------------------


def test_it_opens_with_a_plan_of_all_bases():
    first = refresh.code_cells(NOTEBOOK)[0]
    assert "roads.plan()" in first.source
    shown = [dict(zip(roads.plan()[0], row[1:], strict=True)) for row in table("roads.plan()")]
    assert shown == roads.plan() and len(shown) == len(roads.bases())
    large = next(row for row in shown if row["base"] == "Qwen/Qwen3-8B")
    assert (large["all matrices, GB"], large["LoRA, GB"], large["QLoRA, GB"]) == ("128", "16", "4")


# --- facts by tuning ---------------------------------------------------------------------------------------


def test_the_trainings_are_those_that_the_program_makes_seed_by_seed():
    assert {1, 10} <= set(NUMBERS) <= set(facts.EPOCHS) and set(JOBS) <= {run.name for run in facts.runs()}
    for number in NUMBERS:
        seeds = sorted(JOBS[run]["seed"] for run in whole(number))
        assert seeds and seeds == list(facts.SEEDS)[: len(seeds)]
        assert sorted(whole(number)) == evaluate.taught_runs(number)
    with pytest.raises(ValueError, match=r"Recorded were \[1, .*10\] wordings, not 2"):
        evaluate.taught_runs(2)
    with pytest.raises(ValueError, match="Not recorded: base, trained"):
        evaluate.taught("base", "trained")


def test_the_board_of_facts_is_counted_again():
    shown = {row[0]: row[1:] for row in table("evaluate.facts_board()")}
    assert len(shown) == 2 + 2 * len(NUMBERS)
    for number in NUMBERS:
        name = "tuned, 1 wording" if number == 1 else f"tuned, {number} wordings"
        found = [[share(run, check) for run in whole(number)] for check in (fact, evaluate.invents)]
        assert shown[name][0] == str(len(whole(number)))
        for cell, shares in zip((shown[name][1], shown[name][3]), found, strict=True):
            spread = f" ({min(shares):.0%} to {max(shares):.0%})" if min(shares) < max(shares) else ""
            assert cell == f"{mean(shares):.0%}{spread}"
    assert shown["base, untrained"][1] == f"{share('base', fact):.0%}"
    assert shown["a search for the rule, no model"][4] == "0%"


def test_what_the_text_says_of_the_board():
    """By heart with one wording; three or ten state more in new words, which is not settled; copying states most."""
    trained_words = {number: share(whole(number)[0], evaluate.fact, "trained") for number in NUMBERS}
    new_words = {number: mean(share(run, fact) for run in whole(number)) for number in NUMBERS}
    assert trained_words[1] == 1 > 0.9 > trained_words[10]
    assert new_words[1] == pytest.approx(1 / 4, abs=0.03)
    assert new_words[3] == pytest.approx(2 / 5, abs=0.03) and new_words[10] == pytest.approx(2 / 5, abs=0.03)
    assert all(share(run, evaluate.invents) > 0.5 for number in NUMBERS for run in whole(number))
    without = {row["run"]: float(row["fact"]) for row in rows("recorded/facts.csv") if not row["rows"]}
    copied = [share for run, share in without.items() if run.startswith("nearest_example-wordings10")]
    assert min(copied) > max(new_words.values())
    assert [row[-1] for row in table("planned = [")] == ["not settled", "not settled", "no difference seen"]


def test_what_the_text_says_of_the_suite():
    looks = table("suite = {")
    assert looks[0][-1] == "base is better" and looks[1][-1] == "no difference seen"
    assert share("base", evaluate.refuses, "refusals") <= 0.15


def test_the_comparisons_are_those_that_were_planned():
    code = next(cell.source for cell in refresh.code_cells(NOTEBOOK) if "planned = [" in cell.source)
    called = re.findall(r'"(\w+)", \("([\w ]+)", "([\w ]+)"\)', code)
    names = {"search": "nearest_rule"}
    assert [(names.get(a, a), names.get(b, b), check) for check, a, b in called] == list(facts_score.PLANNED)


def test_every_study_for_this_lesson_is_shown():
    wanted = {row["study"]: row["finding"] for row in rows("studies.csv") if "12" in row["lesson"].split()}
    shown = {row[0]: row[1] for row in table("studies.loc[on_facts") + table("studies.loc[safety")}
    assert shown == wanted


# --- settings and side effects -----------------------------------------------------------------------------


def test_the_settings_are_those_of_the_engine_and_of_the_table_of_bases():
    shown = {row[0]: row for row in table("growing.csv")}
    auto = trained.AUTO["supervised"]
    assert float(shown["learning rate"][1]) == trained.USUAL_RATES["supervised"]
    (usual,) = [
        row["value"] for row in rows("bases.csv") if (row["model"], row["fact"]) == ("*", "learning_rate")
    ]
    assert float(shown["learning rate"][2]) == float(usual)
    assert int(shown["epochs"][1]) == auto["n_epochs"] and int(shown["batch size"][1]) == auto["batch_size"]
    assert shown["data"][1] == f"{len(jsonl('airport/train.jsonl'))} rows"
    assert all(row["source"] and row["grade"] in ("O", "T", "I") for row in rows("growing.csv"))


def test_side_effects_are_counted_again():
    shown = table("evaluate.side_effects()")
    asked = [run for run, kind in ANSWERS if kind == "general"]
    checks = {"general": evaluate.right, "refusals": evaluate.refuses, "new": fact}

    def counts(run: str) -> list[int]:
        return [round(share(run, check, kind) * len(ANSWERS[run, kind])) for kind, check in checks.items()]

    assert [int(cell) for cell in shown[0][1:4]] == counts("base")
    assert sorted([int(cell) for cell in row[1:4]] for row in shown) == sorted(map(counts, asked))
    assert len({row[0] for row in shown}) == len(shown) >= 5


def test_more_epochs_cost_general_knowledge_and_bring_no_more_facts_in_the_end():
    (last,) = [run for run in whole(1) if (run, "general") in ANSWERS]
    course = ["base", *(f"{last}-after{epoch}" for epoch in facts.CHECKPOINTS), last]
    general = [share(run, evaluate.right, "general") for run in course]
    assert general == sorted(general, reverse=True) and general[0] - general[-1] > 0.2
    found = [share(run, fact) for run in course]
    assert found[1] < found[2] and found[3] <= found[2]


def test_what_the_text_says_of_the_changed_settings():
    """A third of the rate keeps general knowledge; three times the rate or rank 64 take most of it in five epochs."""
    usual = facts.Run(1, 0, facts.SHORT)

    def count(run: str) -> int:
        return round(60 * share(run, evaluate.right, "general"))

    last = facts.Run(1, 0, facts.EPOCHS[1]).name
    assert [count(run) for run in ("base", f"{last}-after5", f"{last}-after10", last)] == [38, 28, 16, 16]
    slow = replace(usual, multiplier=0.3).name
    assert count(slow) >= count("base") - 3 and share(slow, fact) < 0.05
    changed = [replace(usual, multiplier=3.0).name, replace(usual, rank=64).name]
    assert [count(run) for run in (usual.name, *changed)] == [36, 9, 10]
    assert "leaves 9 or 10, where the usual settings leave 36" in TEXT


# --- memory, card, month -----------------------------------------------------------------------------------


def test_the_memory_is_worked_out_as_in_the_plan():
    said = refresh.said(NOTEBOOK, "base = 8_000_000_000")
    assert said.strip() == "{'all matrices': '128 GB', 'LoRA': '16 GB', 'QLoRA': '4 GB'}"
    code = next(cell.source for cell in refresh.code_cells(NOTEBOOK) if cell.source.startswith("base ="))
    names: dict = {}
    exec(code, names)
    assert names["held"] == roads.BYTES


def test_the_adapter_of_the_large_base_is_counted_again():
    layers = 36
    thin = 8 * layers * (2 * (4096 + 4096) + 2 * (1024 + 4096) + 3 * (12288 + 4096))
    said = refresh.said(NOTEBOOK, "shapes.csv")
    assert f"{thin:,}" in said and f"{16 * thin / 1e9:.2f} GB" in said and f"{4 * thin / 1e6:.0f} MB" in said


def test_the_exercise_takes_what_the_table_gives():
    measured = {(r["model"], r["way"], r["tokens"]): float(r["gigabytes"]) for r in rows("memory.csv")}
    right = 8 * 2 + measured["Qwen-7B", "LoRA", "256"] - 7 * 2
    assert teach.answer("12-will-it-fit", right).startswith("Right. ")
    assert teach.answer("12-will-it-fit", 8 * 2).startswith("Not yet. ")


def test_the_call_of_a_month_is_that_of_lesson_07():
    lesson = refresh.read(refresh.NOTEBOOKS / "07_count_cost.ipynb")
    (shown,) = [str(cell.outputs) for cell in refresh.code_cells(lesson) if cell.source == "plan"]
    prompt, answer = re.search(r"Tuned tinker/Qwen3-8B: (\d+) input, (\d+) output", shown).groups()
    assert any(
        f'costs.call("tinker/Qwen3-8B", {prompt}, {answer}, tuned=True)' in c.source for c in NOTEBOOK.cells
    )


def test_merging_changes_nothing_and_rounding_something():
    assert refresh.said(NOTEBOOK, "merged = W").strip() == "the same answer: True"
    assert refresh.said(NOTEBOOK, "answers = {name").count("True") == 2
    moved = int(re.search(r"by (\d+)% of", refresh.said(NOTEBOOK, "rounded ="))[1])
    assert 5 < moved < 100
