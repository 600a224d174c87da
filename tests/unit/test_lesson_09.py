"""Lesson 09: its figures and verdicts, counted again from the recorded answers without helpers.evaluate."""

import ast
import html
import re
from math import exp, sqrt
from statistics import mean

import numpy as np
import pandas as pd
import pytest

from data.airport.make_with_rules import RULES
from data.recorded import make
from helpers import teach
from helpers.local_api.engines import trained
from tests.notebooks import refresh
from tests.recount import CHECKS, RECORDED, ROWS, WITHOUT_A_MODEL, compared, jsonl, wilson

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "09_train_a_real_model.ipynb")
CELLS = refresh.code_cells(NOTEBOOK)
RUNS = [f"tuned-all-seed{seed}" for seed in range(3)]
PRACTICE = ("paraphrase", "new")
SEALED = ("sealed_paraphrase", "sealed_new")
NO_MODEL = ["majority", "nearest_example", "nearest_rule"]
PROMPTS = ["base", "few_shot", "few_shot_nearest", "retrieval", "few_shot_retrieval", "book"]
FOUND = ["tuned_retrieval", "rules_tuned_retrieval"]
ALL = [*NO_MODEL, *PROMPTS, "tuned", *FOUND]
COLUMNS = ("form", "desk", "fact, trained rules", "fact, new rules")
Z = 1.959964


# --- what the notebook shows -------------------------------------------------------------------------------


def said(words: str) -> str:
    """What the one code cell prints and shows whose source holds these words."""
    return refresh.said(NOTEBOOK, words)


def table(words: str) -> list[list[str]]:
    """The rows of the table that the code cell with these words shows, as texts; names, if there are any, first."""
    body = refresh.shown(NOTEBOOK, words).partition("<tbody>")[2]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [
        [html.unescape(one) for one in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in rows
    ]


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
        kinds = tuple(
            kind for kind in kinds if kind.endswith({"trained rules": "paraphrase"}.get(part, "new"))
        )
    asked = [row for row in ROWS.values() if row["kind"] in kinds]
    if way in NO_MODEL:
        given = [WITHOUT_A_MODEL[way](row["question"]) for row in asked]
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


def newcombe(one: tuple[float, int], other: tuple[float, int]) -> list[str]:
    """What the row of a comparison of two groups of different questions says, from their shares on."""
    (p, (low_p, high_p)), (q, (low_q, high_q)) = ((share, wilson(share, n)) for share, n in (one, other))
    low, high = (
        q - p - sqrt((q - low_q) ** 2 + (high_p - p) ** 2),
        q - p + sqrt((high_q - q) ** 2 + (p - low_p) ** 2),
    )
    shares = [f"{100 * share:.0f}% of {n}" for share, n in (one, other)]
    seen = "no difference seen" if low <= 0 <= high else "a difference"
    return [*shares, f"{100 * (q - p):+.0f}", f"{100 * low:+.0f} to {100 * high:+.0f}", seen]


# --- tables of shares --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, ways, kinds, columns",
    [
        ("valid_board = evaluate.board", ALL, ("valid",), ("form", "desk", "fact")),
        ("evaluate.board(opened)", ALL, SEALED, COLUMNS),
    ],
    ids=["valid", "sealed"],
)
def test_boards(words, ways, kinds, columns):
    rows = {row[0]: row[1:] for row in table(words)}
    assert list(rows) == ways
    for way, shown in rows.items():
        for column, value in zip(columns, shown, strict=False):
            assert float(value) == pytest.approx(share(way, column, kinds), abs=0.0051), (way, column)


def test_the_chart_of_practice_questions():
    text = said("evaluate.chart(results")
    shown = dict(
        re.findall(r"((?:form|desk|fact, trained rules|fact, new rules), \w+): (\d+% \(\d+% to \d+%\))", text)
    )
    assert list(shown) == [f"{column}, {way}" for way in ALL for column in COLUMNS]
    for way in ALL:
        for column in COLUMNS:
            found = results(way, column, PRACTICE)
            part, (low, high) = found.mean(), wilson(found.mean(), len(found))
            numbers = [float(number) for number in re.findall(r"\d+", shown[f"{column}, {way}"])]
            assert numbers == pytest.approx([100 * part, 100 * low, 100 * high], abs=0.51), (way, column)


def test_every_way_says_what_answers():
    rows = dict(table('"what answers"'))
    assert list(rows) == ALL
    for way, what in rows.items():
        kind = "no model" if way in NO_MODEL else "untrained" if way in PROMPTS else "trained"
        assert kind in what.partition(":")[0] and ("untrained" in what) == (kind == "untrained"), way


