"""The explicit rasteriser: coefficients of patch-wise functions → values on a lattice.

Positions are fractional pixel indices of the slice that was encoded. Pixel k reaches from k − 0.5 to
k + 0.5, so patch p of side a holds the positions from a p − 0.5 to a (p + 1) − 0.5 and has its centre at
a p + (a − 1) / 2. Beyond the outermost patches their functions are continued.

On a lattice of rows and columns the sum over the functions is taken axis by axis, each as one batched matrix
product with the values of the functions that all patches of a row (a column) share; scattered points sum
directly. Both give the same values (float32, to 1e-5). Coefficients are therefore laid out by patch row, row
function, patch column, column function.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# points at once in the direct sum: as many as the processor's cache holds with their coefficients
POINTS_AT_ONCE = 1 << 12
# knots of a cubic spline that reach into a patch from either side
REACH = 2


@dataclass(frozen=True)
class Basis:
    """The functions of each axis of a patch.

    Parameters
    ----------
    patch
        Side of a patch in pixels.
    rows, columns
        Angular frequencies along the rows' and the columns' axis, per pixel, (N,).
    """

    patch: int
    rows: Tensor
    columns: Tensor


def functions(frequencies: Tensor, u: Tensor) -> Tensor:
    """1, cos ω_1 u, …, cos ω_N u, sin ω_1 u, …, sin ω_N u; (…) → (…, 2N + 1)."""
    phase = u[..., None] * frequencies
    return torch.cat([torch.ones_like(u)[..., None], torch.cos(phase), torch.sin(phase)], -1)


def locate(positions: Tensor, patch: int, patches: int) -> tuple[Tensor, Tensor]:
    """For positions along one axis: the number of the patch, and the offset from its centre."""
    index = torch.floor((positions + 0.5) / patch).clamp_(0, patches - 1)
    return index.long(), positions - (index * patch + (patch - 1) / 2)


@dataclass(frozen=True)
class Lines:
    """Rows (or columns) of a lattice, sorted into patches.

    Parameters
    ----------
    first, last
        The patches that are seen: first to last − 1.
    offsets
        (patches, n): offset from the patch's centre; patches with fewer than n lines repeat a value.
    order
        Where line k is among the patches · n computed ones; None if they are all lines, in order.
    """

    first: int
    last: int
    offsets: Tensor
    order: Tensor | None

    @classmethod
    def of(cls, positions: Tensor, patch: int, patches: int) -> Lines:
        """Sort positions (double precision is kept until the offsets are known)."""
        index, offset = locate(positions, patch, patches)
        first, last = int(index.min()), int(index.max()) + 1
        index = index - first
        counts = torch.bincount(index, minlength=last - first)
        most = int(counts.max())
        starts = counts.cumsum(0) - counts
        by_patch = torch.argsort(index, stable=True)
        slot = torch.empty_like(index)
        slot[by_patch] = torch.arange(len(index), device=index.device) - starts[index[by_patch]]
        order = index * most + slot
        padded = torch.zeros((last - first) * most, dtype=torch.float32, device=index.device)
        padded[order] = offset.float()
        whole = len(order) == len(padded) and bool((order[1:] > order[:-1]).all())
        return cls(first, last, padded.reshape(last - first, most), None if whole else order)


def rasterise(
    coefficients: Tensor, basis: Basis, rows: Tensor, columns: Tensor, spline: Tensor | None = None
) -> Tensor:
    """Values of one slice's functions on the lattice rows × columns.

    Only the patches that the lattice touches are computed. Differentiable.

    Parameters
    ----------
    coefficients
        (patches, m, patches, k): patches along the rows' axis, functions of the row's position, patches along
        the columns' axis, functions of the column's position. Any float type.
    rows, columns
        Fractional pixel indices, in any order.
    spline
        Coefficients of a cubic B-spline that is added, with :data:`REACH` more of them at every edge than
        there are pixels in the patches; None for none.

    Returns
    -------
    float32, (len(rows), len(columns)).
    """
    down = Lines.of(rows, basis.patch, coefficients.shape[0])
    across = Lines.of(columns, basis.patch, coefficients.shape[2])
    seen = coefficients[down.first : down.last, :, across.first : across.last].float()
    phi, psi = functions(basis.rows, down.offsets), functions(basis.columns, across.offsets)
    p, m, q, k = seen.shape
    # along the rows' axis first: (p, n, m) @ (p, m, q·k) → rows
    partial = torch.bmm(phi, seen.reshape(p, m, q * k)).reshape(-1, q, k)
    if spline is not None:
        a = basis.patch
        near = spline[a * down.first : a * down.last + 2 * REACH, a * across.first : a * across.last + 2 * REACH]
        size = a + 2 * REACH
        beside = torch.bmm(knots(down.offsets, a), near.unfold(0, size, a).transpose(1, 2)).flatten(0, 1)
        partial = torch.cat([partial, beside.unfold(1, size, a)], -1)
        psi = torch.cat([psi, knots(across.offsets, a)], -1)
    if down.order is not None:
        partial = partial[down.order]
    # then (q, n', k) @ (q, k, rows): lines of the result are whole, so that they can be picked quickly
    values = torch.bmm(psi, partial.permute(1, 2, 0)).flatten(0, 1)
    return (values if across.order is None else values[across.order]).t()


def knots(offsets: Tensor, patch: int) -> Tensor:
    """Cubic B-splines around a patch at offsets from its centre; (p, n) → (p, n, patch + 2 REACH)."""
    centres = torch.arange(patch + 2 * REACH, device=offsets.device) - (patch - 1) / 2 - REACH
    d = (offsets[..., None] - centres).abs()
    return torch.where(d < 1, 2 / 3 - d**2 + d**3 / 2, (2 - d).clamp(min=0) ** 3 / 6)


def direct_sum(coefficients: Tensor, basis: Basis, points: Tensor) -> Tensor:
    """Values at scattered points (n, 2), rows' position first; float32, (n,)."""
    parts = []
    for some in points.split(POINTS_AT_ONCE):
        p, y = locate(some[:, 0], basis.patch, coefficients.shape[0])
        q, x = locate(some[:, 1], basis.patch, coefficients.shape[2])
        phi, psi = functions(basis.rows, y.float()), functions(basis.columns, x.float())
        parts.append((coefficients[p, :, q].float() * (phi[:, :, None] * psi[:, None])).sum(dim=(1, 2)))
    return torch.cat(parts) if parts else points.new_zeros(0, dtype=torch.float32)
