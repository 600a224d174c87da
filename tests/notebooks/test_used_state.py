"""Every notebook passes on a fresh state folder, on one that all of them have used, and on another processor."""

import os
import subprocess
import sys

import pytest

from tests.environment import ROOT


@pytest.mark.slow
def test_all_notebooks_twice_on_one_state_folder_with_the_sums_of_an_older_processor(tmp_path):
    # The sums of an older processor, which round differently: what a lesson shows must not depend on that.
    environment = {"OPENBLAS_CORETYPE": "Sandybridge"}
    environment |= {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "notebooks", "-q", "-n", "2", "--dist", "loadfile"]
    for use in ("fresh", "used"):
        run = subprocess.run(
            [*command, f"--state-folder={tmp_path / 'state'}"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, f"{use} state folder:\n{run.stdout[-5000:]}\n{run.stderr[-2000:]}"
    assert any((tmp_path / "state").iterdir()), "the notebooks did not use this state folder"
