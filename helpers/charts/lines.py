"""Line charts: the loss while a job trains, and the break-even of two ways to spend money."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .chart import INK, TRAINING, TUNED, UNTUNED, VALIDATION, Chart, axes_of, new_figure

if TYPE_CHECKING:
    # To import it takes half a second, and every lesson imports this module.
    import pandas

FEW_POINTS = 30  # markers on more of them would hide the stroke of the line


def loss_curve(metrics: pandas.DataFrame, title: str, *, simulated: bool = False) -> Chart:
    """Training and validation loss against the training step.

    ``metrics`` has the columns step, train_loss and valid_loss, as ``jobs.metrics`` returns them; NaN is not
    drawn. The training loss is drawn raw (faint) and as a moving mean around each step; its label says of how
    many steps (fewer at both ends). The lowest validation loss is circled. With a column full_valid_loss, the loss
    on *all* validation rows at the end of each epoch, that one is drawn and circled, and valid_loss, measured on
    a few rows in between, is faint.
    ``simulated=True`` says so in the title. Raises ValueError if there is no training loss to draw.
    """
    lines = LossLines.of(metrics)
    title = f"{title} (simulated)" if simulated else title
    figure = new_figure()
    axes = axes_of(figure, title)
    highest = [values.max() for values in (lines.raw, lines.validation, lines.few) if len(values)]
    axes.set_ylim(0, 1.05 * max(highest))
    axes.plot(lines.raw.index, lines.raw, color=TRAINING, alpha=0.3, linewidth=1)
    few = len(lines.training) <= FEW_POINTS
    axes.plot(lines.training.index, lines.training, color=TRAINING, linewidth=2, marker="o" if few else None)
    if len(lines.few):
        axes.plot(lines.few.index, lines.few, color=VALIDATION, alpha=0.4, linewidth=1, linestyle="--")
    if len(lines.validation):
        axes.plot(
            lines.validation.index,
            lines.validation,
            color=VALIDATION,
            linewidth=2,
            linestyle="--",
            marker="s" if len(lines.validation) <= FEW_POINTS else None,
            markersize=4,
        )
        _circle_lowest(axes, lines.validation)
    _label_ends(axes, lines)
    return Chart(figure, metrics, f"Line chart: {title}. {lines.sentence()}")


@dataclass(frozen=True)
class LossLines:
    """The losses by step, without gaps: training as measured, its moving mean, and validation.

    Where the loss on all validation rows is known, ``validation`` is that, and ``few`` the one on a few rows.
    """

    raw: pandas.Series
    training: pandas.Series
    validation: pandas.Series
    window: int
    few: pandas.Series

    @classmethod
    def of(cls, metrics: pandas.DataFrame) -> LossLines:
        finite = metrics.set_index("step").astype(float).replace([math.inf, -math.inf], math.nan)
        raw = finite["train_loss"].dropna()
        if raw.empty:
            raise ValueError("There is no training loss to draw: the column 'train_loss' is empty.")
        window = len(raw) // 20 | 1  # odd, so that it has a middle
        smooth = raw.rolling(window, center=True, min_periods=1).mean()
        valid = finite["valid_loss"].dropna()
        full = finite["full_valid_loss"].dropna() if "full_valid_loss" in finite else valid[:0]
        return cls(raw, smooth, full, window, valid) if len(full) else cls(raw, smooth, valid, window, full)

    def ends(self) -> dict[str, float]:
        """The last loss of each line."""
        lines = {"training": self.training, "validation": self.validation}
        return {name: values.iloc[-1] for name, values in lines.items() if len(values)}

    @property
    def training_name(self) -> str:
        return "training loss" + (f" (mean of {self.window} steps)" if self.window > 1 else "")

    @property
    def validation_name(self) -> str:
        return "validation loss" + (" on all rows" if len(self.few) else "")

    def sentence(self) -> str:
        """What the lines show, in words and numbers of two decimals."""
        text = f"{self.training_name.capitalize()} {_course(self.training)}"
        if len(self.validation):
            step, low = self.validation.idxmin(), self.validation.min()
            last = (
                f"; at the last one, step {self.validation.index[-1]}, it is {self.validation.iloc[-1]:.2f}"
            )
            where = "" if step == self.validation.index[-1] else last
            return f"{text}; {self.validation_name} is lowest, {low:.2f}, at step {step}{where}."
        return f"{text}; no validation loss was measured."


def _course(values: pandas.Series) -> str:
    first, last = f"{values.iloc[0]:.2f}", f"{values.iloc[-1]:.2f}"
    if len(values) == 1:
        return f"is {first} at step {values.index[0]}"
    if first == last:
        return f"is {first} at step {values.index[0]} and at step {values.index[-1]}"
    verb = "falls" if values.iloc[-1] < values.iloc[0] else "rises"
    return f"{verb} from {first} at step {values.index[0]} to {last} at step {values.index[-1]}"


def break_even(points: Sequence[Mapping[str, float]], title: str, *, here: float | None = None) -> Chart:
    """Two straight lines of US dollars and the place where they cross, if they do.

    ``points`` are rows with three keys, as ``costs.BreakEven.points()`` returns them: the first, such as
    "Calls a month", is the horizontal axis, which ends with the last row; the others name the lines: first without
    tuning, then tuned. ``here`` is the reader's own place on that axis: it is marked and named. A crossing to the
    right of the axis is said only.
    """
    ways = Ways.of(points, here)
    figure = new_figure()
    axes = axes_of(figure, title, ways.table.index.name, "US dollars")
    top = max(ways.table.max()) or 1
    axes.set_ylim(0, 1.05 * top)
    axes.set_xlim(0, ways.last)
    strokes = ((UNTUNED, "--", "s"), (TUNED, "-", "o"))
    for name, (color, stroke, marker) in zip(ways.table, strokes, strict=True):
        axes.plot(
            ways.table.index,
            ways.table[name],
            color=color,
            linewidth=2,
            linestyle=stroke,
            marker=marker,
            clip_on=False,
        )
    if ways.inside:
        axes.plot(*([part] for part in ways.crossing), "o", markersize=12, markerfacecolor="none", color=INK)
    if here is not None:
        axes.axvline(here, color=INK, linewidth=1, linestyle=":")
        axes.annotate(
            ways.here_name,
            xy=(here, top),
            xytext=(5, 0) if here < 0.7 * ways.last else (-5, 0),
            textcoords="offset points",
            ha="left" if here < 0.7 * ways.last else "right",
            va="top",
            color=INK,
            fontsize=9,
        )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: _short(value))
    for name, y in _apart(ways.ends(), gap=0.1 * top).items():
        place = {"xycoords": ("axes fraction", "data"), "va": "center", "annotation_clip": False}
        axes.annotate(name, xy=(1.02, y), color=INK, fontsize=9, **place)
    return Chart(figure, ways.table, f"Line chart: {title}. {ways.sentence()}")


@dataclass(frozen=True)
class Ways:
    """Two ways to spend money: a column each, the index is the axis. ``crossing`` is where they cost the same.

    ``here`` is the reader's own place on the axis, if it is to be marked.
    """

    table: pandas.DataFrame
    crossing: tuple[float, float] | None
    here: float | None = None

    @classmethod
    def of(cls, points: Sequence[Mapping[str, float]], here: float | None = None) -> Ways:
        import pandas

        table = pandas.DataFrame(points)
        table = table.set_index(table.columns[0]).astype(float)
        gap = table.iloc[:, 1] - table.iloc[:, 0]
        first, last = table.index[0], table.index[-1]
        closing = gap.iloc[0] - gap.iloc[-1]
        if gap.iloc[0] * closing <= 0:  # the lines lie on each other, or the gap does not get smaller
            return cls(table, None, here)
        share = gap.iloc[0] / closing
        way = table.iloc[:, 0]
        at = (first + share * (last - first), way.iloc[0] + share * (way.iloc[-1] - way.iloc[0]))
        return cls(table, at, here)

    @property
    def last(self) -> float:
        """Where the axis ends."""
        return self.table.index[-1]

    @property
    def inside(self) -> bool:
        """Whether the lines cross within the axis."""
        return self.crossing is not None and self.crossing[0] < self.last

    @property
    def here_name(self) -> str:
        return f"yours: {self.here:,}"

    def ends(self) -> dict[str, float]:
        return {name: self.table[name].iloc[-1] for name in self.table}

    def sentence(self) -> str:
        """What the lines show, in words and numbers."""
        axis, last = self.table.index.name.lower(), self.last
        lines = "; ".join(
            f"{name}: ${self.table[name].iloc[0]:,.2f} at {self.table.index[0]:,} {axis}, ${end:,.2f} at {last:,}"
            for name, end in self.ends().items()
        )
        if self.here is not None:
            lines += f". Marked as yours: {self.here:,} {axis}"
        if not self.crossing:
            return f"{lines}. The lines do not cross."
        where = "" if self.inside else ", to the right of this chart"
        place = math.ceil(round(self.crossing[0], 6))
        return f"{lines}. They cross at {place:,} {axis}, ${self.crossing[1]:,.2f}{where}."


def _short(value: float) -> str:
    """A number for an axis: 250, 1.5k, 2M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _circle_lowest(axes, validation: pandas.Series) -> None:
    step, low = validation.idxmin(), validation.min()
    axes.plot([step], [low], marker="o", markersize=12, markerfacecolor="none", color=INK, linestyle="none")


