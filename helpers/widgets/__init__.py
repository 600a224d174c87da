"""Thin ipywidgets faces over the rooms of ``helpers``."""

from .monitor import monitor
from .token_explorer import token_explorer, token_table

__all__ = ["monitor", "token_explorer", "token_table"]
