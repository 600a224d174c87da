"""The site of the course, built by Sphinx: all links lead somewhere, and a telephone shows it, without JavaScript."""

import json
import subprocess
import sys

import pytest

from tests import environment
from tests.notebooks import refresh

pytestmark = pytest.mark.slow

PHONE = {"width": 390, "height": 844}
LOOKED_AT = [
    "index.html",
    "notebooks/01_decide.html",
    "notebooks/ru/04_create_job.html",
    "glossary.html",
    "claims.html",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site. To build it fails if Sphinx warns, or if a link in it leads nowhere."""
    folder = tmp_path_factory.mktemp("site")
    run = subprocess.run(
        [sys.executable, "-m", "workshop.site", str(folder)],
        cwd=environment.ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    return folder


@pytest.fixture
def page(browser):
    """A page of a telephone's width that runs no script."""
    context = browser.new_context(viewport=PHONE, java_script_enabled=False)
    page = context.new_page()
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    yield page
    context.close()


def test_every_notebook_is_a_page_with_its_texts_and_outputs(site):
    for path in [*refresh.notebooks(), *refresh.translated()]:
        made = site / path.relative_to(environment.ROOT).with_suffix(".html")
        html = made.read_text(encoding="utf-8")
        cells = refresh.code_cells(refresh.read(path))
        assert html.count('class="cell_output docutils container"') == sum(
            bool(cell.outputs) for cell in cells
        )
        assert f'<html lang="{"ru" if path.parent.name == "ru" else "en"}"' in html


def test_the_search_knows_the_words_of_both_languages(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    words = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))["terms"]
    assert {"overfit", "переобучение"} <= set(words)  # English words by their stem


@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_page_fits_a_telephone_and_asks_nothing_of_a_network(name, site, page):
    page.goto((site / name).as_uri())
    width = page.locator("article.bd-article").evaluate("article => article.getBoundingClientRect().right")
    assert 0 < width <= PHONE["width"]
    assert page.locator("article.bd-article h1").is_visible()
    assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
