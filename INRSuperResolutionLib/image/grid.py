"""Sampling grids: where voxel centres lie in the patient.

World convention of the whole library: **RAS millimetres** (as NIfTI and Slicer), float64. An index
``(i, j, k)`` is the centre of a voxel; ``affine`` takes it to the world. Files in LPS (ITK, DICOM)
are turned once, in :mod:`itk`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..errors import InputError

# cosine between axes up to which they count as at right angles
RIGHT_ANGLE = 1e-4

Triple = tuple[float, float, float]
Shape = tuple[int, int, int]
# a volume whose slices are this much further apart than its pixels was acquired slice by slice
THICK_RATIO = 1.5
# a volume is coarser than a grid along an axis if its step is longer by this factor
COARSER = 1.1


def as_triple(values: float | Sequence[float], what: str) -> Triple:
    """One number or three, all positive and finite, as a triple; `what` names them in the error."""
    numbers = [float(v) for v in np.atleast_1d(np.asarray(values, dtype=np.float64))]
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or not all(math.isfinite(v) and v > 0 for v in numbers):
        raise InputError(
            f"{what} {' '.join(f'{v:g}' for v in numbers)} is not valid",
            "Give one positive number, or three (one for each axis of the input)",
        )
    return numbers[0], numbers[1], numbers[2]


def count_centres(extent: float) -> int:
    """How many unit voxels start at the edge of `extent` and have their centre inside it; at least one.

    A centre on the far edge itself (to 1e-6) is outside. Never a bare floor of the extent: 11.85
    voxels become 12, 12.05 become 12.
    """
    return max(1, math.ceil(extent - 0.5 - 1e-6))


def is_orthogonal(affine: np.ndarray) -> bool:
    """Whether the axes of an affine are at right angles, as far as a file tells them."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() <= RIGHT_ANGLE)


def check_orthogonal(affine: np.ndarray, name: str) -> None:
    """Raise InputError unless the axes are at right angles: viewers take the slices of a DICOM series for a box."""
    if not is_orthogonal(affine):
        raise InputError(
            f"{name}: a grid with oblique axes cannot be written as DICOM", "Choose another grid, or NIfTI"
        )


class Lattice(Protocol):
    """What has voxels in the patient: a grid, or a volume."""

    @property
    def affine(self) -> np.ndarray:
        """Index → RAS mm."""

    @property
    def spacing(self) -> Triple:
        """Millimetres from one voxel centre to the next."""


