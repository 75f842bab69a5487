"""Telling noise from what the residual really changed, so that agreeing with the samples does not amplify their noise."""

from __future__ import annotations

import copy

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ....acquisition.forward_model import SliceProfile
from ...scan import Scan

# pixels in plane over which the strength of a change is averaged
AROUND = 5


def signal_part(change: Tensor, noise: float, thick: int) -> Tensor:
    """How much of a change of the samples is more than their noise, from 0 to 1, as a Wiener filter would; its shape.

    A network that was taught on noisy slices leaves their noise out, and so disagrees with them by about as much.
    """
    if noise <= 0:
        return torch.ones_like(change)
    size = [1 if axis == thick else AROUND for axis in range(3)]
    power = ndimage.uniform_filter(np.square(change.numpy()), size, mode="nearest")
    return torch.from_numpy(np.clip(1 - noise**2 / np.maximum(power, 1e-12), 0, 1).astype(np.float32))


def plain(scan: Scan, data: Tensor) -> Scan:
    """Samples on the grid of a scan whose spline passes through them: it does not sharpen them, as their profile would."""
    other = copy.copy(scan)
    other.profile, other._solved = SliceProfile("none"), {}
    return other.with_data(data)
