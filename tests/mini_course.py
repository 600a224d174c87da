"""A course of a few small files and wheels with the real start.py: its steps are the same, and it needs no network."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.environment import NO_NETWORK, ROOT, outside

# The carrier has a wheel for one old system only, as for Python 3.14: start.py must unpack it by its second way.
REQUIREMENTS = """\
#= tiny
jupyterlab==1.0
tiny==1.0
wordllama==0.4 ; python_version < "3"
"""
JUPYTERLAB = "import os, sys, time\nprint('JupyterLab', os.getpid(), flush=True)\ntime.sleep({seconds})\n"
FILES = {
    "requirements.txt": REQUIREMENTS,
    "tests/requirements.txt": "tiny==1.0\n",
    "requirements-local.txt": "",
    "notebooks/00_start_here.ipynb": "{}",
    "helpers/__init__.py": "",
    "helpers/tokens.py": "",
    "helpers/connect.py": "",
    "helpers/local_api/__init__.py": "",
    "helpers/local_api/store.py": """import os

class Store:
    folder = os.environ["LOCAL_API_HOME"]
    def close(self): pass
""",
}


def make(folder: Path, wheels: Path) -> None:
    """Writes the course into a folder, and the wheels that it needs into another."""
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    for name in ("start.py", "helpers/restore.py", "helpers/mine.py"):
        shutil.copyfile(ROOT / name, folder / name)
    wheels.mkdir(exist_ok=True)
    write_wheel(wheels, "tiny", "1.0", {"tiny/__init__.py": "", "tiny/part/__init__.py": "here = True\n"})
    write_wheel(wheels, "jupyterlab", "1.0", {"jupyterlab/__main__.py": JUPYTERLAB.format(seconds=0)})
    write_wheel(wheels, "wordllama", "0.4", {"wordllama/data.bin": "0"}, "cp311-cp311-manylinux2014_x86_64")


def write_wheel(
    folder: Path, name: str, version: str, files: dict[str, str], tag: str = "py3-none-any"
) -> None:
    """The least that pip takes for a wheel."""
    info = f"{name}-{version}.dist-info"
    content = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in content.items())
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as wheel:
        for path, text in content.items():
            wheel.writestr(path, text)
        wheel.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def command(folder: Path, wheels: Path, *arguments: str) -> list[str]:
    """Starts the course, or with "check" looks at it."""
    more = [] if arguments else ["--no-browser", "--wheels", str(wheels)]
    return [sys.executable, str(folder / "start.py"), *arguments, *more]


def environment(**changes: str | None) -> dict[str, str]:
    """A user's environment, in which the network is closed to every Python; None takes a variable out."""
    names = (
        outside() | {"PYTHONPATH": str(NO_NETWORK), "LOCAL_API_HOME": os.environ["LOCAL_API_HOME"]} | changes
    )
    return {name: value for name, value in names.items() if value is not None}


def run(folder: Path, wheels: Path, *arguments: str, **changes: str | None) -> subprocess.CompletedProcess:
    """What the command says and how it ends, in such an environment."""
    return subprocess.run(
        command(folder, wheels, *arguments),
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=900,
    )
