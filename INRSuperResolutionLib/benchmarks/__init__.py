"""Benchmarks of ``inrsr benchmark``, by name."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from .fit import benchmark_fit
from .seco import benchmark_seco

BENCHMARKS: dict[str, Callable[[argparse.Namespace], None]] = {
    "fit": benchmark_fit,
    "seco": benchmark_seco,
}
