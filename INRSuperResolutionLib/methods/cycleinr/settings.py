"""Settings of CycleINR and its baseline ArSSR; no torch, so that a panel can show them."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InputError

DESIGNS = ("residual", "paper", "saint", "explicit")


@dataclass(frozen=True)
class CycleINRSettings:
    """How trained weights are used."""

    weights: str = "auto"
    """``auto``: of those that come with the library, for CT or for MR, for averaged slices or for point samples, the ones
    that bring back best what is left out of the volume itself; their name, a file, or ``self``: go on training them on the volume's own sharp planes."""
    mirrored: int = 2
    """Average over so many mirror images of the volume, 1 to 8: slower by as much, 0.1 to 0.2 dB better."""
    axis: int = -1
    """The axis of the input across its slices: 0, 1 or 2 for i, j or k; −1 for the coarsest one."""
    check: bool = True
    """Compare with the spline on the input with slices, or rows, left out, and fall back to it where it is better."""
    train_seconds: float = 60.0
    """Time for the training on the volume itself, with the weights ``self``."""

    def __post_init__(self) -> None:
        if not 1 <= self.mirrored <= 8:
            raise InputError(f"{self.mirrored} mirror images are not there", "Give a number from 1 to 8")
        if not -1 <= self.axis <= 2:
            raise InputError(f"axis {self.axis} is not valid", "Give 0, 1 or 2, or -1 for the coarsest axis")


@dataclass(frozen=True)
class VolumetricArchitecture:
    """The network; the defaults are those of the shipped weights of CycleINR."""

    design: str = "residual"
    """``residual``: what a spline misses, with a window on the attention (:mod:`network`); ``paper``: intensities, by the
    network as it is printed (:mod:`paper`), which knows no wide blocks, and is told nothing; ``saint``: :mod:`saint`, with
    `wide_blocks` residual blocks that fuse; ``explicit``: NExpR in three dimensions (:mod:`explicit`), `latent` coefficients."""
    features: int = 32
    """Channels of the encoder (the paper: 64)."""
    blocks: int = 6
    """Residual blocks of the encoder (the paper: 3, of six convolutions each)."""
    convolutions: int = 2
    """3 × 3 × 3 convolutions in each block (the paper: 6)."""
    wide: int = 0
    """Channels of more blocks at half the resolution in plane, in the middle of the encoder; 0 for none (the paper)."""
    wide_blocks: int = 4
    """How many of them, of two convolutions each."""
    latent: int = 32
    """Length of the latent code of a voxel (the paper: 128)."""
    width: int = 64
    """Width of the decoder's layers (the paper: 256)."""
    layers: int = 5
    """Fully connected layers of the decoder (the paper: 8); the input is joined again in the middle."""
    pair: bool = True
    """The decoder sees the codes and intensities of both slices around a point; else their linear mean, as in the paper."""
    attention: bool = True
    """Attention over the 27 nearest latent codes; without it, the network is ArSSR."""
    told: bool = True
    """Tell the network the ratio of the spacings and the thickness of the slices."""
    averages: bool = False
    """Where slices are averages, predict on the slices as well, and beyond the outermost ones (the paper has point samples)."""

    def __post_init__(self) -> None:
        if self.design not in DESIGNS:
            raise InputError(f"design {self.design!r} is not known", f"Give one of {', '.join(DESIGNS)}")
        if self.design == "explicit" and self.latent % 2 == 0:
            raise InputError(f"{self.latent} coefficients are not odd", "Give a latent of 1 + 2 for each frequency")


ARSSR_ARCHITECTURE = VolumetricArchitecture(attention=False)
PAPER_CYCLEINR = VolumetricArchitecture(
    design="paper", features=64, blocks=3, convolutions=6, latent=128, width=256, layers=8, pair=False, told=False
)
PAPER_ARSSR = VolumetricArchitecture(
    design="paper",
    features=64,
    blocks=3,
    convolutions=6,
    latent=128,
    width=256,
    layers=8,
    pair=False,
    told=False,
    attention=False,
)
# of the size of ours, and about that of SAINT's paper (64 features)
SAINT_ARCHITECTURE = VolumetricArchitecture(design="saint", features=32, blocks=4, width=64, wide_blocks=2)
PAPER_SAINT = VolumetricArchitecture(design="saint", features=64, blocks=16, width=256, wide_blocks=8)
# NExpR in three dimensions: 6 frequencies, as in the plane; the encoder is CycleINR's, and there is no decoder with a width
EXPLICIT_ARCHITECTURE = VolumetricArchitecture(design="explicit", latent=13, width=1, averages=True)
LARGE_EXPLICIT = VolumetricArchitecture(design="explicit", features=64, blocks=9, latent=17, width=1, averages=True)
