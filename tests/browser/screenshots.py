"""Takes the pictures of lessons that the README shows: JupyterLab in Chromium, a lesson scrolled to one of its cells.

python -m tests.browser.screenshots            writes notebooks/pictures/lesson_00.png and lesson_04.png

What is seen are the outputs that the lessons have stored; nothing is run. Take them again when these lessons change.
"""

import io
import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests import environment
from tests.browser import conftest
from tests.notebooks import refresh

# name of the picture -> the lesson, and words of the cell at the upper edge
SHOTS = {
    "lesson_00": ("00_start_here.ipynb", "# Start here"),
    "lesson_04": ("04_create_job.ipynb", '"Twenty epochs'),
}
SIZE = {"width": 1200, "height": 900}
COLOURS = 128
SETTLE_MS = 1500  # until pictures and mathematics below the fold have their place
SCROLL = """async place => {
    const {shell} = window.jupyterapp;
    for (const other of [...shell.widgets("main")]) if (other !== shell.currentWidget) other.dispose();
    const {content} = shell.currentWidget;
    content.activeCellIndex = place;
    await content.scrollToItem(place, "start");
    content.widgets[place].node.scrollIntoView({block: "start"});
}"""


def main() -> None:
    """Takes all pictures."""
    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, conftest.CHROMIUM_NAMES)))
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        environment.enter(Path(work) / "state")
        with conftest.serving(Path(work)) as server:
            browser = playwright.chromium.launch(executable_path=chromium, args=conftest.CHROMIUM_FLAGS)
            for name, (lesson, words) in SHOTS.items():
                lab = conftest.Windows(server, browser).lend()
                lab.page.set_viewport_size(SIZE)
                lab.open_notebook(f"notebooks/{lesson}")
                _take(lab.page, _place(lesson, words), refresh.NOTEBOOKS / "pictures" / f"{name}.png")


def _place(lesson: str, words: str) -> int:
    """The number of the first cell with these words. Raises ValueError if there is none."""
    cells = refresh.read(refresh.NOTEBOOKS / lesson).cells
    for place, cell in enumerate(cells):
        if words in cell.source:
            return place
    raise ValueError(f"No cell of {lesson} has the words {words!r}. Change SHOTS.")


def _take(page: Page, place: int, path: Path) -> None:
    """The window as it is when this cell lies at its upper edge, in few colours."""
    if page.locator(".jp-SideBar.jp-mod-left .lm-mod-current").count():
        page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
    for _ in range(2):  # what comes into sight takes its place, and moves the rest
        conftest.await_in_page(page, SCROLL, conftest.PATIENCE, place)
        page.wait_for_timeout(SETTLE_MS)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS)
    picture.save(path, format="png", optimize=True)
    print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
