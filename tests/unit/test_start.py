"""start.py: what a newcomer's first minutes hang on, without installing anything for real."""

import argparse
import ast
import errno
import os
import re
import subprocess
import sys
import time
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
    (tmp_path / "helpers").mkdir()
    (tmp_path / start.LEARNER).write_text("#= wordllama\nwordllama==0.4 ; python_version < '3.14'\n")
    (tmp_path / start.TESTS).write_text("pytest==9.2.0\n")
    monkeypatch.setattr(start, "ROOT", tmp_path)
    monkeypatch.setattr(start, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(start, "LOCK", tmp_path / ".start.lock")
    monkeypatch.setattr(start.shutil, "which", lambda name: None)
    return tmp_path


class Recorder:
    """Stands in for everything that start.py would run, and for what it would find in .venv."""

    def __init__(self, course: Path):
        self.venvs = 0
        self.commands = []
        self.broken_off = False
        self.has_carrier_wheel = True

    def make_venv(self) -> None:
        self.venvs += 1
        start.remove_venv()
        start.venv_python().parent.mkdir(parents=True)
        start.venv_python().touch()
        start.site_packages().mkdir(parents=True)
        start.write_stamp(start.LEARNER, start.UNFINISHED)

    def run_installer(self, command: list[str]) -> None:
        self.commands.append(command)
        if self.broken_off:
            raise KeyboardInterrupt
        if self.has_carrier_wheel or "--target" in command:
            (start.site_packages() / start.CARRIER).mkdir(exist_ok=True)

    def look_into_venv(self, requirements: list[str]) -> dict | None:
        if not start.venv_python().exists():
            return None
        found = "0.4" if (start.site_packages() / start.CARRIER).exists() else None
        row = [start.CARRIER, "wordllama==0.4", found, bool(found), bool(found), self.has_carrier_wheel]
        link = start.site_packages() / "course.pth"
        return {
            "prefix": str(start.VENV),
            "version": list(sys.version_info[:2]),
            "pip": True,
            "packages": [row] if start.LEARNER in requirements else [],
            "helpers": str(start.ROOT / "helpers" / "__init__.py") if link.exists() else None,
            "curve": False,
        }

    def run_python(self, *arguments: str, **options: str) -> argparse.Namespace:
        return argparse.Namespace(returncode=0, stdout="", stderr="")


@pytest.fixture
def recorder(course: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder(course)
    for name in ("make_venv", "run_installer", "look_into_venv", "run_python"):
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


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 6, 15), (3, 10, 14), (3, 15, 0), (4, 0, 0)])
def test_pythons_that_are_too_old_or_too_new_are_told_what_to_do(version, monkeypatch):
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(SystemExit) as stopped:
        exec(compile(SOURCE, "start.py", "exec"), {"__name__": "__main__"})
    message = str(stopped.value)
    assert "needs Python 3.11, 3.12, 3.13 or 3.14. This is Python {}.{}.".format(*version) in message
    assert "https://www.python.org/downloads/" in message


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 14, 9)])
def test_the_others_may_start(version, monkeypatch):
    monkeypatch.setattr(sys, "version_info", version)
    exec(compile(SOURCE, "start.py", "exec"), {"__name__": "start", "__file__": "start.py"})


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
    assert all(f"python start.py {name}" in shown for name in start.COMMANDS if name != "open")


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
    monkeypatch.setattr(start, "fetch_weights", lambda wheels: prepared.append("weights"))
    monkeypatch.setattr(start, "fetch_proxy", lambda: prepared.append("proxy"))
    monkeypatch.setattr(start.subprocess, "call", lambda command, **options: called.append(command) or 5)
    assert start.main(arguments) == 5
    more = [start.LOCAL, start.TRL, start.SITE, start.HUB, "weights", "proxy"]
    if os.name == "nt":
        more = [start.LOCAL, start.TRL, start.SITE, "weights"]
    if not {"--all", "--soak"} & {*arguments}:
        more = []
    assert prepared == ["requirements.txt", "tests/requirements.txt", *more]
    workers = ["-n", "4", "--dist", "loadfile", "--no-loadscope-reorder"]
    assert called[-1][1:] == ["-m", "pytest", *workers, *expected]


