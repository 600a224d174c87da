"""Tests in a real browser: JupyterLab on a copy of the course, Chromium driven by Playwright.

To load JupyterLab's page is the dearest part, so one window serves test after test, with a new kernel for each
notebook. Every test that uses ``lab`` also checks that the page asked nothing of any other machine. After a failure
a picture of the page lies in the test's temporary folder, its path is in the report, and the next test gets a new
window.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

ROOT = Path(__file__).parents[2]
NO_NETWORK = ROOT / "tests" / "no_network"
COPIED = ("notebooks", "helpers", "data")
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
START_SECONDS, RUN_SECONDS, STOP_SECONDS = 180, 180, 15
FIRST_TRY_SECONDS = 60  # to open a notebook
PATIENCE = 120  # seconds: a deadline for a hang, not a measure of speed
NO_PAGE = "about:blank"
THEMES = ("JupyterLab Light", "JupyterLab Dark")
LOOPBACK = ("127.0.0.1", "localhost", "::1")

expect.set_options(timeout=PATIENCE * 1000)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.failed = getattr(item, "failed", False) or report.failed
    if report.when == "call":
        page = getattr(item, "page", None)
        if report.failed and page is not None:
            report.sections.append(("browser", _picture(page, item.funcargs["tmp_path"] / "failure.png")))
    return report


def _picture(page: Page, path: Path) -> str:
    try:
        page.screenshot(path=path, full_page=True)
    except Exception as error:  # noqa: BLE001 - the test's own failure is the one to report
        return f"No picture of the page: {error}"
    return f"Picture of the page: {path}"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium. Without one the test is skipped, but never in CI."""
    given = os.environ.get("CHROMIUM")
    found = given or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if found:
        return found
    reason = "No Chromium found. Install one (Debian: apt-get install chromium) or set CHROMIUM to its path."
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


# Not for the whole session: while Playwright is there, no other test of this process can run an event loop. The
# package is left before another one is entered.
@pytest.fixture(scope="package")
def browser(chromium) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@dataclass(frozen=True)
class Server:
    """A running JupyterLab: its address, its token and the folder that it shows."""

    url: str
    token: str
    folder: Path


@pytest.fixture(scope="session")
def server(chromium, tmp_path_factory) -> Iterator[Server]:
    """JupyterLab on a copy of the course, for all tests."""
    with serving(tmp_path_factory.mktemp("lab")) as server:
        yield server


@contextlib.contextmanager
def serving(base: Path) -> Iterator[Server]:
    """JupyterLab on a copy of the course, with settings, state and runtime folders of its own, all below ``base``."""
    folder = base / "course"
    for name in COPIED:
        if (ROOT / name).exists():
            ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    (folder / "notebooks").mkdir(exist_ok=True)
    with open(base / "server.log", "w") as log:
        process = subprocess.Popen(
            _lab_command(folder),
            env=_lab_environment(base, folder),
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url, token = _address(process, base)
            yield Server(url, token, folder)
        finally:
            _stop(process)


def _lab_command(folder: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
        "--port=0",  # any that is free
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder}",
        "--expose-app-in-browser",
        "--LabApp.extension_manager=readonly",
    ]


def _lab_environment(base: Path, folder: Path) -> dict[str, str]:
    settings = base / "settings"
    quiet = settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "LOCAL_API_HOME": "state",
        "IPYTHONDIR": "ipython",
        "COURSE_MY": "course/my",
    }
    path = os.pathsep.join([str(NO_NETWORK), str(folder)])
    return os.environ | {name: str(base / place) for name, place in own.items()} | {"PYTHONPATH": path}


