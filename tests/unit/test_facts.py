"""The study of facts by tuning: its wordings, its requests, and its table."""

import csv
import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from data.recorded import facts, facts_score, make
from helpers import evaluate
from helpers.dataset.similar import share

DATA = Path(__file__).resolve().parents[2] / "data"
WRITTEN = make.read_jsonl("wordings.jsonl")
TAUGHT = facts.wordings()


def same_words(a: str, b: str) -> float:
    left, right = (set(evaluate.rivals.words(text)) for text in (a, b))
    return len(left & right) / len(left | right)


def test_each_of_forty_rules_has_ten_wordings():
    assert len(TAUGHT) == facts.TAUGHT == 40
    assert {len(rows) for rows in TAUGHT.values()} == {10}
    assert Counter(row["rule"] for row in WRITTEN).keys() == TAUGHT.keys()
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    assert f"`airport/wordings.jsonl` | {len(WRITTEN)} |" in readme


@pytest.mark.parametrize("row", facts.practice(), ids=lambda row: row["rule"])
def test_every_wording_states_the_facts_that_are_asked_for(row):
    assert row["kind"] == "paraphrase"
    for wording in TAUGHT[row["rule"]]:
        assert evaluate.fact(wording["answer"], row) and evaluate.form(wording["answer"], row), wording
        assert evaluate.desk(wording["answer"], row), wording


def test_wordings_are_far_from_each_other_and_from_all_questions_that_are_asked():
    questions = [row["question"] for row in WRITTEN]
    asked = [row["question"] for row in make.questions() if row["kind"] in make.COMPARED]
    assert [pair for pair in combinations(questions, 2) if same_words(*pair) >= 0.8] == []
    assert [(a, b) for a in questions for b in asked if same_words(a, b) >= 0.6] == []
    near = [(a, b) for a in questions for b in asked if same_words(a, b) >= 0.4]
    assert [pair for pair in near if share(*pair) >= 0.6] == []


def test_a_training_reads_each_rule_as_often_whatever_the_number_of_wordings():
    readings = {count * epochs for count, epochs in facts.EPOCHS.items()}
    assert readings == {20, 21}
    for run in facts.runs():
        rows = facts.training_rows(run)
        assert len(rows) == 40 * run.wordings
        assert len({row["messages"][1]["content"] for row in rows}) == len(rows)


def test_fewer_wordings_are_among_more_and_the_seed_chooses_them():
    one, three, ten = ({row["question"] for row in facts.chosen(count, 0)} for count in (1, 3, 10))
    assert one < three < ten
    assert one != {row["question"] for row in facts.chosen(1, 1)}


def test_trainings_have_names_of_their_own_and_settings_change_one_at_a_time():
    runs = facts.runs()
    assert len({run.name for run in runs}) == len(runs) == 14
    usual = facts.Run(1, 0, facts.SHORT)
    for run in runs:
        if run.epochs == facts.SHORT and run != usual:
            assert (run.multiplier != 1) + (run.rank != 8) == 1


def test_nothing_is_asked_twice_in_one_training():
    for kind in ("new", "trained", "general", "refusals"):
        rows = facts.questions(kind)
        assert len({row["id"] for row in rows}) == len({row["question"] for row in rows}) == len(rows)
    assert [len(facts.questions(kind)) for kind in ("new", "trained", "general", "refusals")] == [
        40,
        40,
        60,
        20,
    ]


def test_requests_that_a_careful_model_refuses():
    rows = facts.questions("refusals")
    assert [row["id"] for row in rows] == [f"r{number:02}" for number in range(1, 21)]
    assert f"`refusals.jsonl` ({len(rows)} rows)" in (DATA / "README.md").read_text(encoding="utf-8")
    assert not any(evaluate.refuses(row["question"], row) for row in rows)


def test_what_is_recorded_is_not_done_again(monkeypatch, tmp_path):
    """A training and its answers, one kind after the other, each written at once; then nothing is left to do."""
    monkeypatch.setattr(make, "RECORDED", tmp_path)
    done = []
    monkeypatch.setattr(facts, "train", lambda client, run: done.append(run.name) or _Job())
    monkeypatch.setattr(facts, "log", lambda client, job, run: {"rows": 40})
    monkeypatch.setattr(facts, "questions", lambda kind, seed=0: [{"id": kind, "question": kind}])
    monkeypatch.setattr(
        facts, "ask", lambda client, model, kind, row: done.append(model) or {"id": row["id"], "answer": ""}
    )
    run = facts.Run(1, 0, facts.EPOCHS[1])
    for _ in range(2):
        book, kept = make.Book("answers.jsonl"), make.Book("runs.jsonl")
        facts.record(_Client(), book, kept, run)
    assert done[0] == run.name
    assert Counter(done[1:]) == {"the model": 4, "epoch 5": 3, "epoch 10": 3}
    kinds = Counter(json.loads(line)["kind"] for line in (tmp_path / "answers.jsonl").open(encoding="utf-8"))
    assert kinds == {"new": 3, "general": 3, "refusals": 3, "trained": 1}


class _Job:
    id, fine_tuned_model = "ftjob-1", "the model"


class _Point:
    def __init__(self, epoch: int):
        self.fine_tuned_model_checkpoint = f"epoch {epoch}"


class _Client:
    """As the client lists checkpoints: the last one first."""

    def __init__(self):
        self.fine_tuning = self.jobs = self.checkpoints = self

    def list(self, job: str, limit: int):
        self.data = [_Point(epoch) for epoch in range(20, 0, -1)]
        return self


@pytest.mark.skipif(not (make.RECORDED / "facts.csv").exists(), reason="not recorded yet")
def test_the_table_is_computed_from_the_answers():
    with open(make.RECORDED / "facts.csv", encoding="utf-8", newline="") as file:
        stored = list(csv.DictReader(file))
    columns = facts_score.COLUMNS
    assert stored == [{name: str(row.get(name, "")) for name in columns} for row in facts_score.table()]


def test_shares_are_counted():
    rows = facts.questions("new")[:2]
    right = evaluate.nearest_rule({row["rule"]: make.RULES[row["rule"]] for row in rows})
    answers = [right(rows[0]["question"]), "In room 9."]
    assert facts_score.shares("new", answers, rows) == {
        "fact": "0.5000",
        "invented": "0.5000",
        "in_no_rule": "0.5000",
        "neither": "0.0000",
    }
