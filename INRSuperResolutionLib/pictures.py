"""Figures, where matplotlib is installed (the extras demo and dev)."""

from __future__ import annotations

from typing import Any

from .errors import MissingError


def figure_of(width: float, height: float, **options: Any) -> Any:
    """A figure of matplotlib of that size in inches; raises MissingError where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingError("matplotlib is not installed", "pip install matplotlib") from error
    return Figure(figsize=(width, height), **{"layout": "constrained", **options})
