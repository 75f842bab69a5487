"""Settings of the combined method; no torch, so that a panel can show them."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InputError
from ..cycleinr.settings import CycleINRSettings
from ..multicontrast.settings import SelfSupervisedSettings


@dataclass(frozen=True)
class CombinedSettings:
    """Of the two methods, what one may want to change."""

    steps: int = SelfSupervisedSettings.steps * 2 // 3
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
