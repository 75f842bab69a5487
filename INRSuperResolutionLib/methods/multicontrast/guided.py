"""Self-supervised guided restoration: the patient's own sharp planes teach what thick slices miss.

A function that is fitted to the acquired samples alone has no reason to be right between them. But a
scan that misses one direction is sharp along the two others, so there the answer is known: cut the
scan into thick slices along a sharp axis as its real slices cut it, and learn to predict what was
lost, guided by the other contrasts. Applied along the axis that is really missing, this gives for
every contrast c the continuous function

    f_c(x) = spline_c(x) + r_c(x),

where the residual r_c is a small stencil of convolutions, of a fixed step in mm, around x, and the
spline gives back through the slice profile what r_c leaves of the samples: so f_c agrees with them.
The inputs of r_c (splines of all contrasts, and where x lies within its slice) are defined
everywhere, so r_c is too; on a lattice that has the stencil's step it is computed as a convolution. The first and last convolution are a contrast's own,
those between are shared: the split heads of the multi-contrast INR (McGinnis et al. 2023) over one
shared representation of the patient.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn.functional import relu

from ...acquisition.forward_model import SliceProfile
from ...device import has_bfloat16
from ...errors import InputError
from ...image.files import write
from ...image.grid import Grid
from ...image.interpolate import axis_map, basis_matrix, cubic_prefilter, index_coordinates, is_outside, resample
from ...image.volume import Volume
from ...representation import Contrast, Representation, pack_volumes, unpack_volumes
from ..base import FitContext
from ..scan import Average, Scan, turned_to
from .settings import GuidedSettings

PHASES = 3  # cos φ, sin φ, cos 2φ of the position within a slice
PLANES = 3  # a guide is seen on the plane itself and on its two neighbours
PLANES_AT_ONCE = 4
# slices with less foreground than this part of the largest one teach nothing
SMALLEST_SLICE = 0.15
# what a pixel outside the foreground counts in the loss: enough to keep the air dark
BACKGROUND_WEIGHT = 0.1
# the stencil's step is a pixel, or several when pixels are so fine that it would not reach across the slices
STEPS_PER_SLICE = 4
# a lattice this much coarser than the result still resolves what the stencil makes
COARSER = 1.25
MARGIN = 6  # lattice points around a tile that keep a spline's boundary out of it


class Network(nn.Module):
    """Own first and last convolution for each contrast, residual convolutions shared between them.

    No padding, so that a value depends on its stencil alone and not on the window it is computed in.

    Parameters
    ----------
    channels
        Input channels of each contrast.
    """

    def __init__(self, channels: Sequence[int], width: int, depth: int) -> None:
        super().__init__()
        self.radius = depth + 2
        self.first = nn.ModuleList(nn.Conv2d(n, width, 3) for n in channels)
        self.trunk = nn.ModuleList(nn.Conv2d(width, width, 3) for _ in range(depth))
        self.last = nn.ModuleList(nn.Conv2d(width, 1, 3) for _ in channels)
        for layer in self.last:  # start as the plain spline
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, contrast: int) -> Tensor:
        """Residual; (n, channels, h + 2 r, w + 2 r) → (n, h, w) with r = `radius`."""
        hidden = relu(self.first[contrast](x))
        for layer in self.trunk:
            hidden = hidden[..., 1:-1, 1:-1] + relu(layer(hidden))
        return self.last[contrast](hidden)[:, 0]


class Link(NamedTuple):
    """How a guide's slices cut through the target: along the target's `axis`, at scale · index + offset."""

    axis: int
    scale: float
    offset: float


class Lesson(NamedTuple):
    """A way to learn: planes (teaching axis, other axis), and which guides may look at them.

    In training the teaching axis plays the part of the thick axis; at sampling time the planes are
    (thick axis, other axis), one for each position along the teaching axis.
    """

    teaching: int
    other: int
    usable: tuple[bool, ...]


def phase(coordinate: np.ndarray) -> Tensor:
    """cos φ, sin φ, cos 2φ of the position within a slice; (n,) → float32 (3, n)."""
    x = torch.from_numpy(2 * math.pi * (coordinate - np.floor(coordinate))).float()
    return torch.stack([torch.cos(x), torch.sin(x), torch.cos(2 * x)])


class Target:
    """One contrast to restore: its lessons, its guides, and the guides' values on its own slices."""

    def __init__(self, scans: Sequence[Scan], channel: int) -> None:
        self.channel, self.scan = channel, scans[channel]
        self.guides = [scan for n, scan in enumerate(scans) if n != channel]
        scan, thick = self.scan, self.scan.thick
        self.spacing = scan.volume.spacing
        self.links = [self._link(guide) for guide in self.guides]
        # a guide that is thick along the teaching axis cannot help there: take the lessons that keep most guides
        planes = [axis for axis in range(3) if axis != thick]
        lessons = [Lesson(t, o, tuple(link.axis != t for link in self.links)) for t, o in (planes, reversed(planes))]
        most = max(sum(lesson.usable) for lesson in lessons)
        self.lessons = [lesson for lesson in lessons if sum(lesson.usable) == most]
        reach = self.spacing[thick] / STEPS_PER_SLICE
        self.stride = {axis: max(1, round(reach / self.spacing[axis])) for axis in planes}
        self.views = [self.along_our_axes(guide) for guide in self.guides]

    @property
    def channels(self) -> int:
        """Input channels of the network: the target and its phase; each guide on its planes and its phase."""
        return 1 + PHASES + len(self.guides) * (PLANES + PHASES)

    def sines(self, axis: int) -> list[int]:
        """Input channels that hold the sine of a phase along `axis`: mirroring the axis changes their sign."""
        axes = [self.scan.thick, *(link.axis for link in self.links)]
        first = [1, *(1 + PHASES + n * (PLANES + PHASES) + PLANES for n in range(len(self.links)))]
        return [channel + 1 for channel, along in zip(first, axes) if along == axis]

    def step_across(self, lesson: Lesson) -> float:
        """The stencil's step along the thick axis, in slices: as long in mm as along the teaching axis."""
        along = self.stride[lesson.teaching] * self.spacing[lesson.teaching]
        return along / self.spacing[self.scan.thick]

    def steps(self) -> dict[int, float]:
        """The stencil's step along each axis, in voxels."""
        return {**self.stride, self.scan.thick: self.step_across(self.lessons[0])}

    def _link(self, guide: Scan) -> Link:
        to_guide = np.linalg.inv(guide.volume.affine) @ self.scan.volume.affine
        row = to_guide[guide.thick]
        axis = int(np.argmax(np.abs(row[:3])))
        centre = (np.array(self.scan.volume.shape) - 1) / 2
        return Link(axis, float(row[axis]), float(row[:3] @ centre + row[3] - row[axis] * centre[axis]))

    def along_our_axes(self, guide: Scan) -> Scan:
        """The guide itself if its axes run along ours, else turned to them."""
        if axis_map(self.scan.volume.grid, guide.volume.affine) is not None:
            return guide
        step = self.step_across(self.lessons[0]) * self.spacing[self.scan.thick]
        spacing = [step if axis == self.scan.thick else self.spacing[axis] for axis in range(3)]
        return turned_to(guide, self.scan.volume, spacing)

    @staticmethod
    def guide_on(
        guide: Scan, frame: np.ndarray, coordinates: list[np.ndarray], average: Average | None = None
    ) -> Tensor:
        """Values of a guide on a lattice of indices of `frame` (an affine along whose axes the guide's run)."""
        to_guide = np.linalg.inv(guide.volume.affine) @ frame
        sources = [int(np.argmax(np.abs(to_guide[row, :3]))) for row in range(3)]
        along = [to_guide[row, c] * coordinates[c] + to_guide[row, 3] for row, c in enumerate(sources)]
        if average is not None:
            row = sources.index(average.axis)
            average = Average(row, to_guide[row, average.axis] * average.offsets, average.weights)
        return guide.on_axes(along, average).permute(*np.argsort(sources).tolist())

    def inputs(self, lesson: Lesson, coordinates: list[np.ndarray]) -> list[Tensor]:
        """What the network sees on planes (thick, other), one for each index along the teaching axis.

        Channels as float32 tensors that broadcast to (planes, channel, thick, other).
        """
        thick, (teaching, other, usable) = self.scan.thick, lesson

        def planes(values: Tensor) -> Tensor:
            return values.permute(teaching, thick, other)[:, None]

        def along(values: Tensor, axis: int) -> Tensor:
            return values[None, :, :, None] if axis == thick else values[None, :, None, :]

        channels = [planes(self.scan.on_axes(coordinates)), along(phase(coordinates[thick]), thick)]
        for link, guide, use in zip(self.links, self.views, usable):
            if not use:
                channels.append(torch.zeros(1, PLANES + PHASES, 1, 1))
                continue
            for side in (-1, 0, 1):
                beside = list(coordinates)
                beside[teaching] = coordinates[teaching] + side * self.stride[teaching]
                channels.append(planes(self.guide_on(guide, self.scan.volume.affine, beside)))
            channels.append(along(phase(link.scale * coordinates[link.axis] + link.offset), link.axis))
        return channels


