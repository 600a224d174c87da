"""Checking a large file in several processes.

Each is started as ``python -m helpers.dataset.worker`` and gets spans of the file to check. (Not with
multiprocessing: it would fork a process that has threads, or run the user's script a second time.)
"""

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from .lines import Span, of_file, parsed
from .part import Part, Settings, check_part

ROOT = Path(__file__).resolve().parents[2]
READY = "ready"  # the first word of a process
GIVEN_UP = (
    "Two processes ended without a word while they checked the lines from {:,} on. Often the reason is too little "
    "memory for a very long line: close other programs, or check a part of the file."
)


def check_span(path: Path | str, span: Span, settings: Settings) -> Part:
    """Checks one span of a file."""
    return check_part(parsed(of_file(path, span)), settings)


def check_spans(path: Path | str, spans: list[Span], settings: Settings, workers: int) -> Iterator[Part]:
    """Checks all spans, in order; with more than one worker in so many processes.

    Raises what the check of a span raises, and RuntimeError if two processes in a row have ended over one.
    """
    workers = min(workers, len(spans))
    if workers < 2:
        yield from (check_span(path, span, settings) for span in spans)
        return
    tasks: queue.SimpleQueue = queue.SimpleQueue()
    results: list[queue.SimpleQueue] = [queue.SimpleQueue() for _ in spans]
    for number in range(len(spans)):
        tasks.put(number)
    threads = [
        threading.Thread(target=_serve, args=(path, spans, settings, tasks, results)) for _ in range(workers)
    ]
    for thread in threads:
        thread.start()
    try:
        for result in results:
            part = result.get()
            if isinstance(part, BaseException):
                raise part
            yield part
    finally:
        while _next(tasks) is not None:  # the reader has stopped early: leave nothing to do
            pass


def _serve(path, spans: list[Span], settings: Settings, tasks: queue.SimpleQueue, results: list) -> None:
    """Hands one task after the other to a process; if none can be started, the work is done here.

    A task over which a process has ended is not done here: it would end this one too, a notebook perhaps.
    """
    process = _start()
    while (number := _next(tasks)) is not None:
        task = (path, spans[number], settings)
        try:
            part = _ask(process, task) if process else check_span(*task)
            if part is None:  # somebody may have ended the process: once more, with a new one
                process = _start()
                part = process and _ask(process, task)
            if part is None:
                process = _start()
                part = RuntimeError(GIVEN_UP.format(spans[number].first_line))
        except BaseException as error:  # noqa: BLE001 - whatever it is: the reader waits, and must hear of it
            part = error
        results[number].put(part)
    if process:
        process.communicate()


def _next(tasks: queue.SimpleQueue) -> int | None:
    try:
        return tasks.get_nowait()
    except queue.Empty:
        return None


def without_keys() -> dict[str, str]:
    """The environment for a process that asks no provider: without the variables that end in _API_KEY."""
    return {name: value for name, value in os.environ.items() if not name.upper().endswith("_API_KEY")}


def _start() -> subprocess.Popen | None:
    """A process that waits for tasks; None if none can be started."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = without_keys() | {"PYTHONPATH": path}
    # -P: a folder named helpers in the current directory must not be taken for ours
    command = [sys.executable, "-P", "-m", "helpers.dataset.worker"]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    except OSError:
        return None
    return process if _answer(process) == READY else None


def _answer(process: subprocess.Popen):
    """What the process says next; None if it has ended."""
    try:
        return pickle.load(process.stdout)
    except (OSError, EOFError, pickle.UnpicklingError):
        process.wait()
        return None


def _ask(process: subprocess.Popen, task: tuple):
    """The process's answer to a task: a part or an error; None if it has ended over it."""
    try:
        pickle.dump(task, process.stdin)
        process.stdin.flush()
    except OSError:
        pass
    return _answer(process)
