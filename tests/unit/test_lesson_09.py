"""Lesson 09: its figures and verdicts, counted again from the recorded answers without helpers.evaluate."""

import ast
import re
from math import exp, sqrt
from statistics import mean

import numpy as np
import pandas as pd
import pytest

from data.airport.make_with_rules import RULES
from data.recorded import make
from helpers import teach
from tests.notebooks import refresh
from tests.recount import CHECKS, RECORDED, ROWS, WITHOUT_A_MODEL, compared, corrected, jsonl, wilson

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "09_train_a_real_model.ipynb")
CELLS = refresh.code_cells(NOTEBOOK)
RUNS = [f"tuned-all-seed{seed}" for seed in range(3)]
PRACTICE = ("paraphrase", "new")
SEALED = ("sealed_paraphrase", "sealed_new")
NO_MODEL = ["majority", "nearest_example", "nearest_rule"]
PROMPTS = ["base", "few_shot", "few_shot_nearest", "retrieval", "few_shot_retrieval", "book"]
FOUND = ["tuned_retrieval", "rules_tuned_retrieval"]
GIVEN = ["the rule, printed", "rule", "rules_tuned_given", "tuned_rule"]
BESIDE = ["nearest_rule", "retrieval", "few_shot_retrieval"]  # of the ways that find rules
ALL = [*NO_MODEL, *PROMPTS, "tuned", *FOUND]
COLUMNS = ("form", "desk", "fact, trained", "fact, new")
Z = 1.959964


# --- what the notebook shows -------------------------------------------------------------------------------


def said(words: str) -> str:
    """What the one code cell prints and shows whose source holds these words."""
    return refresh.said(NOTEBOOK, words)


def table(words: str) -> list[list[str]]:
    """The rows of the table that the code cell with these words shows, as texts, names first."""
    return refresh.rows(refresh.shown(NOTEBOOK, words).partition("<tbody>")[2])


# --- counted again -----------------------------------------------------------------------------------------


def passed(way: str, run: str, check: str, kinds: tuple[str, ...]) -> dict[str, bool]:
    """Whether each recorded answer of these kinds passes, by the question's id."""
    given = RECORDED[way][run]
    return {id: CHECKS[check](given[id], row) for id, row in ROWS.items() if row["kind"] in kinds}


def runs_of(way: str) -> list[str]:
    return sorted(run for run in RECORDED[way] if re.search("base|all-seed.$", run))


def results(way: str, column: str, kinds: tuple[str, ...]) -> np.ndarray:
    """1 or 0 for each question of the column (in the order of the file) and each run."""
    check, _, part = column.partition(", ")
    if part:
        kinds = tuple(kind for kind in kinds if kind.endswith({"trained": "paraphrase"}.get(part, "new")))
    asked = [row for row in ROWS.values() if row["kind"] in kinds]
    if way == "the rule, printed" or way in NO_MODEL:
        given = [
            "{}\nDesk: {}".format(*RULES[row["rule"]])
            if "printed" in way
            else WITHOUT_A_MODEL[way](row["question"])
            for row in asked
        ]
        return np.array(
            [[CHECKS[check](answer, row)] for answer, row in zip(given, asked, strict=True)], float
        )
    by_run = [passed(way, run, check, kinds) for run in runs_of(way)]
    return np.array([[one[row["id"]] for one in by_run] for row in asked], float)


def share(way: str, column: str, kinds: tuple[str, ...]) -> float:
    return float(results(way, column, kinds).mean())


def verdict(names: tuple[str, str], difference: float, low: float, high: float, p: float) -> str:
    if (low <= 0 <= high) != (p >= 0.05):
        return "not settled"
    if low <= 0 <= high:
        return "no difference seen"
    return f"{names[difference > 0]} is better"


def newcombe(one: tuple[float, int], other: tuple[float, int]) -> str:
    (p, (low_p, high_p)), (q, (low_q, high_q)) = ((share, wilson(share, n)) for share, n in (one, other))
    low, high = (
        p - q - sqrt((p - low_p) ** 2 + (high_q - q) ** 2),
        p - q + sqrt((high_p - p) ** 2 + (q - low_q) ** 2),
    )
    seen = "no difference seen" if low <= 0 <= high else "a difference"
    return f"{seen}, {100 * (p - q):+.0f} points (95 % interval {100 * low:+.0f} to {100 * high:+.0f})"


