"""Editions in other languages: notebooks/ru/ is made of the English lessons and of the translations in locale/ru/.

python -m workshop.editions             brings all editions up to date: their lists of texts, then their notebooks
python -m workshop.editions ru 06       begins with lesson 06 in Russian: makes its list of texts
python -m workshop.editions --report    says what is not translated, what is stale, what nobody needs any more

A list of texts (a PO file, for any editor of such files) has one entry for each paragraph of a lesson, with the id of
its cell, and for each text of its quiz and of its exercises. If the English text changes, the entry becomes
"fuzzy": it waits for a translator, and until then the paragraph is shown in English, marked. Never change what is
made (notebooks/ru/, data/texts/ru.json): change the lesson or the list.
"""

import argparse
import ast
import difflib
import json
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbformat
import polib
from nbformat import NotebookNode

from workshop.minutes import ROOT

NOTEBOOKS, LOCALE, TEXTS, HELPERS = (
    ROOT / "notebooks",
    ROOT / "workshop" / "locale",
    ROOT / "data" / "texts",
    ROOT / "helpers",
)
README, INTERFACE = "README", "interface"
MORE_QUIZZES = {"00": ["concepts"]}  # beside the quiz that is called like the lesson
SPOKEN = {
    "ask",
    "text",
    "why",
    "say",
    "otherwise",
    "stopped",
}  # keys of quizzes and exercises that hold texts
ALIKE = 0.6  # an entry at least as like to a new text as this becomes its fuzzy translation
FENCE = re.compile(r"^(```+|~~~+)")
NOTHING_TO_SAY = re.compile(r"(```+\w[\s\S]*|(</?[\w ]+>\s*)+|[\W\d_]*)\Z")  # code, bare tags, no letter
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")
UP = re.compile(r"""(["'])\.\./""")  # where a path begins that is seen from notebooks/
MINUTES = re.compile(r"Lesson (\d+) · about (\d+) minutes? to read, (\d+) to do \(estimate\)\Z")
NEIGHBOUR = re.compile(r"(Previous|Next): \[[^\]]*\]\(([\w.]+)\)")
# What the editions say themselves; translated with the texts of the helpers.
OWN_TEXTS = {
    "name": "In English",
    "minutes": "Lesson {} · about {} minutes to read, {} to do (estimate)",
    "Previous": "Previous",
    "Next": "Next",
    "english": "in English",
    "untranslated": "Not translated yet:",
    "about": "> **This is a translation.** Code and answers of models are those of the English lesson. Names of "
    "columns, figures, reports and most widgets are in English, too. [The same lesson in English]({})",
    "about_readme": "> This is a translation of [the English page]({}).",
}


@dataclass(frozen=True)
class Message:
    """A text to translate, and where it stands: the id of a cell, or the name of a file."""

    text: str
    place: str


# --- what there is to translate ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A paragraph of a Markdown text, or a row of a table; and the line ends that divide it from the next."""

    text: str
    end: str = "\n\n"


def parts(text: str) -> list[Part]:
    """A Markdown text in the pieces that are translated: what empty lines divide, but for those in a fence."""
    found, fence = [[]], ""
    for line in text.split("\n"):
        if mark := FENCE.match(line):
            fence = "" if fence and line.startswith(fence) else fence or mark[1]
        if line.strip() or fence:
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    made = []
    for lines in filter(None, found):
        if all(line.startswith("|") for line in lines):
            made += [Part(row, "\n") for row in lines[:-1]] + [Part(lines[-1])]
        else:
            made.append(Part("\n".join(lines)))
    return made


def joined(made: Iterable[Part]) -> str:
    """The Markdown text of such pieces."""
    return "".join(part.text + part.end for part in made).rstrip("\n")


def is_text(text: str) -> bool:
    """Whether a piece has anything to translate: it is no code of a named language, and no bare tag."""
    return not NOTHING_TO_SAY.match(text)


