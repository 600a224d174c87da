"""The blind test: two answers without their names, sides shuffled, and a vote. ``ballot`` counts and keeps it."""

import html
from collections.abc import Sequence
from pathlib import Path

from ipywidgets import HTML, Button, HBox, VBox

from . import ballot
from .style import style

LEGEND = (
    "With the keyboard: Tab goes from button to button, the space bar presses one. "
    "The votes are saved after each question: close the notebook and go on another day."
)
STYLE = style(
    "blind-test",
    """.NAME .answers { display: flex; flex-wrap: wrap; gap: 12px; }
.NAME .answers > div { flex: 1 1 16em; border: 1px solid currentColor; border-radius: 3px; padding: 4px 8px; }
.NAME .answers p { white-space: pre-wrap; }
.NAME caption { text-align: left; font-weight: bold; }
.NAME th, .NAME td { text-align: left; vertical-align: top; padding: 2px 10px 2px 0; }
.NAME .jupyter-button { width: auto; }
.NAME p[role=alert] { border-left: 4px solid #d55e00; padding-left: 8px; }
""",
)


def blind_test(
    before,
    after,
    rows: Sequence[dict] | None = None,
    names: tuple[str, str] = ("before", "after"),
    folder: Path | None = None,
    seed: int | None = None,
) -> "BlindTest":
    """A widget: vote on pairs of answers without knowing which way gave which.

    ``before`` and ``after`` are two tables of ``evaluate``, or two answering functions that are asked ``rows``.
    Votes are kept in ``my/`` (or in ``folder``), one file for each pair of ways; the same call goes on where
    you stopped. ``seed`` sets the sides; without it they are drawn once and kept with the votes. Raises
    ValueError if there are functions but no rows, or if the tables do not hold the same questions.
    """
    return BlindTest(ballot.Ballot.opened(ballot.pairs(before, after, rows), names, folder, seed))


class BlindTest(VBox):
    """The widget. ``ballot`` holds pairs and votes; ``ballot.result()`` is what is shown at the end."""

    def __init__(self, votes: ballot.Ballot):
        self.ballot = votes
        self._shown, self._notice = HTML(), HTML()
        self._choices = [
            self._button("Left is better", ballot.LEFT),
            self._button("No difference", ballot.SAME),
            self._button("Right is better", ballot.RIGHT),
        ]
        self._undo = Button(description="Undo", tooltip="Take the last vote back")
        self._undo.on_click(lambda _: self._take_back())
        buttons = HBox([*self._choices, self._undo], layout={"flex_flow": "row wrap"})
        super().__init__([HTML(STYLE), self._shown, buttons, self._notice, HTML(f"<p>{LEGEND}</p>")])
        self.add_class("blind-test")
        self._show("")

    def __repr__(self) -> str:
        """The same for all answers: it is what a notebook stores and what is shown where widgets are not."""
        return "Blind test (live while the notebook runs)"

    def _button(self, name: str, choice: str) -> Button:
        button = Button(description=name, tooltip=f"Vote: {name}")
        button.on_click(lambda _: self._vote(choice))
        return button

    def _vote(self, choice: str) -> None:
        self._show(
            f"Your vote: {choice}." if self.ballot.vote(choice) else "There is nothing left to vote on."
        )

    def _take_back(self) -> None:
        self._show("The last vote is taken back." if self.ballot.undo() else "There is no vote to take back.")

    def _show(self, said: str) -> None:
        """No button is ever disabled: the focus would be lost in the middle of the work."""
        self._shown.value = (
            f'<div role="status" aria-live="polite">{self._said(self.ballot.next(), said)}</div>'
        )
        trouble = html.escape(self.ballot.notice)
        self._notice.value = f'<p role="alert">{trouble}</p>' if trouble else ""

    def _said(self, pair: ballot.Pair | None, said: str) -> str:
        asked, voted = len(self.ballot.pairs), len(self.ballot.votes)
        before = f"<p>{said}</p>" if said else ""
        if pair is None:
            result = html.escape(self.ballot.result())
            return (
                f"{before}<p>All {asked} questions have a vote.</p><p><strong>Result: {result}</strong></p>"
                f"{_revealed(self.ballot.told())}"
            )
        left, right = (pair.answers[way] for way in self.ballot.sides(pair))
        return (
            f"{before}<p><strong>Question {voted + 1} of {asked}: {html.escape(pair.question)}</strong></p>"
            f'<div class="answers">{_answer("Left", left)}{_answer("Right", right)}</div>'
        )


def _revealed(told: Sequence[tuple[str, str, str, str]]) -> str:
    """Which was which, a row a question."""
    heads = "".join(
        f'<th scope="col">{head}</th>' for head in ("Question", "Left was", "Right was", "Your vote")
    )
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in told
    )
    return f"<table><caption>Which was which</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _answer(side: str, text: str) -> str:
    return f"<div><strong>{side}</strong><p>{html.escape(text)}</p></div>"
