"""``inrsr benchmark paper3``: the tables of the NExpR paper (Pang et al.), all networks trained alike.

table2
    PSNR, SSIM, consistency, and LPIPS where its networks are at hand, at 2×, 3×, 4×, means over the slices of each data set.
table3
    The same over all data sets and scales, and p of the paired t-test against ``nexpr``.
table4
    Learned from one data set, measured on another, at 4×.
figure5
    As Fig. 5 to 7: the slices that lost resolution by 4 drawn at scales from 2 to 4, by the networks for any scale.
table6, figure10
    NExpR with other patches, and with other numbers of frequencies, learned or fixed, at 4×.

MR slices lose the outer part of their k-space; CT slices, of -140 to 260 HU, are made coarser bicubically. Each network learns ``--steps`` steps on the training volumes of
a data set, those of one scale once for each scale. Table 5 and Fig. 8 are ``inrsr benchmark nexpr --tables cost``.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ...acquisition.degrade import degrade
from ...fitting import fit
from ...image.volume import Volume
from ..tables import Row, print_tables
from .equal import FIXED, Learner, Trained, train_equally
from .figures import Figures, means, of_slices, paired_p, spread
from .material import DataSet, Plan, data_sets

FACTORS = (2.0, 3.0, 4.0)
CROSS_FACTOR = 4.0
BASELINE = "cubic"
OURS = "nexpr"
METHODS = ("edsr", "swinir", "srgan", "liif", "lte", "srno", "coordinate", OURS)
PATCHES = (1, 2, 4, 8)
FREQUENCIES = (2, 4, 8, 12)
SCALES = (2.0, 2.5, 3.0, 3.5, 4.0)
# of a CT, in Hounsfield units
WINDOW = (-140.0, 260.0)
# so that a slice has whole numbers of pixels at the scales of the tables
MULTIPLE = 12
# part of the stack that slices are taken from
FROM, TO = 0.3, 0.7


class Bench:
    """Networks that are trained when they are first asked for, and what they make of slices.

    Parameters
    ----------
    folder
        Where their weights are written.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.sets = [s.within(*WINDOW) if s.kind == "bicubic" else s for s in data_sets(plan)]
        self.trained: Callable[[str, DataSet, float | None, int], Trained] = functools.cache(self._train)
        self.measured: Callable[[str, DataSet, DataSet, float], tuple[list[Figures], ...]] = functools.cache(
            self._measure
        )

    @property
    def methods(self) -> Sequence[str]:
        """Of the plan, or all."""
        return self.plan.methods or METHODS

    def _train(self, method: str, on: DataSet, factor: float | None, seed: int) -> Trained:
        data: dict[str, object] = {"kinds": on.kind}
        architecture: dict[str, object] = {}
        if factor is not None:
            data.update(lowest_scale=factor, highest_scale=factor)
            architecture["factor"] = int(factor)
        name = f"{method} on {on.name}" + (f" at {factor:g}×" if factor else "")
        learner = Learner(name, method, architecture, data=data)
        return train_equally(learner, on.train, self.plan.steps, self.plan.preset, self.folder, seed)

    def _measure(self, method: str, on: DataSet, of: DataSet, factor: float) -> tuple[list[Figures], ...]:
        """Figures of every slice of `of`, for each seed, of what was learned from `on`."""
        found = []
        for seed in range(1 if method == BASELINE else self.plan.seeds):
            figures: list[Figures] = []
            for truth in some_slices(of, self.plan.slices):
                coarse = degrade(truth, of.kind, (factor, factor, 1))
                if method == BASELINE:
                    result = fit(method, [coarse], slice_profile="none").sample(truth.grid)[0]
                else:
                    trained = self.trained(method, on, factor if method in FIXED else None, seed)
                    result = trained.restore(coarse, truth)
                figures += of_slices(result, truth, coarse, of.kind)
            found.append(figures)
        return tuple(found)


def benchmark_paper3(options: argparse.Namespace) -> None:
    """Print the tables."""
    plan = Plan.of(options)
    factors = options.factors or FACTORS
    with tempfile.TemporaryDirectory(prefix="inrsr-paper3-") as scratch:
        bench = Bench(plan, Path(scratch))
        makers = {
            "table2": lambda: fixed(bench, factors),
            "table3": lambda: significance(bench, factors),
            "table4": lambda: across_sets(bench),
            "figure5": lambda: arbitrary(bench),
            "table6": lambda: variants(bench, patches()),
            "figure10": lambda: variants(bench, frequencies()),
        }
        print_tables(makers, options)


