"""Which axis lies across the acquired slices."""

from __future__ import annotations

from ..image.grid import Grid, coarse_axes
from ..image.volume import Volume

# spacings that differ by less than this factor are of equal rank: neither says which of the axes is across the slices
EQUAL_RANK = 1.1


def slice_axis(volume: Volume, grid: Grid | None = None) -> int:
    """The axis across the slices of `volume`; the other two are their plane.

    As the header tells (a DICOM series: k), or the axis with a single voxel, or the one that is clearly the coarsest.
    Where two or three are equally coarse, spacing alone does not tell, as after in-plane thinning (2 × 2 × 1 mm): then
    it is the one axis that `grid`, the grid of the result, does not refine; without such a grid the odd one out,
    as pixels are square.
    """
    if volume.slice_axis is not None:
        return volume.slice_axis
    single = [axis for axis in range(3) if volume.shape[axis] == 1]
    if single:
        return volume.thick_axis if volume.thick_axis in single else single[-1]
    if volume.slice_thickness is not None or volume.slice_positions is not None:
        return 2
    coarsest = max(volume.spacing)
    coarse = [axis for axis in range(3) if volume.spacing[axis] * EQUAL_RANK >= coarsest]
    if len(coarse) == 1:
        return coarse[0]
    refined = () if grid is None else coarse_axes(volume, grid)
    if len(refined) == 2:
        return next(axis for axis in range(3) if axis not in refined)
    if len(coarse) == 2:
        return next(axis for axis in range(3) if axis not in coarse)
    return refined[0] if len(refined) == 1 else volume.thick_axis
