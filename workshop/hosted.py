"""What the start cell runs on Colab and Kaggle: installs what is missing there, and connects.

Both bring a Python with many packages that their own pages need. Those stay as they are, if a lesson works with them;
of the rest, what requirements.txt asks for is installed, as pinned there.
"""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

COURSE = Path(__file__).resolve().parents[1]
# Such a place has these, and lessons take them as they are there.
ITS_OWN = {"ipywidgets", "pandas", "numpy", "matplotlib", "pillow", "requests"}
NOT_NEEDED = {"jupyterlab", "argon2-cffi-bindings"}  # there is another notebook


def wanted(requirements: str) -> list[str]:
    """What is asked for by hand in this text of requirements.txt, each as it is pinned there."""
    lines = requirements.splitlines()
    asked = [re.split("[=<> ]", line[3:])[0] for line in lines if line.startswith("#= ")]
    needed = [name for name in asked if name not in NOT_NEEDED]
    return [next(line for line in lines if line.startswith(f"{name}==")) for name in needed]


def missing(requirements: str) -> list[str]:
    """Those of them that are to be installed here."""
    return [pin for pin in wanted(requirements) if not _is_here(*pin.split(" ;")[0].strip().split("=="))]


def _is_here(name: str, version: str) -> bool:
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return found == version or name in ITS_OWN


def main() -> None:
    """Installs, makes the helpers importable from here on, and connects."""
    pins = missing((COURSE / "requirements.txt").read_text(encoding="utf-8"))
    if pins:
        print(f"Installing {len(pins)} packages; this takes a minute.", flush=True)
        quiet = ["--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        subprocess.run([sys.executable, "-m", "pip", "install", *quiet, *pins], check=True)
    if str(COURSE) not in sys.path:
        sys.path.insert(0, str(COURSE))
    os.chdir(COURSE / "notebooks")
    importlib.invalidate_caches()
    from helpers.connect import connect

    connect()


if __name__ == "__main__":
    main()
