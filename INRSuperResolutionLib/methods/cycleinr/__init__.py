"""CycleINR: slices between the slices of a volume, by a network that is trained ahead; and its baseline ArSSR."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from ...image.volume import Volume
from ...representation import Representation
from ..base import FitContext
from .settings import CycleINRSettings


def presets(method: str) -> dict[str, CycleINRSettings]:
    """Settings of a method that uses this kind of weights."""
    usual = CycleINRSettings()
    return {
        "fast": usual,
        "balanced": dataclasses.replace(usual, mirrored=8),
        "paper": CycleINRSettings(weights=f"{method}-paper", check=False, mirrored=1),
    }


def fit(method: str) -> Callable[[Sequence[Volume], CycleINRSettings, FitContext], Representation]:
    """The fit of ``cycleinr`` or ``arssr``: encode the volumes, each on its own."""

    def fit_method(volumes: Sequence[Volume], settings: CycleINRSettings, context: FitContext) -> Representation:
        from .fit import fit_volumes

        return fit_volumes(method, volumes, settings, context)

    return fit_method
