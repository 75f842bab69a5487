"""``inrsr degrade``: simulate a low-resolution scan."""

from __future__ import annotations

import argparse
import sys

from .arguments import Commands, add_debug


def add(commands: Commands) -> None:
    """The command and its arguments."""
    degrade = commands.add_parser("degrade", help="simulate a low-resolution scan")
    degrade.add_argument("input", metavar="INPUT")
    degrade.add_argument("--output", required=True, metavar="OUT")
    degrade.add_argument("--kind", required=True, choices=("kspace", "area", "interval", "profile", "bicubic"))
    degrade.add_argument(
        "--factor",
        required=True,
        nargs="+",
        type=float,
        metavar="F",
        help="one for the axis across the slices, or three",
    )
    add_debug(degrade)
    degrade.set_defaults(run=run_degrade)


def run_degrade(options: argparse.Namespace) -> None:
    """``inrsr degrade``."""
    from ..acquisition.degrade import degrade
    from ..image.files import check_writable_format, read, write_atomically
    from ..jobs.paths import check_nothing_overwritten, check_path

    for path in (options.input, options.output):
        check_path(path)
    check_writable_format(options.output)
    check_nothing_overwritten([options.output], [options.input])
    volume = read(options.input)
    for told in volume.warnings:
        print(f"inrsr: warning: {told}", file=sys.stderr)
    write_atomically(degrade(volume, options.kind, options.factor), options.output)
