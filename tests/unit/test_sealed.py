"""The sealed tests stay sealed: lessons 06 and 09 open the airport's in one code cell each, lesson 11 the timetable's,
and nothing else does.

``evaluate.sealed()`` gives out the rows of data/airport/sealed.jsonl as the recorded run has asked them,
``evaluate.timetable_rows("sealed")`` those of data/timetable/sealed.jsonl. In code only the files of MAY_OPEN may name
a sealed test, and only those of MAY_HOLD may hold a question of it.
"""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import evaluate
from tests.environment import ROOT

LESSONS = {  # lesson -> the call that opens the test, in one cell
    "notebooks/06_find_out.ipynb": "evaluate.sealed()",
    "notebooks/09_train_a_real_model.ipynb": "evaluate.sealed()",
    "notebooks/11_teach_by_reward.ipynb": 'evaluate.timetable_rows("sealed")',
}
FIRST, SECOND, _ = LESSONS
MAY_OPEN = {
    "data/recorded/changed.py",  # leaves them out
    "data/recorded/make.py",  # asks the questions
    "data/recorded/score.py",
    "data/recorded/timetable.py",  # asks the questions
    "data/recorded/timetable_score.py",
    "data/recorded/verdicts.py",
    "helpers/evaluate/__init__.py",
    "helpers/evaluate/record.py",  # gives the rows out
    "tests/recount.py",  # counts again
    "tests/unit/test_airport_data.py",
    "tests/unit/test_claims.py",
    "tests/unit/test_evaluate.py",
    "tests/unit/test_lesson_06.py",  # count again what the lessons show
    "tests/unit/test_lesson_09.py",
    "tests/unit/test_lesson_11.py",
    "tests/unit/test_scoreboard.py",
    "tests/unit/test_sealed.py",
    "tests/unit/test_timetable.py",
    "tests/unit/test_timetable_recorded.py",
}
MAY_HOLD = {
    "data/airport/sealed.jsonl",
    "data/recorded/answers.jsonl",  # a model may repeat its question
    "data/recorded/questions.jsonl",
    "data/recorded/timetable_answers.jsonl",
    "data/timetable/sealed.jsonl",
}
CODE = (".py", ".ipynb", ".toml", ".csv")
NAME = re.compile(r"(?<![a-z])sealed(?![a-z])", re.IGNORECASE)  # sealed_new, too
OPENING = re.compile(r"\.sealed\b|\bsealed\(|\bsealed_(?:paraphrase|new)\b|\bsealed\.jsonl|[\"']sealed[\"']")
RECORDED = re.compile(r"questions\.jsonl")
ID = re.compile(r"\b(?:s(?:0(?!00)\d\d|1[01]\d|120)|z(?:0(?!00)\d\d|1[0-4]\d|150))\b")
SHOWN = 40  # letters: pandas cuts a long question off, and its beginning tells enough


