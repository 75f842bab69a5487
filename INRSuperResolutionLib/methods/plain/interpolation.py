"""Classical interpolation, as a baseline: nearest, linear and cubic B-spline.

What viewers draw goes through the samples. With a slice profile it is the same kind of spline whose averages over
the slices are the samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...image.grid import Grid
from ...image.volume import Volume
from ...representation import Contrast, Representation, pack_volumes, unpack_volumes
from ..base import FitContext

# voxels average along axes on which they are so much coarser than the result
COARSER = 1.1


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
        self._samplers = [Sampler(v, order) for v in volumes]
        for sampler, fill in zip(self._samplers, fills or ()):
            sampler.fill = fill

    def evaluate(self, grid: Grid, channels: Sequence[int]) -> np.ndarray:
        return np.stack([self._samplers[c](grid) for c in channels])

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, places = pack_volumes([s.volume for s in self._samplers])
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
        for volume, profile in zip(volumes, context.profiles):
            finest = context.finest
            axes = [a for a in range(3) if finest is not None and volume.spacing[a] > COARSER * finest]
            sharpened.append(samples_through_profile(volume, profile, axes or [volume.thick_axis], order))
        fills = [float(v.data.min()) for v in volumes]
        return SplineRepresentation(sharpened, order, [Contrast.of(v) for v in volumes], fills)

    return fit
