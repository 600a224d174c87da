"""Several people on one machine: their trainings take turns, so that the machine stays usable.

Who runs the machine makes the queue, a folder that all can reach, and sets ``LOCAL_API_QUEUE`` to it for everybody:

    python -m helpers.local_api.engines.trained.turns FOLDER 2      two trainings at a time

Each person trains one model at a time, whatever they have ordered; after it their next one stands at the end of the
line. All is told by locks of the system, which end with the process that holds them: there is nothing to clean up.
``slot-1`` and so on are held by those who train, ``line/UID.waits`` and ``line/UID.trains`` by the person of that
number: the first as long as they wait (its time says since when), the second until their training is over.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .... import command_line
from ...training_files import Failure

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PACE = 0.5  # seconds between two looks
NICENESS = 10  # a training gives way to notebooks
MODULE = "helpers.local_api.engines.trained.turns"
NO_QUEUE = (
    "LOCAL_API_QUEUE is {}, and that is no queue that you can use here. Who runs this machine (Linux or macOS) makes "
    f"one with: {command_line(MODULE)} FOLDER 2"
)


def make(folder: Path, at_once: int) -> None:
    """Makes a queue in which so many trainings run at a time, or gives an old one that number."""
    line = folder / "line"
    line.mkdir(parents=True, exist_ok=True)
    line.chmod(0o1777)  # everybody may add files there, and remove their own
    slots = {folder / f"slot-{number}" for number in range(1, at_once + 1)}
    for slot in slots:
        slot.touch()
        slot.chmod(0o644)
    for old in set(folder.glob("slot-*")) - slots:
        old.unlink()


@contextmanager
def turn(look: Callable[[int, int], None], person: str | None = None) -> Iterator[None]:
    """Waits until a training may begin, and holds its place as long as it runs; at once without ``LOCAL_API_QUEUE``.

    ``look(before, at_once)`` is called while it waits, with how many trainings are before this one and how many run
    at a time; what it raises ends the waiting. ``person`` is the user's number. Raises Failure if there is no queue.
    """
    named = os.environ.get("LOCAL_API_QUEUE")
    if not named:
        yield
        return
    with ExitStack() as held:
        _wait(Path(named), person, look, held)
        os.nice(max(0, NICENESS - os.nice(0)))
        yield


def _wait(queue: Path, person: str | None, look: Callable[[int, int], None], held: ExitStack) -> None:
    """Returns once this person holds a slot. What ``held`` holds then, is given back when the training is over."""
    slots = sorted(queue.glob("slot-*"))
    if fcntl is None or not slots:
        raise Failure(NO_QUEUE.format(queue), "no_queue", None)
    person, at_once = person or str(os.getuid()), len(slots)
    held.enter_context(_locked(queue / "line" / f"{person}.trains", lambda: look(1, at_once)))
    place = queue / "line" / f"{person}.waits"
    with _locked(place, lambda: None):
        os.utime(place)
        while (before := _waiting_before(place)) or not _take_one(slots, held):
            look(before + at_once, at_once)
            time.sleep(PACE)


@contextmanager
def _locked(path: Path, look: Callable[[], None]) -> Iterator[None]:
    """Waits for the lock of a file of one's own."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:
        raise Failure(NO_QUEUE.format(path.parent.parent), "no_queue", None) from None
    try:
        os.fchmod(file, 0o644)  # whatever the umask says: others look whether it is locked
        while not _take(file):
            look()
            time.sleep(PACE)
        yield
    finally:
        os.close(file)


def _take_one(slots: list[Path], held: ExitStack) -> bool:
    """Takes a slot that is free."""
    for slot in slots:
        file = os.open(slot, os.O_RDONLY)
        if _take(file):
            held.callback(os.close, file)
            return True
        os.close(file)
    return False


def _take(file: int, how: str = "LOCK_EX") -> bool:
    try:
        fcntl.flock(file, getattr(fcntl, how) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _waiting_before(place: Path) -> int:
    """How many people wait for longer than the one whose place this is."""
    since = os.stat(place).st_mtime_ns
    others = [path for path in place.parent.glob("*.waits") if path != place]
    return sum(os.stat(path).st_mtime_ns <= since and _is_held(path) for path in others)


def _is_held(path: Path) -> bool:
    file = os.open(path, os.O_RDONLY)
    try:
        return not _take(file, "LOCK_SH")
    finally:
        os.close(file)


def main() -> int:
    """The command line: makes a queue. Returns 0."""
    parser = argparse.ArgumentParser(prog=command_line(MODULE))
    parser.add_argument("folder", type=Path)
    parser.add_argument("at_once", type=int, choices=range(1, 100), metavar="AT_ONCE")
    options = parser.parse_args()
    make(options.folder, options.at_once)
    print(f"{options.at_once} at a time. Set for everybody: LOCAL_API_QUEUE={options.folder.resolve()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
