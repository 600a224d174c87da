"""Runs the lessons again and writes them back in one form: outputs, counts, links, minutes and pictures are current.
The minutes in the guides of workshop/ are renewed, too, and the lessons in other languages.

python -m tests.notebooks.refresh            all notebooks, in order
python -m tests.notebooks.refresh 03 04      those whose names begin so, in all languages
python -m tests.notebooks.refresh ru         those in Russian

They run in order on one fresh state folder, in the environment of the tests (tests/environment.py). A notebook
that fails is left as it was. If nothing changes but random ids and times, the old outputs stay.
"""

import argparse
import hashlib
import html
import json
import os
import re
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager

from workshop import editions, minutes

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
SANITIZE = ROOT / "tests" / "nbval_sanitize.cfg"
GENERATED = "generated"
PAGES = {
    "article": "00",
    "clinic": "06",
}  # extra pages, by their names, each with the lesson that sends readers there
CELL_SECONDS = 1200
KERNEL_SECONDS = 180  # a deadline for a hang: to start one takes long on a busy machine
KEPT_METADATA = ("tags", "jupyter", "jp-MarkdownHeadingCollapsed")
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
OWN_KEY = re.compile(r"\bsk-local-[0-9a-f]{24}\b")  # of the mock: a lesson may print it, no notebook keeps it
WIDGET_VIEW = (
    "application/vnd.jupyter.widget-view+json"  # useless without the widget's state, which is not kept
)


def main(arguments: list[str] | None = None) -> int:
    """Refreshes the notebooks that are named. Returns 0, or 1 if one of them failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="beginnings of file names (default: all)")
    names = tuple(parser.parse_args(arguments).names)
    paths = [path for path in [*notebooks(), *translated()] if not names or is_called(path, names)]
    if not paths:
        parser.error(f"no notebook in {NOTEBOOKS.name} has such a name")

    from tests import environment  # blocks the network in this process, so only when it is run, not imported

    with tempfile.TemporaryDirectory() as work:
        environment.enter(Path(work) / "state")
        os.environ["NETWORK_LOG"] = str(Path(work) / "network.log")
        drawn().write(NOTEBOOKS / "pictures")
        in_english = [path for path in paths if path.parent == NOTEBOOKS]
        statuses = [_refresh_and_report(path) for path in in_english]
        editions.main([])  # the translated ones are made of these
        return max(statuses + [_refresh_and_report(path) for path in paths if path not in in_english])


def _refresh_and_report(path: Path) -> int:
    print(f"{path.name} ...", end=" ", flush=True)
    try:
        changed = refresh(path)
    except CellExecutionError as error:
        print(f"FAILED, not written\n{error}")
        return 1
    print("changed" if changed else "unchanged")
    return 0


def notebooks(folder: Path = NOTEBOOKS) -> list[Path]:
    """All notebooks of the folder: the lessons in their order, then the others."""
    return sorted(folder.glob("*.ipynb"), key=lambda path: (not is_lesson(path), path.name))


def lessons(folder: Path = NOTEBOOKS) -> list[Path]:
    """The lessons in their order: 00_start_here.ipynb and so on."""
    return [path for path in notebooks(folder) if is_lesson(path)]


def translated() -> list[Path]:
    """The lessons in other languages, in order."""
    return [edition.path(name) for edition in editions.editions() for name in edition.lessons()]


def is_called(path: Path, names: tuple[str, ...]) -> bool:
    """Whether a notebook's name begins with one of these, alone or with the folder of its language: 03, ru/03, ru."""
    return path.name.startswith(names) or path.relative_to(NOTEBOOKS).as_posix().startswith(names)


def is_lesson(path: Path) -> bool:
    """True for notebooks that are part of the course: their names begin with two digits."""
    return re.match(r"\d\d_", path.name) is not None


def is_page(path: Path) -> bool:
    """True for the extra pages: they look like lessons, but are not among the numbered ones."""
    return path.stem in PAGES


def read(path: Path) -> NotebookNode:
    """The notebook in the newest format."""
    return nbformat.read(path, as_version=4)


def refresh(path: Path) -> bool:
    """Runs one notebook and writes it back. Returns True if its text changed. Raises CellExecutionError."""
    before = path.read_text(encoding="utf-8")
    new = in_standard_form(read(path), path)
    execute(new, path.parent)
    new = in_standard_form(new, path)
    if same_outputs(read(path), new):
        _take_outputs(new, read(path))
        new = in_standard_form(new, path)
    after = as_text(new)
    if after != before:
        _write(path, after)
    minutes.renew_guide(path)
    return after != before


