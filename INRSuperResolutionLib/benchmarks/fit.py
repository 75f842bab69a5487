"""``inrsr benchmark fit``: how long the fast preset needs for the quality of the paper's network.

Two contrasts of one patient with 4 mm slices along different axes are restored by the interpolations,
by the paper's networks for a fixed time each, and by the fast preset for several shorter times, all
in one run on the same machine. The quality (PSNR inside the head, convention ``clean``) is only looked
at afterwards; no fit sees it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..acquisition.degrade import degrade
from ..evaluation.metrics import compare
from ..fitting import fit
from ..image.files import read
from ..image.intensity import foreground
from ..image.volume import Volume
from ..json_text import json_text
from .anatomy import load_anatomy

DEFAULT_DATA = Path("../shared/data")
SUBJECT = ("ms19_t1.nii.gz", "ms19_flair.nii.gz")
FACTOR = 4
USUAL_MINUTES = 10.0
FAST_SECONDS = (7.5, 15.0, 30.0, None)
COLUMNS = ("method", "preset", "limit_s", "fit_s", "steps", "psnr_1", "psnr_2", "stopped_by")


def load_pair(folder: Path) -> list[Volume]:
    """Two registered contrasts at 1 mm: of the folder, or of the demo where there is no such folder."""
    files = [folder / name for name in SUBJECT]
    if all(f.is_file() for f in files):
        return [read(f) for f in files]
    print(f"{files[0]} is not there: the demo's anatomy is used", file=sys.stderr)
    return list(load_anatomy().values())


def benchmark_fit(options: argparse.Namespace) -> None:
    """Print a row for each method and time, and how much sooner the fast preset is as good as the paper's."""
    truth = load_pair(Path(options.data) if options.data else DEFAULT_DATA)
    # every fourth slice: T1 sagittal, the other contrast axial
    scans = [degrade(v, "interval", f) for v, f in zip(truth, ((FACTOR, 1, 1), (1, 1, FACTOR)))]
    minutes = 60.0 * (options.minutes or USUAL_MINUTES)
    runs: list[tuple[str, str, float | None]] = [("linear", "", None), ("cubic", "", None)]
    runs += [("multicontrast", "fast", limit) for limit in FAST_SECONDS]
    runs += [(method, "paper", minutes) for method in options.methods or ["multicontrast"]]
    rows = []
    if not options.json:
        print(" ".join(f"{c:>15}" for c in COLUMNS))
    for method, preset, limit in runs:
        rows.append(measure(method, preset, limit, scans, truth))
        if not options.json:
            print(" ".join(f"{rows[-1][c] if rows[-1][c] is not None else '-':>15}" for c in COLUMNS), flush=True)
    summary = compare_with_paper(rows)
    if options.json:
        print(json_text({"rows": rows, **summary}, indent=1))
    elif summary["as_good_after_s"] is None:
        print("the fast preset was not as good as the paper's on both contrasts")
    else:
        print(
            f"multicontrast fast is as good as multicontrast paper after {summary['paper_s']:.0f} s on both contrasts"
            f" in {summary['as_good_after_s']:.1f} s: {summary['times_faster']:.0f} times sooner"
        )


def measure(
    method: str, preset: str, limit: float | None, scans: Sequence[Volume], truth: Sequence[Volume]
) -> dict[str, object]:
    """Fit, sample on the grid of the truth, compare."""
    started = time.perf_counter()
    representation = fit(method, scans, preset=preset, slice_profile="none", max_seconds=limit)
    seconds = time.perf_counter() - started
    results = representation.sample(truth[0].grid)
    figures = [compare(r.data, t.data, foreground(t.data))["clean"]["psnr"] for r, t in zip(results, truth)]
    made = representation.provenance
    return {
        "method": method,
        "preset": preset,
        "limit_s": limit,
        "fit_s": round(seconds, 1),
        "steps": made["steps"],
        "psnr_1": round(figures[0], 2),
        "psnr_2": round(figures[1], 2),
        "stopped_by": made["stopped_by"],
    }


def compare_with_paper(rows: Sequence[dict[str, object]]) -> dict[str, float | None]:
    """The shortest fast fit that is at least as good as the paper's on both contrasts, and the ratio of the times."""
    paper = next((r for r in rows if r["method"] == "multicontrast" and r["preset"] == "paper"), None)
    nothing: dict[str, float | None] = {"paper_s": None, "as_good_after_s": None, "times_faster": None}
    if paper is None:
        return nothing
    good = [
        float(str(r["fit_s"]))
        for r in rows
        if r["preset"] == "fast"
        and float(str(r["psnr_1"])) >= float(str(paper["psnr_1"]))
        and float(str(r["psnr_2"])) >= float(str(paper["psnr_2"]))
    ]
    spent = float(str(paper["fit_s"]))
    if not good:
        return {**nothing, "paper_s": spent}
    return {"paper_s": spent, "as_good_after_s": min(good), "times_faster": round(spent / min(good), 1)}
