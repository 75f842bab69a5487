"""What a cohort will take on which machine, from cases that are done, or from what a run foresees."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..auto import AUTO, choose
from ..errors import InputError, InrsrError
from ..image.files import read_grid
from ..jobs.estimate import Estimate, estimate
from ..jobs.grids import output_grids
from ..jobs.job import Job
from ..methods import get_method
from .manifest import Case

# of a cohort all are alike: cases that are looked at
LOOKED_AT = 20
HEADS = (1_000, 100_000)
CORES, GPUS = (1, 64), 8
# of processor time that coordinator and scheduler need for a case (Testing/many_cases.py); so many can end in a second
SECONDS_PER_CASE = 0.01


@dataclass(frozen=True)
class Cost:
    """Of the cases that were looked at."""

    seconds: float
    """Of a case, the mean."""
    voxels: float
    """Of the results of a case, the mean."""
    count: int
    source: str
    """Where the figures are from."""

    @property
    def per_megavoxel(self) -> float:
        """Seconds for a million voxels of results."""
        return self.seconds / (self.voxels / 1e6)


def foreseen(job: Job, on_gpu: bool) -> tuple[Estimate, int]:
    """What a run tells before it starts, and the voxels of its results. Raises InrsrError or OSError for bad files."""
    own = [read_grid(path) for path in job.inputs]
    grids = output_grids(job, own, read_grid(job.like) if job.like else None)
    name = choose(own, grids[0], job.is_guided).method if job.method == AUTO else job.method
    settings = get_method(name).settings(job.preset, job.settings)
    told = estimate(name, settings, own, grids, on_gpu, job.max_seconds, job.threads)
    return told, sum(grid.size for grid in grids)


def estimated(cases: Sequence[Case], on_gpu: bool) -> Cost | None:
    """Of the first cases, as a run foresees them; None where none can be foreseen."""
    found = []
    for case in cases[:LOOKED_AT]:
        try:
            told, voxels = foreseen(case.job, on_gpu) if case.job is not None else (None, 0)
        except (InrsrError, OSError):
            continue
        if told is not None and told.seconds is not None:
            found.append((told.seconds, voxels))
    return _mean(found, "estimated, within a factor of about 2")


def measured(cases: Iterable[Case], on_gpu: bool) -> Cost | None:
    """Of the cases that are done, from their reports; None where none is."""
    found = [
        (float(report["seconds"]["total"]), sum(_voxels(o) for o in report["outputs"]))
        for report in _reports(cases)
        if (report["device"] != "cpu") == on_gpu
    ]
    return _mean(found, "measured")


def _reports(cases: Iterable[Case]) -> Iterator[dict[str, Any]]:
    for case in cases:
        try:
            if case.job is not None:
                yield json.loads(Path(str(case.job.report)).read_text("utf-8"))
        except (OSError, ValueError):
            continue


def _voxels(output: dict[str, Any]) -> int:
    a, b, c = output["shape"][:3]
    return a * b * c


def _mean(found: Sequence[tuple[float, int]], source: str) -> Cost | None:
    if not found:
        return None
    return Cost(statistics.mean(s for s, _ in found), statistics.mean(v for _, v in found), len(found), source)


def table(cases: Sequence[Case], threads: int) -> list[str]:
    """Lines to print.

    Raises
    ------
    InputError
        If there is nothing to tell from.
    """
    costs = {on_gpu: measured(cases, on_gpu) or estimated(cases, on_gpu) for on_gpu in (False, True)}
    cpu, gpu = costs[False], costs[True]
    if cpu is None:
        raise InputError("no case of the manifest can be foreseen", "Do a few first, or correct the paths")
    lines = []
    for told, where in ((cpu, f"CPU, {threads} thread{'s' * (threads > 1)} a case"), (gpu, "GPU, a case at a time")):
        if told is not None:
            lines.append(
                f"{where}: {told.seconds:.1f} s a case, {told.per_megavoxel:.2f} s a million voxels of results"
                f" ({told.source}; {told.count} cases of {told.voxels / 1e6:.1f} million voxels)"
            )
    at_a_time = [(f"{n} core{'s' * (n > 1)}", max(1, n // threads), cpu) for n in CORES]
    if gpu is not None:
        at_a_time.append((f"{GPUS} GPUs", GPUS, gpu))
    lines.append("".join(f"{name:>14}" for name in ("cases", *(name for name, _, _ in at_a_time))))
    for heads in HEADS:
        taken = [max(heads * cost.seconds / slots, heads * SECONDS_PER_CASE) for _, slots, cost in at_a_time]
        lines.append("".join(f"{text:>14}" for text in (f"{heads:,}", *map(span, taken))))
    lines.append("All times of the table are extrapolated: cases alike, all workers busy, files not waited for.")
    return lines


def span(seconds: float) -> str:
    """As people say it: ``40 min``, ``12 h``, ``3 days``, ``1.9 years``."""
    for unit, size in (("years", 365.25 * 86400), ("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            value = seconds / size
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{seconds:.0f} s"
