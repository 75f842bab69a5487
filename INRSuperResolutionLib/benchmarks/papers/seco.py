"""``inrsr benchmark paper1``: the tables of the SeCo-INR paper (Ekanayake et al. 2025).

table1, table2, table3
    RMSE, SSIM and PSNR, means over slices: CT at 2×, 3×, 4×; FLAIR at 1.5×, 2×, 2.5×; T1 at 1.5×, 2×. Slices are averaged over
    the area of coarse pixels ("resized" in the paper), and restored by each network fitted to them.
table4
    Seconds until PSNR ≥ 30 dB or SSIM ≥ 0.90 at 2×: of the shortest fit, cut to a time limit, that reaches it.
table5
    With and without semantic information, at 2×.

With ``--data``, all tables are of the images there: name the one that they belong to. Without, FLAIR is the made T2 of the head.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ...image.files import read
from ...image.intensity import foreground
from ...image.volume import Volume
from ..seco import Case, one_slice, quality_of, restore, times_of
from ..tables import Row, print_tables
from .figures import means, spread
from .material import Plan, cut, heads, images, labels_of_head, part_of

# the order of the paper's tables
NETWORKS = ("relu-pe", "gauss", "mfn", "siren", "wire", "fr", "seco")
# table: what is restored of a clone, and the factors
TABLES: dict[str, tuple[str, tuple[float, ...]]] = {
    "table1": ("ct", (2, 3, 4)),
    "table2": ("t2", (1.5, 2, 2.5)),
    "table3": ("t1", (1.5, 2)),
}
FACTOR = 2.0
# slices are chosen in the middle of the patient, in this part of the stack
FROM, TO = 0.35, 0.65


def benchmark_paper1(options: argparse.Namespace) -> None:
    """Print the tables."""
    plan = Plan.of(options)
    methods = options.methods or NETWORKS
    makers: dict[str, Callable[[], Iterator[Row]]] = {
        name: lambda head=head, factors=factors: quality(plan, head, options.factors or factors, methods)  # type: ignore[misc]
        for name, (head, factors) in TABLES.items()
    }
    makers["table4"] = lambda: times_of(next(cases(plan, "t2", FACTOR)), methods, plan.preset)
    makers["table5"] = lambda: semantics(plan)
    print_tables(makers, options)


def cases(plan: Plan, head: str, factor: float) -> Iterator[Case]:
    """Slices to restore: of a clone's head, or of every image of the folder."""
    if plan.folder is None:
        yield from slices_of(cut(heads()[head], plan.size), plan, factor, labels_of_head())
        return
    for path in images(plan.folder):
        labels = sorted(plan.folder.glob(path.name.split(".")[0] + "_labels.*"))
        yield from slices_of(cut(read(path), plan.size), plan, factor, read(labels[0]) if labels else None)


def slices_of(volume: Volume, plan: Plan, factor: float, labels: Volume | None) -> Iterator[Case]:
    """Slices with much of the patient, with the labels of the uncut image where there are any."""
    seen = np.flatnonzero(foreground(volume.data).any(axis=(0, 1)))
    share = np.linspace(FROM, TO, plan.slices) if plan.slices > 1 else [0.5]
    for k in np.unique([int(seen[0] + s * (seen[-1] - seen[0])) for s in share]):
        truth = one_slice(volume, int(k), factor)
        yield Case(f"{volume.name} {k}", truth, None if labels is None else like(labels, truth), factor)


def like(labels: Volume, truth: Volume) -> Volume:
    """The labels where a slice lies; both are on one lattice."""
    first = np.round(np.linalg.inv(labels.affine) @ truth.affine[:, 3])[:3].astype(int)
    box = tuple(slice(f, f + n) for f, n in zip(first, truth.shape))
    return part_of(labels, box)


def quality(plan: Plan, head: str, factors: Sequence[float], methods: Sequence[str]) -> Iterator[Row]:
    """Rows: factors × networks, means over the slices."""
    for factor in factors:
        some = list(cases(plan, head, factor))
        for method in methods:
            yield {"factor": factor, **restored(some, plan, method)}


def restored(some: Sequence[Case], plan: Plan, name: str, method: str = "", **changes: Any) -> Row:
    """One row: a network fitted to each of the slices; means, and the standard deviation of PSNR over the seeds."""
    each, stopped = [], set()
    for seed in range(plan.seeds):
        figures = []
        for case in some:
            made = restore(method or name, case, plan.seconds, seed, plan.preset, **changes)
            figures.append({k: float(v) for k, v in quality_of(case, made).items() if k != "eroded"})
            stopped.add(str(made.provenance["stopped_by"]))
        each.append(means(figures))
    return {
        "method": name, "slices": float(len(some)), **means(each), "psnr sd": spread([float(e["psnr"] or 0) for e in each]),
        "ended by": ", ".join(sorted(stopped)),
    }  # fmt: skip


def semantics(plan: Plan) -> Iterator[Row]:
    """Table 5."""
    some = list(cases(plan, "t2", FACTOR))
    yield restored(some, plan, "without semantics", "seco", semantics=False)
    yield restored(some, plan, "seco")
