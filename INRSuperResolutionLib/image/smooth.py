"""Tissue in which brightness changes little, where bands across the slices are seen best."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .intensity import foreground
from .volume import Volume

# this part of the tissue of a slice, where brightness changes least, is called smooth
SMOOTH_PART = 0.4


def smooth_tissue(source: Volume) -> np.ndarray:
    """Where the tissue of a scan is smooth: foreground, away from its border, with the least change; bool, its shape.

    Found from means of two neighbouring slices, so that bands have no part in it.
    """
    axis = source.thick_axis
    data = np.moveaxis(source.data, axis, 0)
    inside = np.moveaxis(foreground(source.data), axis, 0)
    inside = ndimage.binary_erosion(inside, np.ones((1, 5, 5)))
    padded = np.concatenate([data[:1], data, data[-1:]])
    paired = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    paired = ndimage.gaussian_filter(paired, (0, 1.5, 1.5))
    change = sum(np.square(np.gradient(paired, axis=a)) for a in (1, 2)) if min(data.shape[1:]) > 1 else paired * 0
    if data.shape[0] > 4:  # and across the slices, over two of them: bands cancel
        across = np.zeros_like(paired)
        across[2:-2] = (paired[4:] - paired[:-4]) / 4
        change = change + np.square(across)
    for there, changes in zip(inside, change):  # each slice has its own: all are needed
        if there.any():
            there &= changes <= np.quantile(changes[there], SMOOTH_PART)
    return np.moveaxis(inside, 0, axis)


def second_differences(values: np.ndarray, inside: np.ndarray, last: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Each slice less the mean of its neighbours, and where all three are `inside`; both (slices − 2, …).

    Without `last`, values beyond the last slice's centre are left out.
    """
    if not last:
        values, inside = values[:-1], inside[:-1] & inside[1:]
    if len(values) < 3:
        return np.zeros((0, *values.shape[1:])), np.zeros((0, *values.shape[1:]), bool)
    return values[1:-1] - (values[:-2] + values[2:]) / 2, inside[1:-1] & inside[:-2] & inside[2:]
