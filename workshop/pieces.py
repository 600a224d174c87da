"""A lesson taken apart: its cells, with the texts split where a heading, a task or a solution begins."""

import re
from collections.abc import Iterator

import nbformat
from nbformat import NotebookNode

from workshop.minutes import own_cells

HEADING = re.compile(r"^(#{1,3}) +(.*\S)$", re.MULTILINE)
BORDER = re.compile(r"^(?=#{1,3} )|^(?=<details><summary>Solution</summary>)|(?<=</details>)$", re.MULTILINE)
SOLUTION = "<summary>Solution</summary>"
MORE = re.compile(r"^\*\*Run it:\*\*.*$", re.MULTILINE)
CHECK = re.compile(r'^check\("([\w-]+)"', re.MULTILINE)
QUIZ = re.compile(r'^quiz\("', re.MULTILINE)
HERE = re.compile(r"(\]\()(?!\.\./|https?:|#)")  # before the target of a link that is relative to notebooks/


def pieces(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """The cells of a lesson in order, without those that are generated; texts split into pieces."""
    for cell in own_cells(notebook):
        if cell.cell_type == "code":
            yield cell
            continue
        for text in split(cell.source):
            yield markdown(text)


def split(text: str) -> list[str]:
    """The parts of a Markdown text: a new one begins at each heading of level 1 to 3, and around each solution.

    A line in a code fence is no heading.
    """
    parts, start, fence = [], 0, False
    for match in re.finditer(r"^```|" + BORDER.pattern, text, re.MULTILINE):
        if match[0]:
            fence = not fence
        elif not fence:
            parts.append(text[start : match.start()])
            start = match.start()
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def heading(piece: NotebookNode) -> str:
    """The heading with which a piece begins; empty if it begins with none."""
    found = HEADING.match(piece.source) if piece.cell_type == "markdown" else None
    return found[2] if found else ""


def title(notebook: NotebookNode) -> str:
    """The heading of a lesson."""
    return next(name for name in map(heading, pieces(notebook)) if name)


def markdown(text: str) -> NotebookNode:
    """A cell of text."""
    return nbformat.v4.new_markdown_cell(text)


def from_here(text: str, folder: str = "../notebooks/") -> str:
    """The text with its links led from another folder to where they lead from ``notebooks/``."""
    return HERE.sub(rf"\g<1>{folder}", text)
