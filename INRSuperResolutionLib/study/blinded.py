"""Images of a pair as a reader may see them: nothing of the files tells which method made which."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..image.files import read, read_grid, write
from ..image.volume import Volume
from .plan import Study

SIDES = ("left", "right")
# the same for all copies: when a method ran would tell which it was
TIME = 946684800


def check_pairs(study: Study, folder: Path) -> None:
    """Raise InputError unless both images of each pair are there, and on one grid: another one would tell the method."""
    for pair in study.pairs:
        first, second = (read_grid(folder / image) for image in pair.images)
        if first.shape != second.shape or not np.allclose(first.affine, second.affine, atol=1e-3):
            raise InputError(
                f"case {pair.case}: {pair.images[1]} is not on the grid of {pair.images[0]}",
                "Make it with --like, so that its size does not tell which it is",
            )


def blinded_volumes(study: Study, reader: str, trial: int, folder: Path) -> tuple[Volume, Volume]:
    """The images of a trial, left and right, without what belongs to their files: name, type, codes, warnings.

    `folder` is where the study's file is. Both have the affine of the first method's, whichever side it is on.
    """
    left, right = (read(folder / image) for image in study.images(reader, trial))
    swapped = study.trials[reader][trial].swapped
    affine = (right if swapped else left).affine
    both = tuple(Volume(v.data, affine, name=side) for v, side in zip((left, right), SIDES))
    return both[0], both[1]


def window_of(volumes: tuple[Volume, Volume]) -> tuple[float, float]:
    """One window for both images: lowest and highest value to show, the 1st and 99.5th percentile of both."""
    both = np.concatenate([v.data[::2, ::2, ::2].ravel() for v in volumes])
    low, high = np.percentile(both, [1, 99.5])
    return float(low), float(high if high > low else low + 1)


def write_blinded(study: Study, reader: str, trial: int, folder: Path, target: Path) -> tuple[Path, Path]:
    """Write ``left.nii`` and ``right.nii`` to a folder; but for their values they are the same in every byte and date."""
    files = []
    for side, volume in zip(SIDES, blinded_volumes(study, reader, trial, folder)):
        files.append(target / f"{side}.nii")
        write(volume, files[-1], np.float32)
    for file in files:
        os.utime(file, (TIME, TIME))
    return files[0], files[1]
