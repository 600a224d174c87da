"""The agendas of the instructor's kit as tables, and the parts of lessons that they name."""

import re
from functools import cache

from nbformat import NotebookNode

from tests.notebooks import refresh
from workshop import pieces

PAGE = refresh.ROOT / "workshop" / "agendas.md"
AGENDAS = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
LENGTHS = {"90 minutes": 90, "Half a day": 210, "A day": 420}
LESSONS = {path.name[:2]: path for path in refresh.lessons()}
ROW = re.compile(r"^\| (\d+)–(\d+) \| (.+?) \| .*\|$", re.MULTILINE)


@cache
def lesson(number: str) -> NotebookNode:
    """A lesson by its two digits."""
    return refresh.read(LESSONS[number])


@cache
def sections(number: str) -> dict[str, list[NotebookNode]]:
    """The pieces of a lesson by the heading that they stand under."""
    found, name = {}, ""
    for piece in pieces.pieces(lesson(number)):
        name = pieces.heading(piece) or name
        found.setdefault(name, []).append(piece)
    return found


def rows(agenda: str) -> list[tuple[int, int, str, list[str]]]:
    """(from, to, number of the lesson or "", headings) of each row."""
    return [
        (int(start), int(end), (re.findall(r"\[(\d\d)\]", what) or [""])[0], re.findall(r"\*(.+?)\*", what))
        for start, end, what in ROW.findall(agenda)
    ]
