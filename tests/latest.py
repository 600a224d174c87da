"""Runs the quick tests with the newest release of everything: python start.py test --latest

The pins of the requirement files are left alone. A throw-away environment gets the newest wheel of each package
that they ask for by hand, whatever bound stands there. At the end two tables say what moved and what broke.
Needs the network, and of packages only those that Python brings.
"""

import json
import re
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import start
from tests import pins

TRIED = (start.LEARNER, start.TESTS)
NOT_TRIED = (start.LOCAL, start.TRL, start.SITE, start.HUB)  # the quick tests do without these
STOPPED = 130  # the exit status after Ctrl+C
PYTHONS_OWN = "setuptools"  # in a new environment of Python 3.11, unasked
WHEELS_ONLY = ["--only-binary", ":all:"]  # as learners, who may have no compiler


class Move(NamedTuple):
    """A package whose newest release is not the pinned one; None: not pinned, or no longer needed."""

    name: str
    pinned: str | None
    newest: str | None


class Break(NamedTuple):
    """A package that cannot be installed, or a test that fails, and the first line of the reason."""

    name: str
    reason: str


# --- what is asked for -----------------------------------------------------------------------------------


def unbound(requirement: str) -> str:
    """A requirement without its bounds: the name, its extras and its condition."""
    name, _, condition = requirement.partition(";")
    name = re.match(r"[\w.-]+(\[[^]]*\])?", name)[0]
    return f"{name} ;{condition}" if condition else name


def wanted(files: tuple[str, ...]) -> list[str]:
    """What these requirement files ask for by hand, each once and without its bounds."""
    return list(dict.fromkeys(unbound(one) for file in files for one in pins.asked(pins.read(file))))


# --- the environment -------------------------------------------------------------------------------------


def install(requirements: list[str]) -> list[Break]:
    """Installs all together; if that fails one by one, so that the others are there. What failed comes back."""
    if install_together(requirements):
        return []
    print("Not all can be installed together. They are tried one by one.", flush=True)
    failing = [one for one in requirements if not install_together([one])]
    return [Break(one, "cannot be installed; the reason is above") for one in ("all together", *failing)]


def install_together(requirements: list[str]) -> bool:
    try:
        start.run_installer([*start.pip_install(), "--retries", "1", *WHEELS_ONLY, *requirements])
    except start.Problem:
        return False
    return True


def set_up() -> list[Break]:
    """Makes the environment and installs the newest releases. What could not be installed comes back."""
    start.make_venv()
    print("Installing the newest releases (about 215 MB); this takes a minute or two.", flush=True)
    broken = install(wanted(TRIED))
    if not (start.site_packages() / start.CARRIER).is_dir():
        start.run_installer(start.carrier_command(None, start.pin_of(start.CARRIER, start.LEARNER)))
    start.write_jupyter_settings(start.look_into_venv(TRIED))
    start.run_python("-m", "helpers.tokens", "--seed")
    return broken


# --- what moved ------------------------------------------------------------------------------------------


def moves() -> list[Move]:
    """The packages of the environment that are not as pinned."""
    seen = start.look_into_venv(TRIED)
    if seen is None:
        return []
    rows = [Move(name, pin.partition("==")[2], found) for name, pin, found, *_ in seen["packages"]]
    listed = json.loads(start.run_python("-m", "pip", "list", "--format", "json").stdout)
    return moved(rows, {package["name"]: package["version"] for package in listed})


def moved(rows: list[Move], installed: dict[str, str]) -> list[Move]:
    """Of the pinned packages those that differ, and all that are installed and not pinned; by name, each once."""
    pinned = {PYTHONS_OWN} | {pins.plain(row.name) for row in rows}
    added = [Move(pins.plain(name), None, version) for name, version in installed.items()]
    differing = {row for row in rows if row.newest != row.pinned}
    return sorted(differing | {row for row in added if row.name not in pinned}, key=lambda row: row.name)


def moves_not_tried() -> list[Move]:
    """Packages asked for by the other requirement files whose newest release is not the pinned one."""
    command = ["install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet", *WHEELS_ONLY]
    answer = start.run_python("-m", "pip", *command, "--report", "-", *wanted(NOT_TRIED))
    if answer.returncode:
        print(answer.stderr, file=sys.stderr)
        return []
    found = pins.reported(answer.stdout)
    pinned = dict(re.split("==| ;", line)[:2] for name in NOT_TRIED for line in pins.pins(pins.read(name)))
    rows = [Move(name, pinned[name], newest) for name, newest in found.items()]
    return [row for row in rows if row.newest != row.pinned]


# --- what broke ------------------------------------------------------------------------------------------


def test(report: Path, extra: list[str]) -> list[Break]:
    """Runs the quick tests. What failed comes back."""
    status = start.run_tests([*start.QUICK, "--no-header", f"--junitxml={report}", *extra])
    found = failed(report.read_text(encoding="utf-8")) if report.exists() else []
    if status and not found:
        return [Break("pytest", f"ended with status {status}; the reason is above")]
    return found


def failed(report: str) -> list[Break]:
    """The tests that failed, and what could not be set up or read, in a report in JUnit's XML."""
    found = []
    for case in ElementTree.fromstring(report).iter("testcase"):
        wrong = case.find("failure") if case.find("failure") is not None else case.find("error")
        if wrong is not None:
            name = "::".join(part for part in (case.get("classname"), case.get("name")) if part)
            reason = wrong.get("message") or wrong.text or ""
            found.append(Break(name, next(iter(reason.strip().splitlines()), "")))
    return found


# --- the tables ------------------------------------------------------------------------------------------


def table(title: str, heads: tuple[str, ...], rows: list[tuple]) -> str:
    """The rows under a title and heads; "none" without rows. A value that is None is shown as "-"."""
    if not rows:
        return f"{title}: none"
    cells = [heads, *(tuple("-" if value is None else value for value in row) for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join([f"{title}: {len(rows)}", *(f"  {line}".rstrip() for line in lines)])


def summary(tried: list[Move], not_tried: list[Move], broken: list[Break]) -> str:
    """What moved and what broke, as tables."""
    heads = ("name", "pinned", "newest")
    tables = [
        table("What moved", heads, tried),
        table("What moved, but the quick tests do without", heads, not_tried),
        table("What broke", ("name", "reason"), broken),
    ]
    return "\n\n".join(tables)


def main(extra: list[str]) -> int:
    """Returns 0 if nothing broke, else 1."""
    with tempfile.TemporaryDirectory(prefix="course-latest-", ignore_cleanup_errors=True) as folder:
        start.VENV = Path(folder, ".venv")
        try:
            broken = set_up()
            broken += test(Path(folder, "report.xml"), extra)
            print("\n" + summary(moves(), moves_not_tried(), broken))
        except start.Problem as problem:
            print(f"\n{problem}", file=sys.stderr)
            return 1
    return 1 if broken else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(STOPPED)
