"""How well weights bring back what is left out of a volume itself, and which of several do it best."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ...forward_model import SliceProfile
from ...intensity import foreground
from ...volume import Volume
from ...weights import Weights
from .representation import SlicedScan, VolumetricRepresentation

# pixels and slices of the part of a volume that is looked at
CHECKED_PIXELS = 96
CHECKED_SLICES = 40
# slices in which rows or columns are left out
CHECKED_PLANES = 4
# fewer slices, or rows, cannot be left out and brought back
FEWEST_SLICES = 5
# slices this much further apart than in the training say nothing about the network
TOO_FAR = 1.4


def best_weights(candidates: Sequence[Weights], volume: Volume, device: str, axis: int | None) -> Weights:
    """Those of several weights that bring back left-out slices, and left-out rows within slices, best.

    The slices show how sharp the volume is across them, but only at twice the distance that they are needed for; the
    rows show the contrast at just this distance. Gains over the spline (dB) are added.
    """
    if len(candidates) == 1:
        return candidates[0]
    tests = [*slices_of(volume, axis), *rows_of(volume, axis)]
    gains = [sum(found for t in tests if (found := gain(*t, weights, device)) is not None) for weights in candidates]
    return candidates[int(np.argmax(gains))]


def gain_without_slices(volume: Volume, weights: Weights, device: str, axis: int | None = None) -> float | None:
    """How much better (dB) than the spline the network brings back every second slice of the volume itself.

    Looks at the middle of the patient only. None where there are too few slices, too far apart for the network,
    or where all is of one value.
    """
    gains = [gain(block, factor, distance, weights, device) for block, factor, distance in slices_of(volume, axis)]
    return gains[0] if gains else None


def slices_of(volume: Volume, axis: int | None) -> Iterator[tuple[np.ndarray, int, float]]:
    """Its slices, of which every second one is left out; see :func:`gain`."""
    whole = SlicedScan(volume, SliceProfile("none"), None, axis)
    yield whole.voxels[_middle(whole)], 2, 2 * whole.told.ratio


def rows_of(volume: Volume, axis: int | None) -> Iterator[tuple[np.ndarray, int, float]]:
    """Single slices, in which rows, or columns, become as far apart as the slices are; see :func:`gain`."""
    whole = SlicedScan(volume, SliceProfile("none"), None, axis)
    factor = max(2, round(whole.told.ratio))
    block = whole.voxels[_middle(whole)]
    for n in np.linspace(0, len(block), CHECKED_PLANES + 2).astype(int)[1:-1]:
        plane = block[n].T if n % 2 else block[n]
        yield plane[:, :, None], factor, float(factor)


def _middle(whole: SlicedScan) -> tuple[slice, slice, slice]:
    """The middle of the patient, as slices, rows and columns."""
    inside = np.moveaxis(foreground(whole.volume.data), whole.axis, 0)
    box = []
    for a, most in enumerate((CHECKED_SLICES, CHECKED_PIXELS, CHECKED_PIXELS)):
        seen = inside.sum(axis=tuple(b for b in range(3) if b != a))
        centre = int(np.average(np.arange(len(seen)), weights=seen + 1e-9))
        size = min(most, len(seen))
        start = int(np.clip(centre - size // 2, 0, len(seen) - size))
        box.append(slice(start, start + size))
    return box[0], box[1], box[2]


def gain(full: np.ndarray, factor: int, distance: float, weights: Weights, device: str) -> float | None:
    """How much better (dB) than a spline the network brings back slices that are left out.

    None where there are too few, too far apart for the network, or all of one value.

    Parameters
    ----------
    full
        (slice, row, column).
    factor, distance
        One in `factor` slices is kept; how far apart these are then, in pixels.
    """
    highest = weights.training.get("data", {}).get("highest_scale", math.inf)
    if len(full) < max(FEWEST_SLICES, factor + 1) or distance > TOO_FAR * highest:
        return None
    full = full[: (len(full) - 1) // factor * factor + 1]
    if np.ptp(full[::factor]) == 0:
        return None
    coarse = Volume(full[::factor], np.diag([distance, 1.0, 1.0, 1.0]), name="left out")
    grid = Volume(full, np.diag([distance / factor, 1.0, 1.0, 1.0])).grid
    left_out = np.arange(len(full)) % factor > 0
    errors = []
    for used in (weights, None):
        made = VolumetricRepresentation([SlicedScan(coarse, SliceProfile("none"), used, axis=0)], device)
        restored = made.evaluate(grid, [0])[0]
        errors.append(float(np.mean((restored - full)[left_out] ** 2)))
    return 10 * math.log10(errors[1] / errors[0]) if min(errors) > 0 else None