def execute(notebook: NotebookNode, folder: Path, seconds: int = CELL_SECONDS) -> None:
    """Runs all cells in a fresh kernel of this Python, in this folder. Raises CellExecutionError.

    A cell may take ``seconds``.
    """
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook,
        timeout=seconds,
        startup_timeout=KERNEL_SECONDS,
        kernel_name=CURRENT_ENV_KERNEL_NAME,
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
    )
    client.create_kernel_manager()
    client.km.kernel_spec_manager = NbvalKernelspecManager()
    client.execute()


# --- one form --------------------------------------------------------------------------------------------


def in_standard_form(notebook: NotebookNode, path: Path) -> NotebookNode:
    """A copy with current generated cells and ids, and without what differs from computer to computer."""
    if edition := editions.of(path):
        for cell in code_cells(notebook):
            cell.outputs = [nbformat.from_dict(_clean_output(output)) for output in cell.outputs]
        return edition.notebook(path.stem, notebook)
    cells = [_clean(cell) for cell in notebook.cells]
    if is_lesson(path):
        cells = _with_generated_cells(cells, path)
    elif is_page(path):
        cells = _with_page_cells(cells, path)
    _set_ids(cells)
    return nbformat.from_dict(
        {"cells": cells, "metadata": NOTEBOOK_METADATA, "nbformat": 4, "nbformat_minor": 5}
    )


def drawn() -> ModuleType:
    """The pictures of the course. Imported late: their package brings matplotlib, and no test needs that to start."""
    from helpers.charts import pictures

    return pictures


def as_text(notebook: NotebookNode) -> str:
    """The notebook as it is written to disk."""
    return nbformat.writes(notebook) + "\n"


def _clean(cell: NotebookNode) -> NotebookNode:
    metadata = {key: cell.metadata[key] for key in KEPT_METADATA if cell.metadata.get(key)}
    cleaned = {"cell_type": cell.cell_type, "metadata": metadata, "source": cell.source.rstrip()}
    if cell.cell_type == "markdown" and "](pictures/" in cell.source:
        cleaned["source"] = drawn().with_alt_texts(cleaned["source"])
    if cell.cell_type == "code":
        cleaned["execution_count"] = cell.execution_count
        cleaned["outputs"] = [_clean_output(output) for output in cell.outputs]
    return nbformat.from_dict(cleaned)


def _clean_output(output: NotebookNode) -> dict:
    if "text" in output:
        return output | {"text": OWN_KEY.sub("sk-local-<token>", output.text)}
    if "data" not in output:
        return output
    return output | {"data": {kind: data for kind, data in output.data.items() if kind != WIDGET_VIEW}}


def _set_ids(cells: list[NotebookNode]) -> None:
    """Ids that come from the text: they stay when the notebook is made anew or a cell is inserted."""
    seen = {}
    for cell in cells:
        name = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[name] = seen.get(name, 0) + 1
        cell["id"] = name if seen[name] == 1 else f"{name}-{seen[name]}"


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(notebook: NotebookNode, *words: str) -> str:
    """What the first code cell with these words in its source shows: printed lines and HTML."""
    cell = next(c for c in code_cells(notebook) if all(word in c.source for word in words))
    return _outputs(cell, "text/html")


def said(notebook: NotebookNode, words: str) -> str:
    """What the one code cell with these words in its source shows, as text. ValueError if there is not one."""
    (cell,) = [cell for cell in code_cells(notebook) if words in cell.source]
    return _outputs(cell, "text/plain")


