"""What kinds of elements a cell of a notebook shows, and one notebook that holds each kind of all notebooks once.

A kind is an element with its parent, as a page draws them: name, class, style, colours, and which attributes it has.
"""

import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

import nbformat
from nbconvert.filters import markdown2html
from nbformat import NotebookNode

from tests.notebooks import refresh

DRAWN = {"class", "style", "role", "type", "fill", "stroke", "fill-opacity", "stroke-opacity", "opacity"}
WITHOUT_END = {"br", "img", "hr", "input"}
WIDE = 100  # characters: such a line is broken or scrolled
COLOUR = re.compile(r"\x1b\[[\d;]*m")  # of a terminal


class Elements(HTMLParser):
    """The kinds of elements in an HTML text."""

    def __init__(self, text: str):
        super().__init__()
        self.kinds: set[tuple] = set()
        self._around: list[tuple] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        one = (tag, *sorted((name, value if name in DRAWN else bool(value)) for name, value in attrs))
        self.kinds.add((*self._around[-1:], one))
        if tag not in WITHOUT_END:
            self._around.append(one)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in WITHOUT_END:
            self._around.pop()

    def handle_endtag(self, tag):
        if any(one[0] == tag for one in self._around):
            while self._around.pop()[0] != tag:
                pass


def kinds(cell: NotebookNode) -> set[tuple]:
    """The kinds of elements that are seen in a Markdown cell, or below a code cell."""
    shown = [("text/markdown", cell.source)] if cell.cell_type == "markdown" else []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            shown.append((output.name, output.text))
        elif output.output_type == "error":
            shown.append(("error", "\n".join(output.traceback)))
        else:
            shown += output.data.items()
    return {(form, *kind) for form, content in shown for kind in _kinds(form, content)}


def _kinds(form: str, content: str) -> Iterable[tuple]:
    if not isinstance(content, str):
        return [()]
    if form == "text/markdown":
        return Elements(markdown2html(content)).kinds
    if form in ("text/html", "image/svg+xml"):
        return Elements(content).kinds
    if form.startswith("image/"):
        return [()]
    return {(), *((colour,) for colour in COLOUR.findall(content)), (_is_wide(content),)}


def _is_wide(text: str) -> bool:
    return any(len(line) > WIDE for line in text.splitlines())


def one_of_each(paths: Iterable[Path]) -> tuple[NotebookNode, list[str]]:
    """A notebook of the cells that show a kind which none before shows, and where each of them comes from."""
    cells, places, seen = [], [], set()
    for path in paths:
        for number, cell in enumerate(refresh.read(path).cells, start=1):
            if new := kinds(cell) - seen:
                seen |= new
                cell.id = f"cell-{len(cells)}"  # two notebooks may have the same
                cells.append(cell)
                places.append(f"{path.name}, cell {number}")
    return nbformat.v4.new_notebook(cells=cells, metadata=refresh.NOTEBOOK_METADATA), places
