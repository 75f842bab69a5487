"""Cutting an image into thick slices along one of its sharp axes, as a scan cuts the patient, and joining them again."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ....acquisition.forward_model import SliceProfile, slice_taps, spline_through_profile
from ....image.interpolate import basis_matrix, cubic_prefilter

# of the median absolute deviation of normal noise
MAD = 0.6745


class Line(NamedTuple):
    """A line of `pixels` pixels: pixel n lies at slice coordinate `start` + n · `step`."""

    start: float
    step: float
    pixels: int

    def slices(self, ends: tuple[float, float]) -> np.ndarray:
        """Whole slice coordinates on the line: the centres of its virtual slices; at most those between `ends`."""
        low, high = sorted((self.start, self.start + self.step * (self.pixels - 1)))
        low, high = max(low, min(ends)), min(high, max(ends))
        first = math.ceil(low)
        return np.arange(first, max(math.floor(high), first) + 1)

    def ending_within(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
        """Ends of a stack, in slice coordinates, of which one lies within `rows`, and more of these in the stack than not."""
        place = rng.random()
        end = self.start + self.step * (rows[0] + place * (rows[-1] - rows[0]))
        return (end, math.inf) if (place < 0.5) == (self.step > 0) else (-math.inf, end)

    def cut(self, centres: np.ndarray, taps: tuple[np.ndarray, np.ndarray]) -> Tensor:
        """Pixels → virtual slices at `centres` that average as `taps` tell; float32, (slices, pixels)."""
        averages = sum(w * basis_matrix((centres + o - self.start) / self.step, self.pixels, 3) for o, w in zip(*taps))
        # torch's products, not numpy's: two thread pools that take turns slow each other down
        return (torch.from_numpy(np.asarray(averages)) @ torch.from_numpy(cubic_prefilter(self.pixels))).float()

    def join(self, centres: np.ndarray, rows: np.ndarray, solved: np.ndarray) -> Tensor:
        """Virtual slices → their spline at pixels `rows`; `solved` makes its coefficients. float32, (rows, slices)."""
        at = basis_matrix(self.start + self.step * rows - centres[0], len(centres), 3)
        return (torch.from_numpy(at) @ torch.from_numpy(solved)).float()


class Cutting(NamedTuple):
    """How slices are averaged: profile, and thickness in distances of the slices."""

    profile: SliceProfile
    width: float

    def taps(self) -> tuple[np.ndarray, np.ndarray]:
        """Offsets in slices and weights."""
        return slice_taps(self.profile, self.width)

    def solve(self, size: int) -> np.ndarray:
        """Samples → spline coefficients, float64, (size, size)."""
        return spline_through_profile(size, self.profile, self.width)

    def told(self, step: float, noise: float) -> Tensor:
        """What the network is told of a scan: the stencil's step (in slices), profile, and noise; float32, (4,)."""
        thickness = 0.0 if self.profile.kind == "none" else self.width
        return torch.tensor([4 * step - 1, thickness, float(self.profile.kind == "gaussian"), 5 * noise])


def noise_of(image: np.ndarray, inside: np.ndarray) -> float:
    """Standard deviation of the noise between neighbouring pixels of the last two axes, where `inside`; 0 if unknown.

    From the median of the diagonal differences, in which edges have little part.
    """
    a = image
    diagonal = (a[..., 1:, 1:] - a[..., 1:, :-1] - a[..., :-1, 1:] + a[..., :-1, :-1]) / 2
    there = inside[..., 1:, 1:] & inside[..., :-1, :-1] & inside[..., 1:, :-1] & inside[..., :-1, 1:]
    found = diagonal[there]
    return float(np.median(np.abs(found)) / MAD) if found.size else 0.0


def with_noise(slices: Tensor, cut: Tensor, noise: float, rng: np.random.Generator) -> Tensor:
    """Virtual slices as noisy as slices are that were not made by averaging noisy pixels."""
    if noise <= 0:
        return slices
    lost = (1 - cut.square().sum(dim=1, keepdim=True)).clamp(min=0).sqrt()
    drawn = torch.from_numpy(rng.standard_normal(slices.shape[-2:], dtype=np.float32))
    return slices + noise * lost * drawn
