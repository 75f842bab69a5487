"""``inrsr benchmark paper5``: the tables of the CycleINR paper (Fang et al. 2024), all networks trained alike.

table1
    PSNR, SSIM, LPIPS where its networks are at hand, and SNLI at ×2, ×3, ×5 (every second, third, fifth slice is kept); SNLI of the truth beside.
table2
    The ablation at ×5: neither, one, or both of local attention (LAM) and cycle loss (CCL); mean and standard deviation over the seeds.
table3
    Dice and NSD (1 mm) of a segmentation of the result against the same segmentation of the truth, means over its classes. The
    paper segments liver and tumour by nnU-Net; here it is multi-Otsu's thresholds, which need no training.
cost
    Not in the paper: parameters, operations (an addition and a multiplication are two) to encode a voxel and to draw a point, and microseconds
    of the processor to draw one, of CycleINR, ArSSR, SAINT, and NExpR in three dimensions. Weights do not change these: nothing is trained.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from skimage.filters import threshold_multiotsu
from torch import nn

from ...acquisition.noise import snli
from ...evaluation.metrics import compare
from ...evaluation.overlap import label_agreement
from ...evaluation.perceptual import perceptual_distance
from ...fitting import fit
from ...image.intensity import robust_range
from ...image.volume import Volume
from ...methods.cycleinr.blocks import BlockNetwork
from ...methods.cycleinr.network import Told
from ...methods.pretrained.networks import TRAINABLE, make_network
from ..cycleinr import sharp_axis, without_slices
from ..raster import flops
from ..tables import Row, print_tables
from .equal import Learner, Trained, train_equally
from .figures import Figures, means, spread
from .material import DataSet, Plan, data_sets

FACTORS = (2.0, 3.0, 5.0)
ABLATED_FACTOR = 5.0
INTERPOLATIONS = ("cubic", "linear")
METHODS = ("arssr", "saint", "cycleinr")
# the weight of the cycle loss
CYCLE = {"arssr": 0.0, "cycleinr": 1.0}
# of which the cost is told; slices, rows and columns of the block, and how many times finer it is drawn
COSTS = ("cycleinr", "arssr", "saint", "nexpr3d")
BLOCK, FACTOR_OF_COST, REPEATS = (10, 34, 34), 4.0, 5
CLASSES = 4
TOLERANCE_MM = 1.0
VARIANTS = {
    "INR": Learner("INR", "arssr", settings={"cycle_weight": 0.0}),
    "INR + LAM": Learner("INR + LAM", "cycleinr", settings={"cycle_weight": 0.0}),
    "INR + CCL": Learner("INR + CCL", "arssr", settings={"cycle_weight": 1.0}),
    "INR + LAM + CCL": Learner("INR + LAM + CCL", "cycleinr", settings={"cycle_weight": 1.0}),
}


class Bench:
    """Networks that are trained when they are first asked for, and what they make of volumes that lost slices."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.plan_sets: list[DataSet] | None = None
        self.trained: Callable[[str, DataSet, int], Trained] = functools.cache(self._train)
        self.restored: Callable[[str, DataSet, float, int], list[tuple[Volume, Volume, int]]] = functools.cache(
            self._restore
        )

    @property
    def sets(self) -> list[DataSet]:
        """What is learned from and measured; read when a table asks for it."""
        if self.plan_sets is None:
            self.plan_sets = data_sets(self.plan)
        return self.plan_sets

    @property
    def methods(self) -> Sequence[str]:
        """Of the plan, or all."""
        return self.plan.methods or METHODS

    def _train(self, name: str, data: DataSet, seed: int) -> Trained:
        learner = VARIANTS.get(name) or Learner(name, name, settings={"cycle_weight": CYCLE.get(name, 0.0)})
        return train_equally(learner, data.train, self.plan.steps, self.plan.preset, self.folder, seed)

    def _restore(self, name: str, data: DataSet, factor: float, seed: int) -> list[tuple[Volume, Volume, int]]:
        """Result, truth, and the axis across the slices, of each test volume."""
        found = []
        for volume in data.test:
            axis = sharp_axis(volume)
            truth, coarse = without_slices(volume, axis, int(factor))
            if name in INTERPOLATIONS:
                result = fit(name, [coarse], slice_profile="none").sample(truth.grid)[0]
            elif name == "truth":
                result = truth
            else:
                result = self.trained(name, data, seed).restore(coarse, truth, axis)
            found.append((result, truth, axis))
        return found


def benchmark_paper5(options: argparse.Namespace) -> None:
    """Print the tables."""
    plan = Plan.of(options)
    factors = options.factors or FACTORS
    with tempfile.TemporaryDirectory(prefix="inrsr-paper5-") as scratch:
        bench = Bench(plan, Path(scratch))
        makers = {
            "table1": lambda: quality(bench, factors),
            "table2": lambda: ablation(bench),
            "table3": lambda: downstream(bench, factors),
            "cost": lambda: cost(plan),
        }
        print_tables(makers, options)


