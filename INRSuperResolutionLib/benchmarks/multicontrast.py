"""``inrsr benchmark multicontrast``: two contrasts of one patient with thick slices along different axes.

Each table is one patient at 1 mm: four slices of the T1 become one along one axis, four of the FLAIR along
another one, once as point samples (every fourth slice is kept) and once as averages. A row tells PSNR and
SSIM inside the head (convention ``clean``), the gain over the better of linear and cubic, how well the result
agrees with the input, and the seconds of fitting and sampling. No fit sees the truth.

ms19, ms07
    T1 in sagittal slices, FLAIR in axial ones.
swapped
    ms07 with T1 in axial slices, FLAIR in sagittal ones: this T1 is blurred along its axial direction already.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..acquisition.degrade import degrade
from ..acquisition.forward_model import SliceProfile
from ..evaluation.metrics import compare, consistency
from ..image.files import read
from ..image.intensity import foreground
from ..jobs.run import fit
from .arbitrary import DEFAULT_DATA
from .tables import Row, print_tables

CONTRASTS = ("t1", "flair")
FACTOR = 4
# table: the patient, and the thick axis of each contrast
CASES = {"ms19": ("ms19", (0, 2)), "ms07": ("ms07", (0, 2)), "swapped": ("ms07", (2, 0))}
# how slices are made, by the name of the profile that a method is told
SLICES = {"none": ("point", "interval"), "boxcar": ("averaged", "area")}
BASELINES = ("linear", "cubic")
METHODS = ("multicontrast",)


def benchmark_multicontrast(options: argparse.Namespace) -> None:
    """Print the tables; the interpolations come first, as gains are over the better of them."""
    folder = Path(options.data) if options.data else DEFAULT_DATA
    methods = [*BASELINES, *(m for m in options.methods or METHODS if m not in BASELINES)]
    makers = {name: functools.partial(rows, folder, *case, methods) for name, case in CASES.items()}
    print_tables(makers, options)


def rows(folder: Path, subject: str, axes: Sequence[int], methods: Sequence[str]) -> Iterator[Row]:
    """Rows of figures: kinds of slices × methods × contrasts."""
    truth = [read(folder / f"{subject}_{c}.nii.gz") for c in CONTRASTS]
    masks = [foreground(t.data) for t in truth]
    for profile, (slices, kind) in SLICES.items():
        scans = [degrade(t, kind, [FACTOR if a == axis else 1 for a in range(3)]) for t, axis in zip(truth, axes)]
        best = [float("-inf")] * len(truth)
        for method in methods:
            started = time.perf_counter()
            # plain interpolation is the base line, whatever an interpolation makes of a profile
            told = "none" if method in BASELINES else profile
            results = fit(method, scans, slice_profile=told).sample(truth[0].grid)
            seconds = time.perf_counter() - started
            for n, contrast in enumerate(CONTRASTS):
                figures = compare(results[n].data, truth[n].data, masks[n])["clean"]
                if method in BASELINES:
                    best[n] = max(best[n], figures["psnr"])
                yield {
                    "subject": subject,
                    "slices": slices,
                    "contrast": contrast,
                    "method": method,
                    "psnr": figures["psnr"],
                    "ssim": figures["ssim"],
                    "gain": None if method in BASELINES else figures["psnr"] - best[n],
                    "agreement": consistency(results[n], scans[n], SliceProfile(profile)),
                    "seconds": seconds,
                }
