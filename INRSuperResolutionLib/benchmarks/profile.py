"""``inrsr benchmark profile``: whether the image tells its slice profile and thickness.

Fine volumes are cut into slices of known profile and thickness, four voxels apart: a boxcar, a Gaussian (full width at
half maximum), slices with a gap of a quarter and slices that overlap by a half. Told are what was found, how sure it is,
and whether the thickness is right by a fifth, or it was said that the image cannot tell.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..acquisition.forward_model import SliceProfile, observe
from ..acquisition.profile_estimate import TOLERANCE, estimate_profile
from ..image.files import read
from ..image.volume import Volume
from .tables import Row, print_tables

DEFAULT_DATA = Path("../shared/data")
CASES = ("ms07_t1", "head_arcM2265_T2w_iso1_defaced")
FACTOR = 4
SLICES = (("boxcar", 1.0), ("gaussian", 1.0), ("boxcar", 0.75), ("boxcar", 1.5))


def benchmark_profile(options: argparse.Namespace) -> None:
    """Print the table."""
    folder = Path(options.data) if options.data else DEFAULT_DATA
    print_tables({"estimate": lambda: rows(folder)}, options)


def rows(folder: Path) -> Iterator[Row]:
    """A row for each volume and kind of slices."""
    for case in CASES:
        fine = read(folder / f"{case}.nii.gz")
        for kind, width in SLICES:
            coarse = cut_into_slices(fine, kind, width)
            started = time.perf_counter()
            found = estimate_profile(coarse, 2)
            seconds = time.perf_counter() - started
            right = found.profile is not None and abs(found.width / width - 1) <= TOLERANCE
            yield {
                "case": case,
                "truth": kind,
                "thickness": width,
                "found": found.profile or "–",
                "found_thickness": round(found.width, 3),
                "sure": round(found.sure, 2),
                "verdict": "cannot tell" if not found.tells else "right" if right else "wrong",
                "reason": found.reason,
                "seconds": round(seconds, 2),
            }


def cut_into_slices(fine: Volume, kind: str, width: float) -> Volume:
    """Slices of `width` distances across k, each from voxels that are `FACTOR` times finer."""
    shape = (fine.shape[0], fine.shape[1], fine.shape[2] // FACTOR)
    grid = fine.grid.scaled((1, 1, 1 / FACTOR))
    thickness = width * FACTOR * fine.spacing[2]
    target = Volume(np.zeros(shape, np.float32), grid.affine, slice_axis=2, slice_thickness=thickness)
    return target.replace(data=observe(fine, target, SliceProfile(kind), (2,)), slice_thickness=None, slice_axis=None)
