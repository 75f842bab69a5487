"""How much memory is free or was used, on every system, and how to give some back; needs no package."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
from pathlib import Path

# float32 results, their copy while writing, and the scratch of the consistency check
BYTES_PER_RESULT_VOXEL = 16


def available_memory() -> int | None:
    """Bytes of memory that can be had without swapping; None where the system does not tell."""
    try:
        if sys.platform == "win32":
            return _on_windows()
        if sys.platform == "darwin":
            return _on_macos()
        with open("/proc/meminfo", encoding="ascii") as lines:
            fields = dict(line.split(":", 1) for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, AttributeError, subprocess.SubprocessError):
        return None


def return_freed() -> None:
    """Return freed memory to the system where the C library keeps it (glibc): else what comes next adds to it.

    Objects in cycles first: importing a package may leave an exception whose frames hold all that was at hand.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries return it by themselves
        if trim is not None:
            trim(0)


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_ulong),
        ("load", ctypes.c_ulong),
        *(
            (name, ctypes.c_ulonglong)
            for name in ("total", "available", "page_total", "page_available", "virtual_total")
        ),
        ("virtual_available", ctypes.c_ulonglong),
        ("extended", ctypes.c_ulonglong),
    )


def _on_windows() -> int:
    status = _MemoryStatus()
    status.length = ctypes.sizeof(status)
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined]
        raise OSError("GlobalMemoryStatusEx failed")
    return int(status.available)


def _on_macos() -> int:
    """Free, inactive and speculative pages: what the system gives away when it is asked."""
    told = subprocess.run(["vm_stat"], capture_output=True, text=True, timeout=2, check=True).stdout
    first, *lines = told.splitlines()
    page = int(first.partition("page size of ")[2].split(" ")[0])
    pages = {name.strip(): int(count.strip(" .")) for name, _, count in (line.partition(":") for line in lines)}
    return page * sum(pages[f"Pages {kind}"] for kind in ("free", "inactive", "speculative"))


def peak_memory_mb() -> float | None:
    """The most memory that this process has held, in MB; None on Windows."""
    # getrusage of Linux tells no less than what the process that started this one held
    try:
        lines = Path("/proc/self/status").read_text("ascii", errors="replace").splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 2**10, 1)
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
