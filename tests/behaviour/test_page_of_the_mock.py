"""What the page of the mock API offers to copy works as it stands there: fixture, Python, Node and curl."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import openai
import playwright
import pytest

from tests.environment import ROOT

from .conftest import MODEL

PAGE = (ROOT / "helpers" / "local_api" / "README.md").read_text(encoding="utf-8")
ANSWER = "No. Pork products, raw or cooked, may not be brought in."
NODE = shutil.which("node") or str(
    Path(playwright.__file__).with_name("driver") / "node"
)  # playwright brings one


def block(after: str, language: str) -> str:
    """The first block of code in this language under a heading of the page."""
    section = PAGE[PAGE.index(f"# {after}\n") :]
    return re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)[1]


@pytest.fixture(scope="module")
def mock_api(tmp_path_factory):
    """The fixture of the page, with the course and the Python of these tests."""
    source = block("In pytest", "python").partition("\n\n\n")[2]
    names = {"COURSE": str(ROOT), "PYTHON": sys.executable, "os": os, "re": re, "subprocess": subprocess}
    exec(source.partition("\n")[2], names)  # without its first line, the decorator
    running = names["mock_api"](tmp_path_factory)
    yield next(running)
    assert not list(running)


@pytest.fixture
def environment(mock_api, tmp_path):
    """The variables that the page names; the airport's examples lie in the folder."""
    shutil.copyfile(ROOT / "data" / "airport" / "train.jsonl", tmp_path / "train.jsonl")
    needed = {"OPENAI_BASE_URL": mock_api["base_url"], "OPENAI_API_KEY": mock_api["api_key"]}
    return os.environ | needed | dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1")


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_fixture_and_python(environment, tmp_path):
    said = run([sys.executable, "-c", block("Python", "python")], tmp_path, environment)
    assert said.startswith(ANSWER)


def test_node(environment, tmp_path):
    (tmp_path / "tune.mjs").write_text(block("Node", "js"), encoding="utf-8")
    assert run([NODE, "tune.mjs"], tmp_path, environment).startswith(ANSWER)


def test_curl(environment, tmp_path):
    assert ANSWER in run(["bash", "-euc", block("curl", "bash")], tmp_path, environment)


def test_a_scene_is_chosen_by_the_key(mock_api):
    client = openai.OpenAI(base_url=mock_api["base_url"], api_key="sk-local.limited", max_retries=0)
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hello"}])


def test_the_fixture_has_ten_lines():
    lines = block("In pytest", "python").splitlines()
    assert len([line for line in lines if line.strip()]) <= 12  # ten, and the two to change


def test_all_that_the_page_links_to_is_there():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[\w-]+)?\)", PAGE):
        assert (ROOT / "helpers" / "local_api" / target).exists(), target
