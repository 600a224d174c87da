"""A Python grader, seen from the process that wants rewards."""

import ast
import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from .grade import Failed, Sample

MAX_SOURCE = 256_000  # bytes; as OpenAI has it
SECONDS, MEGABYTES = 10, 2_000  # of one call; OpenAI gives 2 minutes and the same memory
BROKEN = "python_grader_runtime_error"
PATIENCE = 5  # seconds beyond that, until the process is ended from here
PROCESS = Path(__file__).with_name("python_process.py")


def problem(source: str) -> str | None:
    """Why this source can be no grader, or None. It is read, not run."""
    if len(source.encode(errors="replace")) > MAX_SOURCE:
        return f"the source has more than {MAX_SOURCE // 1000} kB."
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f" in line {error.lineno}" if getattr(error, "lineno", None) else ""
        return f"this is no Python{where}: {getattr(error, 'msg', error)}."
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "grade":
            few, most = _arguments(node.args)
            return None if few <= 2 <= most else "grade() must take two arguments: grade(sample, item)."
        if (
            isinstance(node, ast.alias)
            and (node.asname or node.name) == "grade"
            or isinstance(node, ast.Name)
            and node.id == "grade"
        ):
            return None  # it comes from elsewhere
    return "the source must define a function grade(sample, item) that returns a number."


def _arguments(found: ast.arguments) -> tuple[int, float]:
    """How many arguments it needs at least, and takes at most, by their place."""
    places = len(found.posonlyargs) + len(found.args)
    needed = sum(default is None for default in found.kw_defaults)
    most = float("inf") if found.vararg else places
    return places - len(found.defaults) + 99 * needed, most


class PythonGrader:
    """The learner's function, in a process that is started when needed, and again after an answer that ended it."""

    def __init__(self, source: str):
        self._source = source
        self._process: subprocess.Popen | None = None
        self._folder = None

    def reward(self, sample: Sample) -> float:
        """What the function returns. Raises Failed with its error."""
        try:
            line = json.dumps({"sample": sample.sample, "item": sample.item})
        except RecursionError:
            raise Failed("other_error", "The row is nested too deeply to be handed to a grader.") from None
        if self._process is None:
            self._start()
        return self._said(line)["reward"]

    def close(self) -> None:
        """Ends the process."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            with suppress(OSError):  # what was not read any more
                self._process.stdin.close()
            self._folder.cleanup()
            self._process = None

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="grader-", ignore_cleanup_errors=True)
        # -I: nothing of the current folder or of the environment gets in
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(PROCESS)],
            cwd=self._folder.name,
            env=_environment(self._folder.name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        try:
            self._said(json.dumps({"source": self._source, "seconds": SECONDS, "megabytes": MEGABYTES}))
        except Failed:
            self.close()
            raise

    def _said(self, line: str) -> dict:
        """The process's answer to a line. Raises Failed if that is an error, or if the process ends over it."""
        watch = threading.Timer(SECONDS + PATIENCE, self._process.kill)
        watch.start()
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        except (OSError, ValueError):  # a broken pipe, or no line
            self.close()
            raise Failed(
                BROKEN,
                f"The grader's process ended without an answer. A call may take {SECONDS} seconds and {MEGABYTES} MB.",
            ) from None
        finally:
            watch.cancel()
        if "error" in answer:
            raise Failed(BROKEN, answer["error"])
        return answer


def _environment(folder: str) -> dict[str, str]:
    """Without keys. One thread, so that libraries reserve less memory."""
    kept = {name: os.environ[name] for name in ("SYSTEMROOT", "PATH") if name in os.environ}
    places = dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP"), folder)
    return kept | places | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
