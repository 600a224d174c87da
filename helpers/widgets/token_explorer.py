"""The token explorer: the pieces into which a model cuts a text, how many they are, and what they cost."""

import html
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ipywidgets import HTML, Dropdown, HBox, Textarea, VBox

from .. import costs, tokens
from ..charts.tokens import visible as shown
from ..language import said
from .style import style

SHOWN_PIECES = 300
LEGEND = (
    "Each box is one token, in two colours by turns. · is a space, ↵ a line break. A dashed box with [numbers] holds "
    "bytes that are only a part of a character. With the keyboard: the space bar opens a list of models, Enter takes "
    "one."
)
STYLE = style(
    "token-explorer",
    """.NAME ol { list-style: none; display: flex; flex-wrap: wrap; gap: 3px; margin: 0; padding: 0; }
.NAME li { border: 1px solid currentColor; border-radius: 3px; padding: 0 3px;
  font-family: var(--jp-code-font-family, monospace); white-space: pre-wrap; overflow-wrap: anywhere; }
.NAME li:nth-child(odd) { background: rgba(0, 114, 178, 0.18); }
.NAME li:nth-child(even) { background: rgba(230, 159, 0, 0.22); }
.NAME li.bytes { border: 2px dashed currentColor; }
.NAME .pair { display: flex; flex-wrap: wrap; gap: 4px 24px; }
.NAME .pair > div { flex: 1 1 18em; min-width: 0; }
.NAME caption { font-weight: bold; }
""",
)


def token_explorer(text: str, first_model: str, second_model: str) -> "TokenExplorer":
    """A widget: type a text and see its tokens, their number and their price as input of two models.

    Raises ValueError if no price is known for one of the models.
    """
    return TokenExplorer(text, first_model, second_model)


def token_table(texts: Mapping[str, str], *models: str) -> "TokenTable":
    """What the explorer shows, as a plain table: one row a text and model. The keys of ``texts`` name them.

    Raises ValueError if no price is known for one of the models.
    """
    return TokenTable([read(text, model, name) for name, text in texts.items() for model in models])


@dataclass(frozen=True)
class Reading:
    """A text as one model reads it."""

    name: str
    model: str
    pieces: list[str | bytes]
    exact: bool
    cost: costs.CallCost  # of one call with this text alone as input

    def counted(self) -> str:
        """The number of tokens, in words."""
        about = "" if self.exact else "about "
        return f"{about}{len(self.pieces):,} token{'' if len(self.pieces) == 1 else 's'}"


def read(text: str, model: str, name: str = "") -> Reading:
    """Cuts a text into the tokens of a model and prices them."""
    with warnings.catch_warnings():  # an estimate is labelled where it is shown
        warnings.simplefilter("ignore", tokens.TokenEstimateWarning)
        pieces = tokens.pieces(text, model)
    return Reading(name, model, pieces, tokens.is_exact(model), costs.call(model, len(pieces)))


class TokenExplorer(VBox):
    """The widget. Everything below its three controls follows them at once."""

    def __init__(self, text: str, first_model: str, second_model: str):
        self._text = Textarea(
            text,
            description=said("Text"),
            rows=3,
            layout={"width": "auto"},
            style={"description_width": "initial"},
        )
        countable = [model for model in costs.models() if tokens.is_exact(model)]
        names = list(dict.fromkeys([first_model, second_model, *countable]))
        self._models = [
            Dropdown(options=names, value=model, description=label, style={"description_width": "initial"})
            for label, model in ((said("First model"), first_model), (said("Second model"), second_model))
        ]
        self._shown = HTML()
        super().__init__([HTML(STYLE), self._text, HBox(self._models), self._shown])
        self.add_class("token-explorer")
        for control in (self._text, *self._models):
            control.observe(self._show, "value")
        self._show()

    def __repr__(self) -> str:
        """The same for every text: it is what a notebook stores and what is shown where widgets are not."""
        return said("Token explorer (live while the notebook runs)")

    def _show(self, _=None) -> None:
        readings = [read(self._text.value, model.value) for model in self._models]
        counts = "; ".join(f"{reading.model}: {reading.counted()}" for reading in readings)
        boxes = "".join(f"<div>{_boxes(reading)}</div>" for reading in readings)
        self._shown.value = (
            f'<p role="status" aria-live="polite"><strong>{html.escape(counts)}</strong></p>'
            f'<div class="pair">{boxes}</div><p>{said(LEGEND)}</p>'
            f"{_table(readings, ('model', 'tokens', 'a call', '1,000 calls'))}{_prices(readings)}"
        )


@dataclass(frozen=True, repr=False)
class TokenTable:
    """Readings of several texts, one row each."""

    readings: list[Reading]

    def __repr__(self) -> str:
        return "\n".join(
            "{text}, {model}: {tokens}; as input {a call} a call, {1,000 calls} for 1,000 calls: {pieces}".format(
                **_cells(reading)
            )
            for reading in self.readings
        )

    def _repr_html_(self) -> str:
        return _table(self.readings, list(_cells(self.readings[0]))) + _prices(self.readings)


def _boxes(reading: Reading) -> str:
    items = "".join(
        f'<li class="{type(piece).__name__}">{html.escape(shown(piece))}</li>'
        for piece in reading.pieces[:SHOWN_PIECES]
    )
    name = html.escape(reading.model)
    estimate = "" if reading.exact else " (an estimate: four bytes each)"
    return f'<p>Tokens of {name}{estimate}</p><ol role="list" aria-label="Tokens of {name}">{items}</ol>' + (
        f"<p>{left_out}</p>" if (left_out := _left_out(reading)) else ""
    )


def _left_out(reading: Reading) -> str:
    total = len(reading.pieces)
    return f"Only the first {SHOWN_PIECES:,} of {total:,} tokens are shown." if total > SHOWN_PIECES else ""


def _cells(reading: Reading) -> dict[str, str]:
    pieces = " | ".join(map(shown, reading.pieces[:SHOWN_PIECES]))
    return {
        "text": reading.name,
        "model": reading.model,
        "tokens": reading.counted(),
        "a call": costs.dollars(reading.cost.usd),
        "1,000 calls": costs.dollars(1_000 * reading.cost.usd),
        "pieces": " ".join(filter(None, (pieces, _left_out(reading)))),
    }


def _table(readings: Sequence[Reading], columns: Sequence[str]) -> str:
    left = 'style="text-align:left"'
    rows = [
        "".join(f"<td {left}>{html.escape(cells[column])}</td>" for column in columns)
        for cells in map(_cells, readings)
    ]
    head = "".join(f'<th scope="col" {left}>{column.capitalize()}</th>' for column in columns)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    caption = f"<caption {left}>Tokens, and their price as input</caption>"
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _prices(readings: Sequence[Reading]) -> str:
    """The price of each model, with its days and its source."""
    by_model = {reading.model: reading.cost.lines() for reading in readings}
    return "".join(
        f"<p>{html.escape(model)}: {html.escape('. '.join(value for _, value in lines))}</p>"
        for model, lines in by_model.items()
    )
