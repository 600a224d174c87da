"""The one SQLite file of the state: its table, what is wrong with a file, and what can be saved of it."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from .errors import is_damage

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE objects (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    kind    TEXT NOT NULL,          -- file, job, state, event, checkpoint, model, completion, permission, token
    id      TEXT NOT NULL,
    owner   TEXT NOT NULL,          -- the API key, without its scenario
    parent  TEXT,                   -- the job that made it
    at      REAL NOT NULL,          -- when it happens, seconds since 1970
    body    TEXT NOT NULL,          -- JSON
    data    BLOB,                   -- the weights of a tuned model
    written REAL,                   -- when it was written down; what happens later is hidden until then
    UNIQUE (kind, id)
);
CREATE INDEX by_owner ON objects (kind, owner, at, seq);
CREATE INDEX by_parent ON objects (parent, kind, at, seq);
CREATE INDEX by_writing ON objects (parent, written);
"""
# Earlier versions of the course did not write down when. What they made is there, but for what their jobs will do.
ADD_WRITTEN = """
ALTER TABLE objects ADD COLUMN written REAL;
UPDATE objects SET written = CASE
    WHEN at > {now} AND parent IN (SELECT id FROM objects WHERE kind = 'job' AND at <= {now}) THEN {now} ELSE at END;
CREATE INDEX by_writing ON objects (parent, written);
"""
DAMAGED = "is damaged"
CHECKED_BYTES = 64 * 1024 * 1024  # a larger file is looked through only once damage was met in it
# What the API reads from each kind of object. A byte may fall over inside a name and leave JSON behind.
KEYS = {
    "file": {"id", "bytes", "created_at", "expires_at", "filename", "purpose"},
    "job": {
        "id",
        "created_at",
        "model",
        "training_file",
        "validation_file",
        "method",
        "metadata",
        "seed",
        "status",
    },
    "state": {"status"},
    "event": {"message", "type", "level", "data"},
    "checkpoint": {"id", "fine_tuned_model_checkpoint", "step_number", "metrics"},
    "model": {"base", "organization"},
    "completion": {"completion", "messages"},
    "permission": {"id", "project_id"},
    "lease": {"name", "until"},
}


def create(db: sqlite3.Connection, now: float) -> None:
    """Makes the table, or adds what a file of an earlier version lacks; inside the caller's transaction."""
    if db.execute("PRAGMA user_version").fetchone()[0] == 0:
        _run(db, SCHEMA)
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    elif "written" not in _columns(db):
        _run(db, ADD_WRITTEN.format(now=now))


def problem(path: Path, *, thorough: bool) -> str | None:
    """Why this file cannot be used, as the end of a sentence; None if it can, or if it is not there.

    ``thorough`` looks at every page and every row. Raises sqlite3.OperationalError if that cannot be known:
    the file is locked, there is no permission, the disk is full.
    """
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path, timeout=30)) as db:
            return _problem(db, thorough)
    except (sqlite3.Error, ValueError, TypeError) as error:
        if shows_damage(error):
            return DAMAGED
        raise


def shows_damage(error: Exception) -> bool:
    """True for what a damaged file leads to; False if it is locked, there is no permission, or the disk is full."""
    if not isinstance(error, sqlite3.OperationalError):
        return True
    no_text = "decode" in str(error)  # Python finds it, and gives it no code of SQLite's
    return no_text or is_damage(error) or error.sqlite_errorcode == sqlite3.SQLITE_ERROR


def _problem(db: sqlite3.Connection, thorough: bool) -> str | None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    if version == 0 and not tables:
        return None
    if version != SCHEMA_VERSION:
        return f"was written by another version of the course ({version}, not {SCHEMA_VERSION})"
    if not {"objects", "by_owner", "by_parent"} <= tables:
        return DAMAGED
    if thorough:
        if db.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            return DAMAGED
        for row in db.execute("SELECT kind, id, owner, parent, at, body FROM objects"):
            _check(row)
    return None


def _check(row: tuple) -> None:
    """Raises ValueError for a row that the API cannot have written."""
    kind, id, owner, parent, at, body = row
    texts = isinstance(kind, str) and isinstance(id, str) and isinstance(owner, str)
    if not (texts and isinstance(parent, str | None) and isinstance(at, float | int)):
        raise ValueError("a row is damaged")
    content = json.loads(body)
    if not isinstance(content, dict) or not KEYS.get(kind, set()) <= content.keys():
        raise ValueError("a row is damaged")


def mend(path: Path) -> str | None:
    """Makes the file readable, if it is not, by copying every row that can be read into a new one.

    The old one is kept beside it as ``state.sqlite.damaged``. Returns what was lost, as a sentence, or None if
    nothing had to be done. Raises ValueError if no row can be read.
    """
    if problem(path, thorough=True) is None:
        return None
    new = path.with_name("state.sqlite-new")
    new.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(new)) as db:
        create(db, 0)
        kept, lost = 0, 0
        for row in _readable(old):
            if row is None:
                lost += 1
            else:
                db.execute("INSERT OR IGNORE INTO objects VALUES (?,?,?,?,?,?,?,?,?)", row)
                kept += 1
        db.commit()
    if not kept:
        new.unlink()
        raise ValueError("nothing in it can be read")
    for ending in ("-wal", "-shm", ""):
        if Path(f"{path}{ending}").exists():
            os.replace(f"{path}{ending}", f"{path}.damaged{ending}")
    os.replace(new, path)
    place = f"{path.parent.name}/{path.name}.damaged"
    return f"{kept} objects could be read, {lost} could not; the database as it was is kept as {place}."


def _readable(db: sqlite3.Connection) -> Iterator[tuple | None]:
    """Every row, one at a time by its number, so that one which is lost takes no other with it; None in its place."""
    columns, last = set(), 0
    for query in (
        "SELECT seq FROM sqlite_sequence WHERE name = 'objects'",
        "SELECT max(seq) FROM objects",
    ):
        try:
            columns = _columns(db)
            last = max(last, db.execute(query).fetchone()[0])
        except (sqlite3.Error, TypeError):  # this way to the last number is damaged, or there is none
            pass
    written = "written" if "written" in columns else "at"
    query = f"SELECT seq, kind, id, owner, parent, at, body, data, {written} FROM objects WHERE seq = ?"
    for seq in range(1, last + 1):
        try:
            row = db.execute(query, (seq,)).fetchone()
            if row:
                _check(row[1:7])
                yield row
        except (sqlite3.Error, ValueError, TypeError):
            yield None


def _columns(db: sqlite3.Connection) -> set[str]:
    return {row[1] for row in db.execute("PRAGMA table_info(objects)")}


def _run(db: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";\n"):
        db.execute(statement)
