"""The course in a learner's home on a hub: a copy of their own, and a fresh one that loses nothing."""

import json
import os
from pathlib import Path

import pytest

from helpers import restore
from workshop.jupyterhub import homes

if os.name == "nt":
    pytest.skip("there is no JupyterHub for Windows", allow_module_level=True)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home without a copy yet, on a machine with a small course."""
    course = tmp_path / "shared"
    for name in (
        "notebooks/03_upload.ipynb",
        "helpers/one.py",
        "tests/two.py",
        ".git/config",
        "my/decision.md",
    ):
        (course / name).parent.mkdir(parents=True, exist_ok=True)
        (course / name).write_text(f"the course's {name}")
    (course / "CHANGELOG.md").write_text("now")
    (course / ".venv").mkdir()
    (course / "helpers" / "one.py").chmod(0o444)
    monkeypatch.setattr(homes, "COURSE", course)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_a_copy_is_ones_own_and_leads_to_the_shared_environment(home):
    homes.give(home)
    copy = homes.copy_of(home)
    assert {path.name for path in copy.iterdir()} == {
        ".lessons",
        ".venv",
        "CHANGELOG.md",
        "helpers",
        "notebooks",
    }
    assert (copy / ".venv").resolve() == homes.COURSE / ".venv"
    assert copy.stat().st_mode & 0o777 == 0o700 and os.access(copy / "helpers" / "one.py", os.W_OK)
    assert list(restore.from_copies(copy)) == ["03_upload.ipynb"]


def test_what_was_broken_off_is_removed_and_nothing_else_in_the_home(home):
    (home / ".fine-tuning-course-abc" / "helpers").mkdir(parents=True)
    (home / "essay.txt").write_text("mine")
    homes.give(home)
    assert {path.name for path in home.iterdir()} == {"fine-tuning-course", "essay.txt"}


def test_a_fresh_copy_keeps_what_was_there_each_time(home):
    assert homes.fresh(home) == "The course is in fine-tuning-course."
    copy, lesson = homes.copy_of(home), "notebooks/03_upload.ipynb"
    (copy / "my").mkdir()
    (copy / "my" / "decision.md").write_text("tune")
    for number in (1, 2):
        (copy / lesson).write_text(f"spoilt {number}")
        (homes.COURSE / lesson).write_text(f"version {number}")
        said = homes.fresh(home)
        assert (copy / lesson).read_text() == f"version {number}"
        assert (copy / "my" / "decision.md").read_text() == "tune"
        (old,) = [path for path in home.iterdir() if f"'{path.name}'" in said]
        assert (old / lesson).read_text() == f"spoilt {number}"
    assert len(list(home.iterdir())) == 3


def test_programs_of_the_learner_take_the_shared_python_and_the_helpers_of_the_copy(home):
    found = homes.environment(home)
    assert str(homes.COURSE / ".venv" / "bin") in found["PATH"].split(os.pathsep)
    assert found["PYTHONPATH"] == str(homes.copy_of(home)) and found["COURSE_MY"].endswith(
        "fine-tuning-course/my"
    )


def test_terminals_are_no_login_shells_which_would_forget_the_path():
    settings = Path(homes.environment(Path("home"))["JUPYTER_CONFIG_PATH"], "jupyter_server_config.json")
    assert json.loads(settings.read_text())["ServerApp"]["terminado_settings"] == {
        "shell_command": ["/bin/bash"]
    }


def test_a_wrong_command_says_what_there_is(capsys):
    assert homes.main(["begin"]) == homes.main(["start"]) == 2
    assert "homes.py fresh" in capsys.readouterr().err
