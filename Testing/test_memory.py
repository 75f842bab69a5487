"""How much memory is free, and giving some back."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

from INRSuperResolutionLib import memory


def test_free_memory_is_plausible_here():
    free = memory.available_memory()
    assert free is not None and 1 << 20 < free < 1 << 50


def test_nothing_is_told_where_psutil_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert memory.available_memory() is None
    assert memory._peak_on_windows() is None


def test_the_peak_on_windows_is_in_megabytes(monkeypatch):
    told = types.SimpleNamespace(memory_info=lambda: types.SimpleNamespace(peak_wset=300 << 20))
    monkeypatch.setattr("psutil.Process", lambda: told)
    assert memory._peak_on_windows() == 300.0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' libraries return freed memory by themselves")
def test_freed_memory_is_returned():
    """200 MB in small pieces below one that stays: the C library keeps them, until it is told not to."""
    program = """
from pathlib import Path
from INRSuperResolutionLib.memory import return_freed

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

pieces = [b"x" * (100_000 + n) for n in range(2000)]
pieces = pieces[-1:]
kept = held()
return_freed()
print(kept, held())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    kept, left = map(int, done.stdout.split())
    assert left < max(kept - 150, 60), (kept, left)


def test_peak_memory_is_in_megabytes():
    """Of a process that is known to hold 200 MB more than another one."""
    program = "from INRSuperResolutionLib.memory import peak_memory_mb; x = b'x' * {}; print(peak_memory_mb())"
    small, large = (
        float(subprocess.run([sys.executable, "-c", program.format(n)], capture_output=True, check=True).stdout)
        for n in (1, 200 << 20)
    )
    assert large - small == pytest.approx(200, abs=30)
