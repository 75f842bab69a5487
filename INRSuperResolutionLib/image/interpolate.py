"""B-spline sampling of a volume on any grid, with exact geometry.

Index space of a volume: voxel centres at whole numbers. A position up to one voxel beyond the
outermost centres takes the edge's value (half a voxel of it is field of view, the rest forgives
rounding of grids); farther out there is no data, and the volume's minimum is put there.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy import ndimage

from .grid import Grid
from .volume import Volume

TILE_VOXELS = 1 << 21


def basis_matrix(coordinates: np.ndarray, size: int, order: int) -> np.ndarray:
    """Values of `size` B-spline basis functions at `coordinates`, float64, shape (len(coordinates), size).

    Parameters
    ----------
    coordinates
        Fractional indices; those beyond [0, size − 1] take the edge's value.
    order
        0 nearest (a half goes up, as in ITK), 1 linear, 3 cubic with mirrored ends.
    """
    x = np.clip(np.asarray(coordinates, dtype=np.float64), 0, size - 1)
    base = np.floor(x + 0.5 if order == 0 else x).astype(int)
    t = x - base
    if order == 0:
        parts = {0: np.ones_like(t)}
    elif order == 1:
        parts = {0: 1 - t, 1: t}
    elif order == 3:
        parts = {-1: (1 - t) ** 3 / 6, 0: 2 / 3 - t**2 + t**3 / 2, 2: t**3 / 6}
        parts[1] = 1 - parts[-1] - parts[0] - parts[2]
    else:
        raise ValueError(f"spline order {order} is not 0, 1 or 3")
    basis = np.zeros((len(x), size))
    rows = np.arange(len(x))
    for offset, part in parts.items():
        index = np.abs(base + offset)  # mirrored about the first and the last centre
        index = np.where(index > size - 1, 2 * (size - 1) - index, index)
        np.add.at(basis, (rows, np.clip(index, 0, size - 1)), part)
    return basis


def weight_matrix(coordinates: np.ndarray, size: int, order: int) -> np.ndarray:
    """Weights that turn `size` samples into values at `coordinates`, float32; arguments as of :func:`basis_matrix`.

    For the cubic spline the prefilter is part of the weights, so it interpolates.
    """
    weights = basis_matrix(coordinates, size, order)
    return (weights @ cubic_prefilter(size) if order == 3 else weights).astype(np.float32)


@functools.cache
def cubic_prefilter(size: int) -> np.ndarray:
    """Samples → coefficients of the cubic spline through them, along one axis, float64, (size, size)."""
    return ndimage.spline_filter1d(np.eye(size), 3, axis=0, mode="mirror") if size > 1 else np.eye(1)


def is_identity(weights: np.ndarray) -> bool:
    """Whether these weights return the samples as they are."""
    return weights.shape[0] == weights.shape[1] and bool(np.allclose(weights, np.eye(len(weights)), atol=1e-6))


def apply_along(data: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    """`weights` (new, old) applied along one axis of `data`."""
    return np.moveaxis(np.tensordot(weights, data, axes=(1, axis)), 0, axis)


def axis_map(grid: Grid, affine: np.ndarray) -> list[tuple[int, np.ndarray]] | None:
    """How the axes of `grid` run along those of `affine`, if they do (to 1e-6 of a voxel).

    Returns for each axis of `affine`: the grid's axis that runs along it and the fractional
    indices of the grid's centres there. None for an oblique grid.
    """
    to_index = np.linalg.inv(affine) @ grid.affine
    linear = to_index[:3, :3]
    sources = []
    for row in range(3):
        column = int(np.argmax(np.abs(linear[row])))
        others = np.delete(np.abs(linear[row]) * np.array(grid.shape), column)
        if (others > 1e-6).any():
            return None
        sources.append(column)
    if sorted(sources) != [0, 1, 2]:
        return None
    return [(c, linear[row, c] * np.arange(grid.shape[c]) + to_index[row, 3]) for row, c in enumerate(sources)]


def shrinking_first(axes: list[tuple[int, np.ndarray]], shape: tuple[int, int, int]) -> list[int]:
    """The axes in the order in which to resample them: a tile of a few slices needs only those of a large volume."""
    return sorted(range(3), key=lambda axis: len(axes[axis][1]) / shape[axis])


def is_outside(coordinates: np.ndarray, size: int) -> np.ndarray:
    """Whether fractional indices are too far out to have data: more than a voxel beyond the centres."""
    return (coordinates < -1 - 1e-6) | (coordinates > size + 1e-6)


def index_coordinates(volume: Volume, grid: Grid) -> np.ndarray:
    """Fractional indices into `volume` of all centres of `grid`, float64, shape (3, i, j, k).

    The third one counts slices, also where these are unevenly spaced.
    """
    to_index = np.linalg.inv(volume.affine) @ grid.affine
    index = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float64) for n in grid.shape), indexing="ij"))
    coordinates = np.tensordot(to_index[:3, :3], index, axes=1) + to_index[:3, 3].reshape(3, 1, 1, 1)
    coordinates[2] = volume.slice_coordinate(coordinates[2])
    return coordinates


class Sampler:
    """A volume as a continuous function: the tensor-product B-spline through its samples.

    Parameters
    ----------
    volume
        The samples.
    order
        0 nearest, 1 linear, 3 cubic.
    """

    def __init__(self, volume: Volume, order: int) -> None:
        self.volume, self.order = volume, order
        self.fill = float(volume.data.min())
        self._coefficients: np.ndarray | None = None  # made at the first oblique grid

    def __call__(self, grid: Grid) -> np.ndarray:
        """Values at the centres of `grid`, float32, of its shape."""
        axes = axis_map(grid, self.volume.affine)
        return self._oblique(grid) if axes is None else self._separable(axes)

    def _separable(self, axes: list[tuple[int, np.ndarray]]) -> np.ndarray:
        values = self.volume.data
        outside = {}
        for axis in shrinking_first(axes, self.volume.shape):
            coordinates = axes[axis][1]
            if axis == 2:
                coordinates = self.volume.slice_coordinate(coordinates)
            size = self.volume.shape[axis]
            outside[axis] = is_outside(coordinates, size)
            weights = weight_matrix(coordinates, size, self.order)
            if not is_identity(weights):
                values = apply_along(values, weights, axis)
        if any(o.any() for o in outside.values()):
            values = values.copy()
            for axis, beyond in outside.items():
                np.moveaxis(values, axis, 0)[beyond] = self.fill
        # axis r of the values runs along the grid's axis sources[r]
        return np.ascontiguousarray(values.transpose(np.argsort([source for source, _ in axes])))

    def _oblique(self, grid: Grid) -> np.ndarray:
        if self._coefficients is None:
            data = self.volume.data
            self._coefficients = ndimage.spline_filter(data, 3, np.float32, "mirror") if self.order == 3 else data
        values = np.empty(grid.shape, np.float32)
        for box in grid.tiles(TILE_VOXELS):
            index = index_coordinates(self.volume, grid.crop(box))
            outside = np.zeros(index.shape[1:], bool)
            for axis, size in enumerate(self.volume.shape):
                outside |= is_outside(index[axis], size)
                np.clip(index[axis], 0, size - 1, out=index[axis])
            if self.order == 0:
                i, j, k = np.floor(index + 0.5).astype(int)
                tile = self._coefficients[i, j, k]
            else:
                tile = ndimage.map_coordinates(
                    self._coefficients, index, order=self.order, mode="mirror", prefilter=False
                )
            values[box] = np.where(outside, np.float32(self.fill), tile)
        return values


def resample(volume: Volume, grid: Grid, order: int = 3) -> Volume:
    """`volume` sampled at the centres of `grid` by a B-spline of `order` 0, 1 or 3."""
    return volume.replace(
        data=Sampler(volume, order)(grid),
        affine=grid.affine,
        slice_positions=None,
        slice_thickness=None,
        slice_axis=None,
    )
