"""The quiz, driven in a real browser."""

import tomllib

from playwright.sync_api import Page, expect

from helpers import teach
from tests.browser.conftest import THEMES, change_theme
from tests.browser.contrast import contrast

NAME = "03"
QUESTIONS = tomllib.loads((teach.DATA / "quizzes" / f"{NAME}.toml").read_text(encoding="utf-8"))["question"]
ANSWERS = ("Right. It is 4.", "Not yet. 5 is too much.")
RIGHT = [[o.get("right", False) for o in question["options"]].index(True) for question in QUESTIONS]


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


def test_with_the_keyboard_only(lab):
    """What was right and why is read under each question, and how many at the end."""
    page = lab.run(f'from helpers.teach import quiz\n\nquiz("{NAME}")').page
    expect(page.get_by_role("button", name="Check my answers")).to_be_visible()
    *said, end = [page.locator(".quiz [role=status]").nth(place) for place in range(len(QUESTIONS) + 1)]
    wrong = [(place + 1) % len(q["options"]) for place, q in zip(RIGHT, QUESTIONS, strict=True)]
    answer_all(page, wrong)
    expect(end).to_contain_text(f"0 of {len(QUESTIONS)} right")
    for question, place, status in zip(QUESTIONS, wrong, said, strict=True):
        expect(status).to_contain_text("✗ Not yet. " + question["options"][place]["why"])
        expect(status).to_contain_text(f'Read again under "{question["heading"]}"')
    answer_all(page, RIGHT)
    expect(end).to_contain_text(f"{len(QUESTIONS)} of {len(QUESTIONS)} right")
    for question, place, status in zip(QUESTIONS, RIGHT, said, strict=True):
        expect(status).to_contain_text("✓ Right. " + question["options"][place]["why"])
    assert are_in_this_order(
        page, [part for q, s in zip(QUESTIONS, said, strict=True) for part in (q["ask"], s)]
    )
    # What was said of another choice goes away.
    page.get_by_role("radio", name=QUESTIONS[0]["options"][RIGHT[0] - 1]["text"], exact=True).check()
    expect(said[0]).to_have_text("")


def are_in_this_order(page: Page, parts: list) -> bool:
    """Whether texts and places follow each other from the top of the page to its foot."""
    found = [page.locator(".quiz").get_by_text(part) if isinstance(part, str) else part for part in parts]
    tops = [part.bounding_box()["y"] for part in found]
    return tops == sorted(tops)


def test_a_check_is_said_in_words_with_a_sign_and_a_colour(lab):
    source = "from helpers.teach import Said\nfrom IPython.display import display\ndisplay(Said({!r}))"
    page = lab.run(*map(source.format, ANSWERS)).page
    for place, text in enumerate(ANSWERS):
        status = page.locator(".jp-OutputArea [role=status]").nth(place)
        expect(status).to_contain_text(f"{'✓' if place == 0 else '✗'} {text}")
    for theme in THEMES:
        change_theme(page, theme)
        edges = set()
        for place, _ in enumerate(ANSWERS):
            status = page.locator(".jp-OutputArea [role=status]").nth(place)
            assert contrast(status.locator("strong")) >= 4.5, theme
            edges.add(status.locator("div").evaluate("box => getComputedStyle(box).borderLeftColor"))
        assert len(edges) == 2
