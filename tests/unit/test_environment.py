"""The tests run in the world that tests/environment.py promises. A block that does not block is worse than none."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environment import CLOSED_PROXY, KEY_NAMES, ROOT, OneWorker, for_another_pytest, outside
from tests.no_network.sitecustomize import is_own_computer

OTHER_COMPUTER = "192.0.2.1"  # reserved for documentation (RFC 5737): nobody answers there


@pytest.fixture(autouse=True)
def attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """These attempts are meant, so they go to a log of their own."""
    log = tmp_path / "network.log"
    monkeypatch.setenv("NETWORK_LOG", str(log))
    return log


@pytest.mark.parametrize("address", [(OTHER_COMPUTER, 80), ("2001:db8::1", 80, 0, 0)])
def test_connections_to_other_computers_raise_and_are_recorded(address, attempts):
    family = socket.AF_INET6 if len(address) == 4 else socket.AF_INET
    with socket.socket(family) as client, pytest.raises(PermissionError, match="block the network"):
        client.connect(address)
    assert attempts.read_text().splitlines() == [f"socket.connect {address[0]!r}"]


def test_datagrams_and_name_lookups_raise():
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        pytest.raises(PermissionError, match="block the network"),
    ):
        client.sendto(b"x", (OTHER_COMPUTER, 53))
    with pytest.raises(PermissionError, match="block the network"):
        socket.getaddrinfo("example.org", 443)
    with pytest.raises(PermissionError, match="block the network"):
        socket.gethostbyname("example.org")


def test_a_subprocess_is_blocked_too(attempts):
    code = f"import socket; socket.create_connection(({OTHER_COMPUTER!r}, 80))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert "PermissionError: The tests block the network" in run.stderr
    assert attempts.read_text().splitlines() == [f"socket.getaddrinfo {OTHER_COMPUTER!r}"]


def test_a_test_that_needs_the_package_index_can_have_the_network():
    environment = outside()
    assert "tests/no_network" not in environment.get("PYTHONPATH", "")
    assert environment.get("HTTPS_PROXY") != CLOSED_PROXY
    assert "NETWORK_LOG" not in environment


def test_this_computer_can_be_reached():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(("localhost", server.getsockname()[1])) as client:
            assert client.getpeername() == server.getsockname()


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", True), ("::1", True), (b"localhost", True), ("10.0.0.1", False)]
)
def test_own_computer(host, own):
    assert is_own_computer(host) is own


def test_lessons_find_fresh_state_quick_jobs_proxies_and_a_made_up_key():
    assert Path(os.environ["LOCAL_API_HOME"]).name == "state"
    assert os.environ["LOCAL_API_JOB_SECONDS"] == "0"
    assert os.environ["HTTPS_PROXY"] == CLOSED_PROXY
    assert {os.environ[name] for name in KEY_NAMES} == {os.environ["OPENAI_API_KEY"]}
    assert os.environ["OPENAI_API_KEY"].startswith("made-up-")
    assert [name for name in os.environ if name.startswith("OPENAI_")] == ["OPENAI_API_KEY"]


SWALLOWS = """
import socket
def test_swallows():
    try:
        socket.create_connection(("192.0.2.1", 80))
    except OSError:
        pass
"""
SKIPS = "import pytest\ndef test_x(): pytest.skip('no reason')"

USES = """
import logging, os, sqlite3, tempfile
KEY = os.environ["NEBIUS_API_KEY"]
def test_used(): assert KEY.isascii()
"""
LEAKS = (
    USES
    + """
def test_printed(): print("The key is", KEY)
def test_logged(): logging.warning("The key is %s", KEY)
def test_raised(): raise ValueError(KEY)
def test_file(tmp_path): (tmp_path / "a.txt").write_text("x" * 9999 + KEY)
def test_temporary_file(): open(tempfile.mkstemp(suffix=".b")[1], "w").write(KEY)
def test_database():
    os.makedirs(os.environ["LOCAL_API_HOME"])
    with sqlite3.connect(os.environ["LOCAL_API_HOME"] + "/state.sqlite") as database:
        database.execute("CREATE TABLE keys (key)")
        database.execute("INSERT INTO keys VALUES (?)", [KEY])
"""
)
PLACES = [r"the output of \S+test_printed", r"the output of \S+test_logged", r"the output of \S+test_raised"]
PLACES += [r"/\S+/a\.txt", r"/\S+\.b", r"/\S+/state\.sqlite"]


def run_tests(code: str, folder: Path, ci: str = "") -> subprocess.CompletedProcess:
    """Runs a file of tests as the suite is run, in a process of its own."""
    file = folder / "test_x.py"
    file.write_text(code)
    options = ["-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider", "-n", "1", str(file)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=ROOT,
        env=for_another_pytest() | {"CI": ci},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_key_is_found_wherever_a_test_has_left_it(tmp_path):
    said = run_tests(LEAKS, tmp_path).stdout
    for place in PLACES:
        assert re.search(rf"^A key from the environment stands in {place}", said, re.MULTILINE), place
    assert len(re.findall("^A key from the environment", said, re.MULTILINE)) == len(PLACES)


@pytest.mark.slow
def test_a_run_that_tries_the_network_or_skips_in_ci_fails(tmp_path):
    """Though all that it ran has passed."""
    run = run_tests(SWALLOWS + SKIPS, tmp_path, ci="true")
    assert run.returncode == 1 and "1 passed, 1 skipped" in run.stdout, run.stdout
    assert "The network was tried:\nsocket.getaddrinfo '192.0.2.1'" in run.stdout
    assert "1 tests were skipped. In CI none may be." in run.stdout


@pytest.mark.slow
def test_a_skipped_test_elsewhere_and_a_used_key_are_no_fault(tmp_path):
    run = run_tests(SKIPS + USES, tmp_path)
    assert run.returncode == 0 and "1 passed, 1 skipped" in run.stdout, run.stdout


def test_one_worker_runs_all_files_that_use_the_browser():
    files = ["tests/browser/test_a.py", "tests/browser/test_b.py", "tests/unit/test_a.py", "notebooks/01_a"]
    units = [OneWorker._split_scope(object.__new__(OneWorker), f"{file}::test_x") for file in files]
    assert units == ["browser", "browser", *files[2:]]
