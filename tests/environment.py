"""The world in which tests and lessons run: fresh state, jobs that end at once, no keys, no network.

A pytest plugin (see addopts in pyproject.toml), because notebook kernels get what is in the environment when
pytest starts, and nothing from fixtures. ``tests.notebooks.refresh`` runs the lessons in the same world.
"""

import json
import mmap
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import nbval.kernel
import pytest
from jupyter_client.manager import KernelManager
from traitlets import default
from xdist.scheduler import LoadFileScheduling

import tests.no_network.sitecustomize  # noqa: F401  blocks this process; PYTHONPATH blocks its children

# jsonschema, which comes with nbformat, looks for this to check a format that no notebook has. To import it takes two
# seconds, in each pytest that the tests start.
sys.modules.setdefault("rfc3987_syntax", None)

ROOT = Path(__file__).resolve().parents[1]
NO_NETWORK = ROOT / "tests" / "no_network"
BROWSER = ROOT / "tests" / "browser"
CLOSED_PROXY = "http://127.0.0.1:9"  # nothing listens there
SIMULATED_MODEL = "gpt-4.1-mini"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
OUTSIDE = "ENVIRONMENT_OUTSIDE_THE_TESTS"
FORGOTTEN = ("NO_PROXY", "no_proxy", "TIKTOKEN_CACHE_DIR")
# A made-up key stands in these, as a learner's own might. Nothing may show it or write it down.
KEY_NAMES = (
    "OPENAI_API_KEY",
    "AZURE_OPENAI_API_KEY",
    "NEBIUS_API_KEY",
    "CRUSOE_API_KEY",
    "COMPATIBLE_API_KEY",
)
NOT_OURS = {".git", ".venv", "site-packages", "__pycache__"}  # where no test writes what it was told


def enter(state_folder: Path) -> None:
    """Sets the environment of this process and of all that it starts. The reader's own ``my/`` lies beside the state.

    Proxies are set, and NO_PROXY is not: a lesson that forgets to go around them does not reach the mock API.
    """
    for name in [name for name in os.environ if name.startswith("OPENAI_")]:
        del os.environ[name]
    os.environ.setdefault(OUTSIDE, json.dumps(dict(os.environ)))
    for name in FORGOTTEN:
        os.environ.pop(name, None)
    os.environ.update(dict.fromkeys(PROXIES, CLOSED_PROXY))
    os.environ.update(dict.fromkeys(KEY_NAMES, "made-up-" + secrets.token_hex(12)))
    os.environ["LOCAL_API_HOME"] = str(state_folder)
    os.environ["LOCAL_API_MODELS"] = str(
        state_folder.with_name("models")
    )  # not those that the reader has added
    os.environ["COURSE_MY"] = str(state_folder.with_name("my"))
    os.environ["COURSE_MODEL"] = SIMULATED_MODEL  # the same where a real one is installed and where it is not
    os.environ["LOCAL_API_JOB_SECONDS"] = "0"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(NO_NETWORK), str(ROOT)])
    # Each client reads the certificates that it trusts, once more for each proxy: some 140 of them take 0.1 seconds.
    os.environ["SSL_CERT_FILE"] = str(NO_NETWORK / "nobody.pem")
    # A thread of torch that waits for another one sleeps. Else it spins, and with all cores at work, for seconds.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def outside() -> dict[str, str]:
    """The environment before ``enter``, but for keys: for a subprocess that needs the network, such as pip."""
    return json.loads(os.environ[OUTSIDE])


def with_the_network() -> dict[str, str]:
    """This environment without what keeps off the network, and without the made-up keys: for pip and the like."""
    closing = ("PYTHONPATH", "SSL_CERT_FILE", *PROXIES, *KEY_NAMES)
    found = {name: value for name, value in os.environ.items() if name not in closing}
    return found | {name: value for name, value in outside().items() if name == "SSL_CERT_FILE"}


