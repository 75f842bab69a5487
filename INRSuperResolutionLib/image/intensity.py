"""Robust intensity scaling and the foreground of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# the patient is above this part of the way from the darkest values to the brightest
FOREGROUND_LEVEL = 0.1
# interpolated MR images undershoot by up to this part of their brightest values
OVERSHOOT = 0.2
LOWEST_HU = -1024.0
# the air of a CT is darker than this, and nothing of an MR image is
DARK_AS_AIR = -500.0


def foreground(data: np.ndarray) -> np.ndarray:
    """Where the patient is, bool: above a tenth of the way from the 1st to the 99.5th percentile.

    Low enough to keep CSF in a T1 and lung in a CT, high enough to leave out noise in the air and the
    ringing around a stripped skull. All of a constant image.
    """
    floor, top = np.percentile(data, [1, 99.5])
    if top <= floor:
        floor, top = float(data.min()), float(data.max())
    return data > floor + FOREGROUND_LEVEL * (top - floor) if top > floor else np.ones(data.shape, bool)


def middle(inside: np.ndarray, sizes: Sequence[int]) -> tuple[slice, ...]:
    """The part of an image, at most `sizes` long along its axes, around the middle of what is `inside` (bool)."""
    box = []
    for axis, most in enumerate(sizes):
        seen = inside.sum(axis=tuple(a for a in range(inside.ndim) if a != axis))
        centre = int(np.average(np.arange(len(seen)), weights=seen + 1e-9))
        size = min(most, len(seen))
        start = int(np.clip(centre - size // 2, 0, len(seen) - size))
        box.append(slice(start, start + size))
    return tuple(box)


def without_signal(data: np.ndarray) -> float:
    """The value of air: 0 for an MR image, −1024 for a CT.

    A few values of an MR image may be negative where it was interpolated; a CT is negative in earnest.
    Padding outside a CT's field of view may be lower than air.
    """
    lowest = float(data.min())
    if lowest >= 0 or lowest > -OVERSHOOT * float(np.percentile(data, 99.5)):
        return 0.0
    return max(lowest, LOWEST_HU)


def is_ct(data: np.ndarray) -> bool:
    """Whether the values are those of a CT with air, in Hounsfield units."""
    return bool(data.min() < DARK_AS_AIR)


def robust_range(data: np.ndarray) -> float:
    """Span from the lowest value to the 99.9th percentile of the foreground: 1 for a constant image."""
    inside = data[foreground(data)]
    span = float(np.percentile(inside, 99.9) - data.min()) if inside.size else 0.0
    return span if span > 0 else 1.0


@dataclass(frozen=True)
class Scaling:
    """Intensities as (value − offset) / scale."""

    offset: float
    scale: float

    @classmethod
    def standard(cls, data: np.ndarray) -> Scaling:
        """Mean and standard deviation of the foreground (outliers above the 99.9th percentile clipped)."""
        inside = data[foreground(data)]
        if inside.size == 0:
            return cls(float(data.mean()), 1.0)
        inside = np.minimum(inside, np.percentile(inside, 99.9))
        return cls(float(inside.mean()), float(inside.std()) or 1.0)

    @classmethod
    def min_max(cls, data: np.ndarray) -> Scaling:
        """Lowest value to 0, highest to 1."""
        return cls(float(data.min()), float(np.ptp(data)) or 1.0)

    def apply(self, data: np.ndarray) -> np.ndarray:
        """Scaled values, float32."""
        return ((data - np.float32(self.offset)) / np.float32(self.scale)).astype(np.float32)

    def invert(self, data: np.ndarray) -> np.ndarray:
        """Values in the original scale, float32."""
        return (data * np.float32(self.scale) + np.float32(self.offset)).astype(np.float32)
