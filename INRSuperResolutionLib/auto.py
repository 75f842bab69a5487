"""The method ``auto``: which one suits these scans, from how they lie and what is wanted of them.

What the images themselves say (how well each method brings back what is left out of a scan) is asked where the
chosen method compares several (:mod:`methods.combined`). Needs no package, so that a panel can recommend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .image.grid import Grid, clearly_thick_axis, coarse_axes

AUTO = "auto"
# slices whose directions differ by less than this (cosine) are thick in the same direction
SAME_DIRECTION = 0.7


@dataclass(frozen=True)
class Choice:
    """A method, and why it was chosen."""

    method: str
    why: str
    """A sentence for the user."""


def choose(scans: Sequence[Grid], wanted: Grid | None = None, labels: bool = False) -> Choice:
    """The method for scans of one patient.

    Parameters
    ----------
    scans
        Their grids.
    wanted
        The grid of the (first) result; None for an isotropic one.
    labels
        Whether a segmentation is given.
    """
    if labels:
        return Choice("seco", "a segmentation is given, and this method is guided by it")
    first = scans[0]
    finer = coarse_axes(first, wanted or first.isotropic())
    thick = [clearly_thick_axis(scan.spacing) for scan in scans]
    if len(scans) == 1 and not finer and wanted is not None:
        return Choice(
            "cubic", "the wanted voxels are no smaller than those of the scan, so that nothing is to be restored"
        )
    in_plane = thick[0] is not None and finer and thick[0] not in finer
    if in_plane or all(axis is None for axis in thick):
        return Choice("nexpr", "the plane of the slices is to become finer, or the scan is as fine across its slices")
    directions = [axis_direction(scan, axis) for scan, axis in zip(scans, thick)]
    known = [d for d in directions if d is not None]
    crossed = any(abs(float(a @ b)) < SAME_DIRECTION for a in known for b in known)
    if len(scans) > 1 and (crossed or len(known) < len(scans)):
        return Choice(
            "multicontrast",
            "the scans have thick slices in different directions, so that each shows what another misses",
        )
    if len(scans) > 1:
        return Choice("combined", "all scans have thick slices in the same direction")
    return Choice("combined", "it is one scan with thick slices")


def axis_direction(grid: Grid, axis: int | None) -> np.ndarray | None:
    """The direction of an axis in the patient, length 1; None for no axis."""
    return None if axis is None else grid.affine[:3, axis] / grid.spacing[axis]
