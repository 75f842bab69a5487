"""Settings of the multi-contrast methods; no torch, so that a panel can show them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InrSettings:
    """The coordinate network of the paper; the defaults are the paper's."""

    frequencies: int = 256
    """Fourier frequencies; twice as many features."""
    sigma: float = 4.0
    """Standard deviation of the frequencies, in periods per half of the longest extent."""
    width: int = 1024
    """Width of the shared layers."""
    shared_layers: int = 5
    """Shared layers, the one from the Fourier features included."""
    head_width: int = 512
    """Width of the hidden layer of each head."""
    learning_rate: float = 4e-4
    """Adam's rate at the start; it falls to 0 as a cosine."""
    batch: int = 1000
    """Samples in one step, of all contrasts together."""
    epochs: int = 50
    """How often every training voxel is seen."""
    background_share: float = 1.0
    """Part of the voxels outside the foreground that are trained too."""
    checks_per_epoch: int = 1
    """How often the stopping rule looks."""
    mixed_precision: bool = False
    """bfloat16 products."""
