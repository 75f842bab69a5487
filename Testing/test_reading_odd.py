"""Files that are odd but can be read, as bug reports of other readers show them: values and place are right, or told."""

from __future__ import annotations

import gzip
import struct

import nibabel as nib
import numpy as np
import pytest
from dicomfiles import DISTANCE, expected_affine, values, write_series
from test_reading_headers import DATA, VALUES, A, meta, nifti, nrrd

from INRSuperResolutionLib import InputError, read
from INRSuperResolutionLib.image.files import read_grid

LPS = np.diag([-1.0, -1, 1, 1])


def assert_is(path, data=DATA, affine=None, told=None):
    volume = read(path)
    np.testing.assert_allclose(volume.data, data, rtol=1e-6)
    if affine is not None:
        np.testing.assert_allclose(volume.affine, affine, atol=1e-4)
        np.testing.assert_allclose(read_grid(path).affine, affine, atol=1e-4)
    if told is None:
        assert volume.warnings == ()
    else:
        assert any(told in w for w in volume.warnings), volume.warnings


NIFTI = {
    "offset 0": ({"vox_offset": 0}, None),
    "slope 0": ({"scl_slope": 0, "scl_inter": 5}, None),
    "unused sizes 0": ({"dim": [3, 4, 5, 6, 0, 0, 0, 0]}, None),
    "unused size 3": ({"dim": [3, 4, 5, 6, 3, 1, 1, 1]}, None),
    "sizes 1 behind": ({"data": DATA[..., None, None]}, None),
    "wrong bitpix": ({"bitpix": 8}, None),
    "wrong size of header": ({"sizeof_hdr": 540}, None),
    "voxel sizes 0 beside a sform": ({"pixdim": [1] + [0] * 7}, None),
    "voxel size NaN beside a sform": ({"pixdim": [1, np.nan, 1, 1, 0, 0, 0, 0]}, None),
    "sform code 77": ({"sform_code": 77}, None),
    "unit of time only": ({"xyzt_units": 8}, None),
    "said to be vectors": ({"intent_code": 1007}, "said to hold vectors"),
}


@pytest.mark.parametrize("case", NIFTI)
@pytest.mark.parametrize("packed", ["", "gz", "gz without its ending", "ending alone"])
def test_nifti(tmp_path, case, packed):
    fields, told = NIFTI[case]
    path = nifti(tmp_path / "a.nii", A, **fields)
    if packed:
        content = path.read_bytes()
        path = tmp_path / ("b.nii" if "without" in packed else "b.nii.gz")
        path.write_bytes(content if packed == "ending alone" else gzip.compress(content))
    assert_is(path, affine=A, told=told)


def test_freesurfer_whose_ending_is_wrong(tmp_path):
    nib.save(nib.MGHImage(DATA, A.astype(np.float32)), tmp_path / "a.mgh")
    (tmp_path / "b.mgz").write_bytes((tmp_path / "a.mgh").read_bytes())
    (tmp_path / "c.mgh").write_bytes(gzip.compress((tmp_path / "a.mgh").read_bytes()))
    for name in ("a.mgh", "b.mgz", "c.mgh"):
        assert_is(tmp_path / name, affine=A)


def test_nifti_with_damaged_extensions(tmp_path):
    """What is between header and values does not matter."""
    image = nib.Nifti1Image(DATA, A)
    image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"words " * 30))
    nib.save(image, tmp_path / "a.nii")
    for size in (-5, 10**9):
        content = bytearray((tmp_path / "a.nii").read_bytes())
        content[352:356] = struct.pack("<i", size)
        (tmp_path / "b.nii").write_bytes(content)
        assert_is(tmp_path / "b.nii", affine=A)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("slope", [1, 2.5])
def test_nifti_in_two_files(tmp_path, order, slope):
    header = nib.Nifti1Pair(DATA, A).header.as_byteswapped(order)
    header["scl_slope"], header["scl_inter"] = slope, 3
    (tmp_path / "a.hdr").write_bytes(header.binaryblock)
    (tmp_path / "a.img").write_bytes(DATA.T.astype(f"{order}i2").tobytes())
    for name in ("a.img", "a.hdr"):
        assert_is(tmp_path / name, slope * DATA + 3.0, A)
    (tmp_path / "a.img").unlink()
    with pytest.raises(InputError, match="half an image"):
        read(tmp_path / "a.hdr")


def test_analyze_is_refused(tmp_path):
    nib.save(nib.AnalyzeImage(DATA, np.diag([-1, 1, 1, 1])), tmp_path / "a.img")
    with pytest.raises(InputError, match="does not tell left from right"):
        read(tmp_path / "a.img")


DIRECTIONS = np.array([(1, 0.2, 0), (0, 1, 0.1), (0.1, 0, 2)])


@pytest.mark.parametrize(
    ("space", "flips"),
    [("left-posterior-superior", (-1, -1, 1)), ("RAS", (1, 1, 1)), ("left-anterior-superior", (-1, 1, 1)), ("LAS", (-1, 1, 1))],
)  # fmt: skip
def test_nrrd_in_each_space(tmp_path, space, flips):
    expected = np.eye(4)
    expected[:3, :3], expected[:3, 3] = DIRECTIONS.T, (1, 2, 3)
    directions = " ".join(f"({','.join(map(str, d))})" for d in DIRECTIONS)
    path = nrrd(tmp_path / "a.nrrd", space=space, space_directions=directions)
    assert_is(path, affine=np.diag([*flips, 1]) @ expected)
    four = {"dimension": "4", "sizes": "1 4 5 6", "kinds": "list domain domain domain"}
    path = nrrd(tmp_path / "b.nrrd", space=space, space_directions=f"none {directions}", **four)
    assert_is(path, affine=np.diag([*flips, 1]) @ expected)


