"""``inrsr benchmark``: measure speed and quality on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from .arguments import Commands, add_debug

# as in BENCHMARKS, which is imported when one of them runs: it takes seconds
NAMES = (
    "arbitrary", "coordinate", "cycleinr", "fit", "inplane", "lesions", "multicontrast", "nexpr", "profile", "raster", "seco",
    "single", "uncertainty",
)  # fmt: skip


def add(commands: Commands) -> None:
    """The command and its arguments."""
    benchmark = commands.add_parser("benchmark", help="measure speed and quality on this machine")
    benchmark.add_argument("name", metavar="NAME", help=", ".join(NAMES))
    benchmark.add_argument(
        "--data", metavar="FOLDER", help="folder with the volumes of the benchmark (default: ../shared/data)"
    )
    benchmark.add_argument(
        "--minutes", type=float, default=10.0, help="time for each slow method (default: %(default)g)"
    )
    benchmark.add_argument(
        "--methods",
        nargs="+",
        metavar="METHOD",
        help="fit: networks of the paper to measure (default: multicontrast); others: methods (default: all)",
    )
    benchmark.add_argument(
        "--tables",
        nargs="+",
        metavar="TABLE",
        help="the tables to make (default: all)",
    )
    benchmark.add_argument(
        "--factors", nargs="+", type=int, default=[2], metavar="F", help="seco: factors in plane (default: 2)"
    )
    benchmark.add_argument("--output", metavar="FOLDER", help="where to draw the pictures of the tables")
    benchmark.add_argument(
        "--steps",
        type=int,
        default=1000,
        metavar="N",
        help="nexpr, coordinate: training of each variant (default: %(default)d)",
    )
    benchmark.add_argument("--json", action="store_true")
    add_debug(benchmark)
    benchmark.set_defaults(run=run_benchmark)


def run_benchmark(options: argparse.Namespace) -> None:
    """``inrsr benchmark``."""
    from ..benchmarks import BENCHMARKS

    if options.name not in BENCHMARKS:
        raise InputError(f"benchmark {options.name!r} is not known", f"Give one of {', '.join(BENCHMARKS)}")
    if options.output:  # now, not when the first picture is ready hours later
        Path(options.output).mkdir(parents=True, exist_ok=True)
    BENCHMARKS[options.name](options)
