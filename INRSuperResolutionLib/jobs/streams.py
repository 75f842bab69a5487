"""Standard streams that may be closed, full, or a pipe that nobody reads any more."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO


def open_standard_streams() -> None:
    """Open what is closed of stdin, stdout and stderr onto nothing: else the next file that is opened would be it."""
    for descriptor, name, mode in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_WRONLY), (2, "stderr", os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, mode)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
        if getattr(sys, name) is None:
            way = "r" if descriptor == 0 else "w"
            setattr(sys, name, open(descriptor, way, encoding="utf-8", closefd=False))  # noqa: SIM115 - for good


def tell(text: str, stream: TextIO | None = None, end: str = "\n") -> None:
    """Print at once, on stderr if nothing else is said; a reader that has gone does not end the run."""
    with contextlib.suppress(BrokenPipeError, ValueError):
        print(text, end=end, file=stream or sys.stderr, flush=True)


def silence(stream: TextIO) -> None:
    """Send what is left in a stream, and all that comes, to nowhere, so that Python's own exit does not fail on it."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
