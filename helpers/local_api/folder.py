"""The state folder: what in it is ours, who uses it, and what is set aside, taken back or deleted.

Nothing is moved or deleted but what carries a name of ours, and that only in a folder that carries our mark.
"""

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from .. import command_line
from .errors import is_disk_full

MARK = "local-api-state.txt"
MARK_TEXT = (
    "This folder is the state of the mock API of the fine-tuning course: files, jobs and models.\n"
    "To empty it: python start.py reset. What does not belong to the course stays.\n"
)
LOCK, COMPUTING = "lock.sqlite", "computing.sqlite"
SUSPECTED = "state-is-damaged"  # left by who met damage, for the next start
MOVING = "moving"  # stands in a folder of what was set aside while it is being filled or emptied
LOOK_SECONDS = 0.005  # between two looks at a lock; SQLite's own way of waiting looks less and less often
OTHER_FOLDER = "Set LOCAL_API_HOME to another folder."
IN_USE = (
    "The mock API is in use. First shut down the kernels of open lessons (JupyterLab: Kernel > Shut Down All "
    f"Kernels) and stop every {command_line('helpers.local_api')}; then run this again."
)

# The form of every name that the mock API writes: a pattern, and what may lie below it (None: it is a file).
_ID = "[A-Za-z0-9]{24}"
UPLOAD = re.compile(rf"file-{_ID}(\.part)?")
_STATE = {
    r"state\.sqlite(-wal|-shm|-journal)?": None,
    "files": {UPLOAD.pattern: None},
    "trained": {r"worker\.log": None, rf"ftjob-{_ID}\.(pt|part)": None},
}
_SET_ASIDE = r"set-aside-\d{8}-\d{6}(-\d+)?"
NAMES = _STATE | {
    _SET_ASIDE: _STATE | {MOVING: None, r"state\.sqlite(-new|\.damaged)(-wal|-shm|-journal)?": None},
    r"state-set-aside-\d+\.sqlite(-wal|-shm)?": None,  # by earlier versions of the course
    r"simulated-base-[0-9a-f]{16}\.npz(\.\w+)?": None,
    "tokens": {r"[0-9a-f]{40}(\.[0-9a-f]{32}\.part)?": None},
    "reserve": None,
    SUSPECTED: None,
}
_KEPT = {re.escape(name): None for name in (MARK, LOCK, COMPUTING)}  # ours too; an emptied folder stays ours
_NOBODYS = ("lost+found", ".DS_Store")  # a new volume has the first, macOS makes the other
_PARTS = ("files", "trained", "state.sqlite-wal", "state.sqlite-shm", "state.sqlite-journal", "state.sqlite")


class StateFolderError(Exception):
    """The state folder, or what was to be done with it, cannot be had; the text says why and what to do."""


def default_folder() -> Path:
    """The state folder: ``LOCAL_API_HOME`` if set, else the user's local data directory."""
    return Path(os.environ.get("LOCAL_API_HOME") or platformdirs.user_data_dir("fine-tuning-course", False))


# --- whose it is -------------------------------------------------------------------------------------------


def look(folder: Path) -> None:
    """Raises StateFolderError if this cannot be the state folder. Changes nothing."""
    with _as_sentence(folder):
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        if not nearest.is_dir():
            raise StateFolderError(
                f"The state folder cannot be {folder}: {nearest} is a file. {OTHER_FOLDER}"
            )
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise StateFolderError(
                f"The state folder {folder} cannot be written: no permission. {OTHER_FOLDER}"
            )
        if nearest == folder and not _is_ours(folder):
            raise StateFolderError(
                f"{folder} is not empty, and it is not a state folder of the mock API. Nothing was written there. "
                "Set LOCAL_API_HOME to a folder that is new or empty."
            )


def claim(folder: Path) -> None:
    """Makes the folder, or takes one that is empty or ours, and marks it. Raises StateFolderError, see ``look``."""
    look(folder)
    with _as_sentence(folder):
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)  # whatever the umask says
        if not _is_marked(folder):
            (folder / MARK).write_text(MARK_TEXT, encoding="utf-8")


@contextmanager
def _as_sentence(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cure = f"Free some space, or: {OTHER_FOLDER}" if is_disk_full(error) else OTHER_FOLDER
        raise StateFolderError(
            f"The state folder {folder} cannot be used: {error.strerror or error}. {cure}"
        ) from None


def _is_marked(folder: Path) -> bool:
    try:
        return (folder / MARK).read_text(encoding="utf-8").startswith(MARK_TEXT[:40])
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def _is_ours(folder: Path) -> bool:
    """True if it is marked, if it holds a database of ours (earlier versions set no mark), or nothing strange."""
    if _is_marked(folder) or _holds_our_tables(folder / "state.sqlite"):
        return True
    return all(ours or path.name in _NOBODYS for path, ours in _walk(folder, NAMES | _KEPT))


def _holds_our_tables(database: Path) -> bool:
    if not database.is_file():
        return False
    try:
        db = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
        try:
            return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'by_owner'").fetchone() is not None
        finally:
            db.close()
    except sqlite3.Error:
        return False


def _walk(folder: Path, names: dict) -> Iterator[tuple[Path, bool]]:
    """Every file below that has a name of ours, and everything else that stands beside; and whether it is ours."""
    for path in sorted(folder.iterdir()):
        found = [below for form, below in names.items() if re.fullmatch(form, path.name)]
        if not found or path.is_symlink() or path.is_dir() != isinstance(found[0], dict):
            yield path, False
        elif found[0] is None:
            yield path, True
        else:
            yield from _walk(path, found[0])


# --- who uses it -------------------------------------------------------------------------------------------


class Lock:
    """A lock of SQLite's: many share it, or one has it alone. It ends with the process, however that ends."""

    def __init__(self, path: Path):
        self._db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)

    def take(self, *, alone: bool, seconds: float = 0.0) -> bool:
        """True once it is held; False if others still hold it after so many seconds."""
        self.release()
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = MEMORY")  # no second file
                self._db.execute("BEGIN EXCLUSIVE" if alone else "BEGIN")
                self._db.execute("SELECT * FROM sqlite_master").fetchall()  # only now a shared one is held
                return True
            except sqlite3.OperationalError as error:
                self.release()
                if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    raise
                if time.monotonic() > deadline:
                    return False
                time.sleep(LOOK_SECONDS)

    def release(self) -> None:
        """Gives it back; does nothing if it is not held."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Gives it back for good."""
        self._db.close()


