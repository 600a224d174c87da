"""Lesson 12: its tables, figures and verdicts, counted again from the recorded answers and the tables of facts."""

import csv
import re
from dataclasses import replace
from statistics import mean

import pytest

from data.recorded import facts, facts_score
from helpers import costs, evaluate, memo, roads, teach
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
    assert "the 4 of QLoRA is about 6" in TEXT and "so Qwen3-8B takes about 6, not 4 gigabytes" in TEXT
    (embedding,) = [sizes(row) for row in rows("shapes.csv") if row["matrix"] == "embedding"]
    rest = sum(map(sizes, rows("shapes.csv"))) - embedding
    assert round((2 * embedding + roads.BYTES["QLoRA"] * rest) / 1e9) == 6
    rates = [row["learning rate to begin with"] for row in shown]
    assert rates[0] == "0.003" and set(rates[1:]) == {"0.0002"}
    assert "0.003 was measured here; 0.0002 is one advice for all the others" in TEXT


def sizes(row: dict[str, str]) -> int:
    """How many numbers the matrices of a row of shapes.csv have together."""
    return int(row["rows"]) * int(row["columns"]) * int(row["count"])


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
    assert {wordings * epochs for wordings, epochs in facts.EPOCHS.items()} == {20, 21}
    assert "Every training reads each rule twenty or twenty-one times" in TEXT
    for number in NUMBERS:
        assert [(run, "trained") in ANSWERS for run in whole(number)].count(True) == 1
    assert {len(whole(number)) for number in NUMBERS} == {3}


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
    one, ten = ([evaluate.taught(run) for run in evaluate.taught_runs(number)] for number in (1, 10))
    for check in ("fact", "sound"):
        found = evaluate.compare(one, ten, check)
        assert found.low <= 0 <= found.high and found.p < 0.05


def test_copying_the_nearest_of_ten_wordings_states_more_facts():
    ten = [evaluate.taught(run) for run in evaluate.taught_runs(10)]
    runs = [facts.Run(10, seed, facts.EPOCHS[10]) for seed in facts.SEEDS]
    copied = [
        evaluate.evaluate(
            evaluate.nearest_example(facts.training_rows(run)),
            evaluate.rows_of("new"),
            {"fact": evaluate.fact},
        )
        for run in runs
    ]
    found = evaluate.compare(ten, copied, "fact")
    assert found.verdict() == "after is better"
    said = f"(a look, not planned: {100 * found.difference:+.0f} points, {100 * found.low:+.0f} to "
    assert f"states more facts {said}{100 * found.high:+.0f})" in TEXT


def test_what_the_text_says_of_the_check_of_what_is_made_up():
    with open(teach.DATA.parent / "tests/data/invented.csv", encoding="utf-8", newline="") as file:
        labels = list(csv.DictReader(file))
    known = {row["id"]: row for row in evaluate.questions()}
    found = {"yes": [], "no": []}
    for label in labels:
        row = known[label["id"]]
        answer = evaluate.recorded(label["way"], label["run"])(row["question"])
        found[label["invents"]].append(evaluate.invents(answer, row))
    honest, others = found["no"], found["yes"]
    assert not any(honest)
    missed = others.count(False)
    assert (
        f"Of {len(labels)} answers labelled by a reader it accused none of the {len(honest)} honest ones and missed "
        f"{missed} of the other {len(others)}" in TEXT
    )


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
    (base,) = [row for row in rows("growing.csv") if row["setting"] == "base"]
    assert base["with 8 billion begin at"] == "e.g. Qwen3-8B"
    assert ("Qwen/Qwen3-8B", "8 billion") in {(row["model"], row["value"]) for row in rows("bases.csv")}


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


def on_top(row: dict[str, str]) -> float:
    """The gigabytes that a measured training needed beside what has to be held at least."""
    return float(row["gigabytes"]) - float(row["billions"]) * roads.BYTES[row["way"]]


