"""Every hostile input through one method, and the page that Testing/method_table.py writes of all of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from method_table import KINDS, PAGE, written


def test_every_hostile_input_through_linear_interpolation():
    """All methods take long: the script runs them."""
    script = Path(__file__).with_name("method_table.py")
    command = [sys.executable, str(script), "--method", "linear"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split(" | ")[0].lstrip("| "): line for line in done.stdout.splitlines()}
    assert set(rows) == set(KINDS)
    assert rows["a good volume"] == "| a good volume | all |  |"
    assert rows["some voxels NaN"].startswith("| some voxels NaN | none | all (2): a.nii has 8 voxels that are NaN")


def test_the_page_has_right_codes_only():
    rows = written()
    assert list(rows) == list(KINDS)
    for kind, line in rows.items():
        refusals = line.split(" | ")[2]
        codes = re.findall(r"(?:^|; )[a-z, -]+ \((-?\d+)\): ", refusals)
        assert set(codes) <= {"2", "4", "5"}, kind
        assert bool(codes) == bool(refusals.strip(" |")), kind
    assert "WRONG" not in PAGE.read_text("utf-8")
