"""Choosing, for each input, how its slices average the patient."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..image.grid import Grid, clearly_thick_axis
from ..image.volume import Volume
from .forward_model import WIDEST_FOR_SPLINE, WIDEST_SLICE, SliceProfile
from .profile_estimate import are_blurred, estimate_profile
from .slice_axis import slice_axis


@dataclass(frozen=True)
class SliceModel:
    """How the slices of one input are taken to average the patient, and why.

    Parameters
    ----------
    volume
        The input, with the axis across its slices and their thickness.
    source
        Where the profile comes from: ``told``, ``header``, ``spacing`` (thicker than the pixels, so averaged),
        ``estimate``, or ``default`` (nothing speaks for an average, or the method takes points).
    thickness_source
        Where the thickness comes from: ``told``, ``header``, ``estimate``, or ``spacing`` (the whole distance).
    note
        What else is to be said of it; empty for nothing.
    sure
        How sure an estimate is, 0 to 1; None where nothing was estimated.
    """

    volume: Volume
    profile: SliceProfile
    source: str
    thickness_source: str
    note: str = ""
    sure: float | None = None

    @property
    def distance(self) -> float:
        """Millimetres from one slice centre to the next (the median, along the slice axis)."""
        return self.volume.spacing[slice_axis(self.volume)]

    @property
    def width(self) -> float:
        """Mean thickness in distances of the slices; below 1 with gaps, above with overlap."""
        return float(self.volume.extent_of_slices(slice_axis(self.volume)).mean())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, for provenance and report."""
        averaged = self.profile.kind != "none"
        thickness = self.volume.slice_thickness
        return {
            "profile": self.profile.kind,
            "axis": self.volume.slice_axis,
            "thickness_mm": round(self.width * self.distance, 4) if averaged else None,
            "distance_mm": round(self.distance, 4),
            "source": self.source,
            "thickness_source": self.thickness_source if averaged else None,
            "sure": None if self.sure is None else round(self.sure, 3),
            "note": self.note,
            "slice_thickness": None if thickness is None else np.asarray(thickness).tolist(),
        }


def describe_slices(told: dict[str, Any]) -> str:
    """What :meth:`SliceModel.to_dict` says, as a user reads it."""
    if told["profile"] == "none":
        text = f"taken as points, {told['distance_mm']:.3g} mm apart"
    else:
        text = f"averaged over {told['thickness_mm']:.3g} mm ({told['profile']}), {told['distance_mm']:.3g} mm apart"
    sources = dict.fromkeys(s for s in (told["source"], told["thickness_source"]) if s)
    sure = "" if told["source"] != "estimate" or told["sure"] is None else f", {told['sure']:.0%} sure"
    return f"slices {text} [{', '.join(sources)}{sure}]" + (f"; {told['note']}" if told["note"] else "")


def choose_slices(
    choice: str,
    volumes: Sequence[Volume],
    thickness: float | Sequence[float] | None = None,
    grids: Sequence[Grid] | None = None,
    in_plane: bool = False,
) -> list[SliceModel]:
    """How the slices of each volume average.

    Parameters
    ----------
    choice
        A kind of :class:`SliceProfile` for all; ``auto``: a boxcar of the thickness that the header tells, or of the whole
        distance where none does and the slices are clearly thicker than the pixels (acquired slices always average
        over their thickness; a Gaussian where the image shows them clearly smoother than over the distance), else
        ``none``; ``estimate``: as the image itself shows, or as ``auto`` where it does not.
    thickness
        Of the slices in mm, one for all volumes or one for each; None for what the header tells, else the distance.
    grids
        Where each result will be sampled, if it is known: tells the slice axis where spacing does not.
    in_plane
        Whether the method restores the plane of the slices too: a pixel averages over its area as
        well, so that ``auto`` is always ``boxcar``.

    Raises
    ------
    InputError
        For another number of thicknesses than volumes, one that is not positive, or one of point samples.
    """
    given = thicknesses(thickness, len(volumes))
    if choice == "none" and thickness is not None:
        raise InputError("point samples have no slice thickness", "Leave out the thickness, or the profile none")
    models = []
    for n, volume in enumerate(volumes):
        volume = volume.replace(slice_axis=slice_axis(volume, grids[n] if grids else None))
        if given[n] is not None:
            volume = volume.replace(slice_thickness=given[n])
        if choice == "estimate":
            models.append(_estimated(volume, given[n], in_plane))
        else:
            models.append(_chosen(choice, volume, given[n], in_plane))
    return models


def thicknesses(thickness: float | Sequence[float] | None, count: int) -> list[float | None]:
    """The thickness told of each of `count` volumes; raises InputError for a wrong number of them or one that is not positive."""
    if thickness is None:
        return [None] * count
    values = [float(v) for v in np.ravel(thickness)]
    if len(values) == 1:
        values *= count
    if len(values) != count:
        raise InputError(f"{len(values)} slice thicknesses for {count} inputs", "Give one for all, or one for each")
    if not all(np.isfinite(v) and v > 0 for v in values):
        raise InputError(f"slice thickness {' '.join(f'{v:g}' for v in values)} is not valid", "Give millimetres")
    return list(values)


def _chosen(choice: str, volume: Volume, given: float | None, in_plane: bool) -> SliceModel:
    thickness_source = "told" if given is not None else "spacing" if volume.slice_thickness is None else "header"
    source = thickness_source if choice == "auto" else "told"
    if choice == "auto":
        if given is None and not in_plane and not is_acquired_in_slices(volume):
            return SliceModel(volume, SliceProfile("none"), "default", thickness_source)
        choice = "boxcar"
        if thickness_source == "spacing" and not in_plane and are_blurred(volume, slice_axis(volume)):
            choice, source = "gaussian", "estimate"
    model = SliceModel(volume, SliceProfile(choice), source, thickness_source)
    if choice == "none" or model.width <= WIDEST_SLICE:
        return model
    note = f"of their overlap, networks undo {WIDEST_SLICE - 1:.0%} of the distance and splines {WIDEST_FOR_SPLINE - 1:.0%}"
    return dataclasses.replace(model, note=note)


def _estimated(volume: Volume, given: float | None, in_plane: bool) -> SliceModel:
    """What the image shows, or the default where it shows nothing."""
    axis = slice_axis(volume)
    width = None if given is None else float(volume.extent_of_slices(axis).mean())
    found = estimate_profile(volume, axis, width)
    if found.profile is None:
        default = _chosen("auto", volume, given, in_plane)
        return dataclasses.replace(default, note=f"cannot tell from the image: {found.reason}", sure=found.sure)
    if found.profile != "none" and given is None:
        volume = volume.replace(slice_thickness=found.width * volume.spacing[axis])
    note = "" if found.tells else f"cannot tell the thickness: {found.reason}"
    source = "estimate" if given is None else "told"
    return SliceModel(volume, SliceProfile(found.profile), "estimate", source, note, found.sure)


def is_acquired_in_slices(volume: Volume) -> bool:
    """Whether header or spacing say that the volume was acquired in thick slices."""
    if volume.slice_thickness is not None:
        return True
    return clearly_thick_axis(volume.spacing) is not None
