"""connect() sets the scene; afterwards plain OpenAI() works."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.connect import connect

ROOT = Path(__file__).parents[2]
OPENAI_NAMES = ("OPENAI_API_KEY", "OPENAI_BASE_URL")


@pytest.fixture(autouse=True)
def own_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("LOCAL_API_HOME", str(tmp_path))
    for name in (*OPENAI_NAMES, "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def run(code: str, **environment) -> subprocess.CompletedProcess:
    inherited = {key: value for key, value in os.environ.items() if key not in OPENAI_NAMES}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_afterwards_a_plain_client_works_even_with_a_dead_proxy():
    code = (
        "from helpers.connect import connect; connect()\n"
        "from openai import OpenAI\n"
        "print(len(OpenAI(max_retries=0).files.list().data))"
    )
    dead = "http://127.0.0.1:9"
    result = run(code, HTTP_PROXY=dead, HTTPS_PROXY=dead, ALL_PROXY=dead)
    assert result.stdout.splitlines()[-1] == "0", result.stderr


def test_it_says_what_answers_on_which_day_and_at_what_cost(capsys):
    connect()
    said = capsys.readouterr().out
    assert "mock API" in said
    assert "simulated" in said
    assert "costs nothing" in said
    assert "2025-06-01" in said
    assert os.environ["OPENAI_API_KEY"] not in said


def test_a_scenario_and_a_date_are_part_of_the_key(capsys):
    connect(scenario="closed", as_of="2026-11-22")
    assert os.environ["OPENAI_API_KEY"].endswith(".closed@2026-11-22")
    assert "2026-11-22" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"scenario": "typo"}, "closed"),
        ({"as_of": "2026-13-01"}, "day of the calendar"),
        ({"as_of": "tomorrow"}, "YYYY-MM-DD"),
        ({"target": "nowhere"}, "openai"),
    ],
)
def test_a_mistake_is_named_and_the_environment_left_alone(arguments, hint):
    with pytest.raises(ValueError, match=hint):
        connect(**arguments)
    assert "OPENAI_API_KEY" not in os.environ


def test_openai_without_a_key_is_a_clear_error_and_never_a_question():
    result = run("from helpers.connect import connect; connect('openai')")
    assert result.returncode == 1
    assert "Set OPENAI_API_KEY" in result.stderr


def test_openai_after_the_mock_gets_the_learners_own_key_back():
    code = (
        "import os, json\n"
        "from helpers.connect import connect\n"
        "connect(); connect('openai')\n"
        "print(json.dumps([os.environ['OPENAI_API_KEY'], 'OPENAI_BASE_URL' in os.environ]))"
    )
    result = run(code, OPENAI_API_KEY="sk-" + "mine")
    assert json.loads(result.stdout.splitlines()[-1]) == ["sk-" + "mine", False]
    assert "cost money" in result.stdout
