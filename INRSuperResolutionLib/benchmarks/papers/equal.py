"""Networks that are trained alike: on the same volumes, for equally many steps, with the same batches, schedule and loss.

What differs is told by the table: the network, the cycle loss where it belongs to the method, and for a network of one scale (EDSR)
that it learns at this scale alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...fitting import fit
from ...image.volume import Volume
from ...methods.cycleinr.settings import VolumetricArchitecture
from ...methods.pretrained.networks import TRAINABLE
from ...training.data import DataSettings
from ...training.loop import Training
from ...training.presets import training_preset

# whose training all of a family learn by: those that restore a plane, and those that make slices
IN_PLANE, ACROSS = "nexpr", "arssr"
# networks that make one scale alone
FIXED = ("edsr", "swinir", "srgan")


@dataclass(frozen=True)
class Learner:
    """A network of a table.

    Parameters
    ----------
    architecture, settings, data
        What differs from the training of its family.
    steps
        None for those of the plan.
    """

    name: str
    method: str
    architecture: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    steps: int | None = None

    @property
    def is_volumetric(self) -> bool:
        """Whether it makes slices between slices."""
        return isinstance(TRAINABLE[self.method]["fast"], VolumetricArchitecture)


@dataclass(frozen=True)
class Trained:
    """A network that has learned; its file is in the folder that was given."""

    learner: Learner
    path: Path
    steps: int
    seconds: float
    parameters: int

    def restore(self, coarse: Volume, wanted: Volume, axis: int | None = None) -> Volume:
        """What it makes of coarse slices on the grid of the truth, without any check or correction."""
        settings: dict[str, Any] = {"weights": str(self.path), "check": False}
        if self.learner.is_volumetric:
            settings.update(mirrored=1, axis=-1 if axis is None else axis)
        if self.learner.method == "nexpr":
            settings["consistent"] = False
        made = fit(self.learner.method, [coarse], settings=settings, slice_profile="none")
        return made.sample(wanted.grid)[0]


def train_equally(
    learner: Learner, volumes: Sequence[Volume], steps: int, preset: str, folder: Path, seed: int = 0
) -> Trained:
    """Train one network by the training of its family, for `steps` (or its own)."""
    family = training_preset(ACROSS if learner.is_volumetric else IN_PLANE, preset)
    architecture = replace(TRAINABLE[learner.method][preset], **learner.architecture)
    data = replace(family.data, **learner.data)
    count = learner.steps or steps
    largest = max(max(v.shape) for v in volumes)
    if isinstance(data, DataSettings) and data.fine_crop > largest:
        data = replace(data, fine_crop=0)  # whole slices are smaller than the papers' crops
    settings = replace(
        family.settings, every=max(1, count), warmup=min(family.settings.warmup, count // 5), **learner.settings
    )
    path = folder / f"{learner.method}-{len(list(folder.glob('*.safetensors')))}.safetensors"
    print(f"training {learner.name}, {count} steps, seed {seed}", file=sys.stderr, flush=True)
    started = time.perf_counter()
    training = Training(
        learner.method, architecture, volumes, path, settings=settings, data=data, steps=count, seed=seed
    )
    told = training.run()
    return Trained(learner, path, count, time.perf_counter() - started, told["parameters"])