@pytest.mark.parametrize(
    ("has_run", "keeps_none", "commands"), [(False, False, 2), (True, False, 1), (False, True, 1)]
)
def test_what_tests_import_is_compiled_once_and_not_by_each_worker(
    has_run, keeps_none, commands, course, monkeypatch
):
    called = []
    monkeypatch.setattr(start, "prepare", lambda requirements, wheels: None)
    monkeypatch.setattr(start.subprocess, "call", lambda command, **options: called.append(command) or 5)
    monkeypatch.setattr(sys, "dont_write_bytecode", keeps_none)
    if has_run:
        (course / "tests" / "__pycache__").mkdir()
    assert start.main(["test"]) == 5
    assert len(called) == commands and "-n" in called[-1]
    assert [command[1:] for command in called[:-1]] == [["-m", "pytest", "--collect-only", "-q"]] * (
        commands - 1
    )


def test_a_hub_gets_the_real_model_its_proxy_and_compiled_packages(course, monkeypatch):
    prepared, called = [], []
    monkeypatch.setattr(start, "prepare", lambda requirements, wheels: prepared.extend(requirements))
    monkeypatch.setattr(start, "fetch_weights", lambda wheels: prepared.append("weights"))
    monkeypatch.setattr(start.subprocess, "call", lambda command, **options: called.append(command) or 0)
    assert start.main(["hub"]) == 0
    assert prepared == [start.LEARNER, start.LOCAL, start.HUB, "weights"]
    assert (
        called[0][1:3] == ["-m", "compileall"] and called[1][1] == "install" and called[1][-1] == start.PROXY
    )
    (start.VENV / "bin").mkdir(parents=True)
    (start.VENV / "bin" / "configurable-http-proxy").touch()
    assert start.fetch_proxy() == 0 and len(called) == 2


def test_a_hub_is_refused_on_windows(course, monkeypatch):
    monkeypatch.setattr(start.os, "name", "nt")
    with pytest.raises(start.Problem, match="no JupyterHub for Windows"):
        start.add_hub(None)


def test_install_installs_and_opens_nothing(course, monkeypatch):
    prepared = []
    monkeypatch.setattr(start, "prepare", lambda requirements, wheels: prepared.extend(requirements))
    assert start.main(["install"]) == 0 and prepared == [start.LEARNER]


def test_jupyterlab_serves_this_computer_only():
    _, options, _ = start.read_arguments(["--no-browser", "--port", "8999"])
    command = start.lab_command(options)
    assert command[1:3] == ["-m", "jupyterlab"]
    assert {"--ServerApp.ip=127.0.0.1", "--no-browser", "--ServerApp.port=8999"} <= set(command)
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" in command


def test_the_mock_alone_is_started_in_the_environment_of_the_course(course, monkeypatch):
    done = []
    monkeypatch.setattr(start, "prepare", lambda requirements, wheels: done.append(requirements))
    monkeypatch.setattr(start, "run_until_stopped", lambda command: done.append(command) or 0)
    assert start.main(["api"]) == start.main(["api", "--port", "0"]) == 0
    command = [str(start.venv_python()), "-m", "helpers.local_api"]
    assert done == [[start.LEARNER], command, [start.LEARNER], [*command, "--port", "0"]]


def test_handouts_are_made_in_the_environment_of_the_course(course, monkeypatch):
    called = []
    monkeypatch.setattr(start, "prepare", lambda requirements, wheels: called.append(requirements))
    monkeypatch.setattr(start.subprocess, "call", lambda command, **options: called.append(command) or 2)
    assert start.main(["workshop", "03", "4"]) == 2
    assert called == [[start.LEARNER], [str(start.venv_python()), "-m", "workshop", "03", "4"]]


