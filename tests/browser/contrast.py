"""How legible a text is in a page: its contrast to what is painted beneath it, by WCAG 2.2, 1.4.3."""

from dataclasses import dataclass

from playwright.sync_api import JSHandle, Locator, Page

ENOUGH, ENOUGH_FOR_LARGE = 4.5, 3.0
LARGE, LARGE_IF_BOLD, BOLD = 24, 18.66, 700  # px, px, font weight

# For each text: its place, and its colour, ground, size and weight, or the reason why it cannot be measured.
MEASURE = """elements => {
    const pen = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const SHAPES = ["rect", "circle", "ellipse", "path", "polygon", "polyline", "line"];
    const PICTURES = ["img", "image", "canvas", "video", "iframe", "object", "embed", "use"];
    const CLEAR = [0, 0, 0, 0];
    const refuse = why => { throw new Error(why); };

    const colour = (name, alpha = 1) => {
        if (name === "none") return CLEAR;
        if (!CSS.supports("color", name)) refuse(`nobody can say which colour ${name} is`);
        pen.clearRect(0, 0, 1, 1);
        pen.fillStyle = name;
        pen.fillRect(0, 0, 1, 1);
        const [red, green, blue, opacity] = pen.getImageData(0, 0, 1, 1).data;
        return [red, green, blue, opacity / 255 * alpha];
    };
    const over = (upper, lower) => {
        const alpha = upper[3] + lower[3] * (1 - upper[3]);
        const mixed = [0, 1, 2].map(i => (upper[i] * upper[3] + lower[i] * lower[3] * (1 - upper[3])) / (alpha || 1));
        return [...mixed, alpha];
    };
    const opacity = element => {
        let product = 1;
        for (let one = element; one; one = one.parentElement) {
            const style = getComputedStyle(one);
            if (style.filter !== "none" || style.mixBlendMode !== "normal") refuse("a filter changes its colours");
            product *= style.opacity;
        }
        return product;
    };
    const isDrawn = element => element instanceof SVGElement && element.localName !== "svg";
    const ink = element => {
        const style = getComputedStyle(element);
        return isDrawn(element)
            ? colour(style.fill, style.fillOpacity * opacity(element))
            : colour(style.color, opacity(element));
    };
    const paint = element => {
        const style = getComputedStyle(element);
        if (PICTURES.includes(element.localName)) return refuse("a picture lies there");
        if (isDrawn(element)) return SHAPES.includes(element.localName) ? ink(element) : CLEAR;
        const isArrow = element.localName === "select" && style.backgroundRepeat === "no-repeat";
        if (style.backgroundImage !== "none" && !isArrow) return refuse("a background image or gradient lies there");
        for (const part of ["::before", "::after"]) {
            const {content, position, backgroundColor, backgroundImage} = getComputedStyle(element, part);
            const isLaidOver = !["none", "normal"].includes(content) && ["absolute", "fixed"].includes(position);
            if (isLaidOver && (colour(backgroundColor)[3] || backgroundImage !== "none")) refuse(`${part} lies there`);
        }
        return colour(style.backgroundColor, opacity(element));
    };
    const firstText = element => {
        const nodes = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
        while (nodes.nextNode()) if (/[\\p{L}\\p{N}\\p{So}]/u.test(nodes.currentNode.data)) return nodes.currentNode;
        return refuse("it has no text");
    };
    const boxes = text => {
        const range = document.createRange();
        range.selectNodeContents(text);
        return range.getClientRects();
    };
    const middle = lines => {
        const line = [...lines].find(({width, height}) => width && height);
        return line ? [line.left + line.width / 2, line.top + line.height / 2] : refuse("it takes no place");
    };
    const measured = element => {
        const text = firstText(element);
        const list = text.parentElement.closest("select");  // the options have no place of their own
        const owner = list ?? text.parentElement;
        owner.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
        const there = document.elementsFromPoint(...middle(list ? list.getClientRects() : boxes(text)));
        const place = there.indexOf(owner);
        if (place < 0) refuse("it is not seen at its place: cut off or out of sight");
        if (there.slice(0, place).some(above => paint(above)[3])) refuse("something lies over it");
        let ground = isDrawn(owner) ? CLEAR : paint(owner);
        for (const below of there.slice(place + 1)) {
            if (ground[3] > 0.999) break;
            ground = over(ground, paint(below));
        }
        ground = over(ground, [255, 255, 255, 1]);
        const style = getComputedStyle(owner);
        const scale = isDrawn(owner) ? Math.abs(owner.getScreenCTM().d) : 1;
        const size = parseFloat(style.fontSize) * scale;
        return {colour: over(ink(owner), ground), ground, size, weight: +style.fontWeight};
    };

    // What takes no clicks would not be found at its place.
    const all = document.head.appendChild(document.createElement("style"));
    all.textContent = "* { pointer-events: auto !important; }";
    const found = elements.map(element => {
        const place = element.outerHTML.slice(0, 150);
        try {
            return {place, ...measured(element)};
        } catch (error) {
            return {place, why: error.message};
        }
    });
    all.remove();
    return found;
}"""


@dataclass(frozen=True)
class Legibility:
    """The contrast of one text, from 1 (the same colour) to 21 (black on white), or ``why`` there is none."""

    place: str
    contrast: float = 0.0
    enough: float = ENOUGH
    why: str = ""

    def fault(self) -> str:
        """What is wrong, with its place; empty if the text is legible."""
        if self.why:
            return f"contrast cannot be measured: {self.why}: {self.place}"
        if self.contrast < self.enough:
            return f"contrast of {self.contrast:.2f}, less than {self.enough}: {self.place}"
        return ""


def measure(page: Page, texts: JSHandle | list[JSHandle]) -> list[Legibility]:
    """The legibility of elements with text, in order. Taken in the middle of the first line of each."""
    return [_legibility(**found) for found in page.evaluate(MEASURE, texts)]


def contrast(text: Locator) -> float:
    """The contrast of the first text in an element. AssertionError if it cannot be measured."""
    (found,) = measure(text.page, [text.element_handle()])
    assert not found.why, found.fault()
    return found.contrast


def _legibility(place, why="", colour=(), ground=(), size=0.0, weight=0) -> Legibility:
    if why:
        return Legibility(place, why=why)
    darker, lighter = sorted(map(_luminance, (colour[:3], ground[:3])))
    is_large = size >= LARGE or (size >= LARGE_IF_BOLD and weight >= BOLD)
    return Legibility(place, (lighter + 0.05) / (darker + 0.05), ENOUGH_FOR_LARGE if is_large else ENOUGH)


def _luminance(colour: list[float]) -> float:
    """Relative luminance, WCAG 2.2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
