"""A moment of Testing/fuzz_reading.py for each reader; it runs as long as one wants."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fuzz_mutants import GOOD


def test_damaged_files_are_read_or_refused():
    script = Path(__file__).with_name("fuzz_reading.py")
    command = [sys.executable, str(script), "--seconds", "0.5", "--seed", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    for reader in GOOD:
        own = [line for line in lines if line.startswith(f"{reader} ")]
        assert sum(int(line.split()[1]) for line in own) >= 12, reader
        assert any(": refused" in line for line in own), reader
