"""A lesson with LIVE = True: where it replays a recording, it really trains and asks.

The weights are tiny and random, and the changes cut files and answers short.
"""

from collections.abc import Mapping
from pathlib import Path

import nbformat
import pytest

from tests import nursery, tiny_model
from tests.notebooks import refresh

CELL_SECONDS = 300


def executed(
    number: str, changes: Mapping[str, str], state: Path, monkeypatch: pytest.MonkeyPatch
) -> nbformat.NotebookNode:
    """The lesson of this number as it ends with these changes, each of which must have its place in one cell."""
    monkeypatch.setenv("LOCAL_API_HOME", str(state))
    monkeypatch.setenv("LOCAL_API_WEIGHTS", str(tiny_model.shared()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("LOCAL_API_THREADS", "1")
    (path,) = refresh.NOTEBOOKS.glob(f"{number}_*.ipynb")
    notebook = refresh.read(path)
    for old, new in {"LIVE = False": "LIVE = True", **changes}.items():
        places = [cell for cell in refresh.code_cells(notebook) if old in cell.source]
        assert len(places) == 1, f"{old!r} stands in {len(places)} cells of lesson {number}"
        places[0].source = places[0].source.replace(old, new)
    nursery.start()
    notebook.cells.insert(0, nbformat.v4.new_code_cell(nursery.USED))
    refresh.execute(notebook, refresh.NOTEBOOKS, CELL_SECONDS)
    return notebook
