"""State in one SQLite file and one folder of uploaded bytes. Kill the process at any point: nothing is half-written.

Everything the API returns is a row of one table, ``objects``. A row may carry a time in the future: it stays
invisible until the clock has passed it. That is how a simulated job shows progress without any timer.
"""

import json
import os
import secrets
import sqlite3
import string
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE objects (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    kind    TEXT NOT NULL,          -- file, job, state, event, checkpoint, model, completion, permission, token
    id      TEXT NOT NULL,
    owner   TEXT NOT NULL,          -- the API key, without its scenario
    parent  TEXT,                   -- the job that made it
    at      REAL NOT NULL,          -- visible from this time on, seconds since 1970
    body    TEXT NOT NULL,          -- JSON
    data    BLOB,                   -- the weights of a tuned model
    UNIQUE (kind, id)
);
CREATE INDEX by_owner ON objects (kind, owner, at, seq);
CREATE INDEX by_parent ON objects (parent, kind, at, seq);
"""
ORPHAN_AGE = (
    3600  # seconds; bytes on disk without a row are an upload that was killed, or one still under way
)
LETTERS = string.ascii_letters + string.digits


def default_folder() -> Path:
    """The state folder: ``LOCAL_API_HOME`` if set, else the user's local data directory."""
    return Path(os.environ.get("LOCAL_API_HOME") or platformdirs.user_data_dir("fine-tuning-course", False))


def new_id(prefix: str, length: int = 24) -> str:
    """A random identifier such as ``file-`` and 24 letters or digits."""
    return prefix + "".join(secrets.choice(LETTERS) for _ in range(length))


@dataclass(frozen=True)
class Row:
    """One object as stored: ``body`` is the JSON that the API returns, or a part of it."""

    seq: int
    id: str
    owner: str
    parent: str | None
    at: float
    body: dict


