"""Classical interpolation, as a baseline: nearest, linear and cubic B-spline.

What viewers draw goes through the samples. With a slice profile it is the same kind of spline whose averages over
the slices are the samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...image.grid import Grid, coarse_axes
from ...image.volume import EXACT_IN_FLOAT32, Volume
from ...progress import SILENT, Progress
from ...representation import Contrast, Representation, pack_volumes, unpack_volumes
from ..base import FitContext


@dataclass(frozen=True)
class InterpolationSettings:
    """Interpolation has no settings."""


class SplineRepresentation(Representation):
    """The B-spline of one order through the samples of each volume.

    Parameters
    ----------
    volumes
        The samples that it runs through.
    fills
        The value of each where there is no data; None for the lowest sample.
    """

    kind = "spline"

    def __init__(
        self,
        volumes: Sequence[Volume],
        order: int,
        contrasts: Sequence[Contrast] | None = None,
        fills: Sequence[float] | None = None,
    ) -> None:
        from ...image.interpolate import Sampler  # scipy, which a panel does not need to list the methods

        super().__init__(
            contrasts or [Contrast.of(v) for v in volumes], {"parameters": 0, "steps": 0, "stopped_by": "schedule"}
        )
        self._order = order
        self._volumes = list(volumes)
        # nearest neighbours of whole numbers that float32 would round are looked up by their rank
        self._ranked: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for n, v in enumerate(volumes):
            if order == 0 and v.exact is not None:
                found, rank = np.unique(v.exact, return_inverse=True)
                if len(found) < EXACT_IN_FLOAT32:
                    self._ranked[n] = found, rank.reshape(v.shape)
        self._samplers = [
            Sampler(v.replace(data=self._ranked[n][1]) if n in self._ranked else v, order)
            for n, v in enumerate(volumes)
        ]
        for sampler, fill in zip(self._samplers, fills or ()):
            sampler.fill = fill

    def evaluate(self, grid: Grid, channels: Sequence[int]) -> np.ndarray:
        return np.stack([self._values(c, self._samplers[c](grid)) for c in channels])

    def _values(self, channel: int, drawn: np.ndarray) -> np.ndarray:
        if channel not in self._ranked:
            return drawn
        return self._ranked[channel][0][drawn.astype(np.int64)].astype(np.float32)

    def sample(self, grid: Grid | Sequence[Grid], progress: Progress = SILENT) -> list[Volume]:
        made = super().sample(grid, progress)
        grids = [grid] * len(made) if isinstance(grid, Grid) else list(grid)
        for n, (found, _) in self._ranked.items():
            exact = np.empty(grids[n].shape, found.dtype)
            for box in self.tiles(grids[n]):
                exact[box] = found[self._samplers[n](grids[n].crop(box)).astype(np.int64)]
            made[n] = made[n].replace(exact=exact)
        return made

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, places = pack_volumes(self._volumes)
        return arrays, {"order": self._order, "volumes": places, "fills": [s.fill for s in self._samplers]}

    @classmethod
    def from_state(
        cls, contrasts: Sequence[Contrast], arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> SplineRepresentation:
        return cls(unpack_volumes(arrays, config["volumes"]), config["order"], contrasts, config.get("fills"))


def fit_spline(order: int) -> Callable[[Sequence[Volume], InterpolationSettings, FitContext], SplineRepresentation]:
    """The fit of an interpolation: it only keeps the samples, or finds those of the spline through the slice profile.

    A voxel that is copied (order 0) is the mean over itself already.
    """

    def fit(volumes: Sequence[Volume], settings: InterpolationSettings, context: FitContext) -> SplineRepresentation:
        from ...acquisition.forward_model import samples_through_profile

        if order == 0:
            return SplineRepresentation(volumes, order)
        sharpened = []
        for n, (volume, profile) in enumerate(zip(volumes, context.profiles)):
            axes = [volume.thick_axis] if context.grids is None else coarse_axes(volume, context.grids[n])
            sharpened.append(samples_through_profile(volume, profile, axes, order))
        fills = [float(v.data.min()) for v in volumes]
        return SplineRepresentation(sharpened, order, [Contrast.of(v) for v in volumes], fills)

    return fit
