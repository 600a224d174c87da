"""One of the processes that check a large file; see processes.py, which starts it."""

import gc
import pickle
import sys

from .processes import READY, check_span

SELDOM = 100_000  # objects made: no row refers to itself, so the collector finds little


def main() -> None:
    """Answers tasks on standard input with parts, or errors, on standard output, until the input ends."""
    gc.set_threshold(SELDOM)
    _say(READY)
    while True:
        try:
            task = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            _say(check_span(*task))
        except Exception as error:  # noqa: BLE001 - such as a file that has been deleted; who asked raises it
            _say(error)


def _say(answer) -> None:
    pickle.dump(answer, sys.stdout.buffer)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
