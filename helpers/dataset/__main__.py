"""python -m helpers.dataset FILE: checks a training file. Exit status 0: no error; 1: errors; 2: not readable."""

import argparse
import json
import sys

from .. import command_line
from .checker import LARGE, METHOD_FORMATS, check


def main(arguments: list[str] | None = None) -> int:
    """Prints the report and returns the exit status."""
    parser = argparse.ArgumentParser(
        prog=command_line("helpers.dataset"), description="Check a training file."
    )
    parser.add_argument("file", help="training file, JSONL")
    parser.add_argument("--model", help="the model to be tuned: decides tokens and the longest row")
    parser.add_argument("--method", choices=METHOD_FORMATS, help="how it will be tuned")
    parser.add_argument(
        "--against", metavar="VALID", help="validation file; training rows in it are reported"
    )
    parser.add_argument("--near-duplicates", action="store_true", default=None, help="also above 50,000 rows")
    parser.add_argument("--no-content", action="store_true", help="only shapes and token counts")
    parser.add_argument("--workers", type=int, help="processes for a large file; default: one a core")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(arguments)
    try:
        report = check(
            options.file,
            model=options.model,
            method=options.method,
            against=options.against,
            content=not options.no_content,
            near_duplicates=options.near_duplicates,
            workers=options.workers,
            progress=_show_progress,
        )
    except OSError as error:
        print(f"Cannot read it: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    text = json.dumps(report.as_dict(), ensure_ascii=False, indent=2) if options.json else str(report)
    sys.stdout.buffer.write(text.encode("utf-8", "replace") + b"\n")  # any console, any character of the data
    return 1 if report.errors else 0


def _show_progress(done: int, size: int) -> None:
    if size >= LARGE:
        end = "\n" if done == size else ""
        print(f"\r{done / 1e6:,.0f} of {size / 1e6:,.0f} MB checked", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
