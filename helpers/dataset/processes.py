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


def check_span(path: Path | str, span: Span, settings: Settings) -> Part:
    """Checks one span of a file."""
    return check_part(parsed(of_file(path, span)), settings)


def check_spans(path: Path | str, spans: list[Span], settings: Settings, workers: int) -> Iterator[Part]:
    """Checks all spans, in order; with more than one worker in so many processes."""
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
            if isinstance(part, Exception):
                raise part
            yield part
    finally:
        while _next(tasks) is not None:  # the reader has stopped early: leave nothing to do
            pass


def _serve(path, spans: list[Span], settings: Settings, tasks: queue.SimpleQueue, results: list) -> None:
    """Hands one task after the other to a process. If it cannot start, or dies, the work is done here."""
    process = _start()
    while (number := _next(tasks)) is not None:
        task = (path, spans[number], settings)
        try:
            results[number].put(_ask(process, task) or check_span(*task))
        except Exception as error:  # such as a file that has been deleted; the reader raises it
            results[number].put(error)
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
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = without_keys() | {"PYTHONPATH": path}
    # -P: a folder named helpers in the current directory must not be taken for ours
    command = [sys.executable, "-P", "-m", "helpers.dataset.worker"]
    try:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    except OSError:
        return None


def _ask(process: subprocess.Popen | None, task: tuple) -> Part | None:
    if process is None:
        return None
    try:
        pickle.dump(task, process.stdin)
        process.stdin.flush()
        return pickle.load(process.stdout)
    except (OSError, EOFError, pickle.UnpicklingError):
        return None
