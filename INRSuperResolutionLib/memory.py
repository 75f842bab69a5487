"""How much memory is free or was used, on every system, and how to give some back."""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

# float32 results, their copy while writing, and the scratch of the consistency check
BYTES_PER_RESULT_VOXEL = 16


def available_memory() -> int | None:
    """Bytes of memory that can be had without swapping; None where nobody tells."""
    try:
        import psutil  # in Slicer it may not be installed yet
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def return_freed() -> None:
    """Return freed memory to the system where the C library keeps it (glibc): else what comes next adds to it.

    Objects in cycles first: importing a package may leave an exception whose frames hold all that was at hand.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries return it by themselves
        if trim is not None:
            trim(0)


def peak_memory_mb() -> float | None:
    """The most memory that this process has held, in MB; None where nobody tells."""
    # getrusage of Linux tells no less than what the process that started this one held
    try:
        lines = Path("/proc/self/status").read_text("ascii", errors="replace").splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 2**10, 1)
    except (OSError, StopIteration):
        pass
    if sys.platform == "win32":
        return _peak_on_windows()
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _peak_on_windows() -> float | None:
    try:
        import psutil
    except ImportError:
        return None
    return round(psutil.Process().memory_info().peak_wset / 2**20, 1)
