"""``inrsr benchmark uncertainty``: how often the truth lies within the 90 % interval, and whether wide means wrong.

Slices of a volume are averaged into one; what ``--uncertainty`` says of the result is compared with the error against the
volume. Coverage and rank correlation (Spearman) of half width and absolute error, inside the patient; coverage also where the volume
changes the most along its slices (edges: a tenth of the voxels). Tables: ``coverage`` of whole volumes, ``middle`` of their
middles (96 × 96 × 96 voxels at most), which takes minutes.
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
from .single import middle_of, patient, with_thick_slices
from .tables import Row, print_tables

CASES = (("ms19_t1", 4), ("ms19_t2", 4), ("ms19_flair", 4), ("ct_chest_lidc0314_D_0.78x0.78x1_crop", 3))
METHODS = ("combined", "cubic")
BINS = 20
MIDDLE = (96, 96, 96)


def benchmark_uncertainty(options: argparse.Namespace) -> None:
    """Print the table; draw the error over the half width with ``--output``."""
    folder = Path(options.data) if options.data else DEFAULT_DATA
    output = Path(options.output) if options.output else None
    methods = options.methods or METHODS
    makers = {
        "coverage": lambda: coverage(folder, methods, output),
        "middle": lambda: coverage(folder, methods, output, MIDDLE),
    }
    print_tables(makers, options)


def coverage(
    folder: Path, methods: Sequence[str], output: Path | None, sizes: Sequence[int] | None = None
) -> Iterator[Row]:
    """Rows: volumes, or their middles, × methods."""
    curves = {}
    for case, factor in CASES:
        whole = read(folder / f"{case}.nii.gz")
        truth, thick = with_thick_slices(whole if sizes is None else middle_of(whole, sizes), factor, "boxcar")
        mask = patient(truth)
        steep = np.linalg.norm([np.gradient(truth.data, axis=a) for a in (0, 1)], axis=0)[mask]
        edges = steep >= np.quantile(steep, 0.9)
        for method in methods:
            started = time.perf_counter()
            made = fit(method, [thick])
            result = made.sample(truth.grid)[0]
            restored = time.perf_counter()
            spline = spline_through_profile(thick, made.provenance, 0, truth.grid)
            interval = half_width(made, thick, 0, result, spline).data
            ended = time.perf_counter()
            width, error = interval[mask], np.abs(result.data - truth.data)[mask]
            name = f"{case.split('_')[0]} {case.split('_')[1]}, {method}"
            curves[name] = binned(width, error)
            if output is not None:
                draw_maps(
                    truth.data,
                    result.data,
                    spline.data,
                    interval,
                    output / f"maps-{'-'.join(name.replace(',', '').split())}.png",
                )
            yield {
                "case": case,
                "method": method,
                "coverage": float((error <= width).mean()),
                "at_edges": float((error <= width)[edges].mean()),
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


def draw_maps(truth: np.ndarray, result: np.ndarray, spline: np.ndarray, interval: np.ndarray, path: Path) -> None:
    """The middle plane across the slices: truth and result, what was added, how far off it may be, and how far off it is."""
    at = truth.shape[1] // 2
    low, high = np.percentile(truth, [0.5, 99.8])
    most = float(np.percentile(interval, 99))
    shown = (
        ("truth", truth, "gray", low, high),
        ("result", result, "gray", low, high),
        ("added to the spline", result - spline, "RdBu_r", -most, most),
        ("90 %: half width", interval, "magma", 0, most),
        ("true error", np.abs(result - truth), "magma", 0, most),
    )
    figure = figure_of(3 * len(shown), 3)
    for axes, (title, data, colours, least, top) in zip(figure.subplots(1, len(shown)), shown):
        image = axes.imshow(data[:, at].T, cmap=colours, vmin=least, vmax=top, origin="lower")
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
        figure.colorbar(image, ax=axes, shrink=0.8)
    figure.savefig(path, dpi=70)


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
