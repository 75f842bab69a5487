"""What is checked before any work: memory."""

from __future__ import annotations

import numpy as np
import pytest

from INRSuperResolutionLib import Grid
from INRSuperResolutionLib.errors import OutOfMemory
from INRSuperResolutionLib.jobs import checks
from INRSuperResolutionLib.memory import BYTES_PER_RESULT_VOXEL


def grid(*shape) -> Grid:
    return Grid(shape, np.eye(4))


def test_memory_for_the_results_to_the_byte(monkeypatch):
    grids = [grid(100, 200, 300), grid(100, 200, 50)]
    needed = 16 * (6_000_000 + 1_000_000)
    assert BYTES_PER_RESULT_VOXEL == 16  # float32, its copy, and two of the check
    monkeypatch.setattr(checks, "available_memory", lambda: needed)
    checks.check_memory(grids)
    monkeypatch.setattr(checks, "available_memory", lambda: needed - 1)
    with pytest.raises(OutOfMemory, match=r"100 × 200 × 300 voxels needs about 0\.1 GB, 0\.1 GB are free"):
        checks.check_memory(grids)


def test_the_message_tells_what_is_needed_and_what_is_free(monkeypatch):
    monkeypatch.setattr(checks, "available_memory", lambda: 3 << 30)
    with pytest.raises(OutOfMemory, match=r"needs about 14\.9 GB, 3\.0 GB are free"):
        checks.check_memory([grid(1000, 1000, 1000)])


def test_where_nothing_is_known_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(checks, "available_memory", lambda: None)
    checks.check_memory([grid(10**5, 10**5, 10**5)])