def test_the_site_is_built_with_what_tests_and_sphinx_need(course, monkeypatch):
    called = []
    monkeypatch.setattr(start, "prepare", lambda requirements, wheels: called.append(requirements))
    monkeypatch.setattr(start.subprocess, "call", lambda command, **options: called.append(command) or 1)
    assert start.main(["site", "DIR"]) == 1
    assert called == [
        [start.LEARNER, start.TESTS, start.SITE],
        [str(start.venv_python()), "-m", "workshop.site", "DIR"],
    ]


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
    assert not start.is_usable(recorder.look_into_venv([]))
    recorder.broken_off = False
    start.prepare([start.LEARNER], None)
    assert recorder.venvs == 2
    assert start.is_usable(recorder.look_into_venv([]))


def test_an_environment_of_another_python_is_made_anew(recorder, monkeypatch):
    start.prepare([start.LEARNER], None)
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    start.write_stamp(start.LEARNER, start.wanted_stamp(start.LEARNER))
    found = recorder.look_into_venv([start.LEARNER]) | {"version": [3, 11]}
    looks = iter([found, found, found])  # the first two starts of a look see it, before and under the lock
    monkeypatch.setattr(
        start, "look_into_venv", lambda names: next(looks, None) or recorder.look_into_venv(names)
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
    def fail(command, environment, advice):
        assert command == [sys._base_executable, "-m", "venv", str(start.VENV)]
        assert start.read_stamp(start.LEARNER) == start.UNFINISHED
        raise start.Problem(advice)

    monkeypatch.setattr(start, "run_shown", fail)
    with pytest.raises(start.Problem, match="Try another Python"):
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
    recorder.has_carrier_wheel = False
    start.prepare([start.LEARNER], None)
    assert len(recorder.commands) == 2
    command = recorder.commands[1]
    assert command[-1] == "wordllama==0.4"
    assert command[command.index("--target") + 1] == str(start.site_packages())
    assert command[command.index("--platform") + 1] == "manylinux2014_x86_64"


@pytest.mark.parametrize(
    ("complaint", "advice"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "disk is full",
        ),
        ("OSError: [Errno 122] Disk quota exceeded", "disk is full"),
        ("PermissionError: [Errno 13] Permission denied: '/course/.venv/lib'", "folder of yours"),
        ("OSError: [Errno 30] Read-only file system", "folder of yours"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "Set PIP_CERT"),
        ("ERROR: Missing dependencies for SOCKS support.", "ALL_PROXY"),
        ("ProxyError('Cannot connect to proxy.', OSError(111, 'Connection refused'))", "HTTPS_PROXY"),
        ("Temporary failure in name resolution", "--wheels DIR"),
    ],
)
def test_the_advice_fits_what_the_installer_complains_of(complaint, advice, course, monkeypatch, capfd):
    for name in start.CERTIFICATES:
        monkeypatch.delenv(name, raising=False)
    code = f"import sys; sys.exit({complaint!r})"
    with pytest.raises(start.Problem, match=advice):
        start.run_shown([sys.executable, "-c", code], start.clean_environment(), start.NO_NETWORK)
    assert complaint in capfd.readouterr().err


def test_a_stale_variable_is_named_when_certificates_are_the_trouble(course, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(course / "gone.pem"))
    said = "OSError: Could not find a suitable TLS CA certificate bundle, invalid path: /gone.pem"
    assert start.fitting(said).startswith("REQUESTS_CA_BUNDLE names a file of certificates that is not there")
    assert "disk is full" in start.fitting("[Errno 28]")


def test_a_folder_of_wheels_that_is_not_complete_is_said(monkeypatch):
    def note(command, environment, advice):
        raise start.Problem(advice)

    monkeypatch.setattr(start, "run_shown", note)
    monkeypatch.setattr(start, "installer_environment", dict)
    with pytest.raises(start.Problem, match="The folder of wheels is not complete"):
        start.run_installer(["pip", "install", *start.source("wheels")])


