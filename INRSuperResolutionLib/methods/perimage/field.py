"""What a per-image fit ends in: networks of coordinates, as a function of the world."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...device import has_bfloat16
from ...image.grid import Grid
from ...image.intensity import Scaling
from ...image.interpolate import Sampler, index_coordinates, is_outside
from ...image.labels import Prior
from ...image.volume import Volume
from ...representation import Contrast, Representation, pack_volumes, unpack_volumes
from . import settings as kinds
from .networks import Fr, Gauss, Mfn, ReluPe, Siren, Wire
from .pixels import Frame, support
from .seco import Seco
from .segmentation import class_statistics, keep_majorities, log_likelihood, posterior

# points evaluated at once: their activations stay in the processor's cache
POINTS_AT_ONCE = 1 << 13
# a voxel is labelled as a class if it has more of it than this
MOST = 0.5
# a preview has about so many voxels
PREVIEW_VOXELS = 100_000


@dataclass
class Part:
    """The fit of one image: a slice, or the whole volume.

    Parameters
    ----------
    network
        Coordinates → normalised values.
    left
        Samples, normalised, of the spline that is added to the network; None for none.
    present
        The classes (numbers in the prior) that this image shows; None without a prior.
    """

    network: nn.Module
    left: np.ndarray | None
    present: np.ndarray | None


def make_network(
    settings: kinds.FieldSettings, dims: int, classes: int, pixels: float, half: torch.dtype | None
) -> nn.Module:
    """The network that `settings` describe, for an image with `pixels` along its longest side."""
    if isinstance(settings, kinds.SecoSettings):
        return Seco(dims, max(classes, 1), settings, pixels, half)
    if isinstance(settings, kinds.FrSettings):
        return Fr(dims, settings, pixels)
    if isinstance(settings, kinds.SirenSettings):
        return Siren.of(dims, settings, pixels, half)
    if isinstance(settings, kinds.MfnSettings):
        return Mfn(dims, settings, pixels)
    simple: dict[type, Callable[[int, Any], nn.Module]] = {
        kinds.ReluPeSettings: ReluPe,
        kinds.GaussSettings: Gauss,
        kinds.WireSettings: Wire,
    }
    return simple[type(settings)](dims, settings)


def in_batches(function: Callable[[Tensor], Tensor], rows: Tensor, at_once: int) -> Tensor:
    """`function` of some rows after the other; it may make several rows of each, always as many.

    Small results that are kept between large ones that are not would scatter the memory: it grew by gigabytes.
    """
    parts = rows.split(at_once)
    first = function(parts[0])
    ratio = len(first) // max(1, len(parts[0]))
    found = first.new_empty(ratio * len(rows), *first.shape[1:])
    found[: len(first)] = first
    for n, part in enumerate(parts[1:], 1):
        start = n * at_once * ratio
        found[start : start + ratio * len(part)] = function(part)
    return found


def hidden_type(settings: kinds.FieldSettings, device: str) -> torch.dtype | None:
    """The type of a network's hidden activations on a device; None for float32."""
    return torch.bfloat16 if settings.mixed_precision and has_bfloat16(device) else None


