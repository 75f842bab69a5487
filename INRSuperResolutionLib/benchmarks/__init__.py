"""Benchmarks of ``inrsr benchmark``, by name."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from .arbitrary import benchmark_arbitrary
from .cycleinr import benchmark_cycleinr
from .fit import benchmark_fit
from .raster import benchmark_raster
from .seco import benchmark_seco

BENCHMARKS: dict[str, Callable[[argparse.Namespace], None]] = {
    "arbitrary": benchmark_arbitrary,
    "cycleinr": benchmark_cycleinr,
    "fit": benchmark_fit,
    "raster": benchmark_raster,
    "seco": benchmark_seco,
}