@pytest.fixture
def gathering(recorder, course, monkeypatch) -> list[list[str]]:
    """What is run to gather, in order: commands of pip, and that which fetches the weights."""
    (course / start.LOCAL).write_text("torch==2.13.0 ; platform_system != 'x'\npeft==1.0\n")
    run = []
    monkeypatch.setattr(start, "run_shown", lambda command, environment, advice: run.append(command))
    monkeypatch.setattr(start, "run_installer", lambda command: run.append(command))
    monkeypatch.setattr(start, "installer_environment", dict)
    monkeypatch.setattr(start.subprocess, "call", lambda command, **options: run.append(command) or 0)
    monkeypatch.setattr(start, "prepare", lambda requirements, wheels: recorder.make_venv())
    monkeypatch.setattr(start, "run_python", run_here)
    return run


def run_here(*arguments: str, stdin: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], input=stdin, capture_output=True, text=True)


def test_wheels_are_gathered_and_then_an_installation_from_them_is_tried(gathering, tmp_path, capsys):
    place = tmp_path / "new" / "folder"
    assert start.main(["wheels", str(place)]) == 0
    fetch, trial = gathering
    pip = [str(start.venv_python()), "-m", "pip"]
    assert fetch[:4] == [*pip, "download"] and fetch[-2:] == [
        "--requirement",
        str(start.ROOT / start.LEARNER),
    ]
    assert fetch[fetch.index("--dest") + 1] == str(place) and place.is_dir()
    assert fetch[fetch.index("--only-binary") + 1] == ":all:"
    assert trial[:4] == [*pip, "install"] and {"--no-index", "--dry-run", "--ignore-installed"} <= set(trial)
    assert trial[trial.index("--find-links") + 1] == str(place)
    said = capsys.readouterr().out
    assert f"{place} has 0 wheels" in said and "\n  python start.py --wheels DIR\n" in said


def test_the_word_vectors_are_gathered_where_there_is_no_wheel_of_them(gathering, recorder, tmp_path):
    recorder.has_carrier_wheel = False
    assert start.main(["wheels", str(tmp_path / "place")]) == 0
    assert gathering[1][-1] == "wordllama==0.4" and "--no-deps" in gathering[1]
    assert gathering[1][gathering[1].index("--platform") + 1] == "manylinux2014_x86_64"


def test_wheels_for_other_patch_releases_of_this_python_are_gathered(gathering, course, tmp_path):
    here = "{}.{}.{}".format(*sys.version_info[:3])
    lines = [
        f"old==1 ; python_full_version < '{here}'",
        f"new==2 ; python_full_version >= '{here}'",
        f"newest==3 ; python_full_version > '{here}'",
        "other==4 ; python_full_version < '3.9'",
        "windows==5 ; sys_platform == 'none'",
    ]
    (course / start.LEARNER).write_text("\n".join(lines) + "\n")
    assert start.main(["wheels", str(tmp_path / "place")]) == 0
    extra = [command for command in gathering if "--ignore-requires-python" in command]
    older = ["old==1"] * (sys.version_info[2] > 0)
    assert [command[-1] for command in extra] == [*older, "newest==3"]
    assert all("--no-deps" in command for command in extra)


