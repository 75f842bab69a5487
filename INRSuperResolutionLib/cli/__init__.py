"""The command line ``inrsr``, a file for each command: a thin client of jobs and their worker.

Importing this file imports next to nothing: a signal during the imports that follow must end in one line, too.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from .. import __version__
from ..errors import Cancelled, InrsrError, as_inrsr_error

if TYPE_CHECKING:
    from .arguments import Parser

STOPPING = (signal.SIGINT, signal.SIGTERM)


def make_parser() -> Parser:
    """The arguments of all commands."""
    from . import batch, benchmark, bids, degrade, evaluate, methods, simulate, study, train, upscale
    from .arguments import Parser

    parser = Parser(
        prog="inrsr",
        description="Super-resolution of medical images by implicit neural representations. For research use only.",
    )
    parser.add_argument("--version", action="version", version=f"inrsr {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for command in (methods, upscale, degrade, evaluate, simulate, train, batch, bids, benchmark, study):
        command.add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # nothing is to be cleaned up during the imports, and an exception there may be swallowed by who imports
    old = handle(end_at_once)
    try:
        return run(arguments)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler if argv is not None else signal.SIG_IGN)


def run(arguments: Sequence[str]) -> int:
    """:func:`main` without the signals of the imports."""
    debug = "--debug" in arguments
    try:
        from ..jobs.streams import open_standard_streams, silence

        open_standard_streams()
        options = make_parser().parse_args(arguments)
        handle(stop)
        options.run(options)
        sys.stdout.flush()
        return 0
    except BrokenPipeError:  # `inrsr methods | head`
        silence(sys.stdout)
        return 0
    except (Exception, KeyboardInterrupt) as error:
        told = as_inrsr_error(error)
        if debug:
            print(getattr(error, "log", ""), file=sys.stderr)
            if not isinstance(told, Cancelled):
                raise
        return tell_failure(told)


def tell_failure(error: InrsrError) -> int:
    """One line on stderr, whatever state the streams are in; returns the exit code."""
    from ..jobs.streams import silence, tell

    try:
        tell(f"inrsr: {error}")
        sys.stdout.flush()
    except OSError:  # a full disk behind one of them
        silence(sys.stdout)
        silence(sys.stderr)
    return error.exit_code


def handle(handler: Any) -> dict[signal.Signals, Any]:
    """Handle the signals that stop a command; returns what did so before. Only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in STOPPING}


def end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """End the process: nothing has been begun."""
    os.write(2, b"inrsr: cancelled\n")
    os._exit(Cancelled.exit_code)


def stop(number: int, frame: FrameType | None) -> NoReturn:
    """Leave what is being done, through all that cleans up behind it; a second signal must not disturb that."""
    handle(signal.SIG_IGN)
    raise Cancelled()
