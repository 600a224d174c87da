"""Runs a Python grader, in a process of its own. It is started as a file and needs nothing but Python.

The first line that it reads is JSON with the source and the limits; each further line has ``sample`` and ``item`` of
one answer. It writes a line of JSON for each: ``{"reward": 0.5}`` or ``{"error": "..."}``.

The limits protect from mistakes, not from attacks: the code is the learner's own.
"""

import faulthandler
import json
import linecache
import math
import numbers
import os
import sys
import traceback

NAME = "<grader>"
FORBIDDEN = {  # beginnings of the events that Python reports to an audit hook (PEP 578)
    "socket.": "the network",
    "subprocess.": "other programs",
    "os.system": "other programs",
    "os.exec": "other programs",
    "os.fork": "other programs",
    "os.posix_spawn": "other programs",
    "os.spawn": "other programs",
    "os.startfile": "other programs",
    "os.kill": "other programs",
    "pty.spawn": "other programs",
}
LONGEST_ERROR = 1_000  # characters


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    lines = os.fdopen(os.dup(0), encoding="utf-8")
    for number in (0, 1, 2):  # what the grader prints goes nowhere
        os.dup2(nothing, number)
    first = json.loads(lines.readline())
    _limit(first["megabytes"])
    log = os.fdopen(nothing, "w")

    def say(answer: dict) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    def limited(work, *arguments) -> dict:
        faulthandler.dump_traceback_later(first["seconds"], exit=True, file=log)
        try:
            return work(*arguments)
        except BaseException as error:  # noqa: BLE001 - whatever the grader does: its text is the answer
            return {"error": _told(error)}
        finally:
            faulthandler.cancel_dump_traceback_later()

    sys.addaudithook(_refuse)
    space: dict = {"__name__": "grader"}
    linecache.cache[NAME] = (len(first["source"]), None, first["source"].splitlines(True), NAME)
    start = limited(_define, first["source"], space)
    say(start)
    for line in lines:
        case = json.loads(line)
        say(limited(_reward, space["grade"], case["sample"], case["item"]))


def _limit(megabytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    for kind, most in (
        (resource.RLIMIT_AS, megabytes * 1024**2),
        (resource.RLIMIT_FSIZE, 1024**3),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            resource.setrlimit(kind, (most, most))
        except (ValueError, OSError):  # a lower limit holds already, or this system knows none
            pass


def _refuse(event: str, _) -> None:
    for beginning, what in FORBIDDEN.items():
        if event.startswith(beginning):
            raise PermissionError(f"a grader may not use {what}")


def _define(source: str, space: dict) -> dict:
    exec(compile(source, NAME, "exec"), space)  # noqa: S102 - this is what the process is for
    if not callable(space.get("grade")):
        return {"error": "It has no function grade(sample, item)."}
    return {}


def _reward(grade, sample: dict, item: dict) -> dict:
    found = grade(sample, item)
    if not isinstance(found, numbers.Real):
        return {"error": f"grade() returned {_short(found)}, which is no number."}
    if not math.isfinite(found):
        return {"error": f"grade() returned {float(found)}; a reward is a finite number."}
    return {"reward": float(found)}


def _told(error: BaseException) -> str:
    """The error, and the line of the grader in which it came up."""
    text = "".join(traceback.format_exception_only(error)).strip()[-LONGEST_ERROR:]
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == NAME]
    return f"{text} (line {lines[-1].lineno}: {lines[-1].line})" if lines else text


def _short(value) -> str:
    try:
        return repr(value)[:80]
    except Exception:  # noqa: BLE001 - the value is the grader's own
        return f"a {type(value).__name__}"


if __name__ == "__main__":
    main()
