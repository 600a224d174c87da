"""Checks and quizzes without a notebook and without a browser."""

import html
import re

import pytest
from ipywidgets import HTML, Button, RadioButtons

from helpers import teach

EXERCISE = """
[add]
values = ["total"]
otherwise = "That is too little."
right.when = "total == 4"
right.say = "It is {total}."
[[add.hints]]
when = "total is None"
say = "Replace None."
[[add.hints]]
when = "total > 4"
say = "{total} is too much."
"""
QUIZ = """
[[question]]
ask = "Is 1 < 2?"
heading = "Numbers"
options = [
  { text = "No", why = "Count." },
  { text = "Yes, <b>always</b>", right = true, why = "2 comes later." },
  { text = "Who knows", why = "You." },
]
[[question]]
ask = "And then?"
lesson = "08"
options = [{ text = "3", right = true, why = "It follows." }, { text = "4", why = "Too far." }]
"""


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    for folder, name, text in (("exercises", "90", EXERCISE), ("quizzes", "91", QUIZ)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(teach, "DATA", tmp_path)


@pytest.mark.parametrize(
    ("total", "said"),
    [
        (None, "Not yet. Replace None."),
        (5, "Not yet. 5 is too much."),
        (4, "Right. It is 4."),
        (3, "Not yet. That is too little."),
        ("four", "Not yet. That is too little."),  # no rule can read it
    ],
)
def test_check_prints_the_first_hint_that_holds(total, said, capsys):
    assert teach.check("90-add", total) is None
    assert capsys.readouterr().out == said + "\n"


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: teach.check("90-sub", 1), "No exercise 'sub' in lesson 90. Known: add."),
        (lambda: teach.check("89-add", 1), "No file '89' in data/exercises. Known: 90."),
        (lambda: teach.check("90-add"), "check('90-add', ...) takes these values: total."),
        (lambda: teach.quiz("92"), "No file '92' in data/quizzes. Known: 91."),
    ],
)
def test_a_wrong_name_or_number_of_values_is_named(call, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        call()


def test_a_rule_with_a_name_that_is_not_there_is_our_mistake_and_raises(tmp_path):
    path = tmp_path / "exercises" / "90.toml"
    path.write_text(EXERCISE.replace("total is None", "totel is None"), encoding="utf-8")
    with pytest.raises(NameError):
        teach.check("90-add", 4)


def parts(quiz: teach.Quiz, kind: type) -> list:
    return [child for child in quiz.children if isinstance(child, kind)]


def said(quiz: teach.Quiz) -> list[str]:
    text = parts(quiz, HTML)[-1].value
    assert text.startswith('<div role="status" aria-live="polite">')
    return [html.unescape(re.sub("<.*?>", "", line)) for line in re.findall("<p>(.*?)</p>", text)]


def test_quiz_explains_each_choice():
    quiz = teach.quiz("91")
    (button,) = parts(quiz, Button)
    first, second = parts(quiz, RadioButtons)
    assert first.options == ("No", "Yes, <b>always</b>", "Who knows") and first.index is None
    assert said(quiz) == []
    button.click()
    assert said(quiz) == ["0 of 2 right", "1. No answer yet.", "2. No answer yet."]
    first.index, second.index = 0, 1
    button.click()
    assert said(quiz) == [
        "0 of 2 right",
        '1. Not yet. Count. Read again under "Numbers".',
        "2. Not yet. Too far. Read again in lesson 08.",
    ]
    first.index, second.index = 1, 0
    button.click()
    assert said(quiz) == ["2 of 2 right", "1. Right. 2 comes later.", "2. Right. It follows."]


def test_the_text_holds_all_options_and_no_answer():
    quiz = teach.quiz("91")
    bundle = quiz._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == repr(quiz)
    assert repr(quiz) == (
        "Quiz (buttons appear while the notebook runs)\n"
        "\n1. Is 1 < 2?\n   a) No\n   b) Yes, <b>always</b>\n   c) Who knows\n"
        '   Answered under "Numbers".\n'
        "\n2. And then?\n   a) 3\n   b) 4\n   Answered in lesson 08."
    )
    parts(quiz, RadioButtons)[0].index = 1
    assert repr(quiz) == repr(teach.quiz("91"))


def test_long_lines_are_wrapped(tmp_path):
    path = tmp_path / "quizzes" / "91.toml"
    path.write_text(QUIZ.replace("Who knows", "who knows " * 20), encoding="utf-8")
    assert max(map(len, repr(teach.quiz("91")).splitlines())) <= 88