def _address(process: subprocess.Popen, base: Path) -> tuple[str, str]:
    """URL and token, from the file that a Jupyter server writes when it listens."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for written in (base / "runtime").glob("jpserver-*.json"):
            with contextlib.suppress(ValueError):  # half-written
                found = json.loads(written.read_text(encoding="utf-8"))
                return f"http://127.0.0.1:{found['port']}", found["token"]
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start. Its log:\n{(base / 'server.log').read_text()[-3000:]}")


def _stop(process: subprocess.Popen) -> None:
    """Ends the server and its kernels. An open websocket can hold it, so it is killed in the end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@dataclass
class Notebook:
    """One notebook, open in JupyterLab."""

    page: Page
    name: str

    def run_all(self) -> None:
        """Runs all cells and waits for the end. Fails if a cell did not run or ended with an error."""
        await_in_page(self.page, RUN_ALL, RUN_SECONDS)
        for number, cell in enumerate(self.cells(), start=1):
            errors = [output for output in cell["outputs"] if output["output_type"] == "error"]
            assert cell["execution_count"], f"{self.name}: code cell {number} did not run"
            assert not errors, f"{self.name}: code cell {number}: {errors[0]['ename']}: {errors[0]['evalue']}"

    def cells(self) -> list[dict]:
        """The code cells as they are now in the page: source, execution_count, outputs."""
        return self.page.evaluate(CODE_CELLS)

    def output(self, number: int) -> Locator:
        """What is seen below code cell ``number`` (from 1)."""
        return self.page.locator(".jp-CodeCell").nth(number - 1).locator(".jp-Cell-outputArea")


STARTED = """async () => {
    while (!window.jupyterapp) await new Promise(done => setTimeout(done, 50));
    await window.jupyterapp.restored;
}"""
# The "kernel idle" icon cannot be trusted: it is shown before the notebook is ready.
OPEN = """async ([path, withKernel]) => {
    const pause = () => new Promise(done => setTimeout(done, 50));
    const {commands, shell} = window.jupyterapp;
    const options = withKernel ? {} : {kernelPreference: {shouldStart: false, canStart: false}};
    const opened = await commands.execute("docmanager:open", {path, factory: "Notebook", ...options});
    await opened.context.ready;
    await opened.revealed;
    while (shell.currentWidget !== opened) await pause();
    if (!withKernel) return;
    const {sessionContext} = opened.context;
    await sessionContext.ready;
    while (!sessionContext.session?.kernel) await pause();
    await sessionContext.session.kernel.info;
}"""
CLOSE_ALL = """async () => {
    const {shell, serviceManager: {sessions, kernels}} = window.jupyterapp;
    for (const document of [...shell.widgets("main")]) document.dispose();
    await sessions.shutdownAll();
    await kernels.shutdownAll();
}"""
RUN_ALL = """async () => { await window.jupyterapp.commands.execute("notebook:run-all-cells"); }"""
CHANGE_THEME = """theme => window.jupyterapp.commands.execute("apputils:change-theme", {theme})"""
# Until the old colours have faded away they lie over the new ones, and nobody can say what is legible.
NOTHING_MOVES = """() => document.getAnimations()
    .every(one => !(one instanceof CSSTransition) || one.playState !== "running")"""
CODE_CELLS = """() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells
    .map(cell => cell.toJSON()).filter(cell => cell.cell_type === "code")"""


def await_in_page(page: Page, function: str, seconds: float, given: object = None) -> None:
    """Awaits a JavaScript function in the page, which Playwright itself would do for ever."""
    page.evaluate(
        f"""given => Promise.race([({function})(given), new Promise((_, reject) =>
            setTimeout(() => reject(new Error("not done after {seconds} seconds")), {seconds * 1000}))])""",
        given,
    )


def change_theme(page: Page, theme: str) -> None:
    """Gives JupyterLab the colours of a theme, and waits until they are seen."""
    if page.locator("body").get_attribute("data-jp-theme-name") != theme:
        page.evaluate(CHANGE_THEME, theme)
    expect(page.locator(f"body[data-jp-theme-name='{theme}']")).to_be_attached()
    expect(page.locator("#jupyterlab-splash")).to_have_count(0)  # it lies over all while the colours load
    page.wait_for_function(NOTHING_MOVES)


