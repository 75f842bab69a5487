"""Settings of the coordinate decoder and its baselines; no torch, so that a panel can show them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CoordinateSettings:
    """How trained weights are used."""

    weights: str = "auto"
    """``auto``: those that come with the library, for CT or for MR; their name, a file, or ``self``: go on training them
    on the volume's own sharp planes."""
    check: bool = True
    """Compare with zero filling on the input made coarser once more, and fall back to it where it is better."""
    train_seconds: float = 60.0
    """Time for the training on the volume itself, with the weights ``self``."""


@dataclass(frozen=True)
class CoordinateArchitecture:
    """The network; the defaults are those of the shipped weights."""

    features: int = 32
    """Channels of the encoder (the paper: 64)."""
    blocks: int = 8
    """Residual blocks of the encoder (the paper: 16)."""
    width: int = 256
    """Width of the decoder's layers."""
    layers: int = 5
    """Layers of the decoder."""
    unfold: bool = False
    """The decoder sees the 3 × 3 codes around each pixel, as in LIIF."""
    cell: bool = False
    """The decoder is told the size of the fine pixels, as in LIIF."""


@dataclass(frozen=True)
class UpsamplerArchitecture:
    """EDSR with its convolutional upsampler."""

    features: int = 32
    """Channels of the encoder (the paper: 64)."""
    blocks: int = 8
    """Residual blocks of the encoder (the paper: 16)."""
    factor: int = 2
    """The one scale it makes; other grids are interpolated from there."""


PAPER_ENCODER = CoordinateArchitecture(features=64, blocks=16)
LIIF_ARCHITECTURE = CoordinateArchitecture(unfold=True, cell=True)
PAPER_LIIF = CoordinateArchitecture(features=64, blocks=16, unfold=True, cell=True)
PAPER_UPSAMPLER = UpsamplerArchitecture(features=64, blocks=16)


@dataclass(frozen=True)
class LteArchitecture:
    """LTE, whose code is Fourier features; a system of the NExpR paper's tables."""

    features: int = 32
    """Channels of the encoder (the paper: 64)."""
    blocks: int = 8
    """Residual blocks of the encoder (the paper: 16)."""
    width: int = 256
    """Fourier features of a pixel, half of them cosines, and width of the decoder's layers."""
    layers: int = 4
    """Layers of the decoder."""


@dataclass(frozen=True)
class SrganArchitecture:
    """SRGAN; a system of the NExpR paper's tables."""

    features: int = 32
    """Channels of the generator, and of the critic's first layer (the paper: 64)."""
    blocks: int = 8
    """Residual blocks of the generator (the paper: 16)."""
    factor: int = 2
    """The one scale it makes; other grids are interpolated from there."""


PAPER_LTE = LteArchitecture(features=64, blocks=16)
PAPER_SRGAN = SrganArchitecture(features=64, blocks=16)
