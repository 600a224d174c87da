"""python -m helpers.local_api: the API alone, for curl and for clients in any language.

python -m helpers.local_api export MODEL --to DIR: a model that was trained here, for other programs.
python -m helpers.local_api export-job JOB_ID --to DIR: a job as a TRL script, for where one computer is too small.
python -m helpers.local_api restore NAME: takes back a state that was set aside.
python -m helpers.local_api reset: deletes all files, jobs and models, after asking (--yes: without asking).
"""

import argparse
import shlex
import sys
from pathlib import Path

from .. import command_line
from . import database, folder, loopback
from .app import Mode, create_app
from .server import LOOPBACK, run_forever
from .store import Store

DEFAULT_PORT = 8765
EVERYWHERE = "0.0.0.0"
PROGRAM = command_line("helpers.local_api")


def main(arguments: list[str] | None = None) -> int:
    """Serves until Ctrl+C, or does what the command says. Returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except folder.StateFolderError as error:
        print(error, file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    place = folder.default_folder()
    if options.command == "restore":
        print(*folder.restore(place, options.name, database.mend), sep="\n")
        return 0
    if options.command == "reset":
        return folder.reset(place, lambda: options.yes or _answer_is_yes())
    if options.command:
        return _export(options.command, options.what, options.to)
    if options.where:
        folder.look(place)
        print(place)
        return 0
    if options.conformance:
        from .conformance import serve

        return serve(options.port)
    store = Store()
    try:
        run_forever(
            create_app(store, Mode(by_hand=True, guarded=True)),
            options.port,
            lambda url: _announce(url, store),
            options.host,
        )
    except RuntimeError:
        print(
            f"Port {options.port} cannot be used; another program may have it. Try --port 0.", file=sys.stderr
        )
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=__doc__.replace("python -m helpers.local_api", PROGRAM),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="0 takes a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--host",
        choices=(LOOPBACK, EVERYWHERE),
        default=LOOPBACK,
        help=f"{EVERYWHERE}: only in a container, whose port is published on this computer alone",
    )
    commands = parser.add_subparsers(dest="command")
    for command, what, example in (
        ("export", "a trained model", "ft:smollm2-135m-instruct:..."),
        ("export-job", "a job, to be run with TRL,", "ftjob-..."),
    ):
        export = commands.add_parser(command, help=f"write {what} to a folder")
        export.add_argument("what", metavar="MODEL" if command == "export" else "JOB_ID", help=example)
        export.add_argument("--to", type=Path, required=True, metavar="DIR")
    restore = commands.add_parser("restore", help="take back a state that was set aside")
    restore.add_argument("name", metavar="NAME", help="set-aside-...")
    reset = commands.add_parser("reset", help="delete all files, jobs and models")
    reset.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--where", action="store_true", help="print the state folder and end; say so if it cannot be used"
    )
    parser.add_argument(
        "--conformance",
        action="store_true",
        help="a seeded server on a temporary state folder, for the openai package's own tests",
    )
    return parser


def _answer_is_yes() -> bool:
    try:
        return input("Delete them? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # nobody there to answer
        return False


def _export(command: str, what: str, target: Path) -> int:
    from .engines import trained

    if problem := trained.problem():
        print(problem, file=sys.stderr)
        return 1
    from .engines.trained.export import NO_GGUF, ExportError, export
    from .engines.trained.export_job import export_job

    try:
        if command == "export":
            written = export(Store(), what, target)
            print(*written, sep="\n")
            print("Serve merged or model.gguf, the whole model. What adapter needs, says its README.md.")
            if not any(path.suffix == ".gguf" for path in written):
                print(NO_GGUF)
        else:
            folder = export_job(Store(), what, target)
            print(f"{folder}\nHow to start it: {folder / 'README.md'}")
    except ExportError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _announce(url: str, store: Store) -> None:
    print(
        f"The mock API answers at {url} (simulated models, this computer only). Stop it with Ctrl+C.\n"
        'In another terminal (bash; in PowerShell write $env:NAME = "..." in place of export):\n'
        f"  export {_assignments(url)}",
    )
    for name, reason in loopback.unusable().items():
        print(f"  unset {name}  # it {reason}")
    print(f"State: {store.folder}", flush=True)


def _assignments(url: str) -> str:
    """All that a client needs to reach this server, as a shell reads it."""
    needed = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-local"} | loopback.around_proxies()
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in needed.items())


if __name__ == "__main__":
    sys.exit(main())
