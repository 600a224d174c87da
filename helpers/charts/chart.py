"""What all charts of the course share: one style, and a picture with its data and a text that says what it shows.

One colour means one thing in every chart: blue is what is measured on training examples, orange on validation rows;
green is a tuned model, grey one that is not; dark ink is all else. Blue and orange are of the palette by Okabe and
Ito (2008), made for colour-blind readers; green is a darker one of theirs. Marks differ in shape or stroke too, and
are labelled. PNGs have a white ground, so that they are legible in dark themes; SVGs take their text colour from the
page.
"""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Only whoever draws needs them. They take a second to import, and every lesson imports this module.
    import pandas
    from matplotlib.figure import Figure

TRAINING, VALIDATION = "#0072B2", "#D55E00"
TUNED, UNTUNED = "#00805A", "#757575"
INK, GRID = "#222222", "#DDDDDD"


@dataclass(frozen=True, repr=False)
class Chart:
    """A figure, the DataFrame it was drawn from, and its alt text. Draws itself at the end of a cell."""

    figure: Figure
    data: pandas.DataFrame
    alt: str

    def __repr__(self) -> str:
        return self.alt

    def png(self) -> bytes:
        """The figure as a PNG of 64 colours, a third of the size. The same data gives the same bytes here."""
        from PIL import Image

        self.figure.draw_without_rendering()  # the layout needs one round before it comes to rest
        full, small = io.BytesIO(), io.BytesIO()
        self.figure.savefig(full, format="png")
        Image.open(full).convert("RGB").quantize(64).save(small, format="png", optimize=True)
        return small.getvalue()

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        """JupyterLab and nbconvert show the HTML, the only form that keeps the alt text there."""
        picture = base64.b64encode(self.png()).decode()
        tag = f'<img src="data:image/png;base64,{picture}" alt="{html.escape(self.alt)}">'
        return {"text/plain": self.alt, "text/html": tag, "image/png": picture}


def new_figure(height: float = 3.8) -> Figure:
    """An empty figure in the size of the course; ``height`` in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(7.5, height), dpi=100, facecolor="white", layout="constrained")


def axes_of(
    figure: Figure, title: str, x_name: str = "Training step", y_name: str = "Loss", *, panel=(1, 1, 1)
):
    """Axes in the style of the course; ``panel``: rows, columns and number (from 1) if there are several."""
    axes = figure.add_subplot(*panel)
    axes.set_title(title, loc="left", color=INK, fontsize=12)
    axes.set_xlabel(x_name, color=INK)
    axes.set_ylabel(y_name, color=INK)
    axes.tick_params(colors=INK)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return axes
