"""The fit of CycleINR and ArSSR: find (or train) the weights, check that they help, and encode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...forward_model import SliceProfile
from ...intensity import foreground
from ...progress import Progress
from ...representation import Representation
from ...volume import Volume
from ...weights import Weights
from ..base import FitContext
from ..self_training import rest_of_fit, told_of, weights_for
from .representation import SlicedScan, VolumetricRepresentation
from .settings import CycleINRSettings

if TYPE_CHECKING:
    from ...training.blocks import BlockSettings

# pixels and slices of the part of a volume that is looked at to see whether the network helps
CHECKED_PIXELS = 96
CHECKED_SLICES = 40
# fewer slices cannot be left out and brought back
FEWEST_SLICES = 5
# slices this much further apart than in the training say nothing about the network
TOO_FAR = 1.4
# Slices twice as far apart are harder than those that are there: a network that loses a little there still gains here
# (measured on a scan that is blurred along its slices: −0.3 dB there, +0.7 dB here). One that loses more knows nothing
# like the image
WORST_GAIN_DB = -1.0


def fit_volumes(
    method: str, volumes: Sequence[Volume], settings: CycleINRSettings, context: FitContext
) -> Representation:
    """Encode all volumes with the weights of `method`.

    Raises
    ------
    MissingError
        If there are no such weights; see :func:`weights.load_weights`.
    InputError
        With the weights ``self``, if the volume has no sharp plane to learn from.
    """
    weights = weights_for(
        settings.weights,
        method,
        volumes,
        lambda: examples_like(volumes, settings, context),
        settings.train_seconds,
        2,
        context,
    )
    scans = []
    gains = []
    axis = None if settings.axis < 0 else settings.axis
    for volume, profile in zip(volumes, context.profiles):
        gain = gain_without_slices(volume, weights, context.device, axis) if settings.check else None
        gains.append(gain)
        plain = False
        if gain is not None and gain < WORST_GAIN_DB:
            plain = True
            context.progress.warning(
                f"{volume.name}: with every second slice left out, the network brings them back {-gain:.1f} dB worse than "
                "a spline; the spline is used instead. The image may be unlike what the weights were trained on"
            )
        scans.append(SlicedScan(volume, profile, axis, plain))
        warn_of_distance(scans[-1], weights, context.progress)
    made = VolumetricRepresentation(scans, weights, context.device, mirrored=settings.mirrored)
    for done in made.prepare():
        context.progress.update(rest_of_fit(settings.weights, done))
    made.provenance.update(
        **told_of(settings.weights, weights),
        check_gain_db=gains,
        plain=[s.plain for s in scans],
    )
    return made


def warn_of_distance(one: SlicedScan, weights: Weights, progress: Progress) -> None:
    """Warn of slices that are further apart, in pixels, than those of the training."""
    highest = weights.training.get("data", {}).get("highest_scale")
    if one.restored and highest is not None and one.told.ratio > highest * 1.05:
        progress.warning(
            f"{one.source.name}: the slices are {one.told.ratio:.1f} pixels apart; the weights {weights.name} were "
            f"trained up to {highest:g}"
        )


def gain_without_slices(volume: Volume, weights: Weights, device: str, axis: int | None = None) -> float | None:
    """How much better (dB) than the spline the network brings back every second slice of the volume itself.

    Looks at the middle of the patient only. None where there are too few slices, too far apart for the network,
    or where all is of one value.
    """
    whole = SlicedScan(volume, SliceProfile("none"), axis)
    highest = weights.training.get("data", {}).get("highest_scale", math.inf)
    depth = whole.voxels.shape[0]
    if depth < FEWEST_SLICES or whole.is_constant or 2 * whole.told.ratio > TOO_FAR * highest:
        return None
    inside = np.moveaxis(foreground(whole.volume.data), whole.axis, 0)
    box = []
    for a, most in enumerate((CHECKED_SLICES, CHECKED_PIXELS, CHECKED_PIXELS)):
        seen = inside.sum(axis=tuple(b for b in range(3) if b != a))
        centre = int(np.average(np.arange(len(seen)), weights=seen + 1e-9))
        size = min(most, len(seen))
        start = int(np.clip(centre - size // 2, 0, len(seen) - size))
        box.append(slice(start, start + size))
    full = whole.voxels[tuple(box)]
    full = full[: (len(full) - 1) // 2 * 2 + 1]
    if np.ptp(full[::2]) == 0:
        return None
    spacing = [2 * whole.told.ratio, 1.0, 1.0]
    coarse = Volume(full[::2], np.diag([*spacing, 1.0]), name=volume.name)
    grid = Volume(full, np.diag([spacing[0] / 2, 1.0, 1.0, 1.0])).grid
    one = SlicedScan(coarse, SliceProfile("none"), axis=0)
    made = VolumetricRepresentation([one], weights, device)
    for _ in made.prepare():
        pass
    restored = made.evaluate(grid, [0])[0][1::2]
    plain = VolumetricRepresentation([SlicedScan(coarse, SliceProfile("none"), axis=0, plain=True)], weights, device)
    errors = [float(np.mean((v - full[1::2]) ** 2)) for v in (restored, plain.evaluate(grid, [0])[0][1::2])]
    return 10 * math.log10(errors[1] / errors[0]) if min(errors) > 0 else None


def examples_like(volumes: Sequence[Volume], settings: CycleINRSettings, context: FitContext) -> BlockSettings:
    """Examples whose slices are as far apart as those of the volumes, and averaged where they are."""
    from ...training.blocks import BlockSettings

    axis = None if settings.axis < 0 else settings.axis
    ratios = [SlicedScan(v, p, axis).told.ratio for v, p in zip(volumes, context.profiles)]
    averaged = float(np.mean([p.kind != "none" for p in context.profiles]))
    return BlockSettings(
        lowest_scale=max(1.0, 0.7 * min(ratios)), highest_scale=max(1.5, 1.3 * max(ratios)), averaged=averaged
    )
