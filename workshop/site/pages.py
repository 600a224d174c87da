"""The pages that Sphinx reads: copies of the course's own, with their links led to where the pages are."""

import csv
import os
import re
import shutil
from pathlib import Path

import nbformat

from workshop import editions
from workshop.minutes import ROOT

GLOSSARY = "workshop/site/glossary.md"
CLAIMS = "claims.md"
# Where a page of the course is in the site, if not in the same place.
MOVED = {"README.md": "index.md", GLOSSARY: "glossary.md"}
CODE = re.compile(r"^(```+|~~~+)(?!\{)[\s\S]*?^\1", re.MULTILINE)  # but no directive
NOTEBOOK = re.compile(r'(href="(?!https?:)[^"#]+)\.ipynb')  # of a link in an output
TOC = """
```{{toctree}}
:hidden:
:caption: {caption}

{pages}
```
"""


def contents() -> dict[str, list[str]]:
    """The pages of the course by the headings of the list of contents, as paths from its folder."""
    notebooks = [_path(path) for path in sorted(editions.NOTEBOOKS.glob("*.ipynb"))]
    found = {
        "The lessons": [path for path in notebooks if re.match(r"notebooks/\d", path)],
        "More pages": [path for path in notebooks if not re.match(r"notebooks/\d", path)],
    }
    found["More pages"] += [CLAIMS, GLOSSARY]
    for edition in editions.editions():
        made = [_path(edition.path(name)) for name in edition.lessons()]
        found[edition.own("name")] = [_path(edition.folder / "README.md"), *made]
    kit = sorted((ROOT / "workshop").rglob("*.md"), key=lambda path: (path.name != "README.md", path))
    found["To teach it"] = [_path(path) for path in kit if _path(path) != GLOSSARY]
    found["To build on it"] = [
        "helpers/local_api/README.md",
        "data/README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ]
    return found


def write(folder: Path) -> None:
    """Writes all pages into a new folder, and beside them every file that one of them links to."""
    listed = contents()
    known = {page: MOVED.get(page, page) for page in ["README.md", *sum(listed.values(), [])]}
    for page, place in known.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if page == CLAIMS:
            target.write_text(_led(claims(), "README.md", known, folder), encoding="utf-8")
        elif page.endswith(".ipynb"):
            notebook = nbformat.read(ROOT / page, as_version=4)
            for cell in notebook.cells:
                if cell.cell_type == "markdown":
                    cell.source = _led(cell.source, page, known, folder)
                for output in cell.get("outputs", []):
                    if "text/html" in output.get("data", {}):
                        output.data["text/html"] = NOTEBOOK.sub(r"\1.html", output.data["text/html"])
            nbformat.write(notebook, target)
        else:
            text = (ROOT / page).read_text(encoding="utf-8")
            target.write_text(_led(text, page, known, folder), encoding="utf-8")
    toc = [
        TOC.format(caption=caption, pages="\n".join(_entry(page, known[page]) for page in pages))
        for caption, pages in listed.items()
    ]
    with open(folder / "index.md", "a", encoding="utf-8") as index:
        index.write("".join(toc))


def _entry(page: str, place: str) -> str:
    """A page in the list of contents; a lesson with its number."""
    name = place.rpartition(".")[0]
    if not re.match(r"\d.*\.ipynb", Path(page).name):
        return name
    heading = editions.parts(editions.read(ROOT / page).cells[0].source)[0].text.removeprefix("# ")
    return f"{Path(page).name[:2]} {heading} <{name}>"


def claims() -> str:
    """The page of the claims that the article of 2023 makes, in our words, with what became of each; as Markdown."""
    with open(ROOT / "data" / "claims.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    head = (
        "# What became of the claims\n\nThis course grew out of an article of 2023. These are its claims, in our own "
        f"words, with what the course found. The table is [data/claims.csv](data/claims.csv): {len(rows)} rows."
    )
    return "\n\n".join([head, *map(_claim, rows)]) + "\n"


def _claim(row: dict[str, str]) -> str:
    lessons = ", ".join(f"[{number}]({_lesson(number)})" for number in row["lessons"].split())
    held = " to ".join(filter(None, (row["held_from"], row["held_until"])))
    lines = [
        f"## {row['number']}. {row['claim']}",
        f"**{row['mark'].capitalize()}:** {row['in_short']}.",
        f"- Verdict: {row['verdict']}",
        f"- Lessons: {lessons}",
        f"- How it was tested: {row['how_tested']}",
        f"- Source: {_source(row['source'])}",
    ]
    lines += [f"- It held: {held}"] if held else []
    return "\n\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:])


def _lesson(number: str) -> str:
    (path,) = editions.NOTEBOOKS.glob(f"{number}*.ipynb")
    return _path(path)


def _source(text: str) -> str:
    return (
        f"<{text}>"
        if text.startswith("https://")
        else f"[{text}]({text})"
        if (ROOT / text).is_file()
        else text
    )


def _led(text: str, page: str, known: dict[str, str], folder: Path) -> str:
    """The Markdown of a page with its links led from its place in the site.

    To a page of the site, or to a copy of the file, which is made. Of a link to a folder only the words are left.
    """
    here = folder / known.get(page, page)

    def leads(found: re.Match) -> str:
        words, anchor = found[1], found[3] or ""
        place = _path(Path(os.path.normpath(ROOT / Path(page).parent / found[2])))
        if (ROOT / place).is_dir():
            return words[1:-1]
        target = folder / known.get(place, place)
        if place not in known and (ROOT / place).is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / place, target)
        return f"{words}({Path(os.path.relpath(target, here.parent)).as_posix()}{anchor})"

    parts, end = [], 0
    for block in CODE.finditer(text):
        parts += [editions.LINK.sub(leads, text[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, editions.LINK.sub(leads, text[end:])])


def _path(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
