"""Settings of the multi-contrast methods; no torch, so that a panel can show them."""

from __future__ import annotations

from dataclasses import dataclass

SELF_SUPERVISED = "self-supervised"


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


@dataclass(frozen=True)
class GuidedSettings:
    """The network that learns from the scans themselves; the defaults are the preset ``fast``."""

    width: int = 32
    """Channels of the convolutions."""
    depth: int = 4
    """Shared convolutions between each contrast's first and last one."""
    steps: int = 1000
    """Training steps; each sees one crop of every contrast."""
    crop: int = 128
    """Side of a crop in pixels."""
    learning_rate: float = 4e-3
    """Adam's highest rate; it rises over the first steps and falls to 0 as a cosine."""
    warmup: int = 60
    """Steps over which the rate rises."""
    mixed_precision: bool = True
    """bfloat16 convolutions where the processor has them."""
    average_flips: bool = True
    """Average the residual over the mirror images of each plane."""
    reach: int = 1
    """Dilation of every second shared convolution."""
    steps_per_slice: int = 4
    """The stencil's step is a pixel, or several where more than so many and a half would fit between two slices."""
    batch: int = 1
    """Crops of every contrast in one step."""
    told: bool = False
    """Tell the network how far apart and how thick the slices are, and how noisy."""
    stack_ends: float = 0.25
    """Part of the examples in which the virtual slices end inside the image, as those of a scan do."""
    guide_ends: float = 0.15
    """Part of the examples in which the field of view of a guide ends inside the image, if it does so in the scan."""
    doubt: float = 0.0
    """Part of the examples whose slices are cut by the other profile than the assumed one."""
    still_air: bool = True
    """Leave the air to the spline."""


@dataclass(frozen=True)
class GuidedArchitecture:
    """What weights of the guided network that are trained ahead are made for."""

    width: int = 32
    """Channels of the convolutions."""
    depth: int = 7
    """Convolutions between the first and the last one."""
    reach: int = 2
    """Dilation of every second one of these."""
    steps_per_slice: int = 7
    """See :class:`GuidedSettings`."""


@dataclass(frozen=True)
class SelfSupervisedSettings(GuidedSettings):
    """The same network on scans that are all thick in one direction, or on one; it starts from weights trained ahead."""

    weights: str = "auto"
    """``auto``: those that come with the library; their name, or a file; ``none``: learn from the scans alone. The
    weights tell width, depth and reach."""
    width: int = GuidedArchitecture.width
    depth: int = GuidedArchitecture.depth
    reach: int = GuidedArchitecture.reach
    steps_per_slice: int = GuidedArchitecture.steps_per_slice
    steps: int = 300
    batch: int = 2
    crop: int = 96
    learning_rate: float = 2e-3
    warmup: int = 20
    average_flips: bool = False
    told: bool = True
    doubt: float = 0.3
