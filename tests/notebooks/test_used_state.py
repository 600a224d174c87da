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


def with_state() -> list[Path]:
    """The notebooks that find in the state folder what was there before: those that connect."""
    return [path for path in refresh.notebooks() if "connect(" in path.read_text(encoding="utf-8")]


def once_in_some_language(paths: list[Path]) -> list[Path]:
    """These notebooks, those that are translated in the place of the English ones; and the other translations."""
    other = refresh.translated()
    return [path for path in paths if path.name not in {one.name for one in other}] + other


def run_notebooks(paths: list[Path], state: Path) -> str:
    """What pytest says if one fails; else nothing."""
    # The sums of an older processor, which round differently: what a lesson shows must not depend on that.
    older = {"OPENBLAS_CORETYPE": "Sandybridge"} | environment.for_another_pytest()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "--dist",
        "loadfile",
        f"--state-folder={state}",
    ]
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
    """In the soak tier twice: on a fresh folder, and again. Else the first time is that of the other tests, and the
    notebooks that use no state are left out."""
    state = tmp_path / "state"
    passes = 1 if count == 1 and state_of_this_run(state) else 2
    for number in range(passes):
        paths = (
            once_in_some_language(with_state()) if count == 1 else refresh.notebooks() + refresh.translated()
        )
        said = run_notebooks(paths, state)
        assert said == "", f"time {number + 1} of {passes}"
    assert any(state.iterdir()), "the notebooks did not use this state folder"
