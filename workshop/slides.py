"""Slides made from a lesson: one HTML file that needs nothing else, with the guide's questions as notes.

A slide is a text and the code that follows it, with the outputs that are stored in the lesson. Of a paragraph it
shows the first sentence; tables, lists, quotations and pictures are whole. Solutions are left out.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

from workshop import guide, pieces

PAGE = Path(__file__).with_name("slides.html")
SENTENCE = re.compile(r"(?<=[.!?:])(\*\*)?\s+(?=[\"*`(\[]*[A-Z])")
WHOLE = ("#", "|", "-", "*  ", ">", "!", "```", "<")  # with these begin blocks that are no paragraphs
NUMBERED = re.compile(r"\d+\. ")


@dataclass
class Slide:
    """A heading of the lesson, what is shown under it, and the notes for who speaks."""

    heading: str
    cells: list[NotebookNode] = field(default_factory=list)
    notes: str = ""


def slides(lesson: NotebookNode, number: str) -> list[Slide]:
    """The slides of a lesson in order; the notes of a section stand with its last slide."""
    asked = guide.questions(number)
    made = list(_cut(lesson))
    for slide, after in zip(made, [*made[1:], Slide("")], strict=True):
        if slide.heading != after.heading:
            slide.notes = asked.get(slide.heading, "")
    return made


def _cut(lesson: NotebookNode) -> Iterator[Slide]:
    first, *rest = pieces.pieces(lesson)
    slide = Slide(
        pieces.heading(first), [pieces.markdown("Made from the lesson, with the outputs stored in it.")]
    )
    for piece in rest:
        if pieces.SOLUTION in piece.source:
            continue
        heading = pieces.heading(piece)
        if heading or _is_full(slide, piece):
            if slide.cells:
                yield slide
            slide = Slide(heading or slide.heading)
        shown = piece if piece.cell_type == "code" else pieces.markdown(shortened(piece.source))
        slide.cells += [shown] if shown.source else []
    yield slide


def _is_full(slide: Slide, piece: NotebookNode) -> bool:
    """After code no other text comes; a table or a picture in a text leaves no room for code."""
    if piece.cell_type == "markdown":
        return any(cell.cell_type == "code" for cell in slide.cells)
    return any(
        re.search(r"^\||^!\[", cell.source, re.MULTILINE)
        for cell in slide.cells
        if cell.cell_type == "markdown"
    )


def shortened(text: str) -> str:
    """A text for a slide: its headings and folded parts go, of each paragraph the first sentence stays."""
    text = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    blocks = re.split(
        r"\n{2,}(?=(?:[^`]|`(?!``)|```.*?```)*\Z)", pieces.HEADING.sub("", text), flags=re.DOTALL
    )
    return "\n\n".join(_first_sentence(block.strip()) for block in blocks if block.strip())


def _first_sentence(block: str) -> str:
    if block.startswith(WHOLE) or NUMBERED.match(block):
        return block
    firsts = (block[: cut.start()] + (cut[1] or "") for cut in SENTENCE.finditer(block))
    return next(filter(_is_closed, firsts), block)


def _is_closed(text: str) -> bool:
    """True if no bold, code, link or bracket is left open at the end."""
    pairs = all(text.count(mark) % 2 == 0 for mark in ("**", "`", '"'))
    return pairs and all(text.count(one) == text.count(other) for one, other in ("()", "[]"))


# --- the page ----------------------------------------------------------------------------------------------


def page(lesson: NotebookNode, path: Path) -> str:
    """The HTML of a lesson's slides. ``path`` is the lesson's, to find its pictures."""
    number = path.name[:2]
    exporter = HTMLExporter(template_name="basic", embed_images=True, exclude_anchor_links=True)
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True

    def rendered(cells: list[NotebookNode]) -> str:
        for place, cell in enumerate(cells):
            cell["id"] = f"cell-{place}"  # else each making would differ
        small = nbformat.v4.new_notebook(cells=cells)
        return exporter.from_notebook_node(small, {"metadata": {"path": str(path.parent)}})[0]

    made = slides(lesson, number)
    sections = [
        _section(slide, "h1" if at == 1 else "h2", f"{number} · {at} of {len(made)}", rendered)
        for at, slide in enumerate(made, 1)
    ]
    parts = {
        "TITLE": html.escape(f"Lesson {int(number)}: {pieces.title(lesson)}"),
        "HIGHLIGHT": HtmlFormatter(style="vs").get_style_defs(".highlight"),
        "SLIDES": "\n".join(sections),
    }
    return re.sub("|".join(parts), lambda match: parts[match[0]], PAGE.read_text(encoding="utf-8"))


def _section(slide: Slide, level: str, foot: str, rendered) -> str:
    notes = rendered([pieces.markdown(slide.notes)]) if slide.notes else ""
    notes = f"<details class='notes'><summary>Ask the room (N)</summary>{notes}</details>" if notes else ""
    head = f"<{level}>{html.escape(slide.heading.replace('`', ''))}</{level}>"
    return f"<section tabindex='-1'>{head}{rendered(slide.cells)}{notes}<footer>{foot}</footer></section>"
