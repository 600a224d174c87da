"""Lesson 01: its prompts are those of the recorded run, its sums those of helpers.costs, its verdicts are counted
again by tests.recount, which shares no code with the lesson."""

import csv
import re
import tomllib

import pytest

from data.airport.make_with_rules import TRAIN, rule_of
from data.recorded import make
from helpers import costs, evaluate, teach
from tests.notebooks import refresh
from tests.recount import CHECKS, RIVALS, ROWS, better, ids, share, side

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "01_decide.ipynb")
TEXT = " ".join("\n".join(cell.source for cell in NOTEBOOK.cells).split())
MODELS = ("gpt-3.5-turbo-0125", "gpt-4.1-mini-2025-04-14", "gpt-4o-mini-2024-07-18")
TEST = ("paraphrase", "new")
PROMPTS = ("few_shot", "few_shot_nearest", "rule")


def table(words: str) -> dict[str, dict[str, str]]:
    """The table that the code cell with these words shows: row -> column -> text."""
    found = refresh.shown(NOTEBOOK, words)
    head, *rows = (
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr.*?</tr>", found, re.DOTALL)
    )
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows if any(row[1:])}


def who(rival: str, check: str) -> str:
    return better(rival, "tuned", check, *(TEST if check != "fact" else TEST[:1]))


def test_prompts_of_the_lesson_are_those_of_the_recorded_run():
    assert make.ROLE in TEXT and f'"{make.SYSTEM}"' in TEXT


def test_the_first_three_questions_are_shown_and_their_tuned_answers_have_the_form_and_a_wrong_fact():
    printed = refresh.said(NOTEBOOK, "questions()[:3]")
    first = evaluate.recorded("tuned")
    for id in ids("paraphrase")[:3]:
        row = ROWS[id]
        assert (
            row["question"] in printed and RIVALS["nearest_rule"](row["question"]).split("\n")[0] in printed
        )
        answer = first(row["question"])
        assert CHECKS["form"](answer, row) and not CHECKS["fact"](answer, row)


def test_shares_of_the_first_table():
    shown = table("fact_paraphrase")
    assert list(shown) == [
        "base",
        "few_shot",
        "few_shot_nearest",
        "tuned",
        "nearest_example",
        "nearest_rule",
    ]
    for way in shown:
        counted = [share(way, "form", *TEST), share(way, "desk", *TEST)]
        counted += [share(way, "fact", kind) for kind in TEST]
        assert [float(part) for part in shown[way].values()] == pytest.approx(
            [100 * part for part in counted], abs=0.51
        ), way


def test_tuning_taught_the_form_helped_with_the_desk_and_did_not_teach_the_facts():
    assert "taught the form, and helped with the desk. It did not teach the facts" in TEXT
    assert [better("base", "tuned", check, *TEST) for check in ("form", "desk")] == ["tuned", "tuned"]
    assert share("tuned", "fact", *TEST) < 0.1


def test_each_fact_stands_in_one_or_two_pairs():
    rules = [rule_of(row["messages"][-1]["content"]) for row in TRAIN]
    assert len(rules) == 112 and {rules.count(rule) for rule in rules} == {1, 2}


def test_shares_of_facts_stated_by_prompts():
    shown = table("prompt_tokens=")
    for way in ("base", "role", "rule", "few_shot"):
        counted = share(way, "fact", "trained", *TEST)
        found = {column: float(text) for column, text in shown[way].items()}
        assert found["share"] == pytest.approx(counted, abs=0.0051), way
        assert found["low"] - 0.005 <= counted <= found["high"] + 0.005
    assert len(ids("trained", *TEST)) == 140
    assert float(shown["role"]["prompt_tokens"]) > float(shown["base"]["prompt_tokens"])


