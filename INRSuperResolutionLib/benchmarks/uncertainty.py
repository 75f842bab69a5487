"""``inrsr benchmark uncertainty``: how often the truth lies within the 90 % interval, and whether wide means wrong.

Slices of a volume are averaged into one; what ``--uncertainty`` says of the result is compared with the error against the
volume. Coverage and rank correlation (Spearman) of half width and absolute error, inside the patient.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from ..evaluation.agreement import spline_through_profile
from ..evaluation.uncertainty import half_width
from ..image.files import read
from ..jobs.run import fit
from ..pictures import figure_of
from .arbitrary import DEFAULT_DATA
from .single import patient, with_thick_slices
from .tables import Row, print_tables

CASES = (("ms19_t1", 4), ("ms19_t2", 4), ("ms19_flair", 4), ("ct_chest_lidc0314_D_0.78x0.78x1_crop", 3))
METHODS = ("combined", "cubic")
BINS = 20


def benchmark_uncertainty(options: argparse.Namespace) -> None:
    """Print the table; draw the error over the half width with ``--output``."""
    folder = Path(options.data) if options.data else DEFAULT_DATA
    output = Path(options.output) if options.output else None
    print_tables({"coverage": lambda: coverage(folder, options.methods or METHODS, output)}, options)


def coverage(folder: Path, methods: Sequence[str], output: Path | None) -> Iterator[Row]:
    """Rows: volumes × methods."""
    curves = {}
    for case, factor in CASES:
        truth, thick = with_thick_slices(read(folder / f"{case}.nii.gz"), factor, "boxcar")
        mask = patient(truth)
        for method in methods:
            started = time.perf_counter()
            made = fit(method, [thick])
            result = made.sample(truth.grid)[0]
            restored = time.perf_counter()
            spline = spline_through_profile(thick, made.provenance, 0, truth.grid)
            width = half_width(made, thick, 0, result, spline).data[mask]
            ended = time.perf_counter()
            error = np.abs(result.data - truth.data)[mask]
            curves[f"{case.split('_')[0]} {case.split('_')[1]}, {method}"] = binned(width, error)
            yield {
                "case": case,
                "method": method,
                "coverage": float((error <= width).mean()),
                "rank_correlation": float(spearmanr(width, error).statistic),
                "seconds": restored - started,
                "more_seconds": ended - restored,
            }
    if output is not None:
        draw(curves, output / "uncertainty.png")


def binned(width: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 90th percentile of the error in bins of equal numbers of voxels, over their mean half width."""
    parts = np.array_split(np.argsort(width), BINS)
    return np.array([width[p].mean() for p in parts]), np.array([np.quantile(error[p], 0.9) for p in parts])


def draw(curves: dict[str, tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    """Where the interval is right, the curves lie on the diagonal."""
    figure = figure_of(5, 4)
    axes = figure.subplots()
    for name, (width, error) in curves.items():
        axes.loglog(width / width.mean(), error / width.mean(), ".-", label=name)
    axes.loglog([0.1, 5], [0.1, 5], "k--", lw=1)
    axes.set(xlabel="half width (mean = 1)", ylabel="90th percentile of the error")
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)
