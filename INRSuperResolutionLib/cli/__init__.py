"""The command line ``inrsr``, a file for each command: a thin client of jobs and their worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import InrsrError
from . import benchmark, degrade, evaluate, methods, train, upscale
from .arguments import Parser


def make_parser() -> Parser:
    """The arguments of all commands."""
    parser = Parser(
        prog="inrsr",
        description="Super-resolution of medical images by implicit neural representations. For research use only.",
    )
    parser.add_argument("--version", action="version", version=f"inrsr {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for command in (methods, upscale, degrade, evaluate, train, benchmark):
        command.add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        options = make_parser().parse_args(arguments)
        options.run(options)
        return 0
    except InrsrError as error:
        if debug:
            print(getattr(error, "log", ""), file=sys.stderr)
            raise
        print(f"inrsr: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("inrsr: cancelled", file=sys.stderr)
        return 3
    except BrokenPipeError:  # `inrsr methods | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        print(
            f"inrsr: unexpected {type(error).__name__}: {error}. Please report it, with the output of --debug",
            file=sys.stderr,
        )
        return 1
