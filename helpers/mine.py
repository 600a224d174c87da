"""The reader's own folder, ``my/``, and the training file in it that runs through the lessons.

Lesson 02 writes three files there, and the lessons after it take them in place of the airport's. No other file in
``my/`` is touched. Only the standard library is needed: start.py uses this module before anything is installed.
"""

import json
import os
import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
AIRPORT = ROOT / "data" / "airport"
# What each file is called in my/, and in the airport's folder.
FILES = {"train.jsonl": "train.jsonl", "valid.jsonl": "valid.jsonl", "test.jsonl": "practice.jsonl"}


def path(name: str) -> str:
    """Where "train.jsonl", "valid.jsonl" or "test.jsonl" is, as seen from here: "../my/train.jsonl" in a notebook.

    Without files of the reader's own it is the airport's: "../data/airport/train.jsonl". Raises ValueError for
    another name, and FileNotFoundError if only some of the three files are there.
    """
    if name not in FILES:
        raise ValueError(f"There is no file {name!r} here. Choose one of: {', '.join(FILES)}.")
    return seen_from_here(folder() / name if is_own() else AIRPORT / FILES[name])


def is_own() -> bool:
    """Whether the lessons use files of the reader's own. Raises FileNotFoundError if only some of them are there."""
    there = [name for name in FILES if (folder() / name).is_file()]
    if there and len(there) < len(FILES):
        missing = " and ".join(name for name in FILES if name not in there)
        raise FileNotFoundError(
            f"The folder {folder().name}/ has {' and '.join(there)}, but not {missing}. Write all three again: run "
            'the section "Your own table" of lesson 02. Or go back to the airport: mine.forget().'
        )
    return bool(there)


def write(train: Iterable[dict], valid: Iterable[dict], test: Iterable[dict]) -> str:
    """Writes the rows of the three files into ``my/``, a JSON object a line; says in a sentence what was written.

    Files of the same names that hold other rows are kept: they move into ``my/earlier/``. Killed at any point, this
    leaves the old files, the new ones, or a set that is not complete, which ``path`` names; never a mixture.
    Raises ValueError if a file would be empty.
    """
    rows = dict(zip(FILES, map(list, (train, valid, test)), strict=True))
    for name, those in rows.items():
        if not those:
            raise ValueError(f"There is no row for {name}. Each of {', '.join(FILES)} needs at least one.")
    texts = {name: _as_lines(those) for name, those in rows.items()}
    counted = ", ".join(f"{_rows(len(those))} in {name}" for name, those in rows.items())
    try:
        if all(_holds(folder() / name, text) for name, text in texts.items()):
            return f"Nothing to write: {folder().name}/ has these rows already: {counted}."
        parts = [write_part(folder() / name, text) for name, text in texts.items()]
        kept = _set_aside(until_replaced="train.jsonl")
        for part, name in zip(parts, FILES, strict=True):
            os.replace(part, folder() / name)
    except OSError as error:
        return f"It could not be written to {folder().name}/: {error.strerror}."
    more = f" The files that were there are in {kept}." if kept else ""
    return f"Written to {folder().name}/: {counted}.{more} To go back to the airport: mine.forget()."


def forget() -> str:
    """Goes back to the airport's files; says so. The reader's own are kept: they move into ``my/earlier/``."""
    kept = _set_aside()
    if not kept:
        return "The lessons use the airport's files already."
    return f"The lessons use the airport's files again. Yours are in {kept}."


# --- the folder --------------------------------------------------------------------------------------------


def folder() -> Path:
    """The reader's own folder: ``my/`` in the course, or where the environment variable COURSE_MY says."""
    return Path(os.environ.get("COURSE_MY") or ROOT / "my").resolve()


def seen_from_here(place: Path) -> str:
    """A path as it is written in code that runs here, with forward slashes: "../my/train.jsonl"."""
    try:
        return os.path.relpath(place).replace(os.sep, "/")
    except ValueError:  # Windows: it is on another drive
        return place.as_posix()


def write_part(file: Path, content: bytes) -> Path:
    """Writes the content beside the file, in its folder, and returns where: os.replace then puts it there in one
    step. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    part.write_bytes(content)
    return part


def replace(file: Path, content: bytes) -> None:
    """Writes a file in one step, so that a run that is broken off leaves the old one whole. Raises OSError."""
    os.replace(write_part(file, content), file)


def now() -> str:
    """The date and time, as they can stand in the name of any file: "2026-11-28_14-05-09"."""
    return datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


def _set_aside(until_replaced: str = "") -> str:
    """Moves the three files, or those that are there, into a folder of their own; returns its name, or "".

    One can stay until it is replaced, so that at no moment all are gone, as if there had been none.
    """
    there = [name for name in FILES if (folder() / name).is_file()]
    if not there:
        return ""
    place = unused(folder() / "earlier" / now())
    place.mkdir(parents=True)
    for name in reversed(there):
        (shutil.copyfile if name == until_replaced else os.replace)(folder() / name, place / name)
    return f"{folder().name}/earlier/{place.name}"


def unused(place: Path) -> Path:
    """This path, or the first of "NAME 2", "NAME 3" ... beside it that nothing is at."""
    found, number = place, 1
    while found.exists():
        number += 1
        found = place.with_name(f"{place.stem} {number}{place.suffix}")
    return found


def _rows(count: int) -> str:
    return f"{count} {'row' if count == 1 else 'rows'}"


def _as_lines(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode(
        "utf-8", "surrogatepass"
    )


def _holds(file: Path, content: bytes) -> bool:
    return file.is_file() and file.read_bytes() == content
