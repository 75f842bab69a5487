"""Classical interpolation, as a baseline: nearest, linear and cubic B-spline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..grid import Grid
from ..interpolate import Sampler
from ..representation import Contrast, Representation
from ..volume import Volume
from .base import FitContext


@dataclass(frozen=True)
class InterpolationSettings:
    """Interpolation has no settings."""


class SplineRepresentation(Representation):
    """The B-spline of one order through the samples of each volume."""

    kind = "spline"

    def __init__(self, volumes: Sequence[Volume], order: int, contrasts: Sequence[Contrast] | None = None) -> None:
        super().__init__(
            contrasts or [Contrast.of(v) for v in volumes], {"parameters": 0, "steps": 0, "stopped_by": "schedule"}
        )
        self._order = order
        self._samplers = [Sampler(v, order) for v in volumes]

    def evaluate(self, grid: Grid, channels: Sequence[int]) -> np.ndarray:
        return np.stack([self._samplers[c](grid) for c in channels])

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, places = pack_volumes([s.volume for s in self._samplers])
        return arrays, {"order": self._order, "volumes": places}

    @classmethod
    def from_state(
        cls, contrasts: Sequence[Contrast], arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> SplineRepresentation:
        return cls(unpack_volumes(arrays, config["volumes"]), config["order"], contrasts)


def pack_volumes(volumes: Sequence[Volume]) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """Volumes as arrays (for safetensors) and JSON-ready places; inverse of :func:`unpack_volumes`."""
    arrays = {f"volume{n}": v.data for n, v in enumerate(volumes)}
    places = []
    for v in volumes:
        even = v.slice_positions is None
        thickness = None if v.slice_thickness is None else np.asarray(v.slice_thickness).tolist()
        places.append(
            {
                "affine": v.affine.tolist(),
                "slice_positions": None if even else np.asarray(v.slice_positions).tolist(),
                "slice_thickness": thickness,
                "dtype": np.dtype(v.dtype).name,
                "name": v.name,
            }
        )
    return arrays, places


def unpack_volumes(arrays: Mapping[str, np.ndarray], places: Sequence[Mapping[str, Any]]) -> list[Volume]:
    """Volumes from :func:`pack_volumes`."""
    volumes = []
    for n, place in enumerate(places):
        thickness = place["slice_thickness"]
        volumes.append(
            Volume(
                arrays[f"volume{n}"],
                np.array(place["affine"]),
                slice_positions=place["slice_positions"],
                slice_thickness=np.array(thickness) if isinstance(thickness, list) else thickness,
                dtype=np.dtype(place["dtype"]),
                name=place["name"],
            )
        )
    return volumes


def fit_spline(order: int) -> Callable[[Sequence[Volume], InterpolationSettings, FitContext], SplineRepresentation]:
    """The fit of an interpolation: it only keeps the samples."""

    def fit(volumes: Sequence[Volume], settings: InterpolationSettings, context: FitContext) -> SplineRepresentation:
        return SplineRepresentation(volumes, order)

    return fit
