"""Tokens: bars of the most likely next ones, and the pieces of an example, with those that are trained."""

from __future__ import annotations

import html
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import tokens as counting
from .chart import INK, TRAINING, TUNED, UNTUNED, Chart, axes_of, new_figure

if TYPE_CHECKING:
    # To import it takes half a second, and every lesson imports this module.
    import pandas

MARKS = {" ": "·", "\n": "↵", "\r": "␍", "\t": "⇥"}
LOOKS = (  # of the first model and of the second: empty bars with a thick edge, and full ones
    {"facecolor": "white", "edgecolor": UNTUNED, "linewidth": 2},
    {"facecolor": TUNED, "edgecolor": TUNED, "linewidth": 2},
)


def next_tokens(tokens: pandas.DataFrame, title: str) -> Chart:
    """The most likely next tokens of one or two models, a panel each; the bars of the first are empty.

    ``tokens`` has the columns model, rank (from 1), token and probability (0 to 1). Models keep the order in which
    they come, so give the untuned one first. A · stands for a space and a ↵ for a line break. Raises ValueError for
    more than two models.
    """
    models = list(dict.fromkeys(tokens["model"]))
    if not 1 <= len(models) <= len(LOOKS):
        raise ValueError(f"One or two models can be drawn, not {len(models)}.")
    table = tokens.sort_values("rank", kind="stable").reset_index(drop=True)
    table["token"] = table["token"].map(visible)
    most, highest = int(table["model"].value_counts().max()), 100 * table["probability"].max()
    figure = new_figure(1.3 + 0.3 * most)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=12)
    said = []
    for number, (model, look) in enumerate(zip(models, LOOKS, strict=False), start=1):
        rows = table[table["model"] == model]
        names, shares = list(rows["token"]), list(rows["probability"])
        axes = axes_of(figure, model, "Probability, %", "Next token", panel=(1, len(models), number))
        axes.barh(range(len(rows)), [100 * share for share in shares], 0.65, **look)
        for place, share in enumerate(shares):
            end = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 9}
            axes.annotate(f"{share:.1%}", (100 * share, place), color=INK, **end)
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(most - 0.4, -0.6)
        axes.set_xlim(0, 1.25 * highest)  # both panels end where the data end, with room for the last number
        axes.grid(visible=False, axis="y")
        bars = ", ".join(f"{name} {share:.1%}" for name, share in zip(names, shares, strict=True))
        said.append(f"{model}: {bars}.")
    return Chart(figure, table, f"Bar charts: {title}. {' '.join(said)}")


def visible(token: str | bytes) -> str:
    """A token as it is shown: invisible characters get a mark, bytes become hexadecimal numbers."""
    if isinstance(token, bytes):
        return f"[{token.hex(' ').upper()}]"
    return "".join(MARKS.get(c) or (c if c.isprintable() else f"U+{ord(c):04X}") for c in token)


# --- the tokens of an example ----------------------------------------------------------------------------

GROUNDS = ("#E3F0FA", "#FDF1D0")  # of a token and of the next; dark ink on them has a contrast above 13
LEGEND = (
    "Each box is one token; · is a space, ↵ a line break. "
    "Bold and underlined: trained, the loss counts these tokens. The others are only read."
)


def trained_tokens(messages: Sequence[dict], model: str) -> TrainedTokens:
    """The tokens of an example's messages as boxes in two colours, those that are trained bold and underlined.

    ``messages`` is the list of one line of a training file. Trained are the assistant's answers, but for those with
    ``"weight": 0``. The marks that a service puts around each message are left out. Where the vocabulary of
    ``model`` is not known, the boxes are an estimate, and the text says so.
    """
    import pandas

    with warnings.catch_warnings():  # an estimate is labelled where it is shown
        warnings.simplefilter("ignore", counting.TokenEstimateWarning)
        rows = [
            {
                "message": number,
                "role": message["role"],
                "token": visible(piece),
                "trained": _is_trained(message),
            }
            for number, message in enumerate(messages, start=1)
            for piece in counting.pieces(_text(message), model)
        ]
    table = pandas.DataFrame(rows, columns=["message", "role", "token", "trained"])
    return TrainedTokens(table, model, counting.is_exact(model))


def _text(message: dict) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""


def _is_trained(message: dict) -> bool:
    return message["role"] == "assistant" and message.get("weight", 1) != 0


@dataclass(frozen=True, repr=False)
class TrainedTokens:
    """The tokens of an example: a table (message, role, token, trained), a picture in HTML, and a text that says it."""

    data: pandas.DataFrame
    model: str
    is_exact: bool

    @property
    def alt(self) -> str:
        """How many tokens each message has, and which are trained."""
        parts = [
            f"{role}, {len(rows)} tokens, {'trained' if trained else 'only read'}: {' | '.join(rows['token'])}"
            for (role, trained), rows in self._messages()
        ]
        return f"Tokens of an example as {self._reader()} reads it. {'; '.join(parts)}. {self.counted()}"

    def counted(self) -> str:
        """The share of the tokens that is trained, in a sentence."""
        return f"{int(self.data['trained'].sum())} of {len(self.data)} tokens are trained."

    def __repr__(self) -> str:
        return self.alt

    def _reader(self) -> str:
        return self.model if self.is_exact else f"{self.model} (an estimate: four bytes each)"

    def _messages(self):
        for _, rows in self.data.groupby("message"):
            yield (rows["role"].iloc[0], bool(rows["trained"].iloc[0])), rows

    def _repr_html_(self) -> str:
        """On a white ground of its own, so that light and dark themes show the same."""
        messages = "".join(
            f'<div style="margin:6px 0 2px"><b>{html.escape(role)}</b> ({"trained" if trained else "only read"})</div>'
            f'<div style="display:flex;flex-wrap:wrap;gap:4px 2px">{_token_boxes(rows)}</div>'
            for (role, trained), rows in self._messages()
        )
        return (
            f'<div role="img" aria-label="{html.escape(self.alt)}" style="background:#fff;color:{INK};'
            'border-radius:8px;padding:8px 12px;max-width:56em;font-size:14px">'
            f"{messages}<p style='margin:10px 0 0'>{LEGEND} {self.counted()} Cut as {html.escape(self._reader())} "
            "does it.</p></div>"
        )


def _token_boxes(rows: pandas.DataFrame) -> str:
    return "".join(
        f'<span style="background:{GROUNDS[number % 2]};padding:1px 3px;border-radius:3px;font-family:monospace;'
        f'white-space:pre{_trained_look(trained)}">{html.escape(token)}</span>'
        for number, (token, trained) in enumerate(zip(rows["token"], rows["trained"], strict=True))
    )


def _trained_look(trained: bool) -> str:
    return f";font-weight:bold;border-bottom:3px solid {TRAINING}" if trained else ""
