"""Commands that the course prints work when they are pasted into a terminal in its folder."""

import ast
import os
import re
from pathlib import Path

import pytest

from helpers import command_line
from helpers.dataset import __main__ as dataset
from helpers.local_api import __main__ as local_api
from tests.environment import ROOT
from tests.notebooks import refresh


@pytest.mark.parametrize(
    ("system", "python"), [("posix", ".venv/bin/python"), ("nt", r".venv\Scripts\python")]
)
def test_the_python_is_that_of_the_course(system, python, monkeypatch):
    monkeypatch.setattr(os, "name", system)
    line = command_line("helpers.dataset")
    monkeypatch.undo()
    assert line == f"{python} -m helpers.dataset"


@pytest.mark.parametrize("module", [dataset, local_api])
def test_the_page_of_help_shows_it(module, capsys):
    with pytest.raises(SystemExit):
        module.main(["--help"])
    shown = capsys.readouterr().out
    line = command_line(module.__package__)
    assert shown.startswith(f"usage: {line} ")
    assert not re.search(r"(?<!bin/)(?<!Scripts\\)python -m", shown)


def texts(path: Path) -> list[str]:
    """All texts in a module but its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)
    }
    found = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [text for text in found if isinstance(text, str) and text not in docstrings]


def test_no_module_prints_the_python_of_the_system():
    found = [
        (path.relative_to(ROOT).as_posix(), text)
        for path in sorted((ROOT / "helpers").rglob("*.py"))
        for text in texts(path)
        if "python -m helpers" in text
    ]
    assert {name for name, _ in found} <= {"helpers/local_api/__main__.py"}, (
        found
    )  # replaced before it is printed


def test_every_server_of_vllm_answers_its_own_machine_only():
    """Without --host vLLM listens on every network, and asks nobody for a key: a tunnel to it closes nothing."""
    modules = [path.read_text(encoding="utf-8") for path in (ROOT / "helpers").rglob("*.py")]
    cells = [cell.source for path in refresh.notebooks() for cell in refresh.read(path).cells]
    pages = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("*.md"))]
    commands = re.findall(r"vllm serve \S+(.*)", "\n".join([*modules, *cells, *pages]))
    assert len(commands) >= 6
    assert [command for command in commands if not command.startswith(" --host 127.0.0.1 ")] == []
