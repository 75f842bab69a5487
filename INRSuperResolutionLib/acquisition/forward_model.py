"""How a scanner sees the field: the slice profile, and what an input voxel is the mean of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..image.grid import Grid
from ..image.interpolate import Sampler, apply_along, basis_matrix, cubic_prefilter
from ..image.volume import Volume

PROFILES = ("none", "boxcar", "gaussian")
# samples across one slice when averaging over it; odd, so that one lies at the centre
SUBSAMPLES = 7
# how wide a slice may be, in distances, to be taken apart: as the networks learn it, and at most by a spline, as of a
# boxcar twice as wide nothing is left of the finest waves that are sampled
WIDEST_SLICE, WIDEST_FOR_SPLINE = 1.25, 1.5
FWHM = 2 * math.sqrt(2 * math.log(2))  # of a Gaussian, in standard deviations


@dataclass(frozen=True)
class SliceProfile:
    """How a voxel averages the field across its slice.

    Parameters
    ----------
    kind
        ``none``: a point sample; ``boxcar``: the mean over the slice thickness; ``gaussian``: a
        Gaussian whose full width at half maximum is the slice thickness.
    """

    kind: str = "none"

    def __post_init__(self) -> None:
        if self.kind not in PROFILES:
            raise InputError(f"slice profile {self.kind!r} is not known", f"Give one of {', '.join(PROFILES)}")

    def kernel(self, step: float) -> np.ndarray:
        """Weights at distances 0, ±step, ±2·step … from the centre, in units of the thickness; odd length, sum 1."""
        if self.kind == "none":
            return np.ones(1)
        reach = 0.5 if self.kind == "boxcar" else 1.5
        n = math.ceil(reach / step)
        x = np.arange(-n, n + 1) * step
        if self.kind == "boxcar":  # the part of each cell [x − step/2, x + step/2] that lies in the slice
            weights = np.clip(0.5 - np.abs(x) + step / 2, 0, step)
        else:
            weights = np.exp(-0.5 * (x * FWHM) ** 2)
        return weights / weights.sum()


def slice_taps(profile: SliceProfile, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and weights with which a slice averages the field; `width` and offsets in distances of the slices."""
    kernel = profile.kernel(1 / SUBSAMPLES)
    half = len(kernel) // 2
    return np.arange(-half, half + 1) / SUBSAMPLES * width, kernel


def averaged_basis(
    coordinates: np.ndarray, size: int, profile: SliceProfile, width: float | np.ndarray, order: int = 3
) -> np.ndarray:
    """The spline basis of `order` as seen by slices at `coordinates`, float64, (len(coordinates), size).

    `width` is one for all slices, or one for each.
    """
    return sum(w * basis_matrix(coordinates + o * width, size, order) for o, w in zip(*slice_taps(profile, 1.0)))


def spline_through_profile(size: int, profile: SliceProfile, width: float) -> np.ndarray:
    """Samples → coefficients of the cubic spline whose slice averages, not its values, equal them; float64, (size, size).

    So an image of averaged slices is sharpened as far as they allow, and consistent with them.
    """
    if profile.kind == "none":
        return cubic_prefilter(size)
    return np.linalg.inv(averaged_basis(np.arange(size, dtype=np.float64), size, profile, width))


def samples_through_profile(volume: Volume, profile: SliceProfile, axes: Sequence[int], order: int) -> Volume:
    """Samples of the spline of `order` 1 or 3 whose averages over the slices, not its values, are those of `volume`.

    Along `axes`. The spline through these samples is sharpened as far as the slices allow, and consistent with them.
    """
    data = volume.data
    for axis in axes if profile.kind != "none" else ():
        size = volume.shape[axis]
        if size < 2:
            continue
        centres = np.arange(size, dtype=np.float64)
        width = np.minimum(volume.extent_of_slices(axis), WIDEST_FOR_SPLINE)
        averaged = averaged_basis(centres, size, profile, width, order)
        values = basis_matrix(centres, size, order) @ np.linalg.inv(averaged)
        data = apply_along(data, values.astype(np.float32), axis)
    return volume.replace(data=data)


def observe(field: Volume, source: Volume, profile: SliceProfile, axes: Sequence[int]) -> np.ndarray:
    """What `source` would have measured if `field` were the truth.

    Parameters
    ----------
    field
        The (fine) image.
    source
        Gives the measured voxels: their positions and slice thickness.
    profile
        Averages along `axes`; across the slices with their true thickness, else over one voxel.

    Returns
    -------
    float32, shape of `source`.
    """
    # what an outermost slice sees beyond the field of view is taken to be as at its edge, as by the splines above
    sampler = Sampler(field, 3, extend=True)
    if profile.kind == "none":
        axes = ()
    extents = [float(source.extent_of_slices(axis).mean()) for axis in range(3)]
    if source.slice_positions is None:
        return _observe_even(sampler, Grid(source.shape, source.affine), profile, axes, extents)
    widths = source.extent_of_slices() * np.gradient(source.slice_positions)
    slices = []
    for k in range(source.shape[2]):  # each at its true place, with its own thickness
        extents[2] = float(widths[k])
        slices.append(_observe_even(sampler, source.slice_grid(k), profile, axes, extents))
    return np.concatenate(slices, axis=2)


def _observe_even(
    sampler: Sampler, grid: Grid, profile: SliceProfile, axes: Sequence[int], extents: Sequence[float]
) -> np.ndarray:
    """As :func:`observe`, for even voxels whose `extents` are told in units of the grid's steps."""
    affine, shape = grid.affine.copy(), list(grid.shape)
    kernels: dict[int, np.ndarray] = {}
    margins: dict[int, int] = {}
    for axis in axes:
        kernels[axis] = profile.kernel(1 / SUBSAMPLES / extents[axis])
        margins[axis] = len(kernels[axis]) // 2
        affine[:3, axis] /= SUBSAMPLES
        affine[:3, 3] -= affine[:3, axis] * margins[axis]
        shape[axis] = (shape[axis] - 1) * SUBSAMPLES + 1 + 2 * margins[axis]
    values = sampler(Grid((shape[0], shape[1], shape[2]), affine))
    for axis, kernel in kernels.items():
        averaged = ndimage.correlate1d(values, kernel, axis=axis, mode="nearest")
        values = np.moveaxis(
            np.moveaxis(averaged, axis, 0)[margins[axis] : -margins[axis] or None : SUBSAMPLES], 0, axis
        )
    return values