def _label_ends(axes, lines: LossLines) -> None:
    """Names each line where it ends, to the right of the axes."""
    labels = {"training": lines.training_name.replace(" (", "\n(")}
    if len(lines.validation):
        step, low = lines.validation.idxmin(), lines.validation.min()
        labels["validation"] = f"{lines.validation_name}\n(circled: lowest,\n{low:.2f} at step {step})"
    bottom, top = axes.get_ylim()
    for name, y in _apart(lines.ends(), gap=0.18 * (top - bottom)).items():
        axes.annotate(
            labels[name],
            xy=(1.01, y),
            xycoords=("axes fraction", "data"),
            va="center",
            color=INK,
            fontsize=9,
            annotation_clip=False,
        )


def _apart(ends: dict[str, float], gap: float) -> dict[str, float]:
    """The places of two labels, moved apart to at least ``gap``, in their order."""
    if len(ends) < 2:
        return ends
    (lower, low), (upper, high) = sorted(ends.items(), key=lambda end: end[1])
    push = max(0.0, gap - (high - low)) / 2
    return {lower: low - push, upper: high + push}


# --- the live curve ----------------------------------------------------------------------------------------

WIDTH, HEIGHT = 560, 260
MAX_POINTS, MAX_MARKERS = 300, 20  # of a line: more would not be seen, only sent
LEFT, RIGHT, TOP, BOTTOM = 52, 126, 30, 40  # margins, pixels


