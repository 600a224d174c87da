"""Every notebook passes on a state folder that all of them have used, and on another processor.

A lesson that has been translated runs here in the other language: the code is the same, so this is also the run that
compares the outputs of the translation.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import environment
from tests.notebooks import refresh

# They order a job of their own, and are not translated. Of the others lesson 05 is an example: it finds the job of 04.
ORDER_JOBS = ("10_after_the_wind_down.ipynb", "starter.ipynb")


def run_notebooks(paths: list[Path], state: Path) -> str:
    """What pytest says if one fails; else nothing."""
    # The sums of an older processor, which round differently: what a lesson shows must not depend on that.
    older = {"OPENBLAS_CORETYPE": "Sandybridge"} | environment.for_another_pytest()
    command = [sys.executable, "-m", "pytest", "-q", f"--state-folder={state}"]
    run = subprocess.run(
        [*command, *map(str, paths)], cwd=environment.ROOT, env=older, capture_output=True, text=True
    )
    return f"{run.stdout[-5000:]}\n{run.stderr[-2000:]}" if run.returncode else ""


def state_of_this_run(folder: Path) -> Path | None:
    """A copy of the state folder on which this run of the tests has run every notebook, if it has."""
    if all(map(environment.has_been_run, refresh.notebooks())):
        return shutil.copytree(os.environ["LOCAL_API_HOME"], folder)
    return None


@pytest.mark.slow
@pytest.mark.endurance(sample=1, soak=2)
def test_all_notebooks_on_a_used_state_folder_with_the_sums_of_an_older_processor(tmp_path, count):
    """In the soak tier all notebooks twice: on a fresh folder, and again. Else the first time is that of the other
    tests, and of the notebooks that are not translated only those run again that order a job of their own."""
    state = tmp_path / "state"
    passes = 1 if count == 1 and state_of_this_run(state) else 2
    for number in range(passes):
        ours = [path for path in refresh.notebooks() if count > 1 or path.name in ORDER_JOBS]
        paths = ours + refresh.translated()
        said = run_notebooks(paths, state)
        assert said == "", f"time {number + 1} of {passes}"
    assert any(state.iterdir()), "the notebooks did not use this state folder"
