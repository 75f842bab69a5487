"""Benchmarks of ``inrsr benchmark``, by name."""

from __future__ import annotations

import argparse
from collections.abc import Callable

BENCHMARKS: dict[str, Callable[[argparse.Namespace], None]] = {}