class FieldRepresentation(Representation):
    """A network for each slice of a volume, or one for all of it, and the splines of what they leave.

    Between two slices that have networks of their own, the functions of both are mixed linearly.
    Where the volume shows nothing but its lowest value, the function has that value, and it is nowhere
    below it.

    Parameters
    ----------
    across
        The axis across the slices; None for one network of the volume.
    scaling
        Of the network's values.
    prior
        Class probabilities of the voxels; None for networks without classes.
    """

    kind = "field"

    def __init__(
        self,
        volume: Volume,
        settings: kinds.FieldSettings,
        frame: Frame,
        across: int | None,
        scaling: Scaling,
        prior: Prior | None,
        contrasts: Sequence[Contrast] | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(contrasts or [Contrast.of(volume)])
        self.volume, self.settings, self.frame, self.across = volume, settings, frame, across
        self.scaling, self.prior, self.device = scaling, prior, device
        self.parts: list[Part | None] = []
        self._support = support(volume.data)

    def evaluate(self, grid: Grid, channels: Sequence[int]) -> np.ndarray:
        """Values at the centres of a grid; see :class:`Representation`."""
        found = self._networks_on(grid) + self._left_on(grid)
        values = np.maximum(self.scaling.invert(found), np.float32(self.scaling.offset))
        return values[None]

    def preview(self) -> Volume:
        """The function on a grid that is quickly sampled: the volume's own, or a coarser one."""
        grid = self.contrasts[0].grid
        coarser = max(1.0, (grid.size / PREVIEW_VOXELS) ** (1 / 3))
        spacing = [s if n == 1 else s * coarser for s, n in zip(grid.spacing, grid.shape)]
        if grid.size <= PREVIEW_VOXELS:
            spacing = [s if axis == self.across else s / 2 for axis, s in enumerate(spacing)]
        return self.sample(grid.with_spacing(spacing))[0]

    def probabilities(self, grid: Grid) -> np.ndarray:
        """See :class:`Representation`; and :mod:`segmentation` for what they are made of."""
        if self.prior is None:
            return super().probabilities(grid)
        found = np.empty((self.prior.classes, *grid.shape), np.float32)
        statistics = class_statistics(self.volume.data, self.prior.probabilities)
        samplers = [Sampler(self.volume.replace(data=p), 1) for p in self.prior.probabilities]
        for box in grid.tiles(self.tile_voxels // self.prior.classes + 1):
            tile = grid.crop(box)
            around = np.stack([sampler(tile) for sampler in samplers])
            around[0, around.sum(axis=0) == 0] = 1  # outside the image
            shares = posterior(around, log_likelihood(self.evaluate(tile, [0])[0], *statistics))
            for n, share in enumerate(shares):
                found[n][box] = share
        keep_majorities(found.reshape(len(found), -1), *self._given_at(grid, self.prior))
        return found

    def _given_at(self, grid: Grid, prior: Prior) -> tuple[np.ndarray, np.ndarray]:
        """The number of the voxel around each point of a grid, −1 for none; and the class that has most of each voxel."""
        shape = self.volume.shape
        index = np.floor(index_coordinates(self.volume, grid) + 0.5).astype(np.int32).reshape(3, -1)
        inside = np.logical_and.reduce([(i >= 0) & (i < n) for i, n in zip(index, shape)])
        voxels = np.full(grid.size, -1)
        voxels[inside] = np.ravel_multi_index(tuple(index[:, inside]), shape)
        flat = prior.probabilities.reshape(prior.classes, -1)
        return voxels, np.where(flat.max(axis=0) > MOST, flat.argmax(axis=0), -1)

    def _networks_on(self, grid: Grid) -> np.ndarray:
        """The networks' values, mixed between the slices, and 0 where the volume shows nothing; float32, (i, j, k)."""
        volume = self.volume
        index = index_coordinates(volume, grid).reshape(3, -1)
        beyond = np.logical_or.reduce([is_outside(c, n) for c, n in zip(index, volume.shape)])
        shape = np.reshape(volume.shape, (3, 1))
        index = np.clip(index, -0.5, shape - 0.5)
        nearest = np.clip(np.floor(index + 0.5).astype(int), 0, shape - 1)
        chosen = np.flatnonzero(self._support[tuple(nearest)] & ~beyond)
        index = index[:, chosen]
        positions = index.copy()
        if volume.slice_positions is not None:  # back from slice numbers to places
            positions[2] = np.interp(index[2], np.arange(volume.shape[2]), volume.slice_positions)
        x = self.frame.coordinates(positions[list(self.frame.axes)].T)
        values = np.zeros(grid.size, np.float32)
        if self.across is None:
            values[chosen] = self._at(self.parts[0], x)
            return values.reshape(grid.shape)
        mixed = np.zeros(len(chosen), np.float32)
        slices = np.clip(index[self.across], 0, volume.shape[self.across] - 1)
        for n, part in enumerate(self.parts):
            weight = np.maximum(0, 1 - np.abs(slices - n)).astype(np.float32)
            near = np.flatnonzero(weight)
            if part is not None and len(near):
                mixed[near] += weight[near] * self._at(part, x[near])
        values[chosen] = mixed
        return values.reshape(grid.shape)

    @torch.no_grad()
    def _at(self, part: Part | None, x: np.ndarray) -> np.ndarray:
        assert part is not None, "a constant volume is not fitted"
        network, device = part.network, self.device
        return in_batches(
            lambda batch: network(batch.to(device)).float().cpu(), torch.from_numpy(x), POINTS_AT_ONCE
        ).numpy()

    def _left_on(self, grid: Grid) -> np.ndarray:
        """The splines of what the networks leave, on a grid; float32."""
        if not any(part is not None and part.left is not None for part in self.parts):
            return np.zeros(grid.shape, np.float32)
        if self.across is None:
            left = self.parts[0].left  # type: ignore[union-attr]
        else:
            empty = np.zeros(np.delete(self.volume.shape, self.across), np.float32)
            slices = [empty if p is None or p.left is None else p.left for p in self.parts]
            left = np.stack(slices, axis=self.across)
        sampler = Sampler(self.volume.replace(data=left), 3)
        sampler.fill = 0.0
        return sampler(grid)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See :class:`Representation`."""
        arrays, places = pack_volumes([self.volume])
        parts: list[dict[str, Any] | None] = []
        for n, part in enumerate(self.parts):
            if part is None:
                parts.append(None)
                continue
            for name, tensor in part.network.state_dict().items():
                arrays[f"{n}.{name}"] = tensor.detach().cpu().contiguous().numpy()
            if part.left is not None:
                arrays[f"left{n}"] = part.left
            parts.append({"present": None if part.present is None else part.present.tolist()})
        if self.prior is not None:
            arrays["prior"] = self.prior.probabilities.astype(np.float16)
        config = {
            "settings": dataclasses.asdict(self.settings),
            "settings_type": type(self.settings).__name__,
            "across": self.across,
            "scaling": dataclasses.asdict(self.scaling),
            "labels": None if self.prior is None else list(self.prior.values),
            "volumes": places,
            "parts": parts,
        }
        return arrays, config

    @classmethod
    def from_state(
        cls, contrasts: Sequence[Contrast], arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> FieldRepresentation:
        """See :class:`Representation`."""
        settings = getattr(kinds, config["settings_type"])(**config["settings"])
        (volume,) = unpack_volumes(arrays, config["volumes"])
        across = config["across"]
        frame = Frame(volume, [a for a in range(3) if a != across])
        prior = None
        if config["labels"] is not None:
            prior = Prior(tuple(config["labels"]), arrays["prior"].astype(np.float32))
        made = cls(volume, settings, frame, across, Scaling(**config["scaling"]), prior, contrasts)
        half = hidden_type(settings, "cpu")
        for n, told in enumerate(config["parts"]):
            if told is None:
                made.parts.append(None)
                continue
            present = None if told["present"] is None else np.array(told["present"])
            classes = 0 if present is None else len(present)
            network = make_network(settings, len(frame.axes), classes, frame.pixels, half)
            own = {k.split(".", 1)[1]: torch.from_numpy(v) for k, v in arrays.items() if k.startswith(f"{n}.")}
            network.load_state_dict(own)
            made.parts.append(Part(network.eval(), arrays.get(f"left{n}"), present))
        return made
