"""Simulated low-resolution scans, for experiments with a known truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..image.grid import Grid, as_triple
from ..image.interpolate import apply_along, resample
from ..image.volume import Volume
from .forward_model import SliceProfile, observe

KINDS = ("kspace", "area", "interval", "profile", "bicubic")
# of the cubic convolution kernel (Keys 1981), as in Pillow and MATLAB's imresize; torch's own is -0.75
SHARPNESS = -0.5


def degrade(volume: Volume, kind: str, factor: float | Sequence[float]) -> Volume:
    """`volume` with `factor` times fewer voxels along its axes.

    Parameters
    ----------
    kind
        ``kspace``: only the centre of k-space is kept (magnitude; voxel 0 stays where it was);
        ``area``: a voxel is the mean over its extent (outer edges kept); ``interval``: every F-th
        sample is kept, from the first on (F a whole number); ``profile``: as area, with the Gaussian
        slice profile (full width at half maximum = the new spacing); ``bicubic``: what image processing calls
        bicubic downsampling (outer edges kept), for comparisons with papers: no scanner sees so.
    factor
        One number for the axis across the slices, or three; at least 1.

    Raises
    ------
    InputError
        For an unknown kind, or a factor below 1 or above the size of the volume.
    """
    if kind not in KINDS:
        raise InputError(f"degradation {kind!r} is not known", f"Give one of {', '.join(KINDS)}")
    if np.size(factor) == 1:
        one = float(np.ravel(factor)[0])
        factors = [one if axis == volume.thick_axis else 1.0 for axis in range(3)]
    else:
        factors = list(factor)  # type: ignore[arg-type]
    factors = list(as_triple(factors, "the factor"))
    if any(f < 1 or f > n for f, n in zip(factors, volume.shape)):
        raise InputError(
            f"factor {' '.join(f'{f:g}' for f in factors)} does not fit a volume of {volume.shape} voxels",
            "Give numbers from 1 to the number of voxels along the axis",
        )
    if volume.slice_positions is not None:
        volume = resample(volume, volume.grid)
    if kind == "interval":
        return _interval(volume, factors)
    if kind == "kspace":
        return _kspace(volume, factors)
    grid = Grid(volume.shape, volume.affine).scaled([1 / f for f in factors])
    if kind == "bicubic":
        data = volume.data
        for axis, (n, f) in enumerate(zip(grid.shape, factors)):
            if f > 1:
                data = apply_along(data, bicubic_weights(n, data.shape[axis], f), axis)
        return volume.replace(data=data, affine=grid.affine, slice_thickness=None)
    target = Volume(np.zeros(grid.shape, np.float32), grid.affine)
    axes = [axis for axis in range(3) if factors[axis] > 1]
    profile = SliceProfile("boxcar" if kind == "area" else "gaussian")
    return volume.replace(data=observe(volume, target, profile, axes), affine=grid.affine, slice_thickness=None)


def _interval(volume: Volume, factors: Sequence[float]) -> Volume:
    if any(f != int(f) for f in factors):
        raise InputError(
            f"interval sampling by {factors} keeps no whole slices", "Give whole numbers, or use another kind"
        )
    a, b, c = (int(f) for f in factors)
    affine = volume.affine.copy()
    affine[:3, :3] *= [a, b, c]
    return volume.replace(data=volume.data[::a, ::b, ::c], affine=affine, slice_thickness=None)


def bicubic_weights(count: int, size: int, factor: float) -> np.ndarray:
    """`size` samples → `count` ones `factor` times as far apart, by Keys' kernel stretched by the factor; float32.

    The kernel is as wide as the new samples are apart, so that nothing folds back (antialiased); at the ends, the weights of
    what is there add up to 1.
    """
    centres = (np.arange(count) + 0.5) * factor - 0.5
    x = np.abs(np.arange(size) - centres[:, None]) / factor
    near = (SHARPNESS + 2) * x**3 - (SHARPNESS + 3) * x**2 + 1
    far = SHARPNESS * (x**3 - 5 * x**2 + 8 * x - 4)
    weights = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _kspace(volume: Volume, factors: Sequence[float]) -> Volume:
    """Crop of the centred spectrum; sample 0 of both grids coincides, so the affine keeps its origin."""
    shape = [max(1, round(n / f)) for n, f in zip(volume.shape, factors)]
    spectrum = np.fft.fftshift(np.fft.fftn(volume.data))
    box = tuple(slice(n // 2 - m // 2, n // 2 - m // 2 + m) for n, m in zip(volume.shape, shape))
    image = np.abs(np.fft.ifftn(np.fft.ifftshift(spectrum[box]))) * (np.prod(shape) / volume.data.size)
    affine = volume.affine.copy()
    affine[:3, :3] *= np.array(volume.shape) / np.array(shape)
    return volume.replace(data=image, affine=affine, slice_thickness=None)
