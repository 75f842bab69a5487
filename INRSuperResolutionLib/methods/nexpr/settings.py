"""Settings of NExpR; no torch, so that a panel can show them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NExpRSettings:
    """How trained weights are used."""

    weights: str = "auto"
    """``auto``: those that come with the library, for CT or for MR; their name, a file, or ``self``: go on training them
    on the volume's own sharp planes."""
    average_flips: bool = False
    """Average over the mirror images and transposes of each slice: slower, about 0.2 dB better."""
    consistent: bool = True
    """Correct the spline until the result, cut to the input's k-space, agrees with the input."""
    check: bool = True
    """Compare with zero filling on the input made coarser once more, and fall back to it where it is better."""
    train_seconds: float = 60.0
    """Time for the training on the volume itself, with the weights ``self``."""


@dataclass(frozen=True)
class NExpRArchitecture:
    """The network; the defaults are those of the shipped weights."""

    features: int = 32
    """Channels of the encoder."""
    blocks: int = 8
    """Residual blocks of the encoder."""
    width: int = 256
    """Channels of the layers that predict the coefficients."""
    hidden: int = 3
    """Hidden 1 × 1 convolutions between the patch's features and its coefficients."""
    patch: int = 2
    """Side of a patch in pixels; each has its own function."""
    basis: str = "product"
    """``product``: {1, cos, sin} of each axis, all products; ``paper``: sin and cos of ω_p x + ν_q y, p, q ≥ 0."""
    frequencies: int = 6
    """Frequencies of each axis, 0 aside."""
    first_step: float = 0.5
    """The first frequency and the step to the next one at the start, in π per pixel."""
    learn_frequencies: bool = True
    """Whether the steps between the frequencies are trained."""
    cell: bool = False
    """Tell the network the scale. Then a function is made for one scale; else it serves all."""


PAPER_ARCHITECTURE = NExpRArchitecture(
    features=64, blocks=16, hidden=4, basis="paper", frequencies=8, first_step=1.0, cell=True
)
"""Pang et al., section 4.1; 1.59 M parameters."""
