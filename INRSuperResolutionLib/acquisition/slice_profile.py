"""Choosing the slice profile of each input."""

from __future__ import annotations

from collections.abc import Sequence

from ..image.grid import THICK_RATIO
from ..image.volume import Volume
from .forward_model import SliceProfile


def choose_profiles(
    choice: str, volumes: Sequence[Volume], in_plane: bool = False, point_samples: bool = False
) -> list[SliceProfile]:
    """The profile of each volume.

    Parameters
    ----------
    choice
        A kind of :class:`SliceProfile` for all, or ``auto``: ``boxcar`` where the header tells a slice
        thickness or the slices are clearly thicker than the pixels, as an acquired slice always
        averages over its thickness; else ``none``. Whether an image without a header was averaged or
        only thinned out cannot be told from its intensities: the spectra of the two overlap with
        the anatomy's own differences between directions. Say ``none`` for images that were thinned.
    in_plane
        Whether the method restores the plane of the slices too: a pixel averages over its area as
        well, so that ``auto`` is always ``boxcar``.
    point_samples
        The method was trained on slices that were left out: ``auto`` is ``boxcar`` only where the header
        tells a slice thickness.
    """
    if choice != "auto":
        return [SliceProfile(choice) for _ in volumes]
    if point_samples:
        return [SliceProfile("none" if v.slice_thickness is None else "boxcar") for v in volumes]
    return [SliceProfile("boxcar" if in_plane or is_acquired_in_slices(v) else "none") for v in volumes]


def is_acquired_in_slices(volume: Volume) -> bool:
    """Whether header or spacing say that the volume was acquired in thick slices."""
    if volume.slice_thickness is not None:
        return True
    spacing = sorted(volume.spacing)
    return spacing[2] > THICK_RATIO * spacing[1]
