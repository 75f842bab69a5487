"""Trained networks on volumes: each slice is encoded, and between slices their functions are blended.

With slices k of the acquisition plane, the function of a volume is

    f(x) = spline(x) + s · Σ_k w_k(x) r_k(x),

where r_k is the residual that the network sees in slice k, s the standard deviation of the foreground,
and w_k linear weights between neighbouring slices. Slices are encoded when they are first needed.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...acquisition.slice_axis import slice_axis
from ...device import has_bfloat16
from ...image.grid import Grid
from ...image.intensity import Scaling, without_signal
from ...image.interpolate import Sampler, axis_map, index_coordinates, is_outside
from ...image.volume import Volume
from ...progress import SILENT, Progress
from ...representation import Contrast, Representation, pack_volumes, unpack_volumes
from ..plain.zero_filling import ZeroFilling
from .encoder import SliceNetwork
from .trained_network import load_network
from .weights import Weights

# pixels by which a slice's edge is repeated around it, so that the network does not take it for a border of air
PADDING = 8
# codes that are kept in memory, all volumes together
CACHE_BYTES = 3 << 28
# codes of each volume that are kept while slabs are sampled in order, where not all can be: as many as a slab reads
KEPT_ON_THE_WAY = 8
# results this much finer than the finest scale of the training are warned of
TOO_FINE = 1.05
Box = tuple[slice, slice, slice]


class SlicedVolume:
    """One volume as the network sees it.

    Parameters
    ----------
    volume
        The samples.
    zero_filled
        Whether the network is not to be used, and the function is zero filling.
    """

    def __init__(self, volume: Volume, zero_filled: bool = False) -> None:
        self.volume, self.zero_filled = volume, zero_filled
        self.axis = slice_axis(volume)
        self.plane = [axis for axis in range(3) if axis != self.axis]
        self.scaling = Scaling.standard(volume.data)
        # a constant image has nothing to restore
        self.spread = self.scaling.scale if np.ptp(volume.data) > 0 else 0.0
        self.lowest = float(volume.data.min())
        self.air = without_signal(volume.data)
        self.base = ZeroFilling(volume) if zero_filled else Sampler(volume, 3)
        self.samples = volume.data
        """What the spline runs through."""

    def correct(self, change: np.ndarray) -> None:
        """Let the spline run through the samples plus `change`, an array like them."""
        self.run_through(self.volume.data + change.astype(np.float32))

    def run_through(self, samples: np.ndarray) -> None:
        """Let the spline run through other samples."""
        self.samples = samples
        self.base = Sampler(self.volume.replace(data=samples), 3)

    @property
    def slices(self) -> int:
        """Number of slices."""
        return self.volume.shape[self.axis]

    def image(self, number: int) -> np.ndarray:
        """A slice in units of the foreground's standard deviation, float32, (rows, columns)."""
        return self.scaling.apply(np.take(self.volume.data, number, axis=self.axis))


