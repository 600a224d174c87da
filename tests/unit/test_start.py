"""start.py: what a newcomer's first minutes hang on, without installing anything for real."""

import argparse
import ast
import re
import sys
from pathlib import Path

import pytest

import start
from tests.environment import ROOT

SOURCE = (ROOT / "start.py").read_text(encoding="utf-8")
UNPARSABLE_FOR_OLD_PYTHONS = (ast.JoinedStr, ast.AnnAssign, ast.Nonlocal, ast.AsyncFunctionDef, ast.NamedExpr)


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course folder with two requirement files; installing is recorded, not done."""
    (tmp_path / "tests").mkdir()
    (tmp_path / start.LEARNER).write_text("#= wordllama\nwordllama==0.4 ; python_version < '3.14'\n")
    (tmp_path / start.TESTS).write_text("pytest==9.2.0\n")
    monkeypatch.setattr(start, "ROOT", tmp_path)
    monkeypatch.setattr(start, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(start.shutil, "which", lambda name: None)
    return tmp_path


class Recorder:
    """Stands in for everything that start.py would run."""

    def __init__(self, course: Path):
        self.venvs = 0
        self.commands = []
        self.broken_off = False

    def make_venv(self) -> None:
        self.venvs += 1
        start.remove_venv()
        start.venv_python().parent.mkdir(parents=True)
        start.venv_python().touch()
        (start.site_packages() / start.CARRIER).mkdir(parents=True)

    def run_installer(self, command: list[str]) -> None:
        self.commands.append(command)
        if self.broken_off:
            raise KeyboardInterrupt

    def run_python(self, *arguments: str, **options: str) -> argparse.Namespace:
        version = "{} {}".format(*sys.version_info[:2])
        return argparse.Namespace(returncode=0, stdout=version, stderr="")


@pytest.fixture
def recorder(course: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder(course)
    for name in ("make_venv", "run_installer", "run_python"):
        monkeypatch.setattr(start, name, getattr(made, name))
    return made


# --- old Pythons -----------------------------------------------------------------------------------------


def test_old_pythons_can_parse_it():
    assert SOURCE.isascii()
    tree = ast.parse(SOURCE, feature_version=(3, 4))
    for node in ast.walk(tree):
        assert not isinstance(node, UNPARSABLE_FOR_OLD_PYTHONS), ast.unparse(node)
        if isinstance(node, ast.FunctionDef):
            arguments = node.args
            every = arguments.args + [arguments.vararg, arguments.kwarg]
            assert not arguments.kwonlyargs and not arguments.posonlyargs and not node.returns, node.name
            assert not any(argument.annotation for argument in every if argument), node.name
        if isinstance(node, ast.Raise):
            assert node.cause is None, "raise ... from"
    assert "from __future__ import print_function" in SOURCE  # else print(..., file=...) is an error in 2.7


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 6, 15), (3, 10, 14)])
def test_old_pythons_are_told_what_to_do(version, monkeypatch):
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(SystemExit) as stopped:
        exec(compile(SOURCE, "start.py", "exec"), {"__name__": "__main__"})
    message = str(stopped.value)
    assert "needs Python 3.11 or newer. This is Python {}.{}.".format(*version) in message
    assert "https://www.python.org/downloads/" in message


# --- the command line ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["tset"], "Unknown command: tset"), (["check", "--verbose"], "Unknown argument: --verbose")],
)
def test_a_wrong_command_line_is_refused(arguments, message, capsys):
    assert start.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and "python start.py help" in error


@pytest.mark.parametrize("arguments", [["help"], ["--help"], ["test", "-h"]])
def test_help(arguments, capsys):
    assert start.main(arguments) == 0
    shown = capsys.readouterr().out
    assert all(f"python start.py {name}" in shown for name in ("test", "local", "check", "reset", "help"))


def test_a_missing_wheels_folder_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        start.main(["--wheels", "no-such-folder"])
    assert stopped.value.code == 2
    assert "there is no folder no-such-folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["test"], ["-m", "not slow"]),
        (["test", "--all"], []),
        (["test", "--soak"], ["--soak"]),
        (["test", "-k", "all", "-x"], ["-m", "not slow", "-k", "all", "-x"]),
    ],
)
def test_tests_get_their_tier_and_the_extra_arguments(arguments, expected, course, monkeypatch):
    prepared, called = [], []
    monkeypatch.setattr(start, "prepare", lambda requirements, wheels: prepared.extend(requirements))
    monkeypatch.setattr(start, "install_local_packages", lambda wheels: prepared.append("local"))
    monkeypatch.setattr(start, "fetch_weights", lambda wheels: prepared.append("weights"))
    monkeypatch.setattr(start.subprocess, "call", lambda command, **options: called.append(command) or 5)
    assert start.main(arguments) == 5
    more = ["local", "tests/requirements-trl.txt", "weights"] if {"--all", "--soak"} & {*arguments} else []
    assert prepared == ["requirements.txt", "tests/requirements.txt", *more]
    workers = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
    assert called[0][1:] == ["-m", "pytest", *workers, *expected]


def test_jupyterlab_serves_this_computer_only():
    _, options, _ = start.read_arguments(["--no-browser", "--port", "8999"])
    command = start.lab_command(options)
    assert command[1:3] == ["-m", "jupyterlab"]
    assert {"--ServerApp.ip=127.0.0.1", "--no-browser", "--ServerApp.port=8999"} <= set(command)
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" in command


# --- installing ------------------------------------------------------------------------------------------


def test_it_installs_once_and_writes_what_jupyterlab_and_the_lessons_need(recorder):
    start.prepare([start.LEARNER], None)
    start.prepare([start.LEARNER], None)
    assert (recorder.venvs, len(recorder.commands)) == (1, 1)
    settings = start.VENV / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    assert '"fetchNews": "false"' in settings.read_text()
    link = start.site_packages() / "course.pth"
    assert (link.parent / link.read_text().strip()).resolve() == start.ROOT


def test_tests_need_only_what_is_missing(recorder):
    start.prepare([start.LEARNER], None)
    start.prepare([start.LEARNER, start.TESTS], None)
    assert recorder.venvs == 1
    files = [Path(command[-1]).relative_to(start.ROOT).as_posix() for command in recorder.commands]
    assert files == ["requirements.txt", "tests/requirements.txt"]


def test_changed_requirements_are_installed_into_the_same_environment(recorder, course):
    start.prepare([start.LEARNER], None)
    (course / start.LEARNER).write_text("wordllama==0.5\n")
    start.prepare([start.LEARNER], None)
    assert (recorder.venvs, len(recorder.commands)) == (1, 2)


def test_line_ends_are_no_change(recorder, course):
    start.prepare([start.LEARNER], None)
    file = course / start.LEARNER
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    start.prepare([start.LEARNER], None)
    assert len(recorder.commands) == 1


def test_a_killed_installation_is_noticed_and_made_anew(recorder):
    recorder.broken_off = True
    with pytest.raises(KeyboardInterrupt):
        start.prepare([start.LEARNER], None)
    assert not start.is_usable()
    recorder.broken_off = False
    start.prepare([start.LEARNER], None)
    assert recorder.venvs == 2
    assert start.is_usable()


def test_an_environment_of_another_python_is_made_anew(recorder, monkeypatch):
    start.prepare([start.LEARNER], None)
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    monkeypatch.setattr(
        start, "run_python", lambda *a, **o: argparse.Namespace(returncode=0, stdout="3 11", stderr="")
    )
    start.prepare([start.LEARNER], None)
    assert recorder.venvs == 2


@pytest.mark.parametrize("had_local", [True, False])
def test_what_a_new_environment_lacks_is_said(had_local, recorder, capsys):
    start.prepare([start.LEARNER], None)
    if had_local:
        start.stamp_file(start.LOCAL).touch()
    start.stamp_file(start.LEARNER).write_text(start.UNFINISHED)
    start.prepare([start.LEARNER], None)
    assert ("To have it back: python start.py local" in capsys.readouterr().out) == had_local


def test_a_half_made_environment_is_removed(course, monkeypatch):
    def fail(command, **options):
        start.VENV.mkdir(exist_ok=True)
        (start.VENV / "pyvenv.cfg").touch()
        return 1

    monkeypatch.setattr(start.subprocess, "call", fail)
    with pytest.raises(start.Problem, match="sudo apt install python3-venv"):
        start.make_venv()
    assert not start.VENV.exists()


def test_wheels_are_installed_with_no_network(recorder, tmp_path):
    start.prepare([start.LEARNER], tmp_path)
    command = recorder.commands[0]
    assert command[1:4] == ["-m", "pip", "install"]
    assert command[-5:] == [
        "--no-index",
        "--find-links",
        str(tmp_path),
        "--requirement",
        str(tmp_path / start.LEARNER),
    ]


def test_uv_is_used_if_it_is_there(recorder, tmp_path, monkeypatch):
    monkeypatch.setattr(start.shutil, "which", lambda name: "/bin/uv" if name == "uv" else None)
    start.prepare([start.LEARNER], tmp_path)
    assert recorder.commands[0][:5] == ["uv", "pip", "install", "--python", str(start.venv_python())]
    assert "--no-index" in recorder.commands[0]


def test_the_word_vectors_come_from_another_wheel_where_there_is_none(recorder):
    recorder.make_venv()
    (start.site_packages() / start.CARRIER).rmdir()
    start.prepare([start.LEARNER], None)
    assert len(recorder.commands) == 2
    command = recorder.commands[1]
    assert command[-1] == "wordllama==0.4"
    assert command[command.index("--target") + 1] == str(start.site_packages())
    assert command[command.index("--platform") + 1] == "manylinux2014_x86_64"


def test_a_failed_installer_is_a_problem_with_advice(course):
    with pytest.raises(start.Problem, match="--wheels DIR"):
        start.run_installer([sys.executable, "-c", "raise SystemExit(1)"])


def test_children_do_not_see_another_python(monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/elsewhere")
    environment = start.clean_environment()
    assert environment["PYTHONUTF8"] == "1"
    assert not {"PYTHONPATH", "PYTHONHOME"} & set(environment)


# --- the local engine --------------------------------------------------------------------------------------


@pytest.fixture
def called(course, monkeypatch):
    """What ``python start.py local`` runs beside the installer."""
    commands = []
    (course / start.LOCAL).write_text("peft==0.21.2\ntorch==2.13.0 ; platform_system != 'Darwin'\n")
    monkeypatch.setattr(start.subprocess, "call", lambda command, **options: commands.append(command) or 0)
    monkeypatch.setattr(sys, "platform", "linux")
    return commands


def test_local_installs_torch_for_cpus_first_and_then_fetches_the_weights(recorder, called, capsys):
    assert start.main(["local"]) == 0
    assert "1.5 GB of disk" in capsys.readouterr().out
    _, torch, rest = recorder.commands
    assert torch[-3:] == ["--index-url", start.TORCH_CPU_INDEX, "torch==2.13.0"]
    assert Path(rest[-1]).name == start.LOCAL
    assert called[0][1:] == ["-m", "helpers.local_api.engines.trained.weights"]
    assert start.main(["local"]) == 0
    assert (len(recorder.commands), len(called)) == (3, 2)


def test_local_from_a_folder_of_wheels_asks_no_network(recorder, called, tmp_path):
    assert start.main(["local", "--wheels", str(tmp_path)]) == 0
    assert len(recorder.commands) == 2
    assert all("--no-index" in command for command in recorder.commands)
    assert called[0][-2:] == ["--wheels", str(tmp_path)]


def test_local_elsewhere_takes_the_usual_torch(recorder, called, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert start.main(["local"]) == 0
    assert [Path(command[-1]).name for command in recorder.commands] == [start.LEARNER, start.LOCAL]


def test_local_on_an_intel_mac_says_that_there_is_no_torch(recorder, called, monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(start.platform, "machine", lambda: "x86_64")
    assert start.main(["local"]) == 1
    assert "Intel" in capsys.readouterr().err
    assert recorder.commands == called == []


# --- check and reset -------------------------------------------------------------------------------------


def test_check_says_which_package_is_wrong(course, monkeypatch, capsys):
    (course / start.LEARNER).write_text(
        "#= pytest\npytest==0.1\npluggy==0.2 ; python_version < '3'\nnone-such==1.0\n"
    )
    monkeypatch.setattr(start, "venv_python", lambda: Path(sys.executable))
    assert start.check_versions("Do this") == [False, False, False]
    assert capsys.readouterr().out.splitlines() == [
        f"[FAIL] pytest is {pytest.__version__}, not 0.1. Do this",
        "[FAIL] none-such is missing, not 1.0. Do this",
        "[FAIL] 0 of 2 packages as pinned. Do this",
    ]


def test_check_without_an_environment_fails_and_says_what_to_run(course, capsys):
    assert start.main(["check"]) == 1
    assert "[FAIL] environment" in capsys.readouterr().out


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A state folder with an upload, and with a file that is not the course's."""
    folder = tmp_path / "state"
    (folder / "files").mkdir(parents=True)
    for name in ("state.sqlite", "state.sqlite-wal", "files/file-1", "thesis.txt"):
        (folder / name).write_text("x")
    monkeypatch.setattr(start, "state_folder", lambda: folder)
    return folder


