"""Image quality against a reference, in two conventions, and consistency with the input.

``reference``: as the multi-contrast paper's code does: both images min-max scaled inside the mask,
background zeroed, figures over the whole box (flattering, and it hides a wrong intensity scale).
``clean``: one scale for both (the reference's 99.9th percentile in the mask is 1, both clipped to
[0, 1]), figures over the mask's voxels only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from skimage.metrics import structural_similarity

from ..acquisition.degrade import degrade
from ..acquisition.forward_model import SliceProfile, observe
from ..acquisition.slice_axis import slice_axis
from ..image.grid import Grid, coarse_axes
from ..image.intensity import foreground, is_ct, robust_range, without_signal
from ..image.interpolate import axis_map, index_coordinates, resample
from ..image.similarity import mutual_information
from ..image.volume import Volume
from .planes import on_one_scale

# a result that is less than this times finer than the input does not hold the k-space that the input lacks
FINER = 1.25
# of a result or its input are looked at together
VOXELS_AT_ONCE = 1 << 22
# what rounding to float32 leaves; reported for a result that returns its input exactly, as JSON knows no infinity
HIGHEST_CONSISTENCY_DB = 140.0


def psnr(result: np.ndarray, reference: np.ndarray, span: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB for a data range of `span`; infinity for equal arrays."""
    return _decibels(float(np.mean((np.asarray(result, np.float64) - reference) ** 2)), span)


def _decibels(mse: float, span: float) -> float:
    return float(10 * np.log10(span**2 / mse)) if mse > 0 else float("inf")


