"""The fit of the methods that are trained ahead: find the weights, check that they help, encode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...acquisition.degrade import degrade
from ...errors import InputError
from ...image.intensity import foreground, without_signal
from ...image.volume import Volume
from ...representation import Representation
from ..base import FitContext
from ..coordinate.settings import CoordinateSettings
from ..nexpr.settings import NExpRSettings
from ..plain.zero_filling import ZeroFilling
from .self_training import rest_of_fit, told_of, weights_for
from .slicewise import SlicedVolume, SlicewiseRepresentation
from .weights import Weights

# slices that are looked at to see whether the network helps
CHECKED_SLICES = 4
CHECK_FACTOR = 2
# a slice that is made coarser must keep this many pixels along each axis
SMALLEST_CHECK = 8


def fit_trained(
    method: str, volumes: Sequence[Volume], settings: NExpRSettings | CoordinateSettings, context: FitContext
) -> Representation:
    """Encode all slices with the weights of `method`.

    Raises
    ------
    MissingError
        If there are no such weights; see :func:`weights.load_weights`.
    InputError
        If a slice is smaller than 2 × 2 pixels.
    """
    weights = weights_for(settings.weights, method, volumes, settings.train_seconds, context)
    sliced = [SlicedVolume(v) for v in volumes]
    for one in sliced:
        if min(one.volume.shape[axis] for axis in one.plane) < 2:
            shape = " × ".join(map(str, one.volume.shape))
            raise InputError(
                f"{one.volume.name} of {shape} voxels has no slice to restore", "Give an image of 2 × 2 or more"
            )
    gains = []
    for n, one in enumerate(sliced):
        gain = gain_on_coarser(one, weights, settings, context.device) if settings.check else None
        gains.append(gain)
        if not settings.check or not one.spread or (gain is not None and gain >= 0):
            continue
        found = "the slices are too small to see whether the network helps"
        if gain is not None:
            found = f"on this image made coarser once more, the network is {-gain:.1f} dB worse than zero filling"
        context.progress.warning(
            f"{one.volume.name}: {found}; zero filling is used instead. The image may be unlike what the weights were trained on"
        )
        sliced[n] = SlicedVolume(one.volume, zero_filled=True)
    made = represent(sliced, weights, settings, context.device)
    for done in made.prepare():
        context.progress.update(rest_of_fit(settings.weights, done))
    made.provenance.update(
        **told_of(settings.weights, weights),
        kspace_inputs=[not one.zero_filled for one in sliced],
        check_gain_db=gains,
        zero_filled=[one.zero_filled for one in sliced],
    )
    return made


def represent(
    sliced: Sequence[SlicedVolume], weights: Weights, settings: NExpRSettings | CoordinateSettings, device: str
) -> SlicewiseRepresentation:
    """The function of these volumes; nothing is encoded yet."""
    if isinstance(settings, NExpRSettings):
        from ..nexpr.representation import ExplicitRepresentation

        return ExplicitRepresentation(sliced, weights, device, settings=settings)
    from ..coordinate.representation import DecodedRepresentation

    return DecodedRepresentation(sliced, weights, device)


def gain_on_coarser(
    sliced: SlicedVolume, weights: Weights, settings: NExpRSettings | CoordinateSettings, device: str
) -> float | None:
    """How much better (dB) than zero filling the network restores the input itself from a coarser copy.

    Some slices lose the outer half of their k-space, so that the input is the known answer. None where
    the slices are too small, or are all of one value.
    """
    data = np.moveaxis(sliced.volume.data, sliced.axis, 0)
    if min(data.shape[1:]) < CHECK_FACTOR * SMALLEST_CHECK or not sliced.spread:
        return None
    inside = foreground(data)
    # evenly over the slices that hold most of the patient
    fullest = np.sort(np.argsort(inside.sum(axis=(1, 2)))[-max(1, len(data) // 2) :])
    chosen = fullest[np.linspace(0, len(fullest) - 1, min(CHECKED_SLICES, len(fullest))).astype(int)]
    floor = np.float32(without_signal(sliced.volume.data))
    from_zero = np.maximum(np.moveaxis(data[chosen], 0, 2) - floor, 0)  # as the magnitude of a scan
    truth = Volume(from_zero, np.diag([1, 1, 100.0, 1]), name=sliced.volume.name)
    coarse = degrade(truth, "kspace", (CHECK_FACTOR, CHECK_FACTOR, 1))
    if np.ptp(coarse.data) == 0:
        return None
    made = represent([SlicedVolume(coarse)], weights, settings, device)
    for _ in made.prepare():
        pass
    restored = made.evaluate(truth.grid, [0])[0]
    filled = np.maximum(ZeroFilling(coarse)(truth.grid), 0)
    errors = [float(np.mean((v - truth.data) ** 2)) for v in (restored, filled)]
    return 10 * float(np.log10(errors[1] / errors[0])) if min(errors) > 0 else None
