"""How soon a stopped batch has ended, and how cases fail; in a file of its own, as nothing may run beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from phantoms import phantom
from test_batch import _running, command, manifest, rows

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib.cohorts.case import DONE, FAILED, FAULTY

pytest.importorskip("distributed")

# the machine of the tests is shared: an idle one needs about half of it
SECONDS = 2.0
BYTES = 5 << 29


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


@pytest.mark.alone
@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of processes")
def test_every_way_to_fail_is_a_row_with_its_reason(tmp_path):
    """Address space for any import, but not for 700 million voxels; the check beforehand counts what the machine has."""
    import resource

    inrsr.write(phantom((12, 11, 6), seed=0), tmp_path / "scan.nii.gz")
    inrsr.write(phantom((12, 11, 6), seed=0), tmp_path / "bad.nii")
    content = bytearray((tmp_path / "bad.nii").read_bytes())
    content[42:44] = (-5).to_bytes(2, "little", signed=True)  # dim[1]
    (tmp_path / "bad.nii").write_bytes(content)
    fine = round((np.prod(inrsr.read(tmp_path / "scan.nii.gz").spacing) * 12 * 11 * 6 / 700e6) ** (1 / 3), 6)
    path = manifest(
        tmp_path,
        "case,inputs,method,spacing,settings\nmissing,nowhere.nii.gz,linear,,\nheader,bad.nii,linear,,\n"
        f"memory,scan.nii.gz,linear,{fine},\ntime,scan.nii.gz,self-supervised,,steps=1000000\n"
        "word,scan.nii.gz,self-supervised,,steps=many\ngood,scan.nii.gz,linear,,\n",
    )
    done = subprocess.run(
        command(path, tmp_path / "out", "--workers", "2", "--case-seconds", "15", "--progress", "none"),
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES)),
    )
    assert done.returncode == 2 and "5 of 6 cases failed" in done.stderr, done.stderr
    found = {name: (row["state"], row["reason"]) for name, row in rows(tmp_path / "out").items()}
    assert list(found) == ["missing", "header", "memory", "time", "word", "good"]
    for name, state, told in (
        ("missing", FAULTY, "does not exist"),
        ("header", FAULTY, "bad.nii"),
        ("memory", FAILED, "memory"),
        ("time", FAILED, "longer than 15 s"),
        ("word", FAULTY, "'many'"),
        ("good", DONE, ""),
    ):
        assert found[name][0] == state and told in found[name][1], found[name]
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.is_dir()) == ["good"]
