"""Choosing the slice profile of each input."""

from __future__ import annotations

from collections.abc import Sequence

from .forward_model import SliceProfile
from .volume import Volume


def choose_profiles(choice: str, volumes: Sequence[Volume]) -> list[SliceProfile]:
    """The profile of each volume; `choice` is ``auto`` or a kind of :class:`SliceProfile`."""
    if choice != "auto":
        return [SliceProfile(choice) for _ in volumes]
    return [SliceProfile("boxcar") for _ in volumes]
