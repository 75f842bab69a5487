"""Results say that they were made, by what, and that they are for research: in every file that can hold it."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicomfiles import values, write_series
from phantoms import phantom

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib import Volume
from INRSuperResolutionLib.cli import main
from INRSuperResolutionLib.image.mark import AI, INTERPOLATED, LONGEST, mark_of
from INRSuperResolutionLib.methods import METHODS
from INRSuperResolutionLib.methods.plain.interpolation import SplineRepresentation
from INRSuperResolutionLib.study.blinded import write_blinded
from INRSuperResolutionLib.study.plan import Pair, Study

VERSION = inrsr.__version__


@pytest.fixture
def scan(tmp_path):
    made = phantom((16, 14, 6), np.diag([1, 1, 3, 1.0]))
    inrsr.write(made, tmp_path / "in.nii.gz")
    return tmp_path / "in.nii.gz"


def told_outside(path) -> str:
    """The mark as a program that does not know us reads it."""
    if path.name.endswith(".nii.gz"):
        return nib.load(path).header["descrip"].item().decode()
    return sitk.ReadImage(str(path)).GetMetaData("inrsr_mark")


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_result_is_marked_in_its_file(ending, scan, tmp_path):
    out = tmp_path / f"out{ending}"
    arguments = ["upscale", "siren", str(scan), "--output", str(out), "--set", "epochs=1", "--progress", "none"]
    assert main(arguments) == 0
    wanted = f"AI-generated, research use: siren, inrsr {VERSION}"
    assert inrsr.read(out).mark == wanted
    if ending != ".nii":
        assert told_outside(out) == wanted
    if ending in (".nrrd", ".mha"):
        assert wanted.encode() in out.read_bytes()[:4000], "in plain text"


@pytest.mark.parametrize("method", ["nearest", "linear", "cubic", "sinc"])
def test_interpolation_is_not_called_ai(method, scan, tmp_path):
    out, added = tmp_path / "out.nii.gz", tmp_path / "added.nii.gz"
    arguments = ["upscale", method, str(scan), "--output", str(out), "--added", str(added), "--progress", "none"]
    assert main(arguments) == 0
    for path in (out, added):
        assert told_outside(path) == f"Interpolated, not AI, research use: {method}, inrsr {VERSION}"


def test_a_method_that_took_interpolation_instead_says_so():
    volume = phantom((8, 8, 4), np.diag([1, 1, 3, 1.0]))
    made = SplineRepresentation([volume], 1)
    made.provenance.update(method="combined", left_out={"taken": "linear"})
    assert made.sample(volume.grid)[0].mark == mark_of("linear") != mark_of("combined")


def test_every_mark_fits_its_field_and_tells_ai_from_interpolation():
    for name, method in METHODS.items():
        mark = mark_of(name)
        assert len(mark.encode()) <= LONGEST
        assert mark.startswith(AI if method.needs_torch else INTERPOLATED)


def test_a_volume_that_was_not_made_here_has_no_mark(tmp_path):
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.float32), np.eye(4))
    image.header["descrip"] = b"FSL5.0"
    nib.save(image, tmp_path / "a.nii.gz")
    assert inrsr.read(tmp_path / "a.nii.gz").mark == ""
    inrsr.write(inrsr.read(tmp_path / "a.nii.gz"), tmp_path / "b.mha")
    assert "inrsr_mark" not in sitk.ReadImage(str(tmp_path / "b.mha")).GetMetaDataKeys()


def test_a_result_as_input_is_told(tmp_path, capsys):
    made = Volume(phantom((9, 8, 5)).data, np.diag([1, 1, 3, 1.0]), mark=mark_of("cycleinr"))
    inrsr.write(made, tmp_path / "in.nrrd")
    assert main(["upscale", "linear", str(tmp_path / "in.nrrd"), "--output", str(tmp_path / "out.mha")]) == 0
    assert "is itself a result (AI-generated" in capsys.readouterr().err


@pytest.mark.parametrize(("method", "word"), [("cubic", "Interpolated, not AI"), ("siren", "AI-generated")])
def test_derived_dicom_tells_it_in_description_and_equipment(method, word, tmp_path):
    write_series(tmp_path / "in", values())
    out = tmp_path / "out.dcm"
    more = [] if method == "cubic" else ["--set", "epochs=1"]
    assert main(["upscale", method, str(tmp_path / "in"), "--output", str(out), "--progress", "none", *more]) == 0
    header = pydicom.dcmread(min(out.iterdir()))
    for told in (header.DerivationDescription, header.ContributingEquipmentSequence[0].ContributionDescription):
        assert word in told and method in told and VERSION in told and "research use" in told
    assert ("AI-generated" in header.SeriesDescription) is (method != "cubic")


def test_copies_for_readers_have_no_mark(tmp_path):
    """It would tell the method."""
    volume = phantom((9, 8, 5))
    for name in ("cycleinr", "cubic"):
        inrsr.write(volume.replace(mark=mark_of(name)), tmp_path / f"{name}.nii.gz")
    study = Study("test", ("cycleinr", "cubic"), ("noise",), (Pair("a", ("cycleinr.nii.gz", "cubic.nii.gz")),), 0)
    study.add_reader("r")
    left, right = write_blinded(study, "r", 0, tmp_path, tmp_path)
    assert inrsr.read(left).mark == inrsr.read(right).mark == ""
    assert left.read_bytes() == right.read_bytes()
