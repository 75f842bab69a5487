"""Training ahead of the network of ``self-supervised``: sharp slices of many volumes, cut into thick ones.

Each example draws a slice, a contrast, how far apart the virtual slices are, their thickness and profile, and what is
assumed of the profile, which is wrong at times: on a scan whose header tells nothing, it will be.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from ..acquisition.forward_model import SliceProfile
from ..device import has_bfloat16
from ..image.intensity import Scaling, foreground
from ..image.volume import Volume
from ..methods.multicontrast.guided.lessons import CHANNELS_ALONE, phase
from ..methods.multicontrast.guided.network import Network
from ..methods.multicontrast.guided.school import BACKGROUND_WEIGHT
from ..methods.multicontrast.guided.thinning import Cutting, Line, noise_of, with_noise
from ..methods.multicontrast.settings import SELF_SUPERVISED, GuidedArchitecture
from ..methods.pretrained.weights import load_weights, save_weights
from ..progress import SILENT, Progress
from .data import SliceSet

# slices further apart than this many pixels get a stencil of a wider step
STEPS_PER_SLICE = GuidedArchitecture.steps_per_slice
# errors of a spline below this (in squares of the spread) are no reason to look closer
SMALLEST_ERROR = 0.01


@dataclass(frozen=True)
class GuidedTraining:
    """How long, how fast, and what from."""

    crop: int = 112
    """Side of the crops in pixels."""
    batch: int = 1
    """Crops in one step."""
    learning_rate: float = 2e-3
    """Adam's highest rate; it rises over the first steps and falls to 0 as a cosine."""
    warmup: int = 200
    """Steps over which the rate rises."""
    lowest_scale: float = 1.5
    """Slices are so many pixels apart, drawn evenly on a logarithmic scale, from here …"""
    highest_scale: float = 7.0
    """… to here; to twice as far in one example of ten."""


def draw_cutting(rng: np.random.Generator) -> tuple[Cutting, Cutting]:
    """How slices are averaged, and how they are taken to be."""
    if rng.random() < 0.12:
        return (Cutting(SliceProfile("none"), 1.0),) * 2
    width = 1.0 if rng.random() < 0.55 else float(rng.uniform(0.5, 1.25))
    true = Cutting(SliceProfile("boxcar" if rng.random() < 0.5 else "gaussian"), width)
    guess = rng.random()
    if guess < 0.45:
        return true, true
    if guess < 0.7:
        return true, Cutting(SliceProfile("boxcar"), width)
    if guess < 0.95:
        return true, Cutting(SliceProfile("boxcar"), 1.0)
    return true, Cutting(SliceProfile("none"), 1.0)


def other_contrast(fine: np.ndarray, scaling: Scaling, rng: np.random.Generator) -> np.ndarray:
    """The slice as another sequence might show it: by an exponent, or by any curve from 0 up; or as it is."""
    kind = rng.random()
    top = scaling.offset + 3 * scaling.scale
    if kind < 0.45:
        return fine
    if kind < 0.7:
        return (top * (np.maximum(fine, 0) / top) ** (1.6 ** rng.uniform(-1, 1))).astype(np.float32)
    knots = np.concatenate([[0, 0.1], np.sort(rng.uniform(0.2, 0.9, 2)), [1.0]])
    knots[3] = max(knots[3], knots[2] + 0.05)
    heights = np.concatenate([[0], rng.uniform(0.1, 1, 4)])
    curve = PchipInterpolator(knots, heights)(np.linspace(0, 1, 256))
    return (top * np.interp(np.clip(fine / top, 0, 1), np.linspace(0, 1, 256), curve)).astype(np.float32)


