"""``inrsr benchmark paper2``: Table 1 of the multi-contrast paper (McGinnis et al. 2023).

table1
    PSNR, SSIM (convention ``reference``, as the paper's code measures), LPIPS where its networks are at hand, and the errors of
    mutual information (first result with second truth, second with first, both results), means over the subjects; of cubic
    splines, a network for each contrast, one without heads, one with heads, and of our preset ``fast``. The first contrast keeps
    every fourth axial slice, the second every fourth coronal one (the paper's BraTS).

The networks are the paper's with ``--preset paper``, else small ones. ``--minutes`` ends each fit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np

from ...acquisition.degrade import degrade
from ...evaluation.metrics import compare, mutual_information_error
from ...evaluation.perceptual import perceptual_distance
from ...fitting import fit
from ...image.intensity import foreground
from ...image.volume import Volume
from ..tables import Row, print_tables
from .figures import Figures, means
from .material import Plan, pairs

FACTOR = 4
# the thick axis of each contrast
AXES = (2, 1)
# row: method, and whether its preset is that of the plan (else its usual one); the split-head network is preset paper alone
ROWS = {
    "cubic spline": ("cubic", False),
    "single-contrast INR": ("single-contrast", True),
    "vanilla INR": ("joint", True),
    "split-head INR": ("multicontrast", True),
    "multicontrast fast (not the paper's)": ("multicontrast", False),
}
# with the preset fast: a network as small as that of the baselines, on few samples
SMALL = {"width": 256, "shared_layers": 3, "head_width": 128, "batch": 8192, "epochs": 20, "learning_rate": 2e-3}


def benchmark_paper2(options: argparse.Namespace) -> None:
    """Print the table."""
    plan = Plan.of(options)
    print_tables({"table1": lambda: table(plan)}, options)


def table(plan: Plan) -> Iterator[Row]:
    """Rows of figures, means over the subjects."""
    subjects = pairs(plan)
    for name, (method, by_plan) in ROWS.items():
        if plan.methods and method not in plan.methods:
            continue
        figures, seconds, ended = [], [], set()
        for truth in subjects.values():
            scans = [
                degrade(t, "interval", [FACTOR if a == axis else 1 for a in range(3)]) for t, axis in zip(truth, AXES)
            ]
            preset, changes = "", {}
            if by_plan:
                preset = "paper"
                changes = SMALL if plan.preset == "fast" else {}
            started = time.perf_counter()
            made = fit(method, scans, preset=preset, settings=dict(changes), slice_profile="none",
                       max_seconds=plan.seconds if by_plan else None)  # fmt: skip
            results = made.sample(truth[0].grid)
            seconds.append(time.perf_counter() - started)
            ended.add(str(made.provenance.get("stopped_by")))
            figures.append(of_pair(results, truth))
        yield {
            "method": name,
            **means(figures),
            "seconds": float(np.mean(seconds)),
            "ended by": ", ".join(sorted(ended)),
        }


def of_pair(results: list[Volume], truth: list[Volume]) -> Figures:
    """Figures of both contrasts."""
    mask = foreground(truth[0].data) | foreground(truth[1].data)
    found: Figures = {}
    for n, (result, wanted) in enumerate(zip(results, truth), 1):
        figures = compare(result.data, wanted.data, mask)["reference"]
        found.update({f"psnr {n}": figures["psnr"], f"ssim {n}": figures["ssim"]})
        span = float(np.percentile(wanted.data[mask], 99.9)) or 1.0
        distances = perceptual_distance(result.data / span, wanted.data / span, AXES[n - 1])
        found.update({f"{k} {n}": v for k, v in distances.items()})
    a, b = (r.data for r in results)
    c, d = (t.data for t in truth)
    found["mi error 1"] = mutual_information_error((a, d), (c, d), mask)
    found["mi error 2"] = mutual_information_error((c, b), (c, d), mask)
    found["mi error both"] = mutual_information_error((a, b), (c, d), mask)
    return found
