"""The course in a learner's home on a JupyterHub. It runs as the learner and needs only the standard library.

python homes.py start COMMAND ...   gives the learner a copy of the course if there is none, then runs the command
python homes.py fresh               gives a fresh copy; the old one stays beside it, and the folder my/ comes along
"""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

COURSE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(COURSE))

from helpers import mine, restore  # noqa: E402

NAME = "fine-tuning-course"
# What the copy does without. The environment is shared: a link leads to it.
LEFT_OUT = (".*", "tests", "my", "handouts", "__pycache__", "*.part")


def copy_of(home: Path) -> Path:
    """Where the learner's copy of the course lies."""
    return home / NAME


def give(home: Path) -> None:
    """Copies the course into this home, in one step: killed at any point, the copy is whole or not there."""
    for broken_off in home.glob(f".{NAME}-*"):
        shutil.rmtree(broken_off)
    part = Path(tempfile.mkdtemp(dir=home, prefix=f".{NAME}-"))
    # Not with their modes: what is read-only in the shared folder can be changed in one's own.
    shutil.copytree(
        COURSE,
        part,
        ignore=shutil.ignore_patterns(*LEFT_OUT),
        copy_function=shutil.copyfile,
        dirs_exist_ok=True,
    )
    part.chmod(0o700)
    (part / ".venv").symlink_to(COURSE / ".venv")
    restore.keep(part)
    os.replace(part, copy_of(home))


def fresh(home: Path) -> str:
    """Gives a fresh copy; says in a sentence where the old one is. Nothing of the learner's is deleted."""
    course = copy_of(home)
    if not course.exists():
        give(home)
        return f"The course is in {course.name}."
    old = mine.unused(home / f"{course.name} until {mine.now()}")
    os.replace(course, old)
    give(home)
    if (old / "my").is_dir():
        os.replace(old / "my", course / "my")
    return (
        f"{course.name} is fresh. What you had is in the folder {old.name!r}; my/ is in the fresh copy. "
        "Close the lessons that are open, and open them again."
    )


def environment(home: Path) -> dict[str, str]:
    """What the learner's programs shall know: the lessons import the learner's own copy of the helpers.

    The settings keep terminals from being login shells, which would forget the path.
    """
    course, here = copy_of(home), COURSE / "workshop" / "jupyterhub"
    path = [here, COURSE / ".venv" / "bin", os.environ.get("PATH", os.defpath)]
    return {
        "PATH": os.pathsep.join(map(str, path)),
        "PYTHONPATH": str(course),
        "COURSE_MY": str(course / "my"),
        "JUPYTER_CONFIG_PATH": str(here / "settings"),
    }


def main(arguments: list[str]) -> int:
    """The command line. Returns the exit status; with "start" it becomes the command and does not return."""
    home = Path.home()
    if arguments == ["fresh"]:
        print(fresh(home))
        return 0
    if arguments[:1] != ["start"] or len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    os.umask(0o077)  # nobody else reads what is made from here on
    with contextlib.suppress(PermissionError):  # on Kubernetes it is the system's, and nobody else sees it
        home.chmod(0o700)
    if not copy_of(home).exists():
        give(home)
    os.environ.update(environment(home))
    os.execvp(arguments[1], arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
