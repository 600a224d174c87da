"""python start.py restore: the lessons as they were, whatever was written into them meanwhile. Standard library only.

They come from git if the course is a clone, else from copies that start.py takes before it opens the lessons.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import mine

NO_ORIGINALS = (
    "There are no copies of the lessons here: the first start takes them, before it opens a lesson. Download the "
    "course into another folder, and take them from there."
)
OPEN_IN_JUPYTERLAB = "Is one of them open in JupyterLab? Then choose File > Reload Notebook from Disk."


def main(names: Sequence[str], course: Path = mine.ROOT) -> int:
    """Puts back the lessons of these names, or all, and prints what was done. Returns the exit status."""
    try:
        print(*restore(names, course), sep="\n")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def restore(names: Sequence[str], course: Path = mine.ROOT) -> list[str]:
    """Puts these lessons ("04", "starter", "ru/04"; none means all) back as they were; says what was done.

    What was there moves into ``my/``, with date and time in its name. Killed at any moment nothing is lost: first a
    changed notebook is kept, then the lesson is replaced, in one step. Raises ValueError for a name that no lesson
    has, or if nobody knows how the lessons were; OSError if something cannot be written, and then it is not replaced.
    """
    originals = from_git(course) or from_copies(course)
    if not originals:
        raise ValueError(NO_ORIGINALS)
    chosen = sorted({found for name in names for found in _called(name, originals)} or originals)
    changed = [name for name in chosen if not _is_as_it_was(course / "notebooks" / name, originals[name])]
    said = [_put_back(course / "notebooks" / name, originals[name]) for name in changed]
    if said:
        return [*said, OPEN_IN_JUPYTERLAB]
    if len(chosen) == 1:
        return [f"Nothing to do: {chosen[0]} is as it was."]
    return [f"Nothing to do: all {len(chosen)} notebooks are as they were."]


def keep(course: Path = mine.ROOT) -> None:
    """Copies the lessons as they are now, unless that was done for this version of the course.

    Without copies the course works, too: what keeps them from being written is not told.
    """
    place = _place_of_copies(course)
    if place.is_dir():
        return
    with contextlib.suppress(OSError):
        place.parent.mkdir(exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=place.parent))
        for name in _notebooks(course / "notebooks"):
            (part / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(course / "notebooks" / name, part / name)
        os.replace(part, place)  # in one step; fails if another start was quicker
    for old in set(place.parent.glob("*")) - {place}:
        shutil.rmtree(old, ignore_errors=True)


# --- how they were -----------------------------------------------------------------------------------------


def from_git(course: Path) -> dict[str, bytes]:
    """Name and content of each notebook in the newest commit that is not the reader's own; empty without git."""
    commit = _git(course, "merge-base", "HEAD", "@{upstream}").decode().strip() or "HEAD"
    listed = (
        _git(course, "ls-tree", "-r", "--name-only", commit, "notebooks/")
        .decode("utf-8", "replace")
        .split("\n")
    )
    names = [name.removeprefix("notebooks/") for name in listed if name.endswith(".ipynb")]
    found = {name: _git(course, "show", f"{commit}:./notebooks/{name}") for name in names}
    return {name: content for name, content in found.items() if content}


def from_copies(course: Path) -> dict[str, bytes]:
    """Name and content of each notebook when this version of the course was first started; empty without copies."""
    place = _place_of_copies(course)
    return {name: (place / name).read_bytes() for name in _notebooks(place)}


def _notebooks(folder: Path) -> list[str]:
    """The notebooks of a folder, and of the folders of other languages in it: "04_job.ipynb", "ru/04_job.ipynb"."""
    found = [*folder.glob("*.ipynb"), *folder.glob("[!.]*/*.ipynb")]
    return [path.relative_to(folder).as_posix() for path in found]


def _git(course: Path, *arguments: str) -> bytes:
    """What git prints; nothing if it is not there or refuses."""
    try:
        done = subprocess.run(
            ["git", "-C", str(course), *arguments], capture_output=True, stdin=subprocess.DEVNULL
        )
    except OSError:
        return b""
    return done.stdout if done.returncode == 0 else b""


def _place_of_copies(course: Path) -> Path:
    """One folder for each version of the course: a newer one, unpacked over this, has another list of changes."""
    changes = course / "CHANGELOG.md"
    version = hashlib.sha256(changes.read_bytes() if changes.is_file() else b"").hexdigest()[:12]
    return course / ".lessons" / version


# --- putting back ------------------------------------------------------------------------------------------


def _called(name: str, originals: dict[str, bytes]) -> list[str]:
    wanted = Path(name).as_posix().removeprefix("notebooks/").removesuffix(".ipynb")
    folder, stroke, last = wanted.rpartition("/")
    wanted = folder + stroke + (last.zfill(2) if last.isdigit() else last)
    found = [one for one in originals if wanted in (_short(one), one.removesuffix(".ipynb"))]
    if not found:
        known = sorted(map(_short, originals), key=lambda one: ("/" in one, one))
        raise ValueError(f"No lesson is called {name!r}. There are: {', '.join(known)}.")
    return found


def _short(notebook: str) -> str:
    """How a notebook may be called: "04", "starter", "ru/04"."""
    folder, stroke, name = notebook.removesuffix(".ipynb").rpartition("/")
    return folder + stroke + (name[:2] if name[:2].isdigit() else name)


def _is_as_it_was(notebook: Path, original: bytes) -> bool:
    """Line ends do not count: JupyterLab writes those of the system."""
    return notebook.is_file() and _lines(notebook.read_bytes()) == _lines(original)


def _lines(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n")


def _put_back(notebook: Path, original: bytes) -> str:
    if not notebook.is_file():
        mine.replace(notebook, original)
        return f"{notebook.name} was not there; now it is."
    kept = mine.unused(mine.folder() / f"{notebook.stem} {mine.now()}.ipynb")
    mine.replace(kept, notebook.read_bytes())
    mine.replace(notebook, original)
    return f"{notebook.name} is as it was. What you had there is in {kept.parent.name}/{kept.name}."
