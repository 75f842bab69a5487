from __future__ import annotations

import json

import pytest

from INRSuperResolutionLib.errors import InputError
from INRSuperResolutionLib.jobs.job import SCHEMA, Job
from INRSuperResolutionLib.jobs.staging import Staging, clear_own_staging, staging_folders


def job(**changes) -> Job:
    return Job(**{"task": "upscale", "method": "linear", "inputs": ["a.nii.gz"], "outputs": ["b.nii.gz"], **changes})


def test_round_trip_through_a_file(tmp_path):
    made = job(settings={"width": 3}, spacing=[1.0], max_seconds=3.5, seed=7, run_id="abc")
    made.write(tmp_path / "job.json")
    assert Job.read(tmp_path / "job.json") == made
    assert json.loads((tmp_path / "job.json").read_text())["schema"] == SCHEMA


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "dance"}, "task 'dance'"),
        ({"inputs": []}, "no input"),
        ({"outputs": ["b.nii.gz", "c.nii.gz"]}, "2 outputs for 1 inputs"),
        ({"outputs": []}, "nothing would be written"),
        ({"outputs": ["a.nii.gz"]}, "would be overwritten"),
        ({"inputs": ["a.nii.gz", "c.nii.gz"], "outputs": ["b.nii.gz", "b.nii.gz"]}, "same file name"),
        ({"spacing": [1.0], "scale": [2.0]}, "more than one of"),
        ({"device": "tpu"}, "device 'tpu'"),
        ({"slice_profile": "triangle"}, "slice profile 'triangle'"),
        ({"threads": 0}, "0 threads"),
        ({"max_seconds": -1.0}, "-1 seconds"),
    ],
)
def test_a_job_that_cannot_work_says_why(changes, message):
    with pytest.raises(InputError, match=message):
        job(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": "inrsr-job/0"}, "schema 'inrsr-job/0'"),
        ({"colour": "red"}, "'colour' is not known"),
        ({"seed": "seven"}, "seed = 'seven'"),
        ({"inputs": "a.nii.gz"}, "inputs = 'a.nii.gz'"),
        ({"register": 1}, "register = 1"),
        ({"spacing": ["x"]}, "spacing"),
    ],
)
def test_a_job_file_is_validated(changes, message):
    with pytest.raises(InputError, match=message):
        Job.from_dict({**job().to_dict(), **changes})


def test_a_missing_field_and_a_file_that_is_no_job(tmp_path):
    values = job().to_dict()
    del values["inputs"]
    with pytest.raises(InputError, match="'inputs' is missing"):
        Job.from_dict(values)
    (tmp_path / "a.json").write_text("[1, 2]")
    with pytest.raises(InputError, match="no job file"):
        Job.read(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match="cannot read the job file"):
        Job.read(tmp_path / "a.json")


def test_results_appear_together_and_leave_nothing_else(tmp_path):
    a, b = tmp_path / "a.nii.gz", tmp_path / "sub" / "b.json"
    b.parent.mkdir()
    a.write_text("old")
    made = job(outputs=[str(a)], report=str(b), run_id="x1")
    staging = Staging(made)
    staging.path(a).write_text("new")
    staging.path(b).write_text("report")
    assert a.read_text() == "old"
    assert not b.exists()
    staging.commit()
    assert (a.read_text(), b.read_text()) == ("new", "report")
    assert not any(folder.exists() for folder in staging_folders(made))
    Staging(made)
    clear_own_staging()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nii.gz", "sub"]


def test_a_folder_that_is_not_there_is_told_before_the_work(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        Staging(job(outputs=[str(tmp_path / "no" / "b.nii.gz")]))
    with pytest.raises(InputError, match="is a folder"):
        Staging(job(outputs=[str(tmp_path)]))
