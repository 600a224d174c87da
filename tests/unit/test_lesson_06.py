"""Lesson 06: its figures, counted again from the recorded answers without helpers.evaluate; the test is opened once."""

import csv
import json
import re
import tomllib
from math import sqrt
from types import SimpleNamespace

import numpy as np
import openai
import pandas as pd
import pytest

from data.tickets import record
from helpers import evaluate, teach
from tests.notebooks import refresh

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "06_find_out.ipynb")
CELLS = refresh.code_cells(NOTEBOOK)
DESKS = (evaluate.DATA / "airport" / "desks.txt").read_text(encoding="utf-8").splitlines()
ENDS = {f"Desk: {desk}" for desk in DESKS}


def read(name: str) -> list[dict]:
    with open(evaluate.DATA / name, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


QUESTIONS = {row["id"]: row for row in read("recorded/questions.jsonl")}
ANSWERS = read("recorded/answers.jsonl")


def said(beginning: str) -> str:
    """What the one code cell prints and shows whose source holds this text."""
    return refresh.said(NOTEBOOK, beginning)


def rows_of(table: str) -> dict[str, list[float]]:
    """A printed table as {first word of a line: its numbers}."""
    lines = (line.split() for line in table.splitlines())
    return {words[0]: [float(word) for word in words[1:]] for words in lines if words and is_row(words)}


def is_row(words: list[str]) -> bool:
    return len(words) > 1 and all(re.fullmatch(r"-?\d+(\.\d+)?", word) for word in words[1:])


# --- the three checks, written anew ------------------------------------------------------------------------


def form(answer: str, row: dict) -> bool:
    text, _, end = answer.strip().rpartition("\n")
    return end in ENDS and 1 <= len(text.split()) <= 30


def desk(answer: str, row: dict) -> bool:
    """The names of the desks in the lines that begin with "Desk:", or in the whole answer if there are none."""
    tail = "\n".join(part.partition("\n")[0] for part in answer.split("Desk:")[1:]) or answer
    padded = " " + re.sub(r"\W+", " ", tail.lower()) + " "
    return {name for name in DESKS if " " + re.sub(r"\W+", " ", name.lower()) + " " in padded} == {
        row["desk"]
    }


def fact(answer: str, row: dict) -> bool:
    def at(one: str) -> bool:
        place = answer.lower().find(one.lower())
        while place >= 0:
            around = answer[max(0, place - 1) : place] + answer[place + len(one) : place + len(one) + 1]
            if not any(letter.isalnum() or letter == "_" for letter in around):
                return True
            place = answer.lower().find(one.lower(), place + 1)
        return False

    return all(map(at, row["facts"]))


CHECKS = {"form": form, "desk": desk, "fact": fact}


def passed(way: str, run: str, check: str, kinds: tuple[str, ...] = ("paraphrase", "new")) -> dict[str, bool]:
    """Whether each recorded answer of these kinds passes, by the question's id."""
    return {
        one["id"]: CHECKS[check](one["answer"], QUESTIONS[one["id"]])
        for one in ANSWERS
        if (one["way"], one["run"]) == (way, run) and QUESTIONS[one["id"]]["kind"] in kinds
    }


def share(*arguments) -> float:
    found = passed(*arguments)
    return sum(found.values()) / len(found)


def direction(before: dict[str, bool], after: dict[str, bool]) -> int:
    """1 if after is better, -1 if worse, 0 if no difference is seen: the interval of Bonett and Price again."""
    n = len(before) + 2
    gains = (sum(after[id] and not before[id] for id in before) + 1) / n
    losses = (sum(before[id] and not after[id] for id in before) + 1) / n
    spread = 1.959964 * sqrt((gains + losses - (gains - losses) ** 2) / n)
    return (gains - losses > spread) - (losses - gains > spread)


# --- the figures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "beginning, kinds",
    [("\nshares(valid)", ("valid",)), ("shares({way: tested[way] for way in ways})", ("paraphrase", "new"))],
)
def test_tables_of_shares(beginning, kinds):
    table = rows_of(said(beginning))
    for way, run in (("base", "base"), ("few_shot", "base"), ("tuned", "tuned-all-seed0")):
        for place, check in enumerate(CHECKS):
            found = passed(way, run, check, kinds)
            if check == "fact":
                found = {id: value for id, value in found.items() if QUESTIONS[id]["facts"]}
            assert table[way][place] == pytest.approx(sum(found.values()) / len(found), abs=0.0051), (
                way,
                check,
            )
    assert set(table) == {"base", "few_shot", "tuned", "majority", "copy"}


