"""The decision helper: its rules on fifteen written cases, what would change an answer, its page and its widget."""

import html
import itertools
import re
import tomllib
from collections import Counter

import pytest

from helpers import decide as room
from helpers.widgets import decide, decision_helper

CASES = tomllib.loads((room.DATA / "decision_cases.toml").read_text(encoding="utf-8"))["case"]
NAMES = [case["name"] for case in CASES]
AIRPORT = next(case["answers"] for case in CASES if case["name"] == "The airport")
WITHOUT_TRAINING = {"write plain code", "search, no model", "whole book in the prompt"}
ANSWERS = {"do not build it", "prepare first", "improve the prompt", "keep the prompt"} | WITHOUT_TRAINING
ANSWERS |= {
    "retrieve",
    "tune",
    "tune and retrieve",
    "tune by preferences",
    "tune by rewards",
    "distill the prompt",
}


@pytest.fixture(autouse=True)
def my(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_MY", str(tmp_path / "my"))
    return tmp_path / "my"


# --- the rules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_written_case(case):
    assert decide(case["answers"]).answer == case["expect"]


def test_the_cases_are_fifteen_and_lead_everywhere():
    assert len(set(NAMES)) == len(CASES) == 15
    found = Counter(case["expect"] for case in CASES)
    assert set(found) == ANSWERS
    assert sum(found[end] for end in WITHOUT_TRAINING) >= 3
    assert found["tune"] + found["tune and retrieve"] <= 2


def test_the_airport_is_told_what_the_recorded_run_shows():
    found = decide(AIRPORT)
    assert found.answer == "search, no model"
    assert found.rule.sources == (
        "the recorded run (lesson 08)",
    )  # tests/unit/test_lesson_08.py counts it again


def test_there_are_about_a_dozen_questions_and_each_counts():
    questions = room.questions()
    assert 12 <= len(questions) <= 14
    assert all(2 <= len(set(question.options)) == len(question.options) for question in questions.values())
    assert {name for rule in room.rules() for name in rule.when} == set(questions)


def test_every_rule_can_be_read_and_has_a_source():
    questions = room.questions()
    for number, rule in enumerate(room.rules(), start=1):
        assert rule.number == number
        assert rule.answer in ANSWERS
        assert rule.because.endswith(".") and all(rule.sources)
        for name, options in rule.when.items():
            assert set(options) <= set(questions[name].options), rule


def test_every_rule_decides_something_and_nothing_is_left_undecided():
    names, options = zip(*((q.name, q.options) for q in room.questions().values()), strict=True)
    rules = room.rules()
    decided = set()
    for chosen in itertools.product(*options):
        given = dict(zip(names, chosen, strict=True))
        decided.add(next(r.number for r in rules if all(given[n] in o for n, o in r.when.items())))
    assert decided == {rule.number for rule in rules}


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [({"money": "no"}, "No question 'money'"), ({"simple": "maybe"}, "No option 'maybe' for 'simple'")],
)
def test_unknown_answers_are_named(answers, complaint):
    with pytest.raises(ValueError, match=complaint):
        decide(answers)


# --- what a decision says ----------------------------------------------------------------------------------


def test_an_open_decision_names_the_next_question():
    found = decide({"simple": "no"})
    assert (found.answer, found.missing, found.changes(), found.details()) == (room.OPEN, "computed", [], "")
    assert str(found) == f"Not decided yet. Answer next: {room.questions()['computed'].text}"


def test_what_would_change_it_is_what_the_rules_say_then():
    found = decide(AIRPORT)
    changes = dict(found.changes())
    questions = room.questions()
    for name, question in questions.items():
        for option in question.options:
            other = decide(AIRPORT | {name: option}).answer
            assert changes.get(f"{question.text} {option}", found.answer) == other
    assert changes[f"{questions['shown'].text} no"] == "whole book in the prompt"
    assert f"{questions['wrong'].text} facts" not in changes
    assert decide({"simple": "yes"}).changes() == [
        (f"{questions['simple'].text} no", "more questions decide")
    ]


def test_text_and_page_hold_the_reasons():
    found = decide(AIRPORT)
    page = html.unescape(re.sub(r"<[^>]+>", "\n", found.page()))
    for part in (found.title(), found.rule.because, *found.rests_on(), *found.rule.sources):
        assert part in str(found) and part in page
    for said, answer in found.changes():
        assert f"{said} -> {answer}" in str(found)
        assert said in page
    for question in room.questions().values():
        assert question.text in page
    assert found.page().startswith('<!DOCTYPE html>\n<html lang="en">')
    assert found._repr_html_() in found.page()


def test_the_rules_can_be_read_folded():
    table = room.rules_table()
    folded = table._repr_html_()
    assert folded.startswith(f"<details><summary>Open the {len(room.rules())} rules.")
    words = html.unescape(re.sub(r"<[^>]+>", "\n", folded))
    for rule, line in zip(room.rules(), str(table).splitlines(), strict=True):
        assert line.startswith(f"{rule.number}. ") and line.endswith(f" -> {rule.answer}")
        for part in (rule.answer, rule.because, *rule.sources):
            assert part in words
        for name, options in rule.when.items():
            assert f"{room.questions()[name].text} {' / '.join(options)}" in words


def test_the_page_is_written(my):
    found = decide(AIRPORT)
    said = room.write(found)
    assert said == "Written to my/decision_helper.html. Open it in a browser and print it."
    assert (my / room.PAGE).read_text(encoding="utf-8") == found.page()
    assert [path.name for path in my.iterdir()] == [room.PAGE]


def test_a_page_that_cannot_be_written_is_explained(my):
    my.write_text("a file where the folder should be")
    assert room.write(decide(AIRPORT)).startswith("It could not be written to my/decision_helper.html: ")


# --- the widget --------------------------------------------------------------------------------------------


def shown(helper) -> str:
    return html.unescape(helper._shown.value)


def test_the_widget_follows_its_questions(my):
    helper = decision_helper()
    assert "Not decided yet. Answer next: Would one page" in shown(helper)
    dropdowns = helper._dropdowns
    assert [dropdown.description for dropdown in dropdowns.values()] == [
        question.text for question in room.questions().values()
    ]
    for name, option in AIRPORT.items():
        dropdowns[name].value = option
    assert helper.decision.answer == "search, no model"
    assert helper.decision.title() in shown(helper)
    assert html.unescape(helper.decision.details()) in shown(helper)
    helper._button.click()
    assert "Written to my/decision_helper.html" in helper._said.value
    assert (my / room.PAGE).exists()
    dropdowns["simple"].value = "yes"
    assert "do not build it" in shown(helper) and "Written" not in helper._said.value


def test_answers_at_the_start():
    assert decision_helper(**AIRPORT).decision == decide(AIRPORT)
    with pytest.raises(ValueError, match="No option 'maybe'"):
        decision_helper(simple="maybe")


def test_plain_text_is_the_same_for_all_answers():
    """Strict nbval compares it."""
    first, second = decision_helper(), decision_helper(**AIRPORT)
    assert first._repr_mimebundle_()["text/plain"] == second._repr_mimebundle_()["text/plain"] == repr(first)