def quality(bench: Bench, factors: Sequence[float]) -> Iterator[Row]:
    """Table 1."""
    for data in bench.sets:
        for factor in factors:
            yield {
                "data": data.name,
                "factor": factor,
                "method": "truth",
                "snli": figures_of(bench, "truth", data, factor, 0)["snli"],
            }
            for name in (*INTERPOLATIONS, *bench.methods):
                yield {"data": data.name, "factor": factor, "method": name, **over_seeds(bench, name, data, factor)}


def ablation(bench: Bench) -> Iterator[Row]:
    """Table 2."""
    for data in bench.sets:
        for name in VARIANTS:
            yield {"data": data.name, "variant": name, **over_seeds(bench, name, data, ABLATED_FACTOR)}


def over_seeds(bench: Bench, name: str, data: DataSet, factor: float) -> Row:
    """Means over the seeds, the standard deviations of PSNR and SNLI, and how long was learned."""
    learns = name not in INTERPOLATIONS
    each = [figures_of(bench, name, data, factor, seed) for seed in range(bench.plan.seeds if learns else 1)]
    row: Row = dict(means(each))
    if learns:
        row.update({f"{n} sd": spread([float(e[n] or 0) for e in each]) for n in ("psnr", "snli")})
        trained = bench.trained(name, data, 0)
        row.update(steps=float(trained.steps), seconds=round(trained.seconds, 1), parameters=float(trained.parameters))
    return row


def figures_of(bench: Bench, name: str, data: DataSet, factor: float, seed: int) -> Figures:
    """Means over the test volumes."""
    rows: list[Figures] = []
    for result, truth, axis in bench.restored(name, data, factor, seed):
        mask = truth.data > truth.data.min()
        span = robust_range(truth.data)
        low = float(truth.data.min())
        figures: Figures = {"snli": snli(result.data, mask, axis, span)}
        if name != "truth":
            clean = compare(result.data, truth.data, mask)["clean"]
            figures = {"psnr": clean["psnr"], "ssim": clean["ssim"], **figures}
            figures.update(perceptual_distance((result.data - low) / span, (truth.data - low) / span, axis))
        rows.append(figures)
    return means(rows)


def downstream(bench: Bench, factors: Sequence[float]) -> Iterator[Row]:
    """Table 3."""
    for data in bench.sets:
        for factor in factors:
            for name in (*INTERPOLATIONS, *bench.methods):
                rows: list[Figures] = []
                for result, truth, _ in bench.restored(name, data, factor, 0):
                    found = label_agreement(segmented(result), segmented(truth), TOLERANCE_MM)
                    rows.append({k: float(np.mean([f[k] for f in found.values()])) for k in ("dice", "nsd")})
                yield {"data": data.name, "factor": factor, "method": name, **means(rows)}


def cost(plan: Plan) -> Iterator[Row]:
    """Rows of the networks' sizes and times, on a block as large as those of a training."""
    told = [Told(FACTOR_OF_COST, 0.0)]
    x = torch.randn(1, *BLOCK, generator=torch.Generator().manual_seed(0))
    heights = torch.linspace(1, BLOCK[0] - 2, round((BLOCK[0] - 3) * FACTOR_OF_COST) + 1)
    for method in plan.methods or COSTS:
        network = make_network(TRAINABLE[method][plan.preset]).eval()

        @torch.inference_mode()
        def encode(network: nn.Module = network) -> torch.Tensor:
            return network.encode(x) if isinstance(network, BlockNetwork) else network.encode(x, told)  # type: ignore[operator]

        codes = encode()[0]

        @torch.inference_mode()
        def draw(network: nn.Module = network, codes: torch.Tensor = codes) -> torch.Tensor:
            if isinstance(network, BlockNetwork):
                return network.sample(codes, heights)
            return network.decode(codes, heights, told[0])  # type: ignore[operator]

        points = draw().numel()
        times = []
        for _ in range(REPEATS):
            started = time.process_time()
            draw()
            times.append(time.process_time() - started)
        yield {
            "method": method,
            "parameters": float(sum(p.numel() for p in network.parameters())),
            "flop to encode a voxel": flops(encode) / x.numel(),
            "flop to draw a point": flops(draw) / points,
            "microseconds to draw a point": 1e6 * min(times) / points,
        }


def segmented(volume: Volume) -> Volume:
    """Classes of the brightness, from the image alone; the darkest one is 0."""
    low, high = np.percentile(volume.data, [0.1, 99.9])
    values = np.clip(volume.data, low, high)
    return volume.replace(data=np.digitize(values, threshold_multiotsu(values, CLASSES)), name="classes")