def test_baselines_need_no_model():
    """majority: every desk counted; copy: each answer is one of the training file."""
    table = rows_of(said("shares({way: tested[way] for way in ways})"))
    answers = [chat["messages"][-1]["content"] for chat in read("airport/train.jsonl")]
    test = [row for row in QUESTIONS.values() if row["kind"] in ("paraphrase", "new")]
    for way in ("majority", "copy"):
        assert table[way][0] == 1.0  # each training answer keeps the form
    constant = evaluate.majority(read("airport/train.jsonl"))("?")
    assert constant in answers
    assert table["majority"][1] == pytest.approx(
        sum(row["desk"] == constant.splitlines()[-1].removeprefix("Desk: ") for row in test) / len(test),
        abs=0.0051,
    )
    copied = evaluate.copy(read("airport/train.jsonl"))
    assert all(copied(row["question"]) in answers for row in test)


def test_the_three_seeds():
    table = rows_of(said("shares({run: tested[run] for run in seeds})"))
    for run in ("tuned-all-seed0", "tuned-all-seed1", "tuned-all-seed2"):
        assert table[run][:3] == pytest.approx([share("tuned", run, check) for check in CHECKS], abs=0.0051)


def test_the_sentence_on_each_check_names_the_best_rival():
    lines = said('best = max(["few_shot", "majority", "copy"]').strip().splitlines()
    assert [line.split(":")[0] for line in lines] == ["form", "desk", "fact"]
    tuned, rival = (
        passed("tuned", "tuned-all-seed0", "desk"),
        passed("few_shot", "base", "desk"),
    )
    only_tuned, only_rival = (
        sum(one[id] and not other[id] for id in tuned) for one, other in ((tuned, rival), (rival, tuned))
    )
    assert f"only tuned passed {only_tuned}, only few_shot {only_rival} of 120 questions" in lines[1]
    assert lines[1].startswith("desk: tuned is better than few_shot") and direction(rival, tuned) == 1


def test_style_leaks_elsewhere():
    text = said('for way in ["tuned", "tuned_no_system"]')
    for way in ("tuned", "tuned_no_system"):
        kept = {
            one["id"]: "Desk:" in one["answer"]
            for one in ANSWERS
            if (one["way"], one["run"]) == (way, "tuned-all-seed0")
            and QUESTIONS[one["id"]]["kind"] == "elsewhere"
        }
        assert f"only base {sum(kept.values())} of {len(kept)} questions" in text


def test_loss_beside_what_the_checkpoints_answered():
    table = rows_of(said("by_epoch = shares("))
    losses = {
        row["step"]: row["full_valid_loss"]
        for row in read("recorded/losses.jsonl")
        if row["run"] == "tuned-all-seed0" and row.get("full_valid_loss") is not None
    }
    assert [table[str(number)][-1] for number in (1, 2, 3, 4)] == [
        round(losses[step], 2) for step in sorted(losses)
    ]
    runs = [f"tuned-all-seed0{end}" for end in ("-epoch1", "-epoch2", "-epoch3", "")]
    desks = [share("tuned", run, "desk") for run in runs]
    assert [table[str(number)][1] for number in (1, 2, 3, 4)] == pytest.approx(desks, abs=0.0051)
    lowest, most = min(losses, key=losses.get), max(range(4), key=desks.__getitem__)
    assert (
        f"lowest validation loss: epoch {sorted(losses).index(lowest) + 1}; most right desks: epoch {most + 1}"
        in said("lowest, most =")
    )


