"""The decision helper: a dozen plain questions, an answer with its reasons, and a page to print."""

import html

from ipywidgets import HTML, Button, Dropdown, VBox

from .. import decide as room
from .style import style

NOT_ANSWERED = "not answered"
LEGEND = (
    "With the keyboard: Tab goes from one question to the next; the space bar opens a list of options, Enter takes "
    "one. The rules are advice, and no measurement."
)
STYLE = style(
    "decision-helper",
    """.NAME .widget-dropdown { width: 100%; height: auto; flex-wrap: wrap; align-items: center; margin: 2px 0; }
.NAME .widget-dropdown .widget-label { width: auto; height: auto; flex: 0 1 36em; text-align: left;
  white-space: normal; line-height: 1.4; }
.NAME .widget-dropdown select { flex: 0 0 13em; }
.NAME th { font-weight: normal; }
.NAME thead th, .NAME caption { font-weight: bold; }
.NAME a { text-decoration: underline; }
""",
)


def decision_helper(**answers: str) -> "DecisionHelper":
    """A widget: answer the questions of data/decision_questions.csv, and see what the rules say and why.

    ``answers`` are given at the start: simple="no". Raises ValueError for an unknown question or option.
    """
    room.decide(answers)
    return DecisionHelper(answers)


class DecisionHelper(VBox):
    """The widget. The answer follows its questions at once; the button writes it down."""

    def __init__(self, answers: dict[str, str]):
        self._dropdowns = {
            name: Dropdown(
                options=[(NOT_ANSWERED, "")] + [(option, option) for option in question.options],
                value=answers.get(name, ""),
                description=question.text,
                style={"description_width": "initial"},
            )
            for name, question in room.questions().items()
        }
        self._shown, self._said = HTML(), HTML('<p role="status" aria-live="polite"></p>')
        self._button = Button(description="Save a page to print", layout={"width": "auto"})
        super().__init__(
            [
                HTML(STYLE),
                *self._dropdowns.values(),
                self._shown,
                self._button,
                self._said,
                HTML(f"<p>{LEGEND}</p>"),
            ]
        )
        self.add_class("decision-helper")
        for dropdown in self._dropdowns.values():
            dropdown.observe(self._show, "value")
        self._button.on_click(self._save)
        self._show()

    def __repr__(self) -> str:
        """The same for all answers: it is what a notebook stores and what is shown where widgets are not."""
        return "Decision helper (live while the notebook runs)"

    @property
    def decision(self) -> room.Decision:
        """What the rules say to the answers given so far."""
        given = {name: dropdown.value for name, dropdown in self._dropdowns.items() if dropdown.value}
        return room.decide(given)

    def _show(self, _=None) -> None:
        found = self.decision
        title = html.escape(found.title())
        self._shown.value = (
            f'<p role="status" aria-live="polite"><strong>{title}</strong></p>{found.details()}'
        )
        self._said.value = '<p role="status" aria-live="polite"></p>'

    def _save(self, _=None) -> None:
        self._said.value = f'<p role="status" aria-live="polite">{html.escape(room.write(self.decision))}</p>'
