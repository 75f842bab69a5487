"""Settings of the coordinate decoder and its baselines; no torch, so that a panel can show them."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InputError


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


@dataclass(frozen=True)
class SrnoArchitecture:
    """SRNO; a system of the NExpR paper's tables."""

    features: int = 32
    """Channels of the encoder (the paper: 64)."""
    blocks: int = 8
    """Residual blocks of the encoder (the paper: 16)."""
    width: int = 128
    """Channels of a point (the paper: 256)."""
    layers: int = 2
    """Layers of attention."""
    heads: int = 8
    """Heads of the attention (the paper: 16); they divide `width`."""

    def __post_init__(self) -> None:
        if self.heads < 1 or self.width % self.heads:
            raise InputError(f"{self.heads} heads do not divide {self.width} channels", "Give a divisor")


@dataclass(frozen=True)
class SwinArchitecture:
    """SwinIR; a system of the NExpR paper's tables."""

    features: int = 32
    """Channels (the paper's lightweight network: 60)."""
    blocks: int = 3
    """Residual groups (the same: 4)."""
    layers: int = 2
    """Transformer layers of a group (the same: 6)."""
    heads: int = 4
    """Heads of the attention (the same: 6); they divide `features`."""
    window: int = 8
    """Side of the windows, in pixels."""
    factor: int = 2
    """The one scale it makes; other grids are interpolated from there."""

    def __post_init__(self) -> None:
        if self.heads < 1 or self.features % self.heads:
            raise InputError(f"{self.heads} heads do not divide {self.features} channels", "Give a divisor")


PAPER_SRNO = SrnoArchitecture(features=64, blocks=16, width=256, heads=16)
# of its paper, the lightweight network: the tables of NExpR have the large one, of 45 M parameters
PAPER_SWIN = SwinArchitecture(features=60, blocks=4, layers=6, heads=6)
