"""Compressed files, unpacked to their very end: only there is the checksum that tells of damage."""

from __future__ import annotations

import gzip
from pathlib import Path

from ..errors import InputError, OutOfMemory
from ..memory import available_memory

# a gzip stream unpacks to at most about this many times its size
MOST_GZIP_GAIN = 1040
BLOCK = 1 << 22


def unpacked(path: Path, needed: int) -> bytes:
    """The first `needed` bytes of a gzip file.

    Raises
    ------
    InputError
        If there are fewer.
    OSError, EOFError, zlib.error
        If it is damaged or cut off, also behind these bytes.
    """
    parts, count = [], 0
    with gzip.open(path) as stream:
        while block := stream.read(BLOCK):
            if count < needed:
                parts.append(block[: needed - count])
            count += len(block)
    if count < needed:
        raise InputError(
            f"cannot read {path}: it should unpack to {needed} bytes, it has {count}", "The file is cut off"
        )
    return b"".join(parts)


def check_room(path: Path, needed: int) -> None:
    """Raise InputError if a file cannot unpack to so many bytes, OutOfMemory if the memory cannot hold them."""
    there = path.stat().st_size
    if there * (MOST_GZIP_GAIN if is_packed(path) else 1) < needed:
        raise InputError(f"cannot read {path}: its values need {needed} bytes, it has {there}", "The file is cut off")
    free = available_memory()
    if free is not None and needed > free:
        raise OutOfMemory(
            f"{path} unpacks to {needed / 2**30:.1f} GB, {free / 2**30:.1f} GB are free", "Give a smaller region"
        )


def is_packed(path: Path) -> bool:
    """Whether a file is gzip, by its first bytes: names may have lost or won an ending."""
    with open(path, "rb") as stream:
        return stream.read(2) == b"\x1f\x8b"
