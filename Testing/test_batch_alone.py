"""How soon a stopped batch has ended; in a file of its own, as nothing may run beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from phantoms import phantom
from test_batch import _running, command, manifest

import INRSuperResolutionLib as inrsr

pytest.importorskip("distributed")

# the machine of the tests is shared: an idle one needs about half of it
SECONDS = 2.0


@pytest.mark.alone
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("to_all", [True, False], ids=["as a terminal sends it", "to the coordinator"])
def test_a_stopped_batch_ends_soon_and_leaves_nothing(tmp_path, number, to_all):
    inrsr.write(phantom((12, 11, 6), seed=0), tmp_path / "scan.nii.gz")
    rows = [f"c{n},scan.nii.gz,self-supervised,steps=1000000\n" for n in range(4)]
    path, output = manifest(tmp_path, "case,inputs,method,settings\n" + "".join(rows)), tmp_path / "out"
    with subprocess.Popen(
        command(path, output, "--workers", "2"), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as batch:
        until = time.monotonic() + 60
        while len(list(output.glob("*/.inrsr-run-*"))) < 2 and time.monotonic() < until:  # both cases are at work
            time.sleep(0.05)
        started = time.monotonic()
        (os.killpg if to_all else os.kill)(batch.pid, number)
        _, told = batch.communicate()
        while _running(f"{tmp_path}".encode()) and time.monotonic() < until:
            time.sleep(0.02)
        taken = time.monotonic() - started
    assert (batch.returncode, told.strip()) == (3, "inrsr: cancelled")
    assert sorted(p.name for p in output.rglob("*")) == [".inrsr-batch", "summary.csv"]
    assert taken <= SECONDS
