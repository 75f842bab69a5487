"""How well weights bring back what is left out of a volume itself, and which of several do it best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...acquisition.forward_model import SliceProfile
from ...image.intensity import foreground
from ...image.volume import Volume
from ...progress import SILENT, Progress
from ..pretrained.weights import Weights
from .representation import SlicedScan, VolumetricRepresentation

# pixels and slices of the part of a volume that is looked at
CHECKED_PIXELS = 96
CHECKED_SLICES = 40
# slices in which rows or columns are left out
CHECKED_PLANES = 6
# fewer slices, or rows, cannot be left out and brought back
FEWEST_SLICES = 5
# slices this much further apart than in the training say nothing about how a network does where they are nearer …
TOO_FAR = 1.4
# … but up to here, which of several networks does best is the same
TOO_FAR_TO_COMPARE = 2.0


@dataclass(frozen=True)
class Known:
    """Parts of a volume whose slices (or rows, taken as slices) are all known, so that some can be left out.

    Parameters
    ----------
    parts
        (slice, row, column) each.
    factor, distance
        One in `factor` slices is kept; how far apart these are then, in pixels.
    """

    parts: Sequence[np.ndarray]
    factor: int
    distance: float

    @property
    def usable(self) -> list[np.ndarray]:
        """The parts with enough slices, cut so that the last one is kept."""
        few = max(FEWEST_SLICES, self.factor + 1)
        return [p[: (len(p) - 1) // self.factor * self.factor + 1] for p in self.parts if len(p) >= few]

    def error(self, weights: Weights | None, device: str) -> float:
        """Mean squared difference of the left-out slices as they are brought back, summed over the parts; None: by the spline."""
        spacing = np.diag([self.distance, 1.0, 1.0, 1.0])
        coarse = [Volume(p[:: self.factor], spacing, name="left out") for p in self.usable]
        made = VolumetricRepresentation([SlicedScan(c, SliceProfile("none"), weights, axis=0) for c in coarse], device)
        error = 0.0
        for n, part in enumerate(self.usable):
            grid = Volume(part, np.diag([self.distance / self.factor, 1.0, 1.0, 1.0])).grid
            left_out = np.arange(len(part)) % self.factor > 0
            error += float(np.mean((made.evaluate(grid, [n])[0] - part)[left_out] ** 2))
        return error

    @cached_property
    def error_of_spline(self) -> float:
        """The same for all weights that are compared."""
        return self.error(None, "cpu")


def best_weights(
    candidates: Sequence[Weights], volume: Volume, device: str, axis: int | None, progress: Progress = SILENT
) -> Weights:
    """Those of several weights that bring back left-out slices, and left-out rows within slices, best.

    The slices show how sharp the volume is across them, but only at twice the distance that they are needed for; the
    rows show the contrast at just this distance. Gains over the spline (dB) are added. Where slices cannot be left out,
    the first of the weights is taken: rows alone do not tell how the volume was sliced. (Weights that were best on the
    rows of a FLAIR in thick slices, but had learned from a 3D scan, drew lines between its slices.)
    """
    if len(candidates) == 1:
        return candidates[0]
    whole = SlicedScan(volume, SliceProfile("none"), None, axis)
    slices, rows = known_slices(whole), known_rows(whole)
    gains = []
    for weights in candidates:
        progress.raise_if_cancelled()
        along = gain(slices, weights, device, TOO_FAR_TO_COMPARE)
        if along is None:
            return candidates[0]
        gains.append(along + (gain(rows, weights, device, TOO_FAR_TO_COMPARE) or 0.0))
    return candidates[int(np.argmax(gains))]


def gain_without_slices(volume: Volume, weights: Weights, device: str, axis: int | None = None) -> float | None:
    """How much better (dB) than the spline the network brings back every second slice of the volume itself.

    Looks at the middle of the patient only. None where there are too few slices, too far apart for the network,
    or where all is of one value.
    """
    return gain(known_slices(SlicedScan(volume, SliceProfile("none"), None, axis)), weights, device)


def known_slices(whole: SlicedScan) -> Known:
    """The slices of a volume, of which every second one is left out."""
    return Known([whole.voxels[_middle(whole)]], 2, 2 * whole.told.ratio)


def known_rows(whole: SlicedScan) -> Known:
    """Rows, and columns, of single slices, which become as far apart as the slices are."""
    block = whole.voxels[_middle(whole)]
    chosen = np.unique(np.linspace(0, len(block), CHECKED_PLANES + 2).astype(int)[1:-1])
    factor = max(2, round(whole.told.ratio))
    return Known([p[:, :, None] for n in chosen for p in (block[n], block[n].T)], factor, float(factor))


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


def gain(known: Known, weights: Weights, device: str, too_far: float = TOO_FAR) -> float | None:
    """How much better (dB) than a spline the network brings back slices that are left out.

    None where there are too few, `too_far` times as far apart as in its training, or all of one value.
    """
    highest = weights.training.get("data", {}).get("highest_scale", math.inf)
    if not known.usable or known.distance > too_far * highest:
        return None
    errors = known.error(weights, device), known.error_of_spline
    return 10 * math.log10(errors[1] / errors[0]) if min(errors) > 0 else None
