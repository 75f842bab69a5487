from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from phantoms import oblique, phantom

from INRSuperResolutionLib import Grid, InputError, Volume, read, write
from INRSuperResolutionLib.image.files import WRITABLE
from INRSuperResolutionLib.image.interpolate import resample


@pytest.mark.parametrize("suffix", WRITABLE)
@pytest.mark.parametrize("shear", [0.0, 0.33])
@pytest.mark.parametrize("left_handed", [False, True])
def test_round_trip_keeps_values_and_affine(tmp_path, suffix, shear, left_handed):
    volume = phantom(affine=oblique(shear=shear, left_handed=left_handed))
    path = tmp_path / f"Größe mit Leerzeichen{suffix}"
    write(volume, path)
    again = read(path)
    np.testing.assert_array_equal(again.data, volume.data)
    # NIfTI keeps its affine as float32; NRRD and MetaImage as decimal text
    atol = 1e-5 if "nii" in suffix else 1e-12
    np.testing.assert_allclose(again.affine, volume.affine, rtol=0, atol=atol)


def test_itk_and_nibabel_agree_on_where_things_are(tmp_path):
    volume = phantom()
    write(volume, tmp_path / "a.nii.gz")
    write(volume, tmp_path / "a.nrrd")
    image = sitk.ReadImage(str(tmp_path / "a.nrrd"))
    assert image.GetPixel(3, 5, 7) == volume.data[3, 5, 7]
    lps = np.array(image.TransformIndexToPhysicalPoint((3, 5, 7)))
    ras = (volume.affine @ [3, 5, 7, 1])[:3]
    np.testing.assert_allclose(lps * [-1, -1, 1], ras, rtol=0, atol=1e-9)
    np.testing.assert_allclose(nib.load(tmp_path / "a.nii.gz").affine, volume.affine, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "top", "written"), [(np.int16, 3000, np.int16), (np.uint8, 255, np.float32), (np.float64, 1, np.float32)]
)
def test_output_type(tmp_path, dtype, top, written):
    data = (np.random.default_rng(0).random((4, 5, 6)) * top).astype(dtype)
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "in.nii.gz")
    volume = read(tmp_path / "in.nii.gz")
    write(volume.replace(data=volume.data * 0.9), tmp_path / "out.nrrd")
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out.nrrd"))).dtype == written


def test_integer_results_are_rounded_and_clipped(tmp_path):
    data = np.zeros((2, 2, 2))
    data[0, 0] = [-5.6, 70000.0]
    write(Volume(data, np.eye(4), dtype=np.dtype(np.uint16)), tmp_path / "a.nrrd")
    assert list(read(tmp_path / "a.nrrd").data[0, 0]) == [0, 65535]


def test_tilted_ct_keeps_all_slices_at_their_positions(data_folder):
    folder = data_folder / "ct_head_dicom"
    volume = read(folder)
    headers = sorted((pydicom.dcmread(p) for p in folder.iterdir()), key=lambda d: d.InstanceNumber)
    assert volume.shape == (512, 512, 28)
    for k, header in enumerate(headers):
        # first voxel centre of the slice, DICOM patient coordinates (LPS)
        ours = volume.slice_grid(k).affine[:3, 3] * [-1, -1, 1]
        np.testing.assert_allclose(ours, np.array(header.ImagePositionPatient, float), rtol=0, atol=1e-6)
        expected = header.pixel_array.T * float(header.RescaleSlope) + float(header.RescaleIntercept)
        np.testing.assert_array_equal(volume.data[:, :, k], expected)
    assert list(volume.slice_thickness) == [4.0] * 14 + [7.0] * 14


def test_tilted_ct_on_an_even_grid_has_no_jump(data_folder):
    """At the thickness change the even grid must go on smoothly: compare with the steps elsewhere."""
    volume = read(data_folder / "ct_head_dicom")
    even = resample(volume, Grid.like(volume).with_spacing((0.4882812, 0.4882812, 1.0)), 1)
    z = volume.affine[2, 3] + np.arange(even.shape[2])  # mm along the table
    middle = slice(150, 360)
    step = np.abs(np.diff(even.data[middle, middle], axis=2)).mean(axis=(0, 1))
    change = int(np.searchsorted(z, 60.7 + 0.57)) - 1
    # 1.14 mm between a 4 mm and a 7 mm slice: their difference in thickness shows, but no more than between
    # any neighbouring slices, which a volume read as evenly spaced would shear apart by up to 20 mm
    assert step[change - 1 : change + 2].max() <= 1.5 * step.max(
        initial=0, where=np.abs(np.arange(len(step)) - change) > 2
    )


def test_errors_name_the_file_and_the_way_out(tmp_path):
    good = tmp_path / "good.nii.gz"
    write(phantom(), good)
    cases = {
        "missing.nii.gz": (None, "does not exist"),
        "text.nii.gz": (b"no image", "cannot read"),
        "cut.nii.gz": (good.read_bytes()[:500], "cannot read"),
        "broken.nii.gz": (gzip.compress(b"\0" * 400), "cannot read"),
        "x.nrrd": (b"NRRD0004\ntype: float\n", "cannot read"),
        "photo.png": (b"", "not a known format"),
    }
    for name, (content, message) in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message) as caught:
            read(tmp_path / name)
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((3, 3, 3, 2), np.float32), "4 axes"),
        (np.full((3, 3, 3), np.nan, np.float32), "27 voxels that are NaN"),
        (np.zeros((3, 3, 3), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])), "colour"),
        (np.zeros((3, 3, 3), np.complex64), "complex"),
    ],
)
def test_what_is_no_scalar_volume_is_refused(tmp_path, data, message):
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=message):
        read(tmp_path / "a.nii.gz")


def test_colour_nrrd_and_empty_folder_are_refused(tmp_path):
    sitk.WriteImage(sitk.Image([3, 3, 3], sitk.sitkVectorUInt8, 3), str(tmp_path / "a.nrrd"))
    with pytest.raises(InputError, match="3 values per voxel"):
        read(tmp_path / "a.nrrd")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="0 DICOM series"):
        read(tmp_path / "empty")


def test_uneven_slices_cannot_be_written():
    volume = Volume(np.zeros((2, 2, 3)), np.eye(4), slice_positions=[0, 1, 3])
    with pytest.raises(InputError, match="unevenly spaced"):
        write(volume, "/nowhere/a.nrrd")
