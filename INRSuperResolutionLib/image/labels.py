"""Segmentation priors: what class each voxel of an image belongs to, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from skimage.filters import threshold_multiotsu

from ..errors import InputError
from .grid import Grid
from .interpolate import axis_map, index_coordinates, resample
from .volume import Volume

MOST_CLASSES = 64
# a voxel that is coarser than the labels is looked at this often along an axis, at most
MOST_SUBSAMPLES = 6
# multi-Otsu stops where one more class explains less than this part of the variance
LEAST_GAIN = 0.02
AUTO_CLASSES = range(2, 7)
# brightness of the voxels that are padding or stripped: within this part of the lowest value
EMPTY = 1e-3


@dataclass(frozen=True, eq=False)
class Prior:
    """Class probabilities at the voxels of an image.

    Parameters
    ----------
    values
        The label value of each class, rising; what a super-resolved label map is written with.
    probabilities
        float32, (classes, i, j, k) on the image's voxels, summing to 1 over the classes.
    """

    values: tuple[int, ...]
    probabilities: np.ndarray

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.values)


def make_prior(labels: Sequence[Volume], image: Volume) -> Prior:
    """The prior of one label map, of several probability maps, or (none given) of the image alone."""
    if not labels:
        return automatic_prior(image)
    return prior_of_label_map(labels[0], image) if len(labels) == 1 else prior_of_maps(labels, image)


def prior_of_label_map(labels: Volume, image: Volume) -> Prior:
    """The prior that a label map on any grid gives: for each voxel, the share of each label in it.

    What the label map does not cover belongs to label 0.

    Raises
    ------
    InputError
        If the values are no labels, are too many, or nothing of the map lies in the image.
    """
    # ranks instead of numbers: those of some atlases are too large for float32
    found, rank = np.unique(labels.data if labels.exact is None else labels.exact, return_inverse=True)
    if not np.array_equal(found, np.round(found)) or found[0] < 0:
        odd = next(v for v in found if v != round(v) or v < 0)
        raise InputError(
            f"{labels.name}: {odd:g} is no label", "Give whole numbers from 0; give probability maps as several volumes"
        )
    parts = (1, 1, 1)
    numbers = [0, *(int(v) for v in found if v != 0)]  # what lies outside the map is 0
    if found[0] != 0:
        rank = rank + 1
    labels = labels.replace(data=rank.reshape(labels.shape))
    here = labels.data
    if labels.shape != image.shape or not np.allclose(labels.affine, image.affine, atol=1e-4):
        here, parts = _inside_voxels(labels, image, order=0)
    values = np.unique(here)
    if len(values) > MOST_CLASSES:
        raise InputError(
            f"{labels.name} has {len(values)} labels in this image, at most {MOST_CLASSES} can be used",
            "Merge them, for instance to tissue classes",
        )
    if not here.any():
        raise InputError(
            f"{labels.name}: no label but 0 lies in {image.name}", "Check that both show the same region, or use auto"
        )
    probabilities = np.stack([_means(here == v, parts) for v in values])
    return Prior(tuple(numbers[int(v)] for v in values), probabilities)


def prior_of_maps(maps: Sequence[Volume], image: Volume) -> Prior:
    """The prior that soft probability maps give (0–1, percent or 0–255): classes 1, 2, … and, for the rest, 0.

    Raises
    ------
    InputError
        If values are negative or above 255, or nothing of the maps lies in the image.
    """
    top = max(float(m.data.max()) for m in maps)
    for m in maps:
        if m.data.min() < 0 or top > 255:
            raise InputError(
                f"{m.name}: {m.data.min():g} to {m.data.max():g} are no probabilities", "Give 0–1, percent or 0–255"
            )
    full = next(limit for limit in (1.0, 100.0, 255.0) if top <= limit)
    shares = []
    for m in maps:
        # a cubic spline would overshoot
        values, parts = _inside_voxels(m, image, order=1)
        shares.append(_means(values / full, parts))
    stacked = np.stack(shares)
    if not stacked.any():
        raise InputError(f"{maps[0].name}: the maps are 0 in {image.name}", "Check that both show the same region")
    stacked /= np.maximum(1, stacked.sum(axis=0))  # rounding may have made it a little more than 1
    rest = 1 - stacked.sum(axis=0, keepdims=True)
    return Prior(tuple(range(len(maps) + 1)), np.concatenate([rest, stacked]).astype(np.float32))


def automatic_prior(image: Volume) -> Prior:
    """Tissue classes from the image alone: multi-Otsu thresholds (Liao et al. 2001) of what is not empty.

    Two to six classes: as many as each explain at least another 2 % of the variance of the
    intensities. Padding and stripped background (the lowest value) is a class of its own.
    """
    data = image.data
    top = float(np.percentile(data, 99.9))
    low = float(data.min())
    inside = data > low + EMPTY * (top - low)
    empty = 1 - inside.mean() > 0.005
    values = np.minimum(data, np.percentile(data[inside], 99.9))
    seen = values[inside] if empty else values.ravel()
    labels = np.digitize(values, _thresholds(seen))
    if empty:
        labels = np.where(inside, labels + 1, 0)
    found = np.unique(labels)
    return Prior(tuple(int(v) for v in found), np.stack([(labels == v).astype(np.float32) for v in found]))


def _thresholds(values: np.ndarray) -> np.ndarray:
    """Multi-Otsu thresholds for as many classes as explain something."""
    best: np.ndarray | None = None
    left = 1.0
    for classes in AUTO_CLASSES:
        try:
            thresholds = threshold_multiotsu(values, classes=classes, nbins=128)
        except ValueError:  # fewer grey values than classes
            break
        part = np.digitize(values, thresholds)
        within = sum(float(values[part == c].var()) * float((part == c).mean()) for c in np.unique(part))
        remains = within / float(values.var())
        if best is not None and left - remains < LEAST_GAIN:
            break
        best, left = thresholds, remains
    return np.zeros(0) if best is None else best


def _inside_voxels(source: Volume, image: Volume, order: int) -> tuple[np.ndarray, tuple[int, int, int]]:
    """`source` at points inside each voxel of `image`, 0 where it has none; and how many points along each axis."""
    i, j, k = (int(np.clip(round(a / min(source.spacing)), 1, MOST_SUBSAMPLES)) for a in image.spacing)
    if image.slice_positions is None:
        grids = [Grid(image.shape, image.affine)]
    else:
        grids, k = [image.slice_grid(n) for n in range(image.shape[2])], 1
    values = []
    for grid in grids:
        fine = grid.scaled((i, j, k))
        values.append(resample(source, fine, order).data * _inside(source, fine))
    return np.concatenate(values, axis=2), (i, j, k)


def _inside(volume: Volume, grid: Grid) -> np.ndarray:
    """Whether the centres of `grid` lie in the field of view of `volume` (to half a voxel), bool."""
    axes = axis_map(grid, volume.affine)
    if axes is not None:
        parts = [(c > -0.5 - 1e-6) & (c < n - 0.5 + 1e-6) for (_, c), n in zip(axes, volume.shape)]
        inside = parts[0][:, None, None] & parts[1][:, None] & parts[2]
        return inside.transpose(np.argsort([source for source, _ in axes]))
    index = index_coordinates(volume, grid)
    return np.logical_and.reduce([(c > -0.5 - 1e-6) & (c < n - 0.5 + 1e-6) for c, n in zip(index, volume.shape)])


def _means(values: np.ndarray, parts: tuple[int, int, int]) -> np.ndarray:
    """Means over blocks of `parts` voxels, float32."""
    i, j, k = (n // p for n, p in zip(values.shape, parts))
    blocks = values.astype(np.float32).reshape(i, parts[0], j, parts[1], k, parts[2])
    return blocks.mean(axis=(1, 3, 5))
