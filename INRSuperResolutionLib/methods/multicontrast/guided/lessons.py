"""What a contrast is learned from: its sharp planes, its guides, and the network's inputs on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ....image.interpolate import axis_map, basis_matrix
from ...scan import Average, Scan, turned_to
from ..settings import GuidedSettings
from .thinning import Cutting, noise_of

PHASES = 3  # cos φ, sin φ, cos 2φ of the position within a slice
AROUND = 5  # pixels around the foreground that still belong to the patient
PLANES = 3  # a guide is seen on the plane itself and on its two neighbours
TOLD = 4  # step of the stencil, thickness, profile, and noise; see thinning.Cutting.told
# input channels of a network that is trained ahead, and of one contrast alone
CHANNELS_ALONE = 1 + PHASES + TOLD


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

    def __init__(self, scans: Sequence[Scan], channel: int, settings: GuidedSettings) -> None:
        self.channel, self.scan = channel, scans[channel]
        self.told = TOLD if settings.told else 0
        self.guides = [scan for n, scan in enumerate(scans) if n != channel]
        scan, thick = self.scan, self.scan.thick
        self.spacing = scan.volume.spacing
        self.links = [self._link(guide) for guide in self.guides]
        # a guide that is thick along the teaching axis cannot help there: take the lessons that keep most guides
        planes = [axis for axis in range(3) if axis != thick]
        lessons = [Lesson(t, o, tuple(link.axis != t for link in self.links)) for t, o in (planes, reversed(planes))]
        lessons = [one for one in lessons if scan.volume.shape[one.other] > 1] or lessons
        most = max(sum(lesson.usable) for lesson in lessons)
        self.lessons = [lesson for lesson in lessons if sum(lesson.usable) == most]
        # the stencil's step is a pixel, or several when pixels are so fine that it would not reach across the slices
        reach = self.spacing[thick] / settings.steps_per_slice
        self.stride = {axis: max(1, round(reach / self.spacing[axis])) for axis in planes}
        self.views = [self.along_our_axes(guide) for guide in self.guides]

    @property
    def channels(self) -> int:
        """Input channels of the network: the target and its phase; each guide on its planes and its phase."""
        return 1 + PHASES + self.told + len(self.guides) * (PLANES + PHASES)

    def sines(self, axis: int) -> list[int]:
        """Input channels that hold the sine of a phase along `axis`: mirroring the axis changes their sign."""
        axes = [self.scan.thick, *(link.axis for link in self.links)]
        before = 1 + PHASES + self.told
        first = [1, *(before + n * (PLANES + PHASES) + PLANES for n in range(len(self.links)))]
        return [channel + 1 for channel, along in zip(first, axes) if along == axis]

    @cached_property
    def noise(self) -> float:
        """Standard deviation of the noise in the plane of the slices, in normalised intensities."""
        slices = np.moveaxis(self.scan.data.numpy(), self.scan.thick, 0)
        return noise_of(slices, np.moveaxis(self.scan.foreground.numpy(), self.scan.thick, 0))

    @cached_property
    def _patient(self) -> Tensor:
        """Foreground and what lies around it, float32, shape of the volume."""
        size = [3 if axis == self.scan.thick else 2 * AROUND + 1 for axis in range(3)]
        return torch.from_numpy(ndimage.maximum_filter(self.scan.foreground.numpy(), size).astype(np.float32))

    def patient_at(self, coordinates: Sequence[np.ndarray]) -> Tensor:
        """1 in the patient and near it, 0 in the air, linearly between, on the lattice spanned by indices, float32."""
        values = self._patient
        for axis, c in enumerate(coordinates):
            weights = torch.from_numpy(basis_matrix(c, values.shape[axis], 1).astype(np.float32))
            values = torch.movedim(torch.tensordot(weights, values, dims=([1], [axis])), 0, axis)
        return values

    def told_of(self, lesson: Lesson) -> list[Tensor]:
        """What the network is told besides, as channels of one value each; none where it is not told."""
        if not self.told:
            return []
        cutting = Cutting(self.scan.profile, self.scan.width)
        return [cutting.told(self.step_across(lesson), self.noise).reshape(1, TOLD, 1, 1)]

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
        to_guide, sources, along = _in_guide(guide, frame, coordinates)
        if average is not None:
            row = sources.index(average.axis)
            average = Average(row, to_guide[row, average.axis] * average.offsets, average.weights)
        return guide.on_axes(along, average).permute(*np.argsort(sources).tolist())

    @staticmethod
    def known_on(guide: Scan, frame: np.ndarray, coordinates: list[np.ndarray]) -> Tensor:
        """1 where a guide shows something, 0 beyond its field of view; the lattice of :meth:`guide_on`, float32."""
        _, sources, along = _in_guide(guide, frame, coordinates)
        inside = [(a >= -0.5 - 1e-6) & (a <= n - 0.5 + 1e-6) for a, n in zip(along, guide.volume.shape)]
        known = np.multiply.outer(np.multiply.outer(inside[0], inside[1]), inside[2])
        if guide.known is not None:
            nearest = [np.clip(np.rint(a).astype(int), 0, n - 1) for a, n in zip(along, guide.volume.shape)]
            known &= guide.known[np.ix_(*nearest)]
        return torch.from_numpy(known.astype(np.float32)).permute(*np.argsort(sources).tolist())

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
        channels += self.told_of(lesson)
        for link, guide, use in zip(self.links, self.views, usable):
            if not use:
                channels.append(torch.zeros(1, PLANES + PHASES, 1, 1))
                continue
            frame = self.scan.volume.affine
            phases = along(phase(link.scale * coordinates[link.axis] + link.offset), link.axis)
            known = self.known_on(guide, frame, coordinates)
            for side in (-1, 0, 1):
                beside = list(coordinates)
                beside[teaching] = coordinates[teaching] + side * self.stride[teaching]
                channels.append(planes(self.guide_on(guide, frame, beside)))
            channels.append(phases)
            if not known.all():  # beyond its field of view a guide is as one that is not there
                channels[-PLANES - 1 :] = [channel * planes(known) for channel in channels[-PLANES - 1 :]]
        return channels


def _in_guide(
    guide: Scan, frame: np.ndarray, coordinates: Sequence[np.ndarray]
) -> tuple[np.ndarray, list[int], list[np.ndarray]]:
    """Indices of `frame` → of a guide: the map (4 × 4), the axis of `frame` for each of the guide's, and the indices."""
    to_guide = np.linalg.inv(guide.volume.affine) @ frame
    sources = [int(np.argmax(np.abs(to_guide[row, :3]))) for row in range(3)]
    return to_guide, sources, [to_guide[row, c] * coordinates[c] + to_guide[row, 3] for row, c in enumerate(sources)]
