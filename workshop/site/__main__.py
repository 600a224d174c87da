"""Builds the site of the course into handouts/site/ and looks at every link in it. It reaches no other machine.

python start.py site          installs what it needs first
python -m workshop.site DIR   into another folder

The pages are the notebooks with their outputs, as they stand in them, and the Markdown files of the course; beside
these a glossary and the claims of the article. Whatever a page links to in the course lies in the site, too.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from sphinx.cmd.build import build_main

from workshop.site import FOLDER, links, pages

CONFIGURATION = Path(__file__).parent


def main(arguments: list[str] | None = None) -> int:
    """Builds the site. Returns 0, or 1 if Sphinx warns or a link leads nowhere."""
    parser = argparse.ArgumentParser(prog="python start.py site", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="where the site goes")
    folder = parser.parse_args(arguments).folder.resolve()
    with tempfile.TemporaryDirectory() as work:
        source = Path(work, "source")
        pages.write(source)
        # -n: complain of references that lead nowhere; -W: a warning is an error; -E: nothing from an earlier run
        options = ["-q", "-n", "-W", "--keep-going", "-E", "-b", "html", "-c", str(CONFIGURATION)]
        if build_main([*options, "-d", str(Path(work, "doctrees")), str(source), str(folder)]):
            return 1
    found = links.problems(folder)
    for problem in found:
        print(problem, file=sys.stderr)
    if not found:
        print(f"The site is in {folder}. Open index.html there, or put the folder on a server.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
