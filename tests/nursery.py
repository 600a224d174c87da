"""Training processes that start at once: forked from a process that has imported torch already.

What they do is what ``lease._launch`` would have them do, in a session of their own and with a log file.
``test_trained_kills`` and the tests of lessons start them as the product does.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

from helpers.local_api.engines.trained import lease
from tests.environment import ROOT


def launch(store, name: str) -> None:
    """Stands in for ``lease._launch``."""
    folder = store.folder.resolve()
    (folder / "trained").mkdir(exist_ok=True)
    order = {"folder": str(folder), "name": name, "environment": lease.environment()}
    nursery = _nursery()
    nursery.stdin.write(json.dumps(order) + "\n")
    nursery.stdin.flush()
    assert nursery.stdout.readline() == "forked\n"


@cache
def _nursery() -> subprocess.Popen:
    """Ends with the process that asked for it, as nobody writes to it any more."""
    command = [sys.executable, "-m", __name__]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, env=lease.environment(), text=True, **pipes)


def title(folder: Path) -> str:
    """The name that a forked training process of this folder has in the list of processes; 15 letters at most."""
    return "worker-" + hashlib.sha256(str(folder).encode()).hexdigest()[:8]


def main() -> None:
    from helpers.local_api.engines.trained import training, worker

    assert training  # it is this import that takes long
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # else a child that has ended would stay as a zombie
    for line in sys.stdin:
        if os.fork() == 0:
            _work(worker, **json.loads(line))
        print("forked", flush=True)


def _work(worker, folder: str, name: str, environment: dict[str, str]) -> None:
    os.setsid()
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
    main()
