"""NExpR: one pass of a trained network gives every patch of a slice an explicit function of its own."""

from __future__ import annotations

from collections.abc import Sequence

from ...image.volume import Volume
from ...representation import Representation
from ..base import FitContext
from .settings import NExpRSettings

PRESETS = {
    "fast": NExpRSettings(),
    "balanced": NExpRSettings(average_flips=True),
    "paper": NExpRSettings(weights="nexpr-paper", consistent=False, check=False),
}


def fit(volumes: Sequence[Volume], settings: NExpRSettings, context: FitContext) -> Representation:
    """Encode all slices of each volume."""
    from ..pretrained.trained import fit_trained

    return fit_trained("nexpr", volumes, settings, context)
