"""``inrsr benchmark raster``: how fast an explicit function is drawn.

A slice of 256 × 256 pixels is drawn at 1024 × 1024, each way several times in turns so that a busy machine
slows all of them alike, beside torch's bicubic interpolation and a LIIF decoder at the same output.
An oblique plane through a volume is drawn likewise, and scattered points are summed for comparison. Weights do
not change the speed, so the networks are not trained ones.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import interpolate
from torch.utils.flop_counter import FlopCounterMode

from ..json_text import json_text
from ..methods.coordinate.network import CoordinateNetwork
from ..methods.coordinate.settings import LIIF_ARCHITECTURE
from ..methods.nexpr.drawing import SliceFunction
from ..methods.nexpr.network import NExpRNetwork
from ..methods.nexpr.plane import Plane
from ..methods.nexpr.planes import VolumeFunction
from ..methods.nexpr.raster import Basis, direct_sum
from ..methods.nexpr.settings import PAPER_ARCHITECTURE, NExpRArchitecture
from ..methods.pretrained.encoder import lattice_points, parameters_of
from ..methods.pretrained.slicewise import PADDING

SIDE = 256
DRAWN = 1024
ROUNDS = 15
# voxels along each axis of the volume that an oblique plane is taken of
SMALLER = 182
# points that the LIIF decoder is timed on; all of them would take minutes
LIIF_POINTS = 1 << 14
COLUMNS = ("what", "milliseconds", "times_bicubic")


@torch.inference_mode()
def benchmark_raster(options: argparse.Namespace) -> None:
    """Print a row for each way to draw."""
    torch.manual_seed(0)
    image = np.random.default_rng(0).random((SIDE, SIDE)).astype(np.float32)
    x = torch.from_numpy(image)[None, None]
    network = NExpRNetwork(NExpRArchitecture()).eval()
    padded = torch.nn.functional.pad(x, [PADDING] * 4, mode="replicate")
    encode_seconds = median(lambda: network.encode(padded, torch.ones(1)), 3)
    code = network.encode(padded, torch.ones(1))[0].half().contiguous()
    function = SliceFunction(code, network.basis(), image, 1.0, -np.inf, PADDING)
    factor = DRAWN / SIDE
    whole = (np.arange(DRAWN) + 0.5) / factor - 0.5
    other = np.linspace(3.3, 231.7, DRAWN)
    points = lattice_points(*(torch.from_numpy(whole + PADDING),) * 2)
    plane, volume = oblique_plane(code, network.basis(), min(SMALLER, SIDE))
    ways: dict[str, Callable[[], object]] = {
        "bicubic interpolation": lambda: interpolate(x, scale_factor=factor, mode="bicubic"),
        f"NExpR, {factor:g}x": lambda: function.draw(whole, whole),
        "NExpR, any scale": lambda: function.draw(other, other),
        "NExpR, oblique plane of 182 x 182 x 182": lambda: volume.draw(plane),
    }
    seconds = {name: [] for name in ways}  # type: dict[str, list[float]]
    for _ in range(ROUNDS):
        for name, way in ways.items():
            seconds[name].append(median(way, 1))
    figures = {name: statistics.median(s) for name, s in seconds.items()}
    figures["NExpR, direct sum of scattered points"] = median(lambda: direct_sum(code, network.basis(), points), 1)
    liif = CoordinateNetwork(LIIF_ARCHITECTURE).eval()
    codes = liif.encode(x, torch.full((1,), factor))[0]
    part = median(lambda: liif.at(codes, points[:LIIF_POINTS] - PADDING), 3)
    figures["LIIF decoder"] = part * len(points) / LIIF_POINTS
    figures["NExpR, encoding the slice"] = encode_seconds
    size = {
        "NExpR": (network, lambda: network.encode(x, torch.ones(1))),
        "NExpR of the paper": (paper := NExpRNetwork(PAPER_ARCHITECTURE), lambda: paper.encode(x, torch.ones(1))),
        "LIIF": (liif, lambda: liif.encode(x, torch.ones(1))),
    }
    sizes = [
        {"network": name, "parameters": parameters_of(n), "gflops_encode": round(flops(encode) / 1e9, 2)}
        for name, (n, encode) in size.items()
    ]
    bicubic = figures["bicubic interpolation"]
    rows = [
        {"what": name, "milliseconds": round(1e3 * s, 3), "times_bicubic": round(s / bicubic, 3)}
        for name, s in figures.items()
    ]
    faster = figures["LIIF decoder"] / figures[f"NExpR, {factor:g}x"]
    if options.json:
        print(
            json_text(
                {
                    "threads": torch.get_num_threads(),
                    "rows": rows,
                    "networks": sizes,
                    "faster_than_liif": round(faster),
                },
                indent=1,
            )
        )
        return
    print(f"{DRAWN} x {DRAWN} from {SIDE} x {SIDE}, {torch.get_num_threads()} threads, medians")
    for row in rows:
        print(f"{row['what']:40} {row['milliseconds']:12.2f} ms {row['times_bicubic']:10.2f} x bicubic")
    for told in sizes:
        print(
            f"{told['network']:20} {told['parameters']:10,} parameters {told['gflops_encode']:8.2f} GFLOP to encode a slice"
        )
    print(f"NExpR at {factor:g}x is drawn {faster:.0f} times faster than LIIF")


def oblique_plane(code: torch.Tensor, basis: Basis, side: int) -> tuple[Plane, VolumeFunction]:
    """A plane that holds no axis of a volume, just large enough for it, and the volume; all of its slices have one code."""
    spline = np.random.default_rng(0).random((side,) * 3, dtype=np.float32)
    volume = VolumeFunction(spline, 2, lambda _: code, basis, 1.0, -np.inf, PADDING)
    right, down = (np.array(v) / np.linalg.norm(v) * side / DRAWN for v in ((5.0, 1.0, 2.0), (-1.0, 7.0, -1.0)))
    first = side / 2 - 0.5 - (right + down) * (DRAWN - 1) / 2
    return Plane(first, down, right, (DRAWN, DRAWN)), volume


def flops(call: Callable[[], object]) -> int:
    """Floating-point operations of a call, a multiplication with an addition counted as two."""
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def median(way: Callable[[], object], times: int) -> float:
    """Median seconds of a call, after one that warms up."""
    way()
    found = []
    for _ in range(times):
        started = time.perf_counter()
        way()
        found.append(time.perf_counter() - started)
    return statistics.median(found)