def loss_curve_svg(
    points: Sequence[Mapping[str, float]],
    title: str,
    *,
    last_step: int | None = None,
    simulated: bool = False,
) -> str:
    """The same curve as an SVG string, for a picture that changes while a job runs. It carries its alt text.

    ``points`` have the keys step, train_loss and, where measured, valid_loss and full_valid_loss. ``last_step`` is
    where the step axis ends (the last point if None). Without points it is a frame that says so.
    """
    import pandas

    title = f"{title} (simulated)" if simulated else title
    table = pandas.DataFrame(points, columns=["step", "train_loss", "valid_loss", "full_valid_loss"])
    if table["train_loss"].dropna().empty:
        nothing = "No loss has been measured yet."
        return _svg(title, nothing, _text(WIDTH / 2, HEIGHT / 2, nothing, "middle"))
    lines = LossLines.of(table)
    scale = Scale.around(lines, last_step)
    smoothed = f" (training loss: mean of {lines.window} steps)" if lines.window > 1 else ""
    body = scale.axes(f"Training step{smoothed}")
    body += scale.polyline(lines.raw, TRAINING, 'stroke-width="1" stroke-opacity="0.4"')
    body += scale.polyline(lines.training, TRAINING, 'stroke-width="2.5"')
    body += scale.polyline(
        lines.few, VALIDATION, 'stroke-width="1" stroke-opacity="0.5" stroke-dasharray="6 4"'
    )
    body += scale.polyline(lines.validation, VALIDATION, 'stroke-width="2.5" stroke-dasharray="6 4"')
    body += scale.squares(lines.validation, VALIDATION)
    if len(lines.validation):
        body += scale.circle(lines.validation.idxmin(), lines.validation.min())
    body += scale.end_labels(lines)
    return _svg(title, lines.sentence(), body)


