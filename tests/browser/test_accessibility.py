"""axe-core finds no serious or critical fault in what this course writes: lessons as committed, and live widgets.

How legible a text is, axe-core cannot always say, and of a text in an SVG it never does: there we measure ourselves.
"""

import re

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from helpers import widgets
from tests.browser import test_decision_helper, test_token_explorer
from tests.browser.conftest import RUN_SECONDS, THEMES, Lab, await_in_page, change_theme
from tests.browser.contrast import contrast, measure
from tests.browser.kinds import kinds, one_of_each
from tests.browser.test_monitor import SETUP as JOB
from tests.browser.test_monitor import WATCH, status
from tests.notebooks import refresh

pytestmark = pytest.mark.slow

WIDGETS = {  # what a notebook must run to show each, live
    "quiz": 'from helpers.teach import quiz\nquiz("03")',
    "check": 'from helpers.teach import check\ncheck("02-memo", "")',
    "monitor": JOB.format(seconds=3, rows=12) + WATCH,
    "cost calculator": 'from helpers import widgets\nwidgets.cost_calculator("gpt-4.1-mini")',
    "token explorer": test_token_explorer.SOURCE,
    "token table": 'widgets.token_table({"English": "A sentence."}, "gpt-3.5-turbo")',
    "blind test": """from helpers import evaluate
widgets.blind_test(evaluate.recorded("base"), evaluate.recorded("tuned"), evaluate.questions("new"))""",
    "decision helper": test_decision_helper.SOURCE.format(f"**{test_decision_helper.LINKED}"),
}
# What has a contrast of 4.5 or more in each theme, though large text needs only 3 (WCAG 2.2, 1.4.3).
PARTS = {
    ".quiz": ("p strong", ".widget-radio-box label", "[role=status] strong"),
    ".job-monitor": ("p[role=status]", "svg text", "caption", "time", "code"),
    ".cost-calculator": ("p[role=status]", "svg text", "caption", "td", "th", "label:visible"),
    ".token-explorer": ("p[role=status]", "li.str", "li.bytes", "caption", "td", "th", "label:visible"),
    ".blind-test": ("[role=status] strong", ".answers p", "button"),
    ".decision-helper": ("p[role=status]", "li", "a", "caption", "td", "th", "label:visible"),
}
BOXES = (".token-explorer li.str", ".token-explorer li.bytes")  # their edges take the colour of their text
SAME_COLOUR = "e => getComputedStyle(e).borderTopColor === getComputedStyle(e).color"
WHOLE = {  # what is not cut off
    ".blind-test button": "e => e.scrollWidth <= e.clientWidth + 1",
    ".quiz .widget-radio-box label": (
        "e => e.scrollWidth <= e.clientWidth + 1 && e.scrollHeight <= e.clientHeight + 1"
    ),
}
OURS = {
    "include": [[".jp-RenderedMarkdown"], [".jp-OutputArea-output"]],  # the rest of the page is JupyterLab's
    # ipywidgets gives the handle of a slider no name, and no way to give it one. The box beside each of our sliders
    # has the name and the same number.
    # The colours of highlighted code in Markdown are those of JupyterLab's theme, as links are. We choose none there.
    "exclude": [[".noUi-handle"], [".jp-RenderedMarkdown pre code span"]],
}
LEFT_TO_JUPYTERLAB = {"rules": {"link-in-text-block": {"enabled": False}}}  # how a link looks in Markdown
COLOURS_ONLY = {"runOnly": ["color-contrast"]}  # all that another theme changes
GRAVE = ("serious", "critical")
ALL_CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets.length"""
# Nothing moves: until an old colour has faded away nobody can say what is legible.
STILL = "*, ::before, ::after { transition: none !important; animation: none !important; }"
# axe-core leaves out what is scrolled out of sight, and JupyterLab does not make it. So all cells are made, what is
# folded is unfolded, and JupyterLab gets as high as the notebook in it. (The window does not: it would be painted.)
UNFOLD = """async () => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    notebook.notebookConfig = {...notebook.notebookConfig, windowingMode: "none"};
    notebook.update();
    while (notebook.widgets.some(cell => cell.isPlaceholder() || !cell.isAttached)) {
        await new Promise(done => setTimeout(done, 20));
    }
    await window.jupyterapp.commands.execute("notebook:expand-all-headings");
    for (const folded of notebook.node.querySelectorAll("details")) folded.open = true;
}"""
ALL_IS_IN_SIGHT = """() => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    const cells = [...notebook.node.querySelectorAll(".jp-Cell")].map(cell => cell.getBoundingClientRect());
    const height = `${cells.at(-1).bottom - cells[0].top + 500}px`;
    for (const page of [document.documentElement, document.body, document.getElementById("main")]) {
        page.style.minHeight = height;
    }
    window.dispatchEvent(new Event("resize"));
    window.scrollTo(0, 0);
    notebook.outerNode.scrollTop = 0;
    const {top, bottom} = notebook.outerNode.getBoundingClientRect();
    return cells.length === notebook.widgets.length && cells.every(
        cell => cell.height && cell.top >= top && cell.bottom <= bottom
    );
}"""
REST = """() => {
    for (const page of [document.documentElement, document.body, document.getElementById("main")]) {
        page.style.minHeight = "";
    }
    window.dispatchEvent(new Event("resize"));
}"""
# Finds what is wrong, what axe-core cannot decide, and the texts whose legibility it has left open or not looked at.
# It takes a text without a letter or digit for a picture, and what is disabled need not be legible. Each comes with the
# number of its cell, from 0.
LOOK = """async ([context, options]) => {
    const found = await axe.run(context, {...options, elementRef: true, selectors: false});
    const cells = [...document.querySelectorAll(".jp-Cell")];
    const cellOf = node => cells.indexOf(node.closest(".jp-Cell"));
    const told = rules => rules.flatMap(({id, impact, nodes}) => nodes.map(({html, any, element}) => ({
        rule: id, impact, place: html.slice(0, 150), why: JSON.stringify(any.slice(0, 1)).slice(0, 300),
        cell: cellOf(element),
    })));
    const ofContrast = rules => rules.filter(({id}) => id === "color-contrast")
        .flatMap(({nodes}) => nodes.map(node => node.element));
    const decided = new Set(ofContrast([...found.passes, ...found.violations]));
    const isText = node => node.nodeType === Node.TEXT_NODE && /[\\p{L}\\p{N}]/u.test(node.data);
    const isSeen = element => [...element.childNodes].some(isText)
        && element.checkVisibility({visibilityProperty: true, opacityProperty: true})
        && !element.closest([":disabled", ...context.exclude.flat()].join());
    const roots = document.querySelectorAll(context.include.flat().join());
    const texts = new Set([...roots].flatMap(root => [root, ...root.querySelectorAll("*")]).filter(isSeen)
        .map(text => text.closest("select") ?? text));
    const open = [...new Set([...ofContrast(found.incomplete), ...texts])].filter(text => !decided.has(text));
    return {
        wrong: told(found.violations),
        undecided: told(found.incomplete.filter(({id}) => id !== "color-contrast")),
        open,
        cellsOfOpen: open.map(cellOf),
        texts: texts.size,
    };
}"""


def faults(page: Page, places: list[str], options: dict = LEFT_TO_JUPYTERLAB) -> list[str]:
    """What axe-core calls serious or critical or cannot decide, and what cannot be read, each with its place.

    ``places`` says of each cell where it comes from.
    """
    looked = page.evaluate_handle(LOOK, [OURS, options])
    found = looked.evaluate(
        "({wrong, undecided, cellsOfOpen, texts}) => ({wrong, undecided, cellsOfOpen, texts})"
    )
    assert found["texts"], "there is no text"
    told = [
        ("{rule} ({impact}): {place} {why}".format(**one), one["cell"])
        for one in found["wrong"]
        if one["impact"] in GRAVE
    ]
    told += [("{rule} undecided: {place} {why}".format(**one), one["cell"]) for one in found["undecided"]]
    measured = measure(page, looked.get_property("open"))
    told += [(text.fault(), cell) for text, cell in zip(measured, found["cellsOfOpen"], strict=True)]
    return [f"{fault} [{places[cell]}]" for fault, cell in told if fault]


def in_both_themes(page: Page, places: list[str] | None = None) -> dict[str, list[str]]:
    """The faults of the open notebook under each theme that has any. All rules are looked at in the first."""
    places = places or [f"cell {number}" for number in range(1, page.evaluate(ALL_CELLS) + 1)]
    still = page.add_style_tag(content=STILL)
    page.evaluate(Axe().axe_script)
    found = {}
    is_now = page.locator("body").get_attribute("data-jp-theme-name")
    for theme in sorted(THEMES, key=lambda theme: theme != is_now):  # to change it takes longest
        change_theme(page, theme)
        await_in_page(page, UNFOLD, RUN_SECONDS)
        page.wait_for_function(ALL_IS_IN_SIGHT, polling=50)
        if grave := faults(page, places, LEFT_TO_JUPYTERLAB if theme == is_now else COLOURS_ONLY):
            found[theme] = grave
    still.evaluate("style => style.remove()")
    page.evaluate(REST)
    return found


@pytest.mark.endurance(sample=1, soak=1 + len(refresh.notebooks()))
def test_notebooks_as_committed(lab: Lab, count, figures):
    """First one that holds each kind of element of all notebooks once; then, in the soak tier, each of them whole."""
    cells = 0
    for number in range(count):
        path = refresh.notebooks()[number - 1]
        if number:
            notebook = refresh.read(path)
            places = [f"{path.name}, cell {cell}" for cell in range(1, len(notebook.cells) + 1)]
        else:
            path = path.with_name("one_of_each.ipynb")
            notebook, places = one_of_each(refresh.notebooks())
            nbformat.write(notebook, lab.server.folder / "notebooks" / path.name)
        page = lab.show_notebook(f"notebooks/{path.name}").page
        assert page.evaluate(ALL_CELLS) == len(places), path.name
        assert in_both_themes(page, places) == {}
        cells += len(places)
    figures(f"{count} notebooks, {cells} cells in two themes")


def test_a_cell_is_taken_for_what_it_alone_shows(tmp_path):
    """A second table, or another text, is nothing new; another colour, class, parent or lacking name is."""
    known = ["A **text**.", '<p style="color: red">red</p>', '<img alt="a"><svg><rect fill="red"/></svg>']
    new = [
        "- **text**",
        '<p style="color: blue">',
        '<p class="a">',
        '<img alt="">',
        '<svg><rect fill="blue"/></svg>',
    ]
    texts = [*known, "Another **one**.", '<p style="color: red">more</p>', *new]
    cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
    outputs = [nbformat.v4.new_output("stream", text=text) for text in ("a", "b", "\x1b[31ma", "a" * 200)]
    cells += [nbformat.v4.new_code_cell("x", outputs=[output]) for output in outputs]
    path = tmp_path / "a.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    notebook, places = one_of_each([path])
    taken = [1, 2, 3, 6, 7, 8, 9, 10, 11, 13, 14]
    assert places == [f"a.ipynb, cell {number}" for number in taken]
    assert set().union(*map(kinds, notebook.cells)) == set().union(*map(kinds, cells))


def test_every_widget_live(lab: Lab):
    notebook = lab.run(*WIDGETS.values())
    for number, cell in enumerate(notebook.cells(), start=1):
        assert cell["outputs"], f"{[*WIDGETS][number - 1]} shows nothing"
    page = notebook.page
    page.get_by_role("button", name="Check my answers").click()
    expect(page.locator(".quiz [role=status]").first).to_contain_text("No answer yet.")
    status(page, "succeeded")  # from now on the monitor stands still
    assert in_both_themes(page) == {}
    for theme in THEMES:
        change_theme(page, theme)
        for widget, parts in PARTS.items():
            for part in parts:
                assert contrast(page.locator(f"{widget} {part}").first) >= 4.5, f"{widget} {part} in {theme}"
        for box in BOXES:
            assert page.locator(box).first.evaluate(SAME_COLOUR), f"{box} in {theme}"
        for place, fits in WHOLE.items():
            found = page.locator(place).all()
            assert found and all(one.evaluate(fits) for one in found), f"{place} is cut off in {theme}"


def test_no_widget_is_left_out():
    source = "\n".join(WIDGETS.values())
    lacking = {name for name in widgets.__all__ if not re.search(rf"\b{name}\(", source)}
    assert lacking <= {"decide", "rules_table"}, lacking  # functions that return texts and tables


PALE, LEGIBLE = "color: #999; background: #888", "color: #fff; background: #222"
ON_DARK = """<svg width="200" height="30" role="img" aria-label="{title}">
<rect width="200" height="30" fill="#333"/><text x="5" y="20" fill="{fill}">{title}</text></svg>"""
COVERED = """<div style="position: relative"><p>covered by a box</p>
<div style="position: absolute; inset: 0; background: #888"></div></div>"""
PLANTED = {  # what is wrong, and the place that the message names
    f'<p style="{PALE}">pale</p>': "color-contrast (serious): <p style",
    "<input>": "label (critical): <input>",
    "<button></button>": "button-name (critical): <button>",
    f'<b style="{PALE}">8</b>': "contrast of 1.24, less than 4.5: <b style",
    ON_DARK.format(title="dark", fill="#444"): "contrast of 1.30, less than 4.5: <text",
    '<i style="background: linear-gradient(#888, #777)">on a gradient</i>': (
        "contrast cannot be measured: a background image or gradient lies there: <i style"
    ),
    COVERED: "contrast cannot be measured: something lies over it: <p>covered by a box",
}
LEGIBLE_BUT_UNDECIDED = [f'<p style="{LEGIBLE}">8</p>', ON_DARK.format(title="white", fill="#fff")]


def test_faults_are_found(lab: Lab):
    """And a text is none that axe-core cannot decide, but that is legible."""
    source = f"from IPython.display import HTML\nHTML({''.join([*PLANTED, *LEGIBLE_BUT_UNDECIDED])!r})"
    first, second = in_both_themes(lab.run(source).page).values()
    colours = [wanted for wanted in PLANTED.values() if "contrast" in wanted]
    for wanted, faults_of_theme in ([*PLANTED.values()], first), (colours, second):
        for one in wanted:
            assert [fault for fault in faults_of_theme if fault.startswith(one)], (one, faults_of_theme)
        assert len(faults_of_theme) == len(wanted), faults_of_theme
        assert all(fault.endswith("[cell 1]") for fault in faults_of_theme), faults_of_theme
