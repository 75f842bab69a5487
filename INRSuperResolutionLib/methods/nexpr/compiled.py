"""The look-ups of :mod:`tiles`, compiled by numba: where it is installed, oblique planes are drawn in a third of the time.

Unsigned indices spare numba's check for negative ones; all that is known before the loops is a number in single
precision, so that nothing is converted within.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

# several numbers at once where they lie beside each other; numba does that in loops alone otherwise
numba.config.SLP_VECTORIZE = 1  # type: ignore[attr-defined]

# of a plane: what these and the rows above them read of the tiles stays in the processor's smallest cache
COLUMNS_AT_ONCE = 64

Single = np.float32
Index = np.uint64


@numba.njit(inline="always")
def weights(t: Any) -> Any:
    """Of four knots, cubic B-splines at t beyond the second."""
    square, rest = t * t, Single(1) - t
    first = rest * rest * rest * Single(1 / 6)
    second = Single(2 / 3) - square + square * t * Single(0.5)
    last = square * t * Single(1 / 6)
    return first, second, Single(1) - first - second - last, last


@numba.njit(inline="always")
def spline(atlas: Any, row: Any, start: Any, y: Any, x: Any, parts: Any, scratch: Any) -> Any:
    """Both slices' splines at (y, x) beyond the second knot of a tile, weighted by `parts` and added.

    The tile's first knot is at `start`, and lines are `row` long. A line's four knots of both slices lie beside each
    other: eight numbers, as many as the processor takes at once.
    """
    i, j = int(y), int(x)
    down, across = weights(y - Single(i)), weights(x - Single(j))
    for k in range(4):
        scratch[Index(2 * k)] = across[k] * parts[0]
        scratch[Index(2 * k + 1)] = across[k] * parts[1]
    one = start + Index(i) * row + Index(2 * j)
    two, three, four = one + row, one + row + row, one + row + row + row
    total = Single(0)
    for k in range(Index(8)):
        total += scratch[k] * (
            down[0] * atlas[one + k] + down[1] * atlas[two + k] + down[2] * atlas[three + k] + down[3] * atlas[four + k]
        )
    return total


@numba.njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
def read(
    fine: Any,
    coarse: Any,
    sides: Any,
    knots: Any,
    slots: Any,
    first: Any,
    down: Any,
    across: Any,
    lowest: Any,
    highest: Any,
    rows: Any,
    out: Any,
    missing: Any,
) -> int:
    """Values of some rows of a plane; marks the tiles that are not there yet, and returns how many points lack theirs.

    Parameters
    ----------
    fine, coarse
        Atlases of F and M, flat: (tile, row, column, slice).
    sides
        Knots along a side of their tiles.
    knots
        Of F to a patch, of M to a patch, and of M before a patch's border beyond the second one.
    slots
        Of all tiles, (slab, patch row, patch column); negative where there is none.
    first, down, across, lowest, highest
        Positions (row, column, slice), the first two in patches: first + r · down + c · across, within limits.
    rows
        The first row, and the one after the last.
    out, missing
        Values, and marks of tiles.
    """
    slabs, patch_rows, patch_columns = slots.shape
    fine_side, coarse_side = Index(sides[0]), Index(sides[1])
    fine_row, coarse_row = fine_side * Index(2), coarse_side * Index(2)
    fine_knots, coarse_knots, before = Single(knots[0]), Single(knots[1]), Single(knots[2])
    dy, dx, dz = across
    top_y, top_x, top_z = lowest
    end_y, end_x, end_z = highest
    scratch = np.empty(8, np.float32)
    lost = 0
    for left in range(0, out.shape[1], COLUMNS_AT_ONCE):
        for r in range(rows[0], rows[1]):
            y0, x0, z0 = first[0] + r * down[0], first[1] + r * down[1], first[2] + r * down[2]
            for c in range(left, min(left + COLUMNS_AT_ONCE, out.shape[1])):
                y = min(max(y0 + c * dy, top_y), end_y)
                x = min(max(x0 + c * dx, top_x), end_x)
                z = min(max(z0 + c * dz, top_z), end_z)
                p, q, n = min(int(y), patch_rows - 1), min(int(x), patch_columns - 1), min(int(z), slabs - 1)
                slot = slots[Index(n), Index(p), Index(q)]
                if slot < 0:
                    missing[n, p, q] = True
                    lost += 1
                    continue
                u, t, w = Single(y - p), Single(x - q), Single(z - n)
                v = Single(1) - w
                start = Index(slot) * fine_side * fine_row
                value = spline(fine, fine_row, start, u * fine_knots, t * fine_knots, (v, w), scratch)
                start = Index(slot) * coarse_side * coarse_row
                bend = v * w * Single(1 / 6)
                bends = (bend * (v + Single(1)), bend * (w + Single(1)))
                at = (u * coarse_knots + before, t * coarse_knots + before)
                out[Index(r), Index(c)] = value - spline(coarse, coarse_row, start, at[0], at[1], bends, scratch)
    return lost
