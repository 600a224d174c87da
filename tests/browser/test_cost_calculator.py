"""The cost calculator, driven in a real browser."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from helpers.costs import BreakEven
from helpers.widgets.cost_calculator import GUESSED, NUMBERS, sums
from tests.browser.test_token_explorer import choose, tab_to

MODEL, OTHER = "gpt-4.1-mini", "gpt-4o-mini"
SOURCE = f'from helpers.widgets import cost_calculator\ncost_calculator("{MODEL}")'
START = {label: value for label, (value, *_) in NUMBERS.items()}


def name(label: str) -> str:
    return f"{label} (a guess)" if label in GUESSED else label


@pytest.fixture
def calculate(lab):
    """A function: runs a notebook with a calculator, returns the page."""

    def open_and_run() -> Page:
        return lab.run(SOURCE).page

    return open_and_run


def expect_shown(page: Page, found: BreakEven) -> None:
    """Expects sentence, table and alt text of the chart to be those that the room computes."""
    shown = page.locator(".cost-calculator")
    expect(shown.get_by_role("status")).to_have_text(f"{found.title()}.")
    expect(shown.locator("tbody th")).to_have_text([label for label, _ in found.lines()])
    expect(shown.locator("tbody td")).to_have_text([value for _, value in found.lines()])
    crossing = (
        "The lines do not cross."
        if found.saved <= 0
        else f"They cross at {found.calls_a_month:,} calls a month"
    )
    expect(shown.get_by_role("img")).to_have_attribute("aria-label", re.compile(re.escape(crossing)))


def type_number(page: Page, label: str, number: int) -> None:
    """Goes to the box with Tab, types a number and presses Enter."""
    tab_to(page, name(label))
    page.keyboard.press("Control+a")
    page.keyboard.type(str(number))
    page.keyboard.press("Enter")


def slider(page: Page, label: str) -> Locator:
    """The slider beside the box of this label."""
    box = page.get_by_label(name(label), exact=True)
    return page.locator(".widget-hbox").filter(has=box).get_by_role("slider")


def test_with_the_keyboard_only(calculate):
    page = calculate()
    expect_shown(page, sums(MODEL, MODEL, START))
    numbers = START | {"Calls a month": 2_500, "People: days a round": 2, "People: dollars a day": 300}
    tab_to(page, "Model to tune")
    choose(page, OTHER)
    tab_to(page, "Compare with")
    choose(page, "gpt-5.6-luna")
    expect_shown(page, sums(OTHER, "gpt-5.6-luna", START))
    for label in ("Calls a month", "People: days a round", "People: dollars a day"):
        type_number(page, label, numbers[label])
    expect_shown(page, sums(OTHER, "gpt-5.6-luna", numbers))
    type_number(page, "Prompt tokens saved", 5_000)
    expect(page.locator(".cost-calculator").get_by_role("alert")).to_contain_text(
        "More prompt tokens are saved"
    )
    type_number(page, "Prompt tokens saved", 400)
    expect_shown(page, sums(OTHER, "gpt-5.6-luna", numbers | {"Prompt tokens saved": 400}))


def test_box_and_slider_follow_each_other(calculate):
    page = calculate()
    for label, (value, low, high) in NUMBERS.items():
        handle, box = slider(page, label), page.get_by_label(name(label), exact=True)
        expect(handle).to_have_count(1)
        expect(handle).to_have_attribute("aria-valuemin", f"{low}.0")
        expect(handle).to_have_attribute("aria-valuemax", f"{high}.0")
        handle.focus()
        page.keyboard.press("ArrowRight")
        expect(box).not_to_have_value(str(value))
    box = page.get_by_label("Epochs", exact=True)
    box.fill("7")
    box.press("Enter")
    expect(slider(page, "Epochs")).to_have_attribute("aria-valuenow", "7.0")


def test_two_prices_in_a_cell_are_not_taken_for_a_formula(lab):
    """JupyterLab sets what stands between two dollar signs as mathematics."""
    page = lab.page
    sources = [
        f'from helpers import costs\ncosts.call("{MODEL}", 1_000, 30)',
        'from IPython.display import HTML\nHTML("<p>a $x^2$ b</p>")',
    ]
    notebook = lab.run(*sources)
    expect(notebook.output(2).locator("mjx-container")).to_have_count(1)  # so the typesetter is done
    expect(notebook.output(1).locator("caption")).to_contain_text("1,000 such calls: $")
    assert page.locator("mjx-container").count() == 1