@dataclass
class Lab:
    """A browser window on the server, and a record of what it asked of other machines."""

    server: Server
    page: Page
    foreign: list[str] = field(default_factory=list)

    def open_notebook(self, name: str) -> Notebook:
        """Opens a notebook, a path below the course folder, in place of those before, with a kernel of its own."""
        self._open(name, with_kernel=True)
        change_theme(self.page, THEMES[0])
        return Notebook(self.page, name)

    def show_notebook(self, name: str) -> Notebook:
        """Opens a notebook to be looked at only, without a kernel, in place of those before."""
        self._open(name, with_kernel=False)
        return Notebook(self.page, name)

    def _open(self, name: str, with_kernel: bool) -> None:
        if self.page.url == NO_PAGE:
            self._load()
        self.close_all()
        try:
            await_in_page(self.page, OPEN, FIRST_TRY_SECONDS, [name, with_kernel])
        except PlaywrightError:
            # now and then a page never hears that the kernel has started; a new page does
            self._load()
            self.close_all()
            await_in_page(self.page, OPEN, START_SECONDS, [name, with_kernel])

    def _load(self) -> None:
        self.page.goto(f"{self.server.url}/lab?token={self.server.token}&reset")
        await_in_page(self.page, STARTED, START_SECONDS)

    def close_all(self) -> None:
        """Closes all documents, unsaved, and ends all kernels."""
        await_in_page(self.page, CLOSE_ALL, PATIENCE)

    def run(self, *sources: str) -> Notebook:
        """Makes a notebook of these code cells, opens it and runs it."""
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(
            nbformat.v4.new_notebook(cells=cells, metadata=kernel),
            self.server.folder / "made_by_a_test.ipynb",
        )
        notebook = self.open_notebook("made_by_a_test.ipynb")
        notebook.run_all()
        return notebook


def is_foreign(url: str) -> bool:
    """Whether a request leaves this machine."""
    parts = urlsplit(url)
    if parts.scheme in ("data", "blob"):
        return False
    return parts.hostname not in LOOPBACK


class Windows:
    """Lends one browser window again and again. After a test that leaves it in doubt there is a new one."""

    def __init__(self, server: Server, browser: Browser):
        self._server, self._browser, self._kept = server, browser, None

    def lend(self) -> Lab:
        """A window without documents, and an empty record."""
        lab, self._kept = self._kept or self._new(), None
        lab.foreign.clear()
        return lab

    def _new(self) -> Lab:
        context = self._browser.new_context(viewport={"width": 1280, "height": 1000})
        context.set_default_timeout(PATIENCE * 1000)
        lab = Lab(self._server, context.new_page())
        for kind in ("request", "websocket"):
            lab.page.on(kind, lambda asked: is_foreign(asked.url) and lab.foreign.append(asked.url))
        return lab

    def take_back(self, lab: Lab, in_doubt: bool) -> None:
        """Closes what is open and ends its kernels. What cannot be closed, or asks a question, is in doubt."""
        try:
            if lab.page.url != NO_PAGE:
                lab.close_all()
            in_doubt = in_doubt or lab.page.locator(".jp-Dialog").count() > 0
        except PlaywrightError:
            in_doubt = True
        if in_doubt:
            lab.page.context.close()
        else:
            self._kept = lab


@pytest.fixture(scope="package")
def windows(server, browser) -> Windows:
    """The windows of all tests that run one after another in this process."""
    return Windows(server, browser)


@pytest.fixture
def lab(windows, request, tmp_path) -> Iterator[Lab]:
    """A window for one test, which may not ask anything of other machines."""
    lab = windows.lend()
    request.node.page = lab.page
    yield lab
    windows.take_back(lab, in_doubt=request.node.failed or lab.foreign != [])
    assert lab.foreign == [], f"The page asked other machines: {lab.foreign}"
