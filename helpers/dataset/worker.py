"""One of the processes that check a large file; see processes.py, which starts it."""

import pickle
import sys

from .processes import check_span


def main() -> None:
    """Answers tasks on standard input with parts on standard output, until the input ends."""
    while True:
        try:
            task = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(check_span(*task), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
