"""Networks that give the intensities of a block at any height between its slices: those of papers, beside ours of residuals."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn


class BlockNetwork(nn.Module):
    """Turns a block of voxels into codes, and codes into slices.

    Intensities are in units of the foreground's standard deviation.
    """

    memory_format: torch.memory_format = torch.channels_last_3d

    @abstractmethod
    def encode(self, voxels: Tensor) -> Tensor:
        """Codes of blocks (n, slices, rows, columns), with an axis of their own at the end."""

    @abstractmethod
    def sample(self, codes: Tensor, slices: Tensor) -> Tensor:
        """Slices at fractional slice numbers (m,) of one block's codes; float32, (m, rows, columns)."""
