"""A batch on a real scheduler with two workers, over loopback; what is lost on the way changes nothing."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from daskcluster import DaskCluster, kill, wait_for
from phantoms import phantom
from test_batch import command, ends_badly, manifest, outcomes_of, rows

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib.cohorts.case import DONE, FAILED
from INRSuperResolutionLib.cohorts.manifest import Case

pytest.importorskip("distributed")
# alone, as they start a dozen processes
pytestmark = [pytest.mark.alone, pytest.mark.skipif(sys.platform == "win32", reason="ends processes by their group")]

FOLDER = str(Path(__file__).parent)
# an administrator's choice, which must not become ours
SETTINGS = {
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": "inf",
    "PYTHONPATH": FOLDER,
}


@pytest.fixture
def folder(tmp_path) -> Path:
    for n in range(4):
        inrsr.write(phantom((12, 11, 6), seed=n), tmp_path / f"scan{n}.nii.gz")
    lines = [f"c{n},scan{n}.nii.gz,self-supervised,steps={300 if n == 0 else 3}\n" for n in range(4)]
    manifest(tmp_path, "case,inputs,method,settings\n" + "".join(lines))
    return tmp_path


def sums(output: Path) -> dict[str, str]:
    return {p.parent.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in output.glob("c*/*.nii.gz")}


def test_a_worker_killed_in_a_case_and_a_lost_scheduler_change_nothing(folder):
    path = folder / "manifest.csv"
    alone = subprocess.run(command(path, folder / "alone"), capture_output=True, text=True)
    assert alone.returncode == 0, alone.stderr
    output = folder / "out"
    with DaskCluster(folder, 2) as cluster:
        there = command(path, output, "--scheduler", cluster.address)
        with subprocess.Popen(there, stderr=subprocess.PIPE, text=True) as batch:
            assert wait_for(lambda: list(output.glob("c0/.inrsr-run-*")), 120)
            kill(cluster.scheduler)
            _, told = batch.communicate(timeout=120)
        assert batch.returncode == 1
        assert told.strip().splitlines()[-1].startswith("inrsr: the scheduler was lost. Start it")
        assert "Traceback" not in told and "Error" not in told
        cluster.revive()
        done = {p: p.stat().st_mtime_ns for p in output.glob("c*/report.json")}
        with subprocess.Popen(there, stderr=subprocess.PIPE, text=True) as batch:
            assert wait_for(lambda: list(output.glob("c0/.inrsr-run-*")), 120)
            kill(cluster.workers[0])
            cluster.revive()
            _, told = batch.communicate(timeout=300)
        assert batch.returncode == 0, told
    assert {row["state"] for row in rows(output).values()} == {DONE}
    assert sums(output) == sums(folder / "alone") and len(sums(output)) == 4
    assert all(p.stat().st_mtime_ns == at for p, at in done.items())
    assert not [p for p in output.rglob(".inrsr-*") if p.name != ".inrsr-batch"]


def test_what_a_scheduler_is_set_to_does_not_matter(tmp_path):
    """A case that ends its worker has the same four attempts, and takes no other one with it."""
    with DaskCluster(tmp_path, 1, SETTINGS) as cluster:
        cases = [Case("bad", None), *(Case(f"good{n}", None) for n in range(3))]
        over = threading.Event()

        def revive() -> None:
            while not over.wait(0.1):
                cluster.revive()

        reviving = threading.Thread(target=revive)
        reviving.start()
        try:
            found = outcomes_of(cases, tmp_path, scheduler=cluster.address, do=ends_badly)
        finally:
            over.set()
            reviving.join()
    assert found["bad"].state == FAILED and "4 times" in found["bad"].reason
    assert {found[f"good{n}"].state for n in range(3)} == {DONE}
