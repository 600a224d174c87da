"""Symptom and cure: five pairs of loss curves, what each one means, and what to try."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..chart import TRAINING, VALIDATION
from . import svg

WIDTH, TOP, ROW = 880, 84, 118
COLUMNS = (8, 188, 416, 650)  # where sketch, "what you see", "what it means" and "try" begin
SKETCH = (166, 90)
POINTS = 41
TITLE = "What two loss curves say, and what to try"
HEADS = ("loss, step by step", "What you see", "What it means", "Try")
HINT = "A loss is a hint. What counts are answers to questions that the model has not seen (lesson 06)."


@dataclass(frozen=True)
class Symptom:
    """Two curves from 0 to 1 over the steps from 0 to 1, and the words beside them, a text for each line."""

    training: Callable[[float], float]
    validation: Callable[[float], float]
    see: tuple[str, ...]
    means: tuple[str, ...]
    cure: tuple[str, ...]


def _fall(to: float, speed: float) -> Callable[[float], float]:
    """A curve that falls from 0.92, quickly at first, and flattens towards ``to``."""
    return lambda step: to + (0.92 - to) * math.exp(-speed * step)


def _jump(step: float) -> float:
    return 0.45 + 0.35 * step + 0.2 * math.sin(36 * step) * math.sin(9 * step + 1)


SYMPTOMS = (
    Symptom(
        _fall(0.1, 1.3),
        _fall(0.3, 1.2),
        ("Both curves still fall", "at the end."),
        ("It has not yet learned", "all that it can."),
        ("More epochs.",),
    ),
    Symptom(
        _fall(0.08, 3.5),
        lambda step: _fall(0.4, 7)(step) + max(0.0, step - 0.3) * 0.55,
        ("Validation turns and rises,", "while training falls on."),
        ("From the turn on it learns", "the examples, and not", "the task: overfitting."),
        ("Fewer epochs, or the", "checkpoint at the turn.", "Or more examples."),
    ),
    Symptom(
        _jump,
        lambda step: min(1.0, _jump(step - 0.03) + 0.12),
        ("The curves jump,", "or rise."),
        ("Each step goes too far.",),
        ("A lower learning-rate", "multiplier."),
    ),
    Symptom(
        lambda step: 0.8 - 0.03 * step,
        lambda step: 0.9 - 0.02 * step,
        ("Both are flat", "from the start."),
        ("The steps are too small,", "or the answers are not", "in the loss."),
        ("A higher multiplier. Look", "whether the answers are", "trained (lesson 02)."),
    ),
    Symptom(
        _fall(0.02, 9),
        lambda step: 0.72 + 0.2 * math.exp(-8 * step),
        ("Training is near 0,", "validation stays high."),
        ("The examples are", "memorised: known word", "for word."),
        ("Fewer epochs. More", "examples, and examples", "that differ more."),
    ),
)


def picture() -> svg.Picture:
    """The table of sketches and words."""
    height = TOP + ROW * len(SYMPTOMS) + 34
    body = svg.words(COLUMNS[0], 28, TITLE, size=17, bold=True) + _legend(490, 22)
    body += "".join(svg.words(x, 66, head, bold=True) for x, head in zip(COLUMNS, HEADS, strict=True))
    for number, symptom in enumerate(SYMPTOMS):
        y = TOP + ROW * number
        body += svg.path([(8, y - 5), (WIDTH - 8, y - 5)], stroke=1) + _sketch(symptom, COLUMNS[0], y + 8)
        for x, lines in zip(COLUMNS[1:], (symptom.see, symptom.means, symptom.cure), strict=True):
            body += svg.words(x, y + 38, lines, bold=lines is symptom.cure)
    body += svg.path([(8, height - 39), (WIDTH - 8, height - 39)], stroke=1)
    return svg.page(WIDTH, height, TITLE, _alt(), body + svg.words(8, height - 14, HINT))


def _legend(x: float, y: float) -> str:
    drawn = svg.path([(x, y), (x + 44, y)], color=TRAINING, stroke=3) + svg.words(x + 52, y + 5, "training")
    drawn += svg.path([(x + 180, y), (x + 224, y)], color=VALIDATION, stroke=3, dash="6 4")
    return drawn + svg.words(x + 232, y + 5, "validation")


def _sketch(symptom: Symptom, left: float, top: float) -> str:
    """The two curves between an upright axis of loss and a level one of steps."""
    width, height = SKETCH

    def drawn(curve: Callable[[float], float]) -> list[tuple[float, float]]:
        steps = [number / (POINTS - 1) for number in range(POINTS)]
        return [(left + 6 + (width - 6) * step, top + height * (1 - curve(step))) for step in steps]

    axes = svg.path([(left, top), (left, top + height), (left + width, top + height)])
    return (
        axes
        + svg.path(drawn(symptom.training), color=TRAINING, stroke=3)
        + svg.path(drawn(symptom.validation), color=VALIDATION, stroke=3, dash="6 4")
    )


def _alt() -> str:
    rows = (
        f"{number}. {' '.join(one.see)} It means: {' '.join(one.means)} Try: {' '.join(one.cure)}"
        for number, one in enumerate(SYMPTOMS, start=1)
    )
    return f"Five sketches of training loss and validation loss, each with a cure. {' '.join(rows)} {HINT}"
