"""Tables of an explicit function, from which scattered points are read quickly.

An oblique plane meets every patch at points of its own, where summing 2 · 169 products for each is too slow.
So the function in one patch between two neighbouring slices, a *tile*, is turned into coefficients of cubic
B-splines, once, and points are read from these: by what numba compiled (:mod:`compiled`), or, where it is not
installed, with PyTorch's bilinear look-ups (a cubic spline is four of them; Sigg and Hadwiger, GPU Gems 2, chapter
20). With the knots this close the error is below 1e-4 of the image's range.

With slices n and n + 1, and w from 0 to 1 between them, a volume's function is

    f = (1 − w) F_n + w F_{n+1} − ((1 − w) − (1 − w)³) / 6 · M_n − (w − w³) / 6 · M_{n+1},

where F_n is the whole function of slice n (explicit function and spline) and M_n the second derivative of the
spline across the slices: the spline is cubic across them, the explicit functions are blended. F and M are
tables of their own; M has its knots at the pixels, where it is exact.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from .raster import REACH, Basis, functions

if TYPE_CHECKING:
    from .plane import Plane
try:
    from . import compiled
except (ImportError, RuntimeError):  # no numba, or no folder where it may keep what it compiled
    compiled = None  # type: ignore[assignment]

# knots to a pixel
FINER = 10
# tiles that are kept, about 4 kB each for patches of 2 × 2 pixels
MOST_TILES = 60_000
FIRST_TILES = 2_000
# tiles in a row of the atlas; numba's look-ups want each tile in one piece, PyTorch's want short columns of tiles
TILES_ACROSS = 1 if compiled else 64
# points at once: by PyTorch so many that their intermediate values stay in the processor's cache, by numba so many that
# no more tiles than are kept are needed
POINTS_AT_ONCE = 1 << 20 if compiled else 1 << 16


class SliceData:
    """What tiles of one slice are made of.

    Parameters
    ----------
    code
        Coefficients, (patches, m, patches, k), in the unit of the image; None where the slice has none (yet).
    value, bend
        Cubic spline coefficients of the slice, and of the second derivative across the slices there,
        (rows, columns) of the patches' pixels with :data:`REACH` more at every edge.
    """

    def __init__(self, code: Tensor | None, value: Tensor, bend: Tensor) -> None:
        self.code, self.value, self.bend = code, value, bend


class Tiles:
    """The tables of a volume's tiles, made when they are first read.

    Parameters
    ----------
    slices
        Number of slices.
    patches
        Numbers of patches along rows and columns.
    basis
        Their functions.
    slice_data
        Gives what tiles of a slice are made of.
    scale
        What one unit of the coefficients is in the image.
    """

    def __init__(
        self,
        slices: int,
        patches: tuple[int, int],
        basis: Basis,
        slice_data: Callable[[int], SliceData],
        scale: float,
    ) -> None:
        self._slices, self._patches, self._basis = slices, patches, basis
        self._slice_data, self._scale = slice_data, scale
        self._slabs = max(slices - 1, 1)
        self._slots = torch.full((self._slabs * patches[0] * patches[1],), -1, dtype=torch.int32)
        self._side = (FINER * basis.patch + 3, basis.patch + 2 * REACH)
        self._down, self._across = (_to_knots(f, basis.patch) for f in (basis.rows, basis.columns))
        self._atlases: list[Tensor] = []
        self._used = 0
        self._threads = ThreadPoolExecutor(thread_name_prefix="tiles")

    def forget(self, number: int) -> None:
        """A slice has other data now."""
        slots = self._slots.view(self._slabs, -1)
        slots[max(number - 1, 0) : number + 1] = -1

    def read(self, plane: Plane, lowest: np.ndarray, highest: np.ndarray) -> Tensor:
        """Values on a plane.

        Parameters
        ----------
        plane
            Its positions (row, column, slice): rows and columns in patches, with whole numbers at their borders.
        lowest, highest
            (3,): positions beyond are moved to these, which lie within the patches and slices.

        Returns
        -------
        float32, of the plane's shape.
        """
        values = torch.empty(plane.shape, dtype=torch.float32)
        step = max(1, POINTS_AT_ONCE // plane.shape[1])
        for start in range(0, plane.shape[0], step):
            rows = range(start, min(start + step, plane.shape[0]))
            if compiled is None:
                positions = (
                    torch.from_numpy(plane.first[n] + plane.down[n] * np.array(rows))[:, None]
                    + torch.from_numpy(plane.across[n] * np.arange(plane.shape[1]))
                    for n in range(3)
                )
                inside = (x.clamp_(*ends).view(-1) for x, *ends in zip(positions, lowest, highest))
                self._read(*inside, values[start : rows.stop].view(-1))
            elif self._read_compiled(plane, lowest, highest, rows, values):
                # to make room, tiles of these points were forgotten, too: make all of them at once
                self._slots.fill_(-1)
                self._read_compiled(plane, lowest, highest, rows, values)
        return values

    def _read_compiled(self, plane: Plane, lowest: np.ndarray, highest: np.ndarray, rows: range, values: Tensor) -> int:
        """Values of some rows; makes their missing tiles, and returns how many points still lack theirs."""
        self._make_room(1)
        patch = self._basis.patch
        slots = self._slots.view(self._slabs, *self._patches).numpy()
        missing = np.zeros(slots.shape, bool)
        edges = np.linspace(rows.start, rows.stop, torch.get_num_threads() + 1).astype(int).tolist()
        knots = (float(FINER * patch), float(patch), REACH - 1.5)
        vectors = [tuple(v.tolist()) for v in (plane.first, plane.down, plane.across, lowest, highest)]

        def lacking() -> int:
            atlases = [a.permute(0, 2, 3, 1).reshape(-1).numpy() for a in self._atlases]

            def read(part: tuple[int, int]) -> int:
                arguments = (*atlases, self._side, knots, slots, *vectors, part, values.numpy(), missing)
                return compiled.read(*arguments)

            return sum(self._threads.map(read, itertools.pairwise(edges)))

        if not lacking():
            return 0
        self._make(torch.from_numpy(np.flatnonzero(missing)))
        return lacking()

    def _read(self, rows: Tensor, columns: Tensor, across: Tensor, out: Tensor) -> None:
        p, q, n = torch.floor(rows), torch.floor(columns), torch.floor(across)
        p.clamp_(0, self._patches[0] - 1)
        q.clamp_(0, self._patches[1] - 1)
        n.clamp_(0, self._slabs - 1)
        key = torch.add(q, torch.add(p, n, alpha=self._patches[0]), alpha=self._patches[1]).int()
        slot = self._slots_of(key)
        y, x, w = (rows - p).float(), (columns - q).float(), (across - n).float()
        top = torch.div(slot, TILES_ACROSS, rounding_mode="floor")
        left = (slot - top * TILES_ACROSS).float()
        top = top.float()
        patch = self._basis.patch
        fine = spline_of(self._atlases[0], (y * (FINER * patch)).add_(1), (x * (FINER * patch)).add_(1), top, left)
        coarse = spline_of(
            self._atlases[1],
            (y * patch).add_(REACH - 0.5),
            (x * patch).add_(REACH - 0.5),
            top,
            left,
        )
        v = 1 - w
        torch.mul(v, fine[0], out=out)
        out.addcmul_(w, fine[1])
        # (v − v³) M_n + (w − w³) M_{n+1} = v w ((1 + v) M_n + (1 + w) M_{n+1})
        both = torch.addcmul((v + 1).mul_(coarse[0]), w + 1, coarse[1])
        out.addcmul_(v.mul_(w), both, value=-1 / 6)

    def _slots_of(self, key: Tensor) -> Tensor:
        slot = self._slots.index_select(0, key)
        if int(slot.min()) < 0:
            self._make(torch.unique(key[slot < 0]).long())
            slot = self._slots.index_select(0, key)
            if int(slot.min()) < 0:  # to make room, tiles of these points were forgotten, too
                self._make(torch.unique(key).long())
                slot = self._slots.index_select(0, key)
        return slot

    def _make(self, keys: Tensor) -> None:
        if self._used + len(keys) > MOST_TILES:
            self._slots.fill_(-1)
            self._used = 0
            # points that are read together have at most this many tiles
        self._make_room(self._used + len(keys))
        per_slab = self._patches[0] * self._patches[1]
        slab, place = keys // per_slab, keys % per_slab
        p, q = place // self._patches[1], place % self._patches[1]
        slots = torch.arange(self._used, self._used + len(keys))
        for n, count in zip(*(t.tolist() for t in torch.unique_consecutive(slab, return_counts=True))):
            start = int(torch.searchsorted(slab, n))
            some = slice(start, start + count)
            for channel in (0, 1):
                data = self._slice_data(min(n + channel, self._slices - 1))
                for atlas, tables in zip(self._atlases, self._tables(data, p[some], q[some])):
                    _place(atlas, channel, slots[some], tables)
        self._slots[keys] = slots.int()
        self._used += len(keys)

    def _tables(self, data: SliceData, p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        """Tables of F and M in some patches of a slice; (patches, side, side)."""
        patch, m = self._basis.patch, self._down[0].shape[1]
        size = patch + 2 * REACH
        value, bend = (t.unfold(0, size, patch).unfold(1, size, patch)[p, q] for t in (data.value, data.bend))
        tables = self._down[1] @ value @ self._across[1].t()
        if data.code is not None:
            code = data.code[p, :, q].float() * self._scale
            # first factors as one large product
            half = (code.reshape(-1, code.shape[-1]) @ self._across[0].t()).reshape(len(p), m, -1)
            tables += torch.matmul(self._down[0], half)
        return tables, bend

    def _make_room(self, tiles: int) -> None:
        have = self._atlases[0].shape[2] // self._side[0] * TILES_ACROSS if self._atlases else 0
        if tiles <= have:
            return
        wanted = min(max(tiles, 2 * have, FIRST_TILES), max(MOST_TILES, tiles))
        down = math.ceil(wanted / TILES_ACROSS)
        grown = []
        for n, side in enumerate(self._side):
            # both slices' values beside each other in memory
            atlas = torch.zeros(1, 2, down * side, TILES_ACROSS * side).contiguous(memory_format=torch.channels_last)
            if self._atlases:
                atlas[:, :, : self._atlases[n].shape[2]] = self._atlases[n]
            grown.append(atlas)
        self._atlases = grown


def _place(atlas: Tensor, channel: int, slots: Tensor, tables: Tensor) -> None:
    side = tables.shape[-1]
    grid = atlas[0, channel].unflatten(1, (TILES_ACROSS, side)).unflatten(0, (-1, side))
    grid.permute(0, 2, 1, 3)[slots // TILES_ACROSS, slots % TILES_ACROSS] = tables


def spline_of(atlas: Tensor, y: Tensor, x: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Cubic B-splines at positions (y, x) in tiles (top, left) of an atlas (1, 2, rows, columns); (2, n)."""
    height, width = atlas.shape[2:]
    side = width // TILES_ACROSS
    gy, y0, y1 = _pairs(y, top, side, height)
    gx, x0, x1 = _pairs(x, left, side, width)
    parts = torch.get_num_threads()
    parts = parts if len(y) % parts == 0 else 1
    places = torch.empty(parts, 4, len(y) // parts, 2)
    for n, (below, beside) in enumerate(((y0, x0), (y0, x1), (y1, x0), (y1, x1))):
        places[:, n, :, 0] = beside.view(parts, -1)
        places[:, n, :, 1] = below.view(parts, -1)
    found = grid_sample(atlas.expand(parts, -1, -1, -1), places, "bilinear", align_corners=True)
    a, b, c, d = found.transpose(0, 1).unbind(2)
    gx, gy = gx.view(parts, -1), gy.view(parts, -1)
    upper = torch.lerp(b, a, gx)
    return torch.lerp(torch.lerp(d, c, gx), upper, gy).flatten(1)


def _pairs(position: Tensor, tile: Tensor, side: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """The weight of the first pair of four knots, and where to look up either pair, from −1 to 1 over the atlas."""
    base = torch.floor(position)
    t = position.sub_(base)
    square = t * t
    last = square * t
    # the second knot's, and that of the first and the second together
    second = torch.add(last * 0.5, square, alpha=-1).add_(2 / 3)
    weight = torch.add(last / 3, square, alpha=-0.5).sub_(t, alpha=0.5).add_(5 / 6)
    last *= 1 / 6
    start = base.add_(tile, alpha=side).sub_(1)
    factor = 2 / (size - 1)
    one = second.div_(weight).add_(start).mul_(factor).sub_(1)
    two = last.div_(1 - weight).add_(start).mul_(factor).add_(2 * factor - 1)
    return weight, one, two


def _to_knots(frequencies: Tensor, patch: int) -> tuple[Tensor, Tensor]:
    """Functions of one axis, and splines with knots at the pixels, as splines with closer knots.

    Returns (knots, m) and (knots, patch + 2 REACH).
    """
    omega = frequencies.detach().double()
    at = (torch.arange(FINER * patch + 3, dtype=torch.float64) - 1) / FINER - patch / 2
    both = torch.cat([omega.new_zeros(1), omega, omega])
    # a wave is a spline whose coefficients are the wave, larger by this much
    waves = functions(omega, at) * 3 / (2 + torch.cos(both / FINER))
    d = (at[:, None] - (torch.arange(patch + 2 * REACH) - (patch - 1) / 2 - REACH)).abs()
    spline = torch.where(d < 1, 2 / 3 - d**2 + d**3 / 2, (2 - d).clamp(min=0) ** 3 / 6)
    second = torch.where(d < 1, 3 * d - 2, (2 - d).clamp(min=0))
    return waves.float(), (spline - second / (6 * FINER**2)).float()
