"""Every exercise can be failed in at least three ways and solved; every quiz has answers in its lesson."""

import ast
import csv
import itertools
import os
import re
import string
import tomllib
from datetime import date
from pathlib import Path

import pandas
import pytest
from IPython.display import display

from helpers import memo, teach, widgets
from tests import trained_once
from tests.notebooks import frame, refresh

LESSONS = {path.name[:2]: path for path in refresh.lessons()}
LESSONS |= {path.stem: path for path in refresh.notebooks() if refresh.is_page(path)}
EXERCISES = {path.stem: path for path in sorted((teach.DATA / "exercises").glob("*.toml"))}
QUIZZES = {path.stem: path for path in sorted((teach.DATA / "quizzes").glob("*.toml"))}
WITHOUT_TASKS = set()
MIN_MISTAKES = 3


def read(path: Path) -> dict:
    return tomllib.loads(path.read_text(encoding="utf-8"))


# --- exercises -------------------------------------------------------------------------------------------


def solution(cells: list, place: int) -> str:
    """The code that is folded below the cell at this place."""
    for cell in cells[place:]:
        if "<summary>Solution</summary>" in cell.source:
            return re.search(r"```python\n(.*?)```", cell.source, re.DOTALL)[1]
    raise AssertionError("no folded solution with code")


def exercise_cells(cells: list, place: int) -> list[str]:
    """The code cells from the last "### Exercise" heading to the check at this place, without the check."""
    start = max(i for i in range(place) if re.search(r"^### Exercise", cells[i].source, re.MULTILINE))
    return [cell.source for cell in cells[start:place] if cell.cell_type == "code"]


def answer_to(attempt: str, cells: list[str], call: str, namespace: dict, capsys) -> str:
    """What the check says after the exercise's cells ran, with the attempt written where the learner writes.

    The learner writes in the last cell that calls nothing; what follows it runs on the attempt.
    """
    place = max(i for i, cell in enumerate(cells) if ".create(" not in cell)
    for source in (*cells[: place + 1], attempt, *cells[place + 1 :]):
        exec(source, namespace)
    capsys.readouterr()
    exec(call, namespace)
    return capsys.readouterr().out.strip()


def arguments(call: str, namespace: dict) -> list:
    """The values that a check is given."""
    return [eval(ast.unparse(given), namespace) for given in ast.parse(call).body[0].value.args[1:]]


class Crashing:
    """Whatever is asked of it, it stops with an error."""

    def __getattr__(self, name):
        raise RuntimeError(name)


def crash(*_):
    raise RuntimeError("crash")


ODD = (
    None,
    True,
    0,
    -1,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "x" * 999,
    "../data/x.jsonl",
    "{odd}",
    b"",
    object(),
    crash,
)
ODD += (
    [],
    [None],
    [[1]],
    {},
    {"a": None},
    {1: [2]},
    pandas.DataFrame({"a": [1]}),
    pandas.Series([1.5]),
    Crashing(),
)


def assert_odd_values_are_answered(exercise: str, good: list) -> None:
    """With each value in turn in each place: no crash, and no text with a placeholder in it."""
    for place, odd in itertools.product(range(len(good)), ODD):
        said = teach.answer(exercise, *good[:place], odd, *good[place + 1 :])
        assert re.match("Right. |Not yet. ", said), (exercise, place, odd)
        left = re.search(r"\{[a-z_]\w*[!:.\[\]\w ]*\}", said.replace("{odd}", "").replace(str(odd), ""))
        assert not left, (exercise, place, odd, said)


@pytest.mark.parametrize("lesson", EXERCISES)
def test_no_value_whatever_it_is_makes_a_check_crash_or_show_a_placeholder(lesson):
    for name, task in read(EXERCISES[lesson]).items():
        for odd in ODD:
            assert_odd_values_are_answered(f"{lesson}-{name}", [odd] * len(task["values"]))


@pytest.mark.parametrize("lesson", EXERCISES)
def test_exercises_of_a_lesson(lesson, monkeypatch, capsys, tmp_path):
    """Runs the lesson; at each check: the starting cell fails, each mistake gets its own hint, the solution passes."""
    monkeypatch.chdir(refresh.NOTEBOOKS)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # connect() sets them: put back afterwards
    monkeypatch.setattr(widgets, "monitor", lambda *_: None)  # it needs a kernel
    monkeypatch.setenv("COURSE_MY", str(tmp_path / "my"))  # the learner's own stays as it is
    trained_once.install(monkeypatch)
    cells = refresh.read(LESSONS[lesson]).cells
    tasks, met, namespace = read(EXERCISES[lesson]), [], {"display": display}
    for place, cell in enumerate(cells):
        if cell.cell_type != "code":
            continue
        call = re.match(r'check\("(?:\d\d|[a-z]+)-([\w-]+)"', cell.source)
        if not call:
            exec(cell.source, namespace)
            continue
        task = tasks[call[1]]
        parts = [source for source in exercise_cells(cells, place) if "train(" not in source]
        assert answer_to("", parts, cell.source, namespace, capsys).startswith("Not yet. ")
        for hint in task["hints"]:
            said = answer_to(hint["mistake"], parts, cell.source, namespace, capsys)
            assert said.startswith("Not yet. "), hint["mistake"]
            assert re.fullmatch(re.sub(r"\\\{.*?\\\}", ".+", re.escape("Not yet. " + hint["say"])), said)
        said = answer_to(solution(cells, place), parts, cell.source, namespace, capsys)
        assert said.startswith("Right. "), said
        assert_odd_values_are_answered(f"{lesson}-{call[1]}", arguments(cell.source, namespace))
        if "saves" in task:
            assert said.endswith(" Written to my/decision.md.")
            assert f"\n## {task['saves']}\n" in memo.place().read_text(encoding="utf-8")
        else:
            assert not memo.place().exists()
        met.append(call[1])
    assert met == list(tasks)


