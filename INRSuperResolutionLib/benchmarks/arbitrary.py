"""``inrsr benchmark arbitrary``: quality at every scale from 2 to 4.

As Fig. 5 to 7 of the NExpR paper: slices lose the outer part of their k-space, by 4, and are restored at
scales from 2 to 4; the truth at each scale is the slice that has lost accordingly less. PSNR and SSIM
against that truth (99.9th percentile = 1), and the consistency: the PSNR of the result, cut to the
input's k-space again, against the input.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..acquisition.degrade import degrade
from ..errors import MissingError
from ..evaluation.metrics import compare, psnr
from ..fitting import fit
from ..image.files import read
from ..image.volume import Volume
from ..json_text import json_text
from ..pictures import figure_of

DEFAULT_DATA = Path("../shared/data")
CASES = ("ms19_t2", "ms19_flair")
METHODS = ("nexpr", "coordinate", "liif", "edsr", "cubic", "sinc")
LOSS = 4.0
SCALES = np.linspace(2, 4, 20)
SLICES = 4
# so that truth and input have whole numbers of pixels at most scales
MULTIPLE = 12


def benchmark_arbitrary(options: argparse.Namespace) -> None:
    """Print a table, and draw the curves beside ``arbitrary.csv`` in the current folder."""
    folder = Path(options.data) if options.data else DEFAULT_DATA
    rows: list[dict[str, float | str]] = []
    for case in CASES:
        truth = some_slices(read(folder / f"{case}.nii.gz"))
        coarse = loses(truth, LOSS)
        for method in METHODS:
            try:
                restored = fit(method, [coarse], slice_profile="none")
            except MissingError as error:
                print(f"{method}: left out ({error})", file=sys.stderr)
                continue
            for scale in SCALES:
                wanted = loses(truth, LOSS / scale)
                result = restored.sample(wanted.grid)[0]
                rows.append(
                    {"case": case, "method": method, "scale": round(float(scale), 3), **figures(result, wanted, coarse)}
                )
    if options.json:
        print(json_text(rows, indent=1))
        return
    with open("arbitrary.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    draw(rows)
    for case in CASES:
        for method in METHODS:
            some = [r for r in rows if r["case"] == case and r["method"] == method]
            if some:
                told = "  ".join(
                    f"{n} {np.mean([float(r[n]) for r in some]):7.3f}" for n in ("psnr", "ssim", "consistency")
                )
                print(f"{case:12} {method:12} mean over 2x to 4x:  {told}")


def some_slices(volume: Volume) -> Volume:
    """A few axial slices around the middle, from 0 up, far apart so that they stay slices."""
    i, j, k = volume.shape
    chosen = np.linspace(0.35 * k, 0.65 * k, SLICES).astype(int)
    data = np.maximum(volume.data[: i // MULTIPLE * MULTIPLE, : j // MULTIPLE * MULTIPLE, chosen], 0)
    return Volume(data, np.diag([1, 1, 8, 1.0]), name=volume.name)


def loses(volume: Volume, factor: float) -> Volume:
    """Slices with the outer part of their k-space cut off."""
    return degrade(volume, "kspace", (factor, factor, 1))


def figures(result: Volume, wanted: Volume, coarse: Volume) -> dict[str, float]:
    """PSNR, SSIM and consistency, means over the slices."""
    top = float(np.percentile(wanted.data, 99.9))
    found: dict[str, list[float]] = {"psnr": [], "ssim": [], "consistency": []}
    shrunk = loses(result, result.shape[0] / coarse.shape[0])
    for k in range(wanted.shape[2]):
        a, b = result.data[..., k : k + 1], wanted.data[..., k : k + 1]
        found["psnr"].append(psnr(a / top, b / top))
        found["ssim"].append(compare(a, b, np.ones(b.shape, bool))["clean"]["ssim"])
        if shrunk.shape == coarse.shape:
            found["consistency"].append(psnr(shrunk.data[..., k] / top, coarse.data[..., k] / top))
    return {name: round(float(np.mean(v)), 4) if v else float("nan") for name, v in found.items()}


def draw(rows: Sequence[dict[str, float | str]]) -> None:
    """Curves over the scale, a column for each figure and a row for each volume."""
    cases = sorted({str(r["case"]) for r in rows})
    try:
        figure = figure_of(12, 3.6 * len(cases))
    except MissingError as error:
        print(f"no picture: {error}", file=sys.stderr)
        return
    panels = figure.subplots(len(cases), 3, squeeze=False)
    for case, line in zip(cases, panels):
        for name, panel in zip(("psnr", "ssim", "consistency"), line):
            for method in METHODS:
                some = [r for r in rows if r["case"] == case and r["method"] == method]
                if some:
                    panel.plot([float(r["scale"]) for r in some], [float(r[name]) for r in some], label=method)
            panel.set(title=case, xlabel="scale", ylabel=name + (" (dB)" if name != "ssim" else ""))
        line[0].legend()
    figure.savefig("arbitrary.png", dpi=100)
