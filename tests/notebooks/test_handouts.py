"""Exercise sheets fail exactly where a learner must write, and solutions pass. What the shortest agenda shows, runs."""

import os

import pytest
from IPython.display import display

from helpers import widgets
from tests import trained_once
from tests.agendas import AGENDAS, LESSONS, rows, sections
from tests.notebooks import frame, refresh
from workshop import pieces, sheets

QUICK = {"01", "02", "03"}  # each a second or two
each_lesson = pytest.mark.parametrize(
    "number", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in LESSONS]
)


@pytest.fixture
def as_in_a_lesson(monkeypatch, tmp_path):
    """The folder, the environment and the widgets of a lesson that runs without a kernel."""
    monkeypatch.chdir(refresh.NOTEBOOKS)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # connect() sets them: put back afterwards
    monkeypatch.setattr(widgets, "monitor", lambda *_: None)
    monkeypatch.setenv("COURSE_MY", str(tmp_path / "my"))
    trained_once.install(monkeypatch)


def sheet_and_solutions(number: str) -> tuple[list[str], list[str]]:
    """The code of a lesson's sheet, and that of its solutions."""
    path = LESSONS[number]
    made = [sheets.sheet(refresh.read(path), path.name, solved) for solved in (False, True)]
    sheet, solutions = ([cell.source for cell in refresh.code_cells(one)] for one in made)
    return sheet, solutions


def added(sheet: list[str], solutions: list[str]) -> list[int]:
    """The places of the cells that the solutions have more; but for these the two are the same."""
    left, found = list(sheet), []
    for place, source in enumerate(solutions):
        if left and source == left[0]:
            left.pop(0)
        else:
            found.append(place)
    assert not left, f"the solutions lack {left[0]!r}"
    return found


def what_checks_say(number: str, capsys) -> tuple[dict[str, str], dict[str, str]]:
    """Runs the solutions, and each exercise first as it stands on the sheet. The first words that each check says both
    times: "Right" or "Not yet"."""
    sheet, solutions = sheet_and_solutions(number)
    places, namespace, before, after = added(sheet, solutions), {"display": display}, {}, {}

    def run(source: str, said: dict[str, str]) -> bool:
        capsys.readouterr()
        exec(source, namespace)
        if found := pieces.CHECK.search(source):
            said[found[1]] = capsys.readouterr().out.partition(". ")[0].strip()
        return found is not None

    for place, source in enumerate(solutions):
        if place in places and source != sheets.APART:
            assert any(run(later, before) for later in solutions[place + 1 :])  # up to the check
        run(source, after)
    return before, after


@each_lesson
def test_each_check_says_not_yet_on_the_sheet_and_right_with_the_solutions(
    number, as_in_a_lesson, tmp_path, capsys
):
    checks = frame.calls(refresh.read(LESSONS[number]), "check")
    assert checks or number == "99"
    before, after = what_checks_say(number, capsys)
    assert before == dict.fromkeys(checks, "Not yet") and after == dict.fromkeys(checks, "Right")
    assert not (tmp_path / "my").exists()  # a solution writes nothing into the reader's own folder


@pytest.mark.slow
def test_the_cells_of_the_ninety_minutes_run_in_their_order(as_in_a_lesson):
    """Each lesson has a kernel of its own, which is still there when the agenda comes back to it."""
    namespaces, ran = {}, 0
    for _, _, number, headings in rows(AGENDAS[0]):
        cells = [piece for name in headings for piece in sections(number)[name] if piece.cell_type == "code"]
        for cell in cells:
            exec(cell.source, namespaces.setdefault(number, {"display": display}))
        ran += len(cells)
    assert ran >= 30
