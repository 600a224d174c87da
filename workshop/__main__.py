"""Makes slides, exercise sheets and solutions from the lessons, in the folder handouts/.

Never change what is made: change the lesson, or its guide, and make it again.
"""

import argparse
import sys
from pathlib import Path

import nbformat

from workshop import sheets, slides
from workshop.minutes import ROOT

HANDOUTS = ROOT / "handouts"  # beside notebooks/, so that "../data" means the same in both


def main(arguments: list[str] | None = None) -> int:
    """Makes the handouts of the lessons that are named, or of all. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python start.py workshop", description=__doc__)
    parser.add_argument("lessons", nargs="*", metavar="NN", help="numbers of lessons (default: all)")
    names = parser.parse_args(arguments).lessons
    lessons = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    unknown = [name for name in names if name.zfill(2) not in lessons]
    if unknown:
        parser.error(f"there is no lesson {', '.join(unknown)}. There are: {', '.join(lessons)}.")
    for number in sorted({name.zfill(2) for name in names}) or lessons:
        for made in make(lessons[number], HANDOUTS):
            print(made.relative_to(ROOT).as_posix())
    return 0


def make(lesson: Path, folder: Path) -> list[Path]:
    """Writes slides, exercise sheet and solutions of one lesson into a folder. Returns their paths."""
    folder.mkdir(exist_ok=True)
    notebook = nbformat.read(lesson, as_version=4)
    texts = {f"{lesson.stem}_slides.html": slides.page(notebook, lesson)}
    for kind, solved in {"exercises": False, "solutions": True}.items():
        made = sheets.sheet(notebook, lesson.name, solved)
        texts[f"{lesson.stem}_{kind}.ipynb"] = nbformat.writes(made) + "\n"
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in texts]


if __name__ == "__main__":
    sys.exit(main())