# --- tables of shares --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, ways, kinds, columns",
    [
        ("def board(tables)", [*NO_MODEL, *PROMPTS, "tuned"], PRACTICE, COLUMNS),
        ("board(given)", GIVEN, PRACTICE, COLUMNS),
        ('"few_shot_retrieval", *ways]', [*BESIDE, *FOUND], PRACTICE, COLUMNS),
        ("valid_board = board(tried)", ALL, ("valid",), ("form", "desk", "fact")),
        ("board(opened)", ALL, SEALED, COLUMNS),
    ],
    ids=["practice", "given", "found", "valid", "sealed"],
)
def test_boards(words, ways, kinds, columns):
    rows = {row[0]: row[1:] for row in table(words)}
    assert list(rows) == ways
    for way, shown in rows.items():
        for column, value in zip(columns, shown, strict=False):
            assert float(value) == pytest.approx(share(way, column, kinds), abs=0.0051), (way, column)


def test_ways_that_read_rules_when_they_answer():
    reads = {row[0] for row in table("valid_board = board(tried)") if row[-1] == "rules"}
    row = next(row for row in ROWS.values() if row["kind"] == "valid")
    text = RULES[make.found(row["question"])[0]][0]
    shown = {way for way in ALL if way in make.WAYS and text in make.WAYS[way][1](row)[-1]["content"]}
    book = {way for way in ALL if way in make.WAYS and make.BOOK in make.WAYS[way][1](row)[0]["content"]}
    assert reads == shown | book | {"nearest_rule"}


# --- comparisons -------------------------------------------------------------------------------------------


def recount(row: list[str], kinds: tuple[str, ...]) -> tuple:
    """Names, difference, interval and p of a printed comparison."""
    _, _, column, before, after, *_ = row
    names = before.rpartition(" ")[0], after.rpartition(" ")[0]
    if names[1] == "last epoch":
        sides = [np.array(by_epoch(number)).T for number in (int(names[0][-1]), 4)]
    else:
        sides = [results(name, column, kinds) for name in names]
    return names, *compared(*sides)


def holds(row: list[str], found: tuple, p: float) -> None:
    names, difference, low, high, _ = found
    _, _, column, *_, points, interval, _, said = row
    assert float(points) == pytest.approx(100 * difference, abs=0.51), row
    ends = [float(end) for end in interval.split(" to ")]
    assert ends == pytest.approx([100 * low, 100 * high], abs=2), row
    assert said == verdict(names, difference, low, high, p), (column, *found)


def test_looks_are_marked_and_corrected_for_their_number():
    rows = table("evaluate.comparisons([], [late, *looks])")
    found = [recount(row, PRACTICE) for row in rows]
    assert {row[1] for row in rows} == {"look"} and len(rows) == 14
    for row, one, p in zip(rows, found, corrected([one[-1] for one in found]), strict=True):
        holds(row, one, p)


def planned() -> list[tuple[str, str, str]]:
    (cell,) = [cell for cell in CELLS if cell.source.startswith("planned =")]
    return ast.literal_eval(cell.source.partition(" = ")[2])


def test_the_sealed_test_is_opened_for_the_comparisons_that_were_planned():
    rows = table("evaluate.sealed()")
    assert [(row[3].rpartition(" ")[0], row[4].rpartition(" ")[0], row[2]) for row in rows] == planned()
    assert {row[1] for row in rows} == {"planned"}
    for row in rows:
        found = recount(row, SEALED)
        holds(row, found, found[-1])
    places = [
        next(i for i, cell in enumerate(CELLS) if words in cell.source) for words in ("planned =", "sealed()")
    ]
    assert places == sorted(places)


def better(before: str, after: str, column: str, kinds: tuple[str, ...]) -> bool:
    names = before, after
    return (
        verdict(names, *compared(*(results(name, column, kinds) for name in names))) == f"{after} is better"
    )


