"""Shared fixtures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"the real volumes are not at {DATA}")
    return DATA


@pytest.fixture
def inrsr():
    """Calls the command line as a process; returns it completed."""

    def call(*arguments, **options) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "INRSuperResolutionLib", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)

    return call


# shared machines are slow at times, and a test must give the same answer every day
settings.register_profile("project", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("project")
