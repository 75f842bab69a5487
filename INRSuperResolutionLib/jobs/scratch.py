"""Temporary folders that do not outlive their process for longer than the next run.

Each holds a file that its process keeps locked. A killed process cannot remove its folder, but it loses the lock: whoever
makes a folder at the same place later sees that, and removes it. A lock holds across containers and reused process
numbers, where the number of a process would not.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

OWNER = "owner"
PREFIX = "inrsr-"


def make_scratch(parent: Path, prefix: str) -> tuple[Path, IO[bytes]]:
    """A new folder in `parent`, and the open file that keeps it; raises OSError where none can be made."""
    while True:
        folder = parent / f"{prefix}{uuid.uuid4().hex[:8]}"
        folder.mkdir(mode=0o700)
        try:
            held = open(folder / OWNER, "w+b")  # noqa: SIM115 - open as long as the folder
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if lock(held) is not False and (folder / OWNER).exists():
            return folder, held
        held.close()  # a sweep came between


def drop_scratch(folder: Path, held: IO[bytes]) -> None:
    """Remove a folder of this process."""
    held.close()
    shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path, prefix: str) -> None:
    """Remove what killed processes have left in `parent`."""
    try:
        left = [
            entry
            for entry in os.scandir(parent)
            if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False)
        ]
    except OSError:
        return
    for entry in left:
        try:
            held = open(Path(entry.path) / OWNER, "r+b")  # noqa: SIM115 - closed below
        except OSError:
            continue  # another's, or no folder of this kind
        with held:
            if lock(held) is not True:
                continue
            if sys.platform != "win32":
                shutil.rmtree(entry.path, ignore_errors=True)
        if sys.platform == "win32":  # an open file cannot be removed there
            shutil.rmtree(entry.path, ignore_errors=True)


@contextlib.contextmanager
def scratch_folder(kind: str = "") -> Iterator[Path]:
    """A temporary folder of the system for the time of a ``with`` block, after those of killed processes are removed."""
    parent = Path(tempfile.gettempdir())
    sweep(parent, PREFIX)
    folder, held = make_scratch(parent, f"{PREFIX}{kind}")
    try:
        yield folder
    finally:
        drop_scratch(folder, held)


def lock(file: IO[bytes]) -> bool | None:
    """Whether the lock of a file was free and is now held, until the file is closed; None where the file system knows no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True
