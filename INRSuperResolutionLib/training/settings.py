"""Settings of a training, whatever is trained."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from .denoise import DENOISERS


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to learn."""

    batch: int = 4
    """Crops in one step of each process."""
    learning_rate: float = 1e-3
    """AdamW's highest rate; it rises over the first steps and falls to 0 as a cosine, or as `halve_every` tells."""
    weight_decay: float = 1e-5
    """AdamW's decay; the frequencies have none. With 0 it is Adam."""
    squared: bool = False
    """Squared differences instead of absolute ones: for the end of a training, as their mean is what PSNR measures."""
    warmup: int = 200
    """Steps over which the rate rises."""
    epochs: int = 0
    """How often every slice (or volume) is seen, where neither steps nor minutes are told; 0: 10,000 steps."""
    halve_every: int = 0
    """Epochs after which the rate is halved, again and again; fewer steps than all epochs have shorten them. 0 for the cosine."""
    constant_rate: bool = False
    """Keep the rate instead."""
    largest_gradient: float = 1.0
    """Longer gradients are cut to this length, so that a rare steep batch does not undo what was learned; 0 for never."""
    denoise_weight: float = 0.0
    """λ of the denoising loss; 0 for the L1 loss alone."""
    denoise_sigma: float = 0.03
    """Strength of the denoiser: noise level as a part of the image's range."""
    denoiser: str = "nl-means"
    """What the denoising loss compares with: ``nl-means``, ``tv``."""
    cycle_weight: float = 0.0
    """λ of the cycle loss of CycleINR; 0 for none."""
    every: int = 500
    """Steps between checkpoints, validations and lines of the log."""
    validation_examples: int = 48
    """Crops of the validation volumes that are looked at."""
    patience: int = 0
    """Stop after this many validations without a lower loss; 0 for never."""
    mixed_precision: bool = True
    """bfloat16 products where the device has them."""

    def __post_init__(self) -> None:
        if self.denoiser not in DENOISERS:
            raise InputError(f"denoiser {self.denoiser!r} is not known", f"Give one of {', '.join(DENOISERS)}")
        if self.halve_every and not self.epochs:
            raise InputError("halve_every counts epochs, of which none are told", "Give epochs, too")
        if self.batch < 1 or self.every < 1:
            raise InputError("batch and every must be at least 1", "Give positive numbers")
