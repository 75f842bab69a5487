"""Gradient descent by a schedule that is fixed beforehand, or cut to a time limit: no truth is ever looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from ...image.files import write
from ...image.volume import Volume
from ...progress import Progress

STEPS_PER_UPDATE = 25


@dataclass
class Tracker:
    """Progress of fits that may run side by side, and the time that each may take."""

    progress: Progress
    images: int
    seconds_each: float | None
    preview: Callable[[], Volume]
    cut: bool = False
    """Whether the time limit ended a fit."""
    _done: dict[int, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def update(self, image: int, done: float, **metrics: float) -> None:
        """Tell how far one image is, 0 to 1, and show the whole from time to time."""
        with self._lock:
            self._done[image] = done
            self.progress.update(sum(self._done.values()) / self.images, **metrics)
            self.progress.preview(lambda path: write(self.preview(), path))


@dataclass
class Stage:
    """A part of the fit of one image: from which to which part of its progress and of its time."""

    tracker: Tracker
    image: int
    started: float
    first: float = 0.0
    last: float = 1.0

    def spent(self) -> float:
        """The part of this stage's time that is used up; 0 without a limit."""
        limit = self.tracker.seconds_each
        if limit is None:
            return 0.0
        whole = (time.perf_counter() - self.started) / limit
        return max(0.0, (whole - self.first) / (self.last - self.first))

    def update(self, done: float, loss: float) -> None:
        """Tell how far this stage is."""
        self.tracker.update(self.image, self.first + (self.last - self.first) * done, loss=loss)


def descend(
    groups: Sequence[dict[str, Any]],
    loss_of: Callable[[Tensor], Tensor],
    samples: int,
    epochs: int,
    batch: int,
    final_rate: float,
    generator: torch.Generator,
    stage: Stage,
    most_steps: int | None = None,
    hurry: float = 1.0,
    memory: float = 0.99,
) -> int:
    """Adam with exponentially falling rates over a fixed number of steps; returns the steps that were made.

    Parameters
    ----------
    groups
        Parameters with their rate (``lr``) at the start.
    loss_of
        Loss of samples given by their numbers, int64 (n,), on the CPU.
    batch
        Samples in a step.
    final_rate
        The part of the rates that is left at the end.
    most_steps
        Ends the epochs early; None for all of them.
    hurry
        Where a time limit leaves fewer steps, the rates make up for it, up to so many times higher.
    memory
        Adam's β2.
    """
    steps = epochs * -(-samples // batch)
    if most_steps is not None:
        steps = min(steps, most_steps)
    # Apple's processors have no fused step
    fused = groups[0]["params"][0].device.type != "mps"
    optimizer = torch.optim.Adam(list(groups), betas=(0.9, memory), fused=fused)
    rates = [group["lr"] for group in optimizer.param_groups]
    step = 0
    for _ in range(epochs):
        for chosen in torch.randperm(samples, generator=generator).split(batch):
            if step == steps:
                return step
            spent = stage.spent()
            if spent >= 1:
                stage.tracker.cut = True
                return step
            done = max(step / steps, spent)  # the rates fall to their end in the time there is
            faster = min(hurry, max(1.0, spent * steps / (step + 1)))
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = faster * rate * final_rate**done
            loss = loss_of(chosen)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            step += 1
            if step % STEPS_PER_UPDATE == 0:
                stage.update(done, float(loss.detach()))
    return step
