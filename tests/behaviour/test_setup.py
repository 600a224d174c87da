"""start.py for real, on a course of a few files: killed, started twice, damaged, in odd folders and environments."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import mini_course

MAKING = "Making an environment"
WAITING = "Another start of the course is preparing the environment. Waiting for it."


class Course:
    """A mini course, its wheels, and how long its first start has taken."""

    def __init__(self, folder: Path, wheels: Path, seconds: float = 0.0):
        self.folder, self.wheels, self.seconds = folder, wheels, seconds
        self.venv = folder / ".venv"
        self.site_packages = next(self.venv.glob("lib/python*/site-packages"), self.venv)

    def copy(self, folder: Path) -> "Course":
        """The same one in another folder, with its environment if it has one."""
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        return Course(folder, self.wheels, self.seconds)

    def run(self, *arguments: str, **changes: str | None) -> subprocess.CompletedProcess:
        done = mini_course.run(self.folder, self.wheels, *arguments, **changes)
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done

    def popen(self, **options) -> subprocess.Popen:
        command = mini_course.command(self.folder, self.wheels)
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
        return subprocess.Popen(command, env=mini_course.environment(), **streams, **options)

    def assert_ready(self) -> None:
        checked = self.run("check")
        assert (checked.returncode, checked.stdout.count("[FAIL]")) == (0, 0), checked.stdout


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Course:
    """A course that was never started."""
    folder = tmp_path_factory.mktemp("mini")
    mini_course.make(folder / "course", folder / "wheels")
    return Course(folder / "course", folder / "wheels")


@pytest.fixture(scope="module")
def ready(bare, tmp_path_factory) -> Course:
    """A course after its first start, in the first of the odd folders and environments below."""
    began = time.monotonic()
    course = odd_start(bare, tmp_path_factory.mktemp("ready"), 0)
    return Course(course.folder, course.wheels, time.monotonic() - began)


# --- killed, and started twice ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.endurance(sample=1, soak=50)
def test_killed_at_any_moment_the_next_start_ends_well(count, bare, ready, tmp_path, figures):
    """Half of the kills take the installer too; in the other half it outlives its start."""
    chance = random.Random(20261128)
    found = dict.fromkeys(("nothing", "half of an environment", "an environment half filled", "all"), 0)
    waited = 0
    for number in range(count):
        course = bare.copy(tmp_path / str(number))
        process = course.popen(start_new_session=True)
        time.sleep(chance.uniform(0, ready.seconds))
        os.killpg(process.pid, signal.SIGKILL) if number % 2 else process.kill()
        process.wait()
        process.stdout.close()
        found[what_is_left(course)] += 1
        done = course.run()
        assert done.returncode == 0, f"kill {number}: {done.stdout}{done.stderr}"
        waited += WAITING in done.stdout
        course.assert_ready()
        shutil.rmtree(course.folder)
    left = ", ".join(f"{times} left {what}" for what, times in found.items())
    figures(f"{count} kills: {left}; {waited} next starts waited for an installer; all ended well")


def what_is_left(course: Course) -> str:
    if not course.venv.exists():
        return "nothing"
    if not list(course.venv.glob("lib/python*/site-packages/pip-*.dist-info/RECORD")):
        return "half of an environment"
    stamp = course.venv / "requirements.txt.stamp"
    is_done = stamp.exists() and stamp.read_text().startswith("Python")
    return "all" if is_done else "an environment half filled"


@pytest.mark.slow
@pytest.mark.endurance(sample=1, soak=16)
def test_two_starts_at_once_both_end_well(count, bare, ready, tmp_path, figures):
    """Each second pair makes the environment; the others find one that has lost a package."""
    waited = 0
    for number in range(count):
        delay, work = number // 2 % 4, MAKING if number % 2 else "Putting back tiny"
        course = (bare if number % 2 else ready).copy(tmp_path / str(number))
        shutil.rmtree(course.site_packages / "tiny", ignore_errors=True)
        first = course.popen()
        time.sleep(delay)
        second = course.popen()
        said = [process.communicate()[0] for process in (first, second)]
        assert [first.returncode, second.returncode] == [0, 0], said
        assert sum(work in text for text in said) == 1, said
        one_waited = sum(WAITING in text for text in said) == 1
        assert one_waited or delay, said
        waited += one_waited
        course.assert_ready()
    figures(f"{count} pairs, 0 to 3 seconds apart: both ended well; in {waited} one waited for the other")


# --- a folder of wheels ------------------------------------------------------------------------------------


def gather(course: Course, folder: Path) -> subprocess.CompletedProcess:
    """The place of the package index is taken by the folder of the mini course's wheels."""
    return course.run("wheels", str(folder), PIP_NO_INDEX="1", PIP_FIND_LINKS=str(course.wheels))


