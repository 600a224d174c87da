"""Pins anew, at the newest releases, what each requirement file asks for in its lines after ``#=``.

python -m tests.pins            writes the list of pins of all files; needs uv (python -m pip install uv)
python -m tests.pins --pip      prints the lists for this Python and this system alone; needs only pip

Only uv can resolve for every Python and every system at once, so only its lists are written into the files.
Run this with any Python 3.11 or newer; nothing of the course need be installed.
"""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from start import HUB, LEARNER, LOCAL, ROOT, SITE, TESTS, TRL

OLDEST_PYTHON = "3.11"
# A file, and the files whose pins hold for it too.
FILES = {
    LEARNER: [],
    TESTS: [LEARNER],
    LOCAL: [LEARNER],
    TRL: [LEARNER, LOCAL],
    SITE: [LEARNER, TESTS],
    HUB: [LEARNER, LOCAL],
}
# These list only what they add to the files above them.
ADDITIONS = (LOCAL, TRL, SITE, HUB)
# What torch brings on Linux for graphics cards; start.py installs a torch that does without.
FOR_GRAPHICS_CARDS = re.compile(r"nvidia-|cuda-|triton==")


def asked(text: str) -> list[str]:
    """The requirements that a file asks for by hand: its lines after ``#=``."""
    return [line[3:] for line in text.splitlines() if line.startswith("#= ")]


def pins(text: str) -> list[str]:
    """The lines of a requirement file that pin a package."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def with_pins(text: str, lines: list[str]) -> str:
    """The text of a requirement file with these pins in place of its own."""
    header = [line for line in text.splitlines() if line.startswith("#")]
    return "\n".join(header + lines) + "\n"


def added(lines: list[str], others: list[str]) -> list[str]:
    """The pins that are not in others already: there for every system, or under the same condition."""
    return [line for line in lines if line not in others and line.partition(" ; ")[0] not in others]


def with_conditions(lines: list[str], wanted: list[str]) -> list[str]:
    """The pins, each under the condition it was asked for with.

    uv leaves a condition out if another package needs the same one without it; torch is needed by two, and has no
    release for Macs with an Intel processor.
    """
    conditions = dict(line.split(" ; ") for line in wanted if " ; " in line)
    return [f"{line} ; {conditions[line]}" if line in conditions else line for line in lines]


def resolved(resolver) -> dict[str, list[str]]:
    """The newest pins of each requirement file, as ``resolver(asked, constraints)`` finds them."""
    found: dict[str, list[str]] = {}
    for name, above in FILES.items():
        others = [line for other in above for line in found[other]]
        lines = resolver(asked(read(name)), others)
        lines = [line for line in lines if not FOR_GRAPHICS_CARDS.match(line)]
        found[name] = added(lines, others) if name in ADDITIONS else lines
    return {name: with_conditions(lines, asked(read(name))) for name, lines in found.items()}


def with_uv(wanted: list[str], constraints: list[str]) -> list[str]:
    """Pins for every Python from the oldest on and for every system."""
    options = ["--universal", "--python-version", OLDEST_PYTHON, "--only-binary", ":all:"]
    plain = ["--no-header", "--no-annotate", "--quiet"]
    return run([*uv(), "pip", "compile", *options, *plain], wanted, constraints).splitlines()


def uv() -> list[str]:
    """The command for uv: of this Python, or else of the system. Empty if there is none."""
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    return ["uv"] if shutil.which("uv") else []


def with_pip(wanted: list[str], constraints: list[str]) -> list[str]:
    """Pins for this Python and this system. pip downloads some packages for that, but installs none."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    command += ["--only-binary", ":all:", "--report", "-", "--requirement"]
    found = reported(run(command, wanted, constraints))
    return sorted(f"{name}=={version}" for name, version in found.items())


def reported(report: str) -> dict[str, str]:
    """Name and version of each package in a report of pip. Names are plain, and "+cpu" and its like left out."""
    found = [item["metadata"] for item in json.loads(report)["install"]]
    return {plain(item["name"]): item["version"].partition("+")[0] for item in found}


def plain(name: str) -> str:
    """A package's name as the pins write it."""
    return re.sub("[-_.]+", "-", name).lower()


def run(command: list[str], wanted: list[str], constraints: list[str]) -> str:
    """What the command prints, given these requirements and constraints as files."""
    with tempfile.TemporaryDirectory() as folder:
        wishes, limits = Path(folder, "asked.txt"), Path(folder, "constraints.txt")
        wishes.write_text("\n".join(wanted) + "\n", encoding="utf-8")
        limits.write_text("\n".join(constraints) + "\n", encoding="utf-8")
        done = subprocess.run(
            [*command, str(wishes), "--constraint", str(limits)], stdout=subprocess.PIPE, encoding="utf-8"
        )
    if done.returncode:
        sys.exit("The newest releases could not be found; the reason is above. Nothing was changed.")
    return done.stdout


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def main(arguments: list[str]) -> None:
    if arguments not in ([], ["--pip"]):
        sys.exit(__doc__)
    if arguments:
        for name, lines in resolved(with_pip).items():
            print(f"# {name}", *lines, sep="\n")
        return
    if not uv():
        sys.exit("uv is missing. Get it with: python -m pip install uv. Or see: python -m tests.pins --pip")
    for name, lines in resolved(with_uv).items():
        old = read(name)
        (ROOT / name).write_text(with_pins(old, lines), encoding="utf-8", newline="\n")
        print(f"{name}: {len(set(lines) - set(pins(old)))} new pins")


if __name__ == "__main__":
    main(sys.argv[1:])
