"""``inrsr benchmark``: measure speed and quality on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from .arguments import Commands, add_debug

# as in BENCHMARKS, which is imported when one of them runs: it takes seconds
NAMES = (
    "arbitrary", "coordinate", "cycleinr", "fit", "inplane", "multicontrast", "nexpr", "paper1", "paper2", "paper3", "paper4",
    "paper5", "profile", "raster", "seco", "single", "uncertainty",
)  # fmt: skip


def add(commands: Commands) -> None:
    """The command and its arguments."""
    benchmark = commands.add_parser("benchmark", help="measure speed and quality on this machine")
    benchmark.add_argument("name", metavar="NAME", help=", ".join(NAMES))
    benchmark.add_argument(
        "--data", metavar="FOLDER", help="folder with the volumes of the benchmark (default: ../shared/data)"
    )
    benchmark.add_argument(
        "--minutes",
        type=float,
        help="time for each slow method (default: 10; paper1 and paper2: each fit, all that it takes)",
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
        "--factors",
        nargs="+",
        type=float,
        metavar="F",
        help="seco: factors in plane (default: 2); paper1 to paper5: (default: the paper's)",
    )
    of_papers = benchmark.add_argument_group("paper1 to paper5 (Documentation/papers.md)")
    of_papers.add_argument("--preset", default="fast", help="fast or paper: networks and fits (default: %(default)s)")
    of_papers.add_argument(
        "--size", type=int, metavar="N", help="voxels along a side, at most (default: 96 without --data, else all)"
    )
    of_papers.add_argument(
        "--slices", type=int, default=2, metavar="N", help="slices of each volume (default: %(default)d)"
    )
    of_papers.add_argument(
        "--seeds",
        type=int,
        default=1,
        metavar="N",
        help="trainings (paper1: fits) of each network (default: %(default)d)",
    )
    benchmark.add_argument("--output", metavar="FOLDER", help="where to draw the pictures of the tables")
    benchmark.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="nexpr, coordinate, paper3 to paper5: training of each network (default: 1000; paper3 to paper5 without --data: 50)",
    )
    of_papers.add_argument(
        "--conv-steps",
        type=int,
        metavar="N",
        help="paper4: training of EDSR (default: 100 times --steps, as in the paper)",
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
