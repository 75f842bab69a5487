"""``inrsr benchmark paper4``: Table 1 of the paper of the coordinate decoder (Van Veen et al.).

table1
    VIF (pixel domain, images from 0 to 255) and PSNR at 1.5×, 2×, 3× of slices that were made coarser bicubically: bicubic interpolation, the decoder
    trained on scales from 1 to 2 or on 2 alone, with and without denoising loss, and EDSR at 2×. The decoder learns ``--steps`` steps, EDSR
    ``--conv-steps``: its own length, a hundred times as long in the paper (1,000 and 100,000).

The right half, a reader study, is made by ``inrsr study``; its table is ``inrsr study report``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ...acquisition.degrade import degrade
from ...fitting import fit
from ..coordinate import LAMBDA, SCALES, scores
from ..tables import Row, print_tables
from .equal import Learner, train_equally
from .figures import Figures, means, spread
from .material import DataSet, Plan, data_sets
from .nexpr import some_slices

# how much longer the convolutional decoder learns in the paper
LONGER = 100
# rows of the paper's table: method, λ, lowest and highest scale of the training
ROWS = (
    ("coordinate", LAMBDA, 1.0, 2.0),
    ("edsr", 0.0, 2.0, 2.0),
    ("coordinate", 0.0, 1.0, 2.0),
    ("coordinate", LAMBDA, 2.0, 2.0),
    ("edsr", LAMBDA, 2.0, 2.0),
)


def benchmark_paper4(options: argparse.Namespace) -> None:
    """Print the table."""
    plan = Plan.of(options)
    longer = options.conv_steps or LONGER * plan.steps
    print_tables({"table1": lambda: table(plan, longer)}, options)


def learners(plan: Plan, longer: int) -> list[Learner]:
    """The rows, bicubic interpolation aside."""
    made = []
    for method, weight, low, high in ROWS:
        scales = f"{low:g} to {high:g}" if low < high else f"{high:g}"
        made.append(
            Learner(
                f"{method}, λ = {weight:g}, trained on {scales}",
                method,
                settings={"denoise_weight": weight, "constant_rate": plan.preset == "paper"},
                data={"kinds": "bicubic", "lowest_scale": low, "highest_scale": high, "fine_crop": 0},
                steps=longer if method == "edsr" else None,
            )
        )
    return made


def table(plan: Plan, longer: int) -> Iterator[Row]:
    """Rows of figures: data sets × rows of the paper × scales."""
    with tempfile.TemporaryDirectory(prefix="inrsr-paper4-") as scratch:
        for data in data_sets(plan):
            for scale in SCALES:
                figures = []
                for truth in some_slices(data, plan.slices):
                    coarse = degrade(truth, "bicubic", (scale, scale, 1))
                    result = fit("cubic", [coarse], slice_profile="none").sample(truth.grid)[0]
                    figures.append(dict(scores(result, truth)))
                yield {"data": data.name, "method": "bicubic", "scale": scale, **means(figures)}
            for learner in learners(plan, longer):
                yield from of_learner(plan, data, learner, Path(scratch))


def of_learner(plan: Plan, data: DataSet, learner: Learner, folder: Path) -> Iterator[Row]:
    """One row of the paper: a line for each scale that the network makes."""
    trained = [train_equally(learner, data.train, plan.steps, plan.preset, folder, seed) for seed in range(plan.seeds)]
    for scale in SCALES:
        if learner.method == "edsr" and scale != learner.data["highest_scale"]:
            continue
        each: list[Figures] = []
        for one in trained:
            figures = []
            for truth in some_slices(data, plan.slices):
                coarse = degrade(truth, "bicubic", (scale, scale, 1))
                figures.append(dict(scores(one.restore(coarse, truth), truth)))
            each.append(means(figures))
        yield {
            "data": data.name, "method": learner.name, "scale": scale, **means(each),
            "psnr sd": spread([float(e["psnr"] or 0) for e in each]), "steps": float(trained[0].steps),
        }  # fmt: skip
