"""What was trained ahead (CycleINR) and what the scan itself teaches (the guided network), averaged.

Their errors differ, so that the mean has less of them. How much of each is taken is what brings back best what is left
out of the scan itself; where neither does better than interpolation, it is interpolation that is returned.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...image.volume import Volume
from ...representation import Representation
from ..base import FitContext
from ..multicontrast import check_alike
from .settings import PRESETS, CombinedSettings


def fit(volumes: Sequence[Volume], settings: CombinedSettings, context: FitContext) -> Representation:
    """Fit the members to the same scans, and weigh them by what they bring back."""
    check_alike(volumes)
    from .fit import fit_combined

    return fit_combined(volumes, settings, context)


__all__ = ["PRESETS", "CombinedSettings", "fit"]
