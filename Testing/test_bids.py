"""The BIDS App: which series are taken, and what their results are called and say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from phantoms import phantom

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib.cli import main
from INRSuperResolutionLib.cohorts.bids import find_cases, result_name, write_description, write_sidecars
from INRSuperResolutionLib.cohorts.case import DONE, run_case
from INRSuperResolutionLib.errors import InputError


@pytest.fixture
def dataset(tmp_path) -> Path:
    root = tmp_path / "raw"
    thick = phantom((12, 11, 6), seed=0)
    fine = inrsr.Volume(thick.data, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    thick = inrsr.Volume(thick.data, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 4, 0], [0, 0, 0, 1]])
    for place, name, volume in (
        ("sub-a/anat", "sub-a_T1w", thick),
        ("sub-a/anat", "sub-a_FLAIR", thick),
        ("sub-a/anat", "sub-a_T2w", fine),
        ("sub-b/ses-1/anat", "sub-b_ses-1_T2w", thick),
    ):
        (root / place).mkdir(parents=True, exist_ok=True)
        inrsr.write(volume, root / place / f"{name}.nii.gz")
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    return root


def test_thick_series_of_a_session_are_one_case(dataset, tmp_path):
    one, two = find_cases(dataset, tmp_path / "out")
    assert [Path(p).name for p in one.job.inputs] == ["sub-a_FLAIR.nii.gz", "sub-a_T1w.nii.gz"]
    assert two.name == "sub-b_ses-1"
    assert two.job.outputs == [str(tmp_path / "out/sub-b/ses-1/anat/sub-b_ses-1_rec-sr_T2w.nii.gz")]
    assert [c.name for c in find_cases(dataset, tmp_path / "out", ["sub-b"])] == ["sub-b_ses-1"]


def test_a_series_that_cannot_be_read_is_a_case_with_a_reason(dataset, tmp_path):
    (dataset / "sub-b/ses-1/anat/sub-b_ses-1_T2w.nii.gz").write_bytes(b"no scan")
    _, two = find_cases(dataset, tmp_path / "out")
    assert two.job is None and "sub-b_ses-1_T2w" in two.fault


@pytest.mark.parametrize("label", ["c", "../raw", ""])
def test_a_participant_that_is_not_there_is_refused(dataset, tmp_path, label):
    with pytest.raises(InputError, match="participant"):
        find_cases(dataset, tmp_path / "out", [label])


def test_what_is_no_dataset_is_refused(tmp_path):
    assert main(["bids", str(tmp_path), str(tmp_path / "out"), "participant"]) == 2
    assert not (tmp_path / "out").exists()


def test_results_say_where_they_come_from(dataset, tmp_path):
    output = tmp_path / "out"
    case = find_cases(dataset, output, ["b"], method="linear")[0]
    output.mkdir()
    write_description(dataset, output)
    outcome = run_case(case)
    assert outcome.state == DONE
    write_sidecars(case, outcome, dataset)
    told = json.loads((output / "sub-b/ses-1/anat/sub-b_ses-1_rec-sr_T2w.json").read_text())
    assert told["Sources"] == ["bids:raw:sub-b/ses-1/anat/sub-b_ses-1_T2w.nii.gz"]
    assert told["SuperResolution"]["Method"] == "linear"
    assert json.loads((output / "dataset_description.json").read_text())["GeneratedBy"][0]["Name"]


def test_names_of_results():
    assert result_name(Path("sub-1_desc-x_T1w.nii")) == "sub-1_rec-sr_T1w.nii.gz"
    assert result_name(Path("sub-1_acq-a_rec-b_run-2_T1w.nii.gz")) == "sub-1_acq-a_rec-bsr_run-2_T1w.nii.gz"