def for_another_pytest() -> dict[str, str]:
    """The environment without what this pytest has put into it: for a run of its own in a subprocess."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


# --- pytest hooks ----------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--state-folder", type=Path, help="run on this state folder instead of a fresh one")


def pytest_configure(config: pytest.Config) -> None:
    if os.name == "posix":
        nbval.kernel.KernelManager = Portless
    if is_worker(config):
        return  # it was started in the environment of its controller
    work = Path(tempfile.mkdtemp(prefix="course-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(work, ignore_errors=True))
    state = config.getoption("state_folder") or work / "state"
    enter(state)
    os.environ["NETWORK_LOG"] = str(work / "network.log")
    os.environ["TMPDIR"] = str(work / "tmp")  # all that tests and lessons write is found here at the end
    Path(os.environ["TMPDIR"]).mkdir()
    tempfile.tempdir = None  # to be read from the environment again
    config.stash[LEAKS] = Leaks(os.environ[KEY_NAMES[0]], [work, state])


class Portless(KernelManager):
    """Kernels that are spoken to through sockets in the file system.

    A port is found free, given up, and taken by the kernel a second later: now and then by somebody else before.
    """

    @default("transport")
    def _through_files(self) -> str:
        return "ipc"

    @default("ip")
    def _path_of_the_sockets(self) -> str:
        return os.path.join(tempfile.mkdtemp(), "kernel")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First the notebooks, whose state another test uses, then the browser, which takes longest, then files with slow
    tests, then the others.

    One worker runs a whole file, so with a slow one at the end the other worker would wait for it.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def place(item: pytest.Item) -> tuple[bool, ...]:
        return item.path.suffix != ".ipynb", BROWSER not in item.path.parents, item.path not in slow

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log) -> LoadFileScheduling | None:
    return OneWorker(config, log) if config.getoption("dist") == "loadfile" else None


class OneWorker(LoadFileScheduling):
    """One worker runs all cells of a notebook, all tests of a file, and all files that use the browser.

    To start JupyterLab and Chromium, and to load the page, takes as long as a file of such tests.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "browser" if BROWSER in (ROOT / file).parents else file


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Remembers which notebooks have been run to their end on the state folder of this run."""
    if item.path.suffix == ".ipynb" and (nextitem is None or nextitem.path != item.path):
        _done_with(item.path).touch()


def has_been_run(notebook: Path) -> bool:
    """Whether this notebook has used the state folder of this run already."""
    return _done_with(notebook).exists()


def _done_with(notebook: Path) -> Path:
    return Path(os.environ["TMPDIR"], f"done-{notebook.parent.name}-{notebook.stem}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if Leaks.of_this_run:
        Leaks.of_this_run.look_at(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not is_worker(session.config) and complaints(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    for complaint in complaints(config):
        terminalreporter.write_line(complaint, red=True)


def complaints(config: pytest.Config) -> list[str]:
    """What is wrong with the whole run, beside failed tests."""
    found = config.stash[LEAKS].found()
    log = Path(os.environ["NETWORK_LOG"])
    if log.exists():
        found.append("The network was tried:\n" + log.read_text(encoding="utf-8"))
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", [])) if reporter else 0
    if skipped and os.environ.get("CI"):
        found.append(f"{skipped} tests were skipped. In CI none may be.")
    return found


class Leaks:
    """Looks for the made-up key: in what each test has printed, logged or raised, and in all files of the run."""

    of_this_run: "Leaks | None" = None

    def __init__(self, key: str, folders: list[Path]):
        self._key, self._folders, self._since = key, folders, time.time() - 1
        self._reports: dict[str, None] = {}
        self._files: list[str] | None = None
        Leaks.of_this_run = self

    def look_at(self, report: pytest.TestReport) -> None:
        """Remembers a test whose output, log or error shows the key."""
        shown = [text for _, text in report.sections] + [report.longreprtext]
        if any(self._key in text for text in shown):
            self._reports[report.nodeid] = None

    def found(self) -> list[str]:
        """A complaint for each place; files are looked through once, at the end."""
        if self._files is None:
            ours = {path for folder in self._folders for path in files_below(folder)}
            new = {path for path in files_below(ROOT) if changed_at(path) >= self._since}
            self._files = sorted(str(path) for path in ours | new if holds(path, self._key.encode()))
        places = [f"the output of {name}" for name in self._reports] + self._files
        return [f"A key from the environment stands in {place}" for place in places]


LEAKS = pytest.StashKey[Leaks]()


def files_below(folder: Path) -> Iterator[Path]:
    """All files, but for installed packages and the history of the repository."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        yield from (path for name in names if (path := Path(parent, name)).is_file())


def changed_at(path: Path) -> float:
    """The Unix time of the last change; 0 if the file is gone meanwhile."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def holds(path: Path, text: bytes) -> bool:
    """Whether the file holds the text anywhere, in a database as well."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(text) >= 0
    except (OSError, ValueError):  # gone meanwhile, not ours to read, or empty
        return False


def is_worker(config: pytest.Config) -> bool:
    """True in a pytest-xdist worker process."""
    return hasattr(config, "workerinput")
