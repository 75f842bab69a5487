"""How long a run will take and how much memory it will need, before it starts. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..device import usable_cores
from ..image.grid import Grid
from ..memory import BYTES_PER_RESULT_VOXEL
from ..methods import get_method
from ..methods.combined import CombinedSettings
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
SECONDS_PER_WRITTEN_VOXEL = 1e-7
# backward costs twice the forward pass
PASSES = 3
# reached by the guided network with float32 on two cores of a server of 2023; more than 8 cores help little
FLOPS_PER_CORE = 2e10
MOST_CORES = 8
GPU_FLOPS = 2e13
# in bfloat16 it is faster by so much
GUIDED_SPEED = 6
# the per-image networks' small products in bfloat16 stay in the cache, and are faster by so much
FIELD_SPEED = 4
# points at which the per-image networks see a voxel
PARTS_OF_VOXEL = 4
# … and slower by so much where the conditioner sees every point, and the classes are learned along
CONDITIONED = 3
# multiplications: to encode a voxel with the shipped networks, and to decode a point from four codes
ENCODING = 3e5
DECODING = 8e5
# the same for CycleINR's, what is computed twice around its tiles included; its large convolutions in bfloat16 are
# faster by so much, and a tile holds so many bytes
ENCODING_BLOCK = 1.6e6
DECODING_BLOCK = 1e5
VOLUMETRIC_SPEED = 10
# weights that are compared where they are chosen, voxels of the image on which each is tried, and heights of each slice
# at which the result is averaged
CANDIDATES = 5
CHECKED_VOXELS = 2.5e5
TAPS = 4
# how often a voxel lies in blended windows that share a quarter with the next one along each axis
OVERLAPPING = 2.4
MOST_HEADER = 1 << 24
VOLUMETRIC_BYTES = 900 << 20
# codes that are kept for each voxel of the input, at most all together
BYTES_PER_CODE = {
    "nexpr": 85,
    "liif": 514,
    "coordinate": 514,
    "lte": 1028,
    "srno": 128,
    "edsr": 8,
    "srgan": 8,
    "swinir": 8,
}
MOST_CODE_BYTES = 3 << 28
# part of the voxels that the foreground usually covers
FOREGROUND = 0.4
# voxels of the box around the foreground, for each in it
GUIDED_BOX = 1.8


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to need.

    Parameters
    ----------
    seconds
        None where nothing is known about the method yet.
    stages
        Seconds of its stages, by their names in :data:`progress.SHARES`; only those that are known.
    fixed
        Seconds of the fit that no time limit makes shorter.
    """

    seconds: float | None
    memory_bytes: int
    stages: Mapping[str, float] = field(default_factory=dict)
    fixed: float = 0.0


