"""Volumes → the continuous function of a method."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import __version__
from .acquisition.slice_profile import choose_slices
from .auto import AUTO, Choice, choose
from .device import resolve_device
from .errors import InputError
from .image.grid import Grid
from .image.volume import Volume
from .methods import METHODS, FitContext, get_method
from .methods.base import LARGEST_SEED
from .methods.pretrained.weights import Weights
from .progress import Event, Progress
from .representation import Representation

# what squares and sums of float32 can tell apart
LARGEST, SMALLEST_SPAN = 1e12, 1e-12


def fit(
    method: str,
    volumes: Sequence[Volume],
    *,
    preset: str = "",
    settings: dict[str, Any] | None = None,
    mask: Volume | None = None,
    labels: Volume | Sequence[Volume] | None = None,
    finest_spacing: float | None = None,
    slice_profile: str = "auto",
    slice_thickness: float | Sequence[float] | None = None,
    grids: Sequence[Grid] | None = None,
    register: bool = False,
    device: str = "auto",
    seed: int = 0,
    max_seconds: float | None = None,
    progress: Progress | Callable[[Event], object] | None = None,
    left_out: Sequence[int] = (),
) -> Representation:
    """Fit a method to volumes of one patient.

    Parameters
    ----------
    method
        A name in :data:`methods.METHODS`, or ``auto``: the one that suits these volumes (:func:`auto.choose`).
    volumes
        One for each contrast, each on its own grid.
    preset, settings
        The method's preset (its first one if empty) and what differs from it.
    mask
        The fit uses voxels where it is above 0; None for the foreground.
    labels
        For methods that a segmentation guides: a label map, or several probability maps; None lets
        the method find tissue classes.
    finest_spacing
        The finest spacing (mm) that the function will be sampled at, if it is known: along axes that are
        coarser, voxels average the function.
    slice_profile
        ``none``, ``boxcar``, ``gaussian``; ``auto``: ``none`` in preset ``paper`` and for plain interpolation (it
        stays what viewers draw), else from header and spacing, see :func:`acquisition.slice_profile.choose_slices`;
        ``estimate``: from the image itself.
    slice_thickness
        In mm, one for all volumes or one for each; None for the header's, else the distance of the slices.
    grids
        Where each result will be sampled, if it is known: tells which axis lies across the slices where spacing does not.
    register
        Whether to register the volumes rigidly to the first one.
    progress
        Called with each event.
    left_out
        Slices of one scan that must not be learned from, as it will be judged by them.

    Returns
    -------
    The continuous function; its `provenance` tells how it was made.
    """
    method, choice = resolve_method(method, volumes, grids, labels is not None)
    chosen = get_method(method)
    chosen.check_inputs(len(volumes))
    values = chosen.settings(preset, settings)
    if not isinstance(progress, Progress):
        progress = Progress(progress)
    if not 0 <= seed < LARGEST_SEED:
        raise InputError(f"seed {seed} is not valid", f"Give a whole number from 0 to {LARGEST_SEED - 1}")
    device = resolve_device(device) if chosen.needs_torch else "cpu"
    volumes = list(volumes)
    if register and len(volumes) > 1:
        from .image.registration import register_rigidly

        progress.stage("register")
        volumes = register_rigidly(volumes, progress)
    preset = preset or next(iter(chosen.presets))
    if chosen.min_inputs > 1:
        check_overlap(volumes)
    if chosen.needs_torch:
        check_range(volumes)
    if mask is not None:
        check_takes_mask(method)
        mask = mask_on(mask, volumes)
    given = [labels] if isinstance(labels, Volume) else list(labels or [])
    prior = None
    if given:
        check_takes_labels(method)
        from .image.labels import make_prior

        prior = make_prior(given, volumes[0])
    if slice_profile == "auto" and slice_thickness is None and (preset == "paper" or not chosen.needs_torch):
        slices = [dataclasses.replace(s, source="default") for s in choose_slices("none", volumes, None, grids)]
    else:
        slices = choose_slices(slice_profile, volumes, slice_thickness, grids, chosen.in_plane)
    volumes = [s.volume for s in slices]
    progress.stage("fit")
    context = FitContext(
        [s.profile for s in slices],
        mask=mask,
        labels=prior,
        finest=finest_spacing,
        grids=grids,
        device=device,
        seed=seed,
        max_seconds=max_seconds,
        progress=progress,
        learn=learn,
        left_out=left_out,
    )
    representation = chosen.fit(volumes, values, context)
    progress.update(1.0)
    progress.close()
    representation.provenance.update(
        method=method,
        preset=preset,
        version=__version__,
        settings=dataclasses.asdict(values),
        seed=seed,
        device=device,
        slice_profile=[s.profile.kind for s in slices],
        slices=[s.to_dict() for s in slices],
        registered_affines=[v.affine.tolist() for v in volumes] if register else None,
        choice=None if choice is None else dataclasses.asdict(choice),
    )
    return representation


def resolve_method(
    name: str, volumes: Sequence[Volume], grids: Sequence[Grid] | None, guided: bool
) -> tuple[str, Choice | None]:
    """The method that a name stands for, and for ``auto`` why it was chosen."""
    if name != AUTO:
        return name, None
    choice = choose([v.grid for v in volumes], grids[0] if grids else None, guided)
    return choice.method, choice


def learn(
    method: str, volumes: Sequence[Volume], start: str, seconds: float, axis: int | None, context: FitContext
) -> Weights:
    """See :class:`methods.base.Learner`; what trains is imported when it is needed."""
    from .training.on_patient import learn_on_patient

    return learn_on_patient(method, volumes, start, seconds, axis, context)


def check_takes_labels(method: str) -> None:
    """Raise InputError unless a segmentation guides the method."""
    if not get_method(method).takes_labels:
        able = ", ".join(name for name, m in METHODS.items() if m.takes_labels)
        raise InputError(f"method {method} uses no labels", f"Leave them out, or use {able}")


def check_takes_mask(method: str) -> None:
    """Raise InputError unless a mask can tell the method which voxels to fit."""
    if not get_method(method).takes_mask:
        able = ", ".join(name for name, m in METHODS.items() if m.takes_mask)
        raise InputError(f"method {method} uses no mask", f"Leave it out, or use {able}")


def mask_on(mask: Volume, volumes: Sequence[Volume]) -> Volume:
    """The mask as 0 and 1, and 0 outside of its own field of view.

    Raises
    ------
    InputError
        If it is empty, or misses one of the volumes.
    """
    from .image.interpolate import resample

    inside = mask.data > 0
    if not inside.any():
        raise InputError(f"the mask {mask.name} is empty: nothing of it is above 0", "Give another mask")
    # outside of a volume its lowest value is taken: a border of zeros makes that 0 for a mask that is full
    affine = mask.affine.copy()
    affine[:3, 3] -= affine[:3, 0]
    padded = mask.replace(data=np.pad(inside, ((1, 1), (0, 0), (0, 0))), affine=affine)
    for volume in volumes:
        if not resample(padded, volume.grid, 0).data.any():
            raise InputError(f"the mask {mask.name} misses {volume.name}", "Give a mask of the same region")
    return padded


def check_range(volumes: Sequence[Volume]) -> None:
    """Raise InputError for intensities whose squares float32 cannot hold: a network would see nothing of them."""
    for volume in volumes:
        span, top = float(np.ptp(volume.data.astype(np.float64))), float(np.abs(volume.data).max())
        if top > LARGEST or 0 < span < SMALLEST_SPAN:
            raise InputError(
                f"{volume.name}: intensities from {volume.data.min():g} to {volume.data.max():g} are beyond what a "
                "network can be fitted to",
                "Multiply them by a power of ten first",
            )


def check_overlap(volumes: Sequence[Volume]) -> None:
    """Raise InputError unless all volumes show something, and part of what the first one shows."""
    for volume in volumes:
        if np.ptp(volume.data) == 0:
            raise InputError(f"{volume.name} is constant ({volume.data.flat[0]:g})", "Give an image with some contrast")
    first = volumes[0]
    for volume in volumes[1:]:
        corners = [
            np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in v.grid.shape])).reshape(3, -1) for v in (first, volume)
        ]
        places = [v.grid.affine[:3, :3] @ c + v.grid.affine[:3, 3:] for v, c in zip((first, volume), corners)]
        # boxes in the frame of the first volume: apart along one of its axes means no overlap
        seen = np.linalg.inv(first.grid.affine[:3, :3]) @ (places[1] - first.grid.affine[:3, 3:])
        inside = (seen.min(axis=1) < corners[0].max(axis=1)) & (seen.max(axis=1) > corners[0].min(axis=1))
        if not inside.all():
            raise InputError(
                f"{volume.name} does not overlap {first.name}",
                "Give scans of the same region; if they are of one patient, --register or a transform may bring them together",
            )
