"""How long a lesson takes, or a part of it: the one estimate that lessons, guides and agendas state.

python -m workshop.minutes: writes the minutes into the guides anew.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
WORDS_A_MINUTE = 180
A_CODE_CELL = 1
AN_EXERCISE = 6
LINE = re.compile(r"^Teaching: .*$", re.MULTILINE)


@dataclass(frozen=True)
class Estimate:
    """What a reader has to do, counted: words of text, code cells, exercises."""

    words: int
    code: int
    exercises: int

    @property
    def reading(self) -> int:
        """Minutes to read the text, at least 1."""
        return max(1, round(self.words / WORDS_A_MINUTE))

    @property
    def doing(self) -> int:
        """Minutes for code cells and exercises."""
        return self.code * A_CODE_CELL + self.exercises * AN_EXERCISE

    @property
    def exercising(self) -> int:
        """Minutes of the exercises alone."""
        return self.exercises * AN_EXERCISE

    @property
    def teaching(self) -> int:
        """Minutes of all the rest: text and code cells."""
        return self.reading + self.code * A_CODE_CELL


def estimate(cells: Iterable[NotebookNode]) -> Estimate:
    """Counts cells. Leave out what is generated: links and the picture of the way are not read."""
    cells = list(cells)
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    exercises = len(re.findall(r"^### Exercise", text, re.MULTILINE))
    return Estimate(len(text.split()), sum(cell.cell_type == "code" for cell in cells), exercises)


def own_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells of a lesson but for those that are generated."""
    return [cell for cell in notebook.cells if "generated" not in cell.metadata.get("tags", [])]


def guide_line(cells: Sequence[NotebookNode]) -> str:
    """The line with the minutes, as it stands in a lesson's guide."""
    found = estimate(cells)
    return f"Teaching: {found.teaching} minutes. Exercises: {found.exercising} minutes. (The lesson's own estimate.)"


def renew_guide(lesson: Path) -> None:
    """Writes the minutes of a lesson into its guide, if it has one."""
    guide = lesson.parent.parent / "workshop" / "guides" / f"{lesson.name[:2]}.md"
    if guide.is_file():
        text = guide.read_text(encoding="utf-8")
        line = guide_line(own_cells(nbformat.read(lesson, as_version=4)))
        guide.write_text(LINE.sub(line, text, count=1), encoding="utf-8", newline="\n")


def main() -> int:
    """Renews all guides. Returns 0."""
    for lesson in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        renew_guide(lesson)
    return 0


if __name__ == "__main__":
    sys.exit(main())