@pytest.mark.parametrize("kinds", [PRACTICE, SEALED], ids=["practice", "sealed"])
def test_what_the_lesson_says_came_out(kinds):
    """Training beats every prompt of this model in form and desk; in facts a search beats it, and a prompt."""
    for prompt in PROMPTS:
        assert better(prompt, "tuned", "form", kinds), prompt
        assert better(prompt, "tuned", "desk", kinds), prompt
    assert better("tuned", "nearest_rule", "fact, trained", kinds)
    assert better("tuned", "nearest_rule", "fact, new", kinds)
    assert better("tuned", "nearest_example", "fact, trained", kinds)
    assert better("tuned", "few_shot_nearest", "fact, trained", kinds)
    assert share("book", "fact", kinds) < 0.05  # "lost"


def test_verdicts_that_the_text_takes_from_the_looks():
    said = {
        (row[3].rpartition(" ")[0], row[4].rpartition(" ")[0], row[2]): row[-1]
        for row in table("[late, *looks]")
    }
    tuned, rules = ("few_shot_nearest", "tuned"), "rules_tuned_retrieval"
    assert said[*tuned, "form"] == "tuned is better" and said[*tuned, "desk"] == "not settled"
    assert said["nearest_example", "tuned", "fact, trained"] == "nearest_example is better"
    assert said["nearest_rule", "tuned", "fact, trained"] == "nearest_rule is better"
    assert said["nearest_rule", rules, "fact, new"] == "nearest_rule is better"
    assert said["few_shot_retrieval", rules, "desk"] == f"{rules} is better"
    assert said["retrieval", rules, "fact, new"] == "no difference seen"
    assert said["epoch 2", "last epoch", "desk"] == "no difference seen"
    assert said["nearest_rule", "tuned", "desk"] == "nearest_rule is better"  # "on the practice rows"


def test_verdicts_that_the_text_takes_from_the_sealed_test():
    rows = table("evaluate.sealed()")
    said = dict(zip(planned(), [row[-1] for row in rows], strict=True))
    assert said == {
        ("few_shot_nearest", "tuned", "form"): "tuned is better",
        ("few_shot_nearest", "tuned", "desk"): "tuned is better",
        ("few_shot_nearest", "tuned", "fact, trained"): "few_shot_nearest is better",
        ("nearest_rule", "tuned", "desk"): "no difference seen",
        ("nearest_rule", "tuned", "fact, trained"): "nearest_rule is better",
        ("retrieval", "rules_tuned_retrieval", "fact, new"): "no difference seen",
        ("nearest_rule", "rules_tuned_retrieval", "fact, new"): "nearest_rule is better",
    }
    assert share("nearest_rule", "form", SEALED) >= share("tuned", "form", SEALED)  # "it wins nothing"


def test_numbers_of_the_memo_in_the_solution():
    (cell,) = [cell for cell in NOTEBOOK.cells if "no single right memo" in cell.source]
    wanted = [
        share("few_shot_nearest", "desk", SEALED),
        share("tuned", "desk", SEALED),
        share("nearest_rule", "fact, trained", SEALED),
        share("tuned", "fact, trained", SEALED),
        share("nearest_rule", "fact, new", SEALED),
        share("tuned", "fact, new", SEALED),
    ]
    assert re.findall(r"(\d+) %", cell.source) == [f"{100 * one:.0f}" for one in wanted]


def test_the_rule_in_the_prompt_brings_desks_and_costs_facts():
    assert better("rule", "tuned_rule", "desk", PRACTICE) and better("tuned_rule", "rule", "fact", PRACTICE)
    assert all(share("the rule, printed", column, PRACTICE) == 1 for column in COLUMNS)


# --- seeds -------------------------------------------------------------------------------------------------


def test_shares_of_each_seed():
    rows = {row[0]: row[1:] for row in table("set_axis(evaluate.runs(")}
    assert list(rows) == RUNS
    for place, run in enumerate(RUNS):
        for column, value in zip(COLUMNS, rows[run], strict=True):
            assert float(value) == pytest.approx(
                results("tuned", column, PRACTICE)[:, place].mean(), abs=0.0051
            )