def test_the_curve_of_sizes():
    table = rows_of(said('points.groupby("rows")'))
    for size, name in ((10, "10"), (25, "25"), (50, "50"), (112, "all")):
        for place, check in enumerate(CHECKS):
            mean = np.mean([share("tuned", f"tuned-{name}-seed{seed}", check) for seed in range(3)])
            assert table[str(size)][place] == pytest.approx(100 * mean, abs=1), (size, check)
    for check in CHECKS:
        better = [
            direction(
                passed("tuned", f"tuned-50-seed{seed}", check),
                passed("tuned", f"tuned-all-seed{seed}", check),
            )
            for seed in range(3)
        ]
        assert f"{check}: more rows are better in {better.count(1)} of 3" in said("for fewer, more in pairs")


# --- the test is opened once -----------------------------------------------------------------------------


def test_the_test_rows_are_opened_once():
    opening = [number for number, cell in enumerate(CELLS) if "= open_test(" in cell.source]
    assert len(opening) == 1 and "Test rows opened: 1 time(s)" in said("= open_test(")
    before = "\n".join(cell.source for cell in CELLS[: opening[0]])
    kinds = re.findall(r"evaluate\.questions\(([^)]*)\)", before)
    assert kinds.count('"paraphrase", "new"') == 1  # inside open_test, which is not called yet
    assert '"paraphrase"' not in before.replace('evaluate.questions("paraphrase", "new")', "")
    assert "" not in kinds and "practice.jsonl" not in before


# --- exercises and claims ----------------------------------------------------------------------------------


def task(name: str) -> dict:
    return tomllib.loads((teach.DATA / "exercises" / "06.toml").read_text(encoding="utf-8"))[name]


def test_which_run_is_better():
    words = {1: "B", 0: "no difference seen", -1: "A"}
    truth = {
        check: words[
            direction(passed("tuned", "tuned-25-seed0", check), passed("tuned", "tuned-all-seed0", check))
        ]
        for check in CHECKS
    }
    assert task("which-run")["right"]["parts"] == truth
    assert all(
        share("tuned", "tuned-all-seed0", check) > share("tuned", "tuned-25-seed0", check) for check in CHECKS
    )


def test_so_many_rows_show_the_difference_in_four_of_five_trials():
    """The plan of the exercise played 20,000 times: gains on 16 of 100 rows, losses on 6; McNemar's test."""
    rows = int(re.search(r"rows_needed == (\d+)", task("how-many-rows")["right"]["when"])[1])
    gains, losses, _ = np.random.default_rng(6).multinomial(rows, [0.16, 0.06, 0.78], 20_000).T
    seen = np.mean(gains - losses > 1.959964 * np.sqrt(gains + losses))
    assert seen == pytest.approx(0.8, abs=0.02)


def test_cases_of_both_kinds_are_published():
    """Claim 22: at least one case in which the tuned model was better, and one in which it was worse."""
    with open(evaluate.DATA / "cases.csv", encoding="utf-8", newline="") as file:
        cases = [row for row in csv.DictReader(file) if row["base_value"] and row["better_is"] != "neither"]
    gains = [
        (float(row["tuned_value"]) > float(row["base_value"])) == (row["better_is"] == "higher")
        for row in cases
    ]
    assert any(gains) and not all(gains)


