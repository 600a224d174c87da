"""Lesson 11: its tables and verdicts, counted again from what was recorded, without helpers.evaluate's counting."""

import csv
import html
import re
from statistics import fmean

import pytest

from helpers import timetable
from helpers.evaluate.timetable_record import PROMPTS
from tests.environment import ROOT
from tests.notebooks import refresh
from tests.recount import CHECKS, QUERIES, ROWS, agreements, jsonl, queries
from tests.recount import right_queries as right
from tests.recount import share as airport_share

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "11_teach_by_reward.ipynb")
RECORDED = ROOT / "data" / "recorded"
TEXT = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")


def rows_of(name: str) -> list[dict]:
    with open(RECORDED / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def shown(words: str) -> list[dict[str, str]]:
    """The table that the code cell with these words shows, a dict a row; the index, if there is one, is ""."""
    table = refresh.shown(NOTEBOOK, words)
    found = [
        [
            html.unescape(re.sub("<.*?>", "", one))
            for one in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr.*?>(.*?)</tr>", table, re.DOTALL)
    ]
    head, *rows = [row for row in found if row] or [[]]
    return [dict(zip(head, row, strict=True)) for row in rows]


# --- the house style ---------------------------------------------------------------------------------------

ANSWERS: dict[str, list[dict]] = {}
for one in jsonl("recorded/methods_answers.jsonl"):
    ANSWERS.setdefault(one["model"], []).append(one)


def share(model: str, check: str) -> float:
    return fmean(bool(CHECKS[check](one["answer"], ROWS[one["id"]])) for one in ANSWERS[model])


def desks(model: str) -> int:
    """How many desks the last lines of the answers in house style name."""
    formal = [one["answer"] for one in ANSWERS[model] if CHECKS["form"](one["answer"], {})]
    return len({answer.strip().splitlines()[-1] for answer in formal})


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_the_reward_did_to_the_house_style_is_counted_again(seed):
    (row,) = [row for row in rows_of("methods_rewards") if row["seed"] == str(seed)]
    for when, model in (("before", f"examples-seed{seed}"), ("after", f"rewards-seed{seed}")):
        for check in ("form", "desk"):
            assert row[f"{check}_{when}"] == f"{share(model, check):.2f}"
        assert int(row[f"desks_named_{when}"]) == desks(model)
    (cells,) = [one for one in shown("evaluate.style_rewards()") if one["seed"] == str(seed)]
    assert {name.replace(" ", "_"): float(value) for name, value in cells.items()}.items() <= {
        name: float(value) for name, value in row.items() if re.fullmatch(r"[\d.]+", value)
    }.items()


def test_the_form_rose_the_desk_fell_and_one_desk_is_left():
    before, after = ([f"{name}-seed{seed}" for seed in range(3)] for name in ("examples", "rewards"))
    said = refresh.said(NOTEBOOK, "evaluate.style_said()")
    assert all(share(one, "form") < share(two, "form") for one, two in zip(before, after, strict=True))
    assert all(share(one, "desk") > share(two, "desk") for one, two in zip(before, after, strict=True))
    assert {desks(model) for model in after} == {1}
    form_from, form_to, desk_from, desk_to = (
        fmean(float(row[name]) for row in rows_of("methods_rewards"))
        for name in ("form_before", "form_after", "desk_before", "desk_after")
    )
    assert f"The form rose in all 3 trainings, from {form_from:.0%} to {form_to:.0%}." in said
    assert f"The right desk fell in all, from {desk_from:.0%} to {desk_to:.0%}." in said
    assert "At the end each model names one single desk, out of 14." in said


def test_pairs_lead_everywhere_and_bring_the_form_where_there_is_a_foothold():
    table = {row[""]: row for row in shown("evaluate.style_pairs()")}
    recorded = rows_of("methods_preferences")
    for start, name in (("base", "untrained"), ("tuned", "ten examples")):
        of_start = [row for row in recorded if row["start"] == start]
        assert {row["accuracy"] for row in of_start} == {
            "1.00"
        }  # "in both rows the better answer leads in all pairs"
        for check in ("form", "desk"):
            found = [share(f"preferences-{start}-seed{seed}", check) for seed in range(3)]
            assert float(table[name][f"{check} after"]) == pytest.approx(fmean(found), abs=0.011)
    assert float(table["untrained"]["form after"]) < 0.25  # "few answers get the form all the same"
    assert float(table["ten examples"]["form after"]) > 2 * float(table["untrained"]["form after"])


# --- the timetable -----------------------------------------------------------------------------------------


def seeds_of(way: str, split: str = "sealed") -> int:
    return len(queries()[way, split])


def test_every_way_that_was_asked_stands_in_the_table_with_its_share():
    table = {row[""]: row for row in shown("evaluate.timetable_board(opened")}
    asked = {way for way, split in queries() if split == "sealed"}
    assert table.keys() == asked | {"majority", "nearest_example", "nearest_example_by_words", "parser"}
    for way in asked:
        assert float(table[way]["right"]) == pytest.approx(right(way), abs=0.0051)


def test_the_planned_questions_are_answered_as_the_shares_say():
    rows = shown("evaluate.timetable_verdicts(opened)")
    assert rows
    for row in rows:
        (before, low), (after, high) = (row[name].rsplit(" ", 1) for name in ("before", "after"))
        difference = float(high.strip("%")) - float(low.strip("%"))
        assert abs(difference - float(row["points"])) <= 1
        ends = [float(end) for end in row["95 % interval"].split(" to ")]
        seen = {
            "yes": ends[0] > 0,
            "no, the other way round": ends[1] < 0,
            "no difference seen": ends[0] <= 0 <= ends[1],
        }
        assert seen.get(row["answer"], row["answer"] == "not settled"), row
        compared = {way for way in (before, after) if (way, "sealed") in queries() and way not in PROMPTS}
        for way, said in ((before, low), (after, high)):
            if way in compared:
                seeds = min(map(seeds_of, compared))
                assert float(said.strip("%")) == pytest.approx(100 * right(way, seeds=seeds), abs=0.51)


def test_the_parser_is_the_strongest_way_as_the_text_says():
    table = {row[""]: float(row["right"]) for row in shown("evaluate.timetable_board(opened")}
    assert max(table, key=table.get) == "parser" and sorted(table.values())[-2] < table["parser"]
    assert "here the strongest" in TEXT
    answers = {row["question"]: row["answer"] for row in shown("evaluate.timetable_verdicts(opened)")}
    assert answers["Did they beat the parser written by hand?"] == "no, the other way round"
    assert refresh.said(NOTEBOOK, "evaluate.timetable_conclusion").startswith("Right most often: parser, ")


def test_new_combinations_of_keys_are_hardly_learned():
    table = {row[""]: row for row in shown("evaluate.timetable_board(opened")}
    known, new = (float(table["tuned-300"][f"right, {kind}"]) for kind in ("known", "new"))
    assert new < known / 4
    parser = [float(table["parser"][f"right, {kind}"]) for kind in ("known", "new")]
    assert abs(parser[0] - parser[1]) < 0.1


def test_both_tasks_in_one_table():
    """In each column training beats the best prompt, and a way without a model beats training."""
    rows = {row.pop(""): row for row in shown("evaluate.both_tasks(opened)")}
    assert list(rows) == ["no model", "untrained", "trained"]
    for column in ("form", "desk", "fact", "right queries"):
        without, prompt, trained = (int(row[column].split("%")[0]) for row in rows.values())
        assert trained > prompt and (without > trained + 5 or column == "form")
    kinds = ("paraphrase", "new")
    for way, checks in (
        ("nearest_rule", CHECKS),
        ("few_shot_nearest", ("form", "desk")),
        ("retrieval", ["fact"]),
    ):
        for check in checks:
            (told,) = [row[check] for row in rows.values() if row[check].split(" ", 1)[1] == way]
            assert told.startswith(f"{airport_share(way, check, *kinds):.0%} ")
    assert rows["trained"]["right queries"] == f"{right('tuned-300'):.0%} tuned-300"


def test_what_the_text_says_of_the_sealed_rows():
    sealed = jsonl("timetable/sealed.jsonl")
    assert f"{len(sealed)} sealed questions, {sum(row['kind'] == 'new' for row in sealed)} of them" in TEXT
    assert f"{len(jsonl('timetable/unlabelled.jsonl'))} more questions have no query" in TEXT


def test_what_the_text_says_of_agreement():
    def agree(way: str) -> list[int]:
        return [sum(of_seed) for of_seed in agreements(way).values()]

    table = {row[""]: row for row in shown("evaluate.timetable_agreement()")}
    assert table["100 examples"]["agreed"] == ", ".join(map(str, agree("unlabelled")))
    assert table["untrained: few_shot_manual"]["agreed"] == "1" and agree("few_shot_manual") == [1]
    assert (table["100 examples"]["questions"], table["untrained: few_shot_manual"]["questions"]) == (
        "200",
        "100",
    )
    jobs = {
        job["seed"]: job["rows"]
        for job in jsonl("recorded/timetable_jobs.jsonl")
        if job["way"] == "self_taught"
    }
    assert [jobs[seed] for seed in sorted(jobs)] == [100 + agreed for agreed in agree("unlabelled")]
    least, most = min(agree("unlabelled")), max(agree("unlabelled"))
    assert f"teach themselves {least} to {most} rows" in TEXT


def valid_answers(way: str) -> dict[int, dict[str, str]]:
    """seed -> id -> answer to a validation question."""
    found: dict = {}
    for row in jsonl("recorded/timetable_answers.jsonl"):
        if (row["way"], row["split"]) == (way, "valid"):
            found.setdefault(row["seed"], {})[row["id"]] = row["answer"]
    return dict(sorted(found.items()))


def nothing_missing(way: str) -> list[float]:
    """For each seed, the share of validation answers in which no wanted flight is missing."""
    wanted = {id: {one["flight"] for one in timetable.search(QUERIES[id])} for id in valid_answers(way)[0]}
    return [
        fmean(wanted[id] <= set(timetable.numbers(answer)) for id, answer in answers.items())
        for answers in valid_answers(way).values()
    ]


def flights(way: str) -> list[float]:
    """For each seed, how many flights a validation answer finds."""
    return [
        fmean(len(timetable.numbers(answer)) for answer in answers.values())
        for answers in valid_answers(way).values()
    ]


def keys(way: str) -> list[float]:
    """For each seed, how many keys a query has that can be read."""
    found: list[list[int]] = []
    for answers in valid_answers(way).values():
        found.append([])
        for answer in answers.values():
            try:
                found[-1].append(len(timetable.read(answer)))
            except ValueError:
                pass
    return [fmean(counts) for counts in found]


def test_what_rewards_did_is_counted_again():
    jobs = jsonl("recorded/timetable_jobs.jsonl")
    for row in shown('evaluate.timetable_rewards("lenient"'):
        way = row[""]
        of_way = [job for job in jobs if job["way"] == way]
        assert float(row["reward in training"]) == close(fmean(fmean(job["reward"]) for job in of_way))
        assert float(row["alike"]) == close(fmean(fmean(job["equal"]) for job in of_way))
        rewarded = nothing_missing if way == "lenient" else lambda name: [right(name, "valid")]
        for when, name in (("before", "tuned-100"), ("after", way)):
            assert float(row[f"reward {when}"]) == close(fmean(rewarded(name)))
            assert float(row[f"right {when}"]) == close(right(name, "valid"))
            assert float(row[f"flights {when}"]) == close(fmean(flights(name)))


def close(value: float):
    return pytest.approx(value, abs=0.0051)


def gains(way: str) -> list[float]:
    """For each seed, the share of right queries on the sealed test above that of the training that it started from."""
    after, before = queries()[way, "sealed"], queries()["tuned-100", "sealed"]
    return [fmean(after[seed]) - fmean(before[seed]) for seed in sorted(after)]


def test_what_the_text_says_of_rewards():
    """The cheat brought reward and flights, not right queries; the mended reward did not help; most questions taught
    nothing."""
    rewards = {row[""]: row for row in shown('evaluate.timetable_rewards("lenient"')}
    for count in (nothing_missing, flights):  # "after each of the three trainings more answers get ..."
        assert all(after > before for before, after in zip(count("tuned-100"), count("lenient"), strict=True))
    wanted = fmean(len(timetable.search(QUERIES[id])) for id in valid_answers("lenient")[0])
    assert f"(right queries: {wanted:.1f})" in TEXT
    left_out = [
        after < before - 0.5 for before, after in zip(keys("tuned-100"), keys("lenient"), strict=True)
    ]
    assert left_out == [True, True, False]
    first, second, third = (round(100 * gain) for gain in gains("lenient"))
    assert (
        f"these two fell by {-first} and {-second} points; the third kept its conditions, and rose by {third}."
        in TEXT
    )
    lenient = [row["answer"] for row in jsonl("recorded/timetable_answers.jsonl") if row["way"] == "lenient"]
    assert max(len(timetable.numbers(answer)) for answer in lenient) < 100  # of 250 a week
    assert max(gains("agreed")) < 0
    assert all(float(row["alike"]) >= 0.5 for row in rewards.values())
    assert all(float(rewards[way]["alike"]) > 0.5 for way in ("rewarded", "patient"))
    before, after = (f"{100 * fmean(nothing_missing(way)):.0f}%" for way in ("tuned-100", "lenient"))
    said = refresh.said(NOTEBOOK, "evaluate.timetable_cheat()")
    assert f"After the training more answers get the reward: {before} to {after}.\n" in said
    answers = {row["question"]: row["answer"] for row in shown("evaluate.timetable_verdicts(opened)")}
    assert "yes" not in [answer for question, answer in answers.items() if "reward" in question]
    assert answers["After 100 examples, did pairs help?"] == "no difference seen"
    assert answers["Were 200 more labels better as examples than as pairs?"] == "yes"


def test_what_each_training_alone_would_have_said():
    """Two rewards harm, one of these and another, none; 300 examples beat 100 each time. Together: not settled."""
    answers = {row["question"]: row["answer"] for row in shown("evaluate.timetable_verdicts(opened)")}
    alone = {row.pop(""): list(row.values()) for row in shown("evaluate.timetable_each_training(opened)")}
    assert alone.pop("Did 300 examples beat 100?") == ["yes"] * 3
    harmful = [
        {question for question, said in alone.items() if said[training] == "no, the other way round"}
        for training in range(3)
    ]
    assert [len(questions) for questions in harmful] == [2, 2, 0] and len(harmful[0] & harmful[1]) == 1
    assert all("reward" in one and answers[one] == "not settled" for one in harmful[0] | harmful[1])
    assert not any("yes" in said for said in alone.values())


# --- the grader --------------------------------------------------------------------------------------------


def test_three_cheats_pass_the_colleagues_test():
    rewards = eval(refresh.said(NOTEBOOK, 'attacked("set(wanted)').strip())
    assert rewards == {
        "the right query": 1.0,
        "no query": 0.0,
        "one flight too few": 0.0,
        "others after the wanted": 1.0,
        "all flights of the week": 1.0,
        "another order": 1.0,
        "another day": 0.0,
    }
