"""Lessons 04 and 05 with the model that is really trained: one line is changed, and every cell still runs. The starter
takes that model by itself.

Lesson 03 names no model, so what the other tests run is the same. Only that nothing fails is looked at, not what the
model says. The weights are tiny and random; the real ones learn in the soak tier. They train on a few
rows, as files of the reader's own: lesson 04 trains for some 60 epochs. Lesson 05 finds what 04 has trained.
"""

import shutil
from pathlib import Path

import nbformat
import pytest

from helpers import mine
from helpers.local_api.engines import trained
from tests import nursery, tiny_model
from tests.notebooks import refresh

LINE = 'MODEL = "gpt-3.5-turbo"'
CELL_SECONDS = 1800
TINY, REAL = 10, 24  # rows to train on, for either kind of weights
STARTED = 16  # rows that the starter divides for itself
VALIDATED = 4
# The tiny model never ends an answer by itself, and nobody looks at what it says.
BRIEF = """from helpers.local_api.engines.trained import serving

serving.DEFAULT_TOKENS = 24"""


def with_model(name: str):
    """The lesson with this one line changed."""
    (path,) = refresh.NOTEBOOKS.glob(f"{name}_*.ipynb")
    notebook = refresh.read(path)
    found = [cell for cell in refresh.code_cells(notebook) if LINE in cell.source]
    assert len(found) == 1, f"lesson {name} sets its model in one place"
    found[0].source = found[0].source.replace(LINE, f'MODEL = "{trained.MODEL}"')
    return notebook


def with_less_data(folder: Path, rows: int) -> Path:
    """A folder to run lessons in, next to a copy of the data and to files of the reader's own with so many rows."""
    shutil.copytree(refresh.ROOT / "data", folder / "data")
    (folder / "my").mkdir()
    for name, count in (("train.jsonl", rows), ("valid.jsonl", VALIDATED), ("test.jsonl", VALIDATED)):
        airport = mine.AIRPORT / mine.FILES[name]
        (folder / "my" / name).write_bytes(b"".join(airport.read_bytes().splitlines(keepends=True)[:count]))
    (folder / "notebooks").mkdir()
    return folder / "notebooks"


def execute(notebook, folder: Path, *before: str) -> None:
    """Runs it there after these cells, its training processes forked from one that has imported torch."""
    nursery.start()
    notebook.cells[:0] = [nbformat.v4.new_code_cell(source) for source in (nursery.USED, *before)]
    refresh.execute(notebook, folder, CELL_SECONDS)


def printed(notebook) -> str:
    outputs = [output for cell in refresh.code_cells(notebook) for output in cell.outputs]
    return "\n".join(str(output.get("text") or output.get("data", "")) for output in outputs)


@pytest.fixture(scope="module")
def course(tmp_path_factory, count) -> Path:
    """The folder for these lessons, with a state folder beside it."""
    return with_less_data(tmp_path_factory.mktemp("course"), count)


@pytest.mark.slow
@pytest.mark.endurance(sample=TINY, soak=REAL)
@pytest.mark.parametrize("name", ["04", "05"])
def test_a_lesson_runs_with_the_model_that_is_really_trained(name, course, monkeypatch, count):
    monkeypatch.setenv("LOCAL_API_HOME", str(course.with_name("state")))
    monkeypatch.setenv("COURSE_MY", str(course.with_name("my")))
    monkeypatch.delenv("LOCAL_API_WEIGHTS", raising=False)
    if count == TINY:
        monkeypatch.setenv("LOCAL_API_WEIGHTS", str(tiny_model.shared()))
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        monkeypatch.setenv("LOCAL_API_THREADS", "1")
    notebook = with_model(name)
    execute(notebook, course, *([BRIEF] if count == TINY else []))
    assert f"ft:{trained.MODEL}:" in printed(notebook) or "this-computer" in printed(notebook)


@pytest.mark.slow
def test_the_starter_takes_the_model_that_is_really_trained_by_itself(tmp_path, monkeypatch):
    for name, value in {
        "LOCAL_API_HOME": str(tmp_path / "state"),
        "COURSE_MY": str(tmp_path / "my"),
        "COURSE_MODEL": "",
        "LOCAL_API_WEIGHTS": str(tiny_model.shared()),
        "OMP_NUM_THREADS": "1",
        "LOCAL_API_THREADS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    folder = with_less_data(tmp_path, TINY)
    file = tmp_path / "data" / "airport" / "train.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:STARTED]))
    notebook = refresh.read(refresh.NOTEBOOKS / "starter.ipynb")
    (settings,) = [cell for cell in refresh.code_cells(notebook) if "FILE = mine.path" in cell.source]
    settings.source += '\nFILE, EPOCHS = "../data/airport/train.jsonl", 1'
    execute(notebook, folder, BRIEF)
    assert f"tuned model: ft:{trained.MODEL}:" in printed(notebook)
    (saved,) = (tmp_path / "my" / "starter").glob("results-*.json")
    assert trained.MODEL in saved.read_text(encoding="utf-8")
