"""Agreement of a restored slice with its input: the input is the magnitude of the centre of its k-space.

A restored slice f that is cut to the input's k-space gives a signed image c; the scanner kept |c|. Where c
is negative (beside edges, in air), the input shows its mirror image, so what c should have been is
sign(c) · input. The difference is given back to the spline, whose coefficients are all it changes: the
explicit functions stay as they are, and drawing costs nothing more. Some rounds of this are a projection
(Landweber iteration) onto the images that agree with the input. A slice whose field of view cuts through the
patient is no period of its k-space, and is left alone.
"""

from __future__ import annotations

import numpy as np

from ...image.interpolate import weight_matrix

ROUNDS = 2
# the restored slice is looked at on this many times as many pixels
FINER = 2
# towards the edge, where k-space takes the opposite edge for a neighbour, the change fades out over this many pixels
EDGE = 4
# opposite edges fit together when they differ by less than this part of the foreground's standard deviation
LARGEST_JUMP = 0.25


def fine_positions(size: int) -> np.ndarray:
    """Positions of the fine pixels along an axis; the first ones of both grids coincide, as k-space has it."""
    return np.minimum(np.arange(FINER * size) / FINER, size - 1)


def is_period(image: np.ndarray, spread: float) -> bool:
    """Whether opposite edges of a slice fit together, as they do in a field of view that holds all of the patient."""
    jumps = (image[0] - image[-1], image[:, 0] - image[:, -1])
    return all(float(np.sqrt(np.mean(jump**2))) < LARGEST_JUMP * spread for jump in jumps)


def correction(image: np.ndarray, residual: np.ndarray, air: float, lowest: float) -> np.ndarray:
    """What to add to a slice so that its spline and the residual together agree with it.

    Parameters
    ----------
    image
        The slice, (h, w).
    residual
        The explicit functions at :func:`fine_positions`, in the same unit.
    air
        The value without any signal.
    lowest
        Restored values below are raised to this.

    Returns
    -------
    float32, (h, w).
    """
    down, across = (weight_matrix(fine_positions(n), n, 3) for n in image.shape)
    taper = np.minimum.outer(*(np.minimum(np.arange(n), np.arange(n)[::-1]) for n in image.shape))
    used = np.clip(taper / EDGE, 0, 1).astype(np.float32)
    change = np.zeros_like(image)
    for _ in range(ROUNDS):
        restored = np.maximum(down @ (image + change) @ across.T + residual, lowest)
        seen = centre_of_kspace(restored - np.float32(air), image.shape)
        change += used * (np.where(seen < 0, -1, 1) * (image - np.float32(air)) - seen)
    return change.astype(np.float32)


def centre_of_kspace(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The signed image that the centre of k-space gives on `shape` pixels; as :func:`degrade.degrade` before the magnitude."""
    spectrum = np.fft.fftshift(np.fft.fft2(image))
    box = tuple(slice(n // 2 - m // 2, n // 2 - m // 2 + m) for n, m in zip(image.shape, shape))
    found = np.fft.ifft2(np.fft.ifftshift(spectrum[box])).real
    return (found * (np.prod(shape) / image.size)).astype(np.float32)
