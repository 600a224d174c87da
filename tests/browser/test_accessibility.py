"""axe-core finds no serious or critical fault in what this course writes: lessons as committed, and live widgets."""

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from helpers import widgets
from tests.browser.conftest import RUN_SECONDS, Lab, await_in_page, change_theme, window
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
GRAVE = ("serious", "critical")
ALL_CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets.length"""
# Nothing moves: until an old colour has faded away nobody can say what is legible.
STILL = "*, ::before, ::after { transition: none !important; animation: none !important; }"
# axe-core leaves out what is scrolled out of sight, and JupyterLab does not make it. So all cells are made, what is
# folded is unfolded, and JupyterLab gets as high as the notebook in it. (The window does not: it would be painted.)
ALL_IN_SIGHT = """async () => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    notebook.notebookConfig = {...notebook.notebookConfig, windowingMode: "none"};
    notebook.update();
    while (notebook.widgets.some(cell => cell.isPlaceholder() || !cell.isAttached)) {
        await new Promise(done => setTimeout(done, 20));
    }
    await window.jupyterapp.commands.execute("notebook:expand-all-headings");
    for (const folded of notebook.node.querySelectorAll("details")) folded.open = true;
    const [first, last] = [notebook.widgets[0], notebook.widgets.at(-1)].map(cell => cell.node.getBoundingClientRect());
    const height = last.bottom - first.top + 500;
    for (const page of [document.documentElement, document.body, document.getElementById("main")]) {
        page.style.minHeight = `${height}px`;
    }
    window.dispatchEvent(new Event("resize"));
}"""
IS_ALL_IN_SIGHT = """() => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    const {top, bottom} = notebook.outerNode.getBoundingClientRect();
    const cells = [...notebook.node.querySelectorAll(".jp-Cell")].map(cell => cell.getBoundingClientRect());
    return cells.length === notebook.widgets.length && cells.every(
        cell => cell.height && cell.top >= top && cell.bottom <= bottom
    );
}"""
# Returns what is wrong, what axe-core cannot decide, the texts whose colours it has not looked at, and how many it has.
# It takes a text without a letter or digit for a picture, and what is disabled need not be legible.
LOOK = """async ([context, options]) => {
    const found = await axe.run(context, {...options, elementRef: true, selectors: false});
    const told = rules => rules.flatMap(({id, impact, nodes}) => nodes.map(({html, any}) => (
        {rule: id, impact, place: html.slice(0, 150), why: JSON.stringify(any.slice(0, 1)).slice(0, 300)}
    )));
    const looked = new Set([found.passes, found.violations, found.incomplete].flat()
        .filter(({id}) => id === "color-contrast").flatMap(({nodes}) => nodes.map(node => node.element)));
    const isText = node => node.nodeType === Node.TEXT_NODE && /[\\p{L}\\p{N}]/u.test(node.data);
    const isSeen = element => [...element.childNodes].some(isText)
        && element.checkVisibility({visibilityProperty: true, opacityProperty: true})
        && !element.closest(":disabled");
    const roots = document.querySelectorAll(context.include.flat().join());
    const texts = new Set([...roots].flatMap(root => [root, ...root.querySelectorAll("*")]).filter(isSeen));
    return {
        wrong: told(found.violations),
        undecided: told(found.incomplete),
        left_out: [...texts].filter(text => !looked.has(text)).map(text => text.outerHTML.slice(0, 150)),
        texts: texts.size,
    };
}"""


def faults(page: Page) -> list[str]:
    """What axe-core calls serious or critical, cannot decide or has not looked at, each with its place."""
    found = page.evaluate(LOOK, [OURS, LEFT_TO_JUPYTERLAB])
    assert found["texts"], "there is no text"
    return [
        *(
            "{rule} ({impact}): {place} {why}".format(**one)
            for one in found["wrong"]
            if one["impact"] in GRAVE
        ),
        *("{rule} undecided: {place} {why}".format(**one) for one in found["undecided"]),
        *(f"color-contrast has not looked at: {text}" for text in found["left_out"]),
    ]


def in_both_themes(page: Page) -> dict[str, list[str]]:
    """The faults of the open notebook under each theme that has any."""
    page.add_style_tag(content=STILL)
    page.evaluate(Axe().axe_script)
    found = {}
    is_now = page.locator("body").get_attribute("data-jp-theme-name")
    for theme in sorted(THEMES, key=lambda theme: theme != is_now):  # to change it takes longest
        change_theme(page, theme)
        await_in_page(page, ALL_IN_SIGHT, RUN_SECONDS)
        page.wait_for_function(IS_ALL_IN_SIGHT)
        if grave := faults(page):
            found[theme] = grave
    return found


@pytest.fixture(scope="module")
def reading_room(server, browser) -> Iterator[Lab]:
    """One window for all lessons: to load JupyterLab takes longer than to look at a lesson."""
    with window(server, browser) as lab:
        yield lab


@pytest.mark.parametrize("path", refresh.lessons(), ids=lambda path: path.stem)
def test_a_lesson_as_committed(reading_room: Lab, path, request, tmp_path):
    request.node.page = reading_room.page
    page = reading_room.show_notebook(f"notebooks/{path.name}").page
    assert page.evaluate(ALL_CELLS) == len(refresh.read(path).cells)
    assert in_both_themes(page) == {}
    assert reading_room.foreign == []


def test_every_widget_live(lab: Lab):
    notebook = lab.run(*WIDGETS.values())
    for number, cell in enumerate(notebook.cells(), start=1):
        assert cell["outputs"], f"{[*WIDGETS][number - 1]} shows nothing"
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
