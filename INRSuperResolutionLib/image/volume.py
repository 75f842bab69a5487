"""An image in the patient."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from .grid import Grid

# float32 holds all whole numbers up to this
EXACT_IN_FLOAT32 = 1 << 24


def whole_numbers(data: np.ndarray) -> np.ndarray | None:
    """`data` as exact integers, where float32 would round some of them; else None."""
    if data.dtype.kind not in "iuf" or data.dtype.itemsize < 4 or data.dtype == np.float32 or not data.size:
        return None
    low, high = data.min(), data.max()
    if not (high > EXACT_IN_FLOAT32 or low < -EXACT_IN_FLOAT32):
        return None
    if data.dtype.kind in "iu":
        return data.astype(data.dtype.newbyteorder("="), copy=False)
    # a float64 label map; above 2^53 it has rounded them itself
    if max(abs(low), abs(high)) > 1 << 53 or not np.array_equal(data, np.rint(data)):
        return None
    return data.astype(np.int64)


def three_axes(data: np.ndarray, name: str) -> np.ndarray:
    """`data` with the axes i, j, k; raises InputError for more axes than a volume has. `name` is for messages."""
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim == 2:
        data = data[..., None]
    if data.ndim != 3:
        raise InputError(f"{name} has {data.ndim} axes {data.shape}", "Split it into 3D volumes")
    return data


@dataclass(frozen=True, eq=False)
class Volume:
    """A scalar image with its place in the patient.

    Parameters
    ----------
    data
        float32, indexed ``[i, j, k]`` (the order of NIfTI, nibabel and of Slicer's IJK; the reverse
        of a SimpleITK array).
    affine
        float64, 4 × 4: index → **RAS** millimetres.
    slice_positions
        Where the slices of axis k lie, when they are not evenly spaced: position of slice k along
        the third column of `affine`, in units of it (so `arange` would be the even case); strictly
        increasing. None for evenly spaced slices.
    slice_thickness
        Thickness of the slices in mm, one number or one for each slice, if the file or the user tells.
        Else None, and a slice is taken to reach half-way to its neighbours.
    dtype
        The type of the file's values; the results of this volume are written in it when its grey
        levels are fine enough (see :func:`files.output_dtype`).
    name
        What to call it in messages.
    exact
        The file's whole numbers, of the shape of `data`, where float32 cannot tell them apart (label numbers
        above 2²⁴ of some atlases); else None. :meth:`replace` drops them with the data that they belong to.
    codes
        qform and sform code of a NIfTI file: which space its coordinates mean. Results keep them.
    warnings
        What the reader found odd but could read: sentences for the user.
    slice_axis
        The axis across the slices, where it is known; None where it must be seen from the spacing. A slice
        thickness belongs to this axis; to k where it is None.
    mark
        What its file says of how it was made, if it was made here (:mod:`mark`).
    """

    data: np.ndarray
    affine: np.ndarray
    slice_positions: np.ndarray | None = None
    slice_thickness: float | np.ndarray | None = None
    dtype: np.dtype = np.dtype(np.float32)
    name: str = "volume"
    exact: np.ndarray | None = None
    codes: tuple[int, int] | None = None
    warnings: tuple[str, ...] = ()
    slice_axis: int | None = None
    mark: str = ""

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):  # infinity is told of by who reads
            data = np.asarray(self.data, dtype=np.float32)
        if data.ndim != 3 or data.size == 0:
            raise InputError(f"{self.name}: an array of shape {data.shape} is not a volume", "Give three axes")
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "affine", Grid(data.shape, self.affine).affine)
        object.__setattr__(self, "dtype", np.dtype(self.dtype).newbyteorder("="))
        if self.slice_positions is not None:
            positions = np.array(self.slice_positions, dtype=np.float64)
            if positions.shape != (data.shape[2],) or not (np.diff(positions) > 0).all():
                raise InputError(f"{self.name}: slice positions must rise, one for each of {data.shape[2]} slices")
            object.__setattr__(self, "slice_positions", positions)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j, k."""
        i, j, k = self.data.shape
        return i, j, k

    @property
    def grid(self) -> Grid:
        """Its grid; for unevenly spaced slices, the even grid (unit `affine`) over the same extent."""
        if self.slice_positions is None:
            return Grid(self.shape, self.affine)
        z = self.slice_positions
        low, high = z[0] - (z[1] - z[0]) / 2, z[-1] + (z[-1] - z[-2]) / 2
        affine = self.affine.copy()
        affine[:3, 3] += self.affine[:3, 2] * (low + 0.5)
        return Grid((self.shape[0], self.shape[1], max(1, round(high - low))), affine)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres between voxel centres along i, j, k (the median step for uneven slices)."""
        return Grid(self.shape, self.affine).spacing

    def slice_grid(self, k: int) -> Grid:
        """The grid of slice k alone, at its true position."""
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, 2] * (k if self.slice_positions is None else self.slice_positions[k])
        return Grid((self.shape[0], self.shape[1], 1), affine)

    @property
    def thick_axis(self) -> int:
        """The coarsest axis; among those alike (to 1 %), the one across the slices, if it is known, else k."""
        spacing = np.array(self.spacing)
        for axis in (self.slice_axis, 2):
            if axis is not None and spacing[axis] >= 0.99 * spacing.max():
                return axis
        return int(np.argmax(spacing))

    def replace(self, **changes: object) -> Volume:
        """A copy with some fields changed."""
        if "data" in changes:
            changes.setdefault("exact", None)
        return replace(self, **changes)  # type: ignore[arg-type]

    def slice_coordinate(self, k: np.ndarray) -> np.ndarray:
        """Fractional slice number at position `k` (units of the affine's third column).

        Between two slices it runs linearly; beyond the ends it goes on with the last step.
        """
        if self.slice_positions is None:
            return k
        z, n = self.slice_positions, self.shape[2]
        inner = np.interp(k, z, np.arange(n, dtype=np.float64))
        inner = np.where(k < z[0], (k - z[0]) / (z[1] - z[0]), inner)
        return np.where(k > z[-1], n - 1 + (k - z[-1]) / (z[-1] - z[-2]), inner)

    def extent_of_slices(self, axis: int = 2) -> np.ndarray:
        """Width of each slice along `axis` in units of the fractional slice number, float64, as many as there are.

        1 for slices that just touch; below 1 with a gap, above 1 when they overlap. 1 along axes that lie in the
        plane of the slices.
        """
        n = self.shape[axis]
        if self.slice_thickness is None or axis != (2 if self.slice_axis is None else self.slice_axis):
            return np.ones(n)
        # the thickness is measured across the slice; with a tilted gantry the step along k is longer
        normal = np.cross(self.affine[:3, (axis + 1) % 3], self.affine[:3, (axis + 2) % 3])
        across = abs(float(self.affine[:3, axis] @ normal)) / float(np.linalg.norm(normal))
        uneven = axis == 2 and self.slice_positions is not None
        positions = np.asarray(self.slice_positions) if uneven else np.arange(n, dtype=np.float64)
        step = np.gradient(positions) * across if n > 1 else np.full(n, across)
        return np.broadcast_to(np.asarray(self.slice_thickness, dtype=np.float64), (n,)) / step
