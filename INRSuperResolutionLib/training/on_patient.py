"""Weights that go on learning on the volumes themselves: what their sharp planes show is the truth for coarser copies.

As SMORE (Zhao et al., "SMORE: a self-supervised anti-aliasing and super-resolution algorithm for MRI using deep learning",
2021) does across slices; here for every method that is trained ahead.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..image.volume import Volume
from ..methods.base import FitContext
from ..methods.cycleinr.representation import SlicedScan
from ..methods.cycleinr.settings import VolumetricArchitecture
from ..methods.pretrained.networks import architecture_of
from ..methods.pretrained.self_training import TRAINING_SHARE
from ..methods.pretrained.weights import Weights, load_weights
from ..progress import Event, Progress
from .blocks import BlockSettings
from .data import DataSettings
from .loop import Training
from .settings import TrainingSettings

# a low rate: the weights know much already
LEARNING_RATE = 3e-4
# examples in a step: of blocks, and of slices
BLOCKS, SLICES = 2, 4


def learn_on_patient(
    method: str, volumes: Sequence[Volume], start: str, seconds: float, axis: int | None, context: FitContext
) -> Weights:
    """See :class:`methods.base.Learner`."""
    architecture = architecture_of(method, load_weights(start, method).architecture)
    volumetric = isinstance(architecture, VolumetricArchitecture)
    with tempfile.TemporaryDirectory(prefix="inrsr-self-") as folder:
        path = Path(folder) / "self.safetensors"

        def tell(event: Event) -> None:
            if event.get("stage") == "fit":
                metrics: dict[str, float] = event["metrics"]  # type: ignore[assignment]
                context.progress.update(TRAINING_SHARE * float(str(event["fraction"])), **metrics)

        Training(
            method,
            architecture,
            volumes,
            path,
            settings=TrainingSettings(
                batch=BLOCKS if volumetric else SLICES, learning_rate=LEARNING_RATE, warmup=10, every=1 << 30
            ),
            data=blocks_like(volumes, axis, context) if volumetric else DataSettings(),
            minutes=seconds / 60,
            start=start,
            device=context.device,
            seed=context.seed,
            progress=Progress(tell),
        ).run()
        return load_weights(str(path), method)


def blocks_like(volumes: Sequence[Volume], axis: int | None, context: FitContext) -> BlockSettings:
    """Examples whose slices are as far apart as those of the volumes, and averaged where they are."""
    ratios = [SlicedScan(v, p, None, axis).told.ratio for v, p in zip(volumes, context.profiles)]
    averaged = float(np.mean([p.kind != "none" for p in context.profiles]))
    return BlockSettings(
        lowest_scale=max(1.0, 0.7 * min(ratios)), highest_scale=max(1.5, 1.3 * max(ratios)), averaged=averaged
    )