class HasGrid(Protocol):
    """What has a grid: a volume, or what is remembered of one."""

    @property
    def grid(self) -> Grid:
        """Its grid."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular lattice of voxel centres.

    Parameters
    ----------
    shape
        Voxels along the axes i, j, k.
    affine
        float64, 4 × 4: index → RAS millimetres. Oblique, left-handed, sheared and anisotropic
        affines are all valid; it must be invertible.
    """

    shape: Shape
    affine: np.ndarray

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise InputError(f"an affine of shape {affine.shape} is not a finite 4 × 4 matrix")
        scale = np.prod(np.linalg.norm(affine[:3, :3], axis=0))
        if abs(np.linalg.det(affine[:3, :3])) <= 1e-6 * scale:
            raise InputError("the voxel axes of the affine lie in one plane", "Repair the header of the image")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise InputError(f"a grid of shape {self.shape} has no voxels")

    @classmethod
    def like(cls, other: Grid | HasGrid) -> Grid:
        """The grid of a volume; for slices at uneven positions, the even grid over the same extent."""
        return other if isinstance(other, Grid) else other.grid

    @property
    def spacing(self) -> Triple:
        """Millimetres from one voxel centre to the next, along i, j, k."""
        a, b, c = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(a), float(b), float(c)

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    def scaled(self, factor: float | Sequence[float]) -> Grid:
        """The grid with `factor` times as many voxels along each axis, the first outer edges kept.

        New centres lie at (i + 0.5) / F − 0.5 of the old index. Along each axis, the voxels whose
        centre is inside the old extent are made.
        """
        factors = np.array(as_triple(factor, "the scale"))
        affine = self.affine.copy()
        affine[:3, :3] /= factors
        affine[:3, 3] += self.affine[:3, :3] @ (0.5 / factors - 0.5)
        i, j, k = (count_centres(n * f) for n, f in zip(self.shape, factors))
        return Grid((i, j, k), affine)

    def with_spacing(self, spacing: float | Sequence[float]) -> Grid:
        """The grid with this spacing (mm) and the same orientation and centre.

        Along each axis, as many voxels as have their centre inside the old extent when the first
        one touches its edge; what does not divide is shared between both ends.
        """
        wanted = np.array(as_triple(spacing, "the spacing"))
        step = wanted / np.array(self.spacing)  # in old voxels
        shape = [count_centres(n / s) for n, s in zip(self.shape, step)]
        affine = self.affine.copy()
        affine[:3, :3] *= step
        first = (np.array(self.shape) - 1) / 2 - step * (np.array(shape) - 1) / 2
        affine[:3, 3] += self.affine[:3, :3] @ first
        return Grid((shape[0], shape[1], shape[2]), affine)

    def isotropic(self) -> Grid:
        """The grid at its finest spacing along all axes."""
        return self.with_spacing(min(self.spacing))

    def world_to_index(self) -> np.ndarray:
        """float64, 4 × 4: RAS millimetres → index."""
        return np.linalg.inv(self.affine)

    def orthogonal(self) -> Grid:
        """The grid at right angles that covers this one: i keeps its direction, j its plane, and k is their normal.

        The distances of rows, columns and planes are kept; a grid at right angles is returned as it is.
        """
        first, second, third = self.affine[:3, :3].T
        if is_orthogonal(self.affine):
            return self
        i = first / np.linalg.norm(first)
        j = second - (second @ i) * i
        k = np.cross(i, j)
        k *= np.sign(k @ third)
        axes = np.column_stack([i, j / np.linalg.norm(j), k / np.linalg.norm(k)])
        spacing = np.array([first @ axes[:, 0], second @ axes[:, 1], third @ axes[:, 2]])
        ends = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in self.shape])).reshape(3, -1)
        seen = axes.T @ (self.affine[:3, :3] @ ends + self.affine[:3, 3:])
        low, high = seen.min(axis=1), seen.max(axis=1)
        shape = [math.ceil(n - 1e-6) for n in (high - low) / spacing]
        affine = np.eye(4)
        affine[:3, :3] = axes * spacing
        affine[:3, 3] = axes @ ((low + high) / 2 - spacing * (np.array(shape) - 1) / 2)
        return Grid((shape[0], shape[1], shape[2]), affine)

    def centres(self) -> np.ndarray:
        """World positions (mm) of all voxel centres, float64, shape (i, j, k, 3)."""
        index = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float64) for n in self.shape), indexing="ij"), -1)
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]

    def crop(self, box: tuple[slice, slice, slice]) -> Grid:
        """The part of the grid inside `box` (slices with start and stop, no step)."""
        start = np.array([s.start for s in box], dtype=np.float64)
        affine = self.affine.copy()
        affine[:3, 3] += self.affine[:3, :3] @ start
        return Grid((box[0].stop - box[0].start, box[1].stop - box[1].start, box[2].stop - box[2].start), affine)

    def slabs(self, axis: int, max_voxels: int) -> Iterator[tuple[slice, slice, slice]]:
        """Boxes of whole planes across `axis`, at least one and at most about `max_voxels` voxels, that cover the grid once."""
        thick = max(1, max_voxels // (self.size // self.shape[axis]))
        for start in range(0, self.shape[axis], thick):
            box = [slice(0, n) for n in self.shape]
            box[axis] = slice(start, min(start + thick, self.shape[axis]))
            yield box[0], box[1], box[2]

    def tiles(self, max_voxels: int) -> Iterator[tuple[slice, slice, slice]]:
        """Boxes of at most about `max_voxels` voxels that together cover the grid once.

        The longest axis is cut first, so that tiles stay slab-like and the other axes whole.
        """
        lengths = list(self.shape)
        while math.prod(lengths) > max_voxels and max(lengths) > 1:
            longest = lengths.index(max(lengths))
            lengths[longest] = math.ceil(lengths[longest] / 2)
        starts = [range(0, n, step) for n, step in zip(self.shape, lengths)]
        for i in starts[0]:
            for j in starts[1]:
                for k in starts[2]:
                    corner = (i, j, k)
                    a, b, c = (slice(s, min(s + d, n)) for s, d, n in zip(corner, lengths, self.shape))
                    yield a, b, c


def coarse_axes(lattice: Lattice, grid: Grid) -> tuple[int, ...]:
    """The axes of a volume or grid along which it is coarser (by a tenth) than `grid` in the same direction."""
    directions = lattice.affine[:3, :3] / np.linalg.norm(lattice.affine[:3, :3], axis=0)
    steps = grid.affine[:3, :3]
    axes = []
    for axis in range(3):
        along = np.abs(directions[:, axis] @ steps) / np.array(grid.spacing)
        if lattice.spacing[axis] > COARSER * grid.spacing[int(np.argmax(along))]:
            axes.append(axis)
    return tuple(axes)


def clearly_thick_axis(spacing: Sequence[float]) -> int | None:
    """The axis across slices that are clearly thicker than their pixels; None where voxels are about as long along all."""
    axis = int(np.argmax(spacing))
    return axis if spacing[axis] > THICK_RATIO * sorted(spacing)[1] else None
