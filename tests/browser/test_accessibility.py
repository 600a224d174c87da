"""axe-core finds no serious or critical fault in what this course writes: lessons as committed, and live widgets."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from helpers import widgets
from tests.browser.conftest import Lab, change_theme
from tests.browser.test_monitor import SETUP as JOB
from tests.browser.test_monitor import WATCH
from tests.notebooks import refresh

pytestmark = pytest.mark.slow

WIDGETS = {  # what a notebook must run to show each, live
    "quiz": 'from helpers.teach import quiz\nquiz("03")',
    "check": 'from helpers.teach import check\ncheck("02-memo", "")',
    "monitor": JOB.format(seconds=3, rows=12) + WATCH,
    "cost calculator": 'from helpers import widgets\nwidgets.cost_calculator("gpt-4.1-mini")',
    "token explorer": 'widgets.token_explorer("A sentence.", "gpt-3.5-turbo", "gpt-4.1-mini")',
    "token table": 'widgets.token_table({"English": "A sentence."}, "gpt-3.5-turbo")',
    "blind test": """from helpers import evaluate
widgets.blind_test(evaluate.recorded("base"), evaluate.recorded("tuned"), evaluate.questions("new"))""",
    "decision helper": "widgets.decision_helper()",
}
THEMES = ("JupyterLab Light", "JupyterLab Dark")
OURS = {
    "include": [[".jp-RenderedMarkdown"], [".jp-OutputArea-output"]],  # the rest of the page is JupyterLab's
    # ipywidgets gives the handle of a slider no name, and no way to give it one. The box beside each of our sliders
    # has the name and the same number.
    "exclude": [[".noUi-handle"]],
}
LEFT_TO_JUPYTERLAB = {"rules": {"link-in-text-block": {"enabled": False}}}  # how a link looks in Markdown
# axe-core leaves out the colours of what it takes for hidden: all that is in a <body> without height, as JupyterLab's
# is, and cells outside the window, which JupyterLab does not lay out.
ALL_IN_SIGHT = "body { height: 100vh; } .jp-Cell, .jp-Cell * { content-visibility: visible !important; }"
GRAVE = ("serious", "critical")
ALL_CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets.length"""
SHOW = """async () => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    for (let cell = 0; cell < notebook.widgets.length; cell++) {
        await notebook.scrollToItem(cell);
    }
}"""


def faults(page: Page) -> list[str]:
    """What axe-core calls serious or critical, each with its rule and the first place."""
    page.add_style_tag(content=ALL_IN_SIGHT)
    found = Axe().run(page, context=OURS, options=LEFT_TO_JUPYTERLAB).response
    seen = {rule["id"] for kind in ("passes", "violations", "incomplete") for rule in found[kind]}
    assert "color-contrast" in seen, "axe-core has looked at no text"
    return [
        f"{fault['id']} ({fault['impact']}): {fault['nodes'][0]['html'][:150]} "
        + json.dumps(fault["nodes"][0]["any"][:1])[:300]
        for fault in found["violations"]
        if fault["impact"] in GRAVE
    ]


def in_both_themes(page: Page) -> dict[str, list[str]]:
    found = {}
    for theme in THEMES:
        change_theme(page, theme)
        if grave := faults(page):
            found[theme] = grave
    return found


@pytest.mark.parametrize("path", refresh.lessons(), ids=lambda path: path.stem)
def test_a_lesson_as_committed(lab: Lab, path):
    page = lab.open_notebook(f"notebooks/{path.name}").page
    page.evaluate(SHOW)
    assert page.locator(".jp-Cell").count() == page.evaluate(ALL_CELLS)
    assert in_both_themes(page) == {}


def test_every_widget_live(lab: Lab):
    notebook = lab.run(*WIDGETS.values())
    for number, cell in enumerate(notebook.cells(), start=1):
        assert cell["outputs"], f"{[*WIDGETS][number - 1]} shows nothing"
    notebook.page.evaluate(SHOW)
    assert in_both_themes(notebook.page) == {}


def test_no_widget_is_left_out():
    source = "\n".join(WIDGETS.values())
    lacking = {name for name in widgets.__all__ if not re.search(rf"\b{name}\(", source)}
    assert lacking <= {"decide"}, lacking  # a function that returns text


def test_faults_are_found(lab: Lab):
    source = """from IPython.display import HTML
HTML('<p style="color: #999; background: #888">pale</p><input><button></button>')"""
    found = in_both_themes(lab.run(source).page)
    assert [*found] == [*THEMES]
    for faults_of_theme in found.values():
        assert {fault.split()[0] for fault in faults_of_theme} == {
            "color-contrast",
            "label",
            "button-name",
        }
