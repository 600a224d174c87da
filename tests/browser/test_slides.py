"""Slides in a browser: keys show every part of them, nothing is asked of a network, and they are legible."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.notebooks import refresh
from workshop import __main__ as kit
from workshop import guide

pytestmark = pytest.mark.slow

GRAVE = ("serious", "critical")
AT_THE_END = "innerHeight + scrollY >= document.documentElement.scrollHeight - 5"


@pytest.fixture
def page(browser, tmp_path):
    """The slides of lesson 01, and what the page has asked for."""
    (lesson,) = refresh.NOTEBOOKS.glob("01_*.ipynb")
    slides = kit.make(lesson, tmp_path)[0]
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page = context.new_page()
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(slides.as_uri())
    yield page
    context.close()


def test_keys_go_through_all_slides_and_leave_nothing_out(page):
    places = [0]
    while not page.evaluate(AT_THE_END):
        page.keyboard.press("ArrowRight")
        places.append(page.evaluate("scrollY"))
    steps = [after - before for before, after in zip(places, places[1:], strict=False)]
    assert min(steps) > 0 and max(steps) <= 768 + 9  # nine: the margin below
    assert len(places) >= page.evaluate("slides.length") > 20
    for _ in places:
        page.keyboard.press("ArrowLeft")
    assert page.evaluate("scrollY") == 0


def test_n_shows_the_questions_of_the_guide(page):
    assert page.evaluate("document.querySelectorAll('.notes[open]').length") == 0
    page.keyboard.press("n")
    assert page.evaluate("document.querySelectorAll('.notes[open]').length") == len(guide.questions("01"))
    page.keyboard.press("n")
    assert page.evaluate("document.querySelectorAll('.notes[open]').length") == 0


def test_nothing_is_asked_of_a_network_and_a_telephone_shows_them(page):
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not [url for url in page.asked if not url.startswith(("file:", "data:"))]


def test_no_grave_fault_of_accessibility(page):
    page.keyboard.press("n")
    found = Axe().run(page).response["violations"]
    grave = {fault["id"]: fault["nodes"][0]["html"] for fault in found if fault["impact"] in GRAVE}
    assert not grave