@pytest.mark.slow
def test_what_is_gathered_installs_without_a_network(bare, ready, tmp_path):
    course, gathered = ready.copy(tmp_path / "teacher"), tmp_path / "on a stick"
    done = gather(course, gathered)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in gathered.iterdir()} == {path.name for path in bare.wheels.iterdir()}
    assert f"{gathered} has {len(list(gathered.iterdir()))} wheels" in done.stdout
    learner = Course(bare.copy(tmp_path / "learner").folder, gathered)
    assert learner.run().returncode == 0
    learner.assert_ready()
    # A folder that is not complete is not called so, though it was complete before.
    text = course.folder / "requirements.txt"
    text.write_text(text.read_text() + "absent==1.0\n")
    done = gather(course, gathered)
    assert done.returncode == 1 and "has 3 wheels" not in done.stdout


# --- damaged ---------------------------------------------------------------------------------------------


def lose(pattern: str) -> Callable[[Course], None]:
    def damage(course: Course) -> None:
        (path,) = course.venv.glob(pattern)
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    return damage


def write(pattern: str, content: bytes) -> Callable[[Course], None]:
    def damage(course: Course) -> None:
        (path,) = course.venv.glob(pattern)
        path.write_bytes(content)

    return damage


def put_folder(pattern: str) -> Callable[[Course], None]:
    def damage(course: Course) -> None:
        (path,) = course.venv.glob(pattern)
        path.unlink()
        (path / "within").mkdir(parents=True)

    return damage


def install_other_version(course: Course) -> None:
    info = course.site_packages / "tiny-1.0.dist-info"
    metadata = info / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 2.0"))
    record = info / "RECORD"
    record.write_text(record.read_text().replace("tiny-1.0", "tiny-2.0"))
    info.rename(info.with_name("tiny-2.0.dist-info"))


def forbid_python(course: Course) -> None:
    python = course.venv / "bin" / "python"
    python.unlink()
    python.write_bytes(b"#!/bin/sh\nexit 0\n")
    python.chmod(0o644)


def move_and_link(course: Course) -> None:
    """To another disk, for example; and course.pth is lost."""
    elsewhere = course.folder / "elsewhere"
    course.venv.rename(elsewhere)
    course.venv.symlink_to(elsewhere)
    (course.site_packages / "course.pth").unlink()