def test_ways_that_read_rules_when_they_answer():
    reads = {row[0] for row in table("valid_board = evaluate.board") if row[-1] == "✓ yes"}
    row = next(row for row in ROWS.values() if row["kind"] == "valid")
    text = RULES[make.found(row["question"])[0]][0]
    shown = {way for way in ALL if way in make.WAYS and text in make.WAYS[way][1](row)[-1]["content"]}
    book = {way for way in ALL if way in make.WAYS and make.BOOK in make.WAYS[way][1](row)[0]["content"]}
    assert reads == shown | book | {"nearest_rule"}


# --- comparisons -------------------------------------------------------------------------------------------


def recount(row: list[str], kinds: tuple[str, ...]) -> tuple:
    """Names, difference, interval and p of a printed comparison."""
    _, column, before, after, *_ = row
    names = before.rpartition(" ")[0], after.rpartition(" ")[0]
    return names, *compared(*(results(name, column, kinds) for name in names))


def holds(row: list[str], found: tuple, p: float) -> None:
    names, difference, low, high, _ = found
    _, column, *_, points, interval, _, said = row
    assert float(points) == pytest.approx(100 * difference, abs=0.51), row
    ends = [float(end) for end in interval.split(" to ")]
    assert ends == pytest.approx([100 * low, 100 * high], abs=2), row
    assert said == verdict(names, difference, low, high, p), (column, *found)


def planned() -> list[tuple[str, str, str]]:
    (cell,) = [cell for cell in CELLS if cell.source.startswith("planned =")]
    return ast.literal_eval(cell.source.partition(" = ")[2])


def test_the_sealed_test_is_opened_for_the_comparisons_that_were_planned():
    rows = table("evaluate.sealed()")
    assert [(row[2].rpartition(" ")[0], row[3].rpartition(" ")[0], row[1]) for row in rows] == planned()
    assert {row[0] for row in rows} == {"planned"}
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
    assert better("tuned", "nearest_rule", "fact, trained rules", kinds)
    assert better("tuned", "nearest_rule", "fact, new rules", kinds)
    assert better("tuned", "nearest_example", "fact, trained rules", kinds)
    assert better("tuned", "few_shot_nearest", "fact, trained rules", kinds)
    assert share("book", "fact", kinds) < 0.05  # "lost"


def test_verdicts_that_the_text_takes_from_the_sealed_test():
    rows = table("evaluate.sealed()")
    said = dict(zip(planned(), [row[-1] for row in rows], strict=True))
    assert said == {
        ("few_shot_nearest", "tuned", "form"): "tuned is better",
        ("few_shot_nearest", "tuned", "desk"): "tuned is better",
        ("few_shot_nearest", "tuned", "fact, trained rules"): "few_shot_nearest is better",
        ("nearest_rule", "tuned", "desk"): "no difference seen",
        ("nearest_rule", "tuned", "fact, trained rules"): "nearest_rule is better",
        ("retrieval", "rules_tuned_retrieval", "fact, new rules"): "no difference seen",
        ("nearest_rule", "rules_tuned_retrieval", "fact, new rules"): "nearest_rule is better",
    }
    assert share("nearest_rule", "form", SEALED) >= share("tuned", "form", SEALED)  # "it wins nothing"


def test_numbers_of_the_memo_in_the_solution():
    (cell,) = [cell for cell in NOTEBOOK.cells if "no single right memo" in cell.source]
    wanted = [
        share("few_shot_nearest", "desk", SEALED),
        share("tuned", "desk", SEALED),
        share("nearest_rule", "fact, trained rules", SEALED),
        share("tuned", "fact, trained rules", SEALED),
        share("nearest_rule", "fact, new rules", SEALED),
        share("tuned", "fact, new rules", SEALED),
    ]
    assert re.findall(r"(\d+) %", cell.source) == [f"{100 * one:.0f}" for one in wanted]


# --- seeds -------------------------------------------------------------------------------------------------


def test_the_same_share_of_desks_hides_different_answers():
    right = results("tuned", "desk", PRACTICE)
    practice = [id for id, row in ROWS.items() if row["kind"] in PRACTICE]
    texts = [[RECORDED["tuned"][run][id] for id in practice] for run in RUNS]
    assert said("right desks:").splitlines()[0] == "right desks: " + " ".join(
        f"{n:.0f}" for n in right.sum(0)
    )
    assert len(set(right.sum(0))) == 1  # "the number is steady", "three seeds with one share"
    rows = {row[0]: [int(value) for value in row[1:]] for row in table("evaluate.same_answers")}
    for one, other in ((0, 1), (0, 2), (1, 2)):
        a, b = right[:, one], right[:, other]
        same = sum(x == y for x, y in zip(texts[one], texts[other], strict=True))
        assert rows[f"{one} and {other}"] == [(a * b).sum(), (a != b).sum(), ((1 - a) * (1 - b)).sum(), same]
        assert (a != b).sum() > 0.15 * len(a) and same < 0.1 * len(a)  # "the answers are not" steady