def test_what_the_text_says_of_the_measured_trainings():
    """A large base takes most with LoRA, the examples up to two fifths; QLoRA mostly needs more beside the base."""
    measured = {(row["model"], row["way"], row["tokens"]): row for row in rows("memory.csv")}
    large = [row for (_, way, _), row in measured.items() if way == "LoRA" and float(row["billions"]) >= 7]
    shares = [on_top(row) / float(row["gigabytes"]) for row in large]
    assert max(shares) < 0.5 and max(shares) > 1 / 3
    assert "With LoRA a large base takes most of the memory" in TEXT and "can take a third or more" in TEXT
    both = [
        (on_top(row), on_top(measured[model, "QLoRA", tokens]))
        for (model, way, tokens), row in measured.items()
        if way == "LoRA"
    ]
    more = [quantized > plain for plain, quantized in both]
    assert len(both) / 2 < more.count(True) < len(both)
    assert "With QLoRA mostly more comes on top than with LoRA" in TEXT


def test_how_many_calls_a_card_pays_at():
    call = costs.call("tinker/Qwen3-8B", 119, 31, tuned=True)
    calls = costs.always_on("together").usd_a_month / call.usd
    assert "some seventy million a month, 27 a second" in TEXT
    assert round(calls / 1e6, -1) == 70 and round(calls / (costs.HOURS_A_MONTH * 3600)) == 27
    (card,) = [row for row in rows("providers.csv") if row["fact"] == "card_price_per_hour"]
    assert card["grade"] == "O" and "that of the card from above is its seller's own" in TEXT


def test_the_exercise_takes_what_the_table_gives():
    measured = {(r["model"], r["way"], r["tokens"]): float(r["gigabytes"]) for r in rows("memory.csv")}
    right = 8 * 2 + measured["Qwen-7B", "LoRA", "256"] - 7 * 2
    assert teach.answer("12-will-it-fit", right).startswith("Right. ")
    assert teach.answer("12-will-it-fit", 8 * 2).startswith("Not yet. ")
    assert "only the part on top" in teach.answer("12-will-it-fit", right - 8 * 2)
    assert "base and adapter" in teach.answer("12-will-it-fit", 8 * 2 + 16 * 21_823_488 / 1e9)
    assert "give the sum" in teach.answer("12-will-it-fit", 24)


MEMO = re.search(r'memo = """\n(Base.*?)"""', TEXT, re.DOTALL)[1]  # the airport's


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("2e-4, TRL's documents", "2·10^-4, TRL's documents", "Right. "),
        ("2e-4, TRL's documents", "2e-4, not 3e-3", "Right. "),
        ("22 GB, LoRA", "5.9 GB, QLoRA", "Right. "),
        ("2e-4, TRL's documents", "as in lesson 09", "Not yet. Which rate?"),
        ("2e-4, TRL's documents", "3·10^-3", "Not yet. That is the rate of the small model"),
        ("2e-4, TRL's documents", "3 × 10⁻³", "Not yet. That is the rate of the small model"),
        ("60 general questions, 20 requests to refuse, 10 of our own", "Nothing.", "Not yet. Then nobody"),
        ("22 GB, LoRA, rows of 256 tokens", "LoRA on the 8B base", "Not yet. How many gigabytes?"),
        ("22 GB, LoRA", "4 GB, LoRA", "Not yet. LoRA on 8 billion parameters holds 16 GB"),
        ("Base, and what", "What", 'colon. Not found: "Base, and what its licence forbids".'),
    ],
)
def test_what_the_memo_has_to_say(old, new, said):
    assert teach.answer("12-memo", MEMO).startswith("Right. ") and MEMO.count(old) == 1
    assert said in teach.answer("12-memo", MEMO.replace(old, new))


@pytest.mark.parametrize(
    ("text", "gigabytes", "rate"),
    [
        ("22 GB, LoRA, at 4.7e-4", 22, 4.7e-4),
        ("0,72 gigabytes; 0.0002", 0.72, 2e-4),
        (".003, or 3E-03", None, 3e-3),
        ("16GiB, 2 x 10**-4", 16, 2e-4),
        ("2*10^(-4)", None, 2e-4),
        ("8 billion, 2 GBP, a rate of 0.5", None, None),
        ("", None, None),
    ],
)
def test_gigabytes_and_rates_are_read(text, gigabytes, rate):
    assert (memo.gigabytes(text), memo.rate(text)) == (gigabytes, rate)


def test_all_lines_of_the_memo_are_looked_for():
    said = teach.answer("12-memo", "")
    labels = [line.partition(":")[0] for line in MEMO.splitlines()]
    assert len(labels) == 5 and labels[0] in said and labels[1] in said
    for label in labels:
        left = "\n".join(line for line in MEMO.splitlines() if not line.startswith(label))
        assert f'Not found: "{label}".' in teach.answer("12-memo", left)


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