def rows_of(folder: str) -> list[dict]:
    lines = (ROOT / "data" / folder / "sealed.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


ROWS = rows_of("airport")
TIMETABLE = rows_of("timetable")
QUESTIONS = [row["question"] for row in ROWS + TIMETABLE]


# --- the search --------------------------------------------------------------------------------------------


def project_files(root: Path) -> list[str]:
    """The files of a project as git knows them, new ones too; without git all but hidden and learners' own."""
    if (root / ".git").exists() and shutil.which("git"):
        command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
        if listed.returncode == 0:
            return sorted(name for name in set(listed.stdout.split("\0")) if (root / name).is_file())
    paths = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    skipped = ("my", "__pycache__")
    return sorted(
        path.as_posix()
        for path in paths
        if not any(part.startswith(".") or part in skipped for part in path.parts)
    )


def read(path: Path) -> str:
    """The text of a file; nothing of a file that is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def code(path: Path) -> list[str]:
    """The code of a file in parts: of a notebook its code cells, and the code that its other cells show."""
    if path.suffix != ".ipynb":
        return [read(path)]
    parts = []
    for cell in json.loads(read(path))["cells"]:
        source = "".join(cell["source"])
        parts += (
            [source] if cell["cell_type"] == "code" else re.findall(r"```\w*\n(.*?)```", source, re.DOTALL)
        )
    return parts


def strings(value: object) -> Iterator[str]:
    """All texts in a JSON value, such as a notebook's sources and outputs."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings(one)


def plain(text: str) -> str:
    """The words of a text with one space between them, without capitals, signs and HTML's way to write signs."""
    return " ".join(re.findall(r"\w+", html.unescape(text).lower()))


def naming(root: Path, pattern: re.Pattern) -> dict[str, int]:
    """The code that the pattern fits: path -> in how many cells; 1 for a file that is no notebook."""
    counts = {
        name: sum(bool(pattern.search(part)) for part in code(root / name))
        for name in project_files(root)
        if name.endswith(CODE)
    }
    return {name: count for name, count in counts.items() if count}


def openings(root: Path) -> set[str]:
    """The files that name the sealed test and may not."""
    return set(naming(root, NAME)) - MAY_OPEN - set(LESSONS)


def leaks(root: Path) -> set[tuple[str, str]]:
    """Every (file, sealed question) where the question, or the beginning of it, can be read and must not."""
    beginnings = {question: plain(question)[:SHOWN] for question in QUESTIONS}
    found = set()
    for name in project_files(root):
        if name not in MAY_HOLD:
            text = read(root / name)
            texts = strings(json.loads(text)) if name.endswith(".ipynb") else [text]
            words = plain("\n".join(texts))
            found |= {(name, question) for question, beginning in beginnings.items() if beginning in words}
    return found


def named_ids(root: Path) -> set[str]:
    """The files of a course, not of the recorded run, in which the id of a sealed row stands."""
    return {
        name
        for name in project_files(root)
        if name.endswith(CODE)
        and not name.startswith("data/recorded/")
        and name not in MAY_OPEN
        and ID.search(read(root / name))
    }


# --- the project -------------------------------------------------------------------------------------------


def test_only_three_lessons_name_the_sealed_test_in_code():
    assert openings(ROOT) == set()


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda name: name[10:12])
def test_a_lesson_opens_the_sealed_test_in_exactly_one_code_cell(lesson):
    cells = [part for part in code(ROOT / lesson) if OPENING.search(part)]
    assert len(cells) == 1
    assert cells[0].count(LESSONS[lesson]) == 1


def test_recorded_questions_are_read_by_evaluate_and_the_recorded_run_only():
    """They hold the sealed ones, so a lesson that reads the file itself would open the seal unseen."""
    read_by = {name for name in naming(ROOT, RECORDED) if not name.startswith("tests/")}
    assert read_by <= MAY_OPEN


def test_no_file_shows_a_sealed_question():
    assert leaks(ROOT) == set()


def test_no_file_names_the_id_of_a_sealed_row():
    assert named_ids(ROOT) == set()


def test_evaluate_gives_the_sealed_rows_out_under_no_other_name():
    recorded = (ROOT / "data/recorded/questions.jsonl").read_text(encoding="utf-8").splitlines()
    kinds = {json.loads(line)["kind"] for line in recorded}
    others = [kind for kind in kinds if not kind.startswith("sealed_")]
    given = evaluate.questions() + evaluate.questions(*others)
    assert not {row["question"] for row in given} & set(QUESTIONS)


def test_evaluate_gives_out_the_sealed_rows():
    assert evaluate.sealed() == ROWS


# --- the search finds what it looks for --------------------------------------------------------------------

COPIED = (
    "notebooks/02_prepare_data.ipynb",
    *LESSONS,
    "notebooks/starter.py",
    "helpers/costs.py",
    "helpers/evaluate/record.py",
    "data/airport/make_with_rules.py",
    "data/airport/practice.jsonl",
    "data/airport/sealed.jsonl",
    "data/timetable/sealed.jsonl",
    "data/timetable/train.jsonl",
    "data/claims.csv",
    "data/exercises/06.toml",
    "data/README.md",
)


@pytest.fixture
def copy(tmp_path):
    """A part of the project, in a folder that git does not know."""
    for name in COPIED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def add(path: Path, text: str) -> None:
    path.write_text(read(path) + text + "\n", encoding="utf-8")


