"""Checks and quizzes without a notebook and without a browser."""

import html
import re
from types import SimpleNamespace

import nbformat
import openai
import pytest
from ipywidgets import HTML, Button, RadioButtons

from helpers import memo, teach
from tests.environment import ROOT
from tests.notebooks import refresh

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

[both]
values = ["given", "other"]
otherwise = "Not so: {wrong}. The other is {other}."
right.parts = { a = "x", "b c" = "y" }
right.say = "All of {given}."
[[both.hints]]
when = "not all(given.values())"
say = "Empty: {empty}."

[function]
values = ["own"]
otherwise = "It came out as {own}."
right.when = "own('1') == 1"
right.say = "It counts."
[[function.hints]]
when = "own('one') != 0"
say = "one is no number: return 0."
stopped = "It was given {{one}}."
[[function.hints]]
when = "own.name == 'x'"
say = "No function has a name of this kind."

[memo]
values = ["memo"]
saves = "06 How we will know"
otherwise = "Keep the two beginnings."
right.when = "has_number(filled(memo)['What counts'])"
right.say = "A number can be checked."
[[memo.hints]]
when = "not all(filled(memo).values())"
say = "A line is empty."
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
    monkeypatch.setenv("COURSE_MY", str(tmp_path / "my"))


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
    ("given", "said"),
    [
        ({"a": "x", "b c": ""}, "Not yet. Empty: b c."),
        ({"a": "y", "b c": "x"}, "Not yet. Not so: a, b c. The other is {z}."),
        ({"a": "x", "b c": "x"}, "Not yet. Not so: b c. The other is {z}."),
        ({"a": "x"}, "Not yet. Not so: b c. The other is {z}."),
        ({"a": "x", "b c": "y"}, "Right. All of {'a': 'x', 'b c': 'y'}."),
        (["x", "y"], "Not yet. Not so: a, b c. The other is {z}."),
        (None, "Not yet. Not so: a, b c. The other is {z}."),
    ],
)
def test_the_parts_that_are_not_right_are_named(given, said):
    """And what a learner wrote in braces stays as it is: only our texts are filled in."""
    assert teach.answer("90-both", given, "{z}") == said


@pytest.mark.parametrize(
    ("text", "given", "said"),
    [
        ("{a.name}", 3, "nothing"),
        ("{a[b][0]}", {}, "nothing"),
        ("{a[b]}", None, "nothing"),
        ("{a:.0%}", "much", "much"),
        ("{a:.0%}", 0.25, "25%"),
        ("{a:.0f} rows", None, "None rows"),
        ("{a} {{b}}", "{c}", "{c} {b}"),
        ("{a}", "x" * 1000, "x" * 200 + " ..."),
    ],
)
def test_no_placeholder_is_ever_shown(text, given, said):
    assert teach._filled_in(text, {"a": given}) == said


@pytest.mark.parametrize(
    ("value", "is_path"),
    [
        ("../data/airport/valid.jsonl", True),
        ("valid.jsonl", True),
        ("my\\valid", True),
        ("file-8Gk2Jh3Lm4Np5Qr6St7Uv8Wx", False),
        ("ft:gpt-3.5-turbo:me::AbCdEfGh", False),
        ("none yet", False),
        (None, False),
        (3, False),
    ],
)
def test_a_path_is_told_from_an_id(value, is_path):
    assert teach.is_path(value) is is_path


def test_in_a_notebook_an_answer_has_a_sign_and_a_colour_beside_its_words():
    right, wrong = teach.Said("Right. It is <4>."), teach.Said("Not yet. 5 is too much.")
    assert repr(right) == "Right. It is <4>."
    for said, sign, colours, text in (
        (right, "✓", teach.GREEN, "✓ Right. It is <4>."),
        (wrong, "✗", teach.ORANGE, "✗ Not yet. 5 is too much."),
    ):
        shown = said._repr_html_()
        assert html.unescape(re.sub("<.*?>", "", shown)) == text
        assert shown.startswith('<div role="status">') and all(colour in shown for colour in colours)
        assert f'<span aria-hidden="true">{sign}</span>' in shown


# --- a cell that stopped ------------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch, capsys):
    """A function that plays the cells of a notebook: IPython tells of each before and after it."""
    cells = teach._Cells()
    monkeypatch.setattr(teach, "_cells", cells)

    def run_cell(source: str, namespace: dict) -> str:
        cells.begins(SimpleNamespace(raw_cell=source))
        try:
            exec(source, namespace)
            success = True
        except Exception:  # noqa: BLE001 - as IPython does
            success = False
        cells.ends(SimpleNamespace(success=success))
        return capsys.readouterr().out.strip()

    return run_cell


CHECK = 'check("90-add", total)'
STALE = "Not yet. " + teach.CELL_STOPPED


def test_after_a_cell_that_stopped_an_old_value_is_not_judged(run):
    namespace = {"check": teach.check}
    assert run("total = None", namespace) == ""
    assert run(CHECK, namespace) == "Not yet. Replace None."
    run("total = int('4 pieces')", namespace)
    assert run(CHECK, namespace) == STALE
    assert run("\n" + CHECK, namespace) == STALE, "the check itself is no new cell"
    run("total = 4", namespace)
    assert run(CHECK, namespace) == "Right. It is 4."


