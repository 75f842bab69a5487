"""Any plane of a volume of explicit functions, drawn at interactive speed.

Planes differ in how much their points share. In the plane of the slices, the functions of both
neighbouring slices are blended first and drawn once. A plane that holds one axis of the slices (every
sagittal or coronal view of axial slices, and any tilt about that axis) is separable: along the other axis the
sums are taken once for each line. Any other plane is read from tables (:mod:`tiles`). All give the values of
the volume's function, which is a cubic spline plus explicit functions that are blended between slices.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .plane import Plane
from .raster import REACH, Basis, Lines, functions, knots, locate, rasterise

if TYPE_CHECKING:
    from .tiles import SliceData, Tiles

# spline images of slices that are kept
KEPT_SLICES = 24
# beyond the outermost voxels' centres by more than a voxel there is no data, as :mod:`interpolate` has it
MARGIN = 1.0


class VolumeFunction:
    """The function of a volume whose slices are explicit functions.

    Parameters
    ----------
    spline
        Coefficients of the cubic spline through the volume (mirrored ends), (i, j, k); may be mapped from a file.
    axis
        Across the slices.
    code_of
        Coefficients of a slice's functions, (patches, m, patches, k), any float type; None if there are none (yet).
    basis
        Their functions.
    spread
        What one unit of the explicit functions is in the intensities of the volume.
    lowest
        Nothing is darker than this, and this is outside.
    padding
        Pixels around a slice when it was encoded.
    """

    def __init__(
        self,
        spline: np.ndarray,
        axis: int,
        code_of: Callable[[int], Tensor | None],
        basis: Basis,
        spread: float,
        lowest: float,
        padding: int,
    ) -> None:
        self.spline, self.axis, self.lowest = spline, axis, lowest
        self.plane = [a for a in range(3) if a != axis]
        self._code_of, self._basis, self._spread, self._padding = code_of, basis, spread, padding
        self.shape = spline.shape
        self._patches = [-(-(self.shape[a] + 2 * padding) // basis.patch) for a in self.plane]
        self._kept: OrderedDict[int, SliceData] = OrderedDict()
        self._last: tuple[tuple[int, float], Tensor | None, Tensor] | None = None
        """Of the last plane between slices: its place, the blended code of the whole slice and its spline."""
        self._tiles: Tiles | None = None

    @property
    def slices(self) -> int:
        """Number of slices."""
        return int(self.shape[self.axis])

    def slices_of(self, plane: Plane) -> range:
        """The slices whose functions a plane needs."""
        low, high = plane.range(self.axis, self.slices)
        return range(int(np.floor(low)), min(int(np.floor(high)) + 2 if high % 1 else int(high) + 1, self.slices))

    @torch.inference_mode()
    def forget(self, number: int) -> None:
        """The code of a slice has come, or changed."""
        for n in (number - 1, number, number + 1):
            self._kept.pop(n, None)
        self._last = None
        if self._tiles is not None:
            self._tiles.forget(number)

    @torch.inference_mode()
    def draw(self, plane: Plane) -> np.ndarray:
        """Values on a plane; float32, of its shape."""
        rows, columns = self.box(plane)
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return np.full(plane.shape, self.lowest, np.float32)
        values = self._draw(plane.crop(rows, columns))
        values = np.maximum(values, np.float32(self.lowest), out=values)
        if values.shape == plane.shape:
            return values
        around = [(part.start, n - part.stop) for part, n in zip((rows, columns), plane.shape)]
        return np.pad(values, around, constant_values=self.lowest)

    def box(self, plane: Plane) -> tuple[slice, slice]:
        """The rows and columns of a plane that may meet the volume."""
        whole = [slice(0, n) for n in plane.shape]
        for axis, size in enumerate(self.shape):
            depends = plane.depends(axis)
            low, high = -MARGIN - 1e-6, size - 1 + MARGIN + 1e-6
            rows, columns = plane.along(axis)
            for own, index in ((0, rows + columns[0]), (1, rows[0] + columns)):
                if depends[own] and not depends[1 - own]:
                    inside = np.flatnonzero((index >= low) & (index <= high))
                    start, stop = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
                    whole[own] = slice(max(whole[own].start, start), min(whole[own].stop, stop))
            if not any(depends) and not low <= rows[0] + columns[0] <= high:
                return slice(0, 0), slice(0, 0)
        return whole[0], whole[1]

    def _draw(self, plane: Plane) -> np.ndarray:
        depends = [plane.depends(axis) for axis in self.plane]
        is_flat = not any(plane.depends(self.axis))
        if is_flat and depends in ([(True, False), (False, True)], [(False, True), (True, False)]):
            return self._flat(plane) if depends[0][0] else self._flat(plane.turned()).T
        axis = self._shared_axis(plane)
        if axis is not None:
            runs_down = plane.depends(axis)[0]
            values = self._tilted(plane.turned(), axis).T if runs_down else self._tilted(plane, axis)
        else:
            values = self._oblique(plane)
        return self._without_outside(values, plane)

    def _shared_axis(self, plane: Plane) -> int | None:
        """An axis of the slices that one of the plane's axes runs along, and the other not at all; None if there is none."""
        for axis in self.plane:
            others = [plane.depends(other) for other in range(3) if other != axis]
            for own in (0, 1):
                if plane.depends(axis) == (own == 0, own == 1) and not any(o[own] for o in others):
                    return axis
        return None

    def _within(self, indices: np.ndarray, axis: int) -> np.ndarray:
        return np.clip(indices, 0, self.shape[axis] - 1)

    def _without_outside(self, values: np.ndarray, plane: Plane) -> np.ndarray:
        # a row enters and leaves the volume once
        first, end = np.zeros(plane.shape[0], int), np.full(plane.shape[0], plane.shape[1])
        for axis, size in enumerate(self.shape):
            rows, columns = plane.along(axis)
            low, high = -MARGIN - 1e-6 - rows, size - 1 + MARGIN + 1e-6 - rows
            if plane.across[axis] < 0:
                low, high, columns = -high, -low, -columns
            first = np.maximum(first, np.searchsorted(columns, low))
            end = np.minimum(end, np.searchsorted(columns, high, "right"))
        for r in np.flatnonzero((first > 0) | (end < plane.shape[1])):
            values[r, : first[r]] = self.lowest
            values[r, max(end[r], first[r]) :] = self.lowest
        return values

    # ---- in the plane of the slices ------------------------------------------------------------

    def _flat(self, plane: Plane) -> np.ndarray:
        """Rows along the first axis of the slices, columns along the second."""
        height = float(self._within(plane.first[[self.axis]], self.axis)[0])
        n = min(int(height), max(self.slices - 2, 0))
        w = height - n
        rows = self._within(plane.along(self.plane[0])[0], self.plane[0]) + self._padding
        start, columns = plane.along(self.plane[1])
        columns = self._within(start[0] + columns, self.plane[1]) + self._padding
        lines = [torch.from_numpy(np.ascontiguousarray(p)) for p in (rows, columns)]
        seen = [
            slice(int(i.min()), int(i.max()) + 1)
            for i in (locate(x, self._basis.patch, c)[0] for x, c in zip(lines, self._patches))
        ]
        blended, image = self._between(n, w, seen)
        # the knots beside these patches only
        a = self._basis.patch
        image = image[
            a * seen[0].start : a * seen[0].stop + 2 * REACH, a * seen[1].start : a * seen[1].stop + 2 * REACH
        ]
        starts = [line - a * s.start for line, s in zip(lines, seen)]
        return rasterise(blended, self._basis, starts[0], starts[1], image).numpy()

    def _between(self, n: int, w: float, seen: list[slice]) -> tuple[Tensor, Tensor]:
        """The blended code of the patches that are seen at w between slices n and n + 1, and the spline of all.

        A view that zooms and pans stays there: the second time, the code of all patches is kept.
        """
        if self._last is None or self._last[0] != (n, w):
            self._last = ((n, w), None, self._padded(self._across(n, w)))
            return self._blended(n, w, seen), self._last[2]
        place, whole, image = self._last
        if whole is None:
            whole = self._blended(n, w, [slice(0, count) for count in self._patches])
            self._last = (place, whole, image)
        return whole[seen[0], :, seen[1]], image

    def _blended(self, n: int, w: float, seen: list[slice]) -> Tensor:
        m, k = 2 * len(self._basis.rows) + 1, 2 * len(self._basis.columns) + 1
        blended = torch.zeros(seen[0].stop - seen[0].start, m, seen[1].stop - seen[1].start, k)
        for number, weight in ((n, 1 - w), (n + 1, w)):
            code = self._code_of(number) if weight > 0 else None
            if code is not None:
                blended += (weight * self._spread) * code[seen[0], :, seen[1]].float()
        return blended

    def _across(self, n: int, w: float) -> np.ndarray:
        """In-plane spline coefficients at w between slices n and n + 1; float32, (rows, columns)."""
        weights = {-1: (1 - w) ** 3 / 6, 0: 2 / 3 - w**2 + w**3 / 2, 2: w**3 / 6}
        weights[1] = 1 - sum(weights.values())
        total = np.zeros([self.shape[a] for a in self.plane], np.float32)
        for offset, weight in weights.items():
            if abs(weight) > 1e-9:
                total += np.float32(weight) * self._layer(n + offset)
        return total

    def _layer(self, number: int) -> np.ndarray:
        """Spline coefficients of a slice, mirrored at the ends."""
        last = self.slices - 1
        number = abs(number)
        number = 2 * last - number if number > last else number
        return np.take(self.spline, int(np.clip(number, 0, last)), axis=self.axis)

    def _padded(self, image: np.ndarray) -> Tensor:
        """Spline coefficients in the patches' pixels, with REACH more around them."""
        p, a = self._padding, self._basis.patch
        margins = [(p + REACH, a * n - p - size + REACH) for n, size in zip(self._patches, image.shape)]
        # numpy's reflect is scipy's mirror; a single row or column has nothing to reflect
        mode = "reflect" if min(image.shape) > 1 else "edge"
        return torch.from_numpy(np.pad(image, margins, mode=mode))  # type: ignore[call-overload]

    # ---- planes that hold an axis of the slices ------------------------------------------------

    def _tilted(self, plane: Plane, axis: int) -> np.ndarray:
        """Columns along `axis`; what a row is at along the other two is the same for all of its columns."""
        own = self.plane.index(axis)
        other = self.plane[1 - own]
        start, columns = plane.along(axis)
        columns = self._within(start[0] + columns, axis) + self._padding
        beside = self._within(plane.along(other)[0], other) + self._padding
        height = self._within(plane.along(self.axis)[0], self.axis)
        n = np.minimum(np.floor(height).astype(int), max(self.slices - 2, 0))
        w = height - n
        lines = Lines.of(torch.from_numpy(np.ascontiguousarray(columns)), self._basis.patch, self._patches[own])
        coefficients = self._line_functions(own, lines, beside, n, w)
        splines = self._line_splines(own, lines, beside - self._padding, n, w)
        frequencies = (self._basis.rows, self._basis.columns)[own]
        basis = torch.cat([functions(frequencies, lines.offsets), knots(lines.offsets, self._basis.patch)], -1)
        size = self._basis.patch + 2 * REACH
        around = splines.unfold(1, size, self._basis.patch)
        values = torch.bmm(basis, torch.cat([coefficients, around], -1).permute(1, 2, 0)).flatten(0, 1)
        return (values if lines.order is None else values[lines.order]).t().contiguous().numpy()

    def _line_functions(self, own: int, lines: Lines, beside: np.ndarray, n: np.ndarray, w: np.ndarray) -> Tensor:
        """For each row the coefficients of its functions of the column, (rows, patches, m)."""
        frequencies = (self._basis.columns, self._basis.rows)[own]
        m = 2 * len((self._basis.rows, self._basis.columns)[own]) + 1
        found = torch.zeros(len(beside), lines.last - lines.first, m)
        patch, offset = locate(torch.from_numpy(beside), self._basis.patch, self._patches[1 - own])
        values = functions(frequencies, offset.float()) * self._spread
        for number in np.unique(np.concatenate([n, n[w > 0] + 1])):
            code = self._code_of(int(number))
            if code is None:
                continue
            # rows at this slice's height or within one slice of it
            weight = np.where(n == number, 1 - w, np.where(n + 1 == number, w, 0)).astype(np.float32)
            rows = np.nonzero(weight)[0]
            places = torch.from_numpy(rows)
            first = code[lines.first : lines.last] if own == 0 else code[:, :, lines.first : lines.last]
            for which in patch[places].unique().tolist():
                some = places[patch[places] == which]
                part = first[:, :, which] if own == 0 else first[which].permute(1, 2, 0)
                part = part.float()  # (patches, m, functions of the row's position)
                one = values[some] * torch.from_numpy(weight)[some, None]
                found[some] += (part @ one.t()).permute(2, 0, 1)
        return found

    def _line_splines(self, own: int, lines: Lines, beside: np.ndarray, n: np.ndarray, w: np.ndarray) -> Tensor:
        """For each row the spline coefficients along it, (rows, knots of the patches in sight)."""
        coefficients = np.moveaxis(self.spline, (self.axis, self.plane[1 - own], self.plane[own]), (0, 1, 2))
        sizes = coefficients.shape
        lower = np.minimum(np.floor(beside).astype(int), max(sizes[1] - 2, 0))
        t = beside - lower
        a = self._basis.patch
        p = self._padding
        knots_seen = np.arange(a * lines.first - p - REACH, a * lines.last - p + REACH)
        total = np.zeros((len(beside), len(knots_seen)), np.float32)
        columns = _mirrored(knots_seen, sizes[2])
        for dz, wz in enumerate(_weights(w)):
            for dy, wy in enumerate(_weights(t)):
                weight = (wz * wy).astype(np.float32)
                rows = coefficients[_mirrored(n + dz - 1, sizes[0]), _mirrored(lower + dy - 1, sizes[1])]
                total += weight[:, None] * rows[:, columns]
        return torch.from_numpy(total)

    # ---- any plane -----------------------------------------------------------------------------

    def _oblique(self, plane: Plane) -> np.ndarray:
        if self._tiles is None:
            from .tiles import Tiles  # here, as numba takes a while to load

            patches = (self._patches[0], self._patches[1])
            self._tiles = Tiles(self.slices, patches, self._basis, self._slice_data, self._spread)
        # rows and columns in patches, with whole numbers at their borders
        order = [*self.plane, self.axis]
        unit = np.array([self._basis.patch, self._basis.patch, 1])
        start = np.array([self._padding + 0.5, self._padding + 0.5, 0])
        first, down, across = (v[order] for v in (plane.first, plane.down, plane.across))
        inside = Plane((first + start) / unit, down / unit, across / unit, plane.shape)
        return self._tiles.read(inside, start / unit, (np.array(self.shape)[order] - 1 + start) / unit).numpy()

    def _slice_data(self, number: int) -> SliceData:
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        from .tiles import SliceData

        below, own, above = (self._layer(number + d) for d in (-1, 0, 1))
        value, bend = (below + 4 * own + above) / 6, below - 2 * own + above
        made = SliceData(self._code_of(number), self._padded(value), self._padded(bend))
        self._kept[number] = made
        while len(self._kept) > KEPT_SLICES:
            self._kept.popitem(last=False)
        return made


def _weights(t: np.ndarray) -> list[np.ndarray]:
    """Cubic B-splines at t beyond the second of four knots."""
    return [(1 - t) ** 3 / 6, 2 / 3 - t**2 + t**3 / 2, 2 / 3 - (1 - t) ** 2 + (1 - t) ** 3 / 2, t**3 / 6]


def _mirrored(indices: np.ndarray, size: int) -> np.ndarray:
    """Indices mirrored about the first and the last one, as often as needed."""
    if size == 1:
        return np.zeros_like(indices)
    period = 2 * (size - 1)
    indices = np.abs(indices) % period
    return np.where(indices > size - 1, period - indices, indices)
