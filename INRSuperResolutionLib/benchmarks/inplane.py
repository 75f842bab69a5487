"""``inrsr benchmark inplane``: gain over zero filling of the methods that sharpen the plane of the slices.

Six axial slices of each volume lose the outer part of their k-space, by 2, 3 and 4, and are restored with the
shipped weights. PSNR inside the head (convention ``clean``), and the gain over zero filling,
the strongest simple method where k-space was cut.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..acquisition.degrade import degrade
from ..evaluation.metrics import compare
from ..image.files import read
from ..image.intensity import foreground
from ..image.volume import Volume
from ..jobs.run import fit
from .arbitrary import DEFAULT_DATA
from .tables import Row, print_tables

CASES = ("ms19_t2", "ms19_flair", "clinical04_t2")
METHODS = ("nexpr", "nexpr balanced", "coordinate", "liif", "edsr")
FACTORS = (2, 3, 4)
SLICES = 6
# so that all factors leave whole numbers of pixels
MULTIPLE = 12
# far enough apart that nobody takes the slices for neighbours
DISTANCE_MM = 8.0


def benchmark_inplane(options: argparse.Namespace) -> None:
    """Print a table for each volume; a method may be followed by its preset ("nexpr balanced")."""
    folder = Path(options.data) if options.data else DEFAULT_DATA
    methods = options.methods or METHODS
    makers = {case: functools.partial(rows, folder / f"{case}.nii.gz", case, methods) for case in CASES}
    print_tables(makers, options)


def rows(path: Path, case: str, methods: Sequence[str]) -> Iterator[Row]:
    """Rows of figures: factors × methods, zero filling and cubic first."""
    truth = some_slices(read(path))
    mask = foreground(truth.data)
    for factor in FACTORS:
        coarse = degrade(truth, "kspace", [factor, factor, 1])
        zero_filling = 0.0
        for name in ("sinc", "cubic", *methods):
            method, _, preset = name.partition(" ")
            started = time.perf_counter()
            result = fit(method, [coarse], preset=preset, slice_profile="none").sample(truth.grid)[0]
            seconds = time.perf_counter() - started
            figures = compare(result.data, truth.data, mask)["clean"]
            if name == "sinc":
                zero_filling = figures["psnr"]
            yield {
                "case": case,
                "factor": str(factor),
                "method": name,
                "psnr": figures["psnr"],
                "gain": figures["psnr"] - zero_filling,
                "seconds": seconds,
            }


def some_slices(volume: Volume) -> Volume:
    """Slices from the middle third, with sides that all factors divide."""
    ks = np.linspace(volume.shape[2] * 0.35, volume.shape[2] * 0.65, SLICES).astype(int)
    a, b = (n // MULTIPLE * MULTIPLE for n in volume.shape[:2])
    affine = np.diag([*volume.spacing[:2], DISTANCE_MM, 1.0])
    return Volume(np.ascontiguousarray(volume.data[:a, :b, ks]), affine, name=volume.name)