def _ssim_map(result: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Local SSIM (Wang et al. 2004: Gaussian window, σ 1.5 voxels); single-slice axes are dropped."""
    squeezed = [np.squeeze(a) for a in (reference, result)]
    window = 11  # what σ = 1.5 comes to
    if squeezed[0].ndim == 0 or min(squeezed[0].shape) < window:
        return np.full(reference.shape, np.nan)
    _, local = structural_similarity(
        *squeezed, data_range=1.0, full=True, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return local.reshape(reference.shape)


def compare(result: np.ndarray, reference: np.ndarray, mask: np.ndarray) -> dict[str, dict[str, float]]:
    """PSNR (dB), SSIM and RMSE of `result` against `reference` in both conventions.

    Parameters
    ----------
    result, reference, mask
        Arrays of one shape; the mask bool, with at least one voxel.

    Returns
    -------
    ``{"clean": {"psnr", "ssim", "rmse"}, "reference": {…}}``; RMSE in units of the data range. SSIM
    is NaN for an image of less than 11 voxels along an axis.
    """
    # the background's level is 0: -1024 HU in a CT, 0 in an MR image
    p, g = on_one_scale(result, reference, mask)
    clean = {
        "psnr": psnr(p[mask], g[mask]),
        "ssim": float(np.mean(_ssim_map(p, g)[mask])),
        "rmse": float(np.sqrt(np.mean((p - g)[mask] ** 2))),
    }
    g, p = (_min_max_in(a, mask) for a in (reference, result))
    box = {
        "psnr": psnr(p, g),
        "ssim": float(np.mean(_ssim_map(p, g))),
        "rmse": float(np.sqrt(np.mean((p - g) ** 2))),
    }
    return {"clean": clean, "reference": box}


def in_its_unit(result: np.ndarray, reference: np.ndarray, mask: np.ndarray) -> dict[str, float | str]:
    """Root mean square error and mean error in the mask, nothing clipped or scaled; the unit is HU for a CT."""
    error = (result.astype(np.float64) - reference)[mask]
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mean_error": float(error.mean()),
        "unit": "HU" if is_ct(reference) else "grey levels",
    }


def why_they_differ(result: np.ndarray, reference: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """What the PSNR of `reference` has more than that of `clean` (dB), by cause; the parts sum to the difference.

    Returns
    -------
    ``background``: voxels outside the mask count as perfect. ``range``: from the darkest to the brightest voxel, instead of
    the background to the 99.9th percentile. ``own_scale``: each image is scaled by its own extremes, which
    hides a wrong brightness or contrast, and punishes a single outlier. ``clipping``: values outside the range no longer count as
    outside.
    """
    low, top = float(reference.min()), float(np.percentile(reference[mask], 99.9))
    darkest, brightest = float(reference[mask].min()), float(reference[mask].max())
    spans = [(top - low) or 1.0, (brightest - darkest) or 1.0]
    p, g = on_one_scale(result, reference, mask)
    clean = psnr(p[mask], g[mask])
    unclipped = psnr(result[mask].astype(np.float64), reference[mask], spans[0])
    in_range = unclipped + 20 * float(np.log10(spans[1] / spans[0]))
    g, p = (_min_max_in(a, mask) for a in (reference, result))
    own_scale, box = psnr(p[mask], g[mask]), psnr(p, g)
    return {
        "background": box - own_scale,
        "range": in_range - unclipped,
        "own_scale": own_scale - in_range,
        "clipping": unclipped - clean,
    }


def shared_information(result: np.ndarray, reference: np.ndarray, mask: np.ndarray) -> float:
    """Normalised mutual information, (H(a) + H(b)) / H(a, b), of 32 × 32 bins: 2 for images that tell all of each other, 1 for none.

    It knows no scale: inverted or otherwise mapped grey levels cost nothing. Source: Studholme et al. 1999.
    """
    entropies = [mutual_information(a, a, mask) for a in (result, reference)]
    joint = sum(entropies) - mutual_information(result, reference, mask)
    return sum(entropies) / joint if joint > 0 else 1.0


def _min_max_in(data: np.ndarray, mask: np.ndarray) -> np.ndarray:
    low, high = float(data[mask].min()), float(data[mask].max())
    return np.where(mask, (data.astype(np.float64) - low) / ((high - low) or 1.0), 0.0)


def mutual_information_error(
    results: tuple[np.ndarray, np.ndarray], references: tuple[np.ndarray, np.ndarray], mask: np.ndarray
) -> float:
    """|MI of the two results − MI of the two references| (nats), the ε_MI of McGinnis et al. 2023."""
    return abs(mutual_information(*results, mask) - mutual_information(*references, mask))


def consistency(result: Volume, source: Volume, profile: SliceProfile) -> float | None:
    """PSNR (dB) of the result, degraded to the input's grid again, against the input.

    Over the input's foreground where the result covers it, with the range of
    :func:`intensity.robust_range`. Where the result is coarser than the input (1 mm from 0.7 mm
    pixels), the input is first sampled as coarsely. None when the two do not overlap.
    """
    grid = Grid(result.shape, result.affine)
    coarser = coarse_axes(result, source.grid)
    if coarser:
        directions = source.affine[:3, :3] / np.linalg.norm(source.affine[:3, :3], axis=0)
        along = np.argmax(np.abs(np.linalg.inv(result.affine[:3, :3]) @ directions), axis=0)
        spacing = [max(s, grid.spacing[n]) if n in coarser else s for s, n in zip(source.spacing, along)]
        source = resample(source, source.grid.with_spacing(spacing)).replace(slice_thickness=None)
    use = foreground(source.data) & _covered(grid, source)
    if not use.any():
        return None
    seen = observe(result, source, profile, coarse_axes(source, grid))
    return min(psnr(seen[use], source.data[use], robust_range(source.data)), HIGHEST_CONSISTENCY_DB)


def kspace_consistency(result: Volume, source: Volume) -> float | None:
    """As :func:`consistency`, for an input that is seen as the centre of the result's k-space in the plane of its slices.

    The result is cut to the input's resolution (Pang et al., Eq. 5) and sampled at the input's centres;
    what its magnitude folds counts as a difference. Across the slices it is sampled as it is. None also where
    the result is no finer than the input: then its samples do not tell what lies between them.
    """
    from ..methods.plain.zero_filling import ZeroFilling

    grid = Grid(result.shape, result.affine)
    use = foreground(source.data) & _covered(grid, source)
    if not use.any():
        return None
    directions = source.affine[:3, :3] / np.linalg.norm(source.affine[:3, :3], axis=0)
    along = np.argmax(np.abs(np.linalg.inv(result.affine[:3, :3]) @ directions), axis=0)
    factors = [1.0, 1.0, 1.0]
    for axis in range(3):
        if axis != slice_axis(source):
            finer = source.spacing[axis] / result.spacing[along[axis]]
            factors[along[axis]] = min(max(1.0, finer), result.shape[along[axis]])
    if max(factors) < FINER:
        return None
    low = np.float32(without_signal(source.data))
    seen = ZeroFilling(_without_detail(result, low, factors, int(along[slice_axis(source)])))
    given = Grid(source.shape, source.affine)
    squares = 0.0
    for box in given.slabs(slice_axis(source), VOXELS_AT_ONCE):
        difference = (seen(given.crop(box)) + low - source.data[box])[use[box]]
        squares += float(np.sum(np.square(difference, dtype=np.float64)))
    return min(_decibels(squares / np.count_nonzero(use), robust_range(source.data)), HIGHEST_CONSISTENCY_DB)


def _without_detail(result: Volume, low: np.float32, factors: Sequence[float], across: int) -> Volume:
    """The centre of the k-space of planes; slab by slab, as copies of a whole result take gigabytes."""
    boxes = Grid(result.shape, result.affine).slabs(across, VOXELS_AT_ONCE)
    first, *others = (
        degrade(result.replace(data=np.maximum(result.data[box] - low, 0)), "kspace", factors) for box in boxes
    )
    return first.replace(data=np.concatenate([first.data, *(o.data for o in others)], axis=across))


def _covered(grid: Grid, source: Volume) -> np.ndarray:
    """Voxels of `source` whose centre lies in the field of view of `grid`, bool."""
    axes = axis_map(Grid(source.shape, source.affine), grid.affine)
    if axes is not None and source.slice_positions is None:
        inside = np.ones(source.shape, bool)
        for (along, coordinates), size in zip(axes, grid.shape):
            seen = (coordinates >= -0.5) & (coordinates <= size - 0.5)
            inside &= seen.reshape([-1 if axis == along else 1 for axis in range(3)])
        return inside
    upper = np.array(grid.shape).reshape(3, 1, 1, 1) - 0.5
    field = Volume(np.empty(grid.shape, np.float32), grid.affine)
    slices = []
    for k in range(source.shape[2]):  # slice by slice: coordinates of a whole volume take gigabytes
        index = index_coordinates(field, source.slice_grid(k))
        slices.append(((index >= -0.5) & (index <= upper)).all(axis=0))
    return np.concatenate(slices, axis=2)
