"""Thin ipywidgets faces over the rooms of ``helpers``."""

from ..decide import decide, rules_table
from .blind_test import blind_test
from .cost_calculator import cost_calculator
from .decision_helper import decision_helper
from .monitor import monitor
from .token_explorer import token_explorer, token_table

__all__ = [
    "blind_test",
    "cost_calculator",
    "decide",
    "decision_helper",
    "monitor",
    "rules_table",
    "token_explorer",
    "token_table",
]
