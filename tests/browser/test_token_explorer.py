"""The token explorer, driven in a real browser."""

import pytest
from playwright.sync_api import Page, expect

from helpers import costs, tokens
from helpers.widgets.token_explorer import shown

OLD, NEW = "gpt-3.5-turbo", "gpt-4.1-mini"
START = "可以带猪肉"
TYPED = "May I add dd <b>pork</b> & jam, for 2 aunts? Да."  # with the letters of JupyterLab's shortcuts
SOURCE = f'from helpers.widgets import token_explorer\ntoken_explorer("{START}", "{OLD}", "{NEW}")'


@pytest.fixture
def explore(lab):
    """A function: runs a notebook with an explorer, returns the page."""

    def open_and_run() -> Page:
        return lab.run(SOURCE).page

    return open_and_run


def expect_shown(page: Page, text: str, *models: str) -> None:
    """Expects pieces, counts, prices and their sources to be those that the rooms compute."""
    for number, model in enumerate(models):
        pieces = tokens.pieces(text, model)
        boxes = page.get_by_role("list", name=f"Tokens of {model}", exact=True).get_by_role("listitem")
        expect(boxes).to_have_text([shown(piece) for piece in pieces])
        usd = costs.call(model, len(pieces)).usd
        row = page.locator(".token-explorer tbody tr").nth(number).locator("td")
        expect(row).to_have_text(
            [model, f"{len(pieces)} tokens", costs.dollars(usd), costs.dollars(1_000 * usd)]
        )
        price = costs.price(model, "base_input")
        for words in (price.amount(), price.days(), price.source, str(price.source_date)):
            expect(page.locator(".token-explorer p").filter(has_text=f"{model}: $")).to_contain_text(words)
    expect(page.get_by_role("status").filter(has_text=models[0])).to_contain_text(
        f"{models[0]}: {tokens.count(text, models[0])} tokens"
    )


def tab_to(page: Page, label: str) -> None:
    """Presses Tab until the control of this label has the focus."""
    control = page.get_by_label(label, exact=True)
    for _ in range(100):
        page.keyboard.press("Tab")
        if control.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"Tab does not lead to {label!r}")


def choose(page: Page, model: str) -> None:
    """Opens the focused dropdown, moves to a model and takes it."""
    options = page.evaluate("() => [...document.activeElement.options].map(option => option.label)")
    current = page.evaluate("() => document.activeElement.selectedIndex")
    steps = options.index(model) - current
    page.keyboard.press("Space")  # while it is closed, JupyterLab keeps the arrow keys to itself
    for _ in range(abs(steps)):
        page.keyboard.press("ArrowDown" if steps > 0 else "ArrowUp")
    page.keyboard.press("Enter")


def test_with_the_keyboard_only(explore):
    page = explore()
    expect_shown(page, START, OLD, NEW)
    whole = page.locator(".token-explorer li.bytes").first
    assert whole.evaluate("element => getComputedStyle(element).borderTopStyle") == "dashed"
    tab_to(page, "Text")
    page.keyboard.press("Control+a")
    page.keyboard.type(TYPED)
    expect(page.get_by_label("Text", exact=True)).to_have_value(TYPED)
    expect_shown(page, TYPED, OLD, NEW)
    tab_to(page, "First model")
    choose(page, "gpt-4o")
    expect_shown(page, TYPED, "gpt-4o", NEW)
    tab_to(page, "Second model")
    choose(page, "gpt-4")
    expect_shown(page, TYPED, "gpt-4o", "gpt-4")
