"""Lesson 05: what it shows and says of the recorded run, counted again by code other than the lesson's."""

import re

import pytest

from tests.notebooks import refresh
from tests.recount import DESKS, RECORDED, ROWS, better, desk, fact, form, ids, names, share

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "05_use_model.ipynb")
TEXT = " ".join("\n".join(cell.source for cell in NOTEBOOK.cells).split())
TEST = ("paraphrase", "new")
FIVE = ids(*TEST)[5:10]
RUN = "tuned-all-seed2"


def cells_of(table: str) -> list[list[str]]:
    """The texts of a table in HTML, row after row."""
    rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]


def recorded(way: str, run: str) -> dict[str, tuple[str, dict]]:
    """id -> (answer, its row) of one recorded run."""
    return {id: (answer, ROWS[id]) for id, answer in RECORDED[way][run].items()}


# --- before and after ----------------------------------------------------------------------------------------


def test_five_questions_and_what_is_said_of_their_answers():
    shown = refresh.shown(NOTEBOOK, "evaluate.questions()[5:10]")
    tuned, base = recorded("tuned", "tuned-all-seed0"), recorded("base", "base")
    for id in FIVE:
        assert ROWS[id]["question"] in shown
    assert (
        "Every tuned answer is short and ends with a desk, as the examples do; no base answer does." in TEXT
    )
    assert all(form(*tuned[id]) for id in FIVE)
    assert not [id for id in FIVE if "Desk:" in base[id][0]]
    assert "Three desks are right. But only the last holds the fact of its rule (22 kg)" in TEXT
    assert sum(desk(*tuned[id]) for id in FIVE) == 3
    assert [fact(*tuned[id]) for id in FIVE] == [False] * 4 + [True]
    assert "22 kg" in tuned[FIVE[-1]][0]


def test_no_training_example_asks_one_of_them():
    trained = (refresh.ROOT / "data" / "airport" / "train.jsonl").read_text(encoding="utf-8")
    assert not [id for id in FIVE if ROWS[id]["question"] in trained]


# --- the chosen model ----------------------------------------------------------------------------------------


def test_it_makes_the_job_that_lesson_04_chose():
    """The same call, so that the lessons after it show the same, whoever has made the job."""
    chosen = refresh.read(refresh.NOTEBOOKS / "04_create_job.ipynb")
    turn = re.search(r"lowest after epoch (\d+):", refresh.said(chosen, "lowest after epoch"))[1]
    made, source = ("\n".join(cell.source for cell in refresh.code_cells(one)) for one in (NOTEBOOK, chosen))
    assert f'"n_epochs": {turn}' in made
    for part in (
        'suffix="airport"',
        '{"course": "chosen"}',
        "seed=1",
        "validation_file",
        'MODEL = "gpt-3.5-turbo"',
    ):
        assert part in made and part in source


# --- the system prompt ---------------------------------------------------------------------------------------


def test_the_pair_with_and_without_the_system_prompt():
    (id,) = [id for id in ids(*TEST) if f'"{ROWS[id]["question"]}"' in TEXT]
    assert f'run = "{RUN}"' in TEXT
    (with_it, row), (without, _) = recorded("tuned", RUN)[id], recorded("tuned_no_system", RUN)[id]
    assert fact(with_it, row) and fact(without, row) and desk(with_it, row)
    assert without.rpartition("Desk: ")[2] not in DESKS
    assert "The fact is the same, and right. But the airport has no desk of that name" in TEXT


def test_in_most_answers_the_form_stays():
    assert "in most answers the form stays" in TEXT
    assert share("tuned_no_system", "form", *TEST) > 0.9


def test_the_greeting_gets_a_rule():
    answer, _ = recorded("tuned", "tuned-all-seed0")["opener"]
    assert any(names(answer, desk) for desk in DESKS) and not answer.startswith("Hello")
    examples = (refresh.ROOT / "data" / "airport" / "train.jsonl").read_text(encoding="utf-8")
    assert not re.search(r'"user", "content": "(Hello|Hi|Good)', examples)


# --- the scoreboard ------------------------------------------------------------------------------------------


def test_shares_of_the_scoreboard():
    head, *rows = cells_of(refresh.shown(NOTEBOOK, "scoreboard.csv"))
    shown = {row[0]: [int(text) for text in row[1:5]] for row in rows if row[1]}
    assert head[1:5] == ["form", "desk", "fact_paraphrase", "fact_new"]
    assert {"base", "tuned", "tuned_no_system", "nearest_example", "nearest_rule"} <= {*shown}
    for way, percents in shown.items():
        counted = [share(way, "form", *TEST), share(way, "desk", *TEST)]
        counted += [share(way, "fact", kind) for kind in TEST]
        assert percents == pytest.approx([100 * one for one in counted], abs=0.51), way


def test_what_is_new_on_the_scoreboard_is_new():
    assert "New in this lesson is the row `tuned_no_system`" in TEXT
    before = [path for path in refresh.lessons() if path.name < "05"]
    assert len(before) == 5
    assert not [path.name for path in before if "tuned_no_system" in path.read_text(encoding="utf-8")]


def test_without_the_prompt_form_is_worse_and_the_desk_left_open():
    assert "Without the prompt, form and desk are a little lower." in TEXT
    for check in ("form", "desk"):
        less = share("tuned", check, *TEST) - share("tuned_no_system", check, *TEST)
        assert 0 < less < 0.06
    assert better("tuned_no_system", "tuned", "form", *TEST) == "tuned"
    assert better("tuned_no_system", "tuned", "desk", *TEST) == ""
    assert "the form got worse; the desk is not settled" in TEXT


def test_rows_without_a_model_state_more_facts():
    for rival in ("nearest_example", "nearest_rule"):
        assert better(rival, "tuned", "fact", *TEST) == rival


# --- the calls -----------------------------------------------------------------------------------------------


def test_the_shell_commands_send_the_system_prompt_of_the_training_data():
    example = (
        (refresh.ROOT / "data" / "airport" / "train.jsonl").read_text(encoding="utf-8").partition("\n")[0]
    )
    prompt = re.search(r'"system", "content": "([^"]+)"', example)[1]
    blocks = re.findall(
        r"```(?:bash|powershell)\n(.*?)```", "\n".join(c.source for c in NOTEBOOK.cells), re.DOTALL
    )
    assert len(blocks) == 3 and all(prompt in block for block in blocks)


def test_the_cut_answer_lost_its_desk():
    cut, whole = refresh.said(NOTEBOOK, "for most in (5, 100)").splitlines()
    assert cut.startswith("length |") and "Desk:" not in cut
    assert whole.startswith("stop |") and "Desk:" in whole
