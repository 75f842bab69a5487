"""What was trained ahead (CycleINR) and what the scan itself teaches (the guided network), averaged.

Their errors differ, so that the mean has less of them. How much of each is taken is what brings back best what is left
out of the scan itself; where neither does better than interpolation, it is interpolation that is returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import InputError
from ...image.volume import Volume
from ...representation import Representation
from ..base import FitContext
from ..cycleinr.settings import CycleINRSettings
from ..multicontrast.settings import SelfSupervisedSettings


@dataclass(frozen=True)
class CombinedSettings:
    """Of the two methods, what one may want to change."""

    steps: int = SelfSupervisedSettings.steps
    """Training steps of the guided network on the scan itself."""
    crop: int = SelfSupervisedSettings.crop
    """Side of its crops in pixels."""
    mirrored: int = 1
    """CycleINR averages over so many mirror images of the volume, 1 to 8."""
    members: str = "both"
    """``both``, ``self-supervised`` or ``cycleinr``: what is compared with interpolation, and averaged."""

    def __post_init__(self) -> None:
        if self.members not in MEMBERS:
            raise InputError(f"members {self.members!r} are not known", f"Give one of {', '.join(MEMBERS)}")

    def of_members(self, judged: bool) -> dict[str, SelfSupervisedSettings | CycleINRSettings]:
        """The settings of each member by its name; those that are `judged` together need no check of their own."""
        both: dict[str, SelfSupervisedSettings | CycleINRSettings] = {
            "self-supervised": SelfSupervisedSettings(steps=self.steps, crop=self.crop),
            "cycleinr": CycleINRSettings(mirrored=self.mirrored, check=not judged),
        }
        return {name: both[name] for name in MEMBERS[self.members]}


MEMBERS = {
    "both": ("self-supervised", "cycleinr"),
    "self-supervised": ("self-supervised",),
    "cycleinr": ("cycleinr",),
}
PRESETS = {
    "fast": CombinedSettings(),
    "balanced": CombinedSettings(steps=3 * SelfSupervisedSettings.steps, mirrored=CycleINRSettings.mirrored),
    "paper": CombinedSettings(steps=8 * SelfSupervisedSettings.steps, mirrored=8),
}


def fit(volumes: Sequence[Volume], settings: CombinedSettings, context: FitContext) -> Representation:
    """Fit the members to the same scans, and weigh them by what they bring back."""
    from .fit import fit_combined

    return fit_combined(volumes, settings, context)