def test_a_check_in_the_cell_of_the_work_is_judged(run):
    namespace = {"check": teach.check}
    run("total = int('x')", namespace)
    assert run(f"total = 4\n{CHECK}", namespace) == "Right. It is 4."


def test_a_check_that_stops_itself_says_nothing_of_the_cell_before(run):
    namespace = {"check": teach.check}
    run("total = 4", namespace)
    run('check("90-add", totel)', namespace)
    assert run(CHECK, namespace) == "Right. It is 4."


def test_no_memo_is_written_of_an_old_value(run):
    namespace = {"check": teach.check, "memo": GOOD}
    run("memo = unknown", namespace)
    assert run('check("90-memo", memo)', namespace) == STALE
    assert not memo.place().exists()


@pytest.mark.slow
def test_ipython_tells_of_its_cells(tmp_path):
    """In a real kernel, and as it is stored."""
    sources = ["from helpers.teach import check", "memo = ''", 'check("02-memo", memo)', "memo = unknown"]
    cells = [nbformat.v4.new_code_cell(source) for source in (*sources, sources[2], sources[1], sources[2])]
    notebook = nbformat.v4.new_notebook(cells=cells)
    for cell in notebook.cells[3:4]:
        cell.metadata["tags"] = ["raises-exception"]
    refresh.execute(notebook, tmp_path)
    said = [cell.outputs[0].get("data") for cell in refresh.code_cells(notebook) if cell.source == sources[2]]
    assert [one["text/plain"].startswith(STALE) for one in said] == [False, True, False]
    assert all(one["text/html"] == teach.Said(one["text/plain"])._repr_html_() for one in said)


def stopping(source: str):
    """A function as a cell of a notebook makes it."""
    namespace = {}
    exec(source, namespace)
    return namespace["own"]


STOPS = "stopped with an error when this check called it. "


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (int, "Right. It counts."),  # the first rule raises, but in no code of the learner
        (None, "Not yet. It came out as None."),
        (3, "Not yet. It came out as 3."),
        (lambda: 0, "Not yet. It came out as <function <lambda> at"),  # it is the call that fails
    ],
)
def test_what_a_rule_cannot_read_is_no_crash(own, said):
    assert teach.answer("90-function", own).startswith(said)


@pytest.mark.parametrize(
    ("source", "name", "error", "line"),
    [
        (
            "import json\ndef own(text):\n    return json.loads(text)",
            "Your function own",
            "JSONDecodeError: ",
            3,
        ),
        ("def own(text):\n    return int(text)", "Your function own", "ValueError: invalid literal", 2),
        ("\nown = lambda text: 1 / 0", "A function of yours", "ZeroDivisionError: division by zero", 2),
        (
            "def own(text):\n    inner(text)\ndef inner(text):\n    raise OSError",
            "Your function inner",
            "OSError",
            4,
        ),
        ("def own(text):\n    return 0 if text == 'one' else [][0]", "Your function own", "IndexError: ", 2),
    ],
)
def test_a_function_of_the_learner_that_stops_is_told_with_its_error_and_line(source, name, error, line):
    said = teach.answer("90-function", stopping(source))
    assert said.startswith(f"Not yet. {name} {STOPS}{error}")
    assert said.partition(" (line ")[2] in (f"{line}) It was given {{one}}.", f"{line})")


def test_what_stops_our_own_rule_is_our_mistake_and_raises(monkeypatch):
    def ours(text):
        raise OSError("disk")

    monkeypatch.setitem(teach.FOR_RULES, "parsed", ours)
    monkeypatch.setattr(teach, "NOT_THE_LEARNERS", (*teach.NOT_THE_LEARNERS, __file__))
    with pytest.raises(OSError):
        teach._holds("parsed('x')", {})


def test_what_a_function_would_send_is_seen_and_not_sent():
    client = openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="sk-none", max_retries=0)
    asked = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Where?"}]

    def ask(question):
        reply = client.chat.completions.create(
            model="m", messages=[asked[0], asked[1] | {"content": question}]
        )
        return reply.choices[0].message.content

    assert teach.sent_by(ask, "Where?") == asked
    assert teach.sent_by(len, "Where?") == []
    with pytest.raises(openai.APIConnectionError):
        ask("Where?")  # afterwards it is as before


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (
            lambda: teach.check("90-sub", 1),
            "No exercise 'sub' in lesson 90. Known: add, both, function, memo.",
        ),
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
    """What is under each question, and at the end."""
    texts = [part.value for part in parts(quiz, HTML) if 'role="status"' in part.value]
    assert all(text.startswith('<div role="status" aria-live="polite">') for text in texts)
    return [html.unescape(re.sub("<.*?>", "", text)) for text in texts]


