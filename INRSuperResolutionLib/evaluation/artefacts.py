"""What a result may add that is not in the patient: bands, noise across the slices, and a border at the field of view's edge.

No truth is needed: each figure stands beside those of linear and cubic interpolation on the same grid. Agreement with the
input cannot see these faults, as it knows nothing of what lies between the slices.

    inrsr evaluate RESULT INPUT --artefacts
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..image.grid import Grid
from ..image.intensity import foreground
from ..image.interpolate import Sampler, axis_map, resample
from ..image.smooth import second_differences, smooth_tissue
from ..image.volume import Volume

# of the median absolute deviation of normal noise
MAD = 0.6745
# places between two slices at which noise is looked at
PHASES = (0.0, 0.25, 0.5, 0.75)
# slices at an end whose columns are told
EDGE_SLICES = 2


@dataclass(frozen=True)
class Artefacts:
    """Figures of one image, in percent of the smooth tissue's median brightness above the air."""

    band: float
    """Half the difference between odd and even slices, in smooth tissue; NaN where there are too few slices."""
    noise: float
    """Standard deviation from one slice distance to the next in smooth tissue, bands aside."""
    first: tuple[float, ...]
    """Mean brightness along the columns of tissue that the first slice cuts, from the edge of the field of view inwards."""
    last: tuple[float, ...]
    """The same at the last slice, from the edge inwards."""


def measure_artefacts(result: Volume, source: Volume) -> Artefacts:
    """Bands, noise and border of `result`, which was made from `source`.

    Bands and noise are those at the places of the input's voxels (and between its slices), whatever the grid of the
    result; the columns are the result's own voxels.
    """
    axis = source.thick_axis
    smooth = smooth_tissue(source)
    if not smooth.any():
        return Artefacts(float("nan"), float("nan"), (), ())
    low = float(np.percentile(source.data, 1))
    level = float(np.median(source.data[smooth])) - low or 1.0
    sampler = Sampler(result, 1)
    noises, band = [], float("nan")
    for phase in PHASES:
        affine = source.affine.copy()
        affine[:3, 3] += phase * affine[:3, axis]
        values = np.moveaxis(sampler(Grid(source.shape, affine)), axis, 0)
        steps, inside = second_differences(values, np.moveaxis(smooth, axis, 0), last=phase == 0)
        medians = [float(np.median(s[i])) if i.sum() > 20 else float("nan") for s, i in zip(steps, inside)]
        if phase == 0:
            band = 100 * alternation(medians) / level
        spread = np.concatenate([(s - m)[i] for s, m, i in zip(steps, medians, inside) if np.isfinite(m)] or [[]])
        if spread.size:
            noises.append(float(np.median(np.abs(spread)) / MAD / 1.5**0.5))
    noise = 100 * float(np.sqrt(np.mean(np.square(noises)))) / level if noises else float("nan")
    first, last = (tuple(100 * (c - low) / level) for c in columns(result, source))
    return Artefacts(band, noise, first, last)


def alternation(medians: Sequence[float]) -> float:
    """Half the amplitude with which second differences change sign from slice to slice; NaN for fewer than four."""
    found = np.asarray(medians, float)
    used = np.isfinite(found)
    if used.sum() < 4:
        return float("nan")
    signs = np.where(np.arange(len(found)) % 2, -1.0, 1.0)
    return float(abs(np.mean((signs * found)[used])) / 2)


def columns(result: Volume, source: Volume) -> tuple[np.ndarray, np.ndarray]:
    """Mean brightness of the result along the columns that the first and the last slice of `source` cut in tissue.

    From the outermost voxel within the slices inwards, as far as :data:`EDGE_SLICES` slices reach; both empty where the
    axes of the two do not run along each other, or there is no tissue at that end.
    """
    axes = axis_map(result.grid, source.affine)
    if axes is None:
        return np.zeros(0), np.zeros(0)
    axis = source.thick_axis
    along, position = axes[axis]
    tissue = resample(source.replace(data=foreground(source.data).astype(np.float32)), result.grid, 0).data > 0.5
    values, tissue = (np.moveaxis(a, along, 0) for a in (result.data, tissue))
    count = source.shape[axis]
    found = []
    for distance in (position, count - 1 - position):
        near = np.flatnonzero((distance >= -0.5 - 1e-6) & (distance < EDGE_SLICES - 0.5))
        near = near[np.argsort(distance[near])]
        outer = near[distance[near] < 0.5]
        cut = tissue[outer].all(axis=0) if len(outer) else np.zeros(values.shape[1:], bool)
        found.append(values[near][:, cut].mean(axis=1) if cut.sum() >= 20 else np.zeros(0))
    return found[0], found[1]


def beside_interpolation(result: Volume, source: Volume) -> dict[str, Artefacts]:
    """The figures of linear and cubic interpolation on the grid of the result, and of the result."""
    made = {"linear": resample(source, result.grid, 1), "cubic": resample(source, result.grid, 3), "result": result}
    return {name: measure_artefacts(volume, source) for name, volume in made.items()}


def told(figures: dict[str, Artefacts]) -> str:
    """The figures as lines of text."""
    lines = []
    for name, f in figures.items():
        lines.append(f"{name:8} bands {f.band:.2f} %   noise across slices {f.noise:.2f} %")
        for end, values in (("first", f.first), ("last", f.last)):
            if len(values):
                lines.append(f"{'':8} columns from the {end} slice inwards: {' '.join(f'{v:.0f}' for v in values)}")
    return "\n".join(lines)