@pytest.mark.parametrize("lesson", EXERCISES)
def test_each_exercise_knows_three_mistakes(lesson):
    for name, task in read(EXERCISES[lesson]).items():
        assert len({hint["say"] for hint in task["hints"]}) == len(task["hints"]) >= MIN_MISTAKES, name
        assert len({hint["mistake"] for hint in task["hints"]}) == len(task["hints"]), name


def texts(task: dict) -> dict[str, str]:
    """All that a check can print of an exercise, by its place."""
    found = {"right": task["right"]["say"], "otherwise": task["otherwise"]}
    for number, hint in enumerate(task["hints"]):
        found |= {f"hint {number} {kind}": hint[kind] for kind in ("say", "stopped") if kind in hint}
    return found


@pytest.mark.parametrize("lesson", EXERCISES)
def test_no_text_can_show_a_raw_placeholder(lesson):
    """Every text is filled in with the values (tests/unit/test_teach.py); here: all that they name is a value."""
    for name, task in read(EXERCISES[lesson]).items():
        (kind,) = {"when", "parts", "lines"} & set(task["right"])
        known = {*task["values"], *{"when": (), "parts": ("wrong", "empty"), "lines": ("missing",)}[kind]}
        for place, text in texts(task).items():
            fields = [field for _, field, _, _ in string.Formatter().parse(text) if field is not None]
            roots = {re.match(r"\w*", field)[0] for field in fields}
            assert roots <= known, f"{name}, {place}: {text}"
            if place == "otherwise":  # nothing is known of the values, so no part of one can be named
                assert set(fields) <= known, f"{name}: {text}"


# --- quizzes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUIZZES)
def test_one_option_is_right_and_each_is_explained(name):
    questions = read(QUIZZES[name])["question"]
    assert len({question["ask"] for question in questions}) == len(questions)
    for question in questions:
        options = question["options"]
        assert len(options) >= 3, question["ask"]
        assert [option.get("right", False) for option in options].count(True) == 1, question["ask"]
        for key in ("text", "why"):
            assert len({option[key] for option in options if option[key].strip()}) == len(options)


@pytest.mark.parametrize("name", QUIZZES)
def test_the_right_option_cannot_be_told_from_its_place(name):
    places = [
        [option.get("right", False) for option in question["options"]].index(True)
        for question in read(QUIZZES[name])["question"]
    ]
    assert len(set(places)) == 3 or max(map(places.count, places)) <= len(places) / 2


@pytest.mark.parametrize("name", QUIZZES)
def test_the_heading_that_answers_is_in_the_lesson(name):
    for question in read(QUIZZES[name])["question"]:
        lesson = question.get("lesson", name)
        if lesson in LESSONS:  # a question whose lesson is not written yet gets its heading with it
            texts = [text for _, text in frame.headings(refresh.read(LESSONS[lesson]))]
            assert question.get("heading") in texts, f"{name}: {question['ask']}"
        else:
            assert name == "concepts" and "heading" not in question, question["ask"]


def test_the_concept_questions_are_six():
    assert len(read(QUIZZES["concepts"])["question"]) == 6


# --- lessons ---------------------------------------------------------------------------------------------


def test_every_lesson_has_its_tasks():
    lacking = {path.stem for path in refresh.lessons() if frame.tasks(refresh.read(path))}
    assert lacking == WITHOUT_TASKS & {path.stem for path in refresh.lessons()}


@pytest.mark.parametrize("number", sorted({*EXERCISES, *QUIZZES} - {"concepts"}))
def test_a_lesson_uses_its_own_files(number):
    notebook = refresh.read(LESSONS[number])
    if number in EXERCISES:
        assert frame.calls(notebook, "check") == [f"{number}-{name}" for name in read(EXERCISES[number])]
    if number in QUIZZES:
        assert number in frame.calls(notebook, "quiz")


@pytest.mark.parametrize("path", refresh.lessons(), ids=lambda path: path.stem)
def test_no_explanation_of_a_quiz_stands_in_a_notebook(path):
    text = path.read_text(encoding="utf-8")
    for quiz in QUIZZES.values():
        for question in read(quiz)["question"]:
            assert not [option["why"] for option in question["options"] if option["why"] in text]


# --- claims ----------------------------------------------------------------------------------------------


def test_every_claim_has_a_lesson_a_test_a_verdict_and_a_source():
    with open(teach.DATA / "claims.csv", encoding="utf-8", newline="") as file:
        claims = list(csv.DictReader(file))
    assert [int(claim["number"]) for claim in claims] == list(range(1, 26))
    for claim in claims:
        assert None not in claim and all(
            claim[key] for key in ("claim", "how_tested", "verdict", "source")
        ), claim
        assert re.fullmatch(r"(0\d|1[0-2])( (0\d|1[0-2]))*", claim["lessons"]), claim
        days = [date.fromisoformat(claim[key]) for key in ("held_from", "held_until") if claim[key]]
        assert days == sorted(days), claim
