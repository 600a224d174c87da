"""Each verdict of claims.csv that rests on the recorded run is counted again, by code other than the lessons'."""

import csv
import json
from statistics import mean

import pytest

from data.recorded import facts
from helpers import costs, evaluate, timetable
from helpers.evaluate import timetable_record
from helpers.evaluate.timetable_parser import answer_by_parser
from tests.recount import (
    DATA,
    RECORDED,
    agreements,
    better,
    fact,
    ids,
    jsonl,
    p_of_coin,
    right_queries,
    share,
    side,
    taught,
)

TEST = ("paraphrase", "new")
ALL = ("trained", *TEST)
RECOUNTED = {}


def claim(number: int, *said: str):
    """Marks the recount of one claim, with what its verdict says word for word."""

    def mark(recount):
        RECOUNTED[number] = (recount, said)
        return recount

    return mark


def verdicts() -> dict[int, str]:
    with open(DATA / "claims.csv", encoding="utf-8", newline="") as file:
        return {int(row["number"]): row["verdict"] for row in csv.DictReader(file)}


def won(rival: str, *checks: str) -> list[str]:
    """Who is better, the rival or the tuned model, in each check; facts are asked where the rule was trained."""
    return [better(rival, "tuned", check, *(TEST if check != "fact" else TEST[:1])) for check in checks]


@claim(
    5,
    "better in form and desk than prompts with instructions and samples, even with samples chosen",
    "in facts it was better than with fixed samples, and worse than with chosen ones or with the rule",
    "in nothing was it better than a search that prints the nearest rule",
    "tuned on 300 rows was right far more often than its base with any prompt, and far less often than a parser",
)
def better_than_instructions():
    assert won("few_shot", "form", "desk", "fact") == ["tuned"] * 3
    assert won("few_shot_nearest", "form", "desk", "fact") == ["tuned", "tuned", "few_shot_nearest"]
    assert won("rule", "fact") == ["rule"]
    assert "tuned" not in won("nearest_rule", "form", "desk", "fact")
    prompts = [right_queries(way) for way in timetable_record.PROMPTS]
    by_code = mean(
        timetable.same_flights(answer_by_parser(row["question"]), row["query"])
        for row in jsonl("timetable/sealed.jsonl")
    )
    assert 3 * max(prompts) < right_queries("tuned-300") < 0.7 * by_code


