"""How much memory is free, and giving some back."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

from INRSuperResolutionLib import memory

# the form of macOS 14; values made up
VM_STAT = """Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               1000.
Pages active:                           500000.
Pages inactive:                           3000.
Pages speculative:                         500.
"Translation faults":                123456789.
"""


def test_free_memory_is_plausible_here():
    free = memory.available_memory()
    assert free is not None and 1 << 20 < free < 1 << 50


def test_macos_counts_the_pages_that_it_gives_away(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: types.SimpleNamespace(stdout=VM_STAT))
    assert memory.available_memory() == 16384 * 4500


def test_nothing_is_told_where_the_system_tells_nothing(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: types.SimpleNamespace(stdout="what?"))
    assert memory.available_memory() is None


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


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux tells")
def test_linux_is_read_in_bytes(monkeypatch, tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal:  8000000 kB\nMemFree:  1 kB\nMemAvailable:    3000000 kB\n")
    real = open
    monkeypatch.setattr(
        "builtins.open", lambda path, *a, **k: real(tmp_path / "meminfo" if path == "/proc/meminfo" else path, *a, **k)
    )
    assert memory.available_memory() == 3000000 * 1024


def test_peak_memory_is_in_megabytes():
    """Of a process that is known to hold 200 MB more than another one."""
    program = "from INRSuperResolutionLib.memory import peak_memory_mb; x = b'x' * {}; print(peak_memory_mb())"
    small, large = (
        float(subprocess.run([sys.executable, "-c", program.format(n)], capture_output=True, check=True).stdout)
        for n in (1, 200 << 20)
    )
    assert large - small == pytest.approx(200, abs=30)