def break_even_svg(points: Sequence[Mapping[str, float]], title: str, *, here: float | None = None) -> str:
    """The chart of ``break_even`` as an SVG string, for a picture that changes with its numbers."""
    ways = Ways.of(points, here)
    scale = Scale(ways.last, _ticks(0.0, max(ways.table.max()) or 1.0))
    body = scale.axes(ways.table.index.name, "US dollars")
    now, tuned = ways.table
    body += scale.polyline(ways.table[now], UNTUNED, 'stroke-width="2.5" stroke-dasharray="6 4"')
    body += scale.squares(ways.table[now], UNTUNED)
    body += scale.polyline(ways.table[tuned], TUNED, 'stroke-width="2.5"')
    if ways.inside:
        body += scale.circle(*ways.crossing)
    if here is not None:
        x, right = scale.x(here), here >= 0.7 * ways.last
        body += (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="currentColor" '
            'stroke-dasharray="2 3"/>'
        ) + _text(x - 6 if right else x + 6, TOP + 10, ways.here_name, "end" if right else "start")
    for name, y in _apart({name: scale.y(end) for name, end in ways.ends().items()}, gap=18).items():
        body += _text(WIDTH - RIGHT + 10, y + 4, name)
    return _svg(title, ways.sentence(), body)


@dataclass(frozen=True)
class Scale:
    """Where steps and losses lie in the picture."""

    last_step: float
    ticks: list[float]  # of the loss axis, lowest first

    @classmethod
    def around(cls, lines: LossLines, last_step: int | None) -> Scale:
        import pandas

        losses = pandas.concat([lines.raw, lines.validation, lines.few])
        steps = [*lines.raw.index, *lines.validation.index, *lines.few.index, last_step or 1]
        return cls(max(steps), _ticks(min(0.0, losses.min()), losses.max()))

    def x(self, step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / self.last_step

    def y(self, loss: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (loss - low) / (high - low)

    def axes(self, step_name: str, value_name: str = "Loss") -> str:
        """Grid lines, tick labels and the names of the axes."""
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts = []
        for loss in self.ticks:
            y = self.y(loss)
            parts.append(
                f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" '
                'stroke-opacity="0.2"/>' + _text(LEFT - 8, y + 4, _short(loss), "end")
            )
        for step in _ticks(0, self.last_step):
            if step <= self.last_step:
                parts.append(_text(self.x(step), bottom + 16, _short(step), "middle"))
        parts.append(_text((LEFT + right) / 2, HEIGHT - 6, step_name, "middle"))
        turn = f'transform="rotate(-90 14 {(TOP + bottom) / 2:.0f})"'
        parts.append(_text(14, (TOP + bottom) / 2, value_name, "middle", turn))
        return "".join(parts)

    def polyline(self, values: pandas.Series, color: str, stroke: str) -> str:
        path = " ".join(
            f"{self.x(step):.1f},{self.y(loss):.1f}" for step, loss in _thinned(values, MAX_POINTS)
        )
        return f'<polyline points="{path}" fill="none" stroke="{color}" {stroke}/>' if path else ""

    def squares(self, values: pandas.Series, color: str) -> str:
        return "".join(
            f'<rect x="{self.x(step) - 3:.1f}" y="{self.y(loss) - 3:.1f}" '
            f'width="6" height="6" fill="{color}"/>'
            for step, loss in _thinned(values, MAX_MARKERS)
        )

    def circle(self, step: float, loss: float) -> str:
        """An empty circle around a point that matters."""
        return (
            f'<circle cx="{self.x(step):.1f}" cy="{self.y(loss):.1f}" r="7" fill="none" stroke="currentColor" '
            'stroke-width="2"/>'
        )

    def end_labels(self, lines: LossLines) -> str:
        """Names each line, with its last value, beside its end."""
        ends = lines.ends()
        places = _apart({name: self.y(loss) for name, loss in ends.items()}, gap=18)
        return "".join(
            _text(WIDTH - RIGHT + 10, places[name] + 4, f"{name} {loss:.2f}") for name, loss in ends.items()
        )


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers from at or below ``low`` to at or above ``high``."""
    raw = (high - low) / 4 or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * i, 10) for i in range(first, max(last, first + 1) + 1)]


def _thinned(values: pandas.Series, limit: int) -> list[tuple[float, float]]:
    """(step, loss) pairs, evenly left out so that about ``limit`` remain; the last one always does."""
    stride = math.ceil(len(values) / limit) or 1
    return list(values.iloc[::-stride].items())[::-1]


def _text(x: float, y: float, text: str, anchor: str = "start", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{html.escape(text)}</text>'


def _svg(title: str, sentence: str, body: str) -> str:
    """The frame: as wide as its place allows, its text in the colour and font of the page."""
    label = html.escape(f"Line chart: {title}. {sentence}")
    heading = _text(LEFT, 16, title, more='font-weight="bold"')
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'xmlns="http://www.w3.org/2000/svg" style="width:100%;max-width:{WIDTH}px;height:auto" '
        f'font-size="12" fill="currentColor">{heading}{body}</svg>'
    )
