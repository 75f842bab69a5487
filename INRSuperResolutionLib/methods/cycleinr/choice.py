"""How well weights bring back what is left out of a volume itself, and which of several do it best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...acquisition.forward_model import SliceProfile, averaged_basis
from ...image.intensity import foreground, middle
from ...image.interpolate import apply_along, cubic_prefilter
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
POINTS = SliceProfile("none")


@dataclass(frozen=True)
class Known:
    """Parts of a volume whose slices (or rows, taken as slices) are all known, so that coarser ones can be made of them.

    Parameters
    ----------
    parts
        (slice, row, column) each.
    factor, distance
        How many slices there are for each coarse one; how far apart the coarse ones are, in pixels.
    profile, width
        How the coarse slices average the known ones, and their thickness as a part of `distance`. As point samples,
        one in `factor` slices is kept.
    """

    parts: Sequence[np.ndarray]
    factor: int
    distance: float
    profile: SliceProfile = SliceProfile("none")
    width: float = 1.0

    @property
    def usable(self) -> list[np.ndarray]:
        """The parts with enough slices, cut so that the outermost ones are part of coarse ones."""
        few = max(FEWEST_SLICES, self.factor + 1)
        last = 1 if self.profile.kind == "none" else 0
        return [p[: (len(p) - last) // self.factor * self.factor + last] for p in self.parts if len(p) >= few]

    def coarse(self, part: np.ndarray) -> Volume:
        """What a scanner with thicker slices would have made of a part; its slices lie along the last axis."""
        first = 0.0
        if self.profile.kind == "none":
            slices = part[:: self.factor]
        else:
            first = (self.factor - 1) / 2
            at = first + self.factor * np.arange(len(part) // self.factor)
            seen = averaged_basis(at, len(part), self.profile, self.width * self.factor) @ cubic_prefilter(len(part))
            slices = apply_along(part, seen.astype(np.float32), 0)
        affine = np.diag([1.0, 1.0, self.distance, 1.0])
        affine[2, 3] = first * self.distance / self.factor
        return Volume(np.moveaxis(slices, 0, 2), affine, slice_thickness=self.width * self.distance, name="left out")

    def error(self, weights: Weights | None, device: str) -> float:
        """Mean squared difference of the slices that are not kept as they are brought back, summed over the parts.

        Without weights, as the spline brings them back.
        """
        scans = [SlicedScan(self.coarse(p), self.profile, weights, axis=2) for p in self.usable]
        made = VolumetricRepresentation(scans, device)
        for _ in made.prepare():
            pass
        error = 0.0
        for n, part in enumerate(self.usable):
            fine = np.moveaxis(part, 0, 2)
            grid = Volume(fine, np.diag([1.0, 1.0, self.distance / self.factor, 1.0])).grid
            asked = (np.arange(len(part)) % self.factor > 0) | (self.profile.kind != "none")
            error += float(np.mean((made.evaluate(grid, [n])[0] - fine)[..., asked] ** 2))
        return error

    @cached_property
    def error_of_spline(self) -> float:
        """The same for all weights that are compared."""
        return self.error(None, "cpu")


def best_weights(
    candidates: Sequence[Weights],
    volume: Volume,
    device: str,
    axis: int | None,
    progress: Progress = SILENT,
    profile: SliceProfile = POINTS,
) -> Weights:
    """Those of several weights that bring back left-out slices, and left-out rows within slices, best.

    The slices show how sharp the volume is across them, but only at twice the distance that they are needed for; the
    rows show the contrast at just this distance. Gains over the spline (dB) are added. Where slices cannot be left out,
    the first of the weights is taken: rows alone do not tell how the volume was sliced. (Weights that were best on the
    rows of a FLAIR in thick slices, but had learned from a 3D scan, drew lines between its slices.)

    Slices that are averages cannot be left out: half of them, as they are, are not what a scanner would have made. There
    the rows tell, averaged as the slices are.
    """
    if len(candidates) == 1:
        return candidates[0]
    whole = SlicedScan(volume, profile, None, axis)
    slices, rows = known_slices(whole), known_rows(whole)
    gains = []
    for weights in candidates:
        progress.raise_if_cancelled()
        along = None if slices is None else gain(slices, weights, device, TOO_FAR_TO_COMPARE)
        across = gain(rows, weights, device, TOO_FAR_TO_COMPARE)
        if (across if slices is None else along) is None:
            return candidates[0]
        gains.append((along or 0.0) + (across or 0.0))
    return candidates[int(np.argmax(gains))]


def gain_on_known(
    volume: Volume, weights: Weights, device: str, axis: int | None = None, profile: SliceProfile = POINTS
) -> float | None:
    """How much better (dB) than the spline the network brings back what is left out of the volume itself.

    Every second slice; or rows, where slices are averages. Looks at the middle of the patient only. None where there is
    too little, too far apart for the network, or where all is of one value.
    """
    whole = SlicedScan(volume, profile, None, axis)
    return gain(known_slices(whole) or known_rows(whole), weights, device)


def known_slices(whole: SlicedScan) -> Known | None:
    """The slices of a volume, of which every second one is left out; None if they are averages."""
    if whole.profile.kind != "none":
        return None
    return Known([whole.voxels[_middle(whole)]], 2, 2 * whole.told.ratio)


def known_rows(whole: SlicedScan) -> Known:
    """Rows, and columns, of single slices, which become as far apart, and as thick, as the slices are."""
    block = whole.voxels[_middle(whole)]
    chosen = np.unique(np.linspace(0, len(block), CHECKED_PLANES + 2).astype(int)[1:-1])
    factor = max(2, round(whole.told.ratio))
    parts = [p[:, :, None] for n in chosen for p in (block[n], block[n].T)]
    return Known(parts, factor, float(factor), whole.profile, whole.scan.width)


def _middle(whole: SlicedScan) -> tuple[slice, ...]:
    """The middle of the patient, as slices, rows and columns."""
    inside = np.moveaxis(foreground(whole.volume.data), whole.axis, 0)
    return middle(inside, (CHECKED_SLICES, CHECKED_PIXELS, CHECKED_PIXELS))


def gain(known: Known, weights: Weights, device: str, too_far: float = TOO_FAR) -> float | None:
    """How much better (dB) than a spline the network brings back slices that are left out.

    None where there are too few, `too_far` times as far apart as in its training, or all of one value.
    """
    highest = weights.training.get("data", {}).get("highest_scale", math.inf)
    if not known.usable or known.distance > too_far * highest:
        return None
    errors = known.error(weights, device), known.error_of_spline
    return 10 * math.log10(errors[1] / errors[0]) if min(errors) > 0 else None
