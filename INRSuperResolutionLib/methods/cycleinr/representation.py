"""CycleINR on volumes: a spline across the slices, and what the network says it misses.

    f(x) = spline(x) + s · r(x),

where s is the standard deviation of the foreground and r the network's residual: on the rows and columns of the
voxels at any height between the slices, and by a cubic spline between rows and columns. On the slices r is 0, so
point samples are returned as they are; where slices are averages, the spline gives back what r leaves of them.

The volume is encoded in tiles. A tile is encoded with so much around it that what it shows does not depend on
where it was cut: tiles need no blending, and the memory does not depend on the size of the volume.

A network of a paper's own design (:mod:`blocks`) gives f(x) itself, in blocks as large as those of its training, which are
blended (:mod:`windows`); there is no spline across the slices then.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from ...acquisition.forward_model import FWHM, SliceProfile
from ...device import has_bfloat16
from ...image.grid import Grid
from ...image.interpolate import axis_map, index_coordinates, is_outside, resample, weight_matrix
from ...image.volume import Volume
from ...progress import SILENT, Progress
from ...representation import Contrast, Representation, pack_volumes, unpack_volumes
from ..pretrained.trained_network import load_network
from ..pretrained.weights import Weights
from ..scan import Scan
from .blocks import BlockNetwork
from .network import REACH, STRIDE, Told, VolumetricNetwork
from .windows import blended

# voxels by which a volume's edge is repeated around it, so that the network does not take it for a border of air
PADDING = 4
# values of features and codes of the voxels that are encoded together: about 2 GB are at work then
ENCODED_VALUES = 1 << 28
# slices that are encoded together at most, what lies around them aside
TILE_SLICES = 128
# tiles are not cut into smaller ones than this, in pixels
SMALLEST_SIDE = 16
# pixels around a tile that a spline between rows and columns reaches
SPLINE_REACH = 8
# points for each pixel's width, between slices, from which oblique grids are interpolated
FINER = 2
# factors beyond these were not foreseen by the method
LOWEST_FACTOR, HIGHEST_FACTOR = 1.0, 8.0
# results this much finer than the finest of the training are warned of
TOO_FAR = 1.05
# mirror images, as the axes (slices, rows, columns) that are turned round; those that differ the most come first
TURNS = [(False, False, False), (True, True, True), (False, True, True), (True, False, False),
         (True, False, True), (False, True, False), (True, True, False), (False, False, True)]  # fmt: skip
Box = tuple[slice, slice, slice]
Turn = tuple[bool, bool, bool]
# slices, and rows and columns, of a block where the weights do not tell those of their training
USUAL_WINDOW = (10, 32)
# bytes of codes that are kept to be decoded again
KEPT_CODES = 1 << 29


class SlicedScan:
    """One volume as the network sees it.

    Parameters
    ----------
    volume, profile
        The samples, and how a slice averages over its thickness.
    weights
        Of the network that restores it; None for no network: the function is the spline.
    axis
        The axis across the slices; None for the coarsest one.
    """

    def __init__(self, volume: Volume, profile: SliceProfile, weights: Weights | None, axis: int | None = None) -> None:
        self.source, self.profile, self.weights = volume, profile, weights
        # the network takes the slices to be even
        self.volume = volume if volume.slice_positions is None else resample(volume, volume.grid)
        self.scan = Scan(self.volume, profile, axis)
        self.axis = self.scan.thick
        self.plane = [a for a in range(3) if a != self.axis]
        self.is_constant = bool(np.ptp(volume.data) == 0)
        self.lowest = float(volume.data.min())
        pixel = math.prod(self.volume.spacing[a] for a in self.plane) ** 0.5
        self.told = Told.of(self.volume.spacing[self.axis] / pixel, profile, self.scan.width)
        self.voxels = np.moveaxis(self.scan.data.numpy(), self.axis, 0)
        self.base = self.scan

    @property
    def restored(self) -> bool:
        """Whether the network has anything to say."""
        return self.weights is not None and not self.is_constant and self.volume.shape[self.axis] > 1

    def correct(self, added: np.ndarray) -> None:
        """Let the spline give back the samples less `added` (in scaled intensities, slices first)."""
        self.added = added.astype(np.float32)
        change = torch.from_numpy(np.ascontiguousarray(np.moveaxis(self.added, 0, self.axis)))
        self.base = self.scan.with_data(self.scan.data - change)


class VolumetricRepresentation(Representation):
    """Volumes and the networks that make slices between theirs; see the module."""

    kind = "volumetric"
    tile_voxels = 1 << 19

    def __init__(
        self,
        scans: Sequence[SlicedScan],
        device: str = "cpu",
        contrasts: Sequence[Contrast] | None = None,
        mirrored: int = 1,
    ) -> None:
        super().__init__(contrasts or [Contrast.of(s.source) for s in scans])
        self.scans, self._device = list(scans), device
        self._turns = TURNS[:mirrored]
        self._weights = list({s.weights.sha256: s.weights for s in scans if s.weights is not None}.values())
        self._networks = {w.sha256: load_network(w).to(device) for w in self._weights}
        self._codes: dict[tuple[object, ...], torch.Tensor] = {}
        self._progress = SILENT

    def _any_network(self, one: SlicedScan) -> nn.Module:
        assert one.weights is not None, "this scan is given back by the spline"
        return self._networks[one.weights.sha256]

    def _network(self, one: SlicedScan) -> VolumetricNetwork:
        network = self._any_network(one)
        assert isinstance(network, VolumetricNetwork)
        return network

    def _is_papers(self, one: SlicedScan) -> bool:
        """Whether a network of the paper's design restores this scan: it gives the function, not a residual."""
        return one.restored and isinstance(self._any_network(one), BlockNetwork)

    def prepare(self) -> Iterator[float]:
        """Make the splines agree with the samples; yields the part that is done."""
        # point samples agree as they are: on the slices the residual is 0
        todo = [s for s in self.scans if s.restored and s.told.thickness and not self._is_papers(s)]
        for n, one in enumerate(todo):
            numbers, weights = self._averages(one)
            added = np.zeros(one.voxels.shape, np.float32)
            boxes = list(self._boxes(one))
            for m, (slices, rows, columns) in enumerate(boxes):
                wanted = numbers[slices].ravel()
                found = self.residual(one, rows, columns, wanted).reshape(-1, len(weights), *_sizes(rows, columns))
                added[slices, rows, columns] = np.tensordot(weights, found, (0, 1))
                yield (n + (m + 1) / len(boxes)) / len(todo)
            one.correct(added)

    def restore_others(self, volumes: Sequence[Volume], grids: Sequence[Grid]) -> list[np.ndarray]:
        """What the first scan's network makes of other scans like it, thick along axis k; float32, a grid's shape each."""
        own = self.scans[0]
        scans = [SlicedScan(v, own.profile, own.weights, 2) for v in volumes]
        made = VolumetricRepresentation(scans, self._device, mirrored=len(self._turns))
        for _ in made.prepare():
            pass
        return [made.evaluate(grid, [n])[0] for n, grid in enumerate(grids)]

    def _averages(self, one: SlicedScan) -> tuple[np.ndarray, np.ndarray]:
        """Slice numbers (depth, taps) at which the residual is averaged over the slices, and the weights.

        Two Gauss-Legendre nodes in each half of the thickness: on the slice itself the residual has a kink.
        """
        halves = {"boxcar": 1, "gaussian": 3}[one.profile.kind]
        starts = np.arange(-halves, halves) / 2
        offsets = (starts[:, None] + np.array([0.5 - 12**-0.5, 0.5 + 12**-0.5]) / 2).ravel()
        weights = np.exp(-0.5 * (offsets * FWHM) ** 2) if one.profile.kind == "gaussian" else np.ones(len(offsets))
        numbers = np.arange(len(one.voxels))[:, None] + offsets * one.scan.width
        return self._within(one, numbers), (weights / weights.sum()).astype(np.float32)

    def _within(self, one: SlicedScan, numbers: np.ndarray) -> np.ndarray:
        """Slice numbers, those that the network has learned nothing of moved to where it has.

        Of point samples that is beyond the centres of the outermost slices; of averages, beyond their outer half.
        """
        if self._is_papers(one):
            return np.clip(numbers, 0, len(one.voxels) - 1)
        beyond = 0.0 if self._network(one).leaves_slices(one.told) else 0.5
        return np.clip(numbers, -beyond, len(one.voxels) - 1 + beyond)

    def _boxes(self, one: SlicedScan) -> Iterator[Box]:
        """Tiles of a volume as slices, rows and columns."""
        starts = [range(0, n, side) for n, side in zip(one.voxels.shape, self.tile_shape(one))]
        for k, i, j in itertools.product(*starts):
            yield tuple(slice(a, min(a + s.step, s.stop)) for a, s in zip((k, i, j), starts))  # type: ignore[misc]

    def tile_shape(self, one: SlicedScan) -> tuple[int, int, int]:
        """Slices, rows and columns of a tile: as few even parts of the plane as let :data:`ENCODED_VALUES` suffice.

        They are counted with what lies around the tile, of which there is little beyond the edge of the volume.
        """
        depth, *plane = one.voxels.shape
        if self._is_papers(one):  # its windows bound the memory
            return min(depth, TILE_SLICES), plane[0], plane[1]
        network = self._network(one)
        most = ENCODED_VALUES // (network.architecture.features + network.architecture.latent)

        def encoded(*sizes: int) -> int:
            along = zip(sizes, network.reach, one.voxels.shape)
            return math.prod(min(size + 2 * far, whole + 2 * PADDING) for size, far, whole in along)

        thick = min(depth, TILE_SLICES)
        sides = list(plane)
        parts = [1, 1]
        while max(sides) > SMALLEST_SIDE and encoded(thick, *sides) > most:
            longer = int(np.argmax(sides))
            parts[longer] += 1
            sides[longer] = math.ceil(plane[longer] / parts[longer])
        return thick, sides[0], sides[1]

    @torch.inference_mode()
    def residual(self, one: SlicedScan, rows: slice, columns: slice, numbers: np.ndarray) -> np.ndarray:
        """r on rows and columns of voxels at fractional slice numbers (m,), float32, (m, rows, columns); the paper's f."""
        if self._is_papers(one):
            return self._in_windows(one, rows, columns, numbers)
        network = self._network(one)
        ends = [(math.floor(numbers.min()), math.ceil(numbers.max()) + 1), (rows.start, rows.stop)]
        ends.append((columns.start, columns.stop))
        block, starts = one.voxels, []
        for axis, ((low, high), size, reach) in enumerate(zip(ends, one.voxels.shape, network.reach)):
            first, last = max(low - reach, -PADDING), min(high + reach, size + PADDING)
            if axis > 0:  # the same pixels are seen as one, whatever the tile
                first, last = first // STRIDE * STRIDE, -(-last // STRIDE) * STRIDE
            # the attention looks at neighbours, also of the outermost voxels
            index = np.clip(np.arange(first, last), 0, size - 1)
            block = np.take(block, index, axis=axis)
            starts.append(first)
        x = torch.from_numpy(np.ascontiguousarray(block))[None].to(self._device)
        (i, height), (j, width) = ((a.start - s - REACH, _size(a)) for a, s in zip((rows, columns), starts[1:]))
        where = torch.from_numpy((numbers - starts[0]).astype(np.float32)).to(self._device)
        found = torch.zeros(len(where), height, width, device=self._device)
        with torch.autocast(torch.device(self._device).type, torch.bfloat16, enabled=has_bfloat16(self._device)):
            for turn in self._turns:
                codes = self._encoded((id(one), *starts, *block.shape, turn), network, x, turn, one.told)
                seen = codes[:, i : i + height + 2 * REACH, j : j + width + 2 * REACH]
                # of mirrored slices, the decoder sees the pairs the other way round, too
                found += network.decode(seen, len(codes) - 1 - where if turn[0] else where, one.told)
        return (found / len(self._turns)).cpu().numpy()

    def _in_windows(self, one: SlicedScan, rows: slice, columns: slice, numbers: np.ndarray) -> np.ndarray:
        """As :meth:`residual`, of the paper's network."""
        network, weights = self._any_network(one), one.weights
        assert isinstance(network, BlockNetwork)
        assert weights is not None
        data = weights.training.get("data", {})
        slices, side = int(data.get("slices", USUAL_WINDOW[0])), int(data.get("crop", USUAL_WINDOW[1]))

        def restore(box: Box, local: np.ndarray) -> np.ndarray:
            self._progress.raise_if_cancelled()  # a tile may take hours
            x = torch.from_numpy(np.ascontiguousarray(one.voxels[box]))[None].to(self._device)
            where = torch.from_numpy(local.astype(np.float32)).to(self._device)
            found = torch.zeros(len(where), *x.shape[2:], device=self._device)
            for turn in self._turns:
                codes = network.encode(x.flip([a + 1 for a in range(3) if turn[a]]))[0]
                made = network.sample(codes, len(codes) - 1 - where if turn[0] else where)
                found += made.flip([a for a in (1, 2) if turn[a]])
            return (found / len(self._turns)).cpu().numpy()

        with torch.autocast(torch.device(self._device).type, torch.bfloat16, enabled=has_bfloat16(self._device)):
            return blended(one.voxels.shape, (slices, side, side), numbers, rows, columns, restore)

    def _encoded(
        self, name: tuple[object, ...], network: VolumetricNetwork, x: torch.Tensor, turn: Turn, told: Told
    ) -> torch.Tensor:
        """Codes of a tile and one of its mirror images, (slice, row, column, latent + 1).

        They are kept while all that are take little room: what agrees with the samples is sampled from the same tiles.
        """
        if name in self._codes:
            return self._codes[name]
        codes = network.encode(x.flip([a + 1 for a in range(3) if turn[a]]), [told])[0]
        codes = codes.flip([a for a in (1, 2) if turn[a]])
        if sum(c.nbytes for c in self._codes.values()) + codes.nbytes <= KEPT_CODES:
            self._codes[name] = codes
        return codes

    def release(self) -> None:
        """See :class:`Representation`."""
        self._codes.clear()

    def tiles(self, grid: Grid) -> Iterator[Box]:
        """Boxes of the grid that lie within one tile of the (first) volume each."""
        one = self.scans[0]
        axes = axis_map(grid, one.volume.affine)
        if axes is None or not one.restored:
            yield from grid.tiles(self.tile_voxels)
            return
        sizes = dict(zip([one.axis, *one.plane], self.tile_shape(one)))
        lengths = [1, 1, 1]
        for axis, (along, positions) in enumerate(axes):
            step = abs(positions[1] - positions[0]) if len(positions) > 1 else 1.0
            lengths[along] = max(1, int(sizes[axis] / step))
        for i in range(0, grid.shape[0], lengths[0]):
            for j in range(0, grid.shape[1], lengths[1]):
                for k in range(0, grid.shape[2], lengths[2]):
                    a, b, c = (slice(s, min(s + d, n)) for s, d, n in zip((i, j, k), lengths, grid.shape))
                    yield a, b, c

    def sample(self, grid: Grid | Sequence[Grid], progress: Progress = SILENT) -> list[Volume]:
        """See :class:`Representation`; warns of factors that the method or the weights were not made for."""
        grids = [grid] * len(self.scans) if isinstance(grid, Grid) else list(grid)
        for one, wanted in zip(self.scans, grids):
            directions = one.volume.affine[:3, one.axis] / one.volume.spacing[one.axis]
            along = int(np.argmax(np.abs(directions @ (wanted.affine[:3, :3] / np.array(wanted.spacing)))))
            factor = one.volume.spacing[one.axis] / wanted.spacing[along]
            if one.restored and not LOWEST_FACTOR / TOO_FAR <= factor <= HIGHEST_FACTOR * TOO_FAR:
                progress.warning(
                    f"{one.volume.name}: {factor:.2g} times as many slices are wanted; the method is made for 1 to 8 times"
                )
        self._progress = progress
        try:
            return super().sample(grid, progress)
        finally:
            self._progress = SILENT

    def evaluate(self, grid: Grid, channels: Sequence[int]) -> np.ndarray:
        """See :class:`Representation`."""
        return np.stack([self._evaluate(grid, self.scans[c]) for c in channels])

    def _evaluate(self, grid: Grid, one: SlicedScan) -> np.ndarray:
        shape = one.volume.shape
        axes = axis_map(grid, one.volume.affine)
        if axes is not None:
            given = [c for _, c in axes]
            coordinates = [np.clip(c, 0, n - 1) for c, n in zip(given, shape)]
            outside = np.zeros([len(c) for c in coordinates], bool)
            for axis, ((_, c), n) in enumerate(zip(axes, shape)):
                np.moveaxis(outside, axis, 0)[is_outside(c, n)] = True
            values = np.zeros(outside.shape, np.float32)
            if not self._is_papers(one):
                values = one.base.on_axes(coordinates).numpy()
            if one.restored:
                coordinates[one.axis] = self._within(one, given[one.axis])
                values = values + self._on_axes(one, coordinates)
            order = np.argsort([source for source, _ in axes])
            values, outside = values.transpose(order), outside.transpose(order)
        else:
            index = index_coordinates(one.volume, grid)
            outside = np.logical_or.reduce([is_outside(c, n) for c, n in zip(index, shape)])
            across = index[one.axis].copy()
            for axis, n in enumerate(shape):
                np.clip(index[axis], 0, n - 1, out=index[axis])
            values = np.zeros(outside.shape, np.float32) if self._is_papers(one) else one.base.at(index).numpy()
            if one.restored and not outside.all():
                index[one.axis] = self._within(one, across)
                values = values + self._scattered(one, index)
        found = np.maximum(one.scan.scaling.invert(values), np.float32(one.lowest))
        return np.where(outside, np.float32(one.lowest), found)

    def _on_axes(self, one: SlicedScan, coordinates: Sequence[np.ndarray]) -> np.ndarray:
        """r on the lattice of fractional indices along the three axes."""
        spans, weights = [], []
        for axis in one.plane:
            c, n = coordinates[axis], one.volume.shape[axis]
            whole = np.round(c).astype(int)
            exact = np.allclose(c, whole, rtol=0, atol=1e-6)
            around = 0 if exact else SPLINE_REACH
            span = slice(
                max(int(np.floor(c.min() + 1e-6)) - around, 0), min(int(np.ceil(c.max() - 1e-6)) + around, n - 1) + 1
            )
            spans.append(span)
            weights.append(np.eye(_size(span), dtype=np.float32)[whole - span.start] if exact else
                           weight_matrix(c - span.start, _size(span), 3))  # fmt: skip
        found = self.residual(one, spans[0], spans[1], coordinates[one.axis])
        for axis, matrix in enumerate(weights):
            found = np.moveaxis(np.tensordot(matrix, found, (1, axis + 1)), 0, axis + 1)
        return np.moveaxis(found, 0, one.axis)

    def _scattered(self, one: SlicedScan, index: np.ndarray) -> np.ndarray:
        """r at scattered indices (3, …): by a cubic spline from a lattice around them."""
        low = [max(int(np.floor(c.min())) - SPLINE_REACH, 0) for c in index]
        high = [min(int(np.ceil(c.max())) + SPLINE_REACH, n - 1) for c, n in zip(index, one.volume.shape)]
        # a slice further across the slices, of which the outer half may be wanted
        low[one.axis] -= 1
        high[one.axis] += 1
        parts = max(1, math.ceil(FINER * one.told.ratio))
        numbers = np.arange((high[one.axis] - low[one.axis]) * parts + 1) / parts + low[one.axis]
        rows, columns = (slice(low[a], high[a] + 1) for a in one.plane)
        lattice = self.residual(one, rows, columns, self._within(one, numbers))
        places = [(index[one.axis] - low[one.axis]) * parts, *(index[a] - low[a] for a in one.plane)]
        return ndimage.map_coordinates(lattice, np.stack(places), order=3, mode="mirror")

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See :class:`Representation`."""
        arrays, places = pack_volumes([s.source for s in self.scans])
        for n, weights in enumerate(self._weights):
            arrays.update({f"{prefix_of(n)}{name}": tensor.numpy() for name, tensor in weights.tensors.items()})
        arrays.update({f"added.{n}": s.added for n, s in enumerate(self.scans) if s.base is not s.scan})
        names = [w.sha256 for w in self._weights]
        return arrays, {
            "volumes": places,
            "weights": [w.described() for w in self._weights],
            "used": [None if s.weights is None else names.index(s.weights.sha256) for s in self.scans],
            "profiles": [s.profile.kind for s in self.scans],
            "axes": [s.axis for s in self.scans],
            "mirrored": len(self._turns),
        }

    @classmethod
    def from_state(
        cls, contrasts: Sequence[Contrast], arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> VolumetricRepresentation:
        """See :class:`Representation`."""
        volumes = unpack_volumes(arrays, config["volumes"])
        weights = [Weights.from_state(told, arrays, prefix_of(n)) for n, told in enumerate(config["weights"])]
        scans = [
            SlicedScan(v, SliceProfile(profile), None if used is None else weights[used], axis)
            for v, profile, used, axis in zip(volumes, config["profiles"], config["used"], config["axes"])
        ]
        for n, one in enumerate(scans):
            if f"added.{n}" in arrays:
                one.correct(arrays[f"added.{n}"])
        return cls(scans, contrasts=contrasts, mirrored=config["mirrored"])


def prefix_of(number: int) -> str:
    """Of the names of the tensors of the first, second … weights in a file."""
    return f"network{number}."


def _size(span: slice) -> int:
    return int(span.stop - span.start)


def _sizes(*spans: slice) -> list[int]:
    return [_size(s) for s in spans]
