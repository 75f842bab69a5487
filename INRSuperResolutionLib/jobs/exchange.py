"""Two folders that change places in one step, so that whoever is killed in between leaves one of them there, whole."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path

CURRENT_FOLDER = -100  # AT_FDCWD of Linux
SWAP = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


def put_folder(made: Path, result: Path) -> None:
    """Put a new folder in the place of one that is there; the old one is then where the new one was, or beside it.

    Where the system cannot exchange them, the old one steps aside first and comes back if the new one cannot follow.

    Raises
    ------
    OSError
        If it cannot be done; the old folder is then in its place.
    """
    if exchanged(made, result):
        return
    aside = made.with_name(f"{made.name}.old")
    os.replace(result, aside)
    try:
        os.replace(made, result)
    except OSError:
        os.replace(aside, result)
        raise


def exchanged(first: Path, second: Path) -> bool:
    """Whether two folders could be exchanged, and are."""
    names = os.fsencode(first), os.fsencode(second)
    with contextlib.suppress(OSError, AttributeError):
        if sys.platform == "linux":
            library = ctypes.CDLL(None, use_errno=True)
            return library.renameat2(CURRENT_FOLDER, names[0], CURRENT_FOLDER, names[1], SWAP) == 0
        if sys.platform == "darwin":
            return ctypes.CDLL(None, use_errno=True).renamex_np(*names, SWAP) == 0
    return False
