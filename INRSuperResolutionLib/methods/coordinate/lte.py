"""LTE: a decoder of local Fourier features, a system of the NExpR paper's tables.

Lee & Jin, "Local texture estimator for implicit representation function" (CVPR 2022), Eq. 4 to 8: for each pixel amplitudes A and
frequencies F, and a phase of the cell, estimated by convolutions; the decoder sees A ∘ [cos π(⟨F, δ⟩ + φ(c)), sin π(⟨F, δ⟩ + φ(c))] of
the four nearest pixels, whose values are weighted by the opposite area. As everywhere in this harness, the result is added to a cubic
spline where the paper adds it to bilinear interpolation.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from ..pretrained.encoder import Encoder
from .network import POINTS_AT_ONCE, TRAINING_POINTS, CellNetwork
from .settings import LteArchitecture


class LteNetwork(CellNetwork):
    """See the module."""

    def __init__(self, architecture: LteArchitecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.most_points = TRAINING_POINTS
        self.encoder = Encoder(a.features, a.blocks)
        self.amplitudes = nn.Conv2d(a.features, a.width, 3, padding=1)
        self.frequencies = nn.Conv2d(a.features, a.width, 3, padding=1)
        self.phase = nn.Linear(2, a.width // 2, bias=False)
        self.hidden = nn.ModuleList(nn.Linear(a.width, a.width) for _ in range(a.layers - 1))
        self.last = nn.Linear(a.width, 1)

    def encode(self, slices: Tensor, scale: Tensor) -> Tensor:
        """(n, 1, h, w) → amplitudes and frequencies, (n, h, w, 2 · width)."""
        features = self.encoder(slices)
        return torch.cat([self.amplitudes(features), self.frequencies(features)], 1).permute(0, 2, 3, 1)

    def values(self, code: Tensor, points: Tensor, cell: list[float]) -> Tensor:
        """See :class:`CellNetwork`."""
        phase = self.phase(torch.tensor([cell], device=points.device, dtype=torch.float32))
        return torch.cat([self._ensemble(code, some, phase) for some in points.split(POINTS_AT_ONCE)])

    def _ensemble(self, code: Tensor, points: Tensor, phase: Tensor) -> Tensor:
        height, width = code.shape[:2]
        corner = torch.floor(points)
        total = torch.zeros(len(points), device=points.device)
        for down in (0, 1):
            for across in (0, 1):
                at = corner + torch.tensor([down, across], device=points.device)
                relative = (points - at).float()
                y, x = at[:, 0].long().clamp(0, height - 1), at[:, 1].long().clamp(0, width - 1)
                amplitude, frequency = code[y, x].chunk(2, -1)
                # pairs of frequencies: along the rows' axis, and along the columns'
                along, aside = frequency.float().chunk(2, -1)
                angle = math.pi * (along * relative[:, :1] + aside * relative[:, 1:] + phase)
                hidden = amplitude * torch.cat([angle.cos(), angle.sin()], -1)
                for layer in self.hidden:
                    hidden = relu(layer(hidden))
                area = (1 - relative[:, 0].abs()) * (1 - relative[:, 1].abs())
                total = total + area * self.last(hidden)[:, 0].float()
        return total
