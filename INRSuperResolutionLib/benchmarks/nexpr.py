"""``inrsr benchmark nexpr``: size, speed and ablations of NExpR, as in its paper, on the volumes at hand.

cost
    As Table 5 and Fig. 8: parameters, operations (an addition and a multiplication are two) and milliseconds to
    encode a slice of 64 × 64 pixels, and to draw it at 2, 3 and 4 times the size, of NExpR, the coordinate decoder,
    LIIF and EDSR. Weights do not change these, so the networks are not trained.
frequencies
    As Fig. 9 and 10: PSNR at 4× for several numbers of frequencies, learned or fixed, and in the paper's basis; and
    what the frequencies were at the start and became, in π per pixel. With ``--output``, as ``frequencies.png``.
patch
    As Table 6: PSNR, SSIM, consistency, operations and milliseconds for several sizes of the patches, at 4×.

The last two train each variant for ``--steps`` steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..methods.nexpr.network import NExpRNetwork
from ..methods.nexpr.settings import PAPER_ARCHITECTURE, NExpRArchitecture
from ..methods.pretrained.encoder import SliceNetwork, parameters_of
from ..methods.pretrained.networks import ARCHITECTURES, make_network
from ..methods.pretrained.trained_network import load_network
from ..methods.pretrained.weights import load_weights
from ..pictures import figure_of
from .arbitrary import DEFAULT_DATA
from .raster import flops, median
from .tables import Row, print_tables
from .variants import USUAL_STEPS, Variant, quality, train, truths

SIDE = 64
SCALES = (2, 3, 4)
REPEATS = 15
ABLATED_SCALE = 4.0
FREQUENCIES = (2, 4, 6, 8)
PATCHES = (1, 2, 4, 8)


def benchmark_nexpr(options: argparse.Namespace) -> None:
    """Print the tables."""
    folder = Path(options.data) if options.data else DEFAULT_DATA
    makers = {
        "cost": cost,
        "frequencies": lambda: frequencies(
            folder, options.steps or USUAL_STEPS, options.output and Path(options.output)
        ),
        "patch": lambda: patch(folder, options.steps or USUAL_STEPS),
    }
    print_tables(makers, options)


def cost() -> Iterator[Row]:
    """Rows of the networks' sizes and times."""
    for preset in ("fast", "paper"):
        for method in ("nexpr", "coordinate", "liif", "edsr"):
            network = make_network(ARCHITECTURES[method][preset])
            assert isinstance(network, SliceNetwork)
            yield {"network": f"{method} ({preset})", **figures_of(network.eval(), SCALES)}


@torch.inference_mode()
def figures_of(network: SliceNetwork, scales: tuple[int, ...]) -> Row:
    """Size and times of a network on one slice."""
    torch.manual_seed(0)
    network = network.to(memory_format=network.memory_format)  # type: ignore[call-overload]
    x = torch.randn(1, 1, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    scale = torch.tensor([float(scales[-1])])
    code = network.encode(x, scale)[0].contiguous()
    found: Row = {"parameters": parameters_of(network)}
    lattices = {s: (torch.arange(SIDE * s, dtype=torch.float64) + 0.5) / s - 0.5 for s in scales}
    last = lattices[scales[-1]]
    operations = flops(lambda: network.encode(x, scale)) + flops(lambda: network.residual(code, last, last))
    found["gflop"] = operations / 1e9
    found["encode_ms"] = 1e3 * median(lambda: network.encode(x, scale), REPEATS)
    for s, at in lattices.items():
        found[f"draw_{s}x_ms"] = 1e3 * median(lambda at=at: network.residual(code, at, at), REPEATS)  # type: ignore[misc]
    return found


def frequencies(folder: Path, steps: int, output: Path | None) -> Iterator[Row]:
    """Rows of PSNR at 4×, and the frequencies."""
    plain = NExpRArchitecture()
    variants = []
    for learned in (True, False):
        for count in FREQUENCIES:
            changed = dataclasses.replace(plain, frequencies=count, learn_frequencies=learned)
            variants.append(Variant(f"{count} {'learned' if learned else 'fixed'}", "nexpr", changed))
    paper = {n: getattr(PAPER_ARCHITECTURE, n) for n in ("basis", "frequencies", "first_step")}
    variants.append(Variant("paper's basis, 8 learned", "nexpr", dataclasses.replace(plain, **paper)))
    slices = truths(folder)
    found: dict[str, dict[str, Any]] = {}
    for trained in train(variants, folder, steps):
        row: Row = {"frequencies": trained.variant.name}
        for case, truth in slices.items():
            row[f"psnr {case}"] = quality(trained, truth, ABLATED_SCALE)["psnr"]
        network = load_network(load_weights(str(trained.path), "nexpr"))
        assert isinstance(network, NExpRNetwork)
        basis = network.basis()
        end = [basis.rows, basis.columns] if network.architecture.basis == "paper" else [basis.rows]
        start = network.architecture.first_step * np.arange(1, network.architecture.frequencies + 1)
        found[trained.variant.name] = {
            "psnr": np.mean([float(row[f"psnr {c}"]) for c in slices]),  # type: ignore[arg-type]
            "start": start,
            "end": [np.array(e.tolist()) / math.pi for e in end],
        }
        row["at the start"] = " ".join(f"{f:.2f}" for f in start)
        row["at the end"] = "; ".join(" ".join(f"{f:.2f}" for f in e) for e in found[trained.variant.name]["end"])
        yield row
    if output is not None:
        draw(found, output / "frequencies.png")
        yield {"picture": str(output / "frequencies.png")}


def draw(found: dict[str, dict[str, Any]], path: Path) -> None:
    """PSNR against the number of frequencies, and where the frequencies went."""
    figure = figure_of(9, 3.5)
    left, right = figure.subplots(1, 2)
    for kind in ("learned", "fixed"):
        left.plot(FREQUENCIES, [found[f"{n} {kind}"]["psnr"] for n in FREQUENCIES], "o-", label=kind)
    left.set(xlabel="frequencies of an axis", ylabel="PSNR at 4×, mean (dB)", xticks=FREQUENCIES)
    left.legend()
    names = [name for name in found if "learned" in name]
    for n, one in enumerate(found[name] for name in names):
        right.plot(one["start"], np.full(len(one["start"]), n), "o", color="lightgray")
        for end in one["end"]:
            right.plot(end, np.full(len(end), n), "|", color=f"C{n}", markersize=14)
    right.set(xlabel="frequency (π per pixel); grey: at the start", yticks=range(len(names)), yticklabels=names)
    figure.savefig(path, dpi=100)


def patch(folder: Path, steps: int) -> Iterator[Row]:
    """Rows for sizes of the patches. Frequencies shrink with them: the first wave is as long as two patches."""
    slices = truths(folder)
    plain = NExpRArchitecture()
    variants = [
        Variant(str(a), "nexpr", dataclasses.replace(plain, patch=a, first_step=plain.first_step * plain.patch / a))
        for a in PATCHES
    ]
    for trained in train(variants, folder, steps):
        row: Row = {"patch": trained.variant.name}
        for case, truth in slices.items():
            row.update({f"{n} {case}": v for n, v in quality(trained, truth, ABLATED_SCALE).items()})
        network = load_network(load_weights(str(trained.path), "nexpr"))
        assert isinstance(network, SliceNetwork)
        yield {**row, **figures_of(network, (int(ABLATED_SCALE),))}
