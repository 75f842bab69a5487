"""Fourier ring correlation of small patches (sFRC), which finds where a result does not show what the reference shows.

Source: Kc, Zeng, Soni, Badano 2026 (arXiv 2603.04673) and the authors' public code. Pairs of patches are scaled to [0, 1] each by
itself and multiplied by a Hann window; the correlation of their spectra is taken ring by ring; the lowest frequency at which it falls
to a threshold (0.5 in the authors' CT, 0.75 in their MR) tells up to which detail the two agree. A patch whose frequency
lies below a *hallucination threshold* is reported.

What could not be known, and what stands in its place:

- The paper's text was not at hand; the steps are those of the code.
- The authors find the hallucination threshold on patches that observers marked (0.33 / mm for CT at ×4, 0.16 / pixel for MR at ×3), or from
  theory where detail was not measured. No observer marked ours: the threshold is the Nyquist frequency of the scan that the result was made
  from, 1 / (2 × slice distance), as everything below it was measured in every direction. Without the scan no patch is called wrong.
- The authors leave patches of air out by grey levels of their data; here a patch counts where half of it lies in the mask.
- Pixels need not be square: rings are of the frequency in 1 / mm. For square pixels they are the authors', whose axis in 1 / mm, though,
  ends at the Nyquist frequency one ring early (2 % in patches of 96 pixels); here it is that of the Fourier transform.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .planes import planes

PATCH = 48
CT_THRESHOLD, MR_THRESHOLD = 0.5, 0.75
# of a patch that must lie in the mask
INSIDE = 0.5


@dataclass(frozen=True)
class Patches:
    """What was found in the patches of the slices across one axis."""

    frequency: np.ndarray
    """(rings,), 1 / mm."""
    correlation: np.ndarray
    """(patches, rings)."""
    agrees_to: np.ndarray
    """(patches,), 1 / mm: the frequency of the first fall to the threshold; infinity where there is none."""
    first: np.ndarray
    """(patches, 3): the voxel of the first pixel."""
    axis: int
    size: int

    def below(self, hallucination: float) -> float:
        """Part of the patches that agree to less than a frequency in 1 / mm."""
        return float((self.agrees_to < hallucination).mean()) if len(self.agrees_to) else float("nan")

    def worst(self) -> np.ndarray:
        """The voxel in the middle of the patch that agrees least; empty where there are no patches."""
        if not len(self.agrees_to):
            return np.zeros(0, int)
        return self.first[np.argmin(self.agrees_to)] + np.insert([self.size // 2] * 2, self.axis, 0)

    def told(self) -> float:
        """The frequency (1 / mm) to which nine of ten patches agree, at most that of the last ring."""
        if not len(self.agrees_to):
            return float("nan")
        return float(np.quantile(np.minimum(self.agrees_to, self.frequency[-1]), 0.1))


def ring_correlation(
    result: np.ndarray, reference: np.ndarray, spacing: Sequence[float] = (1.0, 1.0)
) -> tuple[np.ndarray, np.ndarray]:
    """Fourier ring correlation of two square pictures: |Σ A B*| / √(Σ |A|² Σ |B|²) over each ring, up to the inscribed circle.

    A ring is the mean of the ring of radii that round down to it and that of those that round up to it, as in the authors' code.

    Parameters
    ----------
    result, reference
        (n, n).
    spacing
        Of the pixels, mm.

    Returns
    -------
    Frequencies in 1 / mm and correlations, both (n / 2,). 1 where neither holds anything.
    """
    size = len(reference)
    step = 1 / (size * max(spacing))
    rows, columns = (np.fft.fftfreq(size, s) / step for s in spacing)
    radius = np.hypot(rows[:, None], columns)
    radius = np.where(np.abs(radius - np.rint(radius)) < 1e-9, np.rint(radius), radius)
    a, b = np.fft.fft2(reference), np.fft.fft2(result)
    count = size // 2

    def in_rings(values: np.ndarray) -> np.ndarray:
        total = np.zeros(count)
        for rounded in (np.floor(radius), np.ceil(radius)):
            index = rounded.astype(int).ravel()
            total += np.bincount(index, values.ravel(), minlength=count)[:count] / 2
        return total

    own, other = in_rings(np.abs(a) ** 2), in_rings(np.abs(b) ** 2)
    # the rings are symmetric, so that the imaginary part of the product is 0
    shared, power = np.abs(in_rings((a * np.conj(b)).real)), np.sqrt(own * other)
    found = np.divide(shared, power, out=np.where(own + other > 0, 0.0, 1.0), where=power > 0)
    return step * np.arange(count), found


def first_fall(frequency: np.ndarray, correlation: np.ndarray, threshold: float) -> float:
    """Where a curve first meets the threshold, drawn straight from point to point without the last one; else infinity."""
    above = correlation[:-1] - threshold
    met = np.flatnonzero((above[:-1] > 0) != (above[1:] > 0))
    if not len(met):
        return float("inf")
    k = met[0]
    part = above[k] / (above[k] - above[k + 1])
    return float(frequency[k] + part * (frequency[k + 1] - frequency[k]))


def scan_patches(
    result: np.ndarray,
    reference: np.ndarray,
    mask: np.ndarray,
    axis: int,
    spacing: Sequence[float],
    threshold: float,
    size: int = PATCH,
) -> Patches:
    """The ring correlation of every patch of the slices across an axis.

    Parameters
    ----------
    result, reference, mask
        (i, j, k); the patches lie side by side in the box of the mask.
    spacing
        Of the three axes, mm.
    size
        Of a patch, pixels.
    """
    flat = [s for a, s in enumerate(spacing) if a != axis]
    frequency = np.arange(size // 2) / (size * max(flat))
    curves, places = [], []
    for one, other, inside, first in planes(result, reference, mask, axis):
        for rows, columns in boxes(other, inside, size):
            curves.append(ring_correlation(windowed(one[rows, columns]), windowed(other[rows, columns]), flat)[1])
            offset = np.insert([rows.start, columns.start], axis, 0)
            places.append(np.add(first, offset))
    correlation = np.array(curves).reshape(-1, size // 2)
    falls = np.array([first_fall(frequency, c, threshold) for c in correlation])
    return Patches(frequency, correlation, falls, np.array(places, int).reshape(-1, 3), axis, size)


def boxes(reference: np.ndarray, mask: np.ndarray, size: int) -> Iterator[tuple[slice, slice]]:
    """Patches side by side that show the patient, and something that could be altered."""
    for i in range(0, reference.shape[0] - size + 1, size):
        for j in range(0, reference.shape[1] - size + 1, size):
            box = slice(i, i + size), slice(j, j + size)
            if mask[box].mean() >= INSIDE and np.ptp(reference[box]) > 0:
                yield box


def windowed(patch: np.ndarray) -> np.ndarray:
    """A patch from 0 to 1, under a Hann window; a patch of one value is 0."""
    span = float(np.ptp(patch))
    window = np.hanning(len(patch))
    return (patch - patch.min()) / (span or 1.0) * window[:, None] * window
