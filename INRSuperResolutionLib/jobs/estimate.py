"""How long a run will take and how much memory it will need, before it starts. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..device import usable_cores
from ..image.grid import Grid
from ..memory import BYTES_PER_RESULT_VOXEL
from ..methods import METHODS
from ..methods.coordinate.settings import CoordinateSettings
from ..methods.cycleinr.settings import CycleINRSettings
from ..methods.multicontrast.settings import GuidedSettings, InrSettings
from ..methods.nexpr.settings import NExpRSettings
from ..methods.perimage.settings import FieldSettings

BYTES_PER_INPUT_VOXEL = 24
BASE_BYTES = {True: 700 << 20, False: 250 << 20}
# start of the worker with and without torch, seconds
START_SECONDS = {True: 4.0, False: 2.0}
SECONDS_PER_RESULT_VOXEL = 1e-7
# backward costs twice the forward pass
PASSES = 3
# reached by the guided network with float32 on two cores of a server of 2023; more than 8 cores help little
FLOPS_PER_CORE = 2e10
MOST_CORES = 8
GPU_FLOPS = 2e13
# the per-image networks' small products in bfloat16 stay in the cache, and are faster by so much
FIELD_SPEED = 4
# points at which the per-image networks see a voxel
PARTS_OF_VOXEL = 4
# multiplications: to encode a voxel with the shipped networks, and to decode a point from four codes
ENCODING = 3e5
DECODING = 8e5
# the same for CycleINR's, what is computed twice around its tiles included; its large convolutions in bfloat16 are
# faster by so much, and a tile holds so many bytes
ENCODING_BLOCK = 1.6e6
DECODING_BLOCK = 1e5
VOLUMETRIC_SPEED = 5
VOLUMETRIC_BYTES = 900 << 20
# codes that are kept for each voxel of the input, at most all together
BYTES_PER_CODE = {"nexpr": 85, "liif": 514, "coordinate": 514, "edsr": 8}
MOST_CODE_BYTES = 3 << 28
# part of the voxels that the foreground usually covers
FOREGROUND = 0.4


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to need.

    Parameters
    ----------
    seconds
        None where nothing is known about the method yet.
    """

    seconds: float | None
    memory_bytes: int


def estimate(
    method: str,
    settings: Any,
    inputs: Sequence[Grid],
    outputs: Sequence[Grid],
    on_gpu: bool = False,
    max_seconds: float | None = None,
) -> Estimate:
    """Foresee a run from its settings and the sizes of its inputs and outputs; a guess within a factor of about 2."""
    uses_torch = METHODS[method].needs_torch
    result_voxels = sum(g.size for g in outputs)
    input_voxels = sum(g.size for g in inputs)
    memory = BASE_BYTES[uses_torch] + BYTES_PER_RESULT_VOXEL * result_voxels + BYTES_PER_INPUT_VOXEL * input_voxels
    seconds: float | None = START_SECONDS[uses_torch] + SECONDS_PER_RESULT_VOXEL * result_voxels
    if isinstance(settings, InrSettings):
        speed = GPU_FLOPS if on_gpu else cpu_flops()
        weights = inr_weights(settings, len(inputs))
        seen = input_voxels * (FOREGROUND + (1 - FOREGROUND) * settings.background_share) * settings.epochs
        fit = 2 * weights * PASSES * seen / speed
        sample = 2 * weights * max(g.size for g in outputs) / speed
        seconds += (min(fit, max_seconds) if max_seconds else fit) + sample  # type: ignore[operator]
        memory += 4 * 4 * weights
    elif isinstance(settings, GuidedSettings):
        speed = GPU_FLOPS if on_gpu else cpu_flops()
        weights = 9 * settings.depth * settings.width**2
        fit = 2 * weights * PASSES * settings.steps * settings.crop**2 * len(inputs) / speed
        flips = 4 if settings.average_flips else 1
        sample = 2 * weights * flips * result_voxels / speed
        seconds += (min(fit, max_seconds) if max_seconds else fit) + sample  # type: ignore[operator]
        memory += BYTES_PER_INPUT_VOXEL * result_voxels
    elif isinstance(settings, FieldSettings):
        # a single slice is fitted on one core
        speed = GPU_FLOPS if on_gpu else FIELD_SPEED * (cpu_flops() if min(inputs[0].shape) > 1 else FLOPS_PER_CORE)
        weights = field_weights(settings)
        whole = settings.dimensions == "volume" or (settings.dimensions == "auto" and min(inputs[0].shape) > 1)
        seen = FOREGROUND * input_voxels * (settings.volume_epochs if whole else settings.epochs)
        if whole and settings.volume_batch:
            seen = min(seen, settings.volume_steps * settings.volume_batch)
        fit = 2 * weights * PASSES * seen * PARTS_OF_VOXEL / speed
        sample = 2 * weights * FOREGROUND * result_voxels / speed
        seconds += (min(fit, max_seconds) if max_seconds else fit) + sample  # type: ignore[operator]
        memory += BYTES_PER_INPUT_VOXEL * input_voxels
    elif isinstance(settings, (NExpRSettings, CoordinateSettings)):
        speed = GPU_FLOPS if on_gpu else cpu_flops()
        averaged = 8 if isinstance(settings, NExpRSettings) and settings.average_flips else 1
        decoded = 2 * DECODING * result_voxels if method in ("coordinate", "liif") else 0.0
        seconds += (2 * ENCODING * averaged * input_voxels + decoded) / speed  # type: ignore[operator]
        memory += min(BYTES_PER_CODE[method] * input_voxels, MOST_CODE_BYTES)
    elif isinstance(settings, CycleINRSettings):
        speed = GPU_FLOPS if on_gpu else VOLUMETRIC_SPEED * cpu_flops()
        seconds += 2 * settings.mirrored * (ENCODING_BLOCK * input_voxels + DECODING_BLOCK * result_voxels) / speed  # type: ignore[operator]
        memory += VOLUMETRIC_BYTES
    elif uses_torch:
        seconds = None
    if seconds is not None and getattr(settings, "weights", None) == "self":
        seconds += min(settings.train_seconds, max_seconds or settings.train_seconds)
    return Estimate(seconds, memory)


def inr_weights(settings: InrSettings, contrasts: int) -> int:
    """Weights of the coordinate network, biases aside."""
    shared = 2 * settings.frequencies * settings.width + (settings.shared_layers - 1) * settings.width**2
    return shared + contrasts * (settings.width * settings.head_width + settings.head_width)


def field_weights(settings: FieldSettings) -> int:
    """About the weights of a per-image network: its square hidden layers."""
    width: int = getattr(settings, "width", 256)
    hidden: int = getattr(settings, "hidden_layers", 3)
    return hidden * width**2


def cpu_flops() -> float:
    """What the networks reach on the cores of this machine; a measurement would say little while it is busy."""
    return FLOPS_PER_CORE * min(usable_cores(), MOST_CORES)