def test_the_same_share_of_desks_hides_different_answers():
    right = results("tuned", "desk", PRACTICE)
    practice = [id for id, row in ROWS.items() if row["kind"] in PRACTICE]
    texts = [[RECORDED["tuned"][run][id] for id in practice] for run in RUNS]
    assert len(set(right.sum(0))) == 1  # "the same share of right desks each time"
    rows = {row[0]: [int(value) for value in row[1:]] for row in table("evaluate.same_answers")}
    for one, other in ((0, 1), (0, 2), (1, 2)):
        a, b = right[:, one], right[:, other]
        same = sum(x == y for x, y in zip(texts[one], texts[other], strict=True))
        assert rows[f"{one} and {other}"] == [(a * b).sum(), (a != b).sum(), ((1 - a) * (1 - b)).sum(), same]
        assert (a != b).sum() > 0.15 * len(a) and same < 0.1 * len(a)  # "the answers are not" steady


# --- facts -------------------------------------------------------------------------------------------------


def test_facts_from_what_was_asked_in_training_to_what_was_never_trained():
    groups = {
        "asked in training": share("tuned", "fact", ("trained",)),
        "fact, trained": share("tuned", "fact, trained", PRACTICE),
        "fact, new": share("tuned", "fact, new", PRACTICE),
    }
    sizes = dict(zip(groups, (20, 60, 60), strict=True))
    lines = said("zip(facts.index, facts.index[1:])").splitlines()
    for (one, other), line in zip(list(zip(groups, list(groups)[1:], strict=False)), lines, strict=False):
        ends = newcombe((groups[one], sizes[one]), (groups[other], sizes[other]))
        assert line == f"{one} against {other}: {ends}"
    assert groups["asked in training"] > 0.5 > 0.2 > groups["fact, trained"]  # "often", "mostly does not"


def test_the_answers_that_are_shown_are_the_recorded_ones():
    text = said("for row in rows[:3]")
    for row in [row for row in ROWS.values() if row["kind"] in PRACTICE][:3]:
        answer = RECORDED["tuned"][RUNS[0]][row["id"]]
        assert row["question"] in text and " | ".join(answer.splitlines()) in text
        assert " | ".join(WITHOUT_A_MODEL["nearest_rule"](row["question"]).splitlines()) in text


# --- no rule answers ---------------------------------------------------------------------------------------


def told(way: str, ids: set[str], what) -> tuple[float, int]:
    """The share of the answers to these questions of which this holds, over all runs, and how many questions."""
    by_run = [RECORDED[way][run] for run in runs_of(way)]
    assert len(by_run) == 3
    return mean(what(given[id], ROWS[id]) for given in by_run for id in ids), len(ids)


def cautious(answer: str, row: dict) -> bool:
    return "no rule" in answer.casefold()


def made_up(answer: str, row: dict) -> bool:
    return not cautious(answer, row) and not (row["facts"] and CHECKS["fact"](answer, row))


def groups() -> dict[str, tuple[str, set[str]]]:
    practice = {row["id"] for row in ROWS.values() if row["kind"] in PRACTICE}
    none = {row["id"] for row in ROWS.values() if row["kind"] == "none"}
    hit = {id for id in practice if ROWS[id]["rule"] in make.found(ROWS[id]["question"])}
    return {
        "given four, none answers": ("rules_tuned_given", none),
        "given four, one answers": ("rules_tuned_given", practice),
        "search missed": ("rules_tuned_retrieval", practice - hit),
        "search found": ("rules_tuned_retrieval", hit),
    }


def test_answers_that_say_there_is_no_rule():
    rows = {row[0]: row[1:] for row in table("cautious = share_of")}
    found = {name: told(way, ids, cautious) for name, (way, ids) in groups().items()}
    assert list(rows) == list(found)
    for name, (part, asked) in found.items():
        values = [part * asked, asked, part, *wilson(part, asked)]
        assert [float(value) for value in rows[name]] == pytest.approx(values, abs=0.051), name
    hits = len(groups()["search found"][1])
    assert said("hit = {").strip() == f"found for {hits} of 120 practice questions"
    names = list(found)
    lines = said("apart(cautious.loc[one], cautious.loc[other])").splitlines()
    for (one, other), line in zip((names[:2], names[2:]), lines, strict=True):
        assert line == f"{one}, against {other}: {newcombe(found[one], found[other])}"
        assert "no difference seen" in line  # as the text says
    assert all(0.2 < found[name][0] < 0.3 for name in (names[1], names[3]))  # "a quarter"


