"""Every notebook of the course keeps to the frame, and the checks of the frame find what they are for."""

from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from tests.notebooks import frame, refresh

MAX_HELPER_NAMES_IN_ALL = 12


@pytest.mark.parametrize("path", refresh.notebooks(), ids=lambda path: path.stem)
def test_notebook(path):
    assert frame.problems_of_any_notebook(refresh.read(path), path) == []


@pytest.mark.parametrize("path", refresh.lessons(), ids=lambda path: path.stem)
def test_lesson(path):
    assert frame.problems_of_a_lesson(refresh.read(path)) == []


@pytest.mark.parametrize("name", refresh.PAGES)
def test_page(name):
    notebook = refresh.read(refresh.NOTEBOOKS / f"{name}.ipynb")
    assert frame.problems_of_a_page(notebook) == []
    assert [path for path in refresh.lessons() if path.name.startswith(refresh.PAGES[name])]


@pytest.mark.parametrize("path", refresh.notebooks(), ids=lambda path: path.stem)
def test_no_date_is_typed_into_the_text(path):
    """A date is a fact of a table: a cell reads it there and prints it."""
    cells = [cell for cell in refresh.read(path).cells if cell.cell_type == "markdown"]
    assert [cell.source for cell in cells if frame.ISO_DATE.search(cell.source)] == []


def test_a_learner_meets_few_helpers():
    names = set().union(*(frame.helper_names(refresh.read(path)) for path in refresh.lessons()))
    assert len(names) <= MAX_HELPER_NAMES_IN_ALL, sorted(names)


# --- the checks themselves -------------------------------------------------------------------------------

GOOD = [
    "# Start here",
    "## What you'll do\n\n## What you'll learn\n\n## What you'll need\n\n## Count\n\nOne.",
    ("from helpers.connect import connect", 1, []),
    "### Again\n\n```\n# no heading\n```\n![a chart](chart.png)",
    ("2", 2, ["nbval-ignore-output"]),
    "Compare:",
    ("3", 3, []),
    "## Try it\n\n### Exercise 1\n\nDo.",
    "## What you take home\n\nNumbers.",
]


def lesson(cells: list) -> NotebookNode:
    """A notebook from texts (Markdown) and (source, count, tags) (code)."""
    made = []
    for cell in cells:
        if isinstance(cell, str):
            made.append(nbformat.v4.new_markdown_cell(cell))
        else:
            source, count, tags = cell
            made.append(
                nbformat.v4.new_code_cell(
                    source, execution_count=count, metadata={"tags": tags} if tags else {}
                )
            )
    return nbformat.v4.new_notebook(cells=made)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "03_upload.ipynb"


def problems(notebook: NotebookNode, path: Path) -> list[str]:
    path.write_text(refresh.as_text(notebook), encoding="utf-8")
    notebook = refresh.in_standard_form(notebook, path)
    path.write_text(refresh.as_text(notebook), encoding="utf-8", newline="\n")
    return frame.problems_of_any_notebook(notebook, path) + frame.problems_of_a_lesson(notebook)


def test_a_good_lesson_has_no_problem(path):
    assert problems(lesson(GOOD), path) == []


