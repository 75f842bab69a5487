"""Volumes → the continuous function of a method."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import __version__
from .acquisition.slice_profile import choose_profiles
from .device import resolve_device
from .errors import InputError
from .image.volume import Volume
from .methods import METHODS, FitContext, get_method
from .methods.base import LARGEST_SEED
from .methods.pretrained.weights import Weights
from .progress import Event, Progress
from .representation import Representation


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
    register: bool = False,
    device: str = "auto",
    seed: int = 0,
    max_seconds: float | None = None,
    progress: Progress | Callable[[Event], object] | None = None,
) -> Representation:
    """Fit a method to volumes of one patient.

    Parameters
    ----------
    method
        A name in :data:`methods.METHODS`.
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
        ``none``, ``boxcar``, ``gaussian``, or ``auto``: ``none`` in preset ``paper``, else decided
        from the inputs.
    register
        Whether to register the volumes rigidly to the first one.
    progress
        Called with each event.

    Returns
    -------
    The continuous function; its `provenance` tells how it was made.
    """
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
    if slice_profile == "auto" and (preset == "paper" or not chosen.needs_torch):
        slice_profile = "none"
    if chosen.min_inputs > 1:
        check_overlap(volumes)
    given = [labels] if isinstance(labels, Volume) else list(labels or [])
    prior = None
    if given:
        check_takes_labels(method)
        from .image.labels import make_prior

        prior = make_prior(given, volumes[0])
    profiles = choose_profiles(slice_profile, volumes, chosen.in_plane, chosen.point_samples)
    progress.stage("fit")
    context = FitContext(
        profiles,
        mask=mask,
        labels=prior,
        finest=finest_spacing,
        device=device,
        seed=seed,
        max_seconds=max_seconds,
        progress=progress,
        learn=learn,
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
        slice_profile=[p.kind for p in profiles],
        registered_affines=[v.affine.tolist() for v in volumes] if register else None,
    )
    return representation


def learn(
    method: str, volumes: Sequence[Volume], start: str, seconds: float, axis: int | None, context: FitContext
) -> Weights:
    """See :class:`methods.base.Learner`; what trains is imported when it is needed."""
    from .training.on_patient import learn_on_patient

    return learn_on_patient(method, volumes, start, seconds, axis, context)


def check_takes_labels(method: str) -> None:
    """Raise InputError unless a segmentation guides the method."""
    if not METHODS[method].takes_labels:
        able = ", ".join(name for name, m in METHODS.items() if m.takes_labels)
        raise InputError(f"method {method} uses no labels", f"Leave them out, or use {able}")


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
