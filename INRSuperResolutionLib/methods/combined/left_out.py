"""What is left out of a scan and brought back: the evidence by which methods are compared on the scan itself.

Slices of the scan are sharp in their plane. Some of them are kept from the fit, cut into thick slices along one of
their sharp axes, as the scan cuts the patient, and restored: here the truth is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from ...acquisition.forward_model import averaged_basis
from ...image.grid import Grid
from ...image.intensity import foreground, middle, robust_range
from ...image.interpolate import Sampler, cubic_prefilter
from ...image.volume import Volume
from ..scan import Scan

# slices that are looked at, at most, and at most one in so many of those that a fit may learn from
MOST_PLANES = 6
ONE_IN = 6
# pixels of a plane along each axis, at most
SIDE = 144
# fewer thick slices than this show nothing
FEWEST_SLICES = 5
# slices with less of the patient than this part of the fullest one are not looked at
SMALLEST_SLICE = 0.4


@dataclass(frozen=True)
class Plane:
    """A slice whose columns (axis i) and rows (axis k) are known, and thick slices that were cut across its rows.

    Parameters
    ----------
    truth
        float32, (columns, 1, rows), in the intensities of the scan.
    inside
        bool, as `truth`: the patient.
    coarse
        (columns, 1, slices).
    grid
        Of `truth`.
    """

    truth: np.ndarray
    inside: np.ndarray
    coarse: Volume
    grid: Grid

    def error(self, found: np.ndarray) -> float:
        """Mean squared error inside the patient."""
        return float(np.mean((found - self.truth)[self.inside] ** 2))


class LeftOut:
    """Planes of one scan.

    Parameters
    ----------
    scan
        With even slices.
    seed
        Where the thick slices lie is random.
    """

    def __init__(self, scan: Scan, seed: int = 0) -> None:
        self.scan = scan
        self.range = robust_range(scan.volume.data)
        self.slices = chosen_slices(scan)
        self.planes = list(self._cut(np.random.default_rng(seed)))

    def _cut(self, rng: np.random.Generator) -> Iterator[Plane]:
        volume, thick = self.scan.volume, self.scan.thick
        columns, rows = (axis for axis in range(3) if axis != thick)
        for n, k in enumerate(self.slices):
            image = np.take(volume.data, k, axis=thick)
            along = (columns, rows)
            if n % 2:
                image, along = image.T, (rows, columns)
            ratio = volume.spacing[thick] / volume.spacing[along[1]]
            part = image[middle(foreground(image), (SIDE, max(SIDE, round(2 * FEWEST_SLICES * ratio))))]
            made = cut(part, ratio, (volume.spacing[along[0]], volume.spacing[along[1]]), self.scan, rng)
            if made is not None:
                yield made

    def interpolated(self, order: int) -> list[np.ndarray]:
        """The planes by plain interpolation of `order` 1 or 3."""
        return [Sampler(plane.coarse, order)(plane.grid) for plane in self.planes]

    def psnr(self, found: Sequence[np.ndarray]) -> float:
        """PSNR (dB) of restored planes inside the patient, for the range of the scan."""
        error = float(np.mean([plane.error(one) for plane, one in zip(self.planes, found)]))
        return 10 * math.log10(self.range**2 / max(error, 1e-12 * self.range**2))

    def mixture(self, base: Sequence[np.ndarray], members: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
        """How much of each member to take so that the planes come out best; the rest, from 0 to 1, is `base`.

        Non-negative least squares on what each member adds to the base.
        """

        def inside(images: Sequence[np.ndarray]) -> np.ndarray:
            return np.concatenate([image[plane.inside] for plane, image in zip(self.planes, images)]).astype(np.float64)

        start = inside(base)
        added = np.stack([inside(member) - start for member in members], axis=1)
        weights = nnls(added, inside([plane.truth for plane in self.planes]) - start)[0]
        return weights / max(1.0, float(weights.sum()))


def chosen_slices(scan: Scan) -> list[int]:
    """Slices to look at: spread over those that show much of the patient; few enough to leave the others to learn from."""
    inside = np.moveaxis(scan.foreground.numpy(), scan.thick, 0)
    area = inside.sum(axis=(1, 2))
    useful = np.flatnonzero(area >= SMALLEST_SLICE * area.max())
    count = min(MOST_PLANES, max(1, len(useful) // ONE_IN))
    at = np.linspace(0, len(useful), count + 2)[1:-1].astype(int)
    return [int(k) for k in np.unique(useful[at])]


def cut(
    image: np.ndarray, ratio: float, spacing: tuple[float, float], scan: Scan, rng: np.random.Generator
) -> Plane | None:
    """Thick slices, `ratio` pixels apart, across the rows of an image; None where there are too few of them."""
    size = image.shape[1]
    count = int((size - 1) / ratio)
    if count < FEWEST_SLICES:
        return None
    first = rng.uniform(0, size - 1 - (count - 1) * ratio)
    at = first + ratio * np.arange(count)
    weights = averaged_basis(at, size, scan.profile, scan.width * ratio) @ cubic_prefilter(size)
    affine = np.diag([spacing[0], spacing[0], ratio * spacing[1], 1.0])
    affine[2, 3] = first * spacing[1]
    coarse = Volume(
        (image @ weights.T)[:, None], affine, slice_thickness=scan.width * ratio * spacing[1], name="left out"
    )
    # between the first and the last slice, where every method has what it needs
    rows = slice(int(np.ceil(at[0])), int(np.floor(at[-1])) + 1)
    fine = np.diag([spacing[0], spacing[0], spacing[1], 1.0])
    fine[2, 3] = rows.start * spacing[1]
    truth = np.ascontiguousarray(image[:, None, rows], dtype=np.float32)
    inside = foreground(image)[:, None, rows]
    return Plane(truth, inside, coarse, Grid(truth.shape, fine)) if inside.any() else None
