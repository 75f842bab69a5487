"""What a cohort will take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from phantoms import phantom

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib.cohorts.manifest import read_manifest
from INRSuperResolutionLib.cohorts.plan import estimated, measured, span, table
from INRSuperResolutionLib.errors import InputError


@pytest.fixture
def cases(tmp_path):
    inrsr.write(phantom((12, 11, 6), seed=0), tmp_path / "scan.nii.gz")
    rows = ("a,scan.nii.gz,cubic", "b,scan.nii.gz,cubic", "c,nowhere.nii.gz,cubic")
    (tmp_path / "manifest.csv").write_text("case,inputs,method\n" + "\n".join(rows))
    return read_manifest(tmp_path / "manifest.csv", tmp_path / "out")


def report(case, seconds: float, device: str = "cpu") -> None:
    path = Path(case.job.report)
    path.parent.mkdir(parents=True)
    told = {"seconds": {"total": seconds}, "device": device, "outputs": [{"shape": [100, 100, 200]}]}
    path.write_text(json.dumps(told))


def test_done_cases_are_what_counts(cases):
    assert measured(cases, on_gpu=False) is None
    before = estimated(cases, on_gpu=False)
    assert before is not None and before.count == 2 and "factor of about 2" in before.source
    report(cases[0], 60.0)
    report(cases[1], 120.0)
    cost = measured(cases, on_gpu=False)
    assert (cost.seconds, cost.per_megavoxel, cost.count) == (90.0, 45.0, 2)
    assert measured(cases, on_gpu=True) is None


def test_the_table_divides_by_what_works_at_a_time(cases):
    report(cases[0], 64.0)
    report(cases[1], 8.0, "cuda")
    lines = table(cases, threads=2)
    assert lines[0].startswith("CPU, 2 threads a case: 64.0 s a case, 32.00 s a million voxels of results (measured")
    # 1,000 cases: 64,000 s one at a time, 32 at a time, 8 on as many GPUs; 100,000: 10 ms each is the least
    assert lines[3].split() == ["1,000", "18", "h", "33", "min", "17", "min"]
    assert lines[4].split() == ["100,000", "74", "days", "2.3", "days", "28", "h"]
    assert "extrapolated" in lines[-1]


def test_nothing_to_tell_from(tmp_path, cases):
    (tmp_path / "scan.nii.gz").unlink()
    with pytest.raises(InputError, match="no case"):
        table(cases, threads=1)


@pytest.mark.parametrize(
    ("seconds", "told"), [(90, "90 s"), (600, "10 min"), (9000, "2.5 h"), (9e5, "10 days"), (1e8, "3.2 years")]
)
def test_spans_as_people_say_them(seconds, told):
    assert span(seconds) == told
