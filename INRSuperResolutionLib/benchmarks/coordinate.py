"""``inrsr benchmark coordinate``: Table 1 and Fig. 3 of the paper of the coordinate decoder, on the volumes at hand.

quality
    VIF (pixel domain, of images from 0 to 255) and PSNR at 1.5×, 2× and 3×, of bicubic interpolation, the coordinate
    decoder trained with and without denoising loss on scales from 1 to 2 or on 2 alone, and EDSR's upsampler.
stopping
    What each of them gains on validation slices in the course of its training (dB over a spline). With ``--output``,
    as ``stopping.png``.

Each variant is trained for ``--steps`` steps (the paper: 1,000 for the decoder, 100,000 for the upsampler).
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ..errors import MissingError
from ..evaluation.metrics import psnr
from ..fitting import fit
from ..image.volume import Volume
from ..methods.pretrained.networks import ARCHITECTURES
from ..pictures import figure_of
from ..training.data import DataSettings
from .arbitrary import DEFAULT_DATA, loses
from .tables import Row, print_tables
from .variants import USUAL_STEPS, Variant, train, truths

SCALES = (1.5, 2.0, 3.0)
LAMBDA = 10.0
RANGES = {"1 to 2": DataSettings(lowest_scale=1, highest_scale=2), "2": DataSettings(lowest_scale=2, highest_scale=2)}


def variants() -> list[Variant]:
    """The rows of Table 1, bicubic interpolation aside."""
    rows = [("coordinate", LAMBDA, "1 to 2"), ("edsr", 0.0, "2"), ("coordinate", 0.0, "1 to 2"),
            ("coordinate", LAMBDA, "2"), ("edsr", LAMBDA, "2")]  # fmt: skip
    return [
        Variant(
            f"{method}, λ = {weight:g}, trained on {scales}",
            method,
            ARCHITECTURES[method]["fast"],
            {"denoise_weight": weight},
            RANGES[scales],
        )
        for method, weight, scales in rows
    ]


def benchmark_coordinate(options: argparse.Namespace) -> None:
    """Print the tables."""
    folder = Path(options.data) if options.data else DEFAULT_DATA

    @functools.cache
    def measured() -> tuple[list[Row], dict[str, list[dict[str, float]]]]:
        return measure(folder, options.steps or USUAL_STEPS)

    makers = {
        "quality": lambda: measured()[0],
        "stopping": lambda: stopping(measured()[1], options.output and Path(options.output)),
    }
    print_tables(makers, options)


def measure(folder: Path, steps: int) -> tuple[list[Row], dict[str, list[dict[str, float]]]]:
    """Rows of figures, and the log of each training."""
    slices = truths(folder)
    rows: list[Row] = []
    logs = {}
    for case, truth in slices.items():
        for scale in SCALES:
            coarse = loses(truth, scale)
            cubic = fit("cubic", [coarse], slice_profile="none").sample(truth.grid)[0]
            rows.append({"case": case, "scale": scale, "method": "bicubic", **scores(cubic, truth)})
    for trained in train(variants(), folder, steps, validate=True):
        logs[trained.variant.name] = trained.log
        for case, truth in slices.items():
            for scale in SCALES:
                # the upsampler makes one scale alone
                if trained.variant.method != "edsr" or scale == trained.variant.data.highest_scale:
                    result = trained.restore(loses(truth, scale), truth)
                    rows.append({"case": case, "scale": scale, "method": trained.variant.name, **scores(result, truth)})
    return sorted(rows, key=lambda r: (str(r["case"]), float(r["scale"] or 0))), logs


def scores(result: Volume, truth: Volume) -> dict[str, float]:
    """VIF and PSNR (dB), means over the slices."""
    try:
        from torchmetrics.functional.image import visual_information_fidelity
    except ImportError as error:
        raise MissingError("torchmetrics is not installed", "pip install torchmetrics") from error
    top = float(np.percentile(truth.data, 99.9))
    a, b = (torch.from_numpy(np.moveaxis(v.data, 2, 0)[:, None] * (255 / top)) for v in (result, truth))
    pairs = [(result.data[..., k] / top, truth.data[..., k] / top) for k in range(truth.shape[2])]
    return {
        "vif": float(visual_information_fidelity(a, b)),
        "psnr": float(np.mean([psnr(x, y) for x, y in pairs])),
    }


def stopping(logs: dict[str, list[dict[str, float]]], output: Path | None) -> Iterator[Row]:
    """The best step of each training and the last one; and a picture."""
    for name, log in logs.items():
        gains = [line["validation_gain_db"] for line in log]
        best = int(np.argmax(gains))
        yield {
            "method": name,
            "best_step": int(log[best]["step"]),
            "best_gain_db": gains[best],
            "last_step": int(log[-1]["step"]),
            "last_gain_db": gains[-1],
        }
    if output is not None:
        draw(logs, output / "stopping.png")
        yield {"picture": str(output / "stopping.png")}


def draw(logs: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Validation against the steps."""
    figure = figure_of(7, 4)
    axes = figure.subplots()
    for name, log in logs.items():
        axes.plot([r["step"] for r in log], [r["validation_gain_db"] for r in log], label=name)
    axes.set(xlabel="step", ylabel="gain over the spline, validation (dB)")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=100)