def changed(place: int, cell: object) -> list:
    return GOOD[:place] + [cell] + GOOD[place + 1 :]


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (changed(0, "# Welcome"), "the H1 begins with 'Welcome'"),
        (changed(0, "# Start\n# Again"), "the only H1"),
        (changed(0, "Start\n# Start"), "the only H1"),
        (changed(1, "## What you'll learn\n## What you'll do"), "the first H2s are"),
        (changed(1, GOOD[1].replace("## Count", "Count")), "there must be steps"),
        (changed(8, "The end."), "the last H2s are"),
        (changed(7, "## Try it\n#### Exercise"), "has level 4 after level 2"),
        (changed(2, ("1", None, [])), "execution counts are [None, 2, 3]"),
        (changed(2, ("1", 4, [])), "execution counts are [4, 2, 3]"),
        (changed(2, ("\n".join(["1"] * 16), 1, [])), "16 lines in the code cell '1'"),
        (changed(5, ("4", 3, [])), "no text before the code cell '3'"),
        (changed(2, ("1", 1, ["nbval-ignore-output"])), "more than one cell is tagged"),
        (changed(6, "No code."), "is not followed by a code cell that is compared"),
        (changed(6, ("3", 3, ["nbval-skip"])), "a cell is tagged nbval-skip"),
        (changed(6, ("# NBVAL_IGNORE_OUTPUT\n3", 3, [])), "has an NBVAL_ comment"),
        (changed(6, ("from helpers.a import b, c, d, e", 3, [])), "5 names from helpers, more than 3"),
        (changed(6, ("open('/home/ann/x')", 3, [])), "absolute path: /home/a"),
        (changed(6, (r"open('C:\\ann')", 3, [])), "absolute path: C:"),
        (changed(5, "Use sk-proj-0123456789"), "looks like a key: sk-pro..."),
        (changed(5, "`Authorization: Bearer abcdefghijklmnop`"), "looks like a key: Bearer..."),
        (changed(5, "![](chart.png)"), "image without alt text: ![](chart.png)"),
        (changed(5, "<img src='chart.png'>"), "image without alt text: <img"),
        (changed(5, "x" * 300_000), "more than 300000"),
        (
            changed(6, ("for check in 'ab':\n    print(check)", 3, [])),
            "'check' is a helper, and something else",
        ),
        (changed(5, '<div class="alert alert-info">Mind.</div>'), 'an alert box: class="alert'),
        (changed(5, "<p title='a' CLASS = 'box alert'>Mind.</p>"), "an alert box: CLASS = 'box alert"),
        (changed(5, "<p class=alert-warning>Mind.</p>"), "an alert box: class=alert"),
        (changed(5, "It costs $8."), "figure in the text: 'It costs $8'"),
        (changed(5, "90 % were right, see the 95 % interval."), "figure in the text: '90 %'"),
        (changed(5, "It is 3x dearer."), "figure in the text: 'It is 3x'"),
        (changed(5, "Wait 20 minutes."), "figure in the text: 'Wait 20 minutes'"),
        (changed(5, "At most 512 MB."), "figure in the text: 'At most 512 MB'"),
        (changed(5, "Gone since May 2026."), "figure in the text: 'Gone since May 2026'"),
    ],
)
def test_a_fault_is_found(cells, problem, path):
    found = problems(lesson(cells), path)
    assert [text for text in found if problem in text], found


def test_faults_in_outputs_are_found(path):
    notebook = lesson(GOOD)
    notebook.cells[2].outputs = [
        nbformat.v4.new_output("stream", text="saved /tmp/a"),
        nbformat.v4.new_output("display_data", {"text/html": "<svg width='3'></svg>"}),
    ]
    assert problems(notebook, path) == ["absolute path: /tmp/a", "image without alt text: <svg width='3'>"]


@pytest.mark.parametrize(
    "change",
    [
        lambda notebook: notebook.cells[1].update(source="Lesson 3 · about 99 minutes"),
        lambda notebook: notebook.cells.pop(),
        lambda notebook: notebook.cells[0].update(id="other"),
        lambda notebook: notebook.metadata.kernelspec.update(name="my-kernel"),
        lambda notebook: notebook.metadata.update(widgets={}),
        lambda notebook: notebook.cells[3].metadata.update(execution={"iopub.status.busy": "today"}),
    ],
)
def test_what_refresh_would_change_is_found(change, path):
    assert problems(lesson(GOOD), path) == []
    notebook = refresh.read(path)
    change(notebook)
    path.write_text(refresh.as_text(notebook), encoding="utf-8")
    assert "run refresh" in "".join(frame.problems_of_any_notebook(notebook, path))


def test_names_dates_of_the_table_and_code_are_no_typed_figures(path):
    text = "The article of 2023, the 95 % interval, 2026-05-07, 112 examples.\n\n```\n# costs $8\n```"
    assert problems(lesson(changed(5, text)), path) == []


def test_bare_mock_key_and_addresses_of_the_api_are_no_fault(path):
    text = "The key is `sk-local`, or `sk-local-<token>`; curl http://127.0.0.1:8765/v1/files; Bearer $OPENAI_API_KEY"
    assert problems(lesson(changed(5, text)), path) == []
