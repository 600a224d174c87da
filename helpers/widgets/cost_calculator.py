"""The cost calculator: what tuning costs, and from how many calls a month it pays back."""

import html

from ipywidgets import HTML, BoundedIntText, Dropdown, HBox, IntSlider, VBox, link

from .. import costs
from ..charts import break_even_svg
from .style import style

# label: value at the start, lowest, highest
NUMBERS = {
    "Rows in the file": (100, 10, 5_000),
    "Tokens in a row": (60, 1, 2_000),
    "Epochs": (3, 1, 50),
    "Calls a month": (10_000, 0, 1_000_000),
    "Prompt tokens now": (1_000, 1, 10_000),
    "Of these, cached": (0, 0, 10_000),
    "Prompt tokens saved": (900, 0, 10_000),
    "Answer tokens": (30, 0, 1_000),
    "Thinking tokens now": (0, 0, 5_000),
    "Rounds of training": (3, 1, 20),
    "People: days a round": (0, 0, 60),
    "People: dollars a day": (0, 0, 2_000),
    "Card that waits: dollars a month": (0, 0, 10_000),
    "Months": (12, 1, 36),
}
GUESSED = ("Rounds of training", "People: days a round", "People: dollars a day")
LEGEND = (
    "Rounds and people are your own guess: no source gives them. People are left out while a box of theirs holds 0. "
    "Thinking tokens are those of the model that you use now: 0 says that it answers without thinking. "
    "Each box holds the same number as the slider next to it. With the keyboard: Tab goes from one to the next; "
    "in a box type a number and press Enter; the space bar opens a list of models, Enter takes one."
)
STYLE = style(
    "cost-calculator",
    """.NAME p[role=alert] { border-left: 4px solid #d55e00; padding-left: 8px; }
.NAME caption { padding-bottom: 4px; }
.NAME th, .NAME td { overflow-wrap: anywhere; }
""",
)


def cost_calculator(model: str, compare_with: str | None = None, **start: int) -> "CostCalculator":
    """A widget: set a job, its calls and its people, and see when tuning ``model`` pays back.

    It is compared with calls of ``compare_with`` as they are now (the same model, untuned, if None; a model of
    another provider, such as "tinker/Qwen3-8B", needs one).
    ``start`` sets numbers at the start: rows_in_the_file=112. Raises ValueError if no price of a model is
    known, TypeError for a number that the calculator does not have.
    """
    import pandas  # noqa: F401 - in the cell, as in monitor(): the chart needs it after a change, too

    known = {_argument(label): label for label in NUMBERS}
    if unknown := set(start) - set(known):
        raise TypeError(f"Unknown: {', '.join(sorted(unknown))}. Known: {', '.join(known)}.")
    numbers = {label: value for label, (value, *_) in NUMBERS.items()}
    numbers |= {known[name]: value for name, value in start.items()}
    sums(model, compare_with or model, numbers)
    return CostCalculator(model, compare_with or model, numbers)


def sums(model: str, compare_with: str, numbers: dict[str, int]) -> costs.BreakEven:
    """The break-even of a tuned model against calls as they are now. ``numbers`` has the keys of NUMBERS."""
    prompt, answer = numbers["Prompt tokens now"], numbers["Answer tokens"]
    if numbers["Prompt tokens saved"] > prompt:
        raise ValueError(
            "More prompt tokens are saved than the prompt has. Make one of the two numbers smaller."
        )
    trained = numbers["Rows in the file"] * numbers["Tokens in a row"] * numbers["Epochs"]
    people = numbers["People: days a round"] * numbers["People: dollars a day"]
    job = trained * costs.price(model, "training").usd_per_1m_tokens / 1_000_000
    return costs.break_even(
        costs.call(
            compare_with,
            prompt,
            answer,
            cached=numbers["Of these, cached"],
            reasoning=numbers["Thinking tokens now"],
        ),
        costs.call(model, prompt - numbers["Prompt tokens saved"], answer, tuned=True),
        numbers["Rounds of training"] * (job + people),
        calls=numbers["Calls a month"],
        months=numbers["Months"],
        monthly=numbers["Card that waits: dollars a month"],
    )


class CostCalculator(VBox):
    """The widget. Everything below its controls follows them at once."""

    def __init__(self, model: str, compare_with: str, numbers: dict[str, int]):
        wide = {"description_width": "initial"}
        self._models = [
            Dropdown(
                options=list(dict.fromkeys([chosen, *costs.models(kind)])), value=chosen, description=label
            )
            for label, chosen, kind in (
                ("Model to tune", model, "training"),
                ("Compare with", compare_with, "base_output"),
            )
        ]
        for dropdown in self._models:
            dropdown.style = wide
        self._boxes = {label: _box(label, value) for label, value in numbers.items()}
        self._shown = HTML()
        rows = [HBox([box, _slider(label, box)]) for label, box in self._boxes.items()]
        super().__init__([HTML(STYLE), HBox(self._models), *rows, self._shown])
        self.add_class("cost-calculator")
        for control in (*self._models, *self._boxes.values()):
            control.observe(self._show, "value")
        self._show()

    def __repr__(self) -> str:
        """The same for all numbers: it is what a notebook stores and what is shown where widgets are not."""
        return "Cost calculator (live while the notebook runs)"

    def _show(self, _=None) -> None:
        numbers = {label: box.value for label, box in self._boxes.items()}
        try:
            found = sums(*(dropdown.value for dropdown in self._models), numbers)
        except ValueError as error:
            self._shown.value = f'<p role="alert">{html.escape(str(error))}</p><p>{LEGEND}</p>'
            return
        title = found.title()
        chart = break_even_svg(found.points(), f"US dollars in {found.months} months", here=found.calls)
        self._shown.value = (
            f'<p role="status" aria-live="polite"><strong>{html.escape(title)}.</strong></p>{chart}'
            f"{found._repr_html_()}<p>{LEGEND}</p>"
        )


def _argument(label: str) -> str:
    return label.lower().replace(":", "").replace(",", "").replace(" ", "_")


def _box(label: str, value: int) -> BoundedIntText:
    _, low, high = NUMBERS[label]
    name = f"{label} (a guess)" if label in GUESSED else label
    return BoundedIntText(
        value=value,
        min=low,
        max=high,
        description=name,
        style={"description_width": "18em"},
        layout={"width": "27em"},
    )


def _slider(label: str, box: BoundedIntText) -> IntSlider:
    """A slider without a number of its own; the box shows it. A step above 1 would round what is typed there."""
    slider = IntSlider(value=box.value, min=box.min, max=box.max, readout=False, tooltip=label)
    link((slider, "value"), (box, "value"))
    return slider
