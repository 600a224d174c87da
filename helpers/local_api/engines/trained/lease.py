"""At most one training process for each state folder: who trains holds a lease, a row of the database.

The process renews it while it lives. A process that was killed, or a laptop that slept, lets it run out; the
next one to ask then starts another process. A process id proves nothing, so none is asked for. Every row that
the process writes is written in a transaction that first looks whether the lease is still its own.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from ....dataset.processes import without_keys
from ...store import Row, Store, new_id

KIND, ID = "lease", "training"
SECONDS, START_SECONDS, PACE = 10.0, 60.0, 2.0  # a lease lasts; a process may take to start; between renewals
ROOT = Path(__file__).parents[4]

# Runs for a moment between us and the worker, so that the worker is nobody's child: what ends a notebook's kernel
# also ends its children (on Windows all of them), and a child that has ended stays as a zombie.
LAUNCHER = """
import subprocess, sys
log, *command = sys.argv[1:]
flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "DETACHED_PROCESS", 0)
with open(log, "ab") as out:
    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                     creationflags=flags)
"""


class LeaseLost(Exception):
    """Another process may train now, or the state is gone: this one must end and write nothing more."""


class Lease:
    """The right to train, held under a random name."""

    def __init__(self, store: Store, name: str):
        self.store, self.name = store, name
        self._file = _identity(store)

    def check(self, db) -> None:
        """Raises LeaseLost, inside the caller's transaction, unless the lease is this one's."""
        row = read(self.store)
        if row is None or row.body["name"] != self.name or _identity(self.store) != self._file:
            raise LeaseLost

    def renew(self) -> None:
        """Prolongs it. Raises LeaseLost if it is another's."""
        with self.store.write() as db:
            self.check(db)
            _put(self.store, db, self.name, SECONDS, os.getpid())

    def release_if(self, nothing_left) -> bool:
        """Gives it back if ``nothing_left()``; both in one transaction, so that no job is overlooked."""
        with self.store.write() as db:
            self.check(db)
            if not nothing_left():
                return False
            db.execute("DELETE FROM objects WHERE kind = ? AND id = ?", (KIND, ID))
            return True


def read(store: Store) -> Row | None:
    """The lease as it is written down, run out or not."""
    found = store.every(KIND)
    return found[0] if found else None


def is_held(store: Store) -> bool:
    """True while a training process lives or starts."""
    row = read(store)
    if row is None:
        return False
    left = row.body["until"] - time.time()
    return 0 < left <= START_SECONDS  # more is never given: the clock has gone back, and it says nothing


def ensure_worker(store: Store) -> None:
    """Starts the training process of this state folder, unless there is one."""
    if is_held(store):
        return
    name = new_id("worker-")
    with store.write() as db:
        if is_held(store):
            return
        _put(store, db, name, START_SECONDS)
    _launch(store, name)


def environment() -> dict[str, str]:
    """That of the training process: without keys, and without a word to the hub."""
    return without_keys() | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUTF8": "1"}


def _launch(store: Store, name: str) -> None:
    module = "helpers.local_api.engines.trained.worker"
    worker = [sys.executable, "-m", module, str(store.folder.resolve()), name]
    log = store.folder.resolve() / "trained" / "worker.log"
    log.parent.mkdir(mode=0o700, exist_ok=True)
    command = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(log), *worker]
    subprocess.run(command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, check=True)


def _put(store: Store, db, name: str, seconds: float, pid: int | None = None) -> None:
    db.execute("DELETE FROM objects WHERE kind = ? AND id = ?", (KIND, ID))
    store.insert(db, KIND, ID, "", {"name": name, "pid": pid, "until": time.time() + seconds})


def _identity(store: Store) -> tuple | None:
    """Tells this database from another one that has taken its place."""
    try:
        found = os.stat(store.database)
    except OSError:
        return None
    return found.st_dev, found.st_ino