@pytest.mark.parametrize(("system", "commands"), [("linux", 6), ("darwin", 5), ("win32", 5)])
def test_torch_and_the_weights_are_gathered_if_asked(
    system, commands, gathering, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(start.platform, "machine", lambda: "arm64")
    assert start.main(["wheels", str(tmp_path / "place"), "--local"]) == 0
    assert len(gathering) == commands
    for_cpu = [command for command in gathering if start.TORCH_CPU_INDEX in command]
    assert [command[-1] for command in for_cpu] == ["torch==2.13.0"] * (system == "linux")
    weights = [command for command in gathering if command[-2] == "--gather"]
    assert [command[-1] for command in weights] == [str(tmp_path / "place")]
    assert "python start.py local --wheels DIR" in capsys.readouterr().out


@pytest.mark.parametrize("names", [[], ["one", "two"]])
def test_wheels_needs_one_folder(names, capsys):
    assert start.main(["wheels", *names]) == 1
    assert "python start.py wheels DIR" in capsys.readouterr().err


def test_wheels_are_not_gathered_into_a_file(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert start.main(["wheels", str(tmp_path / "file")]) == 1
    assert "is a file. Name a folder" in capsys.readouterr().err


def test_what_an_installer_says_on_the_other_stream_is_shown_if_that_is_all(course, capfd):
    with pytest.raises(start.Problem, match="the reason is above"):
        start.run_shown([sys.executable, "-c", "print('ensurepip is not available'); exit(1)"], None, "No")
    assert "ensurepip is not available" in capfd.readouterr().err


def test_children_do_not_see_another_python(monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/elsewhere")
    environment = start.clean_environment()
    assert environment["PYTHONUTF8"] == "1"
    assert not {"PYTHONPATH", "PYTHONHOME"} & set(environment)


PIP_CONF = """
[global]
index-url = https://index.invalid/simple
find-links =
    /one
    /two
user = true
quiet = 3
target = /elsewhere
python = /elsewhere/python
[install]
prefix = /elsewhere
dry-run = true
no-deps = true
retries = 1
[download]
proxy = http://not-for-install.invalid
"""
ELSEWHERE = (
    "TARGET",
    "PREFIX",
    "ROOT",
    "USER",
    "DRY_RUN",
    "PYTHON",
    "NO_DEPS",
    "REQUIRE_HASHES",
    "NO_SUCH_OPTION",
)


def test_of_pips_settings_only_those_reach_it_that_say_where_packages_come_from(course, monkeypatch):
    monkeypatch.setattr(start, "venv_python", lambda: Path(sys.executable))
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    (course / "pip.conf").write_text(PIP_CONF)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(course / "pip.conf"))
    monkeypatch.setenv("PIP_RETRIES", "7")
    monkeypatch.setenv("PIP_CERT", "mine.pem")
    monkeypatch.setenv("UV_INDEX_URL", "https://mine.invalid")
    monkeypatch.setenv("UV_TARGET", "/elsewhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid")
    for name in ELSEWHERE:
        monkeypatch.setenv("PIP_" + name, "1")
    found = start.installer_environment()
    assert {name: value for name, value in found.items() if name.startswith(("PIP_", "UV_"))} == {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "https://index.invalid/simple",
        "PIP_FIND_LINKS": "\n/one\n/two",
        "PIP_RETRIES": "7",
        "PIP_CERT": "mine.pem",
        "UV_INDEX_URL": "https://mine.invalid",
    }
    assert found["HTTPS_PROXY"] == "http://proxy.invalid"


# --- what is in the way ------------------------------------------------------------------------------------


def test_nothing_is_in_the_way_of_a_plain_folder(course):
    assert start.obstacle() == ""


@pytest.mark.parametrize(
    ("folder", "words"),
    [(f"cou{os.pathsep}rse", f'has a "{os.pathsep}" in it'), ("cou\udcffrse", "not in UTF-8")],
)
def test_a_path_with_which_python_makes_no_environment_is_named(folder, words, course, monkeypatch):
    monkeypatch.setattr(start, "VENV", course / folder / ".venv")
    assert words in start.obstacle() and "Rename or move it" in start.obstacle()


def test_a_file_in_the_place_of_the_environment_is_named_and_kept(course):
    start.VENV.write_text("mine")
    with pytest.raises(start.Problem, match="is a file, but must be a folder. Rename or delete it"):
        start.prepare([start.LEARNER], None)
    assert start.VENV.read_text() == "mine"


@pytest.mark.parametrize("target", ["gone", "folder"])
def test_a_link_without_an_environment_is_named_and_kept(target, course):
    (course / "folder").mkdir()
    start.VENV.symlink_to(course / target)
    with pytest.raises(start.Problem, match="is a link, and no usable environment is there. Delete the link"):
        start.prepare([start.LEARNER], None)
    assert start.VENV.is_symlink() and (course / "folder").is_dir()


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_python_without_the_module_that_makes_environments_is_named(missing, course, monkeypatch):
    found = start.importlib.util.find_spec
    monkeypatch.setattr(
        start.importlib.util, "find_spec", lambda name: None if name == missing else found(name)
    )
    with pytest.raises(start.Problem, match="sudo apt install python3-venv"):
        start.make_venv()
    monkeypatch.setattr(start.shutil, "which", lambda name: "/bin/uv")
    assert start.obstacle() == ""


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "A disk is full. Free about 1 GB"),
        (errno.EDQUOT, "A disk is full. Free about 1 GB"),
        (errno.EROFS, "/course cannot be changed. Stop JupyterLab"),
        (errno.EACCES, "/course cannot be changed. Stop JupyterLab"),
        (errno.EPERM, "/course cannot be changed. Stop JupyterLab"),
        (errno.EIO, "/course: Input/output error. If you do not know why, delete the folder"),
    ],
)
def test_what_the_system_refuses_is_said_in_a_sentence(number, words, monkeypatch, capsys):
    def refuse(command, options, extra):
        raise OSError(number, os.strerror(number), "/course")

    monkeypatch.setattr(start, "run_command", refuse)
    assert start.main([]) == 1
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error