def messages(name: str) -> list[Message]:
    """All texts of one list, in order: of a lesson ("03_upload") with its quiz and exercises, README, or interface."""
    if name == INTERFACE:
        return [Message(text, "workshop/editions.py") for text in OWN_TEXTS.values()] + list(_of_helpers())
    if name == README:
        page = (ROOT / "README.md").read_text(encoding="utf-8")
        return [Message(part.text, "README.md") for part in parts(page) if is_text(part.text)]
    return list(_of_cells(lesson(name))) + list(_of_tables(name))


def lesson(name: str) -> NotebookNode:
    """The English lesson."""
    return read(NOTEBOOKS / f"{name}.ipynb")


def read(notebook: Path) -> NotebookNode:
    """A notebook of ours. It is in the newest format, and tests have validated it."""
    return nbformat.v4.reads(notebook.read_text(encoding="utf-8"))


def _of_cells(notebook: NotebookNode) -> Iterator[Message]:
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for part in parts(cell.source):
                if is_text(part.text) and not (is_generated(cell) and not part.text.startswith("![")):
                    yield Message(part.text, cell.id)


def is_generated(cell: NotebookNode) -> bool:
    """Whether a cell is written by the refresh: minutes, links, and the picture of the way."""
    return "generated" in cell.metadata.get("tags", [])


def _of_tables(name: str) -> Iterator[Message]:
    number = name.partition("_")[0]
    files = [ROOT / "data" / kind / f"{number}.toml" for kind in ("quizzes", "exercises")]
    files += [ROOT / "data" / "quizzes" / f"{more}.toml" for more in MORE_QUIZZES.get(number, [])]
    for file in filter(Path.is_file, files):
        place = file.relative_to(ROOT).as_posix()
        yield from (Message(text, place) for text in _spoken(tomllib.loads(file.read_text("utf-8"))))


