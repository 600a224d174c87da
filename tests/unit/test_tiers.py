"""The tiers: which tests there are in two of them, and the table that the soak tier writes."""

import csv
import re
import subprocess
import sys

import pytest

from tests import tiers
from tests.environment import ROOT, for_another_pytest

# What the full length of each kind is at least; the other endurance tests are compared with their own sample only.
AT_LEAST = {
    "browser/test_accessibility.py": 15,
    "behaviour/test_kill.py": 200,
    "behaviour/test_trained_kills.py": 30,
    "behaviour/test_fuzz.py": 20_000,
    "behaviour/test_crowd.py": 30,
    "behaviour/test_lessons_at_providers.py": 5,
    "behaviour/test_providers.py": 5,
    "behaviour/test_real_model.py": 112,
    "behaviour/test_large_upload.py": 512,
    "behaviour/test_spend_guard.py": 5_000,
    "behaviour/test_starter.py": 20,
    "behaviour/test_setup.py": 16,
    "behaviour/test_hostile.py": 17,
    "behaviour/test_owners.py": 2_825,
    "behaviour/test_growth.py": 10_000,
    "behaviour/test_hub.py": 5,
    "unit/test_other_models.py": 112,
    "unit/test_simulated_engine.py": 30,
    "unit/test_state_folder.py": 200,
    "notebooks/test_killed_lessons.py": 4,
    "notebooks/test_trained_lessons.py": 24,
    "notebooks/test_used_state.py": 2,
}
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
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, *options], cwd=ROOT, env=for_another_pytest(), capture_output=True, text=True
    )
    return run.stdout


@pytest.fixture
def course(tmp_path):
    """A file of three tests, two of them endurance tests."""
    file = tmp_path / "test_x.py"
    file.write_text(ENDURANCE)
    return file


@pytest.mark.slow
def test_every_endurance_test_has_a_small_count_here_and_a_larger_one_in_the_soak_tier(request):
    """Looks at the tests of this run, and so needs all of them."""
    items = request.session.items
    written = (
        path for path in (ROOT / "tests").rglob("test_*.py") if "mark.endurance(" in path.read_text("utf-8")
    )
    if lacking := {*written} - {item.path for item in items}:
        pytest.skip(f"It compares the tests of all files. This run leaves out {len(lacking)} of them.")
    least: dict[str, int] = {}
    for item in sorted(items, key=lambda item: item.nodeid):
        if marker := item.get_closest_marker("endurance"):
            name, sample, soak = item.nodeid.split("[")[0], marker.kwargs["sample"], marker.kwargs["soak"]
            print(f"{name}: {sample} in --all, {soak} in --soak")
            assert sample < soak and item.callspec.params["count"] == sample, name
            file = name.split("::")[0].removeprefix("tests/")
            least[file] = min(least.get(file, soak), soak)
    assert {file: count for file, count in AT_LEAST.items() if least.get(file, 0) < count} == {}


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