SITE = "lib/python*/site-packages/"
DAMAGES = {  # what is done, and what check says then
    "a package folder": (lose(SITE + "tiny"), "files of tiny are missing"),
    "course.pth": (
        lose(SITE + "course.pth"),
        "helpers can be imported from every folder. Run: python start.py",
    ),
    "settings": (lose("share/jupyter/lab/settings/overrides.json"), "settings of JupyterLab. Run"),
    "one file of a package": (lose(SITE + "tiny/part/__init__.py"), "files of tiny are missing"),
    "course.pth elsewhere": (write(SITE + "course.pth", b"/elsewhere\n"), "helpers can be imported"),
    "course.pth behind a link": (move_and_link, "helpers can be imported"),
    "settings damaged": (
        write("share/jupyter/lab/settings/overrides.json", b"{"),
        "settings of JupyterLab. Run",
    ),
    "a package's entry": (lose(SITE + "tiny-1.0.dist-info"), "tiny is missing, not 1.0"),
    "a package's list of files": (lose(SITE + "tiny-1.0.dist-info/RECORD"), "files of tiny are missing"),
    "a package's metadata": (write(SITE + "tiny-1.0.dist-info/METADATA", b""), "tiny is missing, not 1.0"),
    "another version": (install_other_version, "tiny is 2.0, not 1.0"),
    "the word vectors": (lose(SITE + "wordllama"), "files of wordllama are missing"),
    "the word vectors' entry": (lose(SITE + "wordllama-0.4.dist-info"), "wordllama is missing, not 0.4"),
    "the stamp": (lose("requirements.txt.stamp"), "installation is complete. Run"),
    "the stamp's encoding": (
        write("requirements.txt.stamp", b"Gr\xf6\xdfe"),
        "installation is complete. Run",
    ),
    "the stamp a folder": (put_folder("requirements.txt.stamp"), "installation is complete. Run"),
    "broken off": (write("requirements.txt.stamp", b"unfinished"), "environment"),
    "pip": (lose(SITE + "pip"), "environment"),
    "one file of pip": (lose(SITE + "pip/_internal/cli/parser.py"), "environment"),
    "python": (lose("bin/python"), "environment"),
    "python a folder": (put_folder("bin/python"), "environment"),
    "python no program": (forbid_python, "environment"),
    "pyvenv.cfg": (lose("pyvenv.cfg"), "environment"),
    "all packages": (lose("lib"), "environment"),
    "all but the folder": (lambda course: (shutil.rmtree(course.venv), course.venv.mkdir()), "environment"),
    "the folder": (lambda course: shutil.rmtree(course.venv), "environment"),
}


@pytest.mark.slow
@pytest.mark.endurance(sample=2, soak=len(DAMAGES))
def test_what_check_finds_the_next_start_mends(count, ready, tmp_path, figures):
    anew = 0
    for number, (what, (damage, words)) in enumerate(list(DAMAGES.items())[:count]):
        course = ready.copy(tmp_path / str(number))
        damage(course)
        checked = course.run("check")
        assert checked.returncode == 1 and f"[FAIL] {words}" in checked.stdout, f"{what}: {checked.stdout}"
        done = course.run()
        assert done.returncode == 0, f"{what}: {done.stdout}{done.stderr}"
        anew += MAKING in done.stdout
        course.assert_ready()
    figures(f"{count} damages: check finds each, the next start mends it, {anew} by a new environment")


# --- odd folders and odd environments --------------------------------------------------------------------

NAMES = [
    'it\'s 100 % "good" 😀; #1 $HOME `x`',
    "it's",
    'a "course"',
    "100%",
    "%PATH%",
    "😀",
    "new\nline",
    "tab\there",
    "semi;colon",
    "#hash",
    "$HOME",
    "`back`",
    "-dash",
    " blank ",
    "back\\slash",
    "*?[a]{b}",
    "(a) & b | c > d",
    "日本語",
    "e\u0301te\u0301",
    "~",
    "/".join(["long" * 30] * 5),  # 600 characters
]

