"""Weights by name, ``auto``, or ``self``: those that go on learning on the volumes before they are used."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...errors import InputError
from ...image.volume import Volume
from ..base import FitContext
from .weights import AUTO, Weights, fitting_weights, load_weights

SELF = "self"
# the part of the fit that is this training
TRAINING_SHARE = 0.8


def weights_for(
    name: str,
    method: str,
    volumes: Sequence[Volume],
    seconds: float,
    context: FitContext,
    start: str | None = None,
    axis: int | None = None,
) -> Weights:
    """The weights `name` of `method`; those for these volumes where it is ``auto``, and trained on them where it is ``self``.

    Parameters
    ----------
    seconds
        How long is learned with ``self``, at most ``context.max_seconds``.
    start
        The weights that go on learning then; None for those of ``auto``.
    axis
        The axis across the slices; None for the coarsest one.

    Raises
    ------
    MissingError
        If there are no such weights; see :func:`weights.load_weights`.
    InputError
        With ``self``, if there is no time, or no sharp plane to learn from.
    """
    if name != SELF:
        return load_weights(fitting_weights(name, method, volumes), method)
    seconds = min(seconds, context.max_seconds or math.inf)
    if seconds <= 0:
        raise InputError(f"{seconds:g} s is no time to train in", "Give train_seconds, or --max-seconds, above 0")
    if context.learn is None:
        raise InputError(f"the weights {SELF!r} need a training, which this run was not given", "Name other weights")
    return context.learn(method, volumes, start or fitting_weights(AUTO, method, volumes), seconds, axis, context)


def told_of(name: str, weights: Weights) -> dict[str, object]:
    """What a fit with these weights tells of them in its provenance."""
    return {
        "parameters": sum(t.numel() for t in weights.tensors.values()),
        "steps": weights.training.get("step", 0) if name == SELF else 0,
        "stopped_by": "schedule",
        "weights": {"name": weights.name, "sha256": weights.sha256},
    }


def rest_of_fit(name: str, done: float) -> float:
    """The part of the fit that is done when `done` of what comes after the weights is."""
    before = TRAINING_SHARE if name == SELF else 0.0
    return before + (1 - before) * done