def _spoken(value: object, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _spoken(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _spoken(part, key)
    elif key in SPOKEN:
        yield value


def _of_helpers() -> Iterator[Message]:
    """What helpers hand to ``said``: a text, or a text or dict of texts that is a constant of the same module."""
    for file in sorted(HELPERS.rglob("*.py")):
        code = file.read_text(encoding="utf-8")
        if "said(" in code:
            place = file.relative_to(ROOT).as_posix()
            yield from (Message(text, place) for text in _handed_to_said(ast.parse(code)))


def _handed_to_said(module: ast.Module) -> Iterator[str]:
    values = {
        target.id: node.value
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for call in ast.walk(module):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "said":
            for part in ast.walk(call.args[0]):
                if part is call.args[0] or isinstance(part, ast.Name):
                    yield from _texts_in(values.get(part.id) if isinstance(part, ast.Name) else part)


def _texts_in(value: ast.expr | None) -> Iterator[str]:
    """A text, or the texts that are the values of a dict."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
        yield value.value
    elif isinstance(value, ast.Dict):
        for part in value.values:
            yield from _texts_in(part)


# --- lists of texts ----------------------------------------------------------------------------------------


def languages() -> list[str]:
    """The languages that there are lists of texts for: ["ru"]."""
    return sorted(path.name for path in LOCALE.iterdir() if path.is_dir())


def names(language: str) -> list[str]:
    """The lists of a language: ["00_start_here", ..., "README", "interface"]."""
    return sorted(path.stem for path in (LOCALE / language).glob("*.po"))


def catalog(language: str, name: str) -> polib.POFile:
    """A list of texts as it is on disk; an empty one if there is none."""
    file = LOCALE / language / f"{name}.po"
    return polib.pofile(str(file), wrapwidth=0) if file.is_file() else polib.POFile(wrapwidth=0)


def translations(language: str, name: str) -> dict[str, str]:
    """What is translated and not stale, by the English text."""
    file = LOCALE / language / f"{name}.po"
    return _translations(file, file.stat().st_mtime_ns) if file.is_file() else {}


@cache
def _translations(file: Path, _changed: int) -> dict[str, str]:
    return {entry.msgid: entry.msgstr for entry in polib.pofile(str(file)) if entry.translated()}


def merged(old: polib.POFile, wanted: Iterable[Message], memory: dict[str, str]) -> polib.POFile:
    """A list with exactly the wanted texts, in their order.

    A text keeps its translation, or takes it from ``memory`` (of other lists). A new text that is much like one that
    nobody wants any more takes that one's translation, fuzzy.
    """
    places: dict[str, list[str]] = {}
    for message in wanted:
        places.setdefault(message.text, []).append(message.place)
    known = {entry.msgid: entry for entry in old}
    free = {text: entry for text, entry in known.items() if text not in places and entry.msgstr}
    new = polib.POFile(wrapwidth=0)
    new.metadata = {"Content-Type": "text/plain; charset=utf-8", "Content-Transfer-Encoding": "8bit"}
    for text, where in places.items():
        entry = polib.POEntry(msgid=text, occurrences=[(place, "") for place in dict.fromkeys(where)])
        before = known.get(text)
        if before is not None and before.msgstr:
            entry.msgstr, entry.flags = before.msgstr, before.flags
            entry.previous_msgid, entry.tcomment = before.previous_msgid, before.tcomment
        elif text in memory:
            entry.msgstr = memory[text]
        elif like := difflib.get_close_matches(text, free, 1, ALIKE):
            entry.msgstr, entry.flags, entry.previous_msgid = free[like[0]].msgstr, ["fuzzy"], like[0]
        new.append(entry)
    return new


def update(language: str, name: str) -> Path | None:
    """Brings one list up to date with its sources. Returns its path if that changed it."""
    others = [other for other in names(language) if other != name]
    memory = {text: said for other in others for text, said in translations(language, other).items()}
    new = merged(catalog(language, name), messages(name), memory)
    path = LOCALE / language / f"{name}.po"
    return path if write(path, str(new) + "\n") else None


def update_all(language: str) -> list[Path]:
    """Brings all lists of a language up to date. Returns the paths of those that changed."""
    return [path for name in names(language) if (path := update(language, name))]


@dataclass(frozen=True)
class Drift:
    """What is wrong with one list: texts without a translation, with a stale one, and entries without a source."""

    untranslated: list[str]
    stale: list[str]
    orphaned: list[str]


def drift(language: str, name: str) -> Drift:
    """Compares a list with its sources."""
    wanted = dict.fromkeys(message.text for message in messages(name))
    entries = {entry.msgid: entry for entry in catalog(language, name)}
    return Drift(
        [text for text in wanted if text not in entries or not entries[text].msgstr],
        [text for text in wanted if text in entries and entries[text].fuzzy],
        [text for text in entries if text not in wanted],
    )


def report(language: str) -> str:
    """The drift of an edition in words, a line for each list; below it the beginning of each text."""
    lines = []
    for name in names(language):
        found, total = drift(language, name), len({message.text for message in messages(name)})
        kinds = {"not translated": found.untranslated, "stale": found.stale, "orphaned": found.orphaned}
        counts = ", ".join(f"{len(texts)} {kind}" for kind, texts in kinds.items())
        lines.append(f"{language}/{name}: {total} texts, {counts}")
        lines += [f"    {kind}: {text[:70]!r}" for kind, texts in kinds.items() for text in texts]
    return "\n".join(lines)


# --- notebooks ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edition:
    """The texts of one language, and what is made of them."""

    language: str

    @property
    def folder(self) -> Path:
        """Where its notebooks are."""
        return NOTEBOOKS / self.language

    def path(self, name: str) -> Path:
        """Where a lesson of it is."""
        return self.folder / f"{name}.ipynb"

    def lessons(self) -> list[str]:
        """The names of its lessons, in order: ["00_start_here", ...]."""
        return [name for name in names(self.language) if name not in (README, INTERFACE)]

    def own(self, text: str) -> str:
        """A text of the editions themselves, by its key in ``OWN_TEXTS``."""
        return translations(self.language, INTERFACE).get(OWN_TEXTS[text], OWN_TEXTS[text])

    def notebook(self, name: str, outputs: NotebookNode | None = None) -> NotebookNode:
        """The lesson in this language: the same cells with the same ids.

        The outputs come from ``outputs``, an earlier version of it, wherever that has the same code; else, and where no
        test compares them, from the English lesson.
        """
        known = translations(self.language, name)
        before = {cell.id: cell for cell in outputs.cells if cell.cell_type == "code"} if outputs else {}
        made = lesson(name)
        for cell in made.cells:
            if cell.cell_type == "code":
                self._set_code(cell, before.get(cell.id))
            else:
                cell.source = self._text(cell, name, known)
        return made

    def _set_code(self, cell: NotebookNode, before: NotebookNode | None) -> None:
        cell.source = deeper(cell.source)
        is_compared = "nbval-ignore-output" not in cell.metadata.get("tags", [])
        if is_compared and before is not None and before.source == cell.source:
            cell.outputs, cell.execution_count = before.outputs, before.execution_count
        else:
            cell.outputs = nbformat.from_dict(
                json.loads(json.dumps(cell.outputs).replace("../data/", "../../data/"))
            )

    def _text(self, cell: NotebookNode, name: str, known: dict[str, str]) -> str:
        if not is_generated(cell):
            return joined(self._translated(parts(cell.source), known, NOTEBOOKS))
        made = []
        for part in parts(cell.source):
            if part.text.startswith("!["):
                made += self._translated([part], known, NOTEBOOKS)
            else:
                made.append(Part(self._linked(self._generated(part.text), NOTEBOOKS)))
        if MINUTES.match(cell.source.partition("\n")[0]):
            made.append(Part(self._linked(self.own("about").format(f"{name}.ipynb"), NOTEBOOKS, mark=False)))
        return joined(made)

    def _translated(self, given: list[Part], known: dict[str, str], folder: Path) -> list[Part]:
        """The pieces of a page of ``folder`` in this language, for the folder of the edition.

        What is not translated is marked: a paragraph before it, a row of a table in it.
        """
        made, is_marked = [], False
        for part in given:
            text = known.get(part.text, part.text)
            is_missing = is_text(part.text) and part.text not in known
            if is_missing and part.text.startswith("|"):
                text = re.sub(r" \|$", f" *({self.own('english')})* |", text)
            elif is_missing and not is_marked:
                made.append(Part(f"*{self.own('untranslated')}*"))
            is_marked = is_missing if is_text(part.text) else is_marked
            made.append(Part(self._linked(text if folder == ROOT else deeper(text), folder), part.end))
        return made

    def _generated(self, text: str) -> str:
        """Minutes and links to the neighbours, in this language."""
        if found := MINUTES.match(text):
            return self.own("minutes").format(*found.groups())
        return NEIGHBOUR.sub(
            lambda found: f"{self.own(found[1])}: [{self.title(found[2])}]({found[2]})", text
        )

    def title(self, file: str) -> str:
        """The heading of a lesson, in this language if it is a part of the edition."""
        name = file.removesuffix(".ipynb")
        heading = parts(lesson(name).cells[0].source)[0].text
        known = translations(self.language, name) if name in self.lessons() else {}
        return known.get(heading, heading).removeprefix("# ")

    def readme(self) -> str:
        """The README in this language, for the folder of the edition."""
        page = (ROOT / "README.md").read_text(encoding="utf-8")
        made = self._translated(parts(page), translations(self.language, README), ROOT)
        about = self._linked(self.own("about_readme").format("README.md"), ROOT, mark=False)
        return joined([made[0], Part(about), *made[1:]]) + "\n"

    def _linked(self, text: str, folder: Path, mark: bool = True) -> str:
        """The text with its links, which lead from ``folder``, led from here.

        To a page of this edition, if there is one. Else to the English page, and behind the link stands that it is.
        """

        def leads(found: re.Match) -> str:
            words, target, anchor = found[1], found[2], found[3] or ""
            place = Path(os.path.normpath(folder / target))
            own = self._page_for(place) if mark else None
            path = Path(os.path.relpath(own or place, self.folder)).as_posix()
            is_foreign = mark and own is None and place.suffix in (".ipynb", ".md")
            return f"{words}({path}{anchor})" + (f" ({self.own('english')})" if is_foreign else "")

        return LINK.sub(leads, text)

    def _page_for(self, place: Path) -> Path | None:
        if place.parent == self.folder:
            return place
        if place == ROOT / "README.md" and README in names(self.language):
            return self.folder / "README.md"
        is_here = place.parent == NOTEBOOKS and place.stem in self.lessons()
        return self.folder / place.name if is_here else None

    def texts(self) -> dict[str, str]:
        """What quizzes, exercises and helpers say, by the English text. Headings too: quizzes name them."""
        found = {}
        for name in names(self.language):
            known = translations(self.language, name)
            places = {message.text: message.place for message in messages(name)}
            for text, said in known.items():
                if places.get(text, "").startswith(("data/", "helpers/")):
                    found[text] = said
                elif re.match(r"#+ [^\n]+\Z", text):
                    found[text.lstrip("# ")] = said.lstrip("# ")
        return dict(sorted(found.items()))

    def write(self) -> list[Path]:
        """Writes all notebooks, the README and the texts. Returns what has changed."""
        self.folder.mkdir(exist_ok=True)
        made = {TEXTS / f"{self.language}.json": as_json(self.texts())}
        for name in self.lessons():
            made[self.path(name)] = nbformat.writes(self.in_standard_form(name)) + "\n"
        if README in names(self.language):
            made[self.folder / "README.md"] = self.readme()
        return [path for path, text in made.items() if write(path, text)]

    def in_standard_form(self, name: str) -> NotebookNode:
        """The lesson in this language with the outputs that are on disk."""
        file = self.path(name)
        return self.notebook(name, read(file) if file.is_file() else None)


def editions() -> list[Edition]:
    """All editions."""
    return [Edition(language) for language in languages()]


def of(notebook: Path) -> Edition | None:
    """The edition that a notebook belongs to; None for an English one, and for one that is none of the course's."""
    return next((edition for edition in editions() if edition.folder == notebook.parent), None)


def deeper(text: str) -> str:
    """Paths in code that lead from notebooks/, led from a folder in it: "../../data/..." for "../data/..."."""
    return UP.sub(r"\1../../", text)


def as_json(texts: dict[str, str]) -> str:
    """The file of a dictionary of texts."""
    return json.dumps(texts, ensure_ascii=False, indent=1) + "\n"


def write(path: Path, text: str) -> bool:
    """Writes a file if that changes it. Returns whether it did."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return True


def main(arguments: list[str] | None = None, say: Callable[[str], object] = print) -> int:
    """Runs the command. Returns its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("language", nargs="?", help="begin with lessons in this language, such as ru")
    parser.add_argument("lessons", nargs="*", metavar="NN", help="their numbers")
    parser.add_argument("--report", action="store_true", help="change nothing, say what drifts")
    options = parser.parse_args(arguments)
    if options.report:
        say("\n".join(map(report, languages())))
        return 0
    for number in options.lessons:
        found = [path.stem for path in NOTEBOOKS.glob("*.ipynb") if path.stem.startswith(number)]
        if len(found) != 1:
            parser.error(f"there is no lesson {number}")
        update(options.language, found[0])
    if options.language:
        for name in (README, INTERFACE):
            update(options.language, name)
    for edition in editions():
        for path in [*update_all(edition.language), *edition.write()]:
            say(f"written: {path.relative_to(ROOT).as_posix()}")
        say(report(edition.language))
    say("If outputs have changed, too: python -m tests.notebooks.refresh LANGUAGE/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