def test_a_full_disk_is_found_when_the_installer_does_not_say_so(course, monkeypatch, capfd):
    class FullDisk:
        def __init__(self, dir):
            self.place = dir

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return False

        def write(self, content):
            assert (len(content), self.place) == (start.PROBE_MB * 10**6, str(course))
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(start.tempfile, "TemporaryFile", FullDisk)
    with pytest.raises(start.Problem, match="A disk is full. Free about 1 GB"):
        start.run_shown([sys.executable, "-c", "exit('Error: ensurepip failed')"], None, start.NO_VENV)


def test_a_folder_that_cannot_be_written_to_is_an_obstacle(course, monkeypatch):
    monkeypatch.setattr(start, "LOCK", course / "no-folder" / ".start.lock")
    assert "no-folder" in start.obstacle()


# --- stamps and the lock -----------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b"unfin", "Größe".encode("cp1252"), "folder"])
def test_a_damaged_stamp_is_no_stamp_and_can_be_written(content, course):
    start.VENV.mkdir()
    file = start.stamp_file(start.LEARNER)
    if content == "folder":
        (file / "within").mkdir(parents=True)
    elif content is not None:
        file.write_bytes(content)
    assert start.read_stamp(start.LEARNER) != start.wanted_stamp(start.LEARNER)
    start.write_stamp(start.LEARNER, start.wanted_stamp(start.LEARNER))
    assert start.read_stamp(start.LEARNER) == start.wanted_stamp(start.LEARNER)
    assert [path.name for path in start.VENV.iterdir()] == [file.name]


