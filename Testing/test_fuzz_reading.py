"""A few seconds of Testing/fuzz_reading.py, which runs as long as one wants."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_changed_bytes_are_read_or_refused():
    script = Path(__file__).with_name("fuzz_reading.py")
    done = subprocess.run([sys.executable, str(script), "6", "0"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = [int(line.split()[0]) for line in done.stdout.splitlines()]
    assert sum(counts) >= 5 and ": refused 2" in done.stdout
