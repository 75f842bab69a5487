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
