"""Splines of all contrasts and the network that sharpens them, sampled anywhere."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ....acquisition.forward_model import SliceProfile
from ....device import has_bfloat16
from ....image.grid import Grid
from ....image.interpolate import (
    axis_map,
    basis_matrix,
    cubic_prefilter,
    index_coordinates,
    is_outside,
    resample,
    weight_matrix,
)
from ....image.volume import Volume
from ....representation import Contrast, Representation, pack_volumes, unpack_volumes
from ...scan import Scan
from ..settings import GuidedSettings, SelfSupervisedSettings
from .bands import gains_at, without_bands
from .lessons import Lesson, Target
from .network import Network
from .noise import amplified, plain, signal_part

PLANES_AT_ONCE = 4
# a lattice this much coarser than the result still resolves what the stencil makes
COARSER = 1.25
MARGIN = 6  # lattice points around a tile that keep a spline's boundary out of it


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
        gains: Sequence[np.ndarray | None] = (),
    ) -> None:
        super().__init__(contrasts or [Contrast.of(v) for v in volumes])
        self._settings, self._device = settings, device
        # uneven slices are made even first: the stencil takes them to be alike
        self._gains = list(gains) or [None] * len(volumes)
        self._volumes = [without_bands(v, gain) for v, gain in zip(volumes, self._gains)]
        even = [v if v.slice_positions is None else resample(v, v.grid) for v in self._volumes]
        self._scans = [Scan(v, p) for v, p in zip(even, profiles)]
        self._bases = list(self._scans)
        # what takes sharpened noise back (:mod:`noise`); None for nothing
        self._noises: list[Scan | None] = [None] * len(self._scans)
        # residuals on the stencil's own lattice, as they were found for the agreement
        self._lattices: dict[int, tuple[list[np.ndarray], Tensor]] = {}
        self.targets = [Target(self._scans, n, settings) for n in range(len(even))]
        channels = [target.channels for target in self.targets]
        self.network = Network(channels, settings.width, settings.depth, settings.reach).to(device)
        self._mixed = settings.mixed_precision and has_bfloat16(device)
        # contrasts and planes in parallel, one core each: small convolutions that share cores wait for each
        # other after every layer, and for whatever else the machine does
        cores = torch.get_num_threads() if device == "cpu" else 1
        self.threads = ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,))

    def residual_of(self, x: Tensor, channel: int) -> Tensor:
        """The network on inputs (n, channels, h, w), float32."""
        with torch.autocast(torch.device(self._device).type, torch.bfloat16, enabled=self._mixed):
            return self.network(x.contiguous(memory_format=torch.channels_last), channel).float()

    def agree_with_samples(self, grids: Sequence[Grid] | None = None) -> None:
        """Take out of the splines what the residuals add to the slices' averages, and what only sharpens noise.

        Where it is known on which `grids` the function will be sampled, the residuals are found there, and kept.
        """
        for target in self.targets:
            scan = target.scan
            step, size = target.steps()[scan.thick], scan.volume.shape[scan.thick]
            lattice: list[np.ndarray] = [np.arange(n, dtype=np.float64) for n in scan.volume.shape]
            ends = 0.5 / step + MARGIN
            start = 0.0 if grids is None else step * self._phase(target, grids[target.channel])
            lattice[scan.thick] = start + step * np.arange(-math.ceil(ends), math.ceil((size - 1) / step + ends) + 1)
            count, first = len(lattice[scan.thick]), lattice[scan.thick][0]
            taps = zip(*scan.taps())
            slices = sum(w * basis_matrix((np.arange(size) + o - first) / step, count, 3) for o, w in taps)
            on_lattice = self._residual_on(target, lattice)
            self._lattices[target.channel] = lattice, on_lattice

            def seen(basis: np.ndarray, values: Tensor = on_lattice, axis: int = scan.thick) -> Tensor:
                weights = torch.from_numpy((basis @ cubic_prefilter(values.shape[axis])).astype(np.float32))
                return torch.movedim(torch.tensordot(weights, values, dims=([1], [axis])), 0, axis)

            base = scan.with_data(scan.data - seen(np.asarray(slices)))
            self._bases[target.channel] = base
            if scan.profile.kind == "none" or target.noise == 0:
                continue
            own_places = [np.arange(n, dtype=np.float64) for n in scan.volume.shape]
            at_centres = seen(basis_matrix((np.arange(size) - first) / step, count, 3))
            change = base.on_axes(own_places) + at_centres - scan.data
            signal = signal_part(change, target.noise * amplified(scan) ** 0.5, scan.thick)
            self._noises[target.channel] = plain(scan, (signal - 1) * change)

    def release(self) -> None:
        """See :class:`Representation`."""
        self._lattices.clear()

    def restore_others(self, volumes: Sequence[Volume], grids: Sequence[Grid]) -> list[np.ndarray]:
        """What the network of one scan makes of other scans like it, thick along axis k; float32, a grid's shape each."""
        (own,) = self.targets
        found = []
        for volume, grid in zip(volumes, grids):
            made = GuidedRepresentation([volume], [own.scan.profile], self._settings, device=self._device)
            made.network, made.threads = self.network, self.threads
            made.targets[0].noise = own.noise
            made.agree_with_samples()
            found.append(made.evaluate(grid, [0])[0])
        return found

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
        scan, noise, volume = self._bases[channel], self._noises[channel], target.scan.volume
        gains = self._gains[channel]
        axes = axis_map(grid, volume.affine)
        if axes is not None:
            coordinates = [c for _, c in axes]
            outside = _any_along([is_outside(c, n) for c, n in zip(coordinates, volume.shape)])
            values = scan.on_axes(coordinates)
            if noise is not None:
                values += noise.on_axes(coordinates)
            if self._runs(target, coordinates) is None:
                values += self._residual_on_axes(target, coordinates, grid.spacing)
            else:
                kept = self._kept(target, coordinates)
                values += self._residual_on(target, coordinates) if kept is None else kept
            slices = coordinates[scan.thick].reshape([-1 if a == scan.thick else 1 for a in range(3)])
            order = np.argsort([source for source, _ in axes]).tolist()
            values, outside, slices = values.permute(*order), outside.transpose(order), slices.transpose(order)
        else:
            index = index_coordinates(volume, grid)
            outside = np.logical_or.reduce([is_outside(c, n) for c, n in zip(index, volume.shape)])
            values = scan.at(index) + self._interpolated_residual(target, index, grid.spacing)
            if noise is not None:
                values += noise.at(index)
            slices = index[scan.thick]
        low = volume.data.min()
        # the stencil may undershoot at the edge of the head; there is nothing below the background
        found = np.maximum(scan.scaling.invert(values.numpy()), low)
        if gains is not None:
            found = found * gains_at(slices, gains)
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

    @staticmethod
    def _phase(target: Target, grid: Grid) -> float:
        """Where in the stencil's step the planes of a grid lie, 0 to 1; 0 where it has planes at several places."""
        axes = axis_map(grid, target.scan.volume.affine)
        places = np.zeros(1) if axes is None else axes[target.scan.thick][1] / target.steps()[target.scan.thick]
        parts = np.mod(places, 1)
        return float(parts[0]) if np.allclose(np.mod(parts - parts[0] + 0.5, 1), 0.5, atol=1e-6) else 0.0

    def _kept(self, target: Target, coordinates: Sequence[np.ndarray]) -> Tensor | None:
        """r_c on a lattice that is part of the one on which the agreement was made; None where it is not."""
        if target.channel not in self._lattices:
            return None
        lattice, residual = self._lattices[target.channel]
        chosen = []
        for c, points in zip(coordinates, lattice):
            step = points[1] - points[0] if len(points) > 1 else 1.0
            n = np.rint((c - points[0]) / step).astype(int)
            if n.min() < 0 or n.max() >= len(points) or not np.allclose(points[n], c, rtol=0, atol=1e-6):
                return None
            chosen.append(n)
        return residual[np.ix_(*chosen)]

    def _residual_on_axes(self, target: Target, coordinates: list[np.ndarray], spacing: Sequence[float]) -> Tensor:
        """r_c on the lattice spanned by indices along the axes: from our own lattice, by a cubic spline along each axis."""
        ends = [np.array([c.min(), c.max()]) for c in coordinates]
        residual, scales, offsets = self._own_lattice(target, ends, spacing)
        for axis, c in enumerate(coordinates):
            weights = torch.from_numpy(weight_matrix(c / scales[axis] - offsets[axis], residual.shape[axis], 3))
            residual = torch.movedim(torch.tensordot(weights, residual, dims=([1], [axis])), 0, axis)
        return residual

    def _interpolated_residual(self, target: Target, index: np.ndarray, spacing: Sequence[float]) -> Tensor:
        """r_c at scattered indices: on our own lattice around them, and by a cubic spline from there."""
        residual, scales, offsets = self._own_lattice(target, index, spacing)
        shape = (3, *[1] * (index.ndim - 1))
        at = index / np.reshape(scales, shape) - np.reshape(offsets, shape)
        return torch.from_numpy(ndimage.map_coordinates(residual.numpy(), at, order=3, mode="nearest"))

    def _own_lattice(
        self, target: Target, index: Sequence[np.ndarray] | np.ndarray, spacing: Sequence[float]
    ) -> tuple[Tensor, list[float], list[int]]:
        """r_c on our own lattice around indices along each axis; its steps, and its first points in steps."""
        steps = target.steps()
        parts = [max(1, math.ceil(steps[axis] * target.spacing[axis] / min(spacing) / COARSER)) for axis in range(3)]
        lattice: list[np.ndarray] = []
        offsets: list[int] = []
        scales: list[float] = []
        for axis, c in enumerate(index):
            scale = steps[axis] / parts[axis]
            top = (target.scan.volume.shape[axis] - 1) / scale
            low = max(0, math.floor(max(c.min(), 0) / scale) - MARGIN)
            high = max(low, min(math.ceil(top), math.ceil(c.max() / scale) + MARGIN))
            lattice.append(scale * np.arange(low, high + 1))
            offsets.append(low)
            scales.append(scale)
        kept = self._kept(target, lattice)
        return self._residual_on(target, lattice) if kept is None else kept, scales, offsets

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
        if self._settings.still_air:
            residual *= target.patient_at(coordinates)
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
        arrays, places = pack_volumes(self._volumes)
        for name, tensor in self.network.state_dict().items():
            arrays[f"network.{name}"] = tensor.detach().cpu().contiguous().numpy()
        for n, base in enumerate(self._bases):
            arrays[f"base{n}"] = base.data.numpy()
        for n, noise in enumerate(self._noises):
            if noise is not None:
                arrays[f"noise{n}"] = noise.data.numpy()
        config = {
            "settings": dataclasses.asdict(self._settings),
            "profiles": [scan.profile.kind for scan in self._scans],
            "volumes": places,
            "gains": [None if gain is None else gain.tolist() for gain in self._gains],
        }
        return arrays, config

    @classmethod
    def from_state(
        cls, contrasts: Sequence[Contrast], arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> GuidedRepresentation:
        """See :class:`Representation`."""
        profiles = [SliceProfile(kind) for kind in config["profiles"]]
        volumes = unpack_volumes(arrays, config["volumes"])
        kind = SelfSupervisedSettings if "weights" in config["settings"] else GuidedSettings
        made = cls(volumes, profiles, kind(**config["settings"]), contrasts)
        weights = {
            k.removeprefix("network."): torch.from_numpy(v) for k, v in arrays.items() if k.startswith("network.")
        }
        made.network.load_state_dict(weights)
        made._gains = [None if gain is None else np.array(gain) for gain in config.get("gains", [None] * len(volumes))]
        made._noises = [
            plain(s, torch.from_numpy(arrays[f"noise{n}"])) if f"noise{n}" in arrays else None
            for n, s in enumerate(made._scans)
        ]
        made._bases = [s.with_data(torch.from_numpy(arrays[f"base{n}"])) for n, s in enumerate(made._scans)]
        return made


def _any_along(axes: Sequence[np.ndarray]) -> np.ndarray:
    """Where any of three per-axis conditions holds, bool, the shape they span."""
    i, j, k = axes
    return i[:, None, None] | j[:, None] | k