def test_the_cookbooks_table_as_it_is():
    """Each column is of the same 100 questions, 53 with the answer in the text; the sums and sentences follow."""
    with open(evaluate.DATA / "cases.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["case"].startswith("OpenAI's cookbook")]
    columns = ("base_value", "tuned_value", "few_shot_value")
    correct, skipped, wrong, made_up, unknown, right = (
        [int(row[column]) for column in columns] for row in rows
    )
    assert (correct, skipped, wrong) == ([44, 32, 44], [0, 18, 5], [9, 3, 4])
    assert (made_up, unknown) == ([47, 7, 25], [0, 40, 22])
    for column in range(3):
        assert correct[column] + skipped[column] + wrong[column] == 53
        assert made_up[column] + unknown[column] == 47
        assert right[column] == correct[column] + unknown[column]
    assert [row["better_is"] for row in rows] == ["higher", "lower", "lower", "lower", "higher", "higher"]
    assert [row["grade"] for row in rows] == ["O"] * 5 + ["I"]
    with open(evaluate.DATA / "claims.csv", encoding="utf-8", newline="") as file:
        verdict = next(row["verdict"] for row in csv.DictReader(file) if row["number"] == "22")
    assert f"({right[1]} against {right[0]} of 100)" in verdict
    assert f"({correct[1]} against {correct[0]} of 53)" in verdict


def test_a_sheet_that_somebody_has_filled_in_is_kept(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    (cell,) = [cell for cell in CELLS if "sheet.csv" in cell.source]
    tuned = evaluate.evaluate(evaluate.recorded("tuned"), evaluate.questions("valid"), {})
    exec(cell.source, {"tuned": tuned, "evaluate": evaluate})
    path = tmp_path / "my" / "sheet.csv"
    empty = pd.read_csv(path, index_col="id")
    assert list(empty["answer"]) == list(tuned["answer"][:12]) and empty["right"].isna().all()
    path.write_text("mine")
    exec(cell.source, {"tuned": tuned, "evaluate": evaluate})
    assert path.read_text() == "mine" and (tmp_path / "my" / "sheet.html").exists()


def test_the_recorded_tickets():
    """Each way was asked all test tickets; what the lesson prints is counted again."""
    train, test = read("tickets/train.jsonl"), {row["id"]: row for row in read("tickets/test.jsonl")}
    answers = read("tickets/answers.jsonl")
    assert [(one["way"], one["id"]) for one in answers] == [
        (way, id) for way in ("base", "few_shot", "tuned") for id in test
    ]
    assert not {row["question"] for row in train} & {row["question"] for row in test.values()}
    assert {row["topic"] for row in train if row["id"] in record.WORKED} == {row["topic"] for row in train}
    table = rows_of(said("\nshares(told)"))
    for way in ("base", "few_shot", "tuned"):
        for place, key in enumerate(record.KEYS):
            found = [one for one in answers if one["way"] == way and has(one["answer"], key, test[one["id"]])]
            assert table[way][place] == pytest.approx(len(found) / len(test), abs=0.0051), (way, key)


def has(answer: str, key: str, ticket: dict) -> bool:
    """Whether the answer is JSON that gives this key the value of the ticket."""
    wanted = json.dumps(ticket[key])
    return (value := teach.parsed(answer)) is not None and key in value and json.dumps(value[key]) == wanted


# --- the check of the exercise with tickets ----------------------------------------------------------------

TASK = "Ticket to JSON."
KEYS = ("topic", "urgent", "order")


def ticket_work(system=TASK, json_check=lambda answer, row: answer.startswith("{")):
    """What a learner hands to the check: all right but for what is given here."""
    train, test = (
        [
            json.loads(line)
            for line in (teach.DATA / "tickets" / f"{name}.jsonl").read_text("utf-8").splitlines()
        ]
        for name in ("train", "test")
    )
    client = openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="sk-none")

    def messages(question, system):
        return [{"role": "system", "content": system}, {"role": "user", "content": question}]

    def ask(question):
        reply = client.chat.completions.create(model="tuned", messages=messages(question, system))
        return reply.choices[0].message.content

    answers = [json.dumps({key: ticket[key] for key in KEYS}) for ticket in train]
    rows = [
        {"messages": [*messages(ticket["question"], TASK), {"role": "assistant", "content": answer}]}
        for ticket, answer in zip(train, answers, strict=True)
    ]
    checks = dict.fromkeys(KEYS, lambda answer, row: len(answer) > 40) | {"json": json_check}
    result = pd.DataFrame({key: True for key in checks}, index=[ticket["id"] for ticket in test])
    return rows, SimpleNamespace(status="succeeded"), checks, ask, result, train, test


def test_tickets_are_asked_with_the_system_message_of_the_training():
    assert teach.answer("06-tickets", *ticket_work()).startswith("Right. ")
    said = teach.answer("06-tickets", *ticket_work(system="You are the passenger assistant."))
    assert said.startswith(
        f'Not yet. ask_ticket does not send the system message that you trained with: "{TASK}".'
    )


def test_a_check_of_tickets_that_stops_is_told_with_its_error():
    said = teach.answer("06-tickets", *ticket_work(json_check=lambda answer, row: bool(json.loads(answer))))
    assert said.startswith(
        "Not yet. A function of yours stopped with an error when this check called it. JSONDecodeError: "
    )
    assert "bool(json.loads(answer))" in said and 'It was given "I am sorry to hear that."' in said
