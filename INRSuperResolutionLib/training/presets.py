"""How the networks are trained: ours (``fast``), and as their papers did (``paper``), by method.

What a paper does not tell is chosen, and said here; every value is a setting of its own (``inrsr train … --set NAME=VALUE``).

NExpR (section 4.1: Adam, 10⁻⁴, halved every 50 of 200 epochs, batches of 16 crops of 256 × 256, scales from 1 to 4, L1, random
    crops and flips, k-space cut for MR)
    Chosen: a decay of the weights of 10⁻⁵, as in its public code. An epoch sees as many slices as there are useful ones. For
    CT, the paper's bicubic degradation and window are ``--set kinds=bicubic --set darkest=-140 --set brightest=260``. LIIF and EDSR are
    its baselines and learn in the same way, EDSR at its one scale.
Coordinate decoder (section 3: Adam, L1 + 10 ‖x̂ − D(x)‖², D = BM3D with σ = 0.03, bicubic downsampling, scales from 1 to 2,
    1,000 steps)
    Chosen: a rate of 10⁻⁴ that stays (EDSR's), batches of 16 tiles of 48 × 48 coarse pixels; both norms are means over pixels
    of images in units of their range. D is non-local means: BM3D's usual package forbids commercial use (``--set denoiser=…``).
    The paper's convolutional baseline is ``edsr`` with 100,000 steps of the same: :func:`convolutional_baseline`.
CycleINR (section 4.1: Adam, 10⁻⁴, halved every 200 of 3,000 epochs, λ = 1, scales from 2.0 to 6.0 with one decimal, slices kept
    at intervals)
    Chosen: batches of 4 blocks of 10 slices of 32 × 32 pixels. An epoch sees a block of each volume. ArSSR is its network without
    attention, and learns in the same way without the cycle (its Table 2, first row).

No paper mentions gradient clipping, warm-up, or changes of contrast: none here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..methods.cycleinr.settings import VolumetricArchitecture
from ..methods.pretrained.networks import ARCHITECTURES, TRAINABLE, Architecture
from .blocks import BlockSettings
from .data import DataSettings
from .settings import TrainingSettings


@dataclass(frozen=True)
class TrainingPreset:
    """All that a training depends on but its volumes.

    Parameters
    ----------
    steps
        Where it ends if nothing else is told; None for the epochs of the settings.
    """

    architecture: Architecture
    settings: TrainingSettings
    data: DataSettings | BlockSettings
    steps: int | None = None


_PLAIN = TrainingSettings(
    batch=16, learning_rate=1e-4, weight_decay=0.0, warmup=0, largest_gradient=0.0, mixed_precision=False
)
_PLAIN_SLICES = DataSettings(gamma=1.0, ramps=0.0, jitter=0.0)
_NEXPR = replace(_PLAIN, weight_decay=1e-5, epochs=200, halve_every=50)
_NEXPR_SLICES = replace(_PLAIN_SLICES, fine_crop=256, kinds="kspace", lowest_scale=1.0, highest_scale=4.0)
_COORDINATE = replace(_PLAIN, constant_rate=True, denoise_weight=10.0, denoise_sigma=0.03)
_COORDINATE_SLICES = replace(_PLAIN_SLICES, kinds="bicubic", lowest_scale=1.0, highest_scale=2.0)
_CYCLE = replace(_PLAIN, batch=4, epochs=3000, halve_every=200)
_CYCLE_BLOCKS = BlockSettings(
    lowest_scale=2.0, highest_scale=6.0, whole=0.0, averaged=0.0, untold=0.0, ends=0.0, noisy=0.0, blurred=0.0, gamma=1.0,
    flips=False, jitter=0.0,
)  # fmt: skip

_PAPER: dict[str, tuple[TrainingSettings, DataSettings | BlockSettings, int | None]] = {
    "nexpr": (_NEXPR, _NEXPR_SLICES, None),
    "liif": (_NEXPR, _NEXPR_SLICES, None),
    "edsr": (_NEXPR, replace(_NEXPR_SLICES, lowest_scale=2.0, highest_scale=2.0), None),
    "coordinate": (_COORDINATE, _COORDINATE_SLICES, 1000),
    "cycleinr": (replace(_CYCLE, cycle_weight=1.0), _CYCLE_BLOCKS, None),
    "arssr": (_CYCLE, _CYCLE_BLOCKS, None),
    # the papers compare them under their own training
    "lte": (_NEXPR, _NEXPR_SLICES, None),
    "srno": (_NEXPR, _NEXPR_SLICES, None),
    "swinir": (_NEXPR, replace(_NEXPR_SLICES, lowest_scale=2.0, highest_scale=2.0), None),
    "srgan": (_NEXPR, replace(_NEXPR_SLICES, lowest_scale=2.0, highest_scale=2.0), None),
    "saint": (_CYCLE, _CYCLE_BLOCKS, None),
    # no paper has it: NExpR's schedule, and blocks of averaged slices as ours
    "nexpr3d": (replace(_NEXPR, batch=4), BlockSettings(), None),
}


def training_preset(method: str, preset: str) -> TrainingPreset:
    """How `method` is trained with ``fast`` or ``paper``."""
    architecture = TRAINABLE[method][preset]
    if preset == "paper":
        return TrainingPreset(architecture, *_PAPER[method])
    cycle = TrainingSettings(cycle_weight=1.0 if method == "cycleinr" else 0.0)
    data = BlockSettings() if isinstance(architecture, VolumetricArchitecture) else DataSettings()
    return TrainingPreset(architecture, cycle, data)


def convolutional_baseline() -> TrainingPreset:
    """EDSR as the coordinate decoder's paper trains it: at 2×, without the denoising loss, for 100,000 steps."""
    data = replace(_COORDINATE_SLICES, lowest_scale=2.0)
    return TrainingPreset(ARCHITECTURES["edsr"]["paper"], replace(_COORDINATE, denoise_weight=0.0), data, 100_000)
