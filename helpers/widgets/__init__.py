"""Thin ipywidgets faces over the rooms of ``helpers``."""

from .monitor import monitor

__all__ = ["monitor"]