@claim(
    6,
    "fewer tokens: true, and a search that prints the rule needs none; cheaper: only beyond a break-even",
    "faster than the untrained model asked as shortly, with no difference seen to a prompt with samples",
    "the base agreed with itself on one question of a hundred",
)
def shorter_cheaper_faster():
    with open(DATA / "recorded" / "scoreboard.csv", encoding="utf-8", newline="") as file:
        board = {row["way"]: row for row in csv.DictReader(file)}
    tokens = {
        way: [float(row[f"{part}_tokens"]) for part in ("prompt", "answer")] for way, row in board.items()
    }
    assert sum(tokens["nearest_rule"]) == 0 < sum(tokens["tuned"]) < sum(tokens["few_shot"])

    def usd(model, way):
        return costs.call(model, *(round(10 * part) for part in tokens[way]), tuned=way == "tuned").usd

    models = ("gpt-3.5-turbo-0125", "gpt-4.1-mini-2025-04-14")
    assert [usd(model, "tuned") < usd(model, "few_shot") for model in models] == [False, True]
    seconds = {}
    for line in (DATA / "recorded" / "times.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        seconds.setdefault(row["way"], {})[row["id"]] = row["seconds"]
    quicker = {
        way: sum(seconds["tuned"][id] < seconds[way][id] for id in seconds["tuned"])
        for way in ("base", "few_shot")
    }
    assert quicker["base"] > 5 and p_of_coin(quicker["base"], len(seconds["tuned"])) < 0.05
    assert p_of_coin(quicker["few_shot"], len(seconds["tuned"])) > 0.05
    agreed = [one for way in timetable_record.PROMPTS for seed in agreements(way).values() for one in seed]
    assert (sum(agreed), len(agreed)) == (1, 100)


@claim(7, "stated the airport's facts in none of 140 answers")
def untrained_without_the_rule():
    assert side("base", "fact", *ALL).shape == (140, 1)
    assert share("base", "fact", *ALL) == 0


@claim(8, "a longer prompt, and not one fact more; only the rule in the prompt brings it, in about half")
def a_role_is_not_a_rule():
    tokens = {
        way: mean(
            json.loads(line)["prompt_tokens"]
            for line in (DATA / "recorded" / "answers.jsonl").read_text(encoding="utf-8").splitlines()
            if f'"way": "{way}"' in line
        )
        for way in ("base", "role")
    }
    assert tokens["role"] > tokens["base"]
    assert share("role", "fact", *ALL) == share("base", "fact", *ALL) == 0
    assert 0.45 < share("rule", "fact", *ALL) < 0.6


@claim(
    9,
    "kept the form on all kinds of questions",
    "in about two of three trained questions, in about one of eight paraphrases of them, and in none on a rule",
    "trained three times on one file",
    "with three or ten wordings of each rule, the recorded model stated the fact in about two of five questions",
    "most of its answers went beyond their rule",
)
def the_short_question_alone():
    assert sum(run.count("-") == 2 and "-all-" in run for run in RECORDED["tuned"]) == 3
    assert all(share("tuned", "form", kind) > 0.95 for kind in ALL)
    assert 0.6 < share("tuned", "fact", "trained") < 0.72
    assert 1 / 9 < share("tuned", "fact", "paraphrase") < 1 / 7
    assert share("tuned", "fact", "new") == 0
    asked = {row["id"]: row for row in facts.questions("new")}
    for wordings in (3, 10):
        runs = [
            run for run in facts.runs() if (run.wordings, run.epochs) == (wordings, facts.EPOCHS[wordings])
        ]
        answers = [taught()[run.name, "new"] for run in runs]
        assert len(answers) == 3
        stated, beyond = (
            mean(bool(check(one[id], asked[id])) for one in answers for id in one)
            for check in (fact, evaluate.invents)
        )
        assert 0.35 < stated < 0.45 and beyond > 0.5


@claim(23, "a search without a model, which stated most facts in the recorded run")
def no_way_stated_more_facts_than_the_search():
    assert share("nearest_rule", "fact", *TEST) > max(share(way, "fact", *TEST) for way in RECORDED)


@claim(
    24,
    "tuning brought the form and a search the facts, and the search alone stated more facts than both together",
)
def tuning_for_form_and_a_search_for_facts():
    assert better("retrieval", "rules_tuned_retrieval", "form", *TEST) == "rules_tuned_retrieval"
    assert better("tuned", "rules_tuned_retrieval", "fact", *TEST) == "rules_tuned_retrieval"
    assert better("nearest_rule", "rules_tuned_retrieval", "fact", *TEST) == "nearest_rule"


@pytest.mark.parametrize("number", RECOUNTED)
def test_verdict(number):
    recount, said = RECOUNTED[number]
    recount()
    assert [words for words in said if words not in verdicts()[number]] == []


def test_no_verdict_on_the_recorded_run_is_left_out():
    resting = {number for number, verdict in verdicts().items() if "recorded" in verdict}
    assert resting == set(RECOUNTED)


def test_the_recount_agrees_with_what_the_lessons_count():
    """Two programs, one answer: shares of every check, for a way with a model and for one without."""
    from helpers import evaluate

    answers = {"nearest_rule": evaluate.nearest_rule(evaluate.rules()), "rule": evaluate.recorded("rule")}
    for way, answer in answers.items():
        table = evaluate.evaluate(answer, evaluate.questions())
        assert list(table.index) == ids(*TEST)
        for check in evaluate.CHECKS:
            assert table[check].astype(float).tolist() == side(way, check, *TEST)[:, 0].tolist(), (way, check)
