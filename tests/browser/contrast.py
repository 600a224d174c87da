"""How legible a text is in JupyterLab."""

from playwright.sync_api import Locator, Page

TEXT_COLOUR = """element => {
    const style = getComputedStyle(element);
    return (element.tagName === "text" ? style.fill : style.color).match(/[\\d.]+/g).slice(0, 3).map(Number);
}"""
GROUND = """() => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = getComputedStyle(document.documentElement).getPropertyValue("--jp-layout-color0");
    return getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number);
}"""


def contrast(page: Page, text: Locator) -> float:
    """The contrast of a text to the ground of the page, from 1 (the same colour) to 21 (black on white)."""
    colours = (text.evaluate(TEXT_COLOUR), page.evaluate(GROUND))
    darker, lighter = sorted(map(_luminance, colours))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: list[float]) -> float:
    """Relative luminance, WCAG 2.2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
