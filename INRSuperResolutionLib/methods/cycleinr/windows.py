"""Sliding windows that are blended with Gaussian weights (Fang et al., section 4.1), for networks that must see a block as
large as those of their training.

The weights' standard deviation and the overlap of the windows are not told in the paper: an eighth of the window, and a
quarter of it, as is usual (both are what MONAI's sliding windows do).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

# part of a window
SIGMA = 0.125
OVERLAP = 0.25
# of the weights, so that their sum is never 0
SMALLEST = 1e-3
Box = tuple[slice, slice, slice]


def starts(size: int, window: int) -> list[int]:
    """Where windows begin along an axis of `size` voxels, the last one at its end."""
    if size <= window:
        return [0]
    step = max(1, int(window * (1 - OVERLAP)))
    return [*range(0, size - window, step), size - window]


def gaussian(places: np.ndarray, window: int) -> np.ndarray:
    """Weights at fractional places of a window (0: its first voxel), float64."""
    middle, sigma = (window - 1) / 2, SIGMA * window
    return np.maximum(np.exp(-0.5 * ((places - middle) / sigma) ** 2), SMALLEST)


def blended(
    shape: Sequence[int],
    window: Sequence[int],
    numbers: np.ndarray,
    rows: slice,
    columns: slice,
    restore: Callable[[Box, np.ndarray], np.ndarray],
) -> np.ndarray:
    """What the windows that lie there make of rows and columns at fractional slice numbers.

    Parameters
    ----------
    shape
        Of the volume: slices, rows, columns.
    window
        Of a window, likewise.
    numbers
        Fractional slice numbers from 0 to the last one, (m,).
    restore
        Of a window and slice numbers within it, counted from its first slice: (len(numbers), its rows, its columns).

    Returns
    -------
    float32, (m, rows, columns).
    """
    size = [min(n, w) for n, w in zip(shape, window)]
    wanted = [
        (float(numbers.min()), float(numbers.max())),
        (rows.start, rows.stop - 1),
        (columns.start, columns.stop - 1),
    ]
    lattice = [
        [s for s in starts(n, w) if s <= high and s + w - 1 >= low] for n, w, (low, high) in zip(shape, size, wanted)
    ]
    total = np.zeros((len(numbers), rows.stop - rows.start, columns.stop - columns.start))
    weights = np.zeros_like(total)
    for start in itertools.product(*lattice):
        box: Box = tuple(slice(s, s + w) for s, w in zip(start, size))  # type: ignore[assignment]
        there = np.flatnonzero((numbers >= box[0].start) & (numbers <= box[0].stop - 1))
        if len(there) == 0:
            continue
        local = numbers[there] - box[0].start
        made = restore(box, local)
        spans = [slice(max(b.start, want.start), min(b.stop, want.stop)) for b, want in zip(box[1:], (rows, columns))]
        inner = [slice(s.start - b.start, s.stop - b.start) for s, b in zip(spans, box[1:])]
        outer = [slice(s.start - want.start, s.stop - want.start) for s, want in zip(spans, (rows, columns))]
        weight = gaussian(local, size[0])[:, None, None]
        for axis, (span, w) in enumerate(zip(inner, size[1:])):
            along = gaussian(np.arange(span.start, span.stop), w)
            weight = weight * np.expand_dims(along, (0, 2 - axis))
        target = np.ix_(there, np.arange(outer[0].start, outer[0].stop), np.arange(outer[1].start, outer[1].stop))
        total[target] += weight * made[:, inner[0], inner[1]]
        weights[target] += weight
    return (total / weights).astype(np.float32)