ELSEWHERE = "[install]\ntarget = {place}\nprefix = {place}\nroot = {place}\nuser = true\ndry-run = true\n"
VARIABLES = [
    {"PIP_TARGET": "{place}", "PIP_DRY_RUN": "1", "ALL_PROXY": "socks5://127.0.0.1:9", "LC_ALL": "C"},
    {"PIP_TARGET": "{place}"},
    {"PIP_PREFIX": "{place}"},
    {"PIP_ROOT": "{place}"},
    {"PIP_USER": "1", "PYTHONUSERBASE": "{place}"},
    {"PIP_DRY_RUN": "1"},
    {"PIP_PYTHON": sys.executable},
    {"PIP_REQUIRE_HASHES": "1", "PIP_NO_BINARY": ":all:", "PIP_CONSTRAINT": "{place}"},
    {"PIP_CONFIG_FILE": "{config}"},
    {"PIP_QUIET": "3", "PIP_LOG": "{place}"},
    {"HOME": "{place}", "XDG_CACHE_HOME": None},
    {"HOME": None},
    {"LC_ALL": "C", "LANG": None, "PYTHONUTF8": "0"},
    {"LC_ALL": "de_DE.UTF-8", "PYTHONIOENCODING": "ascii"},
    {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"},
    {"ALL_PROXY": "socks5://127.0.0.1:9", "https_proxy": "nonsense://"},
    {"SSL_CERT_FILE": "{place}", "REQUESTS_CA_BUNDLE": "{place}", "PIP_CERT": "{place}"},
    {"PYTHONPATH": "{other}"},
    {"TMPDIR": "{place}"},
    {"PATH": None},
    {"VIRTUAL_ENV": "{place}", "CONDA_PREFIX": "{place}"},
    {"PYTHONWARNINGS": "error", "PYTHONDONTWRITEBYTECODE": "1"},
    {"PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1"},
    {"PYTHONOPTIMIZE": "2"},
]


def odd_start(bare: Course, here: Path, number: int) -> Course:
    """A first start with this folder name and these variables; it installs there and nowhere else."""
    name, variables = NAMES[number % len(NAMES)], VARIABLES[number % len(VARIABLES)]
    (here / "other" / "helpers").mkdir(parents=True)  # another program's package of the same name
    (here / "other" / "helpers" / "__init__.py").write_text("raise ImportError")
    place, config = here / "place", here / "pip.conf"
    config.write_text(ELSEWHERE.format(place=place))
    course = bare.copy(here / name / "course")
    values = {"place": place, "config": config, "other": here / "other"}
    changes = {key: value and value.format(**values) for key, value in variables.items()}
    # pip asks rustc, if there is one, for its version, and that of rustup makes itself a folder.
    done = course.run(RUSTUP_HOME=str(here / "rustup"), **changes)
    assert done.returncode == 0 and MAKING in done.stdout, (
        f"{name!r}, {variables}: {done.stdout}{done.stderr}"
    )
    assert not place.exists(), f"{name!r}, {variables}: {list(place.rglob('*'))}"
    return Course(course.folder, course.wheels)


@pytest.mark.slow
@pytest.mark.endurance(sample=1, soak=max(len(NAMES), len(VARIABLES)))
def test_a_start_in_any_folder_and_environment_installs_there_and_nowhere_else(
    count, bare, ready, tmp_path, figures
):
    ready.assert_ready()  # it is number 0
    for number in range(1, count):
        odd_start(bare, tmp_path / str(number), number).assert_ready()
    figures(f"{min(count, len(NAMES))} names of folders, {min(count, len(VARIABLES))} environments: all well")


@pytest.mark.parametrize(
    ("name", "words"), [(b"a:b", 'has a ":" in it'), (b"caf\xe9", "character that is not in UTF-8")]
)
def test_a_folder_in_which_python_makes_no_environment_is_named(name, words, bare, tmp_path):
    course = bare.copy(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)))
    for arguments in [], ["check"]:
        done = course.run(*arguments)
        assert done.returncode == 1 and words in done.stdout + done.stderr
        assert "Rename or move it" in done.stdout + done.stderr
    assert not course.venv.exists()


# --- stopped ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_stopping_it_stops_jupyterlab(number, ready, tmp_path):
    course = ready.copy(tmp_path / "course")
    lab = course.site_packages / "jupyterlab" / "__main__.py"
    lab.write_text(mini_course.JUPYTERLAB.format(seconds=300))
    as_before = signal.signal(number, signal.SIG_DFL)  # under nohup it is ignored, in children too
    process = course.popen()
    signal.signal(number, as_before)
    pid = next(int(line.split()[1]) for line in process.stdout if line.startswith("JupyterLab "))
    process.send_signal(number)
    process.communicate()
    assert process.returncode == 128 + number
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
