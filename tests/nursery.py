"""Training processes that start at once: forked from one process that has imported torch already.

It serves the whole run of the tests. What its children do is what ``lease._launch`` would have them do, in a session of
their own and with a log file; but the answers that they draw for rewards are short. Some tests of
``test_trained_kills`` start them as the product does.
"""

import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from helpers.local_api.engines.trained import lease
from tests.environment import ROOT

# What a kernel runs, so that its training processes come from here.
USED = """from helpers.local_api.engines.trained import lease
from tests import nursery

lease._launch = nursery.launch"""

# The tiny model ends no answer by itself, and a test that waits for a lease to be renewed need not train meanwhile.
SHORT_ANSWER, OFTEN = 16, 0.25  # tokens, instead of rewards.MAX_ANSWER; seconds, instead of lease.PACE

_own: list[subprocess.Popen] = []  # the one that this process has started, if it has


def launch(store, name: str) -> None:
    """Stands in for ``lease._launch``."""
    folder = store.folder.resolve()
    (folder / "trained").mkdir(exist_ok=True)
    order = {"folder": str(folder), "name": name, "environment": lease.environment()}
    with _line() as line, line.makefile("rw") as file:
        file.write(json.dumps(order) + "\n")
        file.flush()
        assert file.readline() == "forked\n"


def start() -> None:
    """Starts it, unless somebody has. It ends with the process that has: a kernel that a test kills should not."""
    _line().close()


def _line() -> socket.socket:
    """A line to the nursery of this run; who asks first starts it."""
    address = Path(os.environ["TMPDIR"]) / "nursery"  # the folder of this run, see tests/environment.py
    line = socket.socket(socket.AF_UNIX)
    with FileLock(address.with_suffix(".lock")):
        try:
            line.connect(str(address))
        except OSError:
            _begin(address)
            line.connect(str(address))
    return line


def _begin(address: Path) -> None:
    command = [sys.executable, "-m", __name__, str(address)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    own = subprocess.Popen(command, cwd=ROOT, env=lease.environment() | {"OMP_NUM_THREADS": "1"}, **pipes)
    assert own.stdout.readline() == b"ready\n"
    _own[:] = [own]


def title(folder: Path) -> str:
    """The name that a forked training process of this folder has in the list of processes; 15 letters at most."""
    return "worker-" + hashlib.sha256(str(folder).encode()).hexdigest()[:8]


def main(address: str) -> None:
    from helpers.local_api.engines.trained import rewards, worker  # it is this import that takes long

    rewards.MAX_ANSWER = SHORT_ANSWER
    worker.PACE = OFTEN
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # else a child that has ended would stay as a zombie
    Path(address).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)
        watched = [sys.stdin, server]
        while sys.stdin not in select.select(watched, [], [])[0]:  # nobody writes to it: this is its end
            line, _ = server.accept()
            with line, line.makefile("rw") as file:
                if not (order := file.readline()):
                    continue  # somebody only wanted it to be there
                if os.fork() == 0:
                    server.close()
                    _work(worker, **json.loads(order))
                file.write("forked\n")


def _work(worker, folder: str, name: str, environment: dict[str, str]) -> None:
    os.setsid()
    os.environ.clear()  # of whoever started the nursery
    os.environ.update(environment)
    Path("/proc/self/comm").write_text(title(Path(folder)))
    with open(os.devnull) as nothing, open(Path(folder, "trained", "worker.log"), "ab") as log:
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = 1
    try:
        status = worker.main(folder, name)
    finally:
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1])
