"""The fit of the guided methods."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ....errors import InputError
from ....image.files import write
from ....image.interpolate import resample
from ....image.volume import Volume
from ...base import FitContext
from ...pretrained.weights import fitting_weights, load_weights
from ..settings import SELF_SUPERVISED, GuidedSettings, SelfSupervisedSettings
from .bands import slice_gains
from .representation import GuidedRepresentation
from .school import School


def fit_guided(volumes: Sequence[Volume], settings: GuidedSettings, context: FitContext) -> GuidedRepresentation:
    """Learn from the volumes alone, for a fixed number of steps (or `max_seconds`).

    Raises
    ------
    InputError
        If the mask is empty on one of the volumes.
    """
    started = time.perf_counter()
    torch.manual_seed(context.seed)
    weights_used = None
    if isinstance(settings, SelfSupervisedSettings) and settings.weights != "none":
        weights_used = load_weights(fitting_weights(settings.weights, SELF_SUPERVISED, volumes), SELF_SUPERVISED)
        settings = dataclasses.replace(settings, **weights_used.architecture)
    gains = [slice_gains(v) for v in volumes]
    representation = GuidedRepresentation(volumes, context.profiles, settings, device=context.device, gains=gains)
    if weights_used is not None:
        representation.network.start_from(weights_used.tensors)
    network, targets = representation.network, representation.targets
    schools = []
    for target in targets:
        use = target.scan.foreground
        if context.mask is not None:
            use = torch.from_numpy(resample(context.mask, target.scan.volume.grid, 0).data > 0)
        if not use.any():
            raise InputError(
                f"{target.scan.volume.name}: the mask is empty there", "Give a mask that overlaps all inputs"
            )
        schools.append(School(target, use, settings, context.left_out))
        context.progress.update(0.0)
    weights = list(network.parameters())
    optimizer = torch.optim.Adam(weights, lr=settings.learning_rate, betas=(0.9, 0.99))

    def gradient(channel: int, school: School, rng: np.random.Generator) -> tuple[float, Sequence[Tensor | None]]:
        """Loss and gradient of one contrast on a new crop of it."""
        x, wanted, weight = (v.to(context.device) for v in school.example(rng, settings.crop, network.radius))
        error = representation.residual_of(x[None], channel)[0] - wanted
        loss = (error.square() * weight).sum() / weight.sum().clamp(min=1)
        return float(loss.detach()), torch.autograd.grad(loss, weights, allow_unused=True)

    # each crop has a generator of its own, and may be drawn on a core of its own
    crops = [(channel, n) for channel in range(len(schools)) for n in range(settings.batch)]
    rngs = [np.random.default_rng([context.seed, channel, *([n] if n else [])]) for channel, n in crops]
    step, done, stopped_by = 0, 0.0, "schedule"
    while step < settings.steps:
        for group in optimizer.param_groups:
            rate = min(1.0, (step + 1) / settings.warmup) * (1 + math.cos(math.pi * done)) / 2
            group["lr"] = settings.learning_rate * rate
        channels = [channel for channel, _ in crops]
        found = list(representation.threads.map(gradient, channels, [schools[c] for c in channels], rngs))
        # summed in the order of the contrasts, so that the same seed gives the same bits
        for n, parameter in enumerate(weights):
            parts = [part for _, gradients in found if (part := gradients[n]) is not None]
            parameter.grad = torch.stack(parts).sum(dim=0) / settings.batch
        optimizer.step()
        step += 1
        done = step / settings.steps
        if context.max_seconds is not None:
            spent = (time.perf_counter() - started) / context.max_seconds
            if spent >= 1:
                stopped_by = "max-seconds"
                break
            done = max(done, spent)  # the rate falls to 0 in the time there is
        if step % 5 == 0:
            context.progress.update(done, loss=sum(loss for loss, _ in found) / len(found))
            context.progress.preview(lambda path: write(representation.preview(), path))
    context.progress.update(1.0)
    representation.agree_with_samples(context.grids)
    representation.provenance.update(
        parameters=sum(p.numel() for p in network.parameters()),
        steps=step,
        stopped_by=stopped_by,
        bands_percent=[None if g is None else round(100 * float(np.abs(g - 1).mean()), 3) for g in gains],
        noise=[round(target.noise, 4) for target in targets],
        weights=None if weights_used is None else {"name": weights_used.name, "sha256": weights_used.sha256},
    )
    return representation
