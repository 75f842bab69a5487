"""The function of a volume whose coefficients another process writes, into files that both have mapped."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

from .planes import VolumeFunction
from .raster import Basis


def shared_function(told: dict[str, Any], slots: dict[int, int]) -> VolumeFunction:
    """The function that the zoom worker tells of when it has opened a volume.

    Parameters
    ----------
    told
        The files with the spline and the codes, and all else that a `VolumeFunction` needs.
    slots
        Slice → its place in the file with the codes; whoever hears of new codes adds to it later.
    """
    codes = torch.from_numpy(np.load(told["codes"], mmap_mode="r+"))
    return VolumeFunction(
        np.load(told["spline"], mmap_mode="r"),
        told["axis"],
        lambda number: codes[slots[number]] if number in slots else None,
        Basis(told["patch"], torch.tensor(told["rows"]), torch.tensor(told["columns"])),
        told["spread"],
        told["lowest"],
        told["padding"],
    )


def leave_cores_free() -> None:
    """Draw with half of the cores; the others are for the viewer's own pipeline and for the worker."""
    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))
