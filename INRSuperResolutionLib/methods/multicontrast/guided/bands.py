"""Interleave bands: odd slices brighter than even ones, as scanners that excite them in turn make them.

A spline through the slice profile sharpens what changes from slice to slice, and takes bands for anatomy. So they are
found on the scan, taken out before anything is learned or sharpened, and put back as they were: never amplified.
"""

from __future__ import annotations

import numpy as np

from ....image.intensity import is_ct
from ....image.smooth import second_differences, smooth_tissue
from ....image.volume import Volume

# a band is believed as far as it stands out of its standard error by more than this; little harm is done by one that is
# none, as it is put back
CERTAIN = 1.0
# slices with fewer smooth voxels tell nothing
FEWEST_VOXELS = 50
# neighbours over which the strength of bands is averaged
NEIGHBOURS = 7
STRONGEST = 0.2


def slice_gains(volume: Volume) -> np.ndarray | None:
    """How much brighter than its surroundings each slice is, as a factor; None where no bands stand out.

    From smooth tissue: the median of each slice less the mean of its neighbours, as far as it changes sign from slice to
    slice; averaged over some slices, as the strength may change along the scan.
    """
    axis = volume.thick_axis
    if is_ct(volume.data) or volume.slice_positions is not None or volume.shape[axis] < NEIGHBOURS:
        return None
    values = np.moveaxis(volume.data, axis, 0)
    smooth = np.moveaxis(smooth_tissue(volume), axis, 0)
    steps, inside = second_differences(values, smooth)
    signs = np.where(np.arange(len(values)) % 2, -1.0, 1.0)
    found = np.full(len(values), np.nan)
    for n, (step, there) in enumerate(zip(steps, inside)):
        if there.sum() >= FEWEST_VOXELS:
            level = float(np.median(values[n + 1][there]))
            found[n + 1] = signs[n + 1] * float(np.median(step[there])) / level / 2 if level > 0 else np.nan
    known = np.isfinite(found)
    if known.sum() < NEIGHBOURS:
        return None
    mean, error = float(found[known].mean()), float(found[known].std() / known.sum() ** 0.5)
    certain = max(0.0, 1 - (CERTAIN * error / mean) ** 2) if mean else 0.0
    if certain == 0:
        return None
    window = np.ones(NEIGHBOURS)
    weight = np.convolve(known.astype(float), window, "same")
    local = np.convolve(np.where(known, found, 0.0), window, "same") / np.maximum(weight, 1)
    local = np.where(weight >= NEIGHBOURS // 2, local, mean)
    return 1 + signs * certain * np.clip(local, -STRONGEST, STRONGEST)


def without_bands(volume: Volume, gains: np.ndarray | None) -> Volume:
    """The scan with even slices."""
    if gains is None:
        return volume
    shape = [1, 1, 1]
    shape[volume.thick_axis] = -1
    return volume.replace(data=volume.data / gains.reshape(shape).astype(np.float32))


def gains_at(coordinates: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """The factors at fractional slice numbers, linearly between slices, float32."""
    return np.interp(coordinates, np.arange(len(gains)), gains).astype(np.float32)