def add_cell(path: Path, **cell) -> None:
    notebook = json.loads(read(path))
    notebook["cells"].append({"cell_type": "code", "metadata": {}, "source": [], "outputs": []} | cell)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def test_without_git_the_same_files_are_searched(copy):
    assert project_files(copy) == sorted(COPIED)
    assert set(COPIED) <= set(project_files(ROOT))
    (copy / ".venv").mkdir()
    (copy / "my").mkdir()
    add_to = [copy / ".venv" / "one.py", copy / "my" / "two.py"]
    for path in add_to:
        path.write_text("evaluate.sealed()\n", encoding="utf-8")
    assert openings(copy) == set()


def test_in_the_copy_nothing_is_found_before_something_is_planted(copy):
    assert (openings(copy), leaks(copy), named_ids(copy)) == (set(), set(), set())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("notebooks/starter.py", "rows = evaluate.sealed()"),
        ("helpers/costs.py", 'rows = questions("sealed_new")'),
        ("helpers/new.py", "from .evaluate import sealed"),
        ("helpers/new.py", 'rows = timetable_rows("sealed")'),
        ("data/airport/make_with_rules.py", 'rows = read_jsonl("sealed.jsonl")'),
        ("data/exercises/06.toml", 'right = "rows in evaluate.sealed()"'),
        ("data/claims.csv", "99,something,06,on the sealed test,true"),
    ],
)
def test_a_planted_use_is_found(name, text, copy):
    (copy / name).touch()
    add(copy / name, text)
    assert openings(copy) == {name}


@pytest.mark.parametrize(
    "cell",
    [
        {"source": ["rows = 3\n", "rows = evaluate.sealed()"]},
        {"cell_type": "markdown", "source": ["Solution:\n\n```python\n", "evaluate.sealed()\n", "```\n"]},
    ],
    ids=["code", "markdown"],
)
def test_a_planted_use_in_a_notebook_is_found(cell, copy):
    add_cell(copy / COPIED[0], **cell)
    assert openings(copy) == {COPIED[0]}


def test_what_a_lesson_says_about_sealed_tests_is_no_use(copy):
    add_cell(copy / COPIED[0], cell_type="markdown", source=["Lesson 06 opens a sealed test."])
    assert openings(copy) == set()


def test_a_second_opening_in_a_lesson_is_counted(copy):
    before = naming(copy, OPENING).get(FIRST, 0)
    add_cell(copy / FIRST, source=["rows = evaluate.sealed()"])
    add_cell(copy / FIRST, source=['rows = evaluate.questions("sealed_paraphrase")'])
    add_cell(copy / FIRST, source=['rows = evaluate.timetable_rows("sealed")'])
    assert naming(copy, OPENING)[FIRST] == before + 3


@pytest.mark.parametrize(
    "show",
    [str, str.upper, html.escape, lambda text: text.replace(" ", "\n  "), lambda text: f"{text[:47]}..."],
    ids=["plain", "capitals", "html", "wrapped", "cut off"],
)
@pytest.mark.parametrize("question", [QUESTIONS[0], QUESTIONS[18], QUESTIONS[-1]])
def test_a_planted_question_is_found(question, show, copy):
    add(copy / "data/README.md", f"Somebody asks: {show(question)}")
    output = {"output_type": "stream", "name": "stdout", "text": show(question).splitlines(keepends=True)}
    add_cell(copy / SECOND, outputs=[output])
    assert leaks(copy) == {("data/README.md", question), (SECOND, question)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *[("s001", True), ("s099", True), ("s120", True), ("s000", False), ("s121", False)],
        *[("z001", True), ("z099", True), ("z150", True), ("z000", False), ("z151", False)],
    ],
)
def test_a_planted_id_is_found(text, found, copy):
    add(copy / "data/exercises/06.toml", f'right = "{text}"')
    assert named_ids(copy) == ({"data/exercises/06.toml"} if found else set())


def test_a_planted_reader_of_the_recorded_questions_is_found(copy):
    add_cell(copy / COPIED[0], source=['rows = open("../data/recorded/questions.jsonl")'])
    assert COPIED[0] in naming(copy, RECORDED)
