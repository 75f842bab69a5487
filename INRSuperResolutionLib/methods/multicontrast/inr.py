"""The split-head coordinate network of the multi-contrast paper, and its two baselines.

Source: McGinnis et al., Single-subject Multi-contrast MRI Super-resolution via Implicit Neural
Representations, MICCAI 2023.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...acquisition.forward_model import SliceProfile
from ...image.files import write
from ...image.grid import Grid
from ...image.intensity import Scaling, foreground
from ...image.interpolate import resample
from ...image.similarity import mutual_information
from ...image.volume import Volume
from ...progress import Progress
from ...representation import Contrast, Representation
from ..base import FitContext
from .settings import InrSettings

# positions across a slice at which the field is averaged, when the slice profile is modelled
SUBSAMPLES = 4
STEPS_PER_UPDATE = 10
MI_POINTS = 50_000
MI_CHECKS = 4
MI_TOLERANCE = 1e-4
# points evaluated at once: their activations stay in the processor's cache
POINTS_AT_ONCE = 1 << 13


class FourierNetwork(nn.Module):
    """Fourier features → shared ReLU layers → a head for each contrast (or one for all).

    Parameters
    ----------
    settings
        Widths and depths.
    channels
        Number of contrasts.
    split_heads
        Whether each contrast has its own head (the paper), or one head gives all (its baseline).
    """

    frequencies: Tensor

    def __init__(self, settings: InrSettings, channels: int, split_heads: bool) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(3, settings.frequencies) * settings.sigma)
        widths = [2 * settings.frequencies, *[settings.width] * settings.shared_layers]
        self.trunk = nn.Sequential(*(m for a, b in itertools.pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())))
        outputs = [1] * channels if split_heads else [channels]
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(settings.width, settings.head_width), nn.ReLU(), nn.Linear(settings.head_width, n))
            for n in outputs
        )

    def features(self, x: Tensor) -> Tensor:
        """Shared features of points in [−1, 1]³; (n, 3) → (n, width). v = [cos 2πBx, sin 2πBx]."""
        phase = 2 * math.pi * (x @ self.frequencies)
        return self.trunk(torch.cat([phase.cos(), phase.sin()], dim=-1))

    def contrast(self, features: Tensor, channel: int) -> Tensor:
        """Values of one contrast from shared features; (n, width) → (n,)."""
        if len(self.heads) == 1:
            return self.heads[0](features)[:, channel]
        return self.heads[channel](features)[:, 0]


class FourierRepresentation(Representation):
    """One network for all contrasts, or one for each.

    Parameters
    ----------
    networks
        One, or as many as contrasts (`single-contrast`).
    centre, radius
        World points become (x − centre) / radius, mm; the same scalar radius for all axes.
    """

    kind = "fourier"
    tile_voxels = 1 << 17

    def __init__(
        self,
        contrasts: Sequence[Contrast],
        networks: Sequence[FourierNetwork],
        settings: InrSettings,
        centre: np.ndarray,
        radius: float,
        scalings: Sequence[Scaling],
        device: str = "cpu",
    ) -> None:
        super().__init__(contrasts)
        self.networks, self._settings = list(networks), settings
        self._centre, self._radius, self._scalings, self._device = centre, radius, list(scalings), device

    def evaluate(self, grid: Grid, channels: Sequence[int]) -> np.ndarray:
        return self.at(grid.centres().reshape(-1, 3), channels).reshape(len(channels), *grid.shape)

    def at(self, points: np.ndarray, channels: Sequence[int]) -> np.ndarray:
        """Values at world points, mm; (n, 3) → float32 (len(channels), n)."""
        x = torch.from_numpy(((points - self._centre) / self._radius).astype(np.float32))
        with torch.no_grad(), autocast(self._settings, self._device):
            at_once = POINTS_AT_ONCE if self._device == "cpu" else len(x)
            parts = [self._evaluate(part.to(self._device), channels) for part in x.split(at_once)]
        values = torch.cat(parts, dim=1).numpy()
        return np.stack([self._scalings[c].invert(v) for c, v in zip(channels, values)])

    def _evaluate(self, x: Tensor, channels: Sequence[int]) -> Tensor:
        """Normalised values at normalised points; (n, 3) → float32 (len(channels), n), on the CPU."""
        if len(self.networks) > 1:
            values = [self.networks[c].contrast(self.networks[c].features(x), 0) for c in channels]
        else:
            features = self.networks[0].features(x)
            values = [self.networks[0].contrast(features, c) for c in channels]
        return torch.stack(values).float().cpu()

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays = {
            f"{n}.{name}": tensor.detach().cpu().numpy()
            for n, network in enumerate(self.networks)
            for name, tensor in network.state_dict().items()
        }
        config = {
            "settings": dataclasses.asdict(self._settings),
            "heads": [len(n.heads) for n in self.networks],
            "centre": self._centre.tolist(),
            "radius": self._radius,
            "scalings": [dataclasses.asdict(s) for s in self._scalings],
        }
        return arrays, config

    @classmethod
    def from_state(
        cls, contrasts: Sequence[Contrast], arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> FourierRepresentation:
        settings = InrSettings(**config["settings"])
        networks = []
        for n, heads in enumerate(config["heads"]):
            channels = len(contrasts) if len(config["heads"]) == 1 else 1
            network = FourierNetwork(settings, channels, split_heads=heads == channels)
            network.load_state_dict(
                {k.split(".", 1)[1]: torch.from_numpy(v) for k, v in arrays.items() if k.startswith(f"{n}.")}
            )
            networks.append(network)
        scalings = [Scaling(**s) for s in config["scalings"]]
        return cls(contrasts, networks, settings, np.array(config["centre"]), config["radius"], scalings)


def autocast(settings: InrSettings, device: str) -> torch.autocast:
    """bfloat16 products where the settings ask for them; Fourier phases stay float32 outside of it."""
    return torch.autocast(device, torch.bfloat16, enabled=settings.mixed_precision and device != "mps")


class Samples:
    """The training samples of one volume: which voxels, where they are, what was measured there."""

    def __init__(
        self, volume: Volume, profile: SliceProfile, keep: np.ndarray, centre: np.ndarray, radius: float, device: str
    ) -> None:
        scaling = Scaling.min_max(volume.data)
        self.voxels = torch.from_numpy(np.flatnonzero(keep))
        self.values = torch.from_numpy(scaling.apply(volume.data).ravel()).to(device)
        self.shape, self.profile, self.device = volume.shape, profile, device
        self.axis = volume.thick_axis
        # float64 until the normalised coordinates are known: millimetres in float32 lose a micrometre
        self.linear = torch.from_numpy(volume.affine[:3, :3] / radius)
        self.offset = torch.from_numpy((volume.affine[:3, 3] - centre) / radius)
        positions = np.arange(volume.shape[2]) if volume.slice_positions is None else volume.slice_positions
        self.positions = torch.from_numpy(np.asarray(positions, dtype=np.float64))
        # width of each slice in steps along its axis
        widths = volume.extent_of_slices(self.axis)
        if self.axis == 2 and volume.shape[2] > 1:
            widths = widths * np.gradient(positions)
        self.widths = torch.from_numpy(widths)

    def batch(self, chosen: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Normalised points, (n, m, 3), and measured values, (n,), of voxels given by flat index.

        m is 1 for point samples, else `SUBSAMPLES` stratified positions across the slice.
        """
        k = chosen % self.shape[2]
        j = (chosen // self.shape[2]) % self.shape[1]
        i = chosen // (self.shape[2] * self.shape[1])
        index = torch.stack([i.double(), j.double(), self.positions[k]], dim=-1)[:, None, :]
        if self.profile.kind != "none":
            shift = torch.rand(len(chosen), SUBSAMPLES, generator=generator, dtype=torch.float64)
            across = (shift + torch.arange(SUBSAMPLES)) / SUBSAMPLES - 0.5
            if self.profile.kind == "gaussian":  # equal shares of a normal distribution with this FWHM
                across = (
                    torch.erfinv((2 * across).clamp(-0.999, 0.999)) * math.sqrt(2) / (2 * math.sqrt(2 * math.log(2)))
                )
            width = self.widths[(i, j, k)[self.axis]][:, None]
            index = index.repeat(1, SUBSAMPLES, 1)
            index[..., self.axis] += across * width
        points = index @ self.linear.T + self.offset
        return points.float().to(self.device), self.values[chosen.to(self.device)]


def training_voxels(
    volume: Volume, mask: Volume | None, background_share: float, rng: np.random.Generator
) -> np.ndarray:
    """Voxels to fit, bool: the mask or foreground, and a random share of the rest (so that it stays dark)."""
    inside = foreground(volume.data) if mask is None else resample(mask, volume.grid, 0).data > 0
    if inside.shape != volume.shape:  # uneven slices: the mask was sampled on the even grid
        inside = foreground(volume.data)
    return inside | (rng.random(volume.shape) < background_share)


def fit_inr(
    volumes: Sequence[Volume],
    settings: InrSettings,
    context: FitContext,
    split_heads: bool,
    frame: tuple[np.ndarray, float] | None = None,
) -> FourierRepresentation:
    """Fit one network to all volumes, in the coordinate `frame` (their own if None).

    Loss: the mean over the contrasts of the mean squared error. Stops after the epochs of the
    settings, at `max_seconds`, or when the mutual information of the two first predictions stands
    still (mean change over four checks below 1e-4); all of it seen from the inputs alone.
    """
    started = time.perf_counter()
    torch.manual_seed(context.seed)
    generator = torch.Generator().manual_seed(context.seed)
    rng = np.random.default_rng(context.seed)
    centre, radius = frame or common_frame(volumes)
    samples = [
        Samples(v, p, training_voxels(v, context.mask, settings.background_share, rng), centre, radius, context.device)
        for v, p in zip(volumes, context.profiles)
    ]
    network = FourierNetwork(settings, len(volumes), split_heads).to(context.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=context.device != "mps")
    representation = FourierRepresentation(
        [Contrast.of(v) for v in volumes], [network], settings, centre, radius,
        [Scaling.min_max(v.data) for v in volumes], context.device,
    )  # fmt: skip
    total = sum(len(s.voxels) for s in samples)
    steps_per_epoch = math.ceil(total / settings.batch)
    steps = settings.epochs * steps_per_epoch
    # every batch has each contrast in proportion to its voxels
    shares = [max(1, round(settings.batch * len(s.voxels) / total)) for s in samples]
    plateau = MutualInformationPlateau(representation, volumes[0]) if len(volumes) > 1 else None
    stopped_by, step, done = "schedule", 0, 0.0
    orders: list[Tensor] = []
    while step < steps:
        at = step % steps_per_epoch
        if at == 0:
            orders = [s.voxels[torch.randperm(len(s.voxels), generator=generator)] for s in samples]
        losses = []
        with autocast(settings, context.device):
            for channel, (s, order, share) in enumerate(zip(samples, orders, shares)):
                chosen = order[at * share : (at + 1) * share]
                if len(chosen) == 0:  # the shares were rounded up
                    continue
                points, measured = s.batch(chosen, generator)
                predicted = network.contrast(network.features(points.flatten(0, 1)), channel)
                losses.append((predicted.float().view(points.shape[:2]).mean(dim=1) - measured).square().mean())
        loss = torch.stack(losses).mean()
        optimizer.zero_grad()
        loss.backward()
        # cosine to 0 over the epochs, or over the time if that ends first
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * (1 + math.cos(math.pi * min(done, 1.0))) / 2
        optimizer.step()
        step += 1
        done = step / steps
        if context.max_seconds is not None:
            elapsed = (time.perf_counter() - started) / context.max_seconds
            if elapsed >= 1:
                stopped_by = "max-seconds"
                break
            done = max(done, elapsed)
        if step % STEPS_PER_UPDATE == 0:
            told = {"mutual_information": plateau.latest} if plateau and plateau.latest is not None else {}
            context.progress.update(done, loss=float(loss.detach()), **told)
            preview(context.progress, representation)
        if plateau and step % max(1, steps_per_epoch // settings.checks_per_epoch) == 0 and plateau.reached():
            stopped_by = "mutual information"
            break
    representation.provenance.update(
        parameters=sum(p.numel() for p in network.parameters()), steps=step, stopped_by=stopped_by
    )
    return representation


def fit_each(volumes: Sequence[Volume], settings: InrSettings, context: FitContext) -> FourierRepresentation:
    """Fit a network of its own to each volume (the paper's single-contrast baseline)."""
    frame = common_frame(volumes)
    parts = []
    for volume, profile in zip(volumes, context.profiles):
        limit = None if context.max_seconds is None else context.max_seconds / len(volumes)
        part = dataclasses.replace(context, profiles=[profile], max_seconds=limit)
        parts.append(fit_inr([volume], settings, part, split_heads=True, frame=frame))
    representation = FourierRepresentation(
        [Contrast.of(v) for v in volumes], [p.networks[0] for p in parts], settings, *frame,
        [Scaling.min_max(v.data) for v in volumes], context.device,
    )  # fmt: skip
    made = [p.provenance for p in parts]
    representation.provenance.update(
        parameters=sum(m["parameters"] for m in made),
        steps=sum(m["steps"] for m in made),
        stopped_by=made[-1]["stopped_by"],
    )
    return representation


def preview(progress: Progress, representation: FourierRepresentation) -> None:
    """Show the first contrast at a coarse spacing."""
    grid = representation.contrasts[0].grid
    coarse = grid.with_spacing(max(2 * min(grid.spacing), max(grid.spacing) / 2))
    progress.preview(lambda path: write(representation.sample(coarse)[0], path))


def common_frame(volumes: Sequence[Volume]) -> tuple[np.ndarray, float]:
    """Centre and half of the longest side (mm) of the box around all voxel centres of all volumes.

    Made once, from the union of the inputs, and used for fitting and sampling alike.
    """
    corners = []
    for volume in volumes:
        grid = volume.grid
        index = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * (np.array(grid.shape) - 1)
        corners.append(index @ grid.affine[:3, :3].T + grid.affine[:3, 3])
    low, high = np.concatenate(corners).min(axis=0), np.concatenate(corners).max(axis=0)
    return (low + high) / 2, float((high - low).max() / 2)


class MutualInformationPlateau:
    """The paper's stopping rule: the mutual information of two predictions stands still.

    Computed at random points of the first volume's foreground, from predictions only.
    """

    def __init__(self, representation: FourierRepresentation, volume: Volume) -> None:
        self._representation = representation
        inside = np.argwhere(foreground(volume.data))
        rng = np.random.default_rng(0)
        chosen = inside[rng.choice(len(inside), min(MI_POINTS, len(inside)), replace=False)]
        # between the voxel centres too: that is where the contrasts have to agree
        index = chosen + rng.uniform(-0.5, 0.5, chosen.shape)
        self._points = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
        self._history: list[float] = []

    @property
    def latest(self) -> float | None:
        """The mutual information (nats) at the last check; None before the first."""
        return self._history[-1] if self._history else None

    def reached(self) -> bool:
        """Check once more; True when the mean change over the last checks is below the tolerance."""
        a, b = self._representation.at(self._points, (0, 1))
        self._history.append(mutual_information(a, b, np.ones(len(a), bool)))
        changes = np.abs(np.diff(self._history[-MI_CHECKS - 1 :]))
        return len(changes) == MI_CHECKS and float(changes.mean()) < MI_TOLERANCE
