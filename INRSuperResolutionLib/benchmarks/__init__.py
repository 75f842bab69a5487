"""Benchmarks of ``inrsr benchmark``, by name."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from .arbitrary import benchmark_arbitrary
from .coordinate import benchmark_coordinate
from .cycleinr import benchmark_cycleinr
from .fit import benchmark_fit
from .inplane import benchmark_inplane
from .lesions import benchmark_lesions
from .multicontrast import benchmark_multicontrast
from .nexpr import benchmark_nexpr
from .papers.coordinate import benchmark_paper4
from .papers.cycleinr import benchmark_paper5
from .papers.multicontrast import benchmark_paper2
from .papers.nexpr import benchmark_paper3
from .papers.seco import benchmark_paper1
from .profile import benchmark_profile
from .raster import benchmark_raster
from .seco import benchmark_seco
from .single import benchmark_single
from .uncertainty import benchmark_uncertainty

BENCHMARKS: dict[str, Callable[[argparse.Namespace], None]] = {
    "arbitrary": benchmark_arbitrary,
    "coordinate": benchmark_coordinate,
    "cycleinr": benchmark_cycleinr,
    "fit": benchmark_fit,
    "inplane": benchmark_inplane,
    "lesions": benchmark_lesions,
    "multicontrast": benchmark_multicontrast,
    "nexpr": benchmark_nexpr,
    "paper1": benchmark_paper1,
    "paper2": benchmark_paper2,
    "paper3": benchmark_paper3,
    "paper4": benchmark_paper4,
    "paper5": benchmark_paper5,
    "profile": benchmark_profile,
    "raster": benchmark_raster,
    "seco": benchmark_seco,
    "single": benchmark_single,
    "uncertainty": benchmark_uncertainty,
}
