"""The tiers: which tests there are in two of them, and the table that the soak tier writes."""

import csv
import os
import re
import subprocess
import sys

import pytest

from tests import tiers
from tests.environment import ROOT

ENDURANCE = """
import pytest
@pytest.mark.endurance(sample=2, soak=30)
@pytest.mark.parametrize("way", ["a", "b"])
def test_x(way, count, figures): figures(f"{count} times {way}")
@pytest.mark.endurance(sample=3, soak=40)
def test_fails(count, figures):
    figures("seen before")
    assert count < 40
def test_other(): pass
"""


def run_tests(*options: str) -> str:
    """What pytest prints, run as the suite is run."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider"]
    run = subprocess.run([*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True)
    return run.stdout


@pytest.fixture
def course(tmp_path):
    """A file of three tests, two of them endurance tests."""
    file = tmp_path / "test_x.py"
    file.write_text(ENDURANCE)
    return file


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "1"])
def test_the_soak_tier_runs_endurance_tests_and_writes_a_line_for_each(course, workers):
    table = course.with_name("soak.csv")
    table.write_text(",".join(tiers.COLUMNS) + "\nan,older,line,stays,1,passed\n", encoding="utf-8")
    said = run_tests("-n", workers, "--soak", f"--soak-table={table}", str(course))
    assert "1 failed, 2 passed" in said
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["test"].split("::")[-1], row["count"], row["result"]) for row in rows] == [
        ("stays", "1", "passed"),
        ("test_x[a]", "30", "passed 30 times a"),
        ("test_x[b]", "30", "passed 30 times b"),
        ("test_fails", "40", "failed seen before"),
    ]
    assert {(row["commit"], row["machine"]) for row in rows[1:]} == {(tiers.commit(), tiers.machine())}
    assert re.search(r"\d+ cores, \d+ GB, .*Python 3\.\d+", rows[1]["machine"])


@pytest.mark.slow
def test_the_other_tiers_run_the_same_with_small_counts_and_write_nothing(course):
    table = course.with_name("soak.csv")
    assert "4 passed" in run_tests("-n", "0", f"--soak-table={table}", str(course))
    assert not table.exists()
