"""The tool that writes the lessons back: what it computes, what it keeps, and that a failure changes nothing."""

import shutil

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from tests.notebooks import refresh

CODE = 'import os\nprint("file-" + os.urandom(12).hex(), 1 + 1)'


@pytest.fixture
def course(tmp_path):
    """Three small lessons in a folder, not executed."""
    for name, title in [("00_a", "Start"), ("01_b", "Decide"), ("02_c", "Prepare")]:
        cells = [nbformat.v4.new_markdown_cell(f"# {title} well"), nbformat.v4.new_code_cell(CODE)]
        text = nbformat.writes(nbformat.v4.new_notebook(cells=cells))
        (tmp_path / f"{name}.ipynb").write_text(text, encoding="utf-8")
    shutil.copy(tmp_path / "00_a.ipynb", tmp_path / "starter.ipynb")
    return tmp_path


def test_lessons_come_in_order_and_the_starter_last(course):
    assert [path.stem for path in refresh.notebooks(course)] == ["00_a", "01_b", "02_c", "starter"]
    assert [path.stem for path in refresh.lessons(course)] == ["00_a", "01_b", "02_c"]


def test_links_lead_to_the_neighbours(course):
    assert refresh.links_line(course / "00_a.ipynb") == "Next: [Decide well](01_b.ipynb)"
    middle = "Previous: [Start well](00_a.ipynb) · Next: [Prepare well](02_c.ipynb)"
    assert refresh.links_line(course / "01_b.ipynb") == middle
    assert refresh.links_line(course / "02_c.ipynb") == "Previous: [Decide well](01_b.ipynb)"


def test_minutes_are_words_code_cells_and_exercises(course):
    text = nbformat.v4.new_markdown_cell("word " * 897 + "\n### Exercise 1")  # 900 words
    cells = [text, nbformat.v4.new_code_cell("1"), nbformat.v4.new_code_cell("2")]
    line = refresh.minutes_line(cells, course / "01_b.ipynb")
    assert line == "Lesson 1 · about 5 minutes to read, 8 to do (estimate)"


def test_an_extra_page_has_minutes_and_links(course, monkeypatch):
    monkeypatch.setitem(refresh.PAGES, "starter", "01")
    path = course / "starter.ipynb"
    head, foot = (cell.source for cell in refresh.in_standard_form(refresh.read(path), path).cells[1::2])
    assert foot == "Belongs to: [Decide well](01_b.ipynb) · Next lesson: [Prepare well](02_c.ipynb)"
    assert head == f"Extra page · about 1 minute to read, 1 to do (estimate)\n\n{foot}"
    assert not refresh.is_lesson(path) and refresh.is_page(path)


def test_a_printed_key_of_the_mock_is_not_kept(course):
    path = course / "02_c.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("file-", "sk-local-"), encoding="utf-8")
    refresh.refresh(path)
    assert refresh.code_cells(refresh.read(path))[0].outputs[0].text == "sk-local-<token> 2\n"
    assert refresh.refresh(path) is False


def test_ids_come_from_the_text(course):
    notebook = refresh.read(course / "starter.ipynb")
    notebook.cells.append(nbformat.v4.new_code_cell(CODE))
    ids = [cell.id for cell in refresh.in_standard_form(notebook, course / "starter.ipynb").cells]
    assert ids[2] == f"{ids[1]}-2"
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell("New"))
    assert [cell.id for cell in refresh.in_standard_form(notebook, course / "x.ipynb").cells][1:] == ids


def test_refreshing_again_changes_nothing_although_ids_are_random(course):
    path = course / "01_b.ipynb"
    assert refresh.refresh(path) is True
    first = path.read_bytes()
    code = refresh.code_cells(refresh.read(path))
    assert [cell.execution_count for cell in code] == [1]
    assert code[0].outputs[0].text.endswith(" 2\n")
    assert [cell.metadata.get("tags") for cell in refresh.read(path).cells] == [
        None,
        ["generated"],
        None,
        ["generated"],
    ]
    assert refresh.refresh(path) is False
    assert path.read_bytes() == first


def test_new_outputs_are_written(course):
    path = course / "02_c.ipynb"
    refresh.refresh(path)
    path.write_text(path.read_text(encoding="utf-8").replace("1 + 1", "1 + 2"), encoding="utf-8")
    assert refresh.refresh(path) is True
    assert refresh.code_cells(refresh.read(path))[0].outputs[0].text.endswith(" 3\n")


def test_a_failing_notebook_is_left_as_it_was(course):
    path = course / "00_a.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("1 + 1", "1 / 0"), encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        refresh.refresh(path)
    assert path.read_bytes() == before
    assert sorted(file.name for file in course.iterdir()) == [
        "00_a.ipynb",
        "01_b.ipynb",
        "02_c.ipynb",
        "starter.ipynb",
    ]


def test_a_lesson_runs_blocked_from_the_network(course, tmp_path, monkeypatch):
    monkeypatch.setenv("NETWORK_LOG", str(tmp_path / "meant.log"))
    notebook = refresh.read(course / "starter.ipynb")
    notebook.cells[1].source = "import socket\nsocket.create_connection(('192.0.2.1', 80))"
    with pytest.raises(CellExecutionError, match="The tests block the network"):
        refresh.execute(notebook, course)
