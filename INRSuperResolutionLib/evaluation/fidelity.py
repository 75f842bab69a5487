"""Visual information fidelity (VIF) in the pixel domain.

Sheikh & Bovik 2006 (Image information and visual quality, IEEE TIP 15(2)), in the multi-scale form for pixels that the
authors published with it: a patch of the reference is Gaussian; the result is it times a gain, plus noise; the eye adds noise to both.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import correlate1d

from .planes import planes

SCALES = 4
# variance of the eye's noise, for grey levels from 0 to 255 (the authors' value)
EYE_NOISE = 2.0
GREY_LEVELS = 255.0
SMALLEST = 1e-10
# fewer pixels leave nothing of the coarsest scale
FEWEST_PIXELS = 41


def visual_information(result: np.ndarray, reference: np.ndarray) -> float:
    """VIF of one picture: 1 for the reference itself, 0 where nothing of it is left, above 1 for more contrast.

    Parameters
    ----------
    result, reference
        (rows, columns), in grey levels from 0 to 255.

    Returns
    -------
    NaN for pictures of less than 41 pixels along an axis, and where the reference holds no information.
    """
    if min(reference.shape) < FEWEST_PIXELS:
        return float("nan")
    kept = there = 0.0
    a, b = (np.asarray(image, np.float64) for image in (reference, result))
    for scale in range(SCALES):
        size = 2 ** (SCALES - scale) + 1
        if scale:
            a, b = (_blurred(image, size)[::2, ::2] for image in (a, b))
        mean_a, mean_b = _blurred(a, size), _blurred(b, size)
        var_a = np.maximum(_blurred(a * a, size) - mean_a**2, 0)
        var_b = np.maximum(_blurred(b * b, size) - mean_b**2, 0)
        both = _blurred(a * b, size) - mean_a * mean_b
        gain = np.where((var_a < SMALLEST) | (var_b < SMALLEST), 0, both / (var_a + SMALLEST))
        gain = np.maximum(gain, 0)
        noise = np.maximum(np.where(gain > 0, var_b - gain * both, var_b), SMALLEST)
        var_a = np.where(var_a < SMALLEST, 0, var_a)
        kept += float(np.log10(1 + gain**2 * var_a / (noise + EYE_NOISE)).sum())
        there += float(np.log10(1 + var_a / EYE_NOISE).sum())
    return kept / there if there > 0 else float("nan")


def _blurred(image: np.ndarray, size: int) -> np.ndarray:
    """A Gaussian window of `size` pixels, σ = size / 5, where all of it lies in the image."""
    at = np.arange(size) - size // 2
    window = np.exp(-(at**2) / (2 * (size / 5) ** 2))
    window /= window.sum()
    inner = slice(size // 2, -(size // 2))
    return correlate1d(correlate1d(image, window, 0, mode="constant"), window, 1, mode="constant")[inner, inner]


def volume_information(result: np.ndarray, reference: np.ndarray, mask: np.ndarray, axis: int) -> float:
    """Mean VIF over the slices across an axis, in the box of the mask.

    Parameters
    ----------
    result, reference
        (i, j, k), on one scale where 1 is the brightest (:func:`planes.on_one_scale`).
    """
    found = [
        visual_information(GREY_LEVELS * one, GREY_LEVELS * other)
        for one, other, _, _ in planes(result, reference, mask, axis)
    ]
    told = [f for f in found if np.isfinite(f)]
    return float(np.mean(told)) if told else float("nan")
