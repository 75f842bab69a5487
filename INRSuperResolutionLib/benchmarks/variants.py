"""Networks that are trained a little, alike but for what a table compares."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..fitting import fit
from ..image.files import read
from ..image.volume import Volume
from ..methods.pretrained.networks import Architecture
from ..training.data import DataSettings
from ..training.loop import Training
from ..training.settings import TrainingSettings
from .arbitrary import figures, loses, some_slices

# what is learned from, what the curves are of, and what the tables are measured on
TRAINING = ("ms07_t1", "ms07_t2", "ms07_flair", "icbm152_t1")
VALIDATION = ("clinical04_t2",)
CASES = ("ms19_t2", "ms19_flair")
# of a training, where nothing is told
USUAL_STEPS = 1000
# lines of a training's log, and the examples that each of them looks at
LINES = 20
VALIDATION_EXAMPLES = 16


@dataclass(frozen=True)
class Variant:
    """A network and how it is trained.

    Parameters
    ----------
    changes
        Fields of :class:`TrainingSettings`.
    data
        What examples are made of.
    """

    name: str
    method: str
    architecture: Architecture
    changes: dict[str, Any] = field(default_factory=dict)
    data: DataSettings = DataSettings()


@dataclass(frozen=True)
class Trained:
    """A trained variant: its weights file, and the log of its training."""

    variant: Variant
    path: Path
    log: list[dict[str, float]]

    def restore(self, coarse: Volume, wanted: Volume) -> Volume:
        """What it makes of coarse slices on the grid of the truth."""
        settings = {"weights": str(self.path), "check": "false"}
        made = fit(self.variant.method, [coarse], settings=settings, slice_profile="none")
        return made.sample(wanted.grid)[0]


def train(variants: Sequence[Variant], folder: Path, steps: int, validate: bool = False) -> Iterator[Trained]:
    """Train one variant after the other, with the same seed; their files are gone when the next one is asked for."""
    for variant in variants:
        print(f"training {variant.name}, {steps} steps", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="inrsr-variant-") as scratch:
            training = Training(
                variant.method,
                variant.architecture,
                [str(folder / f"{name}.nii.gz") for name in TRAINING],
                Path(scratch) / "variant.safetensors",
                settings=TrainingSettings(
                    every=max(1, steps // LINES),
                    warmup=min(200, steps // 5),
                    validation_examples=VALIDATION_EXAMPLES,
                    **variant.changes,
                ),
                data=variant.data,
                validation=[str(folder / f"{name}.nii.gz") for name in VALIDATION if validate],
                steps=steps,
            )
            training.run()
            yield Trained(variant, training.output, training.log)


def truths(folder: Path) -> dict[str, Volume]:
    """Slices that the tables are measured on."""
    return {case: some_slices(read(folder / f"{case}.nii.gz")) for case in CASES}


def quality(trained: Trained, truth: Volume, scale: float) -> dict[str, float]:
    """PSNR (dB), SSIM and consistency (dB) of slices that lost k-space by `scale`."""
    coarse = loses(truth, scale)
    return figures(trained.restore(coarse, truth), truth, coarse)
