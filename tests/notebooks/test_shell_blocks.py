"""The curl commands that the lessons print work as they stand, against a server started by hand."""

import json
import os
import re
import shutil
import subprocess

import pytest

from tests import by_hand
from tests.notebooks import refresh

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
ROOT = refresh.ROOT


def bash_block(lesson: str) -> str:
    """The first bash block in the text of a lesson."""
    (path,) = ROOT.glob(f"notebooks/{lesson}_*.ipynb")
    return bash_blocks(path)[0]


def bash_blocks(path) -> list[str]:
    """The bash blocks in the text of a notebook."""
    text = "\n".join(cell.source for cell in refresh.read(path).cells if cell.cell_type == "markdown")
    return re.findall(r"```bash\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def environment(tmp_path):
    with by_hand.server(tmp_path) as (url, _):
        yield os.environ | {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-local"}


def run(command: str, environment: dict[str, str]) -> dict:
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    return json.loads(done.stdout)


def test_upload_create_and_ask_with_curl(environment):
    uploaded = run(bash_block("03"), environment)
    assert uploaded["filename"] == "train.jsonl"
    job = run(bash_block("04").replace("FILE_ID", uploaded["id"]), environment)
    assert job["training_file"] == uploaded["id"]
    answer = run(bash_block("05").replace("MODEL_NAME", "gpt-3.5-turbo"), environment)
    assert answer["choices"][0]["message"]["content"]


def test_the_commands_of_the_page_about_the_article(environment):
    upload, create, ask = bash_blocks(refresh.NOTEBOOKS / "article.ipynb")
    uploaded = run(upload, environment)
    job = run(create, environment | {"FILE_ID": uploaded["id"]})
    assert job["training_file"] == uploaded["id"]
    answer = run(ask, environment | {"MODEL_NAME": "gpt-3.5-turbo"})
    assert answer["choices"][0]["message"]["content"]
