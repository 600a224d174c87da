"""What every notebook of the course keeps to. Each function returns a list of what is wrong, empty if nothing."""

import ast
import dis
import re
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

from tests.notebooks.refresh import as_text, code_cells, in_standard_form

VERBS = {
    "Start",
    "Decide",
    "Prepare",
    "Upload",
    "Create",
    "Use",
    "Find",
    "Count",
    "Choose",
    "Train",
    "Carry",
    "Teach",
    "Grow",
}
FIRST_SECTIONS = ["What you'll do", "What you'll learn", "What you'll need"]
LAST_SECTIONS = ["Try it", "What you take home"]
MAX_CODE_LINES = 15
MAX_BYTES = 300_000
MAX_HELPER_NAMES = 3
# Quiz and check are the same two in every lesson, so they are learned once and leave room for a lesson's own
# names. They do count among the names of the whole course.
HELPERS_OF_EVERY_LESSON = {"helpers.teach.check", "helpers.teach.quiz"}
WIDGETS = {"helpers.widgets"}  # one widget a lesson is not counted either: it is used by clicking
THREAD = {"helpers.mine"}  # finds the reader's own file in each lesson that uses it
TIERS = ("**Run it:**", "**Change it:**", "**Your own:**")
IGNORE = "nbval-ignore-output"
SKIP = "nbval-skip"
ABSOLUTE_PATH = re.compile(
    r"(?<![\w.:/~>-])/(?:home|Users|root|tmp|var|opt|usr|mnt|work|private)/\w|\b[A-Z]:\\\\?\w"
)
KEY = re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{8,}|\bBearer\s+[A-Za-z0-9._-]{12,}")
# Figures on cost, quality, time or providers are computed in a cell, so that they cannot go stale in the text.
FIGURE = re.compile(
    r"[$€£¥]\s?\d|\d\s?(?:%|percent|dollars|US dollars|cents)"
    r"|\d\s?(?:x|times|seconds?|minutes?|hours?|days?|weeks?|months?|years?|ms|[KMGT]B)\b"
    r"|\b(?:19|20)\d\d\b"
)
OUR_PICTURE = re.compile(r"!\[[^\]]*\]\(pictures/\w+\.svg\)")  # its alt text is computed: refresh writes it
ISO_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")  # has a test of its own: it must stand in the table of models
NAMES_WITH_FIGURES = ("article of 2023", "95 % interval", "EMNLP 2024")
ALERT = re.compile(r"""\bclass\s*=\s*(?:"[^"]*(?<![\w-])alert|'[^']*(?<![\w-])alert|alert)""", re.IGNORECASE)
IMAGE_DATA = ("image/png", "image/jpeg")


def problems_of_any_notebook(notebook: NotebookNode, path: Path) -> list[str]:
    """Order, safety and form; for lessons and for the starter notebook."""
    return [
        *execution_counts(notebook),
        *ignored_outputs(notebook),
        *secrets_and_paths(notebook),
        *images_without_alt_text(notebook),
        *standard_form(notebook, path),
    ]


def problems_of_a_lesson(notebook: NotebookNode) -> list[str]:
    """The frame that makes lessons look alike."""
    return [*verb(notebook), *sections(notebook), *problems_of_a_page(notebook)]


def problems_of_a_page(notebook: NotebookNode) -> list[str]:
    """What an extra page keeps to as a lesson does: all but the sections and the verb of the title."""
    return [
        *first_heading(notebook),
        *heading_levels(notebook),
        *code(notebook),
        *typed_figures(notebook),
        *taken_names(notebook),
        *alert_boxes(notebook),
    ]


# --- any notebook ----------------------------------------------------------------------------------------


def execution_counts(notebook: NotebookNode) -> list[str]:
    """Counts are 1..n. nbval compares no cell without a count, so a stripped notebook would pass it."""
    counts = [cell.execution_count for cell in code_cells(notebook)]
    wanted = list(range(1, len(counts) + 1))
    return [] if counts == wanted else [f"execution counts are {counts}, not {wanted}: run refresh"]


def ignored_outputs(notebook: NotebookNode) -> list[str]:
    """At most one cell is not compared, and the next code cell is; no cell is skipped."""
    cells = code_cells(notebook)
    ignored = [number for number, cell in enumerate(cells) if IGNORE in tags(cell)]
    found = [f"more than one cell is tagged {IGNORE}"] if len(ignored) > 1 else []
    for number in ignored:
        if number + 1 == len(cells) or IGNORE in tags(cells[number + 1]):
            found.append(f"the cell tagged {IGNORE} is not followed by a code cell that is compared")
    if any(SKIP in tags(cell) or "NBVAL_" in cell.source for cell in cells):
        found.append(f"a cell is tagged {SKIP} or has an NBVAL_ comment: use the tag {IGNORE}")
    return found


