"""Training examples from a scan itself: its own slices, cut into thick slices along a sharp axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ....acquisition.forward_model import SliceProfile
from ...scan import Average, Scan
from ..settings import GuidedSettings
from .lessons import PHASES, PLANES, Target, phase
from .thinning import Cutting, Line, with_noise

Taps = tuple[np.ndarray, np.ndarray]

# slices with less foreground than this part of the largest one teach nothing
SMALLEST_SLICE = 0.15
# a guide that misses no more than this part of the patient is taken to show all of it
COUNTS = 0.02
# what a pixel outside the foreground counts in the loss: enough to keep the air dark
BACKGROUND_WEIGHT = 0.1


class School:
    """Makes training examples for one target from its own slices."""

    def __init__(
        self, target: Target, foreground: Tensor, settings: GuidedSettings, left_out: Sequence[int] = ()
    ) -> None:
        self.target, self.settings = target, settings
        kind = target.scan.profile.kind
        other = SliceProfile({"boxcar": "gaussian", "gaussian": "boxcar"}.get(kind, kind))
        self.taps = target.scan.taps(), Cutting(other, target.scan.width).taps()
        thick = target.scan.thick
        self.slices = torch.movedim(target.scan.data, thick, 0).contiguous()
        self.foreground = torch.movedim(foreground, thick, 0).contiguous()
        index = [np.arange(n, dtype=np.float64) for n in target.scan.volume.shape]
        step = target.step_across(target.lessons[0])
        self.guides, self.known, self.partial = [], [], []
        for guide in target.views:
            sides = []
            for side in (-1, 0, 1):
                # averaged across the slice as the target is: the images must show the same anatomy
                across = Average(thick, *target.scan.taps())
                beside = list(index)
                beside[thick] = index[thick] + side * step
                seen = target.guide_on(guide, target.scan.volume.affine, beside, across)
                sides.append(torch.movedim(seen, thick, 0).contiguous())
            known = target.known_on(guide, target.scan.volume.affine, index)
            self.known.append(torch.movedim(known, thick, 0).contiguous())
            self.partial.append(float((1 - known)[foreground > 0].mean()) > COUNTS)
            self.guides.append(torch.stack(sides, dim=1))  # slice, side, two axes in plane
        area = self.foreground.flatten(1).sum(1).numpy()
        useful = np.flatnonzero(area > SMALLEST_SLICE * area.max())
        kept = np.setdiff1d(useful, left_out)
        self.useful = kept if len(kept) else useful
        self.boxes = {
            int(k): [(int(i.min()), int(i.max()) + 1) for i in np.nonzero(self.foreground[k].numpy())]
            for k in self.useful
        }

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

        line = Line(start, step, truth.shape[0])
        ends = (-math.inf, math.inf)
        if (
            rng.random() < self.settings.stack_ends
        ):  # beyond their last centre, slices show less: that is to be learned too
            ends = line.ending_within(rows[radius : radius + size], rng)
        taps = self.taps[int(rng.random() < self.settings.doubt)]

        def thinned(
            stack: Scan, line: Line, image: Tensor, ends: tuple[float, float], taps: Taps, noise: float
        ) -> Tensor:
            """The image as it looks when a scan cuts it into its slices and its spline joins them again."""
            centres = line.slices(ends)
            cut = line.cut(centres, taps)
            slices = with_noise(cut @ image, cut, noise, rng)
            return line.join(centres, rows, stack.solve(len(centres), True)) @ slices

        seen = thinned(scan, line, truth[:, clipped[1]], ends, taps, target.noise)
        channels = [seen[None], down(phase(start + step * rows))]
        channels += [told[0].expand(-1, len(rows), len(columns)) for told in target.told_of(target.lessons[0])]
        for link, guide, sides, known, partial, use in zip(
            target.links, target.guides, self.guides, self.known, self.partial, usable
        ):
            if not use:
                channels.append(torch.zeros(PLANES + PHASES, len(rows), len(columns)))
                continue
            planes = turned(sides[k])[:, :, clipped[1]]
            if flips[2]:
                planes = planes.flip(0)
            if link.axis == scan.thick:  # the guide misses the same axis: thin it too, at its place
                seen_by_guide = Line(link.scale * start + link.offset, link.scale * step, truth.shape[0])
                its_ends = (link.scale * ends[0] + link.offset, link.scale * ends[1] + link.offset)
                channels.append(thinned(guide, seen_by_guide, planes, its_ends, guide.taps(), 0.0))
                channels.append(down(phase(link.scale * (start + step * rows) + link.offset)))
            else:
                channels.append(planes[:, clipped[0]])
                across = -1 if flips[1] else 1  # mirrored columns run through the guide's slices backwards
                phases = phase(across * (link.scale * columns + link.offset))
                channels.append(phases[:, None].expand(-1, len(rows), -1))
            if not known.all():
                there = turned(known[k])[clipped[0]][:, clipped[1]]
                if partial:  # it ends within the patient: that may be anywhere
                    there = there * self._field_of_view(len(rows), len(columns), rng)
                channels[-2:] = [channel * there for channel in channels[-2:]]
        x = torch.cat(channels)
        inner = slice(radius, radius + size)
        r, c = clipped[0][inner], clipped[1][inner]
        wanted = truth[r][:, c] - seen[inner, inner]
        real = [torch.from_numpy((w[inner] >= 0) & (w[inner] < n)) for w, n in zip(windows, truth.shape)]
        centres = line.slices(ends)
        at = start + step * rows[inner]
        covered = torch.from_numpy((at >= centres[0] - 0.5) & (at <= centres[-1] + 0.5))
        weight = torch.where(inside[r][:, c], 1.0, BACKGROUND_WEIGHT) * ((real[0] & covered)[:, None] & real[1])
        turn = [axis - 2 for axis in (0, 1) if flips[axis]]
        return x.flip(turn), wanted.flip(turn), weight.flip(turn)

    def _field_of_view(self, rows: int, columns: int, rng: np.random.Generator) -> Tensor:
        """1 where a guide shows something: all, or at times up to a line across, as its field of view may end anywhere."""
        there = torch.ones(rows, columns)
        if rng.random() < self.settings.guide_ends:
            along = int(rng.random() < 0.5)
            place = int(rng.integers(1, there.shape[along]))
            beyond = slice(place, None) if rng.random() < 0.5 else slice(None, place)
            there.movedim(along, 0)[beyond] = 0
        return there
