"""Code in the manner of other people's, with their libraries, each in an environment of its own, against the mock API.

``other_people/`` holds one small program a library; all begin with the usual environment variables and know nothing
of the mock. The libraries are fetched, in the version of the day, by pip and npm: the soak tier needs the network.
The sample runs the plain client alone, and Node's where Node is and its package can be had.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import by_hand, environment

from .conftest import rows

PROGRAMS = Path(__file__).parent / "other_people"
# program -> what pip installs for it, in the order in which a count takes them; the first needs nothing
PYTHON = {
    "plain_client": [],
    "langchain": ["langchain-openai"],
    "llamaindex": ["llama-index-llms-openai"],
    "litellm_": ["litellm"],
    "dspy_": ["dspy"],
    "instructor_": ["instructor"],
    "agents_": ["openai-agents"],
    "inspect_": ["inspect-ai", "openai"],
}
NODE = "node_client.mjs"


def run(command: list[str], folder: Path, **more: str) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment.with_the_network() | more,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def python_for(program: str, folder: Path) -> str:
    """The interpreter for a program: this one, or that of a new environment with its library."""
    if not PYTHON[program]:
        return sys.executable
    run([sys.executable, "-m", "venv", str(folder)], folder.parent)
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    run([python, "-m", "pip", "install", "--quiet", *PYTHON[program]], folder.parent)
    return python


def node_is_ready(folder: Path) -> bool:
    """Node and the client for it, installed into the folder; False if they cannot be had here."""
    if not (shutil.which("node") and shutil.which("npm")):
        return False
    shutil.copy(PROGRAMS / NODE, folder)
    got = subprocess.run(
        ["npm", "install", "--silent", "openai"], cwd=folder, env=environment.with_the_network(), timeout=300
    )
    return got.returncode == 0


@pytest.mark.slow
@pytest.mark.endurance(sample=1, soak=len(PYTHON))
def test_other_peoples_code_runs_unchanged(tmp_path, count, figures):
    training = tmp_path / "train.jsonl"
    training.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    done = []
    with by_hand.server(tmp_path / "state") as (url, _):
        place = {"OPENAI_BASE_URL": url, "OPENAI_API_BASE": url, "OPENAI_API_KEY": "sk-local"}
        for program in list(PYTHON)[:count]:
            python = python_for(program, tmp_path / program)
            run([python, str(PROGRAMS / f"{program}.py"), str(training)], tmp_path, **place)
            done.append(program)
        if node_is_ready(tmp_path):
            run(["node", NODE, str(training)], tmp_path, **place)
            done.append(NODE)
    figures(f"ran unchanged: {', '.join(done)}")
