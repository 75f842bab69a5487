"""Whether the paths of a job can be used: as file names at all, and without writing over what is read."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError


def check_path(path: str, what: str = "file") -> None:
    """Raise InputError for a text that is no file name here: empty, with a NUL, not encodable, or too long."""
    shown = path if len(path) <= 60 else f"{path[:40]}…{path[-15:]}"
    if not path.strip():
        raise InputError(f"the name of a {what} is empty", "Name a file")
    if "\0" in path:
        raise InputError(f"the name {shown!r} holds a NUL character", "Rename it")
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise InputError(f"the name {shown!r} cannot be a file name here", "Rename it") from error
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL):
            raise InputError(
                f"{shown} ({len(path)} characters): {error.strerror}", "Use a shorter name, or another folder"
            ) from error


def check_nothing_overwritten(written: Iterable[str], read: Iterable[str]) -> None:
    """Raise InputError if a result would replace what is read: under its name, through a symlink, or as a hard link.

    What lies in a folder that is read (a DICOM series) counts as read.
    """
    for result in written:
        place = Path(result)
        for source in read:
            origin = Path(source)
            folder = origin.is_dir() and place.exists() and origin.resolve() in place.resolve().parents
            if folder or place.resolve() == origin.resolve() or _is_same(place, origin):
                raise InputError(f"{result} is an input and would be overwritten", "Choose another output")


def _is_same(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b)
    except OSError:
        return False
