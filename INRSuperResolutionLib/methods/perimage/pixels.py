"""The training samples of one image: a pixel, or a thick slice, is the mean of the field over its extent."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage, special
from torch import Tensor

from ...acquisition.forward_model import FWHM, SliceProfile
from ...image.interpolate import basis_matrix
from ...image.volume import Volume

# where nothing this near (in voxels) is above the lowest value, there is nothing to learn
REACH = 2
# parts of a voxel whose mean stands for it
FEWEST_PARTS, MOST_PARTS = 2, 4
COARSER = 1.1


class Frame:
    """Coordinates of the network: index positions of a volume, centred and divided by one length (mm).

    The longest side becomes [−1, 1]. An axis along which the samples are r times as far apart as along
    the finest one is shortened by √r: the network's band there is then between what the slices
    resolve and what the pixels do.

    Parameters
    ----------
    axes
        The axes of the volume that the network sees: two of them, or all three.
    """

    def __init__(self, volume: Volume, axes: Sequence[int]) -> None:
        self.axes = tuple(axes)
        spacing = np.array(volume.spacing)[list(axes)]
        finest = spacing.min()
        shape = np.array(volume.grid.shape)[list(axes)]
        self.pixels = float((shape * spacing).max() / finest)
        self.scale = 2 * np.sqrt(spacing * finest) / (self.pixels * finest)
        positions = [voxel_positions(volume, axis) for axis in axes]
        self.centre = np.array([(p[0] + p[-1]) / 2 for p in positions])

    def coordinates(self, positions: np.ndarray) -> np.ndarray:
        """Index positions (units of the affine's columns) of the axes → coordinates, float32; (n, dims) → (n, dims).

        A point's numbers lie side by side: products of other orders differ, by 2e-5, with where the memory begins.
        """
        return ((positions - self.centre) * self.scale).astype(np.float32, order="C")


def voxel_positions(volume: Volume, axis: int) -> np.ndarray:
    """Where the voxel centres lie along an axis, in units of the affine's column, float64."""
    if axis == 2 and volume.slice_positions is not None:
        return volume.slice_positions
    return np.arange(volume.shape[axis], dtype=np.float64)


def support(data: np.ndarray) -> np.ndarray:
    """Where there is something to learn, bool: not farther than two voxels from anything above the lowest value."""
    size = [min(2 * REACH + 1, 2 * n - 1) for n in data.shape]
    return ndimage.maximum_filter(data, size) > data.min()


def parts_of_voxels(volume: Volume, axes: Sequence[int], profile: SliceProfile, finest: float | None) -> dict[int, int]:
    """Into how many parts a voxel is cut along each axis on which it averages the field.

    Those on which the volume is coarser than the result (`finest`, mm). When that is not known: coarser
    than its own finest spacing, or all if none is.
    """
    if profile.kind == "none":
        return {}
    spacing = {axis: volume.spacing[axis] for axis in axes}
    target = finest if finest is not None else min(spacing.values())
    coarse = [axis for axis, s in spacing.items() if s > COARSER * target] or list(axes)
    if finest is None and len(axes) == 2:
        coarse = list(axes)  # a slice is restored in its plane
    return {a: int(np.clip(round(spacing[a] / target), FEWEST_PARTS, MOST_PARTS)) for a in coarse}


class Pixels:
    """Samples of an image of two or three axes.

    Parameters
    ----------
    data
        The image, of the axes of `frame`.
    volume
        What it was taken from: gives positions and slice extents.
    parts
        Of :func:`parts_of_voxels`.
    """

    def __init__(
        self, data: np.ndarray, volume: Volume, frame: Frame, parts: dict[int, int], profile: SliceProfile, device: str
    ) -> None:
        self.data, self.volume, self.frame, self.parts, self.profile = data, volume, frame, parts, profile
        self.shape = data.shape
        self.used = torch.from_numpy(np.flatnonzero(support(data)))
        index = np.stack(np.unravel_index(self.used.numpy(), data.shape), axis=1)
        positions = [voxel_positions(volume, axis)[i] for axis, i in zip(frame.axes, index.T)]
        self.centres = torch.from_numpy(frame.coordinates(np.stack(positions, axis=1))).to(device)
        offsets = [self._offsets(axis) for axis in frame.axes]
        # float32 (m, dims), in voxels; a slice's width may differ from slice to slice
        self.offsets = torch.tensor(list(itertools.product(*offsets)), dtype=torch.float32, device=device)
        widths = [self._widths(axis)[i] for axis, i in zip(frame.axes, index.T)]
        scaled = (np.stack(widths, axis=1) * frame.scale).astype(np.float32)
        self.widths = torch.from_numpy(scaled[:1] if (scaled == scaled[:1]).all() else scaled).to(device)

    def _offsets(self, axis: int) -> np.ndarray:
        """Positions within a voxel that stand for equal shares of it, in units of its width."""
        if axis not in self.parts:
            return np.zeros(1)
        middle = (np.arange(self.parts[axis]) + 0.5) / self.parts[axis]
        if self.profile.kind == "gaussian":
            return special.ndtri(middle) / FWHM
        return middle - 0.5

    def _widths(self, axis: int) -> np.ndarray:
        """Width of each voxel in units of the affine's column."""
        n = self.volume.shape[axis]
        steps = np.gradient(voxel_positions(self.volume, axis)) if n > 1 else np.ones(1)
        return self.volume.extent_of_slices(axis) * steps

    @property
    def is_volume(self) -> bool:
        """Whether the image has three axes."""
        return len(self.shape) == 3

    @property
    def parts_in_all(self) -> int:
        """Points that stand for one pixel."""
        return len(self.offsets)

    def points(self, chosen: Tensor) -> Tensor:
        """Coordinates of pixels given by their number in `used`; (n,) → (n · parts, dims)."""
        widths = self.widths if len(self.widths) == 1 else self.widths[chosen]
        points = self.centres[chosen][:, None] + self.offsets * widths[:, None]
        return points.flatten(0, 1)

    def spline_through(self, residual: np.ndarray) -> np.ndarray:
        """Samples of the cubic spline whose means over the pixels are `residual`; float32, same shape.

        Along axes on which pixels average nothing, and for uneven slices, the residual itself.
        """
        for n, axis in enumerate(self.frame.axes):
            even = axis != 2 or self.volume.slice_positions is None
            if axis not in self.parts or not even or residual.shape[n] == 1:
                continue
            size = residual.shape[n]
            centres = np.arange(size, dtype=np.float64)
            # wider than a voxel, slices cannot be taken apart
            width = min(float(self._widths(axis).mean()), 1.0)
            offsets = self._offsets(axis) * width
            means = sum(basis_matrix(centres + o, size, 3) for o in offsets) / len(offsets)
            sharpen = basis_matrix(centres, size, 3) @ np.linalg.inv(means)
            residual = np.moveaxis(np.tensordot(sharpen, residual, (1, n)), 0, n)
        return residual.astype(np.float32)