class Store:
    """All state of one folder. Safe to use from several threads and from several processes at once."""

    def __init__(self, folder: Path | str | None = None, clock: Callable[[], float] = time.time):
        self.folder = Path(folder) if folder else default_folder()
        self.clock = clock
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.uploads = self.folder / "files"
        self.uploads.mkdir(mode=0o700, exist_ok=True)
        self._local = threading.local()
        self._open_database()

    # --- opening -----------------------------------------------------------------------------------------

    @property
    def database(self) -> Path:
        return self.folder / "state.sqlite"

    def _open_database(self) -> None:
        try:
            self._create_schema()
            self._remove_orphans()
        except sqlite3.OperationalError:  # locked, disk full, no permission: not ours to move
            raise
        except sqlite3.DatabaseError as error:
            self._set_aside(f"cannot be read ({error})")
            self._create_schema()

    def _create_schema(self) -> None:
        with self.write() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in SCHEMA.split(";\n"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        if version not in (0, SCHEMA_VERSION):
            self._set_aside(f"was written by another version of the course ({version}, not {SCHEMA_VERSION})")
            self._create_schema()

    def _set_aside(self, reason: str) -> None:
        self.close()
        target = self.folder / f"state-set-aside-{int(time.time())}.sqlite"
        for part in ("", "-wal", "-shm"):  # what SQLite has not written into the main file yet goes with it
            if Path(f"{self.database}{part}").exists():
                os.replace(f"{self.database}{part}", f"{target}{part}")
        print(f"The saved state {reason}. It was kept as {target.name}; a new one is begun.", file=sys.stderr)

    def _connection(self) -> sqlite3.Connection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.database, timeout=30, isolation_level=None)
            self._local.connection = connection
            connection.execute("PRAGMA synchronous = FULL")
            self._use_write_ahead_log(connection)
        return connection

    @staticmethod
    def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
        try:  # a network file system has no shared memory: SQLite then refuses, and the default journal stays
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            pass

    def close(self) -> None:
        """Closes this thread's connection."""
        if connection := getattr(self._local, "connection", None):
            connection.close()
            self._local.connection = None

    @contextmanager
    def write(self):
        """One transaction: all of it is kept, or nothing."""
        db = self._connection()
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    # --- objects -----------------------------------------------------------------------------------------

    def add(self, kind: str, id: str, owner: str, body: dict, *, parent=None, at=None, data=None) -> None:
        """Adds one object, visible from ``at`` (now if not given)."""
        with self.write() as db:
            self.insert(db, kind, id, owner, body, parent=parent, at=at, data=data)

    def insert(self, db, kind: str, id: str, owner: str, body: dict, *, parent=None, at=None, data=None):
        """As ``add``, inside a transaction of the caller's."""
        at = self.clock() if at is None else at
        row = (kind, id, owner, parent, at, json.dumps(body), data)
        db.execute(
            "INSERT INTO objects (kind, id, owner, parent, at, body, data) VALUES (?,?,?,?,?,?,?)", row
        )

    def get(self, kind: str, id: str, owner: str) -> Row | None:
        """The object, or None if there is none, it is not visible yet, or it is another owner's."""
        rows = self._select("kind = ? AND id = ? AND owner = ? AND at <= ?", (kind, id, owner, self.clock()))
        return rows[0] if rows else None

    def every(self, kind: str) -> list[Row]:
        """All objects of a kind, whoever owns them."""
        return self._select("kind = ?", (kind,))

    def children(self, kind: str, parent: str, until: float | None = None) -> list[Row]:
        """What a job has made until now, or until another time, oldest first."""
        until = self.clock() if until is None else until
        return self._select("parent = ? AND kind = ? AND at <= ?", (parent, kind, until))

    def page(
        self,
        kind: str,
        owner: str,
        *,
        after: str | None,
        limit: int,
        newest_first: bool = True,
        parent: str | None = None,
        keep: Callable[[Row], bool] | None = None,
    ) -> tuple[list[Row], bool] | None:
        """One page of objects and whether there are more. None if ``after`` names no object of the list."""
        where, values = "kind = ? AND owner = ? AND at <= ?", [kind, owner, self.clock()]
        if parent is not None:
            where, values = where + " AND parent = ?", [*values, parent]
        if after is not None:
            cursor = self._select(where + " AND id = ?", [*values, after])
            if not cursor:
                return None
            where += f" AND (at, seq) {'<' if newest_first else '>'} (?, ?)"
            values += [cursor[0].at, cursor[0].seq]
        rows = self._select(where, values, "DESC" if newest_first else "ASC", None if keep else limit + 1)
        if keep:
            rows = [row for row in rows if keep(row)]
        return rows[:limit], len(rows) > limit

    def data(self, kind: str, id: str, owner: str) -> bytes | None:
        """The bytes stored with an object, such as a tuned model's weights."""
        query = "SELECT data FROM objects WHERE kind = ? AND id = ? AND owner = ? AND at <= ?"
        row = self._connection().execute(query, (kind, id, owner, self.clock())).fetchone()
        return row and row[0]

    def update(self, kind: str, id: str, body: dict) -> None:
        """Replaces an object's body."""
        with self.write() as db:
            db.execute("UPDATE objects SET body = ? WHERE kind = ? AND id = ?", (json.dumps(body), kind, id))

    def remove(self, kind: str, id: str, owner: str) -> bool:
        """Deletes an object. False if there was none to delete."""
        with self.write() as db:
            query = "DELETE FROM objects WHERE kind = ? AND id = ? AND owner = ?"
            return db.execute(query, (kind, id, owner)).rowcount > 0

    def _select(
        self, where: str, values: Iterable, order: str = "ASC", limit: int | None = None
    ) -> list[Row]:
        query = f"SELECT seq, id, owner, parent, at, body FROM objects WHERE {where} ORDER BY at {order}, seq {order}"
        if limit is not None:
            query += f" LIMIT {limit}"
        rows = self._connection().execute(query, tuple(values)).fetchall()
        return [Row(*row[:5], json.loads(row[5])) for row in rows]

    # --- bytes on disk -----------------------------------------------------------------------------------

    def path(self, file_id: str) -> Path:
        """Where a file's bytes lie. Only for identifiers made by ``new_id``: a learner's file name never gets here."""
        return self.uploads / file_id

    def save_bytes(self, file_id: str, chunks: Iterable[bytes]) -> int:
        """Writes a file's bytes so that they are there whole or not at all. Returns how many."""
        size, temporary = 0, self.uploads / f"{file_id}.part"
        try:
            with open(temporary, "wb") as out:
                for chunk in chunks:
                    size += out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
            os.replace(temporary, self.path(file_id))
        finally:
            temporary.unlink(missing_ok=True)
        return size

    def _remove_orphans(self) -> None:
        known = {row.id for row in self.every("file")}
        for path in self.uploads.iterdir():
            if path.name not in known and time.time() - path.stat().st_mtime > ORPHAN_AGE:
                path.unlink(missing_ok=True)

    # --- the key -----------------------------------------------------------------------------------------

    def token(self) -> str:
        """The random part of this folder's API key, made once."""
        with self.write() as db:
            row = db.execute("SELECT id FROM objects WHERE kind = 'token'").fetchone()
            if row:
                return row[0]
            token = secrets.token_hex(12)
            self.insert(db, "token", token, "", {})
            return token
