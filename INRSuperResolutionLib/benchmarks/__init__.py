"""Benchmarks of ``inrsr benchmark``, by name."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from .fit import benchmark_fit

BENCHMARKS: dict[str, Callable[[argparse.Namespace], None]] = {"fit": benchmark_fit}
