"""Weights that go on learning on the volumes themselves: what their sharp planes show is the truth for coarser copies.

As SMORE (Zhao et al., "SMORE: a self-supervised anti-aliasing and super-resolution algorithm for MRI using deep learning",
2021) does across slices; here for every method that is trained ahead.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..progress import Event, Progress
from ..volume import Volume
from ..weights import AUTO, Weights, fitting_weights, load_weights
from .base import FitContext
from .networks import architecture_of

if TYPE_CHECKING:
    from ..training.blocks import BlockSettings
    from ..training.data import DataSettings

SELF = "self"
# the part of the fit that is this training
TRAINING_SHARE = 0.8
# a low rate: the weights know much already
LEARNING_RATE = 3e-4


def weights_for(
    name: str,
    method: str,
    volumes: Sequence[Volume],
    examples: Callable[[], DataSettings | BlockSettings],
    seconds: float,
    batch: int,
    context: FitContext,
    start: str | None = None,
) -> Weights:
    """The weights `name` of `method`; those for these volumes where it is ``auto``, and trained on them where it is ``self``.

    Parameters
    ----------
    examples, seconds, batch
        What is learned from with ``self``, for how long (at most ``context.max_seconds``), and examples in a step.
    start
        The weights that go on learning then; None for those of ``auto``.

    Raises
    ------
    MissingError
        If there are no such weights; see :func:`weights.load_weights`.
    InputError
        With ``self``, if there is no time, or no sharp plane to learn from.
    """
    if name != SELF:
        return load_weights(fitting_weights(name, method, volumes), method)
    from ..training.loop import Training, TrainingSettings

    start = start or fitting_weights(AUTO, method, volumes)
    seconds = min(seconds, context.max_seconds or math.inf)
    if seconds <= 0:
        raise InputError(f"{seconds:g} s is no time to train in", "Give train_seconds, or --max-seconds, above 0")
    with tempfile.TemporaryDirectory(prefix="inrsr-self-") as folder:
        path = Path(folder) / "self.safetensors"

        def tell(event: Event) -> None:
            if event.get("stage") == "fit":
                metrics: dict[str, float] = event["metrics"]  # type: ignore[assignment]
                context.progress.update(TRAINING_SHARE * float(str(event["fraction"])), **metrics)

        Training(
            method,
            architecture_of(method, load_weights(start, method).architecture),
            volumes,
            path,
            settings=TrainingSettings(batch=batch, learning_rate=LEARNING_RATE, warmup=10, every=1 << 30),
            data=examples(),
            minutes=seconds / 60,
            start=start,
            device=context.device,
            seed=context.seed,
            progress=Progress(tell),
        ).run()
        return load_weights(str(path), method)


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
