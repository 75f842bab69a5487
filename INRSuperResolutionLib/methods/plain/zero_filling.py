"""Zero filling, the baseline ``sinc``: k-space of each slice is extended by zeros. Needs no torch.

What MR scanners do; where the low resolution comes from a smaller k-space, the strongest simple method.
Across the slices it is the cubic spline: a stack of slices is neither periodic nor limited in band.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...image.grid import Grid
from ...image.volume import Volume
from ...representation import Contrast, Representation, pack_volumes, unpack_volumes
from ..base import FitContext
from .interpolation import InterpolationSettings

# zero-filled pixels for each acquired one, from which oblique grids are interpolated
OBLIQUE_FACTOR = 4


def dirichlet_matrix(positions: np.ndarray, size: int) -> np.ndarray:
    """Weights of `size` periodic samples at fractional indices, float32, (len(positions), size).

    The trigonometric polynomial through the samples; the highest frequency of an even number of
    samples is a cosine.
    """
    x = positions[:, None] - np.arange(size)
    angle = np.pi * x / size
    near = np.abs(np.sin(angle)) < 1e-9
    below = np.where(near, 1.0, np.tan(angle) if size % 2 == 0 else np.sin(angle))
    return np.where(near, 1.0, np.sin(np.pi * x) / (size * below)).astype(np.float32)


class ZeroFilling:
    """A volume as a continuous function; as :class:`interpolate.Sampler`."""

    def __init__(self, volume: Volume) -> None:
        from ...acquisition.slice_axis import slice_axis

        self.volume, self.fill = volume, float(volume.data.min())
        self.plane = [axis for axis in range(3) if axis != slice_axis(volume)]
        self._fine: Any = None  # made at the first oblique grid

    def __call__(self, grid: Grid) -> np.ndarray:
        """Values at the centres of `grid`, float32, of its shape."""
        from ...image.interpolate import apply_along, axis_map, is_identity, is_outside, shrinking_first, weight_matrix

        axes = axis_map(grid, self.volume.affine)
        if axes is None:
            return self._oblique(grid)
        values, outside = self.volume.data, {}
        for axis in shrinking_first(axes, self.volume.shape):
            positions = axes[axis][1]
            size = self.volume.shape[axis]
            if axis == 2:
                positions = self.volume.slice_coordinate(positions)
            weights = dirichlet_matrix(positions, size) if axis in self.plane else weight_matrix(positions, size, 3)
            if not is_identity(weights):
                values = apply_along(values, weights, axis)
            outside[axis] = is_outside(positions, size)
        values = np.array(values, dtype=np.float32)
        for axis, beyond in outside.items():
            np.moveaxis(values, axis, 0)[beyond] = self.fill
        return np.ascontiguousarray(values.transpose(np.argsort([source for source, _ in axes])))

    def _oblique(self, grid: Grid) -> np.ndarray:
        """From a zero-filled volume that is so fine that a spline adds nothing."""
        from ...image.interpolate import Sampler, apply_along

        if self._fine is None:
            data, affine = self.volume.data, self.volume.affine.copy()
            for axis in self.plane:
                size = self.volume.shape[axis]
                # the last pixels interpolate towards the first ones: leave them out
                positions = np.arange(OBLIQUE_FACTOR * (size - 1) + 1) / OBLIQUE_FACTOR
                data = apply_along(data, dirichlet_matrix(positions, size), axis)
                affine[:3, axis] /= OBLIQUE_FACTOR
            self._fine = Sampler(self.volume.replace(data=data, affine=affine), 3)
            self._fine.fill = self.fill
        return self._fine(grid)


class ZeroFillingRepresentation(Representation):
    """Zero filling of each volume."""

    kind = "zero-filling"

    def __init__(
        self,
        volumes: Sequence[Volume],
        contrasts: Sequence[Contrast] | None = None,
        fills: Sequence[float] | None = None,
    ) -> None:
        super().__init__(
            contrasts or [Contrast.of(v) for v in volumes], {"parameters": 0, "steps": 0, "stopped_by": "schedule"}
        )
        self._fillings = [ZeroFilling(v) for v in volumes]
        for filling, fill in zip(self._fillings, fills or ()):
            filling.fill = fill

    def evaluate(self, grid: Grid, channels: Sequence[int]) -> np.ndarray:
        return np.stack([self._fillings[c](grid) for c in channels])

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, places = pack_volumes([f.volume for f in self._fillings])
        return arrays, {"volumes": places, "fills": [f.fill for f in self._fillings]}

    @classmethod
    def from_state(
        cls, contrasts: Sequence[Contrast], arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> ZeroFillingRepresentation:
        return cls(unpack_volumes(arrays, config["volumes"]), contrasts, config.get("fills"))


def fit_zero_filling(
    volumes: Sequence[Volume], settings: InterpolationSettings, context: FitContext
) -> ZeroFillingRepresentation:
    """The fit of zero filling: it only keeps the samples; with a slice profile, what the slices say of the points on them."""
    from ...acquisition.forward_model import samples_through_profile
    from ...acquisition.slice_axis import slice_axis

    sharpened = [samples_through_profile(v, p, [slice_axis(v)], 3) for v, p in zip(volumes, context.profiles)]
    fills = [float(v.data.min()) for v in volumes]
    return ZeroFillingRepresentation(sharpened, [Contrast.of(v) for v in volumes], fills)
