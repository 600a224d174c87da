"""python -m helpers.local_api: the API alone, for curl and for clients in any language."""

import argparse
import sys

from .app import Mode, create_app
from .server import run_forever
from .store import Store, default_folder

DEFAULT_PORT = 8765


def main(arguments: list[str] | None = None) -> int:
    """Serves until Ctrl+C. Returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.where:
        print(default_folder())
        return 0
    if options.conformance:
        from .conformance import serve

        return serve(options.port)
    store = Store()
    try:
        run_forever(create_app(store, Mode(by_hand=True)), options.port, lambda url: _announce(url, store))
    except RuntimeError:
        print(
            f"Port {options.port} cannot be used; another program may have it. Try --port 0.", file=sys.stderr
        )
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m helpers.local_api", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="0 takes a free one (default: %(default)s)"
    )
    parser.add_argument("--where", action="store_true", help="print the state folder and end")
    parser.add_argument(
        "--conformance",
        action="store_true",
        help="a seeded server on a temporary state folder, for the openai package's own tests",
    )
    return parser


def _announce(url: str, store: Store) -> None:
    print(
        f"The mock API answers at {url} (simulated models, this computer only). Stop it with Ctrl+C.\n"
        'In another terminal (bash; in PowerShell write $env:NAME = "..." in place of export):\n'
        f"  export OPENAI_BASE_URL={url} OPENAI_API_KEY=sk-local\n"
        f"State: {store.folder}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