@pytest.mark.parametrize("answer", ["", "n", "what", None])
def test_reset_asks_and_keeps_everything_unless_the_answer_is_yes(answer, state, monkeypatch, capsys):
    def reply(question):
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr("builtins.input", reply)
    assert start.main(["reset"]) == 1
    assert len(list(state.rglob("*"))) == 5
    assert str(state) in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "answer"), [(["reset"], "y"), (["reset", "--yes"], None)])
def test_reset_deletes_what_the_mock_api_wrote_and_nothing_else(arguments, answer, state, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda question: answer)
    assert start.main(arguments) == 0
    assert [path.name for path in state.iterdir()] == ["thesis.txt"]
    assert start.main(arguments) == 0


# --- the requirement files -------------------------------------------------------------------------------


def pins(name: str) -> dict[str, set[str]]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = {}
    for line in lines:
        if line and not line.startswith("#"):
            match = re.match(r"([a-z0-9-]+)==([^ ;]+)( ; .+)?$", line)
            assert match, f"{name}: not pinned exactly: {line}"
            found.setdefault(match[1], set()).add(match[2])
    return found


@pytest.mark.parametrize(("name", "least"), [(start.TESTS, 40), (start.LOCAL, 10), (start.TRL, 5)])
def test_requirement_files_pin_exactly_and_agree(name, least):
    learner, others = pins(start.LEARNER), pins(name)
    assert len(learner) > 100 and len(others) > least
    shared = set(learner) & set(others)
    assert {one for one in shared if not others[one] <= learner[one]} == set()
