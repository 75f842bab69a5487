"""Simulated low-resolution scans, for experiments with a known truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..image.grid import Grid, as_triple
from ..image.interpolate import resample
from ..image.volume import Volume
from .forward_model import SliceProfile, observe

KINDS = ("kspace", "area", "interval", "profile")


def degrade(volume: Volume, kind: str, factor: float | Sequence[float]) -> Volume:
    """`volume` with `factor` times fewer voxels along its axes.

    Parameters
    ----------
    kind
        ``kspace``: only the centre of k-space is kept (magnitude; voxel 0 stays where it was);
        ``area``: a voxel is the mean over its extent (outer edges kept); ``interval``: every F-th
        sample is kept, from the first on (F a whole number); ``profile``: as area, with the Gaussian
        slice profile (full width at half maximum = the new spacing).
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


def _kspace(volume: Volume, factors: Sequence[float]) -> Volume:
    """Crop of the centred spectrum; sample 0 of both grids coincides, so the affine keeps its origin."""
    shape = [max(1, round(n / f)) for n, f in zip(volume.shape, factors)]
    spectrum = np.fft.fftshift(np.fft.fftn(volume.data))
    box = tuple(slice(n // 2 - m // 2, n // 2 - m // 2 + m) for n, m in zip(volume.shape, shape))
    image = np.abs(np.fft.ifftn(np.fft.ifftshift(spectrum[box]))) * (np.prod(shape) / volume.data.size)
    affine = volume.affine.copy()
    affine[:3, :3] *= np.array(volume.shape) / np.array(shape)
    return volume.replace(data=image, affine=affine, slice_thickness=None)
