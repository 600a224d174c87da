"""Links that open the course with one click, and lessons for Colab and Kaggle, made from one setting.

python -m workshop.elsewhere      writes both anew, from repository = "owner/name" in pyproject.toml

Without a published repository there is nothing to link to: then there are no links and no such lessons.
"""

import re
import shutil
import sys
import tomllib
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from workshop.minutes import ROOT

COLAB = Path("workshop", "colab")
BRANCH = "main"
FIRST = "00_start_here.ipynb"
BLOCK = re.compile(r"(<!-- links: .*? -->\n).*?(<!-- end of links -->)", re.DOTALL)
LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)\s#]+)")
START_CELL = """# Start cell, for Colab and Kaggle: fetches the course, installs what is missing, connects.
import os
import subprocess

place = "/content" if os.path.isdir("/content") else "/kaggle/working"
course = os.path.join(place, "fine-tuning-course")
if not os.path.isdir(course):
    subprocess.run(["git", "clone", "--quiet", "--depth=1", "{address}", course], check=True)
%run {{course}}/workshop/hosted.py"""


def repository(root: Path = ROOT) -> str:
    """The setting: "owner/name", or "" if the course is not published. Raises ValueError for anything else."""
    with open(root / "pyproject.toml", "rb") as file:
        name = tomllib.load(file)["tool"]["course"]["repository"]
    if name and not re.fullmatch(r"[\w-]+/[\w.-]+", name):
        raise ValueError(
            f'repository in pyproject.toml is {name!r}. Write it as "owner/name", or leave it empty.'
        )
    return name


def address(name: str) -> str:
    """What git clones."""
    return f"https://github.com/{name}"


def links(name: str) -> str:
    """A paragraph for the README: a link for each place that opens lesson 00; empty if it is not published."""
    if not name:
        return ""
    there = f"{name}/blob/{BRANCH}/{COLAB.as_posix()}/{FIRST}"
    places = {
        "Binder": f"https://mybinder.org/v2/gh/{name}/{BRANCH}?urlpath=lab/tree/notebooks/{FIRST}",
        "Codespaces": f"https://codespaces.new/{name}",
        "Colab": f"https://colab.research.google.com/github/{there}",
        "Kaggle": f"https://kaggle.com/kernels/welcome?src=https://github.com/{there}",
    }
    return f"Without installing: {' · '.join(f'[{place}]({link})' for place, link in places.items())}\n"


def with_links(text: str, name: str) -> str:
    """The README with the links between its two marks. Raises ValueError if the marks are missing."""
    if not BLOCK.search(text):
        raise ValueError("README.md has lost its marks <!-- links: ... --> and <!-- end of links -->")
    return BLOCK.sub(lambda found: found[1] + links(name) + found[2], text)


def for_colab(lesson: NotebookNode, name: str) -> NotebookNode:
    """A lesson without outputs, with the start cell before its first code, and with links that lead somewhere."""
    cells = [_cell(cell, name) for cell in lesson.cells]
    start = nbformat.v4.new_code_cell(START_CELL.format(address=address(name)), id="start-cell")
    first = next(number for number, cell in enumerate(cells) if cell.cell_type == "code")
    return nbformat.v4.new_notebook(cells=[*cells[:first], start, *cells[first:]], metadata=lesson.metadata)


def _cell(cell: NotebookNode, name: str) -> NotebookNode:
    if cell.cell_type == "code":
        return nbformat.v4.new_code_cell(cell.source, id=cell.id, metadata=cell.metadata)
    text = LINK.sub(lambda found: _target(found[1], name), cell.source)
    return nbformat.v4.new_markdown_cell(text, id=cell.id, metadata=cell.metadata)


def _target(target: str, name: str) -> str:
    """Where a relative link of a lesson leads, as Colab can open it."""
    if re.fullmatch(r"\w+\.ipynb", target):
        return f"https://colab.research.google.com/github/{name}/blob/{BRANCH}/{COLAB.as_posix()}/{target}"
    path = f"notebooks/{target}" if not target.startswith("../") else target.removeprefix("../")
    if target.endswith((".svg", ".png")):
        return f"https://raw.githubusercontent.com/{name}/{BRANCH}/{path}"
    return f"{address(name)}/blob/{BRANCH}/{path}"


def made(root: Path = ROOT) -> dict[Path, str]:
    """Every file that follows from the setting, by its path in the course, and its text."""
    name = repository(root)
    texts = {Path("README.md"): with_links((root / "README.md").read_text(encoding="utf-8"), name)}
    if name:
        for lesson in sorted((root / "notebooks").glob("*.ipynb")):
            notebook = for_colab(nbformat.read(lesson, as_version=4), name)
            texts[COLAB / lesson.name] = nbformat.writes(notebook) + "\n"
    return texts


def write(root: Path = ROOT) -> None:
    """Writes all of it; lessons for Colab that are no longer made are removed."""
    texts = made(root)
    shutil.rmtree(root / COLAB, ignore_errors=True)
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8", newline="\n")


def main() -> int:
    """Writes it, and says what for. Returns 0, or 1 if the setting is wrong."""
    try:
        write()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    name = repository()
    print(f"Written for {address(name)}" if name else "No repository is set in pyproject.toml: no links.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
