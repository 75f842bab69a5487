"""How much the noise differs from slice to slice: the measure SNLI of CycleINR.

Made slices that are smoother than the measured ones are seen as lines across the slices. Needs PyWavelets, an extra.
"""

from __future__ import annotations

import warnings

import numpy as np

from ..errors import MissingError

# slices with less of the patient than this part of their area are not looked at
FULL_ENOUGH = 0.1


def slice_noise(data: np.ndarray, inside: np.ndarray, axis: int) -> np.ndarray:
    """Noise level of each slice: the wavelet-based estimate of Donoho & Johnstone (1994).

    Estimated in the middle half of the patient's bounding box, so that flat background does not count.

    Parameters
    ----------
    data
        float32, (i, j, k).
    inside
        Where the patient is, bool.
    axis
        The axis across the slices.

    Returns
    -------
    float64, (slices,), in units of `data`; NaN for slices with little of the patient.

    Raises
    ------
    MissingError
        If PyWavelets is not installed.
    """
    from skimage.restoration import estimate_sigma

    slices, seen = np.moveaxis(data, axis, 0), np.moveaxis(inside, axis, 0)
    box = []
    for other in (1, 2):
        there = np.flatnonzero(seen.any(axis=tuple(a for a in range(3) if a != other)))
        if len(there) == 0:
            return np.full(len(slices), np.nan)
        quarter = (there[-1] + 1 - there[0]) // 4
        box.append(slice(there[0] + quarter, there[-1] + 1 - quarter))
    found = np.full(len(slices), np.nan)
    for k in np.flatnonzero(seen.mean(axis=(1, 2)) > FULL_ENOUGH):
        region = slices[k][box[0], box[1]]
        if np.ptp(region) == 0:  # nothing to estimate from
            continue
        try:
            with warnings.catch_warnings():  # an image of three columns is no colour image
                warnings.filterwarnings("ignore", message="image is size", category=UserWarning)
                found[k] = estimate_sigma(region)
        except ImportError as error:
            raise MissingError("PyWavelets is not installed", "pip install PyWavelets") from error
    return found


def snli(data: np.ndarray, inside: np.ndarray, axis: int, span: float) -> float:
    """Slice-wise noise level inconsistency (Fang et al., Eq. 10): standard deviation of :func:`slice_noise` over the slices.

    In percent of `span`, the range of the image. NaN where there are no slices to look at.
    """
    return inconsistency(slice_noise(data, inside, axis), span)


def inconsistency(noise: np.ndarray, span: float) -> float:
    """:func:`snli` of what :func:`slice_noise` found."""
    noise = noise[np.isfinite(noise)]
    return float(100 * noise.std() / span) if len(noise) else float("nan")