# --- answers that are shown --------------------------------------------------------------------------------


def test_the_answers_that_are_shown_are_the_recorded_ones():
    rows = table("side_by_side(answers")
    asked = [row for row in ROWS.values() if row["kind"] in PRACTICE][5:10]
    for shown, row in zip(rows, asked, strict=True):
        given = {"base": RECORDED["base"]["base"][row["id"]], "tuned": RECORDED["tuned"][RUNS[0]][row["id"]]}
        given["nearest_rule"] = WITHOUT_A_MODEL["nearest_rule"](row["question"])
        text, desk = RULES[row["rule"]]
        assert (shown[-5], shown[-1]) == (row["question"], f"{text}\nDesk: {desk}")
        for answer, cell in zip(given.values(), shown[-4:-1], strict=True):
            marks = ", ".join(f"{'✓' if CHECKS[name](answer, row) else '✗'}\u00a0{name}" for name in CHECKS)
            assert cell == f"{answer}\n({marks})"


def test_what_the_text_says_of_the_answers_that_are_shown():
    cells = [row[-3:-1] for row in table("side_by_side(answers")]
    tuned, search = ([row[place] for row in cells] for place in (0, 1))
    assert all("✓\u00a0form" in cell for cell in tuned)  # "has taught the form"
    assert sum("✓\u00a0desk" in cell for cell in tuned) == 3  # "often the right desk"
    assert sum("✓\u00a0fact" in cell for cell in tuned) == 1  # "few facts"
    assert sum("✗\u00a0fact" in cell for cell in search) == 2  # "twice it prints a rule that does not fit"


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


def groups() -> dict[str, set[str]]:
    return {
        "a rule answers": {row["id"] for row in ROWS.values() if row["kind"] in PRACTICE},
        "no rule answers": {row["id"] for row in ROWS.values() if row["kind"] == "none"},
    }


GIVEN = "rules_tuned_given"


def test_answers_without_a_rule():
    found = {name: [told(GIVEN, ids, what) for what in (cautious, made_up)] for name, ids in groups().items()}
    rows = {row[0]: [float(value) for value in row[1:]] for row in table("evaluate.board(said)")}
    assert list(rows) == list(found)
    for name, parts in found.items():
        assert rows[name] == pytest.approx([part for part, _ in parts], abs=0.0051)
    (row,) = table("evaluate.apart(")
    assert row[-6:] == ["says no rule", *newcombe(*(parts[0] for parts in found.values()))][-6:]
    assert row[-1] == "no difference seen"  # "we cannot say that it knows where to be careful"
    assert 0.2 < found["a rule answers"][0][0] < 0.3  # "a quarter"
    assert found["no rule answers"][1][0] > 0.5  # "most answers are made up"


def test_the_made_up_answers_that_are_shown_are_the_first():
    given = RECORDED["rules_tuned_given"]["rules_tuned-all-seed0"]
    none = [row for row in ROWS.values() if row["kind"] == "none"]
    first = [row for row in none if made_up(given[row["id"]], row)][:3]
    shown = [row[-2:] for row in table('first["makes up"]')]
    assert shown == [[row["question"], given[row["id"]]] for row in first]


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
        'loss_chart(metrics, "The recorded'
    )
    assert said("evaluate.comparisons([],").count(f"epoch {list(losses).index(step) + 1} ") == 1
    (text,) = [cell.source for cell in NOTEBOOK.cells if "## Checkpoints" in cell.source]
    assert f"end of epoch {list(losses).index(step) + 1}. Did the two after it" in text and len(losses) == 4


def test_desks_and_losses_of_each_epoch_and_seed():
    rows = table("evaluate.by_epoch(")
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
    (row,) = table("evaluate.comparisons([],")
    holds(row, (names, *found), found[-1])
    assert row[0] == "look" and row[-1] == "no difference seen"  # so says the text, too


# --- LoRA, settings, time, the loop ------------------------------------------------------------------------


def test_parameters_of_the_adapter():
    """By hand: 30 layers of seven matrices of SmolLM2-135M, 576 wide, 192 for keys and values, 1,536 inside."""
    pairs = [(576, 576), (192, 576), (192, 576), (576, 576), (1536, 576), (1536, 576), (576, 1536)]
    adapter = 30 * sum(8 * (rows + columns) for rows, columns in pairs)
    model = 30 * (sum(rows * columns for rows, columns in pairs) + 2 * 576) + 49152 * 576 + 576
    text = said("whole =")
    assert f"{model:,} parameters" in text and f"LoRA trained {adapter:,} more" in text
    assert f"{100 * adapter / model:.1f}%" in text and f"{4 * adapter / 1e6:.0f} MB" in text
    small = 30 * 4 * (576 + 576 + 192 + 576) / model
    assert teach.answer("09-count-lora", small).startswith("Right. ")


