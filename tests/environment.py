"""The world in which tests and lessons run: fresh state, jobs that end at once, no keys, no network.

A pytest plugin (see addopts in pyproject.toml), because notebook kernels get what is in the environment when
pytest starts, and nothing from fixtures. ``tests.notebooks.refresh`` runs the lessons in the same world.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

import tests.no_network.sitecustomize  # noqa: F401  blocks this process; PYTHONPATH blocks its children

ROOT = Path(__file__).resolve().parents[1]
NO_NETWORK = ROOT / "tests" / "no_network"
CLOSED_PROXY = "http://127.0.0.1:9"  # nothing listens there
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
OUTSIDE = "ENVIRONMENT_OUTSIDE_THE_TESTS"
FORGOTTEN = ("NO_PROXY", "no_proxy", "TIKTOKEN_CACHE_DIR")


def enter(state_folder: Path) -> None:
    """Sets the environment of this process and of all that it starts.

    Proxies are set, and NO_PROXY is not: a lesson that forgets to go around them does not reach the mock API.
    """
    for name in [name for name in os.environ if name.startswith("OPENAI_")]:
        del os.environ[name]
    os.environ.setdefault(OUTSIDE, json.dumps(dict(os.environ)))
    for name in FORGOTTEN:
        os.environ.pop(name, None)
    os.environ.update(dict.fromkeys(PROXIES, CLOSED_PROXY))
    os.environ["LOCAL_API_HOME"] = str(state_folder)
    os.environ["LOCAL_API_JOB_SECONDS"] = "0"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(NO_NETWORK), str(ROOT)])


def outside() -> dict[str, str]:
    """The environment before ``enter``, but for keys: for a subprocess that needs the network, such as pip."""
    return json.loads(os.environ[OUTSIDE])


# --- pytest hooks ----------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--state-folder", type=Path, help="run on this state folder instead of a fresh one")


def pytest_configure(config: pytest.Config) -> None:
    if is_worker(config):
        return  # it was started in the environment of its controller
    work = Path(tempfile.mkdtemp(prefix="course-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(work, ignore_errors=True))
    enter(config.getoption("state_folder") or work / "state")
    os.environ["NETWORK_LOG"] = str(work / "network.log")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not is_worker(session.config) and complaints(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    for complaint in complaints(config):
        terminalreporter.write_line(complaint, red=True)


def complaints(config: pytest.Config) -> list[str]:
    """What is wrong with the whole run, beside failed tests."""
    found = []
    log = Path(os.environ["NETWORK_LOG"])
    if log.exists():
        found.append("The network was tried:\n" + log.read_text(encoding="utf-8"))
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", [])) if reporter else 0
    if skipped and os.environ.get("CI"):
        found.append(f"{skipped} tests were skipped. In CI none may be.")
    return found


def is_worker(config: pytest.Config) -> bool:
    """True in a pytest-xdist worker process."""
    return hasattr(config, "workerinput")