class SlicewiseRepresentation(Representation):
    """Volumes and the network that restores their slices; see the module.

    Parameters
    ----------
    volumes
        The inputs, each with whether zero filling stands in for the network.
    weights
        The network's method, architecture and tensors.
    """

    tile_voxels = 1 << 22
    saved_bytes = 0
    """Codes up to this size are saved too."""

    def __init__(
        self,
        volumes: Sequence[SlicedVolume],
        weights: Weights,
        device: str = "cpu",
        contrasts: Sequence[Contrast] | None = None,
    ) -> None:
        super().__init__(contrasts or [Contrast.of(v.volume) for v in volumes])
        self.volumes, self.weights, self._device = list(volumes), weights, device
        network = load_network(weights)
        assert isinstance(network, SliceNetwork)
        self.network = network.to(device)
        self._codes: OrderedDict[tuple[int, int], Tensor] = OrderedDict()
        self._bytes = 0

    def move_to(self, device: str) -> None:
        """Go on, on another device."""
        self.network, self._device = self.network.to(device), device
        self._codes = OrderedDict((key, code.to(device)) for key, code in self._codes.items())

    @abstractmethod
    def encode(self, slices: Tensor) -> Tensor:
        """Codes of padded slices (n, 1, h, w), as they are kept."""

    def code(self, channel: int, number: int, push_others_out: bool = True) -> Tensor:
        """The code of one slice; encoded now, or before and still kept.

        Parameters
        ----------
        push_others_out
            Whether it is kept also where older ones must be forgotten for it. Not while all slices are
            encoded in order: the first ones are the first to be needed again.
        """
        key = (channel, number)
        if key in self._codes:
            self._codes.move_to_end(key)
            return self._codes[key]
        code = self._encode(self.volumes[channel].image(number))
        if push_others_out or self._bytes + code.nbytes <= CACHE_BYTES:
            self.keep(key, code)
        return code

    def keep(self, key: tuple[int, int], code: Tensor) -> None:
        """Keep a code, and forget the least used ones beyond :data:`CACHE_BYTES`."""
        self._codes[key] = code
        self._bytes += code.nbytes
        while self._bytes > CACHE_BYTES and len(self._codes) > 1:
            self._forget_least_used()

    def _forget_least_used(self) -> None:
        self._bytes -= self._codes.popitem(last=False)[1].nbytes

    def release(self) -> None:
        """See :class:`Representation`."""
        if self._bytes > self.saved_bytes:
            self._codes.clear()
            self._bytes = 0

    def _encode(self, image: np.ndarray) -> Tensor:
        """A slice's code; image in units of the foreground's standard deviation."""
        multiple = self.network.multiple
        pads = [(PADDING, PADDING + (-n % multiple)) for n in image.shape]
        x = torch.from_numpy(np.pad(image, pads, mode="edge"))[None, None].to(self._device)
        with torch.inference_mode(), self._mixed():
            return self.encode(x.contiguous(memory_format=torch.channels_last))[0]

    def _mixed(self) -> torch.autocast:
        """bfloat16 products where the device has them."""
        return torch.autocast(torch.device(self._device).type, torch.bfloat16, enabled=has_bfloat16(self._device))

    def restored(self) -> list[tuple[int, int]]:
        """The slices that the network restores, as (channel, number)."""
        return [(c, k) for c, v in enumerate(self.volumes) if not v.zero_filled and v.spread for k in range(v.slices)]

    def prepare(self) -> Iterator[float]:
        """Encode every slice that can be kept; yields the part that is done."""
        todo = self.restored()
        for n, (channel, number) in enumerate(todo):
            size = self.code(channel, number, push_others_out=False).nbytes
            yield (n + 1) / len(todo)
            if self._bytes + size > CACHE_BYTES:
                return

    def tiles(self, grid: Grid) -> Iterator[Box]:
        """Slabs of whole slices, so that none is encoded twice; codes of slices that were passed make room."""
        to_index = np.linalg.inv(self.volumes[0].volume.affine) @ grid.affine
        across = int(np.argmax(np.abs(to_index[self.volumes[0].axis, :3]) * np.array(grid.shape)))
        for box in grid.slabs(across, self.tile_voxels):
            yield box
            self._forget_passed()

    def _forget_passed(self) -> None:
        """Forget all codes but those of the last slices, unless those of all slices can be kept for another time."""
        if self._codes and self._bytes / len(self._codes) * len(self.restored()) > CACHE_BYTES:
            while len(self._codes) > KEPT_ON_THE_WAY * len(self.volumes):
                self._forget_least_used()

    def sample(self, grid: Grid | Sequence[Grid], progress: Progress = SILENT) -> list[Volume]:
        """See :class:`Representation`; warns where more detail is asked for than was trained."""
        highest = self.weights.training.get("data", {}).get("highest_scale")
        for sliced, wanted in zip(self.volumes, itertools.repeat(grid) if isinstance(grid, Grid) else grid):
            finer = min(sliced.volume.spacing[axis] for axis in sliced.plane) / min(wanted.spacing)
            if highest is not None and finer > TOO_FINE * highest and not sliced.zero_filled:
                progress.warning(
                    f"{sliced.volume.name}: the result is {finer:.1f} times finer than the input; the weights "
                    f"{self.weights.name} were trained up to {highest:g} times"
                )
        return super().sample(grid, progress)

    @torch.inference_mode()
    def evaluate(self, grid: Grid, channels: Sequence[int]) -> np.ndarray:
        """See :class:`Representation`."""
        with self._mixed():
            return np.stack([self._evaluate(grid, channel) for channel in channels])

    def _evaluate(self, grid: Grid, channel: int) -> np.ndarray:
        sliced = self.volumes[channel]
        values = sliced.base(grid)
        if not sliced.zero_filled and sliced.spread:
            axes = axis_map(grid, sliced.volume.affine)
            found = self._scattered(grid, channel) if axes is None else self._on_axes(axes, channel)
            values = values + np.float32(sliced.spread) * found
        # an edge may undershoot; there is nothing below the darkest voxel of the input
        return np.maximum(values, np.float32(sliced.lowest))

    def _on_axes(self, axes: list[tuple[int, np.ndarray]], channel: int) -> np.ndarray:
        sliced = self.volumes[channel]
        positions, inside = [], []
        for axis, (_, along) in enumerate(axes):
            if axis == 2:
                along = sliced.volume.slice_coordinate(along)
            size = sliced.volume.shape[axis]
            inside.append(~is_outside(along, size))
            positions.append(np.clip(along, 0, size - 1))
        across = positions[sliced.axis]
        rows, columns = (torch.from_numpy(positions[axis] + PADDING).to(self._device) for axis in sliced.plane)
        found = np.zeros((len(across), len(rows), len(columns)), np.float32)
        for number, places, weights in blend(across, sliced.slices):
            residual = self.network.residual(self.code(channel, number), rows, columns).cpu().numpy()
            for place, weight in zip(places, weights):
                found[place] += weight * residual
        found = np.moveaxis(found, 0, sliced.axis)
        for axis, seen in enumerate(inside):
            np.moveaxis(found, axis, 0)[~seen] = 0
        return found.transpose(np.argsort([source for source, _ in axes]))

    def _scattered(self, grid: Grid, channel: int) -> np.ndarray:
        sliced = self.volumes[channel]
        index = index_coordinates(sliced.volume, grid).reshape(3, -1)
        inside = np.logical_and.reduce([~is_outside(c, n) for c, n in zip(index, sliced.volume.shape)])
        for axis, size in enumerate(sliced.volume.shape):
            np.clip(index[axis], 0, size - 1, out=index[axis])
        points = torch.from_numpy(index[sliced.plane].T + PADDING)
        found = np.zeros(index.shape[1], np.float32)
        for number, places, weights in blend(index[sliced.axis], sliced.slices):
            some = points[torch.from_numpy(places)].to(self._device)
            found[places] += weights * self.network.at(self.code(channel, number), some).cpu().numpy()
        return (found * inside).reshape(grid.shape)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See :class:`Representation`."""
        arrays, places = pack_volumes([v.volume for v in self.volumes])
        for name, tensor in self.weights.tensors.items():
            arrays[f"network.{name}"] = tensor.numpy()
        changed = {n: v.samples for n, v in enumerate(self.volumes) if v.samples is not v.volume.data}
        arrays.update({f"samples.{n}": samples for n, samples in changed.items()})
        weights = self.weights.described()
        return arrays, {"volumes": places, "weights": weights, "zero_filled": [v.zero_filled for v in self.volumes]}

    @classmethod
    def from_state(
        cls, contrasts: Sequence[Contrast], arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> SlicewiseRepresentation:
        """See :class:`Representation`."""
        volumes = unpack_volumes(arrays, config["volumes"])
        sliced = [SlicedVolume(v, filled) for v, filled in zip(volumes, config["zero_filled"])]
        for n, one in enumerate(sliced):
            if f"samples.{n}" in arrays:
                one.run_through(arrays[f"samples.{n}"])
        return cls(sliced, Weights.from_state(config["weights"], arrays), contrasts=contrasts)


def blend(across: np.ndarray, slices: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Linear weights between slices: (slice, which positions it takes part in, its weights there), slices rising.

    Parameters
    ----------
    across
        Fractional slice numbers from 0 to slices − 1.
    """
    order = np.argsort(across, kind="stable")
    lower = np.minimum(np.floor(across[order]).astype(int), max(slices - 2, 0))
    fraction = (across[order] - lower).astype(np.float32)
    starts = np.searchsorted(lower, np.arange(slices + 1))
    for number in range(slices):
        own = slice(starts[number], starts[number + 1])
        before = slice(starts[number - 1], starts[number]) if number else slice(0, 0)
        places = np.concatenate([order[before], order[own]])
        weights = np.concatenate([fraction[before], 1 - fraction[own]])
        used = weights > 0
        if used.any():
            yield number, places[used], weights[used]
