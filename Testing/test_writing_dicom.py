"""Derived DICOM series: they reload where they were written, and say what they are."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicomfiles import DISTANCE, NORMAL, enhanced, position, save, slice_of, values, write_series
from phantoms import leftovers, oblique
from pydicom.uid import MRImageStorage

from INRSuperResolutionLib import Grid, Volume, read, write
from INRSuperResolutionLib.errors import InputError
from INRSuperResolutionLib.jobs.job import Job
from INRSuperResolutionLib.jobs.run import run_job
from INRSuperResolutionLib.progress import Progress

HEIGHTS = [n * DISTANCE for n in range(5)]
MM = 1e-4


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def reloaded(folder: Path) -> tuple[Volume, sitk.Image, list[pydicom.Dataset]]:
    """By this project, by SimpleITK, and by pydicom in the order of the instance numbers."""
    reader = sitk.ImageSeriesReader()
    (series,) = reader.GetGDCMSeriesIDs(str(folder))
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), series))
    headers = sorted((pydicom.dcmread(p) for p in folder.iterdir()), key=lambda d: d.InstanceNumber)
    return read(folder), reader.Execute(), headers


def upscaled(inrsr, tmp_path, source, *options) -> dict:
    done = inrsr("upscale", "cubic", source, "--output", "out.dcm/", "--report", "r.json", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return json.loads((tmp_path / "r.json").read_text())["outputs"][0]


def check_places(folder: Path, told: dict) -> tuple[Volume, list[pydicom.Dataset]]:
    volume, image, headers = reloaded(folder)
    affine = np.array(told["affine"])
    assert list(volume.shape) == told["shape"] == list(image.GetSize()) and not volume.warnings
    corners = [(0, 0, 0), np.array(volume.shape) - 1]
    for index in corners:
        expected = (affine @ [*index, 1])[:3]
        np.testing.assert_allclose((volume.affine @ [*index, 1])[:3], expected, rtol=0, atol=MM)
        theirs = np.array(image.TransformIndexToPhysicalPoint([int(n) for n in index])) * [-1, -1, 1]
        np.testing.assert_allclose(theirs, expected, rtol=0, atol=MM)
        at = np.array(headers[index[2]].ImagePositionPatient, float) * [-1, -1, 1]
        np.testing.assert_allclose(at, (affine @ [0, 0, index[2], 1])[:3], rtol=0, atol=MM)
    np.testing.assert_allclose(sitk.GetArrayFromImage(image).T, volume.data, rtol=1e-6)
    return volume, headers


def test_a_derived_series_says_what_it_is(tmp_path, inrsr):
    source = write_series(tmp_path / "in", values() * 9, each=lambda n: {"RescaleSlope": 1, "RescaleIntercept": -1024})
    told = upscaled(inrsr, tmp_path, "in")
    volume, headers = check_places(tmp_path / "out.dcm", told)
    assert volume.dtype == np.int16  # as the CT numbers that it comes from
    own = [pydicom.dcmread(p) for p in sorted(source.iterdir())]
    for header in headers:
        assert header.ImageType[:2] == ["DERIVED", "SECONDARY"] and header.SOPClassUID == own[0].SOPClassUID
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID", "Modality"):
            assert header[keyword].value == own[0][keyword].value
        assert header.SeriesInstanceUID not in (own[0].SeriesInstanceUID, "")
        assert "cubic" in header.SeriesDescription and "research use" in header.SeriesDescription
        assert "cubic" in header.DerivationDescription and "research use" in header.DerivationDescription
        assert {r.ReferencedSOPInstanceUID for r in header.SourceImageSequence} == {h.SOPInstanceUID for h in own}
        (equipment,) = header.ContributingEquipmentSequence
        assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109103" and equipment.SoftwareVersions
        # 16 characters, and what every viewer needs
        pydicom.dataset.validate_file_meta(header.file_meta)
        assert all(
            len(str(v)) <= 16
            for k in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
            for v in header[k].value
        )
        assert header.pixel_array.shape == (header.Rows, header.Columns)
    identifiers = {h.SOPInstanceUID for h in headers} | {h.SOPInstanceUID for h in own}
    assert len(identifiers) == len(headers) + len(own)
    assert not leftovers(tmp_path)


def test_values_keep_their_scale(tmp_path, inrsr):
    """MR values are written in 16 bits with a slope of their own: to 1/65535 of their range."""
    slopes = [0.37 + 0.01 * n for n in range(5)]
    (tmp_path / "in").mkdir()
    save(enhanced(values() * 20, HEIGHTS, slopes), tmp_path / "in" / "a.dcm")
    told = upscaled(inrsr, tmp_path, "in", "--scale", "1", "1", "1")
    volume, headers = check_places(tmp_path / "out.dcm", told)
    source = read(tmp_path / "in")
    np.testing.assert_allclose(volume.data, source.data, rtol=0, atol=np.ptp(source.data) / 65535)
    assert headers[0].SOPClassUID == MRImageStorage  # single frames of an enhanced file


def test_a_tilted_gantry_comes_out_at_right_angles(tmp_path, inrsr):
    (tmp_path / "in").mkdir()
    tilt = np.array([0, 0.9, 0])  # each slice further to the back
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 4000, (5, 12, 14)).astype(np.int16)
    for n, height in enumerate(HEIGHTS):
        place = [round(float(v), 6) for v in position(height) + n * tilt]
        save(slice_of(stored[n], height, n + 1, ImagePositionPatient=place), tmp_path / "in" / f"{n}.dcm")
    source = read(tmp_path / "in")
    told = upscaled(inrsr, tmp_path, "in", "--scale", "1", "1", "1")
    volume, _ = check_places(tmp_path / "out.dcm", told)
    axes = volume.affine[:3, :3] / volume.spacing
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(volume.spacing, (0.6, 0.8, DISTANCE), atol=1e-5)
    # the planes stay, so each row of a slice is a spline through the rows of the same slice, at the same place
    np.testing.assert_allclose(axes[:, 2], NORMAL * [-1, -1, 1], atol=1e-6)
    assert volume.shape[2] == 5 and volume.shape[1] > source.shape[1]
    centre = source.affine @ [7, 6, 2, 1]
    index = np.linalg.inv(volume.affine) @ centre
    i, j, k = np.rint(index[:3]).astype(int)
    back = np.linalg.inv(source.affine) @ volume.affine @ [i, j, k, 1]
    from scipy.ndimage import map_coordinates

    expected = map_coordinates(source.data.astype(float), back[:3, None], order=3, mode="mirror")[0]
    assert volume.data[i, j, k] == pytest.approx(expected, abs=1)


def test_the_orthogonal_grid_covers_the_sheared_one():
    affine = np.diag([0.5, 0.5, 4.0, 1.0])
    affine[1, 2], affine[:3, 3] = 1.5, (3, 4, 5)
    grid = Grid((20, 20, 10), affine)
    box = grid.orthogonal()
    assert box.shape == (20, 20 + 30, 10)  # ten slices, each 3 pixels further
    inside = np.linalg.inv(box.affine) @ np.c_[grid.centres().reshape(-1, 3), np.ones(grid.size)].T
    assert inside[:3].min() > -0.5 and (inside[:3].max(axis=1) < np.array(box.shape) - 0.5).all()
    assert Grid((4, 5, 6), np.diag([1.0, 2, -3, 1])).orthogonal().affine[2, 2] == -3


def test_a_series_is_replaced_as_a_whole_and_only_if_it_is_ours(tmp_path, inrsr):
    write_series(tmp_path / "in")
    upscaled(inrsr, tmp_path, "in", "--spacing", "1")
    many = len(contents(tmp_path / "out.dcm"))
    upscaled(inrsr, tmp_path, "in", "--scale", "1", "1", "1")
    assert len(contents(tmp_path / "out.dcm")) == 5 < many and not leftovers(tmp_path)
    (tmp_path / "out.dcm" / "notes.txt").write_text("mine")
    before = contents(tmp_path / "out.dcm")
    for output, source in (("out.dcm", "in"), ("in", "in"), ("other.dcm", "in")):
        if output == "other.dcm":
            write_series(tmp_path / output)
        done = inrsr("upscale", "cubic", source, "--output", output, cwd=tmp_path)
        assert done.returncode == 2, (output, done.stderr)
    assert contents(tmp_path / "out.dcm") == before and len(contents(tmp_path / "other.dcm")) == 5


@pytest.mark.parametrize("in_one_step", [True, False])
def test_folders_change_places(tmp_path, monkeypatch, in_one_step):
    from INRSuperResolutionLib.jobs import exchange

    made, result = tmp_path / "made", tmp_path / "result"
    for folder in (made, result):
        folder.mkdir()
        (folder / "name").write_text(folder.name)
    if not in_one_step:
        monkeypatch.setattr(exchange, "exchanged", lambda *_: False)
    exchange.put_folder(made, result)
    assert (result / "name").read_text() == "made"
    if in_one_step and sys.platform == "linux":
        assert (made / "name").read_text() == "result"
    with pytest.raises(OSError):
        exchange.put_folder(tmp_path / "none", result)
    assert (result / "name").read_text() == "made"


def test_what_cannot_be_a_derived_series_is_refused(tmp_path, inrsr):
    write_series(tmp_path / "in.dcm")
    from phantoms import oblique, phantom

    from INRSuperResolutionLib import write

    write(phantom(), tmp_path / "a.nii")
    write(phantom(affine=oblique(shear=0.3)), tmp_path / "sheared.nii")
    for arguments, message in (
        (["upscale", "cubic", "a.nii", "--output", "b.dcm"], "no series can be derived"),
        (["upscale", "cubic", "in.dcm", "--output", "b.dcm", "--like", "sheared.nii"], "oblique axes"),
        (["upscale", "cubic", "in.dcm/00.dcm", "--output", "in.dcm"], "would be replaced"),
        (["degrade", "in.dcm", "--kind", "area", "--factor", "2", "--output", "c.dcm"], "cannot write .dcm"),
    ):
        done = inrsr(*arguments, cwd=tmp_path)
        assert done.returncode == 2 and message in done.stderr, done.stderr
    assert len(contents(tmp_path / "in.dcm")) == 5 and not (tmp_path / "b.dcm").exists()


# ---- from a result that is there already ---------------------------------------------------------


def derived(tmp_path, files: list[Path], **changes) -> dict:
    """Run the job that the panel gives to its worker."""
    write(Volume(np.ones((4, 3, 2)), np.eye(4)), tmp_path / "result.nrrd")
    values = {"task": "derive", "inputs": [str(tmp_path / "result.nrrd")], "outputs": [str(tmp_path / "new.dcm")],
              "method": "seco", "dicom_files": [str(f) for f in files]} | changes  # fmt: skip
    return run_job(Job(**values), Progress(lambda _event: None))


def test_a_result_becomes_a_series_of_its_sources(tmp_path):
    folder = write_series(tmp_path / "in", values())
    files = sorted(folder.iterdir())
    report = derived(tmp_path, files)
    made, first = pydicom.dcmread(tmp_path / "new.dcm" / "1.dcm"), pydicom.dcmread(files[0])
    assert report["outputs"][0]["images"] == 2 == len(list((tmp_path / "new.dcm").iterdir()))
    assert made.StudyInstanceUID == first.StudyInstanceUID and made.SeriesInstanceUID != first.SeriesInstanceUID
    assert "seco" in made.SeriesDescription and len(made.SourceImageSequence) == len(files)
    assert not leftovers(tmp_path)


def test_a_result_of_a_tilted_gantry_is_put_on_right_angles(tmp_path):
    """A ramp keeps its values in mm: cubic interpolation is exact for it, the edges aside."""
    files = sorted(write_series(tmp_path / "in", values()).iterdir())
    affine = oblique(spacing=(1, 1, 1), shear=0.3)
    grid = Grid((16, 16, 16), affine)
    ramp = Volume(grid.centres() @ [3.0, 5.0, -2.0], affine)
    write(ramp, tmp_path / "tilted.nii.gz")
    told = []
    values_ = {"task": "derive", "inputs": [str(tmp_path / "tilted.nii.gz")], "outputs": [str(tmp_path / "new.dcm")],
               "method": "seco", "dicom_files": [str(f) for f in files]}  # fmt: skip
    run_job(Job(**values_), Progress(told.append))
    assert any("not at right angles" in e.get("message", "") for e in told)
    made = read(tmp_path / "new.dcm")
    index = np.linalg.inv(affine) @ np.r_[made.grid.centres().reshape(-1, 3).T, [np.ones(made.data.size)]]
    inside = ((index[:3] > 4) & (index[:3] < 11)).all(axis=0).reshape(made.shape)
    assert inside.sum() > 100
    wanted = made.grid.centres() @ [3.0, 5.0, -2.0]
    np.testing.assert_allclose(made.data[inside], wanted[inside], atol=0.1)


def test_derived_series_are_refused_in_one_sentence(tmp_path):
    files = sorted(write_series(tmp_path / "in", values()).iterdir())
    other = slice_of(values(1)[0], 3.0, SeriesInstanceUID="1.2.3.4")
    other.save_as(tmp_path / "other.dcm", enforce_file_format=True)
    for changes, told in (
        ({"dicom_files": None}, "needs one input, one output and dicom_files"),
        ({"outputs": [str(tmp_path / "new.nii")]}, "is no name for a DICOM series"),
        ({"dicom_files": [str(tmp_path / "gone.dcm")]}, "gone.dcm"),
        ({"dicom_files": [str(files[0]), str(tmp_path / "other.dcm")]}, "of 2 series"),
        ({"dicom_files": [str(tmp_path / "result.nrrd")]}, "is no DICOM"),
        ({"outputs": [str(tmp_path / "in")], "dicom_files": [str(f) for f in files]}, "in"),
    ):
        with pytest.raises(InputError, match=re.escape(told)):
            derived(tmp_path, files, **changes)
    assert not (tmp_path / "new.dcm").exists() and len(list((tmp_path / "in").iterdir())) == len(files)


@pytest.mark.parametrize(
    ("told", "thickness"), [("3.5", 3.5), ("0", None), ("-2", None), ("nan", None), ("thick", None)]
)
def test_the_panels_files_keep_the_thickness_of_the_header(tmp_path, told, thickness):
    image = sitk.Image(4, 3, 2, sitk.sitkInt16)
    image.SetMetaData("inrsr_slice_thickness", told)
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    assert read(tmp_path / "a.nrrd").slice_thickness == thickness