# --- setting aside and taking back -------------------------------------------------------------------------


def set_aside(folder: Path) -> Path:
    """Moves the state with all its uploads into a folder of its own, which it returns. Only for who is alone."""
    target = _new_place(folder)
    target.mkdir(mode=0o700)
    (target / MOVING).touch()
    _move(folder, target)
    (target / MOVING).unlink()
    return target


def finish_moves(folder: Path) -> None:
    """Ends what a killed process began: what was on its way out goes out, and so does what was on its way back."""
    for mark in folder.glob(f"set-aside-*/{MOVING}"):
        if re.fullmatch(_SET_ASIDE, mark.parent.name):
            _move(folder, mark.parent)
            mark.unlink()


def _new_place(folder: Path) -> Path:
    name = time.strftime("set-aside-%Y%m%d-%H%M%S")
    names = [name, *(f"{name}-{number}" for number in range(2, 1000))]
    return next(folder / name for name in names if not (folder / name).exists())


def _move(source: Path, target: Path) -> None:
    for part in _PARTS:
        if (source / part).exists() and not (target / part).exists():
            os.replace(source / part, target / part)


def restore(folder: Path, name: str, mend) -> list[str]:
    """Takes back what was set aside under this name; what is there now is set aside in its place.

    ``mend(database)`` makes a database readable in place, and says what it could not keep, or returns None if
    nothing was to be done. Returns what happened, a sentence each. Raises StateFolderError if it cannot be done;
    then nothing was changed.
    """
    look(folder)
    source = folder / name
    if not (re.fullmatch(_SET_ASIDE, name) and (source / "state.sqlite").is_file()):
        there = sorted(path.parent.name for path in folder.glob("set-aside-*/state.sqlite") if path.is_file())
        known = ", ".join(there) or "nothing"
        raise StateFolderError(f"Nothing was set aside as {name!r}. What can be taken back: {known}.")
    with alone(folder):
        finish_moves(folder)
        try:
            lost = mend(source / "state.sqlite")
        except ValueError as error:
            raise StateFolderError(
                f"{name} cannot be taken back: {error}. Its uploads are in {source / 'files'}"
            ) from None
        told = [f"{name} was taken back."] + ([lost] if lost else [])
        if (folder / "state.sqlite").exists():
            aside = set_aside(folder)
            told.append(
                f"What was there before was set aside as {aside.name}; it is taken back in the same way."
            )
        (source / MOVING).touch()
        _move(source, folder)
        (source / MOVING).unlink()
        if not any(source.iterdir()):
            source.rmdir()
    return told


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else uses the folder meanwhile. Raises StateFolderError if somebody does."""
    lock = Lock(folder / LOCK)
    try:
        if not lock.take(alone=True):
            raise StateFolderError(IN_USE)
        yield
    finally:
        lock.close()


# --- deleting ----------------------------------------------------------------------------------------------


def reset(folder: Path, confirm) -> int:
    """Shows what is ours in the folder and deletes it if ``confirm()``. Returns 0 if nothing of it is left, else 1.

    Raises StateFolderError if the folder is not ours, or if somebody uses it.
    """
    if not folder.exists():
        print(f"Nothing to delete: there is no folder {folder}")
        return 0
    look(folder)
    found = list(_walk(folder, NAMES))
    ours = [path for path, is_ours in found if is_ours]
    kept = [path for path, is_ours in found if not is_ours and path.name not in (MARK, LOCK, COMPUTING)]
    if not ours:
        print(f"Nothing to delete in {folder}")
        return 0
    with alone(folder):
        print(f"This deletes all files, jobs and models of the mock API in {folder}:")
        _show(folder, ours)
        if kept:
            names = ", ".join(str(path.relative_to(folder)) for path in kept[:5])
            more = f" and {len(kept) - 5} more" if len(kept) > 5 else ""
            print(f"This is not the mock API's, and stays: {names}{more}")
        if not confirm():
            print("Nothing was deleted.")
            return 1
        for path in ours:
            path.unlink(missing_ok=True)
        inside = {place for path in ours for place in path.relative_to(folder).parents} - {Path(".")}
        for place in sorted(folder / name for name in inside | {Path("files")})[::-1]:
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
        print("Deleted.")
    return 0


def _show(folder: Path, ours: list[Path]) -> None:
    """One line for each file or folder that stands directly in the state folder."""
    parts: dict[str, list[int]] = {}
    for path in ours:
        parts.setdefault(path.relative_to(folder).parts[0], []).append(path.stat().st_size)
    for name, sizes in parts.items():
        what = f"{len(sizes)} files, " if (folder / name).is_dir() else ""
        print(f"  {name} ({what}{sum(sizes) / 1e6:.1f} MB)")
