"""connect() sets the scene; afterwards plain OpenAI() works."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from openai import OpenAI
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from helpers import connect as connect_module
from helpers.connect import connect
from helpers.local_api import loopback
from helpers.local_api.__main__ import _announce
from helpers.local_api.server import Server
from helpers.local_api.store import Store

ROOT = Path(__file__).parents[2]
OPENAI_NAMES = ("OPENAI_API_KEY", "OPENAI_BASE_URL")


@pytest.fixture(autouse=True)
def own_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("LOCAL_API_HOME", str(tmp_path))
    for name in (*OPENAI_NAMES, "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    inherited = {key: value for key, value in os.environ.items() if key not in OPENAI_NAMES}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=600,
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


# --- what stands between the client and this computer ---------------------------------------------------------

PROXY_NAMES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
USABLE_PROXIES = (
    "http://127.0.0.1:9",
    "127.0.0.1:9",
    "HTTP://host:1",
    "http://user:pass@host:1",
    "http://[::1]:9",
    "",
)
UNUSABLE_PROXIES = (
    "socks5://127.0.0.1:9",
    "socks5h://user:secret-word@host:1",
    "socks4://host:1",
    "socks://host:1",
    "ftp://host:1",
    "direct://",
    "://",
    "http://host:secret-word",
    "http://[::1",
    " http://host:1",
    "http://host:1\n",
)


@pytest.fixture
def no_proxies(monkeypatch):
    """No variable of the tests or of this computer is in the way; what connect() has left out is forgotten."""
    for name in (*PROXY_NAMES, "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(connect_module, "_left_out", {})


def a_plain_client_reaches_the_mock() -> bool:
    return "gpt-3.5-turbo" in {model.id for model in OpenAI(max_retries=0).models.list()}


@pytest.mark.parametrize("name", ["HTTP_PROXY", "all_proxy"])
@pytest.mark.parametrize("value", USABLE_PROXIES)
def test_a_proxy_is_kept_and_not_asked_for_the_mock(name, value, no_proxies, monkeypatch, capsys):
    monkeypatch.setenv(name, value)
    connect()
    assert a_plain_client_reaches_the_mock()
    assert os.environ[name] == value and name not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALL_PROXY", value) for value in UNUSABLE_PROXIES]
    + [(name, UNUSABLE_PROXIES[0]) for name in PROXY_NAMES],
)
def test_a_proxy_that_the_client_cannot_use_is_named_and_left_out(
    name, value, no_proxies, monkeypatch, capsys
):
    monkeypatch.setenv(name, value)
    connect()
    assert a_plain_client_reaches_the_mock()
    said = capsys.readouterr().out
    assert f"\n{name} " in said and "It is left out from here on" in said and "secret-word" not in said
    assert ("socksio is not installed" in said) == value.startswith("socks5")


def certificates(folder: Path, kind: str) -> str:
    """A value for SSL_CERT_FILE."""
    (folder / "empty.pem").touch()
    (folder / "text.pem").write_text("no certificate")
    return str(folder / {"gone": "gone.pem", "folder": "", "empty": "empty.pem", "text": "text.pem"}[kind])


@pytest.mark.parametrize("kind", ["gone", "folder", "empty", "text"])
def test_a_stale_file_of_certificates_is_named_and_left_out(kind, no_proxies, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", certificates(tmp_path, kind))
    connect()
    assert a_plain_client_reaches_the_mock()
    said = capsys.readouterr().out
    assert "SSL_CERT_FILE" in said and "a file of certificates" in said and "left out from here on" in said


def test_a_stale_folder_of_certificates_is_named_unless_one_of_several_is_there(
    no_proxies, monkeypatch, tmp_path
):
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "gone"))
    assert loopback.unusable() == {"SSL_CERT_DIR": "names a folder of certificates that is not there"}
    monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path / 'gone'}{os.pathsep}{tmp_path}")
    assert loopback.unusable() == {}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "ALL_PROXY",
            "socks5://host:1",
            "ALL_PROXY names a SOCKS proxy, and the package socksio is not installed",
        ),
        (
            "https_proxy",
            "http://host:port",
            "https_proxy does not name a proxy that the openai client can use",
        ),
        ("SSL_CERT_FILE", "gone.pem", "SSL_CERT_FILE names a file of certificates that is not there"),
        ("SSL_CERT_DIR", "gone", "SSL_CERT_DIR names a folder of certificates that is not there"),
    ],
)
def test_before_a_provider_they_are_an_error_with_a_way_out(name, value, words, no_proxies, monkeypatch):
    """A provider may be reached by them only, so they are not left out unasked: after the mock neither."""
    server, _ = paid_api()
    monkeypatch.setenv("COMPATIBLE_API_KEY", "mine")
    monkeypatch.setenv(name, value)
    for _ in range(2):
        with pytest.raises(ValueError, match=words) as caught:
            connect(server.base_url)
        connect()
        assert a_plain_client_reaches_the_mock()
    exec(str(caught.value).partition("do without it: ")[2], {"os": os})
    connect(server.base_url)
    assert os.environ["OPENAI_API_KEY"].startswith("sk-guard-")
    server.stop()


@pytest.mark.parametrize(
    ("upper", "lower", "expected_upper", "expected_lower"),
    [
        (None, None, "127.0.0.1,localhost", "127.0.0.1,localhost"),
        ("a.example", None, "a.example,127.0.0.1,localhost", "a.example,127.0.0.1,localhost"),
        (None, "a.example", "a.example,127.0.0.1,localhost", "a.example,127.0.0.1,localhost"),
        ("a", "b", "a,127.0.0.1,localhost", "b,127.0.0.1,localhost"),
        ("127.0.0.11, localhost", "", "127.0.0.11,localhost,127.0.0.1", "127.0.0.11,localhost,127.0.0.1"),
        ("127.0.0.1,localhost", "localhost,127.0.0.1", "127.0.0.1,localhost", "localhost,127.0.0.1"),
        ("*", None, "*", "*"),
    ],
)
def test_what_the_user_has_excepted_from_proxies_stays(
    upper, lower, expected_upper, expected_lower, monkeypatch
):
    for name, value in (("NO_PROXY", upper), ("no_proxy", lower)):
        if value is not None:
            monkeypatch.setenv(name, value)
    connect()
    assert (os.environ["NO_PROXY"], os.environ["no_proxy"]) == (expected_upper, expected_lower)
    connect()
    assert (os.environ["NO_PROXY"], os.environ["no_proxy"]) == (expected_upper, expected_lower)


def test_a_server_started_by_hand_prints_all_that_a_client_needs(monkeypatch, no_proxies, capsys):
    monkeypatch.setenv("no_proxy", "it's mine")
    monkeypatch.setenv("ALL_PROXY", "socks5://host:1")
    _announce("http://127.0.0.1:1/v1", Store())
    lines = capsys.readouterr().out.splitlines()
    export = next(line for line in lines if "export" in line and "OPENAI" in line)
    code = f"{export}\npython3 -c 'import os; print(dict(os.environ))'"
    shown = subprocess.run(
        ["sh", "-c", code], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True
    )
    expected = {
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        "OPENAI_API_KEY": "sk-local",
        "NO_PROXY": "it's mine,127.0.0.1,localhost",
        "no_proxy": "it's mine,127.0.0.1,localhost",
    }
    assert expected.items() <= ast.literal_eval(shown.stdout).items()
    assert "  unset ALL_PROXY  # it names a SOCKS proxy, and the package socksio is not installed" in lines


# --- .env -----------------------------------------------------------------------------------------------------

SETTING = "COMPATIBLE_API_KEY=made-up-\r\n"


@pytest.mark.parametrize(
    "content",
    [
        SETTING.encode(),
        SETTING.encode("utf-8-sig"),
        SETTING.encode("utf-16"),
        b"\xfe\xff" + SETTING.encode("utf-16-be"),
        ("# clé, 密钥\n" + SETTING).encode(),
    ],
)
def test_a_dotenv_of_any_unicode_editor_is_read(content, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMPATIBLE_API_KEY", raising=False)
    (tmp_path / ".env").write_bytes(content)
    assert connect_module._setting("COMPATIBLE_API_KEY") == "made-up-"
    assert connect_module.obstacles() == []


@pytest.mark.parametrize(
    "content",
    [
        ("# clé\n" + SETTING).encode("cp1252"),
        ("# 密钥\n" + SETTING).encode("gbk"),
        SETTING.encode("utf-16-le"),
        SETTING.encode("utf-32"),
        SETTING.encode("utf-16")[:-1],
    ],
)
def test_a_dotenv_in_another_encoding_is_refused_in_a_sentence(content, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMPATIBLE_API_KEY", raising=False)
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(ValueError, match="is not in UTF-8. Save it again with the encoding UTF-8.") as caught:
        connect("https://host.invalid/v1")
    assert str(tmp_path / ".env") in str(caught.value) and "made-up" not in str(caught.value)
    assert connect_module.main(".") == 1
    assert capsys.readouterr().out.strip() == str(caught.value)


def test_a_dotenv_that_may_not_be_read_is_said(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").touch()
    refuse = PermissionError(13, "Permission denied")
    monkeypatch.setattr(Path, "read_bytes", lambda path: (_ for _ in ()).throw(refuse))
    with pytest.raises(ValueError, match=r"\.env cannot be read: Permission denied\."):
        connect_module._dotenv()


def test_the_check_names_each_obstacle(no_proxies, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert connect_module.main(".") == 0
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("ALL_PROXY", "socks5://host:1")
    monkeypatch.setenv("SSL_CERT_FILE", "gone.pem")
    assert connect_module.main(".") == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["ALL_PROXY", "SSL_CERT_FILE"]
    assert all(line.endswith("Correct or remove this environment variable.") for line in lines)


# --- what it says ---------------------------------------------------------------------------------------------


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


EACH_PROVIDER = """
import os, sys
os.chdir(sys.argv[1])
from helpers.connect import connect
for target in sys.argv[2:]:
    try:
        connect(target)
    except Exception as error:
        print(repr(error))
connect(target)
"""


def test_without_a_key_there_is_a_clear_error_and_never_a_question(tmp_path):
    result = run(
        EACH_PROVIDER,
        str(tmp_path),
        *PROVIDER_KEYS,
        AZURE_OPENAI_ENDPOINT="https://mine.openai.azure.com",
        PYTHONPATH=os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ROOT)]),
        **dict.fromkeys(set(PROVIDER_KEYS.values()) - {"OPENAI_API_KEY"}, ""),
    )
    assert result.returncode == 1 and "EOFError" not in result.stdout + result.stderr
    for said, name in zip(result.stdout.splitlines(), PROVIDER_KEYS.values(), strict=True):
        assert f"Set {name} in the environment" in said


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