class School:
    """Makes training examples for one target from its own slices."""

    def __init__(self, target: Target, foreground: Tensor) -> None:
        self.target = target
        thick = target.scan.thick
        self.slices = torch.movedim(target.scan.data, thick, 0).contiguous()
        self.foreground = torch.movedim(foreground, thick, 0).contiguous()
        index = [np.arange(n, dtype=np.float64) for n in target.scan.volume.shape]
        step = target.step_across(target.lessons[0])
        self.guides = []
        for guide in target.views:
            sides = []
            for side in (-1, 0, 1):
                # averaged across the slice as the target is: the images must show the same anatomy
                across = Average(thick, *target.scan.taps())
                beside = list(index)
                beside[thick] = index[thick] + side * step
                seen = target.guide_on(guide, target.scan.volume.affine, beside, across)
                sides.append(torch.movedim(seen, thick, 0).contiguous())
            self.guides.append(torch.stack(sides, dim=1))  # slice, side, two axes in plane
        area = self.foreground.flatten(1).sum(1).numpy()
        self.useful = np.flatnonzero(area > SMALLEST_SLICE * area.max())
        self.boxes = {
            int(k): [(int(i.min()), int(i.max()) + 1) for i in np.nonzero(self.foreground[k].numpy())]
            for k in self.useful
        }

    def thinned(self, scan: Scan, rows: np.ndarray, start: float, step: float, count: int) -> Tensor:
        """A line of pixels as it looks when a scan cuts it into its slices and its spline joins them again.

        Pixel n of `count` lies at slice coordinate start + n · step. Returns weights at `rows`,
        float32, (len(rows), count).
        """
        ends = start, start + step * (count - 1)
        low, high = math.ceil(min(ends)), max(math.floor(max(ends)), math.ceil(min(ends)))
        offsets, weights = scan.taps()
        centres = np.arange(low, high + 1)
        cut = sum(w * basis_matrix((centres + o - start) / step, count, 3) for o, w in zip(offsets, weights))
        joined = basis_matrix(start + step * rows - low, len(centres), 3)
        # torch's products, not numpy's: two thread pools that take turns slow each other down
        factors = (joined, scan.solve(len(centres), True), cut, cubic_prefilter(count))
        return torch.linalg.multi_dot([torch.from_numpy(np.asarray(f)) for f in factors]).float()

    def example(self, rng: np.random.Generator, most: int, radius: int) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs (channels, size + 2 r, size + 2 r), wanted residual and weight (size, size); size ≤ `most`."""
        target, scan = self.target, self.target.scan
        teaching, other, usable = target.lessons[rng.integers(len(target.lessons))]
        k = int(self.useful[rng.integers(len(self.useful))])
        swap = teaching > other

        def turned(image: Tensor) -> Tensor:  # rows along the teaching axis
            return image.transpose(-1, -2) if swap else image

        truth, inside = turned(self.slices[k]), turned(self.foreground[k])
        strides = target.stride[teaching], target.stride[other]
        extents = [high - low for low, high in self.boxes[k]]
        size = min(most, math.ceil(max(e / stride for e in extents for stride in strides)))
        windows = []
        for (low, high), stride in zip(self.boxes[k][::-1] if swap else self.boxes[k], strides):
            slack = (high - low) - size * stride  # the crop lies in the foreground's box, or around it
            first = low + (int(rng.integers(slack + 1)) if slack > 0 else slack // 2)
            windows.append(first + stride * (np.arange(size + 2 * radius) - radius))
        rows, columns = windows
        clipped = [torch.from_numpy(np.clip(w, 0, n - 1)) for w, n in zip(windows, truth.shape)]
        flips = rng.random(3) < 0.5
        # where the virtual slices lie is random, but the same for all scans that share the thick axis, so that
        # their slices keep their true places relative to each other
        start = rng.random() * scan.volume.shape[scan.thick]
        step = (-1 if flips[0] else 1) * target.spacing[teaching] / target.spacing[scan.thick]

        def down(values: Tensor) -> Tensor:
            return values[:, :, None].expand(-1, -1, len(columns))

        seen = self.thinned(scan, rows, start, step, truth.shape[0]) @ truth[:, clipped[1]]
        channels = [seen[None], down(phase(start + step * rows))]
        for link, guide, sides, use in zip(target.links, target.guides, self.guides, usable):
            if not use:
                channels.append(torch.zeros(PLANES + PHASES, len(rows), len(columns)))
                continue
            planes = turned(sides[k])[:, :, clipped[1]]
            if flips[2]:
                planes = planes.flip(0)
            if link.axis == scan.thick:  # the guide misses the same axis: thin it too, at its place
                thin = self.thinned(guide, rows, link.scale * start + link.offset, link.scale * step, truth.shape[0])
                channels.append(thin @ planes)
                channels.append(down(phase(link.scale * (start + step * rows) + link.offset)))
            else:
                channels.append(planes[:, clipped[0]])
                across = -1 if flips[1] else 1  # mirrored columns run through the guide's slices backwards
                phases = phase(across * (link.scale * columns + link.offset))
                channels.append(phases[:, None].expand(-1, len(rows), -1))
        x = torch.cat(channels)
        inner = slice(radius, radius + size)
        r, c = clipped[0][inner], clipped[1][inner]
        wanted = truth[r][:, c] - seen[inner, inner]
        real = [torch.from_numpy((w[inner] >= 0) & (w[inner] < n)) for w, n in zip(windows, truth.shape)]
        weight = torch.where(inside[r][:, c], 1.0, BACKGROUND_WEIGHT) * (real[0][:, None] & real[1])
        turn = [axis - 2 for axis in (0, 1) if flips[axis]]
        return x.flip(turn), wanted.flip(turn), weight.flip(turn)


def fit_guided(volumes: Sequence[Volume], settings: GuidedSettings, context: FitContext) -> GuidedRepresentation:
    """Learn from the volumes alone, for a fixed number of steps (or `max_seconds`).

    Raises
    ------
    InputError
        If the mask is empty on one of the volumes.
    """
    started = time.perf_counter()
    torch.manual_seed(context.seed)
    representation = GuidedRepresentation(volumes, context.profiles, settings, device=context.device)
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
        schools.append(School(target, use))
        context.progress.update(0.0)
    weights = list(network.parameters())
    optimizer = torch.optim.Adam(weights, lr=settings.learning_rate, betas=(0.9, 0.99))

    def gradient(channel: int, school: School, rng: np.random.Generator) -> tuple[float, Sequence[Tensor | None]]:
        """Loss and gradient of one contrast on a new crop of it."""
        x, wanted, weight = (v.to(context.device) for v in school.example(rng, settings.crop, network.radius))
        error = representation.residual_of(x[None], channel)[0] - wanted
        loss = (error.square() * weight).sum() / weight.sum().clamp(min=1)
        return float(loss.detach()), torch.autograd.grad(loss, weights, allow_unused=True)

    rngs = [np.random.default_rng([context.seed, channel]) for channel in range(len(schools))]
    step, done, stopped_by = 0, 0.0, "schedule"
    while step < settings.steps:
        for group in optimizer.param_groups:
            rate = min(1.0, (step + 1) / settings.warmup) * (1 + math.cos(math.pi * done)) / 2
            group["lr"] = settings.learning_rate * rate
        found = list(representation.threads.map(gradient, range(len(schools)), schools, rngs))
        # summed in the order of the contrasts, so that the same seed gives the same bits
        for n, parameter in enumerate(weights):
            parts = [part for _, gradients in found if (part := gradients[n]) is not None]
            parameter.grad = torch.stack(parts).sum(dim=0)
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
    representation.agree_with_samples()
    representation.provenance.update(
        parameters=sum(p.numel() for p in network.parameters()), steps=step, stopped_by=stopped_by
    )
    return representation


class GuidedRepresentation(Representation):
    """Splines of all contrasts and the network that sharpens them; see the module."""

    kind = "guided"
    tile_voxels = 1 << 23

    def __init__(
        self,
        volumes: Sequence[Volume],
        profiles: Sequence[SliceProfile],
        settings: GuidedSettings,
        contrasts: Sequence[Contrast] | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(contrasts or [Contrast.of(v) for v in volumes])
        self._settings, self._device = settings, device
        # uneven slices are made even first: the stencil takes them to be alike
        even = [v if v.slice_positions is None else resample(v, v.grid) for v in volumes]
        self._scans = [Scan(v, p) for v, p in zip(even, profiles)]
        self._bases = list(self._scans)
        self.targets = [Target(self._scans, n) for n in range(len(even))]
        channels = [target.channels for target in self.targets]
        self.network = Network(channels, settings.width, settings.depth).to(device)
        self._mixed = settings.mixed_precision and has_bfloat16(device)
        # contrasts and planes in parallel, one core each: small convolutions that share cores wait for each
        # other after every layer, and for whatever else the machine does
        cores = torch.get_num_threads() if device == "cpu" else 1
        self.threads = ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,))

    def residual_of(self, x: Tensor, channel: int) -> Tensor:
        """The network on inputs (n, channels, h, w), float32."""
        with torch.autocast(torch.device(self._device).type, torch.bfloat16, enabled=self._mixed):
            return self.network(x.contiguous(memory_format=torch.channels_last), channel).float()

    def agree_with_samples(self) -> None:
        """Take out of the splines what the residuals add to the slices' averages."""
        for target in self.targets:
            scan = target.scan
            step, size = target.steps()[scan.thick], scan.volume.shape[scan.thick]
            lattice: list[np.ndarray] = [np.arange(n, dtype=np.float64) for n in scan.volume.shape]
            ends = 0.5 / step + MARGIN
            lattice[scan.thick] = step * np.arange(-math.ceil(ends), math.ceil((size - 1) / step + ends) + 1)
            count, first = len(lattice[scan.thick]), lattice[scan.thick][0]
            slices = sum(w * basis_matrix((np.arange(size) + o - first) / step, count, 3) for o, w in zip(*scan.taps()))
            average = torch.from_numpy((slices @ cubic_prefilter(count)).astype(np.float32))
            residual = torch.movedim(self._residual_on(target, lattice), scan.thick, 0)
            added = torch.movedim(torch.tensordot(average, residual, dims=1), 0, scan.thick)
            self._bases[target.channel] = scan.with_data(scan.data - added)

    def preview(self) -> Volume:
        """The first contrast, sharpened on every fourth plane: quick, and shows how the slices fill."""
        target = self.targets[0]
        spacing = np.array(target.spacing)
        lesson = target.lessons[0]
        spacing[target.scan.thick] *= target.step_across(lesson)
        spacing[lesson.teaching] *= 4
        return self.sample(self.contrasts[0].grid.with_spacing(spacing.tolist()))[0]

    @torch.no_grad()
    def evaluate(self, grid: Grid, channels: Sequence[int]) -> np.ndarray:
        """Values of contrasts at the centres of a grid; see :class:`Representation`."""
        return np.stack([self._evaluate(grid, channel) for channel in channels])

    def _evaluate(self, grid: Grid, channel: int) -> np.ndarray:
        target = self.targets[channel]
        scan, volume = self._bases[channel], target.scan.volume
        axes = axis_map(grid, volume.affine)
        if axes is not None:
            coordinates = [c for _, c in axes]
            outside = _any_along([is_outside(c, n) for c, n in zip(coordinates, volume.shape)])
            values = scan.on_axes(coordinates)
            if self._runs(target, coordinates) is None:
                index = np.stack(np.meshgrid(*coordinates, indexing="ij"))
                values += self._interpolated_residual(target, index, grid.spacing)
            else:
                values += self._residual_on(target, coordinates)
            order = np.argsort([source for source, _ in axes]).tolist()
            values, outside = values.permute(*order), outside.transpose(order)
        else:
            index = index_coordinates(volume, grid)
            outside = np.logical_or.reduce([is_outside(c, n) for c, n in zip(index, volume.shape)])
            values = scan.at(index) + self._interpolated_residual(target, index, grid.spacing)
        low = volume.data.min()
        # the stencil may undershoot at the edge of the head; there is nothing below the background
        found = np.maximum(scan.scaling.invert(values.numpy()), low)
        return np.where(outside, low, found)

    @staticmethod
    def _runs(target: Target, coordinates: Sequence[np.ndarray]) -> list[list[slice]] | None:
        """The lattices with the stencil's step that make up these coordinates, along each axis; None if there are none."""
        steps = target.steps()
        runs = []
        for axis, c in enumerate(coordinates):
            if len(c) < 2:
                runs.append([slice(0, None)])
                continue
            every = steps[axis] / abs(c[1] - c[0])
            if round(every) < 1 or abs(every - round(every)) > 0.02 * every:
                return None
            runs.append([slice(n, None, round(every)) for n in range(min(round(every), len(c)))])
        return runs

    def _interpolated_residual(self, target: Target, index: np.ndarray, spacing: Sequence[float]) -> Tensor:
        """r_c at scattered indices: on our own lattice around them, and by a cubic spline from there."""
        steps = target.steps()
        lattice, offsets, scales = [], [], []
        for axis, c in enumerate(index):
            parts = max(1, math.ceil(steps[axis] * target.spacing[axis] / min(spacing) / COARSER))
            scale = steps[axis] / parts
            top = (target.scan.volume.shape[axis] - 1) / scale
            low = max(0, math.floor(max(c.min(), 0) / scale) - MARGIN)
            high = min(math.ceil(top), math.ceil(c.max() / scale) + MARGIN)
            lattice.append(scale * np.arange(low, max(high, low) + 1))
            offsets.append(low)
            scales.append(scale)
        residual = self._residual_on(target, lattice)
        shape = (3, *[1] * (index.ndim - 1))
        at = index / np.reshape(scales, shape) - np.reshape(offsets, shape)
        return torch.from_numpy(ndimage.map_coordinates(residual.numpy(), at, order=3, mode="nearest"))

    def _residual_on(self, target: Target, coordinates: list[np.ndarray]) -> Tensor:
        """r_c on a lattice that :meth:`_runs` can take apart."""
        runs = self._runs(target, coordinates)
        assert runs is not None, "the lattice is made of lattices with the stencil's step"
        residual = torch.zeros([len(c) for c in coordinates])
        for box in itertools.product(*runs):
            residual[box] = self._residual(target, [c[part] for c, part in zip(coordinates, box)])
        return residual

    def _residual(self, target: Target, coordinates: list[np.ndarray]) -> Tensor:
        """r_c on a lattice with the stencil's step along all axes, at any phase; zero away from the foreground."""
        residual = torch.zeros([len(c) for c in coordinates])
        near = []
        for axis, c in enumerate(coordinates):
            others = tuple(a for a in range(3) if a != axis)
            inside = np.flatnonzero(target.scan.foreground.numpy().any(axis=others))
            used = np.flatnonzero((c > inside[0] - 1.5) & (c < inside[-1] + 1.5))
            if len(used) == 0:
                return residual
            near.append(slice(used[0], used[-1] + 1))
        box = tuple(near)
        part = [c[n] for c, n in zip(coordinates, near)]
        found = sum(self._residual_of_lesson(target, lesson, part) for lesson in target.lessons)
        residual[box] = found / len(target.lessons)
        return residual

    def _residual_of_lesson(self, target: Target, lesson: Lesson, coordinates: list[np.ndarray]) -> Tensor:
        thick, other, teaching = target.scan.thick, lesson.other, lesson.teaching
        radius = self.network.radius
        wide = list(coordinates)
        steps = {thick: target.step_across(lesson), other: float(target.stride[other])}
        for axis, step in steps.items():
            c = coordinates[axis]
            step = c[1] - c[0] if len(c) > 1 else step  # the lattice's own: a rounded one would drift over it
            wide[axis] = c[0] + step * (np.arange(len(c) + 2 * radius) - radius)
        channels = target.inputs(lesson, wide)
        count, height, width = (len(wide[axis]) for axis in (teaching, thick, other))
        found = torch.empty(count, height - 2 * radius, width - 2 * radius)

        def compute(first: int) -> None:
            some = slice(first, min(first + PLANES_AT_ONCE, count))
            planes = some.stop - first
            x = torch.cat([(c[some] if len(c) == count else c).expand(planes, -1, height, width) for c in channels], 1)
            with torch.no_grad():
                found[some] = self._averaged(x.to(self._device), target, lesson).cpu()

        list(self.threads.map(compute, range(0, count, PLANES_AT_ONCE)))
        return found.permute(*np.argsort((teaching, thick, other)).tolist())

    def _averaged(self, x: Tensor, target: Target, lesson: Lesson) -> Tensor:
        """The network's residual, averaged over the mirror images of its planes if the settings say so."""
        results = []
        mirror = self._settings.average_flips and len(target.lessons) == 1  # two lessons are averaged already
        for flips in itertools.product((False, True), repeat=2) if mirror else [(False, False)]:
            turn = [axis - 2 for axis in (0, 1) if flips[axis]]
            mirrored = x.flip(turn) if turn else x
            for axis, flip in zip((target.scan.thick, lesson.other), flips):
                if flip:
                    mirrored[:, target.sines(axis)] *= -1
            results.append(self.residual_of(mirrored, target.channel).flip(turn))
        return torch.stack(results).mean(dim=0)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See :class:`Representation`."""
        arrays, places = pack_volumes([scan.volume for scan in self._scans])
        for name, tensor in self.network.state_dict().items():
            arrays[f"network.{name}"] = tensor.detach().cpu().contiguous().numpy()
        for n, base in enumerate(self._bases):
            arrays[f"base{n}"] = base.data.numpy()
        config = {
            "settings": dataclasses.asdict(self._settings),
            "profiles": [scan.profile.kind for scan in self._scans],
            "volumes": places,
        }
        return arrays, config

    @classmethod
    def from_state(
        cls, contrasts: Sequence[Contrast], arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> GuidedRepresentation:
        """See :class:`Representation`."""
        profiles = [SliceProfile(kind) for kind in config["profiles"]]
        volumes = unpack_volumes(arrays, config["volumes"])
        made = cls(volumes, profiles, GuidedSettings(**config["settings"]), contrasts)
        weights = {
            k.removeprefix("network."): torch.from_numpy(v) for k, v in arrays.items() if k.startswith("network.")
        }
        made.network.load_state_dict(weights)
        made._bases = [s.with_data(torch.from_numpy(arrays[f"base{n}"])) for n, s in enumerate(made._scans)]
        return made


def _any_along(axes: Sequence[np.ndarray]) -> np.ndarray:
    """Where any of three per-axis conditions holds, bool, the shape they span."""
    i, j, k = axes
    return i[:, None, None] | j[:, None] | k