def test_answers_that_make_something_up():
    rows = {row[0]: row[1:] for row in table("share_of(invents)")}
    assert list(rows) == ["given four, none answers", "search missed"]
    for name, row in rows.items():
        way, ids = groups()[name]
        part, asked = told(way, ids, made_up)
        values = [part * asked, asked, part, *wilson(part, asked)]
        assert [float(value) for value in row] == pytest.approx(values, abs=0.051), name
        assert part > 0.5  # "in most"


def test_the_made_up_answers_that_are_shown_are_the_first():
    given = RECORDED["rules_tuned_given"]["rules_tuned-all-seed0"]
    none = [row for row in ROWS.values() if row["kind"] == "none"]
    first = [row for row in none if made_up(given[row["id"]], row)][:3]
    lines = [line.strip() for line in said("made_up =").splitlines()]
    assert lines == [
        text for row in first for text in (row["question"], " | ".join(given[row["id"]].splitlines()))
    ]


# --- loss and checkpoints ----------------------------------------------------------------------------------


def full_losses(run: str) -> dict[int, float]:
    rows = [row for row in jsonl("recorded/losses.jsonl") if row["run"] == run]
    return {row["step"]: row["full_valid_loss"] for row in rows if row.get("full_valid_loss") is not None}


def by_epoch(number: int) -> list[list[bool]]:
    """A list a run: whether the desk is right, for each validation question."""
    names = [run + (f"-epoch{number}" if number < 4 else "") for run in RUNS]
    return [list(passed("tuned", name, "desk", ("valid",)).values()) for name in names]


def test_loss_read_as_a_probability():
    losses = [row["train_loss"] for row in jsonl("recorded/losses.jsonl") if row["run"] == RUNS[0]]
    first, last = losses[0], mean(losses[-8:])
    text = said("exp(-first)")
    assert f"{first:.2f}" in text and f"{last:.2f}" in text
    assert f"{100 * exp(-first):.0f}%" in text and f"{100 * exp(-last):.0f}%" in text


def test_one_minimum_in_chart_and_text():
    losses = full_losses(RUNS[0])
    step = min(losses, key=losses.get)
    assert f"validation loss on all rows is lowest, {losses[step]:.2f}, at step {step};" in said(
        "charts.loss_curve"
    )
    shown, told = said("validation loss after each epoch").splitlines()
    assert shown == "validation loss after each epoch: " + " ".join(f"{loss:.2f}" for loss in losses.values())
    epoch = list(losses).index(step) + 1
    assert told == f"lowest after epoch {epoch}; at the end {losses[max(losses)] - losses[step]:.2f} higher"


def test_desks_and_losses_of_each_epoch_and_seed():
    rows = table("curves = losses.pivot")
    for number, row in enumerate(rows, start=1):
        desks = [sum(one) for one in by_epoch(number)]
        losses = [list(full_losses(run).values())[number - 1] for run in RUNS]
        assert [int(row[0]), *map(int, row[1:4])] == [number, *desks]
        assert [float(value) for value in row[4:]] == pytest.approx(losses, abs=0.0051)


def test_the_last_epoch_beside_that_of_the_lowest_loss():
    losses = list(full_losses(RUNS[0]).values())
    number = losses.index(min(losses)) + 1
    names = f"epoch {number}", "last epoch"
    found = compared(np.array(by_epoch(number)).T, np.array(by_epoch(4)).T)
    assert said("late = evaluate.compare").startswith("desk: no difference seen.")  # so says the text, too
    assert verdict(names, *found) == "no difference seen"


def test_smallest_difference_that_is_seen():
    def needed(difference: float) -> float:
        return (Z * 0.5 + 0.841621 * sqrt(0.25 - difference**2)) ** 2 / difference**2

    for rows in (120, 40):
        points = min(number for number in range(1, 26) if needed(number / 100) <= rows)
        assert f"with {rows} rows: {points} points" in said("evaluate.rows_needed")


