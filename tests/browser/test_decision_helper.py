"""The decision helper, driven in a real browser."""

from playwright.sync_api import Page, expect

from helpers import decide as room
from tests.browser.test_token_explorer import tab_to
from tests.unit.test_decide import AIRPORT, CASES

SOURCE = "from helpers import widgets\n\nwidgets.decision_helper({})"
LINKED = next(
    case["answers"] for case in CASES if case["name"] == "House rules of a hostel"
)  # by its sources
LABELS = {name: question.text for name, question in room.questions().items()}


def answer(page: Page, question: str, option: str) -> None:
    """Goes to the question with Tab, opens its options, moves to one and takes it: with the keyboard."""
    tab_to(page, question)
    control = page.get_by_label(question, exact=True)
    names = control.evaluate("element => [...element.options].map(option => option.label)")
    names = [name.replace("\N{NO-BREAK SPACE}", " ") for name in names]  # ipywidgets writes them so
    page.keyboard.press("Space")
    for _ in range(names.index(option)):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(control.locator("option:checked")).to_have_text(option)
    expect(control).to_be_focused()


def questions_can_be_read_whole(page: Page) -> None:
    for text in LABELS.values():
        label = page.locator(".decision-helper label").filter(has_text=text)
        expect(label).to_be_visible()
        assert label.evaluate(
            "e => e.scrollWidth <= e.clientWidth + 1 && e.scrollHeight <= e.clientHeight + 1"
        ), text


def test_with_the_keyboard_only(lab, server):
    page = lab.run(SOURCE.format("")).page
    questions_can_be_read_whole(page)
    shown = page.locator(".decision-helper")
    expect(shown.get_by_role("status").first).to_have_text(room.decide({}).title())
    for name, option in AIRPORT.items():
        answer(page, LABELS[name], option)
    found = room.decide(AIRPORT)
    expect(shown.get_by_role("status").first).to_have_text(found.title())
    for text in (found.rule.because, *found.rests_on()):
        expect(shown.get_by_text(text, exact=True)).to_be_visible()
    expect(shown.locator("tbody th")).to_have_text([said for said, _ in found.changes()])
    expect(shown.locator("tbody td")).to_have_text([answer for _, answer in found.changes()])
    button = page.get_by_role("button", name="Save a page to print")
    for _ in range(20):
        page.keyboard.press("Tab")
        if button.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(shown.get_by_role("status").last).to_contain_text("Written to my/decision_helper.html")
    assert (server.folder / "my" / room.PAGE).read_text(encoding="utf-8") == found.page()