def estimate(
    method: str,
    settings: Any,
    inputs: Sequence[Grid],
    outputs: Sequence[Grid],
    on_gpu: bool = False,
    max_seconds: float | None = None,
    threads: int | None = None,
    foreground: float = FOREGROUND,
) -> Estimate:
    """Foresee a run from its settings and the sizes of its inputs and outputs; a guess within a factor of about 2.

    Parameters
    ----------
    threads
        CPU threads that it may use; None for all cores.
    foreground
        Part of the input's voxels in which there is something, if it is known.
    """
    if isinstance(settings, CombinedSettings):
        parts = [
            estimate(name, own, inputs, outputs, on_gpu, max_seconds, threads, foreground)
            for name, own in settings.of_members(judged=len(inputs) == 1).items()
        ]
        return together(parts, sum(g.size for g in outputs))
    uses_torch = get_method(method).needs_torch
    result_voxels = sum(g.size for g in outputs)
    input_voxels = sum(g.size for g in inputs)
    memory = BASE_BYTES[uses_torch] + BYTES_PER_RESULT_VOXEL * result_voxels + BYTES_PER_INPUT_VOXEL * input_voxels
    write = SECONDS_PER_WRITTEN_VOXEL * result_voxels
    # splines, and the check against the input
    # of the fit, `fixed` is what no time limit makes shorter
    fit, fixed, sample = 0.0, 0.0, SECONDS_PER_RESULT_VOXEL * result_voxels
    cpu = cpu_flops(threads)
    speed = GPU_FLOPS if on_gpu else cpu
    if isinstance(settings, InrSettings):
        weights = inr_weights(settings, len(inputs))
        seen = input_voxels * (foreground + (1 - foreground) * settings.background_share) * settings.epochs
        fit += 2 * weights * PASSES * seen / speed
        sample += 2 * weights * max(g.size for g in outputs) / speed
        memory += 4 * 4 * weights
    elif isinstance(settings, GuidedSettings):
        if not on_gpu and settings.mixed_precision:
            speed = GUIDED_SPEED * cpu
        weights = 9 * settings.depth * settings.width**2
        crops = settings.steps * getattr(settings, "batch", 1) * len(inputs)
        fit += 2 * weights * PASSES * crops * settings.crop**2 / speed
        flips = 4 if settings.average_flips else 1
        # once to make the splines agree with the samples, and once to draw the result
        fixed += 2 * weights * flips * min(1.0, GUIDED_BOX * foreground) * result_voxels / speed
        sample += 2 * weights * flips * min(1.0, GUIDED_BOX * foreground) * result_voxels / speed
        memory += BYTES_PER_INPUT_VOXEL * result_voxels
    elif isinstance(settings, FieldSettings):
        # a single slice is fitted on one core
        if not on_gpu:
            speed = FIELD_SPEED * (cpu if min(inputs[0].shape) > 1 else FLOPS_PER_CORE)
        weights = field_weights(settings)
        whole = settings.dimensions == "volume" or (settings.dimensions == "auto" and min(inputs[0].shape) > 1)
        seen = foreground * input_voxels * (settings.volume_epochs if whole else settings.epochs)
        if whole and settings.volume_batch:
            seen = min(seen, settings.volume_steps * settings.volume_batch)
        slower = CONDITIONED if getattr(settings, "conditions", "") == "distribution" else 1
        # in the preset paper, voxels are points, but products are not in bfloat16: neither counts
        fit += slower * 2 * weights * PASSES * seen * PARTS_OF_VOXEL / speed
        sample += 2 * weights * foreground * result_voxels / speed
        memory += BYTES_PER_INPUT_VOXEL * input_voxels
    elif isinstance(settings, (NExpRSettings, CoordinateSettings)):
        averaged = 8 if isinstance(settings, NExpRSettings) and settings.average_flips else 1
        fixed += 2 * ENCODING * averaged * input_voxels / speed
        sample += (2 * DECODING * result_voxels if method in ("coordinate", "liif", "lte", "srno") else 0.0) / speed
        memory += min(BYTES_PER_CODE[method] * input_voxels, MOST_CODE_BYTES)
    elif isinstance(settings, CycleINRSettings):
        if not on_gpu:
            speed = VOLUMETRIC_SPEED * cpu
        own = block_multiplications(settings.weights)
        encoding, decoding = own or (ENCODING_BLOCK, DECODING_BLOCK)
        compared = CANDIDATES * len(inputs) if settings.weights == "auto" else int(settings.check) * len(inputs)
        encoded = settings.mirrored * encoding * input_voxels
        fixed += 2 * encoding * CHECKED_VOXELS * compared / speed
        if own is None:  # the spline is made to agree with the slices at a few heights of each
            fixed += 2 * (encoded + settings.mirrored * decoding * TAPS * input_voxels) / speed
        sample += 2 * (encoded + settings.mirrored * decoding * result_voxels) / speed
        memory += VOLUMETRIC_BYTES
    elif uses_torch:
        return Estimate(None, memory, {"write": write})
    if max_seconds:
        fit = min(fit, max_seconds)
    if getattr(settings, "weights", None) == "self":
        fit += min(settings.train_seconds, max_seconds or settings.train_seconds)
    stages = {"fit": fit + fixed, "sample": sample, "write": write}
    return Estimate(START_SECONDS[uses_torch] + sum(stages.values()), memory, stages, fixed)


def block_multiplications(weights: str) -> tuple[float, float] | None:
    """Multiplications to encode a voxel, and to decode a point, by a network of a paper's own design in a file; None for others.

    Its blended windows overlap, so that a voxel is encoded, and decoded, several times.
    """
    path = Path(weights)
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            told = json.loads(file.read(min(length, MOST_HEADER)))["__metadata__"]["inrsr"]
        a = json.loads(told)["architecture"]
        if a.get("design", "residual") == "residual":
            return None
        features, latent = int(a["features"]), int(a["latent"])
        encoding = 27 * (features + features**2 * int(a["blocks"]) * int(a["convolutions"]) + features * latent)
        decoding = int(a["layers"]) * int(a["width"]) ** 2 + (2 * 27 + 3) * latent
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # whoever reads the weights tells what is wrong
        return None
    return OVERLAPPING * encoding, OVERLAPPING * decoding


def together(parts: Sequence[Estimate], result_voxels: int) -> Estimate:
    """Several runs in one process: stages add up, but for the start and the writing; results are held twice."""
    stages = {
        **{name: sum(p.stages.get(name, 0.0) for p in parts) for name in ("fit", "sample")},
        "write": SECONDS_PER_WRITTEN_VOXEL * result_voxels,
    }
    memory = max(p.memory_bytes for p in parts) + BYTES_PER_RESULT_VOXEL * result_voxels
    return Estimate(START_SECONDS[True] + sum(stages.values()), memory, stages, sum(p.fixed for p in parts))


def inr_weights(settings: InrSettings, contrasts: int) -> int:
    """Weights of the coordinate network, biases aside."""
    shared = 2 * settings.frequencies * settings.width + (settings.shared_layers - 1) * settings.width**2
    return shared + contrasts * (settings.width * settings.head_width + settings.head_width)


def field_weights(settings: FieldSettings) -> int:
    """About the weights of a per-image network: its square hidden layers."""
    width: int = getattr(settings, "width", 256)
    hidden: int = getattr(settings, "hidden_layers", 3)
    return hidden * width**2


def cpu_flops(threads: int | None = None) -> float:
    """What the networks reach on the cores of this machine; a measurement would say little while it is busy."""
    cores = usable_cores() if threads is None else min(threads, usable_cores())
    return FLOPS_PER_CORE * min(cores, MOST_CORES)
