"""Thin ipywidgets faces over the rooms of ``helpers``."""

from .cost_calculator import cost_calculator
from .monitor import monitor
from .token_explorer import token_explorer, token_table

__all__ = ["cost_calculator", "monitor", "token_explorer", "token_table"]
