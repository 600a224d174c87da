"""The three tiers of tests, and the table that the endurance tests write.

quick    python start.py test           all tests but those marked ``slow``
all      python start.py test --all     every test; an endurance test with its small count
soak     python start.py test --soak    the endurance tests alone, with their full counts

An endurance test is marked ``endurance(sample=5, soak=200)`` and takes ``count``: the same code with another number.
With ``figures("...")`` it says what it found; in the soak tier that becomes its line in tests/soak.csv.

A pytest plugin, see addopts in pyproject.toml.
"""

import csv
import os
import platform
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from tests.environment import ROOT, is_worker

TABLE = ROOT / "tests" / "soak.csv"
COLUMNS = ["date", "commit", "machine", "test", "count", "result"]
FIGURES, COUNT = "figures", "count"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the endurance tests with their full counts")
    parser.addoption("--soak-table", type=Path, default=TABLE, help="where their lines go")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives an endurance test the count of this tier, for the whole module at once."""
    marker = metafunc.definition.get_closest_marker("endurance")
    if marker and COUNT in metafunc.fixturenames:
        count = marker.kwargs["soak" if metafunc.config.getoption("soak") else "sample"]
        metafunc.parametrize(COUNT, [count], scope="module")


@pytest.fixture
def figures(record_property, request) -> Callable[[str], None]:
    """A function that prints what an endurance test has found, and remembers it for the table."""

    def say(text: str) -> None:
        print(text)
        record_property(FIGURES, text)

    return say


# --- the table -------------------------------------------------------------------------------------------


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the soak tier only endurance tests are left. Their counts go with their reports."""
    for item in items:
        if item.get_closest_marker("endurance"):
            item.user_properties.append((COUNT, item.callspec.params[COUNT]))
    if config.getoption("soak"):
        others = [item for item in items if not item.get_closest_marker("endurance")]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item.get_closest_marker("endurance")]


class Writer:
    """Adds a line to the table when an endurance test is over; killed at any moment, the lines before are there."""

    def __init__(self, table: Path):
        self._table = table
        self._now = [date.today().isoformat(), commit(), machine()]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.failed:
            said = dict(report.user_properties)
            outcome = " ".join([report.outcome, *([said[FIGURES]] if FIGURES in said else [])])
            name = report.nodeid.replace(f"[{said[COUNT]}]", "").replace(f"[{said[COUNT]}-", "[")
            self._add([*self._now, name, said[COUNT], outcome])

    def _add(self, line: list) -> None:
        is_new = not self._table.exists()
        with open(self._table, "a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, line] if is_new else [line])


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("soak") and not is_worker(config) and not config.getoption("collectonly"):
        config.pluginmanager.register(Writer(config.getoption("soak_table")))


def commit() -> str:
    """The commit that is tested, with "and changes" if files differ from it; "unknown" without git."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    try:
        name = git("rev-parse", "--short", "HEAD").strip()
        changed = git("status", "--porcelain", "--", ".", f":!{TABLE.relative_to(ROOT)}")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name} and changes" if changed else name


def machine() -> str:
    """This computer in words: processor, cores, memory, system and Python."""
    import psutil

    from data.recorded.machine import processor

    memory = round(psutil.virtual_memory().total / 2**30)
    bfloat16 = "bfloat16" if _computes_with_bfloat16() else "no bfloat16"
    parts = [f"{processor()} ({bfloat16})", f"{os.cpu_count()} cores", f"{memory} GB", platform.system()]
    return ", ".join([*parts, f"Python {platform.python_version()}"])


def _computes_with_bfloat16() -> bool:
    """Whether the processor does, on which the real trainings hang. Only Linux tells."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and "bf16" in cpuinfo.read_text(encoding="utf-8")