def secrets_and_paths(notebook: NotebookNode) -> list[str]:
    """No key and no path of one computer, in sources and in outputs."""
    found = []
    for text in texts(notebook):
        found += [f"absolute path: {match[0]}" for match in ABSOLUTE_PATH.finditer(text)]
        found += [f"looks like a key: {match[0][:6]}..." for match in KEY.finditer(text)]
    return found


def images_without_alt_text(notebook: NotebookNode) -> list[str]:
    """Every image of the text, and every image or SVG in an HTML output, says what it shows."""
    found = []
    for text in texts(notebook):
        found += [match[0] for match in re.finditer(r"!\[\s*\]\([^)]*\)", text)]
        found += [
            tag for tag in re.findall(r"<img\b[^>]*>", text) if not re.search(r"""\balt=["'][^"']""", tag)
        ]
        found += [tag for tag in re.findall(r"<svg\b[^>]*>", text) if "aria-label" not in tag]
    return [f"image without alt text: {image[:60]}" for image in found]


def standard_form(notebook: NotebookNode, path: Path) -> list[str]:
    """Links, minutes, pictures, ids and metadata are as refresh writes them; the file is not too large."""
    found = [] if "widgets" not in notebook.metadata else ["widget state is saved in the notebook"]
    if as_text(in_standard_form(notebook, path)) != path.read_text(encoding="utf-8"):
        found.append("not in the standard form (links, minutes, ids, metadata): run refresh")
    if path.stat().st_size >= MAX_BYTES:
        found.append(f"{path.stat().st_size} bytes, more than {MAX_BYTES}")
    return found


# --- lessons ---------------------------------------------------------------------------------------------


def first_heading(notebook: NotebookNode) -> list[str]:
    """One H1, in the first cell."""
    titles = [text for level, text in headings(notebook) if level == 1]
    if len(titles) == 1 and notebook.cells[0].source.startswith("# "):
        return []
    return [f"the first cell must begin with the only H1; found {titles}"]


def verb(notebook: NotebookNode) -> list[str]:
    """The title begins with a verb: what the reader will do."""
    words = [text.split()[0].rstrip(",:") for level, text in headings(notebook) if level == 1][:1]
    return [
        f"the H1 begins with {word!r}, not with one of {sorted(VERBS)}" for word in words if word not in VERBS
    ]


def sections(notebook: NotebookNode) -> list[str]:
    """The H2s of the frame, in order, with at least one step between them."""
    names = [text for level, text in headings(notebook) if level == 2]
    found = []
    if names[:3] != FIRST_SECTIONS:
        found.append(f"the first H2s are {names[:3]}, not {FIRST_SECTIONS}")
    if names[-2:] != LAST_SECTIONS:
        found.append(f"the last H2s are {names[-2:]}, not {LAST_SECTIONS}")
    steps = names[3:-2]
    if not steps or set(steps) & {*FIRST_SECTIONS, *LAST_SECTIONS}:
        found.append("between the first and the last sections there must be steps, each with its own H2")
    return found


def heading_levels(notebook: NotebookNode) -> list[str]:
    """No level is left out on the way down: a screen reader's list of headings would have a hole."""
    found, previous = [], 0
    for level, text in headings(notebook):
        if level > previous + 1:
            found.append(f"heading {text!r} has level {level} after level {previous}")
        previous = level
    return found


def code(notebook: NotebookNode) -> list[str]:
    """Code cells are short, each has a sentence before it, and few helpers are imported."""
    found = []
    for before, cell in zip([None, *notebook.cells], notebook.cells, strict=False):
        if cell.cell_type != "code":
            continue
        first_line = cell.source.partition("\n")[0]
        if before is None or before.cell_type != "markdown":
            found.append(f"no text before the code cell {first_line!r}")
        lines = len(cell.source.splitlines())
        if lines > MAX_CODE_LINES:
            found.append(f"{lines} lines in the code cell {first_line!r}: more than {MAX_CODE_LINES}")
    names = helper_names(notebook) - HELPERS_OF_EVERY_LESSON - WIDGETS - THREAD
    if len(names) > MAX_HELPER_NAMES:
        found.append(f"{len(names)} names from helpers, more than {MAX_HELPER_NAMES}: {sorted(names)}")
    return found


