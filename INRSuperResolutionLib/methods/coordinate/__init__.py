"""The scale-agnostic coordinate decoder, and its baselines LIIF and EDSR."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...image.volume import Volume
from ...representation import Representation
from ..base import FitContext
from .settings import CoordinateSettings


def presets(method: str) -> dict[str, CoordinateSettings]:
    """Settings of a method that uses this kind of weights."""
    usual = CoordinateSettings()
    return {"fast": usual, "balanced": usual, "paper": CoordinateSettings(weights=f"{method}-paper", check=False)}


def fit(method: str) -> Callable[[Sequence[Volume], CoordinateSettings, FitContext], Representation]:
    """The fit of ``coordinate``, ``liif`` or ``edsr``: encode all slices of each volume."""

    def fit_method(volumes: Sequence[Volume], settings: CoordinateSettings, context: FitContext) -> Representation:
        from ..pretrained.trained import fit_trained

        return fit_trained(method, volumes, settings, context)

    return fit_method
