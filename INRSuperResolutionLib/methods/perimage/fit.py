"""Fit a per-image network: to one volume, or to each of its slices."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from ...acquisition.slice_axis import slice_axis
from ...errors import InputError
from ...image.intensity import Scaling
from ...image.labels import automatic_prior
from ...image.volume import Volume
from ..base import FitContext
from .descent import Tracker
from .field import FieldRepresentation
from .image import FitOfImage, FitOfSeco
from .pixels import Frame, Pixels, parts_of_voxels
from .settings import CONDITIONS, DIMENSIONS, FieldSettings, SecoSettings


def fit_field(volumes: Sequence[Volume], settings: FieldSettings, context: FitContext) -> FieldRepresentation:
    """Fit the network that `settings` describe.

    Raises
    ------
    InputError
        For an unknown `dimensions`, or an image that is constant.
    """
    (volume,) = volumes
    if settings.dimensions not in DIMENSIONS:
        raise InputError(
            f"setting dimensions = {settings.dimensions!r} is not known", f"Give one of {', '.join(DIMENSIONS)}"
        )
    if isinstance(settings, SecoSettings) and settings.conditions not in CONDITIONS:
        raise InputError(
            f"setting conditions = {settings.conditions!r} is not known", f"Give one of {', '.join(CONDITIONS)}"
        )
    if np.ptp(volume.data) == 0:
        raise InputError(f"{volume.name} is constant ({volume.data.flat[0]:g})", "Give an image with some contrast")
    prior = None
    if isinstance(settings, SecoSettings) and settings.semantics:
        prior = context.labels or automatic_prior(volume)
    axis = slice_axis(volume)
    slice_wise = settings.dimensions == "slices" or (settings.dimensions == "auto" and volume.shape[axis] == 1)
    across = axis if slice_wise else None
    frame = Frame(volume, [a for a in range(3) if a != across])
    representation = FieldRepresentation(
        volume, settings, frame, across, scaling_of(volume), prior, device=context.device
    )
    images: list[np.ndarray] = list(np.moveaxis(volume.data, axis, 0)) if slice_wise else [volume.data]
    shares: list[np.ndarray | None] = [None] * len(images)
    if prior is not None:
        shares = list(np.moveaxis(prior.probabilities, axis + 1, 0)) if slice_wise else [prior.probabilities]
    workers = min(len(images), torch.get_num_threads()) if context.device == "cpu" else 1
    each = None if context.max_seconds is None else context.max_seconds * workers / len(images)
    tracker = Tracker(context.progress, len(images), each, representation.preview)
    parts = parts_of_voxels(volume, frame.axes, context.profiles[0], context.finest)

    def make_fit(number: int) -> FitOfImage | None:
        image = images[number]
        if np.ptp(image) == 0:  # an empty slice
            return None
        pixels = Pixels(image, volume, frame, parts, context.profiles[0], context.device)
        if isinstance(settings, SecoSettings):
            return FitOfSeco(pixels, representation.scaling, settings, context, number, tracker, shares[number])
        return FitOfImage(pixels, representation.scaling, settings, context, number, tracker)

    # all networks are made before the fits run side by side, so that the same seed gives the same bits
    fits = [make_fit(n) for n in range(len(images))]

    representation.parts = [None if f is None else f.draft() for f in fits]

    def run(number: int) -> None:
        fit = fits[number]
        if fit is not None:
            representation.parts[number] = fit.run()

    if slice_wise and context.device == "cpu":
        # a core for each slice: their products are too small to share between cores
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as threads:
            list(threads.map(run, range(len(fits))))
    else:
        for number in range(len(fits)):
            run(number)
    networks = [part.network for part in representation.parts if part is not None]
    representation.provenance.update(
        parameters=sum(p.numel() for network in networks for p in network.parameters()),
        steps=sum(f.steps for f in fits if f is not None),
        stopped_by="max-seconds" if tracker.cut else "schedule",
        labels=None if prior is None else list(prior.values),
    )
    return representation


def scaling_of(volume: Volume) -> Scaling:
    """Lowest value to 0, the 99.9th percentile of what is above it to 1."""
    low = float(volume.data.min())
    span = float(np.percentile(volume.data[volume.data > low], 99.9)) - low
    return Scaling(low, span)