def example(
    slices: SliceSet, settings: GuidedTraining, radius: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs (channels, crop + 2 r, crop + 2 r), wanted residual and weight (crop, crop)."""
    stack, number = slices.draw(rng)
    fine = other_contrast(np.array(stack.data[number], dtype=np.float32), stack.scaling, rng)
    for axis in (0, 1):
        if rng.random() < 0.5:
            fine = np.flip(fine, axis)
    if rng.random() < 0.5:
        fine = fine.T
    inside = foreground(fine)
    scaling = Scaling.standard(fine)
    scaling = Scaling(
        scaling.offset + scaling.scale * rng.normal(0, 0.1), scaling.scale * float(np.exp(rng.normal(0, 0.1)))
    )
    image = scaling.apply(np.ascontiguousarray(fine))
    reach = 2.0 if rng.random() < 0.1 else 1.0
    scale = settings.lowest_scale * (reach * settings.highest_scale / settings.lowest_scale) ** rng.random()
    scale = min(scale, image.shape[0] / 6)
    stride = max(1, round(scale / STEPS_PER_SLICE))
    true, assumed = draw_cutting(rng)
    # rows lie along the axis that is cut
    size = settings.crop
    windows = []
    centre = np.argwhere(inside)[rng.integers(inside.sum())] if inside.any() else np.array(image.shape) // 2
    for n, middle in zip(image.shape, centre):
        first = int(np.clip(middle - size * stride * rng.random(), 0, max(n - size * stride, 0)))
        if n < size * stride:
            first = (n - size * stride) // 2
        windows.append(first + stride * (np.arange(size + 2 * radius) - radius))
    rows, columns = windows
    line = Line(float(rng.random()), 1 / scale, image.shape[0])
    ends = (-math.inf, math.inf)
    if rng.random() < 0.3:  # the stack ends within the picture
        ends = line.ending_within(rows[radius : radius + size], rng)
    centres = line.slices(ends)
    cut = line.cut(centres, true.taps())
    picture = torch.from_numpy(image)
    clipped = [torch.from_numpy(np.clip(w, 0, n - 1)) for w, n in zip(windows, image.shape)]
    noise = noise_of(image, inside)
    more = 10 ** rng.uniform(-2, -0.8) if rng.random() < 0.35 else 0.0
    thick = with_noise(cut @ picture[:, clipped[1]], cut, noise, rng)
    if more:
        thick = thick + more * torch.from_numpy(rng.standard_normal(thick.shape, dtype=np.float32))
    seen = line.join(centres, rows, assumed.solve(len(centres))) @ thick
    at = line.start + line.step * rows
    told = assumed.told(stride / scale, math.hypot(noise, more))
    wide = len(columns)
    x = torch.cat(
        [
            seen[None],
            phase(at)[:, :, None].expand(-1, -1, wide),
            told[:, None, None].expand(-1, len(rows), wide),
        ]
    )
    inner = slice(radius, radius + size)
    r, c = clipped[0][inner], clipped[1][inner]
    wanted = picture[r][:, c] - seen[inner, inner]
    real = [torch.from_numpy((w[inner] >= 0) & (w[inner] < n)) for w, n in zip(windows, image.shape)]
    covered = torch.from_numpy((at[inner] >= centres[0] - 0.5) & (at[inner] <= centres[-1] + 0.5))
    weight = torch.where(torch.from_numpy(inside)[r][:, c], 1.0, BACKGROUND_WEIGHT)
    weight = weight * ((real[0] & covered)[:, None] & real[1])
    # what a spline misses differs much between images: each is to be made better by the same part
    error = float((wanted.square() * weight).sum() / weight.sum().clamp(min=1))
    return x, wanted, weight / (error + SMALLEST_ERROR)


def train_guided(
    volumes: Sequence[str | Volume],
    output: Path,
    minutes: float | None = None,
    steps: int | None = None,
    architecture: GuidedArchitecture | None = None,
    settings: GuidedTraining | None = None,
    start: str | None = None,
    seed: int = 0,
    half: bool = True,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Train for some minutes or steps, and write the weights; returns what the file's header tells.

    Raises
    ------
    InputError
        If a volume has no sharp plane; see :class:`data.SliceSet`.
    """
    architecture, settings = architecture or GuidedArchitecture(), settings or GuidedTraining()
    torch.manual_seed(seed)
    network = Network([CHANNELS_ALONE], architecture.width, architecture.depth, architecture.reach)
    if start is not None:
        network.load_state_dict(load_weights(start, SELF_SUPERVISED).tensors)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99))
    steps = steps or (10000 if minutes is None else 1 << 40)
    rng = np.random.default_rng(seed)
    mixed = has_bfloat16("cpu")
    recent: deque[float] = deque(maxlen=500)
    curve = []
    step, done = 0, 0.0
    with tempfile.TemporaryDirectory(prefix="inrsr-guided-") as folder:
        slices = SliceSet(volumes, Path(folder))
        progress.stage("train")
        started = time.perf_counter()
        while step < steps and done < 1:
            rate = min(1.0, (step + 1) / settings.warmup) * (1 + math.cos(math.pi * done)) / 2
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * rate
            drawn = [example(slices, settings, network.radius, rng) for _ in range(settings.batch)]
            x, wanted, weight = (torch.stack(parts) for parts in zip(*drawn))
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                found = network(x.contiguous(memory_format=torch.channels_last), 0).float()
            loss = ((found - wanted).square() * weight).sum() / (weight > 0).sum().clamp(min=1)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            recent.append(float(loss.detach()))
            step += 1
            seconds = time.perf_counter() - started
            done = max(step / steps, seconds / (60 * minutes) if minutes else 0.0)
            if step % 500 == 0:
                curve.append(round(float(np.mean(recent)), 4))
            progress.update(min(done, 1.0), loss=float(np.mean(recent)))
    training = {
        "step": step,
        "seconds": round(seconds),
        "seed": seed,
        "settings": dataclasses.asdict(settings),
        "volumes": [Path(v).name if isinstance(v, str) else v.name for v in volumes],
        "start": start,
        "loss": curve,
    }
    save_weights(output, SELF_SUPERVISED, dataclasses.asdict(architecture), training, network.state_dict(), half=half)
    return {
        "method": SELF_SUPERVISED,
        "step": step,
        "seconds": round(seconds),
        "parameters": sum(p.numel() for p in network.parameters()),
        "last": curve[-1] if curve else None,
    }
