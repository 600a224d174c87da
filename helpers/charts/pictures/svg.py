"""Shapes and words of the course's pictures, as SVG text. All lie on a white ground, for light and dark themes."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from ..chart import INK, TRAINING

WHITE, PALE, SIGN = "#FFFFFF", "#F1F3F5", "#FFE08A"
HERE = TRAINING  # the ground of what is marked; white words on it have a contrast of 5.2
LINE = 19  # from one line of words to the next


@dataclass(frozen=True)
class Picture:
    """An SVG and its alt text: what it shows, in words, for all who do not see it."""

    svg: str
    alt: str


def page(width: int, height: int, title: str, alt: str, body: str) -> Picture:
    """The whole picture on its white ground with round corners."""
    return Picture(
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="15" fill="{INK}">\n'
        f"<title>{html.escape(title)}</title>\n<desc>{html.escape(alt)}</desc>\n"
        f'<rect width="{width}" height="{height}" rx="10" fill="{WHITE}"/>\n{body}</svg>\n',
        alt,
    )


def words(
    x: float, y: float, lines: str | Sequence[str], *, size=15, bold=False, fill=INK, middle=False, end=False
) -> str:
    """One or more lines of text; ``y`` is the foot of the first. They begin, have their middle or end at ``x``."""
    anchor = "middle" if middle else "end" if end else "start"
    style = f'font-size="{size}" text-anchor="{anchor}" fill="{fill}"' + (
        ' font-weight="bold"' if bold else ""
    )
    rows = [lines] if isinstance(lines, str) else lines
    return "".join(
        f'<text x="{x:g}" y="{y + LINE * number:g}" {style}>{html.escape(row)}</text>\n'
        for number, row in enumerate(rows)
    )


def box(
    x: float, y: float, width: float, height: float, *, fill=WHITE, edge=INK, stroke=1.5, dash="", radius=8
) -> str:
    """A rectangle with round corners."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}" fill="{fill}" '
        f'stroke="{edge}" stroke-width="{stroke}"{dashes}/>\n'
    )


def path(points: Sequence[tuple[float, float]], *, color=INK, stroke=1.5, dash="") -> str:
    """A line through points."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    places = " ".join(f"{x:.4g},{y:.4g}" for x, y in points)
    return f'<polyline points="{places}" fill="none" stroke="{color}" stroke-width="{stroke}"{dashes}/>\n'


def arrow(*points: tuple[float, float]) -> str:
    """A line through points with a head at its end. Its last part must be level or upright."""
    (from_x, from_y), (x, y) = points[-2:]
    across, down = (x > from_x) - (x < from_x), (y > from_y) - (y < from_y)
    left = (x - 8 * across - 5 * down, y - 8 * down - 5 * across)
    right = (x - 8 * across + 5 * down, y - 8 * down + 5 * across)
    head = " ".join(f"{a:g},{b:g}" for a, b in ((x, y), left, right))
    return path([*points[:-1], (x - 6 * across, y - 6 * down)]) + f'<polygon points="{head}" fill="{INK}"/>\n'
