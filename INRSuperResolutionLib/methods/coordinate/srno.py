"""SRNO: attention of all points to all points at the cost of a sum, a system of the NExpR paper's tables.

Wei & Zhang, "Super-resolution neural operator" (CVPR 2023), section 3: the four nearest codes of a point, weighted by the opposite areas, with
their relative places and the cell are lifted to `width` channels (Eq. 6); two layers of Galerkin attention, Q (K̃ᵀ Ṽ) / n with
normalised keys and values (Eq. 10), each followed by two linear layers with a GELU and the input added; and two linear layers to the value. As everywhere
in this harness, the result is added to a cubic spline where the paper adds it to bilinear interpolation.

What a point becomes depends on all points that are asked together: on a lattice, those of the whole lattice.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from ..pretrained.encoder import Encoder
from .network import TRAINING_POINTS, CellNetwork
from .settings import SrnoArchitecture

CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


class GalerkinAttention(nn.Module):
    """Attention without a softmax, linear in the number of points."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.normalise_keys = nn.LayerNorm(width // heads)
        self.normalise_values = nn.LayerNorm(width // heads)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def attend(self, x: Tensor) -> Tensor:
        """Q (K̃ᵀ Ṽ) / n of points (n, width), by heads."""
        queries, keys, values = self.project(x).unflatten(-1, (self.heads, -1)).transpose(0, 1).chunk(3, -1)
        shared = self.normalise_keys(keys).transpose(1, 2) @ self.normalise_values(values) / len(x)
        return (queries @ shared).transpose(0, 1).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) → the same."""
        return x + self.second(gelu(self.first(self.attend(x) + x)))


class SrnoNetwork(CellNetwork):
    """See the module."""

    def __init__(self, architecture: SrnoArchitecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.most_points = TRAINING_POINTS
        self.encoder = Encoder(a.features, a.blocks)
        self.lift = nn.Linear(len(CORNERS) * (a.features + 2) + 2, a.width)
        self.layers = nn.ModuleList(GalerkinAttention(a.width, a.heads) for _ in range(a.layers))
        self.hidden = nn.Linear(a.width, a.width)
        self.last = nn.Linear(a.width, 1)

    def encode(self, slices: Tensor, scale: Tensor) -> Tensor:
        """(n, 1, h, w) → (n, h, w, features)."""
        return self.encoder(slices).permute(0, 2, 3, 1)

    def values(self, code: Tensor, points: Tensor, cell: list[float]) -> Tensor:
        """See :class:`CellNetwork`."""
        height, width = code.shape[:2]
        corner = torch.floor(points)
        parts = []
        for offset in CORNERS:
            at = corner + torch.tensor(offset, device=points.device)
            relative = (points - at).float()
            y, x = at[:, 0].long().clamp(0, height - 1), at[:, 1].long().clamp(0, width - 1)
            area = ((1 - relative[:, 0].abs()) * (1 - relative[:, 1].abs()))[:, None]
            parts += [relative, code[y, x].float() * area]
        parts.append(torch.tensor([cell], device=points.device, dtype=torch.float32).expand(len(points), -1))
        hidden = self.lift(torch.cat(parts, -1))
        for layer in self.layers:
            hidden = layer(hidden)
        return self.last(gelu(self.hidden(hidden)))[:, 0].float()
