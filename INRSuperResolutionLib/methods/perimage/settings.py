"""Settings of the per-image networks; no torch, so that a panel can show them."""

from __future__ import annotations

from dataclasses import dataclass

DIMENSIONS = ("auto", "slices", "volume")
# what the conditioner of SeCo-INR is fed
CONDITIONS = ("corners", "distribution")


@dataclass(frozen=True)
class FieldSettings:
    """How a network is fitted to one image; the defaults are the preset ``fast``."""

    dimensions: str = "auto"
    """``slices``: a network for each slice of the acquisition plane; ``volume``: one for the whole volume;
    ``auto``: by whether there is more than one slice."""
    epochs: int = 30
    """How often every pixel of a slice is seen."""
    batch: int = 128
    """Pixels in one step on a slice; 0 for all of them."""
    volume_epochs: int = 8
    """How often every voxel of a volume is seen."""
    volume_batch: int = 512
    """Voxels in one step on a volume; 0 for all of them."""
    volume_steps: int = 10_000
    """Steps at most on a volume: large ones are seen in part, and the spline carries the rest."""
    learning_rate: float = 4.5e-4
    """Adam's rate at the start, on a slice."""
    volume_rate: float = 0.33
    """The part of it that is used on a volume: across thick slices the spline of what is left is the better guide."""
    final_rate: float = 0.06
    """The part of the rate that is left at the end; it falls exponentially."""
    mixed_precision: bool = True
    """bfloat16 products of the hidden layers, where the processor has them."""
    memory: float = 0.99
    """Adam's β2: how long it remembers squared gradients (0.999 in the papers, Adam's usual value)."""
    agree: bool = True
    """Add the spline that carries what the network leaves of the samples."""


@dataclass(frozen=True)
class SirenSettings(FieldSettings):
    """Sine layers."""

    width: int = 256
    """Neurons of a layer."""
    hidden_layers: int = 2
    """Sine layers after the first one."""
    omega: float = 30.0
    """ω0 of the hidden layers."""
    band: float = 0.52
    """ω0 of the first layer for each pixel along the longest side: it sets the finest detail; 0 for `omega` itself."""


@dataclass(frozen=True)
class SecoSettings(SirenSettings):
    """Sine layers, conditioned on the classes of a segmentation."""

    semantics: bool = True
    """Whether the segmentation is used; without it, the same network (the paper's ablation)."""
    conditions: str = "corners"
    """What the conditioner is fed: ``distribution``, the class distribution of each point, as in the paper; ``corners``, single
    classes, whose outputs are mixed by the distribution: the same where a point has one class, and twice as fast."""
    conditioner_width: int = 32
    """Width of the conditioner's hidden layer; the paper does not tell it."""
    joint: bool = False
    """Train the class network along with the image, as the paper does, and not before it."""
    beta: float = 1.0
    """Weight of the class network's cross-entropy in the joint loss."""
    penalty: float = 0.04
    """Weight of the penalty on negative p, q, r, s; the paper does not tell it."""
    conditioner_rate: float = 3e-3
    """Adam's rate for the conditioner."""
    class_width: int = 64
    """Width of the class network."""
    class_layers: int = 1
    """Sine layers of the class network after the first one."""
    class_omega: float = 20.0
    """ω0 of the class network."""
    class_epochs: int = 30
    """How often the class network sees every pixel of a slice, when it is trained first."""


@dataclass(frozen=True)
class ReluPeSettings(FieldSettings):
    """Fourier features and ReLU layers: Tancik et al. 2020, their 2D image experiments."""

    learning_rate: float = 3e-3
    width: int = 256
    """Neurons of a layer."""
    layers: int = 4
    """ReLU layers."""
    frequencies: int = 256
    """Fourier features, a sine and a cosine each."""
    sigma: float = 10.0
    """Standard deviation of the frequencies, in periods per side."""


@dataclass(frozen=True)
class GaussSettings(FieldSettings):
    """Gaussian activations: Ramasinghe and Lucey 2022."""

    learning_rate: float = 3e-3
    width: int = 256
    """Neurons of a layer."""
    layers: int = 4
    """Gaussian layers."""
    sigma: float = 0.1
    """Width of the activation exp(−x²/2σ²)."""


@dataclass(frozen=True)
class MfnSettings(FieldSettings):
    """Multiplicative filter network: Fathony et al. 2021, the FourierNet of their image experiments."""

    learning_rate: float = 1e-3
    width: int = 256
    """Neurons of a layer."""
    products: int = 3
    """Products of a linear layer with a sine filter."""
    input_scale: float = 0.5
    """Spread of the filters' frequencies for each pixel along the longest side (256 for the paper's 512), shared
    between the filters."""


@dataclass(frozen=True)
class WireSettings(FieldSettings):
    """Complex Gabor wavelets: Saragadam et al. 2023."""

    learning_rate: float = 2e-3
    width: int = 256
    """Real width; 1/√2 of it complex neurons."""
    hidden_layers: int = 2
    """Wavelet layers after the first one."""
    omega: float = 10.0
    """ω of exp(jωz − |sz|²)."""
    scale: float = 5.0
    """s of exp(jωz − |sz|²)."""


@dataclass(frozen=True)
class FrSettings(SirenSettings):
    """SIREN whose hidden weights are sums of fixed cosines: Shi et al. 2024."""

    learning_rate: float = 1e-4
    frequencies: int = 16
    """Frequencies above 1, and as many below."""
    phases: int = 16
    """Phases of each frequency."""
