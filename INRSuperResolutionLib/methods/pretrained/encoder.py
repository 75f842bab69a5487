"""The convolutional encoder that the trained methods share, and what all their networks have in common."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import relu


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(x))), 3 × 3, without normalisation."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(features, features, 3, padding=1)
        self.second = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, features, h, w) → the same."""
        return x + self.second(relu(self.first(x)))


class Encoder(nn.Module):
    """EDSR without its upsampling and mean shift (Lim et al. 2017, baseline: 64 features, 16 blocks)."""

    def __init__(self, features: int, blocks: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(1, features, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(features) for _ in range(blocks))
        self.tail = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """(n, 1, h, w) → (n, features, h, w)."""
        first = self.head(image)
        x = first
        for block in self.blocks:
            x = block(x)
        return first + self.tail(x)


class SliceNetwork(nn.Module):
    """Turns slices into codes, and codes into what a spline through the slice misses.

    Images are in units of the foreground's standard deviation. Positions are fractional indices of the
    low-resolution slice: pixel centres at whole numbers.
    """

    memory_format = torch.channels_last
    multiple: int = 1
    """The sides of a slice that is encoded are multiples of this."""
    most_points: int | None = None
    """Points of a slice that a training step can afford along each axis; None for all."""

    @abstractmethod
    def encode(self, slices: Tensor, scale: Tensor) -> Tensor:
        """Codes of slices (n, 1, h, w); `scale` (n,): how many times finer the result will be, for NExpR's cell."""

    @abstractmethod
    def residual(self, code: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Residual of one slice's code on the lattice rows × columns, float32, (len(rows), len(columns))."""

    @abstractmethod
    def at(self, code: Tensor, points: Tensor) -> Tensor:
        """Residual of one slice's code at scattered points (n, 2), rows' position first; float32, (n,)."""


def parameters_of(network: nn.Module) -> int:
    """Number of trained values."""
    return sum(p.numel() for p in network.parameters())


def lattice_points(rows: Tensor, columns: Tensor) -> Tensor:
    """All pairs (row, column) of a lattice, (len(rows) · len(columns), 2)."""
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
