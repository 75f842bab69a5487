"""Multi-contrast super-resolution: two or more thick-slice scans of one patient restore each other.

Presets: ``fast`` and ``balanced`` learn from the scans themselves how what a slice misses looks in
its plane (:mod:`guided`); ``paper`` is the split-head coordinate network (:mod:`inr`).
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import InputError
from ...image.volume import Volume
from ...representation import Representation
from ..base import FitContext
from .settings import GuidedSettings, InrSettings, SelfSupervisedSettings

# pixels across a slice, at most: planes teach nothing of more, and the lattices of the stencil grow with their third power
MOST_PIXELS = 40.0
# the longest voxel of one scan in shortest ones of another, at most; micron that are taken for mm are far beyond
MOST_APART = 100.0

INR_PRESETS = {
    "fast": InrSettings(
        width=256,
        head_width=128,
        batch=8192,
        epochs=20,
        background_share=0.03,
        learning_rate=2e-3,
        mixed_precision=True,
    ),
    "balanced": InrSettings(
        width=512,
        head_width=256,
        batch=4096,
        epochs=40,
        background_share=0.03,
        learning_rate=1e-3,
        mixed_precision=True,
    ),
    "paper": InrSettings(),
}
SELF_SUPERVISED_PRESETS = {
    "fast": SelfSupervisedSettings(),
    "balanced": SelfSupervisedSettings(steps=1000),
    "paper": SelfSupervisedSettings(steps=3000),
}
PRESETS = {"fast": GuidedSettings(), "balanced": GuidedSettings(width=48, steps=3000), "paper": InrSettings()}


def fit(volumes: Sequence[Volume], settings: GuidedSettings | InrSettings, context: FitContext) -> Representation:
    """Fit the multi-contrast method; the type of the settings tells which network."""
    if isinstance(settings, InrSettings):
        from .inr import fit_inr

        return fit_inr(volumes, settings, context, split_heads=True)
    check_alike(volumes, MOST_PIXELS)
    from .guided import fit_guided

    return fit_guided(volumes, settings, context)


def check_alike(volumes: Sequence[Volume], longest: float = MOST_APART) -> None:
    """Raise InputError for scans whose voxels are too long, or differ so much in size that one tells nothing of the other.

    Parameters
    ----------
    longest
        Voxels may be so many times longer than wide.
    """
    for volume in volumes:
        ratio = max(volume.spacing) / min(volume.spacing)
        if ratio > longest:
            spacing = " × ".join(f"{s:.3g}" for s in volume.spacing)
            raise InputError(
                f"{volume.name}: voxels of {spacing} mm are {ratio:.0f} times longer than wide, and say nothing of what"
                f" lies between their slices",
                "Check the header, or use cubic",
            )
    fine, coarse = (f(volumes, key=lambda v: max(v.spacing)) for f in (min, max))
    if max(coarse.spacing) > MOST_APART * min(fine.spacing):
        raise InputError(
            f"voxels of {coarse.name} are {max(coarse.spacing):.3g} mm long, those of {fine.name} {min(fine.spacing):.3g} mm",
            "Check the headers: scans of one patient are nearer to each other",
        )


def fit_self_supervised(
    volumes: Sequence[Volume], settings: SelfSupervisedSettings, context: FitContext
) -> Representation:
    """Fit the guided network to one scan, or to several, each with what guides it has."""
    check_alike(volumes)
    from .guided import fit_guided

    return fit_guided(volumes, settings, context)


def fit_single(volumes: Sequence[Volume], settings: InrSettings, context: FitContext) -> Representation:
    """A coordinate network for each volume."""
    from .inr import fit_each

    return fit_each(volumes, settings, context)


def fit_joint(volumes: Sequence[Volume], settings: InrSettings, context: FitContext) -> Representation:
    """One coordinate network without heads."""
    from .inr import fit_inr

    return fit_inr(volumes, settings, context, split_heads=False)
