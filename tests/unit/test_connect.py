"""connect() sets the scene; afterwards plain OpenAI() works."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from helpers import connect as connect_module
from helpers.connect import connect
from helpers.local_api.server import Server

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


PROVIDER_KEYS = {
    "openai": "OPENAI_API_KEY",
    "azure": "AZURE_OPENAI_API_KEY",
    "nebius": "NEBIUS_API_KEY",
    "crusoe": "CRUSOE_API_KEY",
    "https://host.invalid/v1": "COMPATIBLE_API_KEY",
}


@pytest.mark.parametrize(("target", "name"), PROVIDER_KEYS.items())
def test_without_a_key_there_is_a_clear_error_and_never_a_question(target, name, tmp_path):
    result = run(
        f"import os; os.chdir({str(tmp_path)!r})\nfrom helpers.connect import connect; connect({target!r})",
        AZURE_OPENAI_ENDPOINT="https://mine.openai.azure.com",
        PYTHONPATH=os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ROOT)]),
        **dict.fromkeys(set(PROVIDER_KEYS.values()) - {"OPENAI_API_KEY"}, ""),
    )
    assert result.returncode == 1
    assert f"Set {name} in the environment" in result.stderr
    assert "EOFError" not in result.stderr


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("nowhere", "'openai', 'azure', 'nebius', 'crusoe'"),
        ("http://host.invalid/v1", "https"),
        ("https://name:word@host.invalid/v1", "without a key"),
        ("https://host.invalid/v1?key=x", "without a key"),
        ("https:///v1", "without a key"),
        ("https://host.invalid\\@other.invalid/v1", "without a key"),
        ("https://host.invalid\n.other/v1", "without a key"),
        ("https://host.invalid:port/v1", "Port"),
        ("azure", "Set AZURE_OPENAI_ENDPOINT"),
    ],
)
def test_a_target_that_cannot_be_is_named(target, hint, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT", raising=False)
    with pytest.raises(ValueError, match=hint):
        connect(target)
    assert "OPENAI_API_KEY" not in os.environ


@pytest.mark.parametrize(
    "options",
    [{"scenario": "closed"}, {"as_of": "2026-11-22"}, {"scenario": "closed", "as_of": "2026-11-22"}],
)
def test_scenes_belong_to_the_mock(options):
    with pytest.raises(ValueError, match="belong to the mock"):
        connect("openai", **options)


def test_the_mock_has_nothing_to_approve():
    with pytest.raises(ValueError, match="nothing to approve"):
        connect(approve="$1.00 ABCDEF")


@pytest.mark.parametrize("text", ["many", "-1", "nan", "inf"])
def test_a_limit_that_is_no_amount_is_named(text, monkeypatch):
    monkeypatch.setenv("SPEND_LIMIT_USD", text)
    with pytest.raises(ValueError, match="number of US dollars"):
        connect_module._limit(5.0)


def test_the_limit_comes_from_the_environment_then_from_dotenv_then_from_the_guard(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPEND_LIMIT_USD", raising=False)
    assert connect_module._limit(5.0) == 5
    (tmp_path / ".env").write_text("SPEND_LIMIT_USD=7")
    assert connect_module._limit(5.0) == 7
    monkeypatch.setenv("SPEND_LIMIT_USD", "9.5")
    assert connect_module._limit(5.0) == 9.5


def test_a_key_with_a_line_break_inside_is_refused_without_showing_it(monkeypatch, tmp_path):
    monkeypatch.setenv("COMPATIBLE_API_KEY", "half-of\nthe-key")
    with pytest.raises(ValueError, match="COMPATIBLE_API_KEY holds blanks") as caught:
        connect("https://host.invalid/v1")
    assert "half-of" not in str(caught.value)


def paid_api(refused: bool = False, jobs_status: int = 200):
    """A compatible API on this computer that knows two lists."""

    async def models(request):
        seen.append(request.headers["authorization"])
        found = [{"id": "a", "fine_tuning_available": True}, {"id": "b", "fine_tuning_available": False}]
        return JSONResponse({"error": {"message": "no"}}, 401) if refused else JSONResponse({"data": found})

    async def jobs(request):
        return JSONResponse({"data": []}, jobs_status)

    seen = []
    app = Starlette(routes=[Route("/v1/models", models), Route("/v1/fine_tuning/jobs", jobs)])
    return Server(app).start(), seen


@pytest.mark.parametrize(
    ("status", "words"), [(200, "there is none yet"), (403, "may not see them"), (404, "does not have them")]
)
def test_the_pre_flight_says_what_the_key_can_do(status, words, monkeypatch, capsys):
    server, seen = paid_api(jobs_status=status)
    monkeypatch.setenv("COMPATIBLE_API_KEY", "my-" + "own")
    connect(server.base_url)
    said = capsys.readouterr().out
    assert "cost money" in said and "2 listed" in said and "1 of them can be fine-tuned" in said
    assert words in said and "held until you approve" in said
    assert seen == ["Bearer my-own"] and "my-own" not in said
    # the client gets the guard's address and token, never the key
    assert os.environ["OPENAI_API_KEY"].startswith("sk-guard-")
    assert os.environ["OPENAI_BASE_URL"].startswith("http://127.0.0.1:")
    assert os.environ["OPENAI_BASE_URL"] != server.base_url
    server.stop()


def test_a_refused_key_is_said_and_nothing_is_connected(monkeypatch):
    server, _ = paid_api(refused=True)
    monkeypatch.setenv("COMPATIBLE_API_KEY", "old")
    with pytest.raises(ValueError, match="does not accept your key"):
        connect(server.base_url)
    assert "OPENAI_API_KEY" not in os.environ
    server.stop()


def test_an_api_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setenv("COMPATIBLE_API_KEY", "mine")
    with pytest.raises(ConnectionError, match="could not be reached"):
        connect("http://127.0.0.1:9/v1")


def test_the_way_back_to_the_mock_and_to_the_provider_again(monkeypatch, capsys):
    server, _ = paid_api()
    monkeypatch.setenv("COMPATIBLE_API_KEY", "mine")
    connect(server.base_url)
    guarded = os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]
    connect()
    assert os.environ["OPENAI_API_KEY"].startswith("sk-local")
    connect(server.base_url)
    assert (os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]) == guarded
    server.stop()