def test_quiz_explains_each_choice():
    quiz = teach.quiz("91")
    (button,) = parts(quiz, Button)
    first, second = parts(quiz, RadioButtons)
    assert first.options == ("No", "Yes, <b>always</b>", "Who knows") and first.index is None
    assert said(quiz) == ["", "", ""]
    button.click()
    end = " of 2 right. Each explanation is under its question."
    assert said(quiz) == ["✗ No answer yet. Choose one."] * 2 + ["0" + end]
    first.index, second.index = 0, 1
    assert said(quiz) == ["", "", ""]
    button.click()
    assert said(quiz) == [
        '✗ Not yet. Count. Read again under "Numbers".',
        "✗ Not yet. Too far. Read again in lesson 08.",
        "0" + end,
    ]
    first.index = 1
    assert said(quiz) == ["", "✗ Not yet. Too far. Read again in lesson 08.", ""], (
        "what was said of another choice"
    )
    second.index = 0
    button.click()
    assert said(quiz) == ["✓ Right. 2 comes later.", "✓ Right. It follows.", "2" + end]


def test_each_explanation_is_under_its_question():
    quiz = teach.quiz("91")
    kinds = [type(part).__name__ for part in quiz.children]
    assert kinds == ["HTML", *["HTML", "RadioButtons", "HTML"] * 2, "Button", "HTML"]


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


# --- the decision memo -----------------------------------------------------------------------------------

GOOD = "\nWhat counts: 9 of 10 in style,\nnothing else\nWho decides: the head\n"
SECTION = "## 06 How we will know\n\n- What counts: 9 of 10 in style, nothing else\n- Who decides: the head\n"


def test_the_memo_is_written_when_its_check_passes_and_not_before(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # where the notebook runs does not matter
    for text, said in (
        ("What counts: \nWho decides: me", "Not yet. A line is empty."),
        ("What counts: better\nWho decides: me", "Not yet. Keep the two beginnings."),
        (None, "Not yet. Keep the two beginnings."),
    ):
        teach.check("90-memo", text)
        assert capsys.readouterr().out == said + "\n"
        assert not memo.place().parent.exists()
    teach.check("90-memo", GOOD)
    assert capsys.readouterr().out == "Right. A number can be checked. Written to my/decision.md.\n"
    assert memo.place().read_text(encoding="utf-8") == memo.OPENING + "\n" + SECTION
    assert [path.name for path in memo.place().parent.iterdir()] == ["decision.md"]


def test_the_learner_s_own_memo_is_in_the_folder_of_the_course(monkeypatch):
    monkeypatch.delenv("COURSE_MY")
    assert memo.place() == ROOT / "my" / "decision.md"


def test_a_memo_that_cannot_be_written_is_no_crash(tmp_path, capsys):
    (tmp_path / "my").write_text("a file where the folder should be")
    teach.check("90-memo", GOOD)
    assert capsys.readouterr().out.startswith(
        "Right. A number can be checked. It could not be written to my/"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A: one\n\n  B:two\nC:\n", {"A": "one", "B": "two", "C": ""}),
        ("A: at 10:30\nsee https://x.test\nB: c: d", {"A": "at 10:30 see https://x.test", "B": "c: d"}),
        ("预算：100 元", {"预算": "100 元"}),
        ("no colon", {"": "no colon"}),
        ("", {}),
    ],
)
def test_what_is_filled_in_after_each_colon(text, found):
    assert memo.filled(text) == found


OWN = "## 04 The training\n\n- What: three epochs\n\nMy own note.\n\n## 08 Both\n\n- Way: prompt\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# Mine", "# Mine\n\n" + SECTION),
        (OWN, OWN.replace("## 08", SECTION + "\n## 08")),
        ("## 07 Cost\n\n- a\n", SECTION + "\n## 07 Cost\n\n- a\n"),
        ("## 05 Use\n\n- a\n\n# Notes\n", "## 05 Use\n\n- a\n\n# Notes\n\n" + SECTION),
    ],
)
def test_a_new_section_takes_its_place_by_number(before, after):
    assert memo.with_section(before, "06 How we will know", GOOD) == after


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("own_before", "old", "own_after"),
    [
        ("", "- What counts: old\n", ""),
        ("Mine \t\n\n", "- a\n  b\n- c: d\n", "\n- my list\n\n## 07 x\n"),
        ("## 06 How\n\n", "- a\n", "Glued to the list.\n"),
        ("- x\n", "", "\nThe list is gone.\n"),
    ],
)
def test_all_but_the_own_list_stays_as_it_is(own_before, old, own_after, end):
    before = (
        f"{own_before}## 06 How we will know\n\n{old}" if old else f"{own_before}## 06 How we will know\n"
    )
    text = (before + own_after).replace("\n", end)
    once = memo.with_section(text, "06 How we will know", GOOD)
    assert once == (own_before + SECTION + own_after).replace("\n", end)
    assert memo.with_section(once, "06 How we will know", GOOD) == once


def test_bytes_that_are_not_utf_8_survive():
    memo.place().parent.mkdir()
    memo.place().write_bytes(b"\xff caf\xe9\r\n")
    memo.save("06 How we will know", GOOD)
    assert memo.place().read_bytes().startswith(b"\xff caf\xe9\r\n\r\n## 06 How we will know\r\n")
