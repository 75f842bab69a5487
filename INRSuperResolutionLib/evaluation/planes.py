"""Slices through a volume, for measures that are made for pictures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# slices are looked at across each axis, evenly spread, at most
MOST_SLICES = 40
# slices with less of the patient than this part of the fullest one are not looked at
SMALLEST_SLICE = 0.1


def planes(
    result: np.ndarray, reference: np.ndarray, mask: np.ndarray, axis: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, ...]]]:
    """Slices of result, reference and mask across an axis, cut to the box of the mask, and the voxel of their first pixel.

    The two other axes keep their order.
    """
    if not mask.any():
        return
    where = [np.flatnonzero(mask.any(axis=tuple(b for b in range(3) if b != a))) for a in range(3)]
    box = tuple(slice(w[0], w[-1] + 1) for w in where)
    seen = [np.moveaxis(a[box], axis, 0) for a in (result, reference, mask)]
    area = seen[2].sum(axis=(1, 2))
    useful = np.flatnonzero(area >= SMALLEST_SLICE * area.max())
    step = max(1.0, len(useful) / MOST_SLICES)
    for k in useful[np.unique(np.arange(0, len(useful), step).astype(int))]:
        first = tuple(int(w[0] + (k if a == axis else 0)) for a, w in enumerate(where))
        yield seen[0][k], seen[1][k], seen[2][k], first


def on_one_scale(result: np.ndarray, reference: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as the `clean` convention scales them: 0 is the reference's lowest value, 1 its 99.9th percentile in the mask."""
    low, top = float(reference.min()), float(np.percentile(reference[mask], 99.9))
    span = (top - low) or 1.0
    scaled = [np.clip((a.astype(np.float64) - low) / span, 0, 1) for a in (result, reference)]
    return scaled[0], scaled[1]
