"""A plane in a volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# an axis of a plane runs along one of the volume if it strays from it by less than this, in voxels over the whole plane
STRAY = 1e-5


@dataclass(frozen=True)
class Plane:
    """A lattice of points in a volume: first + r · down + c · across, in fractional voxel indices.

    Parameters
    ----------
    first, down, across
        (3,) each.
    shape
        Rows and columns.
    """

    first: np.ndarray
    down: np.ndarray
    across: np.ndarray
    shape: tuple[int, int]

    @classmethod
    def of(cls, to_index: np.ndarray, columns: int, rows: int) -> Plane:
        """Of a matrix (4, 4) that takes (column, row, 0, 1) to indices."""
        return cls(to_index[:3, 3], to_index[:3, 1], to_index[:3, 0], (rows, columns))

    def along(self, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Index along an axis of the volume: what each row and what each column adds; their sum is the index."""
        rows, columns = self.shape
        return self.first[axis] + self.down[axis] * np.arange(rows), self.across[axis] * np.arange(columns)

    def depends(self, axis: int) -> tuple[bool, bool]:
        """Whether the index along an axis changes from row to row, and from column to column."""
        return (
            abs(self.down[axis]) * self.shape[0] > STRAY,
            abs(self.across[axis]) * self.shape[1] > STRAY,
        )

    def range(self, axis: int, size: int) -> tuple[float, float]:
        """The lowest and highest index along an axis of the volume, within it."""
        rows, columns = self.along(axis)
        low, high = rows.min() + columns.min(), rows.max() + columns.max()
        return float(np.clip(low, 0, size - 1)), float(np.clip(high, 0, size - 1))

    def crop(self, rows: slice, columns: slice) -> Plane:
        """A part of it."""
        first = self.first + rows.start * self.down + columns.start * self.across
        return Plane(first, self.down, self.across, (rows.stop - rows.start, columns.stop - columns.start))

    def turned(self) -> Plane:
        """With rows and columns exchanged."""
        return Plane(self.first, self.across, self.down, self.shape[::-1])
