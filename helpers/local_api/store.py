"""State in one SQLite file and one folder of uploaded bytes. Kill the process at any point: nothing is half-written.

Everything the API returns is a row of one table, ``objects``. A row may tell of a later time than that at which it
is written: it is hidden until the clock has passed it. That is how a simulated job shows progress without any
timer. Nothing else hides a row: one that tells of its own time or an earlier one is seen whatever the clock says.
"""

import json
import os
import secrets
import shutil
import sqlite3
import string
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .. import command_line
from . import database, folder
from .errors import DAMAGED, is_disk_full
from .folder import StateFolderError, default_folder

ORPHAN_AGE = 3600  # seconds; bytes without a row are an upload that was killed, or one still under way
RESERVE_BYTES = 1024 * 1024  # given up when the disk is full, so that deleting still works
LOCK_SECONDS = 60.0  # somebody has the folder alone: another start, a reset
COMPUTING_SECONDS = 600.0  # who has waited longer goes on: a job that is computed twice is written once
LETTERS = string.ascii_letters + string.digits
FAR = 1e12  # seconds; what a paused job has not shown yet is moved this far into the future

# A clock that has gone back to before a row was written says nothing about when it is to be seen: it is seen.
HIDDEN = f"at > :now AND at > ifnull(written, -1) AND NOT (:now < ifnull(written, -1) AND at < {FAR})"


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
    """All state of one folder. Safe to use from several threads and from several processes at once.

    Raises StateFolderError if the folder cannot be used. A ``guest`` takes the folder as it is, and does not keep
    others from clearing it: the training process, which notices by itself that its state is gone.
    """

    def __init__(
        self,
        place: Path | str | None = None,
        clock: Callable[[], float] = time.time,
        *,
        guest: bool = False,
    ):
        self.folder = Path(place) if place else default_folder()
        self.clock = clock
        self.uploads = self.folder / "files"
        self._local = threading.local()
        self._entered = False
        folder.claim(self.folder)
        self._lock = None
        try:
            self._lock = folder.Lock(self.folder / folder.LOCK)
            self._enter_on_a_full_disk_too(guest)
        except (OSError, sqlite3.OperationalError) as error:
            raise StateFolderError(_why_not_opened(self.folder, error)) from None
        finally:
            if not self._entered:
                self.close()

    def _enter_on_a_full_disk_too(self, guest: bool) -> None:
        try:
            self._enter(guest)
        except (OSError, sqlite3.OperationalError):  # SQLite has many words for a lack of space
            if shutil.disk_usage(self.folder).free > RESERVE_BYTES:
                raise
            self._reserve.unlink(missing_ok=True)
            self._enter(guest)

    def _enter(self, guest: bool) -> None:
        if not guest:
            self._tidy_if_alone()
            if not self._lock.take(alone=False, seconds=LOCK_SECONDS):
                raise StateFolderError(
                    f"Another program works on {self.folder}. Wait for its end; then try again."
                )
        self._open()
        self._entered = True

    # --- opening -----------------------------------------------------------------------------------------

    @property
    def database(self) -> Path:
        return self.folder / "state.sqlite"

    def _open(self) -> None:
        self.uploads.mkdir(mode=0o700, exist_ok=True)
        if not self.database.exists():
            self.database.touch(mode=0o600)
        if reason := database.problem(self.database, thorough=False):
            # somebody works on it, or it would have been set aside
            raise StateFolderError(f"The saved state {reason}. {folder.IN_USE}")
        with self.write() as db:
            database.create(db, self.clock())

    def _tidy_if_alone(self) -> None:
        """Looks at what was left here, if nobody else uses the folder: they have done so, and must not be disturbed."""
        if not self._lock.take(alone=True):
            return
        try:
            folder.finish_moves(self.folder)
            if reason := self._problem():
                self._set_aside(reason)
            self._open()
            self._remove_orphans()
            self._keep_reserve()
        finally:
            self._lock.release()
            self._disconnect()  # from here on another process may clear the folder, until we share the lock

    def _problem(self) -> str | None:
        small = self.database.exists() and self.database.stat().st_size <= database.CHECKED_BYTES
        thorough = small or self._suspicion.exists()
        found = database.problem(self.database, thorough=thorough)
        self._suspicion.unlink(missing_ok=True)
        return found

    def _set_aside(self, reason: str) -> None:
        name = folder.set_aside(self.folder).name
        print(
            f"The saved state {reason}. It was set aside with its uploads as {name}, and a new one is begun.\n"
            f"To take it back: {command_line('helpers.local_api')} restore {name}",
            file=sys.stderr,
        )

    @property
    def _suspicion(self) -> Path:
        return self.folder / folder.SUSPECTED

    def suspect(self) -> None:
        """Damage was met: the next start looks through the whole database, however large it is."""
        self._suspicion.touch()

    @contextmanager
    def in_good_state(self):
        """For the first look into the state: whatever cannot be read there, StateFolderError says so."""
        try:
            yield
        except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
            if not database.shows_damage(error):
                raise StateFolderError(_why_not_opened(self.folder, error)) from None
            self.suspect()
            raise StateFolderError(DAMAGED) from None

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
        """Closes this thread's connection, and lets others have the folder alone."""
        self._disconnect()
        if self._lock:
            self._lock.release()

    def _disconnect(self) -> None:
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
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # SQLite ends it by itself when the disk is full
                db.execute("ROLLBACK")
            raise

    def despite_full_disk(self, action: Callable):
        """Does what frees space, or says that there is none: on a full disk with the space of the reserve."""
        try:
            return action()
        except (OSError, sqlite3.Error) as error:
            if not is_disk_full(error):
                raise
        self._reserve.unlink(missing_ok=True)
        try:
            return action()
        finally:
            self._keep_reserve()

    @property
    def _reserve(self) -> Path:
        return self.folder / "reserve"

    def _keep_reserve(self) -> None:
        """Fills the reserve with as many bytes as there is space for; random ones, which no file system packs."""
        try:
            with open(self._reserve, "ab", buffering=0) as file:
                while file.tell() < RESERVE_BYTES:
                    file.write(os.urandom(64 * 1024))
        except OSError:
            pass

    @contextmanager
    def computing(self):
        """One after the other, whichever process it is in: two servers on one folder compute each job once."""
        lock = folder.Lock(self.folder / folder.COMPUTING)
        try:
            lock.take(alone=True, seconds=COMPUTING_SECONDS)
            yield
        finally:
            lock.close()
            time.sleep(2 * folder.LOOK_SECONDS)  # lets another process in, if one waits

    # --- objects -----------------------------------------------------------------------------------------

    def add(self, kind: str, id: str, owner: str, body: dict, *, parent=None, at=None, data=None) -> None:
        """Adds one object that is seen from ``at`` on (now if not given)."""
        with self.write() as db:
            self.insert(db, kind, id, owner, body, parent=parent, at=at, data=data)

    def insert(self, db, kind: str, id: str, owner: str, body: dict, *, parent=None, at=None, data=None):
        """As ``add``, inside a transaction of the caller's."""
        written = self.moment(parent)
        at = written if at is None else at
        db.execute(
            "INSERT INTO objects (kind, id, owner, parent, at, body, data, written) VALUES (?,?,?,?,?,?,?,?)",
            (kind, id, owner, parent, at, json.dumps(body), data, written),
        )

    def moment(self, parent: str | None) -> float:
        """Now, for what a job does: its own time never goes back, or its last state would not be its last."""
        now = self.clock()
        if parent is None:
            return now
        query = "SELECT max(written) FROM objects WHERE parent = ?"
        last = self._connection().execute(query, (parent,)).fetchone()[0]
        return now if last is None else max(now, last)

    def get(self, kind: str, id: str, owner: str) -> Row | None:
        """The object, or None if there is none, it is not to be seen yet, or it is another owner's."""
        rows = self._select(
            "kind = :kind AND id = :id AND owner = :owner", {"kind": kind, "id": id, "owner": owner}
        )
        return next(rows, None)

    def every(self, kind: str, *, but: tuple[str, object] | None = None) -> list[Row]:
        """All objects of a kind, whoever owns them, those that are still hidden included.

        ``but``: except those in which this key stands with this value.
        """
        if but is None:
            return list(self._select("kind = :kind", {"kind": kind}, hidden=True))
        values = {"kind": kind, "pair": _as_written(but)}
        return list(self._select("kind = :kind AND NOT instr(body, :pair)", values, hidden=True))

    def children(self, kind: str, parent: str, *, hidden: bool = False) -> list[Row]:
        """What a job has made until now, oldest first; with ``hidden`` also what is written down for later."""
        values = {"kind": kind, "parent": parent}
        return list(self._select("parent = :parent AND kind = :kind", values, hidden=hidden))

    def page(
        self,
        kind: str,
        owner: str,
        *,
        after: str | None,
        limit: int,
        newest_first: bool = True,
        parent: str | None = None,
        having: dict | None = None,
        keep: Callable[[Row], bool] | None = None,
    ) -> tuple[list[Row], bool] | None:
        """One page of objects and whether there are more. None if ``after`` names no object of the list.

        ``having`` are keys and values that stand somewhere in an object, at whatever depth: SQLite passes over the
        others without reading them as JSON. ``keep`` has the last word on those that are left.
        """
        values = {"kind": kind, "owner": owner}
        where = "kind = :kind AND owner = :owner"
        if parent is not None:  # the plus keeps SQLite from going through all that the owner has
            values["parent"] = parent
            where = "parent = :parent AND kind = :kind AND +owner = :owner"
        if after is not None:
            cursor = next(self._select(where + " AND id = :id", values | {"id": after}), None)
            if cursor is None:
                return None
            where += f" AND (at, seq) {'<' if newest_first else '>'} (:at, :seq)"
            values |= {"at": cursor.at, "seq": cursor.seq}
        for number, pair in enumerate((having or {}).items()):
            where += f" AND instr(body, :having{number})"
            values[f"having{number}"] = _as_written(pair)
        rows = []
        for row in self._select(where, values, "DESC" if newest_first else "ASC"):
            if keep is None or keep(row):
                rows.append(row)
            if len(rows) > limit:
                break
        return rows[:limit], len(rows) > limit

    def data(self, kind: str, id: str, owner: str) -> bytes | None:
        """The bytes stored with an object, such as a tuned model's weights."""
        query = (
            f"SELECT data FROM objects WHERE kind = :kind AND id = :id AND owner = :owner AND NOT ({HIDDEN})"
        )
        values = {"kind": kind, "id": id, "owner": owner, "now": self.clock()}
        row = self._connection().execute(query, values).fetchone()
        return row and row[0]

    def update(self, kind: str, id: str, body: dict) -> None:
        """Replaces an object's body."""
        with self.write() as db:
            db.execute("UPDATE objects SET body = ? WHERE kind = ? AND id = ?", (json.dumps(body), kind, id))

    def remove(self, kind: str, id: str, owner: str) -> bool:
        """Deletes an object, on a full disk too. False if there was none to delete."""

        def delete() -> bool:
            with self.write() as db:
                query = "DELETE FROM objects WHERE kind = ? AND id = ? AND owner = ?"
                return db.execute(query, (kind, id, owner)).rowcount > 0

        return self.despite_full_disk(delete)

    def _select(self, where: str, values: dict, order: str = "ASC", *, hidden: bool = False) -> Iterator[Row]:
        """The rows one after the other: who has enough reads no further."""
        seen = "" if hidden else f" AND NOT ({HIDDEN})"
        query = (
            f"SELECT seq, id, owner, parent, at, body FROM objects WHERE {where}{seen} "
            f"ORDER BY at {order}, seq {order}"
        )
        for row in self._connection().execute(query, values | {"now": self.clock()}):
            yield Row(*row[:5], json.loads(row[5]))

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
        """Removes old bytes that no object names; not where an earlier version has set a state aside without them."""
        if any(self.folder.glob("state-set-aside-*.sqlite")):
            return
        known = {row[0] for row in self._connection().execute("SELECT id FROM objects WHERE kind = 'file'")}
        for path in self.uploads.iterdir():
            ours = folder.UPLOAD.fullmatch(path.name) and path.is_file() and not path.is_symlink()
            if ours and path.name not in known and time.time() - path.stat().st_mtime > ORPHAN_AGE:
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


def _as_written(pair: tuple) -> str:
    """A key and its value as they stand in the text of a body."""
    return json.dumps(dict([pair]))[1:-1]


def _why_not_opened(place: Path, error: Exception) -> str:
    if is_disk_full(error):
        return f"The disk of the state folder {place} is full. Free some space, or: {folder.OTHER_FOLDER}"
    return f"The state in {place} cannot be opened ({error}). {folder.OTHER_FOLDER}"