def test_a_start_that_is_killed_while_it_writes_a_stamp_leaves_the_old_one(course, monkeypatch):
    start.VENV.mkdir()
    start.write_stamp(start.LEARNER, start.UNFINISHED)

    def killed(source, target):
        assert Path(source).read_text() == "new" and Path(target) == start.stamp_file(start.LEARNER)
        raise KeyboardInterrupt

    monkeypatch.setattr(start.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        start.write_stamp(start.LEARNER, "new")
    assert start.read_stamp(start.LEARNER) == start.UNFINISHED


def test_the_stamps_are_written_last_of_all(recorder, monkeypatch):
    def fail():
        raise KeyboardInterrupt

    for last in ("make_helpers_importable", "write_jupyter_settings"):
        with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
            broken.setattr(start, last, lambda *arguments: fail())
            start.prepare([start.LEARNER, start.TESTS], None)
        stamps = {start.read_stamp(name) for name in (start.LEARNER, start.TESTS)}
        assert stamps == {start.UNFINISHED}
    start.prepare([start.LEARNER, start.TESTS], None)
    assert recorder.venvs == 3


def other_start(course: Path, ending: str) -> subprocess.Popen:
    """Another process that has the lock of this course, and says so before it does what ``ending`` says."""
    code = f"""
import os, pathlib, sys, threading
sys.path.insert(0, {str(ROOT)!r})
import start
start.LOCK = pathlib.Path({str(course / ".start.lock")!r})
with start.alone():
    print("mine", flush=True)
    {ending}
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"mine\n"
    return process


def test_a_second_start_waits_and_says_so(course, capsys, monkeypatch):
    first = other_start(course, "sys.stdin.read()")
    monkeypatch.setattr(start.time, "sleep", lambda seconds: first.communicate())  # it ends while we wait
    with start.alone():
        assert first.returncode == 0
    said = capsys.readouterr().out
    assert said.count("Another start of the course is preparing the environment. Waiting for it.") == 1
    with start.alone():
        pass
    assert capsys.readouterr().out == ""


def test_an_installer_that_outlives_its_start_is_waited_for(course, capsys, monkeypatch):
    here = course / "installing"
    installer = [sys.executable, "-c", f"open({str(here)!r}, 'w'); import sys; sys.stdin.read()"]
    runs = f"threading.Thread(target=start.run_shown, args=({installer!r}, None, '')).start()"
    first = other_start(course, f"{runs}; sys.stdin.readline(); os._exit(9)")
    while not here.exists():
        time.sleep(0.01)
    first.stdin.write(b"die\n")
    first.stdin.flush()
    assert first.wait() == 9
    monkeypatch.setattr(start.time, "sleep", lambda seconds: first.stdin.close())
    with start.alone():
        assert first.stdin.closed
    assert "Waiting for it." in capsys.readouterr().out
    first.stdout.close()


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


def test_local_adds_and_removes_other_models(recorder, called, course, tmp_path, monkeypatch):
    (tmp_path / "a model").mkdir()
    monkeypatch.chdir(tmp_path)  # the module runs in the folder of the course
    asked = ["local", "--model", "a model", "--as", "mine"]
    assert start.main(asked) == 0
    module = ["-m", "helpers.local_api.engines.trained.adding"]
    assert called[-1][1:] == [*module, str(tmp_path / "a model"), "--as", "mine"]
    assert start.main(["local", "--model", "Qwen/Qwen3-0.6B", "--yes"]) == 0
    assert called[-1][1:] == [*module, "Qwen/Qwen3-0.6B", "--yes"]
    assert start.main(["local", "--remove", "mine"]) == 0
    assert called[-1][1:] == [*module, "--remove", "mine"]


def test_local_for_a_card_replaces_the_torch_that_has_none(recorder, called, monkeypatch, capsys):
    monkeypatch.setattr(
        start, "run_python", lambda *arguments: argparse.Namespace(returncode=0, stdout="None\n", stderr="")
    )
    assert start.main(["local", "--cuda"]) == 0
    assert [command[-3:] for command in recorder.commands[-2:]] == [
        ["--force-reinstall", "--no-deps", "torch==2.13.0"],
        ["off", "--no-compile", "torch==2.13.0"],
    ]
    monkeypatch.setattr(
        start, "run_python", lambda *arguments: argparse.Namespace(returncode=0, stdout="13.0\n", stderr="")
    )
    before = len(recorder.commands)
    assert start.main(["local", "--cuda"]) == 0 and len(recorder.commands) == before
    monkeypatch.setattr(sys, "platform", "win32")
    assert start.main(["local", "--cuda"]) == 1 and "for Linux" in capsys.readouterr().err


def test_local_names_the_option_for_a_card_where_there_is_one(recorder, called, monkeypatch, capsys):
    monkeypatch.setattr(
        start.shutil, "which", lambda name: "/usr/bin/nvidia-smi" if name == "nvidia-smi" else None
    )
    assert start.main(["local"]) == 0
    assert "python start.py local --cuda" in capsys.readouterr().out


# --- check and reset -------------------------------------------------------------------------------------


def test_check_says_which_package_is_wrong(course, monkeypatch, capsys):
    (course / start.LEARNER).write_text(
        "#= pytest\npytest==0.1\npluggy==0.2 ; python_version < '3'\nnone-such==1.0\n"
    )
    monkeypatch.setattr(start, "venv_python", lambda: Path(sys.executable))
    found = start.look_into_venv([start.LEARNER])["packages"]
    assert start.check_packages(found, "Do this") == [False, False, False]
    assert capsys.readouterr().out.splitlines() == [
        f"[FAIL] pytest is {pytest.__version__}, not 0.1. Do this",
        "[FAIL] none-such is missing, not 1.0. Do this",
        "[FAIL] 0 of 2 packages as pinned. Do this",
    ]


def test_check_without_an_environment_fails_and_says_what_to_run(course, capsys):
    assert start.main(["check"]) == 1
    assert "[FAIL] environment" in capsys.readouterr().out


def test_check_opens_the_state_folder_as_a_lesson_does(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(start, "venv_python", lambda: Path(sys.executable))
    monkeypatch.setenv("LOCAL_API_HOME", str(tmp_path / "state"))
    assert start.check_state_folder()
    assert "[OK]   state folder" in capsys.readouterr().out
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOCAL_API_HOME", str(tmp_path / "file" / "state"))
    assert not start.check_state_folder()
    said = capsys.readouterr().out
    assert (
        said.startswith("[FAIL] state folder") and str(tmp_path / "file") in said and "Traceback" not in said
    )


def test_check_names_the_real_models_and_what_computes(monkeypatch, capsys):
    said = argparse.Namespace(
        returncode=0, stdout="smollm2-135m-instruct on the processor (cpu)\n", stderr=""
    )
    monkeypatch.setattr(start, "run_python", lambda *arguments: said)
    assert start.check_real_models()
    assert capsys.readouterr().out == "[OK]   real models: smollm2-135m-instruct on the processor (cpu)\n"
    said.returncode, said.stdout, said.stderr = 1, "", "LOCAL_API_DEVICE is 'cuda', but\n"
    assert not start.check_real_models()
    assert "[FAIL] real models: . LOCAL_API_DEVICE is 'cuda', but" in capsys.readouterr().out


def test_check_names_the_variables_that_are_in_the_way(monkeypatch, capsys):
    monkeypatch.setattr(start, "venv_python", lambda: Path(sys.executable))
    for name in start.CERTIFICATES:
        monkeypatch.delenv(name, raising=False)
    assert start.check_surroundings()
    assert capsys.readouterr().out == "[OK]   proxies, certificates and .env\n"
    monkeypatch.setenv("all_proxy", "socks5://host:1")
    for name in start.CERTIFICATES:
        monkeypatch.setenv(name, "gone.pem")
    assert not start.check_surroundings()
    said = capsys.readouterr().out
    for name in ("all_proxy", *start.CERTIFICATES):
        assert said.count(f" {name} names a ") == 1  # SSL_CERT_FILE is seen by both of those who look


def test_check_looks_at_the_dotenv_that_the_lessons_read(course, monkeypatch, capsys):
    """What is said of it is in test_connect.py."""
    asked = []

    def answer(*arguments):
        asked.append(arguments)
        return argparse.Namespace(
            returncode=1, stdout="/course/.env is not in UTF-8. Save it again.\n", stderr=""
        )

    monkeypatch.setattr(start, "run_python", answer)
    monkeypatch.setattr(start, "stale_certificates", list)
    assert not start.check_surroundings()
    assert asked == [("-m", "helpers.connect", "notebooks")]
    assert "[FAIL] proxies, certificates and .env. /course/.env is not in UTF-8." in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "passed_on"), [(["reset"], []), (["reset", "--yes"], ["--yes"])])
def test_reset_leaves_the_deleting_to_the_mock_api_which_knows_what_is_its_own(
    course, monkeypatch, arguments, passed_on
):
    called = []
    monkeypatch.setattr(start, "venv_python", lambda: Path(sys.executable))
    monkeypatch.setattr(start.subprocess, "call", lambda command, **options: called.append(command) or 7)
    assert start.main(arguments) == 7
    assert called == [[sys.executable, "-m", "helpers.local_api", "reset", *passed_on]]


def test_reset_without_an_environment_says_what_to_run(course, capsys):
    assert start.main(["reset"]) == 1
    assert "python start.py" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("name", "least"),
    [(start.TESTS, 40), (start.LOCAL, 10), (start.TRL, 5), (start.SITE, 20), (start.HUB, 5)],
)
def test_requirement_files_pin_exactly_and_agree(name, least):
    learner, others = pins(start.LEARNER), pins(name)
    assert len(learner) > 100 and len(others) > least
    shared = set(learner) & set(others)
    assert {one for one in shared if not others[one] <= learner[one]} == set()