def rows(table: str) -> list[list[str]]:
    """The texts of an HTML table, row by row. Where the row numbers are not shown, "" stands in their place."""
    found = [
        re.findall(r"<(t[hd])[^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    ]
    is_hidden = "th" not in {kind for kind, _ in found[-1]}
    return [[""] * is_hidden + [html.unescape(text).strip() for _, text in row] for row in found]


def _outputs(cell: NotebookNode, kind: str) -> str:
    parts = (out.get("text") or out["data"].get(kind) or out["data"]["text/plain"] for out in cell.outputs)
    return "".join(parts)


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8", newline="\n")
    os.replace(part, path)  # in one step: a killed run leaves no half notebook


# --- generated cells -------------------------------------------------------------------------------------


def _with_generated_cells(cells: list[NotebookNode], path: Path) -> list[NotebookNode]:
    own = [cell for cell in cells if GENERATED not in cell.metadata.get("tags", [])]
    links = links_line(path)
    head = f"{minutes_line(own, path)}\n\n{links}\n\n{way_picture(path)}"
    return own[:1] + [_generated_cell(head)] + own[1:] + [_generated_cell(links)]


def _with_page_cells(cells: list[NotebookNode], path: Path) -> list[NotebookNode]:
    own = [cell for cell in cells if GENERATED not in cell.metadata.get("tags", [])]
    links = page_links_line(path)
    head = f"Extra page · {_minutes(own)}\n\n{links}\n\n{way_picture(path)}"
    return own[:1] + [_generated_cell(head)] + own[1:] + [_generated_cell(links)]


def _generated_cell(source: str) -> NotebookNode:
    return nbformat.from_dict(
        {"cell_type": "markdown", "metadata": {"tags": [GENERATED]}, "source": source.strip()}
    )


def way_picture(path: Path) -> str:
    """The way from file to answer with this lesson or page marked, as Markdown; empty for one that is not on it."""
    name = f"way_{path.stem if is_page(path) else path.name[:2]}"
    return drawn().in_markdown(name) if name in drawn().pictures() else ""


def minutes_line(cells: list[NotebookNode], path: Path) -> str:
    """The number of a lesson, and how long it takes."""
    return f"Lesson {int(path.name[:2])} · {_minutes(cells)}"


def _minutes(cells: list[NotebookNode]) -> str:
    """How long a notebook takes: its words to read; its code cells and its "### Exercise" headings to do."""
    found = minutes.estimate(cells)
    unit = "minute" if found.reading == 1 else "minutes"
    return f"about {found.reading} {unit} to read, {found.doing} to do (estimate)"


def links_line(path: Path) -> str:
    """Links to the lesson before and the lesson after, as far as there are any."""
    course = lessons(path.parent)
    place = course.index(path)
    links = []
    if place > 0:
        links.append(f"Previous: [{title(course[place - 1])}]({course[place - 1].name})")
    if place + 1 < len(course):
        links.append(f"Next: [{title(course[place + 1])}]({course[place + 1].name})")
    return " · ".join(links)


def page_links_line(path: Path) -> str:
    """Links to the lesson that a page belongs to, and to the one after it, as far as there are any."""
    course = lessons(path.parent)
    number = PAGES[path.stem]
    after = [other for other in course if other.name[:2] > number]
    links = [f"Belongs to: [{title(other)}]({other.name})" for other in course if other.name[:2] == number]
    return " · ".join(links + [f"Next lesson: [{title(other)}]({other.name})" for other in after[:1]])


def title(path: Path) -> str:
    """The first H1 of a notebook, without the mark. Raises ValueError if there is none."""
    for cell in read(path).cells:
        heading = re.search(r"^# (.+)$", cell.source, re.MULTILINE)
        if cell.cell_type == "markdown" and heading:
            return heading[1].strip()
    raise ValueError(f"{path.name} has no heading that begins with '# '. Give its first cell one.")


# --- outputs ---------------------------------------------------------------------------------------------


def same_outputs(old: NotebookNode, new: NotebookNode) -> bool:
    """True if all code cells agree in source, count and outputs, but for what nbval_sanitize.cfg names."""
    return [_comparable(cell) for cell in code_cells(old)] == [_comparable(cell) for cell in code_cells(new)]


def _comparable(cell: NotebookNode) -> tuple:
    text = json.dumps([_clean_output(output) for output in cell.outputs], sort_keys=True)
    for pattern, replacement in _sanitizers():
        text = re.sub(pattern, replacement, text)
    return cell.source.rstrip(), cell.execution_count, text


@cache
def _sanitizers() -> list[tuple[str, str]]:
    text = SANITIZE.read_text(encoding="ascii")
    return re.findall(r"^regex: (.+)\nreplace: (.+)$", text, re.MULTILINE)


def _take_outputs(new: NotebookNode, old: NotebookNode) -> None:
    for new_cell, old_cell in zip(code_cells(new), code_cells(old), strict=True):
        new_cell.outputs = old_cell.outputs


if __name__ == "__main__":
    sys.exit(main())
