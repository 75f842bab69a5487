"""SAINT: slices between slices by two networks of planes and one that fuses them, a system of the CycleINR paper's tables.

Peng et al., "SAINT: spatially aware interpolation network for medical slice synthesis" (CVPR 2020): sagittal and coronal planes are made
finer along the slices each by a network of planes (marginal super-resolution, with filters that a small network generates for
each phase, Eq. 2 and 3), and what both say of an axial slice is fused by convolutions of its plane (Eq. 5). Smaller here: the planes' networks
are residual ones as in EDSR where the paper has dense ones, and both stages learn together by the L1 of the fused slices.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from ..pretrained.encoder import Encoder, ResidualBlock
from .blocks import BlockNetwork
from .settings import VolumetricArchitecture

# filters reach so far, along the slices and across
REACH = 1
TAPS = (2 * REACH + 1) ** 2


class Planes(nn.Module):
    """One of the two networks: features of planes, and filters for a phase between two slices."""

    def __init__(self, features: int, blocks: int, width: int) -> None:
        super().__init__()
        self.encoder = Encoder(features, blocks)
        self.filters = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, TAPS * features))

    def sample(self, codes: Tensor, low: Tensor, part: Tensor, step: float) -> Tensor:
        """Values of planes (n, features, d, w) at slices low + part; (m, n, w)."""
        facts = torch.stack([part, torch.full_like(part, step)], -1)
        weights = self.filters(facts).unflatten(-1, (TAPS, codes.shape[1]))
        padded = pad(codes, [REACH, REACH, REACH, REACH + 1], mode="replicate")
        width = codes.shape[3]
        made = []
        for n, k in enumerate(low.tolist()):
            around = padded[:, :, k : k + 2 * REACH + 1]
            views = [around[:, :, a, b : b + width] for a in range(2 * REACH + 1) for b in range(2 * REACH + 1)]
            made.append(torch.einsum("tncw,tc->nw", torch.stack(views), weights[n].to(around.dtype)))
        return torch.stack(made)


class SaintNetwork(BlockNetwork):
    """See the module; arrays of voxels run (slice, row, column)."""

    memory_format = torch.channels_last

    def __init__(self, architecture: VolumetricArchitecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.of_rows = Planes(a.features, a.blocks, a.width)
        self.of_columns = Planes(a.features, a.blocks, a.width)
        self.fuse = nn.Sequential(
            nn.Conv2d(2, a.features, 3, padding=1), *(ResidualBlock(a.features) for _ in range(a.wide_blocks))
        )
        self.last = nn.Conv2d(a.features, 1, 3, padding=1)

    def encode(self, voxels: Tensor) -> Tensor:
        """Features of the planes across rows and columns, and the voxels; (n, d, h, w, 2 · features + 1)."""
        number, depth, height, width = voxels.shape
        rows = self.of_rows.encoder(voxels.permute(0, 2, 1, 3).reshape(-1, 1, depth, width))
        columns = self.of_columns.encoder(voxels.permute(0, 3, 1, 2).reshape(-1, 1, depth, height))
        made = [
            rows.unflatten(0, (number, height)).permute(0, 3, 1, 4, 2),
            columns.unflatten(0, (number, width)).permute(0, 3, 4, 1, 2),
        ]
        return torch.cat([*made, voxels[..., None].to(rows.dtype)], -1)

    def sample(self, codes: Tensor, slices: Tensor) -> Tensor:
        """See :class:`BlockNetwork`."""
        depth, features = codes.shape[0], self.architecture.features
        numbers = slices.clamp(0, depth - 1)
        low = numbers.floor().long().clamp(max=max(depth - 2, 0))
        part = (numbers - low).float()
        step = float((slices[1:] - slices[:-1]).abs().median()) if len(slices) > 1 else 1.0
        rows = codes[..., :features].permute(1, 3, 0, 2)
        columns = codes[..., features:-1].permute(2, 3, 0, 1)
        across_rows = self.of_rows.sample(rows, low, part, step)
        across_columns = self.of_columns.sample(columns, low, part, step).transpose(1, 2)
        voxels = codes[..., -1]
        linear = torch.lerp(voxels[low], voxels[(low + 1).clamp(max=depth - 1)], part.to(voxels.dtype)[:, None, None])
        both = torch.stack([linear + across_rows, linear + across_columns], 1)
        return (both.mean(1) + self.last(relu(self.fuse(both)))[:, 0]).float()
