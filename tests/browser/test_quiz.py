"""The quiz, driven in a real browser."""

import tomllib

import pytest
from playwright.sync_api import Page, expect

from helpers import teach
from tests.browser.conftest import THEMES, change_theme
from tests.browser.contrast import contrast

NAME = "03"
QUESTIONS = tomllib.loads((teach.DATA / "quizzes" / f"{NAME}.toml").read_text(encoding="utf-8"))["question"]
RIGHT = [[o.get("right", False) for o in question["options"]].index(True) for question in QUESTIONS]


@pytest.fixture
def open_quiz(lab):
    """A function: runs a notebook with the quiz, returns the page."""

    def open_and_run() -> Page:
        page = lab.run(f'from helpers.teach import quiz\n\nquiz("{NAME}")').page
        expect(page.get_by_role("button", name="Check my answers")).to_be_visible()
        return page

    return open_and_run


def tab_to(page: Page, control) -> None:
    """Presses Tab until this control has the focus."""
    for _ in range(150):
        page.keyboard.press("Tab")
        if control.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError("Tab does not lead to the control")


def answer_all(page: Page, places: list[int]) -> None:
    """With Tab, the space bar and Enter only."""
    for question, place in zip(QUESTIONS, places, strict=True):
        option = page.get_by_role("radio", name=question["options"][place]["text"], exact=True)
        tab_to(page, option)
        page.keyboard.press("Space")
        expect(option).to_be_checked()
    tab_to(page, page.get_by_role("button", name="Check my answers"))
    page.keyboard.press("Enter")


def test_with_the_keyboard_only(open_quiz):
    page = open_quiz()
    status = page.locator(".quiz [role=status]")
    wrong = [(place + 1) % len(q["options"]) for place, q in zip(RIGHT, QUESTIONS, strict=True)]
    answer_all(page, wrong)
    expect(status).to_contain_text(f"0 of {len(QUESTIONS)} right")
    for question, place in zip(QUESTIONS, wrong, strict=True):
        expect(status).to_contain_text(question["options"][place]["why"])
        expect(status).to_contain_text(f'Read again under "{question["heading"]}"')
    answer_all(page, RIGHT)
    expect(status).to_contain_text(f"{len(QUESTIONS)} of {len(QUESTIONS)} right")
    for question, place in zip(QUESTIONS, RIGHT, strict=True):
        expect(status).to_contain_text("Right. " + question["options"][place]["why"])


@pytest.mark.slow
def test_legible_in_both_themes(open_quiz):
    """WCAG 2.2, 1.4.3: text has a contrast of 4.5 to its ground or more. No option is cut off."""
    page = open_quiz()
    page.get_by_role("button", name="Check my answers").click()
    expect(page.locator(".quiz [role=status]")).to_contain_text("No answer yet.")
    for theme in THEMES:
        change_theme(page, theme)
        for part in ("p strong >> nth=0", ".widget-radio-box label >> nth=0", "[role=status] p >> nth=1"):
            assert contrast(page.locator(f".quiz {part}")) >= 4.5, f"{part} in {theme}"
        for label in page.locator(".quiz .widget-radio-box label").all():
            assert label.evaluate(
                "e => e.scrollWidth <= e.clientWidth + 1 && e.scrollHeight <= e.clientHeight + 1"
            )