LONGER = b"a header\n" + VALUES
STANDARD = LPS @ [[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 2, 3], [0, 0, 0, 1]]
NOWHERE = {"space": None, "space_directions": None, "space_origin": None}
ITK = {
    "NRRD: no space": (lambda f: nrrd(f / "a.nrrd", **NOWHERE, spacings="1 1 2"), DATA, "how it lies in the patient"),
    "NRRD: space of a scanner": (lambda f: nrrd(f / "a.nrrd", space="scanner-xyz"), DATA, "how it lies in the patient"),
    "NRRD: an axis without direction": (
        lambda f: nrrd(f / "a.nrrd", space_directions="(1,0,0) (0,1,0) none"), DATA, "direction of each axis"),
    "NRRD: skip": (lambda f: nrrd(f / "a.nhdr", b"", **{"data file": "l.raw", "byte skip": "9"}), DATA, None),
    "NRRD: skip to the end": (
        lambda f: nrrd(f / "a.nhdr", b"", **{"data file": "l.raw", "byteskip": "-1"}), DATA, None),
    "NRRD: lines are skipped": (
        lambda f: nrrd(f / "a.nhdr", b"", **{"data file": "l.raw", "line skip": "1"}), DATA, None),
    "NRRD: bytes too many": (
        lambda f: nrrd(f / "a.nhdr", b"", **{"data file": "l.raw"}), None, "9 bytes lie behind its values"),
    "NRRD: big endian": (
        lambda f: nrrd(f / "a.nrrd", DATA.T.astype(">i2").tobytes(), endian="big"), DATA, None),
    "MetaImage: no spacing": (lambda f: meta(f / "a.mha", ElementSpacing=None), DATA, "1 mm is taken"),
    "MetaImage: size of elements alone": (
        lambda f: meta(f / "a.mha", ElementSpacing=None, ElementSize="1 1 2"), DATA, None),
    "MetaImage: words without directions": (
        lambda f: meta(f / "a.mha", TransformMatrix=None, AnatomicalOrientation="LPS"), DATA, "tells an orientation LPS"),
    "MetaImage: no directions": (lambda f: meta(f / "a.mha", TransformMatrix=None), DATA, None),
    "MetaImage: a header is skipped": (
        lambda f: meta(f / "a.mhd", b"", ElementDataFile="l.raw", HeaderSize="9"), DATA, None),
    "MetaImage: skip to the end": (
        lambda f: meta(f / "a.mhd", b"", ElementDataFile="l.raw", HeaderSize="-1"), DATA, None),
    "MetaImage: bytes too many": (
        lambda f: meta(f / "a.mhd", b"", ElementDataFile="l.raw"), None, "9 bytes lie behind its values"),
    "MetaImage: big endian": (
        lambda f: meta(f / "a.mha", DATA.T.astype(">i2").tobytes(), BinaryDataByteOrderMSB="True"), DATA, None),
}  # fmt: skip


@pytest.mark.parametrize("case", ITK)
def test_nrrd_and_metaimage(tmp_path, case):
    make, data, told = ITK[case]
    (tmp_path / "l.raw").write_bytes(LONGER)
    path = make(tmp_path)
    if data is None:
        assert any(told in w for w in read(path).warnings)
        return
    assert_is(path, data, None if told else STANDARD, told)


def without(*numbers):
    """Take slices away."""
    return lambda folder: [(folder / f"{n:02}.dcm").unlink() for n in numbers]


DICOM = {
    "the last is missing": ({"ImagesInAcquisition": 5}, without(4), "tells 5 slices, 4 are there"),
    "the last is missing in PET": ({"NumberOfSlices": 5}, without(4), "tells 5 slices, 4 are there"),
    "the first is missing": ({}, without(0), "begin with 2: 1 at an end may be missing"),
    "the middle is missing": ({}, without(2), "a gap of 5.00 mm"),
    "one volume of twelve": ({"ImagesInAcquisition": 60}, without(), None),
    "none is missing": ({"ImagesInAcquisition": 5}, without(), None),
    "spacing of slices is wrong": ({"SpacingBetweenSlices": 9}, without(), None),
    "no numbers": ({"InstanceNumber": None}, without(), None),
}


@pytest.mark.parametrize("case", DICOM)
def test_dicom_series(tmp_path, case):
    attributes, change, told = DICOM[case]
    folder = write_series(tmp_path / "series", each=lambda n: attributes)
    change(folder)
    volume = read(folder)
    assert told is None or any(told in w for w in volume.warnings), volume.warnings
    assert told is not None or volume.warnings == ()
    kept = [n for n in range(5) if (folder / f"{n:02}.dcm").exists()]
    np.testing.assert_array_equal(volume.data, values()[kept].transpose(2, 1, 0))
    start = expected_affine() @ [0, 0, kept[0], 1]
    np.testing.assert_allclose(volume.affine[:, 3], start, atol=1e-4)


def test_dicom_slices_that_may_be_of_several_volumes(tmp_path):
    for name, each, told in (
        ("echoes", lambda n: {"EchoTime": 10 * (n % 2) + 5}, "differ in EchoTime"),
        ("frames", lambda n: {"FrameOfReferenceUID": f"1.2.{n + 1}"}, "5 frames of reference"),
    ):
        volume = read(write_series(tmp_path / name, each=each))
        assert any(told in w for w in volume.warnings), name
        np.testing.assert_allclose(np.linalg.norm(volume.affine[:3, 2]), DISTANCE, atol=1e-6)
