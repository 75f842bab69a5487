"""The fit of CycleINR and ArSSR: find (or train) the weights, check that they help, and encode."""

from __future__ import annotations

from collections.abc import Sequence

from ...image.volume import Volume
from ...progress import Progress
from ...representation import Representation
from ..base import FitContext
from ..pretrained.self_training import SELF, rest_of_fit, told_of, weights_for
from ..pretrained.weights import AUTO, Weights, candidates, load_weights
from .choice import best_weights, gain_on_known
from .representation import SlicedScan, VolumetricRepresentation
from .settings import CycleINRSettings

# Slices twice as far apart are harder than those that are there: a network that loses a little there may still gain here
# (measured on a scan that is blurred along its slices: with weights for another contrast, −0.8 dB there, +1.5 dB here). One
# that loses more knows nothing like the image
WORST_GAIN_DB = -1.0


def fit_volumes(
    method: str, volumes: Sequence[Volume], settings: CycleINRSettings, context: FitContext
) -> Representation:
    """Encode all volumes, each with the weights of `method` that suit it.

    Raises
    ------
    MissingError
        If there are no such weights; see :func:`weights.load_weights`.
    InputError
        With the weights ``self``, if the volume has no sharp plane to learn from.
    """
    axis = None if settings.axis < 0 else settings.axis
    chosen = weights_of_each(method, volumes, settings, context, axis)
    scans = []
    gains = []
    for volume, profile, weights in zip(volumes, context.profiles, chosen):
        gain = gain_on_known(volume, weights, context.device, axis, profile) if settings.check else None
        gains.append(gain)
        helps = gain is None or gain >= WORST_GAIN_DB
        if gain is not None and not helps:
            context.progress.warning(
                f"{volume.name}: what is left out of it, the network brings back {-gain:.1f} dB worse than a spline; the spline "
                "is used instead. The image may be unlike what the weights were trained on"
            )
        scans.append(SlicedScan(volume, profile, weights if helps else None, axis))
        warn_of_distance(scans[-1], context.progress)
    made = VolumetricRepresentation(scans, context.device, mirrored=settings.mirrored)
    for done in made.prepare():
        context.progress.update(rest_of_fit(settings.weights, done))
    told = [told_of(settings.weights, weights) for weights in chosen]
    made.provenance.update(
        **told[0],
        check_gain_db=gains,
        plain=[s.weights is None for s in scans],
        weights_of_inputs=[t["weights"] for t in told],
    )
    return made


def weights_of_each(
    method: str, volumes: Sequence[Volume], settings: CycleINRSettings, context: FitContext, axis: int | None
) -> list[Weights]:
    """The weights for each volume: with ``auto`` those of the library that bring back best what is left out of it.

    With ``self``, those of all volumes go on learning, or the general ones where they differ.
    """
    start = None
    if settings.weights in (AUTO, SELF):
        found = []
        for volume, profile in zip(volumes, context.profiles):
            names = candidates(method, [volume], profile.kind != "none")
            known = [load_weights(name, method) for name in names]
            found.append(best_weights(known, volume, context.device, axis, context.progress, profile))
        if settings.weights == AUTO:
            return found
        start = found[0].name if len({w.name for w in found}) == 1 else None
    one = weights_for(
        settings.weights,
        method,
        volumes,
        settings.train_seconds,
        context,
        start=start,
        axis=axis,
    )
    return [one] * len(volumes)


def warn_of_distance(one: SlicedScan, progress: Progress) -> None:
    """Warn of slices that are further apart, in pixels, than those of the training."""
    if one.weights is None or not one.restored:
        return
    highest = one.weights.training.get("data", {}).get("highest_scale")
    if highest is not None and one.told.ratio > highest * 1.05:
        progress.warning(
            f"{one.source.name}: the slices are {one.told.ratio:.1f} pixels apart; the weights {one.weights.name} were "
            f"trained up to {highest:g}"
        )