ENGINE = teach.DATA.parent / "helpers/local_api/engines/trained"
SOURCE = (ENGINE / "training.py").read_text(encoding="utf-8")
EXPORT = ENGINE / "export_job.py"


def test_settings_are_those_of_the_engine():
    found = {}
    for node in ast.walk(ast.parse(SOURCE)):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            found.setdefault(ast.unparse(target).strip("()"), node.value)
    rows = {row[0]: row[1] for row in table("settings.csv")}
    rate = trained.USUAL_RATES["supervised"]
    found["LEARNING_RATE"] = ast.Constant(rate)
    here = ["LEARNING_RATE", "n_epochs", "RANK, ALPHA", "batch_size", "WARM_UP"]
    examples = len(jsonl("airport/train.jsonl"))
    assert list(rows.values())[0] == f"{examples} rows" and len(rows) == 1 + len(here)
    for name, value in zip(here, list(rows.values())[1:], strict=True):
        assert ast.literal_eval(value) == ast.literal_eval(found[name]), name
    (text,) = [cell.source for cell in NOTEBOOK.cells if "`learning_rate_multiplier` (times" in cell.source]
    assert float(re.search(r"\(times (\S+)\)", text)[1]) == rate
    (usual,) = re.findall(r"^USUAL_RATE = (\S+)$", EXPORT.read_text(encoding="utf-8"), re.MULTILINE)
    assert table("settings.csv")[1][3].endswith(f"begin at {usual}")


def test_every_study_for_this_lesson_is_shown():
    studies = pd.read_csv(teach.DATA / "studies.csv", dtype=str)
    wanted = studies[[("09" in one.split()) for one in studies["lesson"]]]
    rows = table("studies.loc[of_lora") + table("studies.loc[others")
    assert {row[0]: row[1] for row in rows} == dict(wanted[["study", "finding"]].to_numpy().tolist())
    assert {row[0]: row[-1] for row in rows} == dict(wanted[["study", "grade"]].to_numpy().tolist())


def test_the_four_moves_are_where_the_lesson_says():
    (text,) = [cell.source for cell in NOTEBOOK.cells if "cross_entropy" in cell.source]
    moves = ["language_model", "cross_entropy", "torch.autograd.grad", "optimizer.step"]
    assert re.findall(r"`([\w.]+)` (?:computes|measures|finds|moves)", text) == moves
    assert all(f"{move}(" in SOURCE for move in moves) and "training.py" in text


# --- exercises and the lesson's form -----------------------------------------------------------------------


def test_the_chosen_way_is_the_best_on_validation_rows():
    reads = [row[0] for row in table("valid_board = evaluate.board") if row[-1] == "✓ yes"]
    able = {way: share(way, "fact", ("valid",)) for way in reads if share(way, "form", ("valid",)) >= 0.9}
    best, second = sorted(able, key=able.get, reverse=True)[:2]
    assert able[best] > able[second]
    assert teach.answer("09-choose-a-way", best, round(able[best], 2)).startswith("Right. ")
    assert teach.answer("09-choose-a-way", second, round(able[second], 2)).startswith("Not yet. ")


def test_nothing_is_trained_as_the_lesson_stands():
    assert said("LIVE = False").startswith("This lesson replays a recorded run")


MEMO = """
What tuning improved, next to which rival, from which share to which: the right desk, 46 % to 61 %
Which way without training is ahead, in what, with its share: the nearest rule, in facts, 58 %
What we measure on our own model before we decide: {}
"""


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        ("desk and fact, not the validation loss", "Right. "),
        ("form, desk and facts", "Right. "),
        ("the loss", "Not yet. "),
    ],
)
def test_a_memo_may_name_the_loss_next_to_what_counts(measured, said):
    assert teach.answer("09-memo", MEMO.format(measured)).startswith(said)


@pytest.mark.parametrize(
    ("share", "hint"),
    [
        (30 * 4 * 2 * (576 + 576) / 134_515_008, "value matrix"),
        (30 * 8 * 2 * (576 + 576) / 134_515_008, "value matrix"),
        (100 * 30 * 4 * 2 * (576 + 576) / 134_515_008, "percent"),
        (100 * 30 * 4 * (576 + 576 + 192 + 576) / 134_515_008, "percent"),
    ],
)
def test_natural_mistakes_in_counting_have_their_own_hint(share, hint):
    assert hint in teach.answer("09-count-lora", share)
