"""Whether results agree with what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..acquisition.forward_model import SliceProfile
from ..fitting import fit
from ..image.grid import Grid
from ..image.interpolate import axis_map
from ..image.volume import Volume
from ..progress import Progress
from .metrics import consistency, kspace_consistency

LOW_CONSISTENCY_DB = 30.0


def as_taken(volume: Volume, made: Mapping[str, Any], n: int) -> Volume:
    """The n-th input as the provenance `made` tells that it was taken: its place, the axis and thickness of its slices."""
    taken = made["slices"][n]
    thickness = taken["slice_thickness"]
    volume = volume.replace(
        slice_axis=taken["axis"], slice_thickness=np.array(thickness) if isinstance(thickness, list) else thickness
    )
    placed = made["registered_affines"]
    return volume.replace(affine=np.array(placed[n])) if placed else volume


def agreements(
    volumes: Sequence[Volume], results: Sequence[Volume], made: Mapping[str, Any], progress: Progress
) -> list[float | None]:
    """How well each result agrees with its input (dB), degraded as the provenance `made` tells; warns of low figures."""
    figures: list[float | None] = []
    for n, (volume, result) in enumerate(zip(volumes, results)):
        volume = as_taken(volume, made, n)
        # k-space of the input's plane is seen in results along its axes only
        aligned = axis_map(Grid(result.shape, result.affine), volume.affine) is not None
        if aligned and "kspace_inputs" in made and made["kspace_inputs"][n]:
            figure = kspace_consistency(result, volume)
        else:
            figure = consistency(result, volume, SliceProfile(made["slice_profile"][n]))
        if figure is not None and figure < LOW_CONSISTENCY_DB:
            progress.warning(
                f"{volume.name}: the result agrees with the input to {figure:.1f} dB only; compare them before use"
            )
        figures.append(figure)
        progress.update(1.0)
    return figures


def spline_through_profile(volume: Volume, made: Mapping[str, Any], n: int, grid: Grid) -> Volume:
    """The spline that gives the n-th input's samples back through its slice profile: all that is known without a method."""
    volume = as_taken(volume, made, n)
    kind = made["slice_profile"][n]
    thickness = made["slices"][n]["slice_thickness"]
    told = None if kind == "none" or thickness is None or isinstance(thickness, list) else float(thickness)
    base = fit("cubic", [volume], slice_profile=kind, slice_thickness=told, grids=[grid])
    return base.sample(grid)[0]
