"""Sharpening without making noise stronger.

A spline through the slice profile sharpens whatever changes from slice to slice, noise too: at the samples' own places
the result differs from them by what was sharpened. Where that is no more than what their noise alone would become, it is
taken back, and the result passes through the samples there, as cubic interpolation does.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ....acquisition.forward_model import SliceProfile
from ....image.interpolate import basis_matrix
from ...scan import Scan

# pixels in plane over which the strength of a change is averaged
AROUND = 5
# what is believed to be more than noise: its mean square is more than so many times that of noise
CERTAIN = 1.5


def amplified(scan: Scan) -> float:
    """Variance of what sharpening changes of white noise of variance 1, at the slices' centres."""
    count = scan.volume.shape[scan.thick]
    change = basis_matrix(np.arange(count, dtype=np.float64), count, 3) @ scan.solve(count, True) - np.eye(count)
    return float(np.square(change).sum(axis=1).mean())


def signal_part(change: Tensor, noise: float, thick: int) -> Tensor:
    """How much of a change of the samples is more than noise of this deviation, 0 to 1, as of a Wiener filter; its shape."""
    if noise <= 0:
        return torch.ones_like(change)
    size = [1 if axis == thick else AROUND for axis in range(3)]
    power = ndimage.uniform_filter(np.square(change.numpy()), size, mode="nearest")
    part = np.clip(1 - CERTAIN * noise**2 / np.maximum(power, 1e-12), 0, 1)
    return torch.from_numpy(part.astype(np.float32))


def plain(scan: Scan, data: Tensor) -> Scan:
    """Samples on the grid of a scan whose spline passes through them: it does not sharpen them, as their profile would."""
    other = copy.copy(scan)
    other.profile, other._solved = SliceProfile("none"), {}
    return other.with_data(data)
