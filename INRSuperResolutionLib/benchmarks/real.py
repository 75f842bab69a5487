"""Scans as they were acquired, where no truth is known: artefacts beside interpolation, and pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..evaluation.artefacts import beside_interpolation
from ..image.files import read
from ..image.intensity import foreground
from ..image.interpolate import resample
from ..image.volume import Volume
from ..jobs.run import fit
from ..pictures import figure_of
from .tables import Row

REAL = (
    "clinical01_t1.nii.gz",
    "clinical01_t2.nii.gz",
    "clinical01_flair.nii.gz",
    "clinical04_flair.nii.gz",
    "glioma_flair.nii.gz",
    "brain_thick1.nrrd",
    "brain_thick2.nrrd",
    "prostatex0000_T2_tra.nii.gz",
    "spine_cerv_ms_T2_ax_thick7.5.nii.gz",
)
# no finer than this, so that a whole head takes minutes
FINEST_MM = 1.0
INCHES = 3.2


def real(folder: Path, methods: Sequence[str], output: Path | None) -> Iterator[Row]:
    """Rows of artefacts: scans × (linear, cubic, methods); pictures of them in `output`."""
    for case in REAL:
        scan = read(folder / case)
        name = case.split(".nii")[0].split(".nrrd")[0]
        grid = scan.grid.with_spacing(max(FINEST_MM, min(scan.spacing)))
        shown = {"as acquired": resample(scan, grid, 0), "cubic": resample(scan, grid, 3)}
        for n, method in enumerate(methods):
            started = time.perf_counter()
            shown[method] = fit(method, [scan]).sample(grid)[0]
            seconds = time.perf_counter() - started
            for kind, found in beside_interpolation(shown[method], scan).items():
                if kind == "result" or n == 0:
                    yield {
                        "case": name,
                        "method": method if kind == "result" else kind,
                        "seconds": seconds if kind == "result" else None,
                        "bands": found.band,
                        "noise": found.noise,
                        "first": " ".join(f"{v:.0f}" for v in found.first),
                        "last": " ".join(f"{v:.0f}" for v in found.last),
                    }
        if output is not None:
            draw(shown, scan.thick_axis, output / f"default-{name}.png")


def draw(shown: Mapping[str, Volume], thick: int, path: Path) -> None:
    """Volumes on one grid side by side: two planes across the slices, through the middle of the patient."""
    first = next(iter(shown.values()))
    inside = foreground(first.data)
    low, high = np.percentile(first.data[inside], [0.5, 97])  # fat may be brighter than what one looks at
    low = min(low, float(np.percentile(first.data, 1)))
    others = [axis for axis in range(3) if axis != thick]
    views = []
    for across in others:
        at = int(np.average(np.arange(inside.shape[across]), weights=inside.sum(axis=tuple({0, 1, 2} - {across}))))
        along = next(axis for axis in others if axis != across)
        views.append((across, at, first.spacing[thick] / first.spacing[along], along > thick))
    heights = [INCHES * first.shape[thick] * ratio / first.shape[sum(others) - across] for across, _, ratio, _ in views]
    figure = figure_of(INCHES * len(shown), sum(heights) + 0.3, facecolor="black")
    table = figure.subplots(2, len(shown), squeeze=False, gridspec_kw={"height_ratios": heights})
    for n, (row, (across, at, ratio, turned)) in enumerate(zip(table, views)):
        for axes, (name, volume) in zip(row, shown.items()):
            plane = np.take(volume.data, at, axis=across)
            plane = plane if turned else plane.T
            axes.imshow(plane, cmap="gray", vmin=low, vmax=high, origin="lower", interpolation="nearest", aspect=ratio)
            axes.set_axis_off()
            if n == 0:
                axes.set_title(name, color="white", fontsize=10)
    figure.savefig(path, dpi=110, facecolor="black")