# --- LoRA, settings, time, the loop ------------------------------------------------------------------------


def test_parameters_of_the_adapter():
    """By hand: 30 layers of seven matrices of SmolLM2-135M, 576 wide, 192 for keys and values, 1,536 inside."""
    pairs = [(576, 576), (192, 576), (192, 576), (576, 576), (1536, 576), (1536, 576), (576, 1536)]
    adapter = 30 * sum(8 * (rows + columns) for rows, columns in pairs)
    model = 30 * (sum(rows * columns for rows, columns in pairs) + 2 * 576) + 49152 * 576 + 576
    text = said("whole =")
    assert f"{model:,} parameters" in text and f"{adapter:,} beside them" in text
    assert f"{100 * adapter / model:.1f}%" in text and f"{4 * adapter / 1e6:.0f} MB" in text
    small = 30 * 4 * (576 + 576 + 192 + 576) / model
    assert teach.answer("09-count-lora", small).startswith("Right. ")


SOURCE = (teach.DATA.parent / "helpers/local_api/engines/trained/training.py").read_text(encoding="utf-8")


def test_settings_are_those_of_the_engine():
    found = {}
    for node in ast.walk(ast.parse(SOURCE)):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            found.setdefault(ast.unparse(target).strip("()"), node.value)
    rows = dict(table("def setting(name)"))
    assert list(rows) == ["LEARNING_RATE", "n_epochs", "batch_size", "RANK, ALPHA", "WARM_UP"]
    for name, value in rows.items():
        assert ast.literal_eval(value) == ast.literal_eval(found[name]), name


def test_every_study_for_this_lesson_is_shown():
    studies = pd.read_csv(teach.DATA / "studies.csv", dtype=str)
    wanted = studies[[("09" in one.split()) for one in studies["lesson"]]]
    rows = table("studies.loc[")
    assert [row[:2] for row in rows] == wanted[["study", "finding"]].to_numpy().tolist()
    assert [row[-1] for row in rows] == wanted["grade"].tolist()


def test_times():
    jobs = {job["run"]: job for job in jsonl("recorded/runs.jsonl")}
    small, full = jobs["tuned-25-seed0"], jobs[RUNS[0]]
    predicted = small["seconds"] / small["trained_tokens"] * full["trained_tokens"]
    seconds = [jobs[run]["seconds"] for run in RUNS]
    text = said("predicted =")
    assert f"Predicted from 25 rows: {predicted:.0f} seconds. It took {full['seconds']}." in text
    assert f"{100 * abs(predicted / full['seconds'] - 1):.0f}% too" in text
    assert f"The same job with 3 seeds took {min(seconds)} to {max(seconds)} seconds." in text


def test_what_is_shown_of_the_loop_is_what_runs():
    shown = said('functions["loss_of"]')
    for name in ("loss_of", "learn"):
        (node,) = [one for one in ast.walk(ast.parse(SOURCE)) if getattr(one, "name", "") == name]
        assert ast.get_source_segment(SOURCE, node, padded=True) in shown


# --- exercises and the lesson's form -----------------------------------------------------------------------


def test_the_chosen_way_is_the_best_on_validation_rows():
    reads = [row[0] for row in table("valid_board = board(tried)") if row[-1] == "rules"]
    able = {way: share(way, "fact", ("valid",)) for way in reads if share(way, "form", ("valid",)) >= 0.9}
    best, second = sorted(able, key=able.get, reverse=True)[:2]
    assert able[best] > able[second]
    assert teach.answer("09-choose-a-way", best, round(able[best], 2)).startswith("Right. ")
    assert teach.answer("09-choose-a-way", second, round(able[second], 2)).startswith("Not yet. ")


def test_the_prompt_with_a_rule_is_the_one_that_was_recorded():
    row = next(row for row in ROWS.values() if row["kind"] == "paraphrase")
    assert said("def with_rule(row)").strip() == make.with_right_rule(row)


def test_nothing_is_trained_as_the_lesson_stands():
    assert "LIVE = False" in CELLS[0].source
    assert said("LIVE = False").startswith("This lesson replays a recorded run")
