"""Figures of the course, each with the data it was drawn from and a text that says what it shows."""

from .chart import Chart
from .lines import break_even, break_even_svg, loss_curve, loss_curve_svg
from .shares import share_chart, size_curve
from .timeline import timeline
from .tokens import TrainedTokens, next_tokens, trained_tokens

__all__ = [
    "Chart",
    "TrainedTokens",
    "break_even",
    "break_even_svg",
    "loss_curve",
    "loss_curve_svg",
    "next_tokens",
    "share_chart",
    "size_curve",
    "timeline",
    "trained_tokens",
]