def typed_figures(notebook: NotebookNode) -> list[str]:
    """No figure on cost, quality, time or providers is typed into the text; blocks of code are not text."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type != "markdown" or "generated" in tags(cell):
            continue
        text = re.sub(r"^```.*?^```", "", cell.source, flags=re.MULTILINE | re.DOTALL)
        text = ISO_DATE.sub("", OUR_PICTURE.sub("", text))
        for name in NAMES_WITH_FIGURES:
            text = text.replace(name, "")
        found += [
            f"figure in the text: {text[max(0, m.start() - 20) : m.end()]!r}" for m in FIGURE.finditer(text)
        ]
    return found


def taken_names(notebook: NotebookNode) -> list[str]:
    """No cell gives another meaning to check, quiz or connect: run again, it would break the cells below."""
    taken = {name.rpartition(".")[2] for name in HELPERS_OF_EVERY_LESSON} | {"connect"}
    found = []
    for cell in code_cells(notebook):
        code = compile(as_python(cell), "cell", "exec")
        stored = {step.argval for step in dis.get_instructions(code) if step.opname == "STORE_NAME"}
        imported = {name.asname or name.name for name in imports(cell)}
        found += [f"{name!r} is a helper, and something else here" for name in taken & stored - imported]
    return found


def alert_boxes(notebook: NotebookNode) -> list[str]:
    """No box of an alert class: its colours are JupyterLab's and illegible; a warning is a quotation."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    return [f"an alert box: {match[0]}" for text in texts for match in ALERT.finditer(text)]


def tasks(notebook: NotebookNode) -> list[str]:
    """A quiz, exercises that are checked and have a folded solution each, and three tiers of challenge."""
    found = [] if calls(notebook, "quiz") else ["no quiz"]
    exercises = sum(text.startswith("Exercise") for level, text in headings(notebook) if level == 3)
    checks = len(calls(notebook, "check"))
    folded = sum(cell.source.count("<summary>Solution</summary>") for cell in notebook.cells)
    if not exercises == checks == folded or not exercises:
        found.append(f"{exercises} exercises, {checks} checks, {folded} folded solutions")
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return found + [f"no challenge {tier}" for tier in TIERS if tier not in text]


# --- reading ---------------------------------------------------------------------------------------------


def helper_names(notebook: NotebookNode) -> set[str]:
    """What the code cells import from helpers, such as {"helpers.connect.connect"}."""
    names = set()
    for cell in code_cells(notebook):
        for node in ast.walk(ast.parse(as_python(cell))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "helpers":
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names if alias.name.split(".")[0] == "helpers"}
    return names


def imports(cell: NotebookNode) -> list[ast.alias]:
    """What a cell imports from modules."""
    tree = ast.walk(ast.parse(as_python(cell)))
    return [alias for node in tree if isinstance(node, ast.ImportFrom) for alias in node.names]


def as_python(cell: NotebookNode) -> str:
    """The source of a code cell without what only IPython understands."""
    return "\n".join("pass" if line.startswith(("%", "!")) else line for line in cell.source.splitlines())


def calls(notebook: NotebookNode, function: str) -> list[str]:
    """The first arguments of the calls of ``check`` or ``quiz``, one call a cell, in order."""
    pattern = re.compile(rf'^{function}\("([^"]+)"', re.MULTILINE)
    return [match[1] for cell in code_cells(notebook) for match in pattern.finditer(cell.source)]


def headings(notebook: NotebookNode) -> list[tuple[int, str]]:
    """(level, text) of the headings in all Markdown cells, in order; lines in code fences are none."""
    found, in_fence = [], False
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        for line in cell.source.splitlines():
            if line.lstrip().startswith(("```", "~~~")):
                in_fence = not in_fence
            match = re.match(r"(#{1,6}) +(.*\S)", line)
            if match and not in_fence:
                found.append((len(match[1]), match[2]))
    return found


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return cell.metadata.get("tags", [])


def texts(notebook: NotebookNode) -> Iterator[str]:
    """Every text that a reader sees: sources, printed lines, HTML and other data, errors; not binary images."""
    for cell in notebook.cells:
        yield cell.source
        for output in cell.get("outputs", []):
            yield output.get("text", "")
            yield from output.get("traceback", [])
            yield from (str(data) for kind, data in output.get("data", {}).items() if kind not in IMAGE_DATA)