def some_slices(data: DataSet, count: int) -> Iterator[Volume]:
    """Slices of each test volume, from 0 up and far apart so that they stay slices."""
    for volume in data.test:
        i, j, k = volume.shape
        chosen = np.unique(np.linspace(FROM * k, TO * k, count).astype(int)) if count > 1 else [k // 2]
        box = volume.data[: i // MULTIPLE * MULTIPLE, : j // MULTIPLE * MULTIPLE, chosen]
        yield Volume(box if data.kind == "bicubic" else np.maximum(box, 0), np.diag([1, 1, 8, 1.0]), name=volume.name)


def fixed(bench: Bench, factors: Sequence[float]) -> Iterator[Row]:
    """Table 2."""
    for data in bench.sets:
        for factor in factors:
            for method in (BASELINE, *bench.methods):
                seeds = bench.measured(method, data, data, factor)
                each = [means(figures) for figures in seeds]
                row: Row = {"data": data.name, "factor": factor, "method": method, **means(each)}
                row["psnr sd"] = spread([float(e["psnr"] or 0) for e in each])
                if method != BASELINE:
                    trained = bench.trained(method, data, factor if method in FIXED else None, 0)
                    row.update(
                        steps=float(trained.steps),
                        seconds=round(trained.seconds, 1),
                        parameters=float(trained.parameters),
                    )
                yield row


def significance(bench: Bench, factors: Sequence[float]) -> Iterator[Row]:
    """Table 3: over all slices, data sets and scales, of the first seed."""

    def all_of(method: str) -> list[Figures]:
        return [f for data in bench.sets for factor in factors for f in bench.measured(method, data, data, factor)[0]]

    ours = all_of(OURS) if OURS in bench.methods else None
    for method in (BASELINE, *bench.methods):
        figures = all_of(method)
        row: Row = {"method": method, "slices": float(len(figures)), **means(figures)}
        if ours is not None and method != OURS:
            for name in ("psnr", "ssim", "consistency"):
                pairs = [(f[name], o[name]) for f, o in zip(figures, ours) if name in f and name in o]
                row[f"p {name}"] = paired_p(*zip(*pairs)) if pairs else None
        yield row


def across_sets(bench: Bench) -> Iterator[Row]:
    """Table 4."""
    for on in bench.sets:
        for of in bench.sets:
            if of is on or of.kind != on.kind:
                continue
            for method in bench.methods:
                each = [means(f) for f in bench.measured(method, on, of, CROSS_FACTOR)]
                yield {"learned from": on.name, "measured on": of.name, "method": method, **means(each)}


def arbitrary(bench: Bench) -> Iterator[Row]:
    """Fig. 5 to 7: a network of one scale has no place in it."""
    for data in bench.sets:
        for method in (BASELINE, *(m for m in bench.methods if m not in FIXED)):
            for scale in SCALES:
                figures: list[Figures] = []
                for truth in some_slices(data, bench.plan.slices):
                    coarse = degrade(truth, data.kind, (CROSS_FACTOR, CROSS_FACTOR, 1))
                    finer = CROSS_FACTOR / scale
                    wanted = truth if finer == 1 else degrade(truth, data.kind, (finer, finer, 1))
                    if method == BASELINE:
                        result = fit(method, [coarse], slice_profile="none").sample(wanted.grid)[0]
                    else:
                        result = bench.trained(method, data, None, 0).restore(coarse, wanted)
                    figures += of_slices(result, wanted, coarse, data.kind)
                yield {"data": data.name, "method": method, "scale": scale, **means(figures)}


def patches() -> list[Learner]:
    """Table 6. Frequencies shrink with the patches: the first wave is as long as two of them."""
    return [Learner(f"patch {a}", OURS, {"patch": a, "first_step": 1.0 / a}) for a in PATCHES]


def frequencies() -> list[Learner]:
    """Fig. 10."""
    return [
        Learner(f"{n} {'learned' if learned else 'fixed'}", OURS, {"frequencies": n, "learn_frequencies": learned})
        for learned in (True, False)
        for n in FREQUENCIES
    ]


def variants(bench: Bench, learners: Sequence[Learner]) -> Iterator[Row]:
    """NExpR's variants on the first data set, at 4×; mean and standard deviation over the seeds."""
    data = bench.sets[0]
    for learner in learners:
        each = []
        for seed in range(bench.plan.seeds):
            trained = train_equally(learner, data.train, bench.plan.steps, bench.plan.preset, bench.folder, seed)
            figures: list[Figures] = []
            for truth in some_slices(data, bench.plan.slices):
                coarse = degrade(truth, data.kind, (CROSS_FACTOR, CROSS_FACTOR, 1))
                figures += of_slices(trained.restore(coarse, truth), truth, coarse, data.kind)
            each.append(means(figures))
        yield {"variant": learner.name, **means(each), "psnr sd": spread([float(e["psnr"] or 0) for e in each])}