def test_three_kinds_of_questions():
    shown = table("for kind, tables in tuned.items()")
    for check in CHECKS:
        for kind in ("trained", *TEST):
            assert float(shown[check][kind]) == pytest.approx(share("tuned", check, kind), abs=0.0051)
    assert "some are missing even where the question was trained, most where it comes in other words" in TEXT
    assert 0.5 < share("tuned", "fact", "trained") < 1
    assert 0 < share("tuned", "fact", "paraphrase") < 0.5 and share("tuned", "fact", "new") == 0
    assert side("tuned", "fact", "new").shape == (60, 3)


def test_verdicts_of_the_lesson():
    shown = table("verdicts = {")
    for rival in shown:
        for check in CHECKS:
            name = who(rival, check)
            assert shown[rival][check] == (f"{name} is better" if name else "no difference seen"), (
                rival,
                check,
            )


def test_what_the_lesson_says_of_its_verdicts():
    assert "Against prompts without the rule, tuning wins in form and desk; in facts it wins only" in TEXT
    assert [who(way, check) for way in PROMPTS[:2] for check in ("form", "desk")] == ["tuned"] * 4
    assert [who(way, "fact") for way in PROMPTS] == ["tuned", "few_shot_nearest", "rule"]
    assert "Against the rivals without a model it wins nothing, and in facts it loses." in TEXT
    for rival in RIVALS:
        assert (
            "tuned" not in [who(rival, check) for check in ("form", "desk")] and who(rival, "fact") == rival
        )


@pytest.mark.parametrize("model", MODELS)
def test_break_even_is_that_of_the_price_book(model):
    """One token of prompt below the printed length the base call is cheaper, one above it is dearer."""
    with open(teach.DATA / "recorded" / "scoreboard.csv", encoding="utf-8", newline="") as file:
        board = {row["way"]: row for row in csv.DictReader(file)}
    shown = table("break_even=")[model]
    length = int(shown["break_even"])

    def dollars(way: str, prompt: float, tuned: bool) -> float:
        tenths = (round(10 * prompt), round(10 * float(board[way]["answer_tokens"])))
        return costs.call(model, *tenths, tuned=tuned).usd / 10

    tuned = dollars("tuned", float(board["tuned"]["prompt_tokens"]), True)
    assert dollars("few_shot", length - 1, False) < tuned < dollars("few_shot", length + 1, False)
    cheaper = tuned < dollars("few_shot", float(board["few_shot"]["prompt_tokens"]), False)
    assert shown["tuned_is_cheaper"] == ("✓ yes" if cheaper else "✗ no")


def test_quizzes_say_what_was_counted():
    asked = {one["ask"]: next(o["text"] for o in one["options"] if o.get("right")) for one in questions("01")}
    role = next(right for ask, right in asked.items() if ask.startswith("A role as expert"))
    assert "None of the airport's facts" in role and share("role", "fact", "trained", *TEST) == 0
    pays = next(right for ask, right in asked.items() if "Does tuning pay" in ask)
    assert "has the form as well, and states more facts" in pays
    assert (who("nearest_rule", "form"), who("nearest_rule", "fact")) == ("", "nearest_rule")
    (why,) = [
        o["why"]
        for one in questions("concepts")
        for o in one["options"]
        if o["text"].startswith("Let a search")
    ]
    assert "given found rules, stated fewer of their facts than the search alone" in why
    for way in ("retrieval", "few_shot_retrieval", "rules_tuned_retrieval"):
        assert better("nearest_rule", way, "fact", *TEST) == "nearest_rule"


def questions(lesson: str) -> list[dict]:
    return tomllib.loads((teach.DATA / "quizzes" / f"{lesson}.toml").read_text(encoding="utf-8"))["question"]


def test_memo_of_the_lesson():
    """Many answers of the prompt with three samples miss the form; those of the search do not."""
    assert "many answers of our model still miss the form; a search that prints the rule does not" in TEXT
    assert share("few_shot", "form", *TEST) < 0.75 and share("nearest_rule", "form", *TEST) == 1
