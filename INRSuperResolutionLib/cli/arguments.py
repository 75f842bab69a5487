"""Arguments that several commands share, and usage errors in one line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from ..device import DEVICES
from ..errors import InputError

# what add_parser of a command line with sub-commands belongs to
Commands = Any


class Parser(argparse.ArgumentParser):
    """Tells usage errors in one line, as all others."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message, f"See {self.prog} --help")


def add_output(parser: argparse.ArgumentParser, required: bool) -> None:
    """Where the results go, and on which grid."""
    parser.add_argument(
        "--output",
        nargs="+",
        default=[],
        required=required,
        metavar="OUT",
        help="one file for each input (NIfTI, NRRD, MHA); from a DICOM input also FOLDER.dcm/",
    )
    parser.add_argument("--labels-output", metavar="FILE", help="write the super-resolved label map (seco)")
    parser.add_argument(
        "--probabilities-output", metavar="FILE.nii.gz", help="write the class probabilities, as 4D NIfTI (seco)"
    )
    grid = parser.add_mutually_exclusive_group()
    grid.add_argument("--like", metavar="VOLUME", help="take exactly the grid of this volume")
    grid.add_argument(
        "--spacing", nargs="+", type=float, metavar="MM", help="spacing of the results, one number or three"
    )
    parser.add_argument(
        "--common-grid",
        action=argparse.BooleanOptionalAction,
        help="all results on one grid, with axes and field of view of the first input, so that they can be stacked "
        "(default: if the inputs are registered; else each in the frame of its own input)",
    )
    grid.add_argument("--scale", nargs="+", type=float, metavar="F", help="times as many voxels, one number or three")


def add_run(parser: argparse.ArgumentParser) -> None:
    """How the worker runs."""
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument("--report", metavar="FILE.json", help="write a report with settings, times and consistency")
    parser.add_argument("--progress", choices=("bar", "json", "none"), default="bar")
    parser.add_argument("--skip-existing", action="store_true", help="do nothing if all results are there already")
    add_debug(parser)


def add_debug(parser: argparse.ArgumentParser) -> None:
    """For our own faults."""
    parser.add_argument("--debug", action="store_true", help="print the traceback and the worker's log")


def changes_of(pairs: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` texts as a dict."""
    changes = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputError(f"--set {pair!r} is not NAME=VALUE")
        changes[name.strip()] = value.strip()
    return changes
