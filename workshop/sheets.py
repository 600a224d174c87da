"""Exercise sheets and solutions, made from a lesson.

A sheet has the quiz and the exercises of a lesson, and of its other code what these need. A solution is the same
sheet with the lesson's folded solution in a cell of its own, after the cell in which the learner writes.
"""

import ast
import re
import symtable
from collections.abc import Iterable

import nbformat
from nbformat import NotebookNode

from workshop import pieces

SET_UP = "# From the lesson: what the next exercise needs. Just run it."
APART = """\
# The sample memos of this page do not go into your own my/, but into a folder that nobody keeps.
import os
import tempfile

os.environ["COURSE_MY"] = tempfile.mkdtemp()"""
HEAD = {
    False: "Run the cells in order. Write in the cells under each exercise; the cell with `check` says how you did.",
    True: "The solutions stand in cells of their own. Run the cells in order: every check says Right.",
}


def sheet(lesson: NotebookNode, file: str, solved: bool) -> NotebookNode:
    """The exercises of a lesson as a notebook without outputs, to lie in a folder beside ``notebooks/``.

    ``file`` is the lesson's name, for the link to it. Relative paths in its code stay right: they begin with "../".
    """
    number, name = int(file[:2]), pieces.title(lesson)
    kind = "Solutions" if solved else "Exercises"
    head = f"# {kind} of lesson {number}\n\n[{name}](../notebooks/{file})\n\n{HEAD[solved]}"
    marked = list(_marked(lesson))
    cells = [pieces.markdown(head), *([nbformat.v4.new_code_cell(APART)] if solved else [])]
    cells += _with_set_up(marked, _needed(marked), solved)
    cells += [pieces.markdown(f"## More\n\n{text}") for text in _challenges(lesson)]
    for place, cell in enumerate(cells):
        cell["id"] = f"cell-{place}"  # else each making would differ
    return nbformat.v4.new_notebook(cells=cells, metadata=lesson.metadata)


def _marked(lesson: NotebookNode) -> Iterable[tuple[NotebookNode, bool]]:
    """Each piece, and whether it belongs to a task: an exercise up to its solution, or a quiz."""
    exercise = False
    for piece in pieces.pieces(lesson):
        name = pieces.heading(piece)
        if name:
            exercise = name.startswith("Exercise")
        quiz = name.startswith("Quiz") or piece.cell_type == "code" and pieces.QUIZ.search(piece.source)
        yield piece, exercise or bool(quiz)
        if pieces.SOLUTION in piece.source:
            exercise = False


def _challenges(lesson: NotebookNode) -> list[str]:
    texts = (cell.source for cell in lesson.cells if cell.cell_type == "markdown")
    return [pieces.from_here(match[0]) for text in texts for match in pieces.MORE.finditer(text)]


# --- what an exercise needs --------------------------------------------------------------------------------


def _needed(marked: list[tuple[NotebookNode, bool]]) -> set[int]:
    """The places of the code cells outside tasks without which the tasks do not run.

    Backwards from the last cell: one is needed if it makes or changes a name that a later needed cell uses.
    """
    wanted, found = set(), set()
    for place in reversed(range(len(marked))):
        cell, is_task = marked[place]
        source = cell.source if cell.cell_type == "code" else solution(cell)
        if source and (is_task or wanted & (bound(source) | changed(source))):
            found |= set() if is_task else {place}
            wanted = (wanted - made(source)) | used(source)
    return found


def used(source: str) -> set[str]:
    """The names that code takes from the notebook, in its functions too."""
    top = symtable.symtable(source, "cell", "exec")
    names = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    tables = top.get_children()
    while tables:
        table = tables.pop()
        names |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
        tables += table.get_children()
    return names - own(source)


def own(source: str) -> set[str]:
    """The names that code makes for a block of its own: ``with ... as x``, ``for x in``, ``except ... as x``."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
        targets = [item.optional_vars for item in node.items] if isinstance(node, ast.With) else []
        targets += [node.target] if isinstance(node, ast.For) else []
        names |= {
            part.id for target in targets if target for part in ast.walk(target) if isinstance(part, ast.Name)
        }
    return names


def bound(source: str) -> set[str]:
    """The names that code gives a value: assignments, imports, definitions, wherever they stand."""
    symbols = symtable.symtable(source, "cell", "exec").get_symbols()
    return {s.get_name() for s in symbols if s.is_assigned() or s.is_imported() or s.is_namespace()}


def made(source: str) -> set[str]:
    """Those of them that the code makes anew in any case, and does not read itself."""
    lines = (ast.Assign, ast.Import, ast.ImportFrom, ast.FunctionDef)
    always = [ast.unparse(node) for node in ast.parse(source).body if isinstance(node, lines)]
    return set().union(*map(bound, always)) - used(source) if always else set()


def changed(source: str) -> set[str]:
    """The names of things that code changes in place: ``x[...] = 1``, ``x.y = 1``, ``x.append(1)``."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            names |= {part.id for part in ast.walk(node.value) if isinstance(part, ast.Name)}
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = node.value.func
            if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                names.add(called.value.id)
    return names


# --- the cells of a sheet ----------------------------------------------------------------------------------


def _with_set_up(marked: list, needed: set[int], solved: bool) -> list[NotebookNode]:
    """The tasks in order; before each, as one cell, the code that it needs and that has not been there."""
    cells, waiting, task = [], [], []
    for place, (piece, is_task) in enumerate(marked):
        if not is_task:
            cells += _task(task, solved)
            task = []
            waiting += [piece.source] if place in needed else []
            continue
        if waiting:
            cells.append(_set_up(waiting))
            waiting = []
        task.append(piece)
        if pieces.SOLUTION in piece.source:
            cells += _task(task, solved)
            task = []
    return cells + _task(task, solved)


def _set_up(sources: list[str]) -> NotebookNode:
    cell = nbformat.v4.new_code_cell("\n\n".join([SET_UP, *sources]))
    cell.metadata["jupyter"] = {"source_hidden": True}  # JupyterLab shows it as one line that unfolds
    return cell


def _task(task: list[NotebookNode], solved: bool) -> list[NotebookNode]:
    """The cells of one exercise, without its folded solution; with it as code, where the learner writes."""
    answer = next((text for text in map(solution, task) if text), "")
    place = learners_cell(task)
    cells = []
    for number, piece in enumerate(task):
        if piece.cell_type == "code":
            cells.append(nbformat.v4.new_code_cell(piece.source))
        elif pieces.SOLUTION not in piece.source:
            cells.append(pieces.markdown(pieces.from_here(piece.source)))
        if solved and answer and number == place:
            cells.append(nbformat.v4.new_code_cell(f"# Solution\n{answer}"))
    return cells


def learners_cell(task: list[NotebookNode]) -> int | None:
    """The place of the cell in which the learner writes: the last one before the check that orders nothing."""
    place = None
    for number, piece in enumerate(task):
        if piece.cell_type != "code":
            continue
        if pieces.CHECK.search(piece.source):
            return place
        if ".create(" not in piece.source:
            place = number
    return place


def solution(piece: NotebookNode) -> str:
    """The code of a folded solution; empty if this piece is none."""
    if piece.cell_type != "markdown" or pieces.SOLUTION not in piece.source:
        return ""
    return re.search(r"```python\n(.*?)```", piece.source, re.DOTALL)[1].rstrip()
