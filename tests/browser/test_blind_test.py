"""The blind test, driven in a real browser."""

import json

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_quiz import tab_to

SOURCE = """from helpers import evaluate, widgets

rows = evaluate.questions("valid")[:{asked}]
names = ("few_shot", "tuned")
few_shot, tuned = (evaluate.evaluate(evaluate.recorded(name), rows) for name in names)
widgets.blind_test(few_shot, tuned, names=names, seed={seed})"""
LEFT, SAME, RIGHT = "Left is better", "No difference", "Right is better"


@pytest.fixture
def open_test(lab):
    """A function: runs a notebook with a blind test of so many questions, returns the page."""

    def open_and_run(asked: int, seed: int) -> Page:
        page = lab.run(SOURCE.format(asked=asked, seed=seed)).page
        expect(page.locator(".blind-test").get_by_role("button", name=LEFT)).to_be_visible()
        return page

    return open_and_run


def press(page: Page, name: str) -> None:
    """With Tab and the space bar; a button that has the focus keeps it, so it can be pressed again at once."""
    button = page.locator(".blind-test").get_by_role("button", name=name)
    if not button.evaluate("element => element === document.activeElement"):
        tab_to(page, button)
    page.keyboard.press("Space")


def test_with_the_keyboard_only(open_test, server):
    """Vote, undo, go on after a restart, see the result; the file holds the votes and nothing else changes it."""
    page = open_test(asked=4, seed=1)
    status = page.locator(".blind-test [role=status]")
    expect(status).to_contain_text("Question 1 of 4: How often can I ride from one pier to the other?")
    expect(status).not_to_contain_text("tuned")
    press(page, LEFT)
    expect(status).to_contain_text("Your vote: left.")
    expect(status).to_contain_text("Question 2 of 4")
    press(page, RIGHT)
    expect(status).to_contain_text("Question 3 of 4")
    press(page, "Undo")
    expect(status).to_contain_text("The last vote is taken back.")
    expect(status).to_contain_text("Question 2 of 4")
    press(page, SAME)
    press(page, SAME)
    expect(status).to_contain_text("Question 4 of 4")
    page = open_test(asked=4, seed=2)  # a new kernel: the saved votes and sides count, not the new seed
    status = page.locator(".blind-test [role=status]")
    expect(status).to_contain_text("Question 4 of 4")
    press(page, SAME)
    expect(status).to_contain_text("All 4 questions have a vote.")
    expect(status).to_contain_text("Result: no preference seen between few_shot and tuned")
    expect(status).to_contain_text("no difference 3")
    (kept,) = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in (server.folder / "my").glob("blind_test_*.json")
        if len(json.loads(path.read_text(encoding="utf-8"))["votes"]) == 4
    ]
    assert kept["seed"] == 1
    assert list(kept["votes"].values()) == ["left", "no difference", "no difference", "no difference"]
