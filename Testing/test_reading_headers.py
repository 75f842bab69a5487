"""NIfTI, FreeSurfer, NRRD and MetaImage: what their headers can say, read right or refused with the cause."""

from __future__ import annotations

import bz2
import gzip
import subprocess
import sys
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from phantoms import oblique, phantom

from INRSuperResolutionLib import InputError, read, write
from INRSuperResolutionLib.image.files import read_grid

DATA = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)


def nifti(path: Path, sform=None, qform=None, codes=(0, 1), units="mm", data=DATA, **fields) -> Path:
    """A file with this sform, qform and (qform, sform) codes; `fields` are set in the header as they are."""
    image = nib.Nifti1Image(data, None, dtype=data.dtype)
    header = image.header
    header.set_xyzt_units(units)
    image.set_qform(np.eye(4) if qform is None else qform, codes[0])
    image.set_sform(np.eye(4) if sform is None else sform, codes[1])
    nib.save(image, path)
    raw = bytearray(path.read_bytes())
    edited = nib.Nifti1Header(bytes(raw[:348]), check=False)
    for name, value in fields.items():
        edited[name] = value
    path.write_bytes(edited.binaryblock + bytes(raw[348:]))
    return path


A = oblique()
B = oblique(angle=0.9, spacing=(1, 2, 3))


def test_sform_before_qform_and_told_when_they_differ(tmp_path):
    volume = read(nifti(tmp_path / "a.nii", A, B, (1, 2)))
    np.testing.assert_allclose(volume.affine, A, atol=1e-5)
    (told,) = volume.warnings
    assert "sform and qform differ" in told and "the sform is taken" in told
    assert not read(nifti(tmp_path / "same.nii", A, A, (1, 1))).warnings


def test_qform_where_the_sform_is_zero_or_not_set(tmp_path):
    zero = np.diag([0.0, 0, 0, 1])
    volume = read(nifti(tmp_path / "zero.nii", zero, B, (1, 1)))
    np.testing.assert_allclose(volume.affine, B, atol=1e-5)
    assert "the qform is taken" in volume.warnings[0]
    volume = read(nifti(tmp_path / "unset.nii", A, B, (1, 0)))
    np.testing.assert_allclose(volume.affine, B, atol=1e-5)
    assert not volume.warnings


def test_both_codes_0_as_nibabel_and_told(tmp_path):
    path = nifti(tmp_path / "a.nii", A, B, (0, 0))
    volume = read(path)
    np.testing.assert_allclose(volume.affine, nib.load(path).affine, atol=1e-6)
    assert "left and right may be swapped" in volume.warnings[0]


@pytest.mark.parametrize(("units", "factor"), [("micron", 1e-3), ("meter", 1e3), ("mm", 1), ("unknown", 1)])
def test_units(tmp_path, units, factor):
    volume = read(nifti(tmp_path / "a.nii", A, A, (1, 1), units))
    expected = np.diag([factor, factor, factor, 1]) @ A
    np.testing.assert_allclose(volume.affine, expected, rtol=1e-5, atol=1e-5 * factor)
    assert bool(volume.warnings) == (factor != 1)
    write(volume, tmp_path / "b.nii")
    np.testing.assert_allclose(read(tmp_path / "b.nii").affine, expected, rtol=1e-5, atol=1e-5 * factor)


@pytest.mark.parametrize("codes", [(1, 1), (0, 1), (1, 0), (2, 4), (0, 2), (3, 0), (0, 0), (1, 3)])
def test_codes_are_kept_through_a_run(tmp_path, inrsr, codes):
    nifti(tmp_path / "a.nii", A, A, codes)
    done = inrsr("upscale", "cubic", "a.nii", "--output", "b.nii", "--scale", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    header = nib.load(tmp_path / "b.nii").header
    assert (int(header["qform_code"]), int(header["sform_code"])) == codes
    first = nib.load(tmp_path / "a.nii").affine
    factor = np.array([2, 2, 2])
    expected = first.copy()
    expected[:3, :3] /= factor
    expected[:3, 3] += first[:3, :3] @ (0.5 / factor - 0.5)
    np.testing.assert_allclose(nib.load(tmp_path / "b.nii").affine, expected, atol=1e-4)
    sitk.ReadImage(str(tmp_path / "b.nii"))


@pytest.mark.parametrize("shear", [1e-5, 1e-4, 5e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("codes", [(1, 1), (0, 1), None])
def test_a_result_opens_in_itk_where_its_input_did(tmp_path, shear, codes):
    """An affine of a registration is orthogonal to its rounding only."""
    sheared = oblique(shear=shear)
    nifti(tmp_path / "a.nii", sheared, sheared, codes or (1, 1))
    volume = read(tmp_path / "a.nii").replace(**({} if codes else {"codes": None}))
    write(volume, tmp_path / "b.nii")
    try:
        sitk.ReadImage(str(tmp_path / "a.nii"))
    except RuntimeError:
        assert codes == (0, 1) and shear >= 5e-4
    else:
        sitk.ReadImage(str(tmp_path / "b.nii"))
    np.testing.assert_allclose(read(tmp_path / "b.nii").affine, sheared, atol=1e-5)


def test_odd_qfac_and_sizes_as_nibabel_takes_them(tmp_path):
    turned = oblique(left_handed=True)
    for name, pixdim in (("a", [0, 0.9, 1.1, 2.5]), ("b", [1, -0.9, 1.1, 2.5]), ("c", [-1, 0.9, 1.1, 2.5])):
        header = np.array([*pixdim, 1, 1, 1, 1])
        path = nifti(tmp_path / f"{name}.nii", A if pixdim[0] >= 0 else turned, codes=(1, 0), qform=A, pixdim=header)
        np.testing.assert_allclose(read(path).affine, nib.load(path).affine, atol=1e-5)


def test_a_sform_that_is_no_affine_with_a_good_qform(tmp_path):
    path = nifti(tmp_path / "a.nii", A, B, (1, 1), srow_x=[np.nan, 0, 0, 0])
    volume = read(path)
    np.testing.assert_allclose(volume.affine, B, atol=1e-5)
    assert "the qform is taken" in volume.warnings[0]


@pytest.mark.parametrize("ending", [".nii.gz", ".mgz"])
def test_damage_that_still_unpacks(tmp_path, ending):
    """A changed byte that deflate does not notice is told by the checksum at the end."""
    image = nib.Nifti1Image(DATA, A) if ending == ".nii.gz" else nib.MGHImage(DATA, A.astype(np.float32))
    nib.save(image, tmp_path / f"good{ending}")
    whole = gzip.decompress((tmp_path / f"good{ending}").read_bytes())
    packed = bytearray(gzip.compress(whole, compresslevel=0))
    at = bytes(packed).index(DATA.T[2, 2, :].astype(">i2" if ending == ".mgz" else "<i2").tobytes())
    packed[at] ^= 0x40
    (tmp_path / f"bad{ending}").write_bytes(bytes(packed))
    with pytest.raises(InputError, match="cannot read"):
        read(tmp_path / f"bad{ending}")


NIFTI_FAULTS = {
    "slope NaN": ({"scl_slope": np.nan}, "scaled by nan"),
    "slope infinite": ({"scl_slope": np.inf}, "scaled by inf"),
    "intercept NaN": ({"scl_slope": 1, "scl_inter": np.nan}, "scaled by 1 and nan"),
    "intercept infinite": ({"scl_slope": 2, "scl_inter": -np.inf}, "scaled by 2 and -inf"),
    "datatype unknown": ({"datatype": 999}, "data type 999"),
    "datatype 0": ({"datatype": 0}, "data type 0"),
    "datatype 1 bit": ({"datatype": 1}, "data type 1"),
    "negative size": ({"dim": [3, -4, 5, 6, 1, 1, 1, 1]}, "its sizes"),
    "size 0": ({"dim": [3, 4, 0, 6, 1, 1, 1, 1]}, "its sizes"),
    "no axes": ({"dim": [0, 4, 5, 6, 1, 1, 1, 1]}, "its sizes"),
    "too many axes": ({"dim": [77, 4, 5, 6, 1, 1, 1, 1]}, "its sizes"),
    "huge sizes": ({"dim": [3, 32000, 32000, 32000, 1, 1, 1, 1]}, "its values need"),
    "more values than bytes": ({"dim": [3, 4, 5, 7, 1, 1, 1, 1]}, "its values need"),
    "CIFTI-2": ({"intent_code": 3001}, "CIFTI-2"),
    "data offset NaN": ({"vox_offset": np.nan}, "start at byte nan"),
    "no magic": ({"magic": b"xxx"}, "does not start as NIfTI"),
    "sform NaN": ({"srow_x": [np.nan, 0, 0, 0]}, "affine is not valid"),
    "vectors": ({"data": np.zeros((4, 5, 6, 1, 3), np.int16), "intent_code": 1007}, "vectors: 3 values per voxel"),
    "complex numbers": ({"data": DATA.astype(np.complex64)}, "complex numbers"),
    "several volumes": ({"data": np.stack([DATA] * 3, -1)}, "4 axes"),
    "values in another file": ({"magic": b"ni1"}, "a file of their own"),
    "sform in a plane": ({"srow_x": [0, 0, 0, 0]}, "one plane|not valid"),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("fault", NIFTI_FAULTS)
def test_nifti_faults(tmp_path, fault, zipped):
    fields, message = NIFTI_FAULTS[fault]
    path = nifti(tmp_path / "a.nii", **fields)
    if zipped:
        (tmp_path / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = tmp_path / "a.nii.gz"
        message = message if "bytes" not in message and "need" not in message else "cannot read"
    with pytest.raises(InputError, match=message):
        read(path)


def test_big_endian_and_64_bits_become_what_others_take(tmp_path):
    for kind, top in ((">i2", 3000), (">f8", 1), ("<i8", 3000), (">u8", 3000), (">i4", 1 << 20)):
        data = (np.arange(4 * 5 * 6).reshape(4, 5, 6) * (top / 119)).astype(kind)
        image = nib.Nifti1Image(data, A, nib.Nifti1Header(endianness=">" if kind[0] == ">" else "<"), dtype=data.dtype)
        nib.save(image, tmp_path / "a.nii")
        volume = read(tmp_path / "a.nii")
        np.testing.assert_array_equal(volume.data, data.astype(np.float32))
        for name in ("b.nii", "b.nrrd", "b.mha"):
            write(volume, tmp_path / name)
            there = sitk.ReadImage(str(tmp_path / name))
            assert there.GetPixelIDTypeAsString() in ("16-bit signed integer", "32-bit signed integer", "32-bit float")
            np.testing.assert_array_equal(sitk.GetArrayFromImage(there).T, volume.data)


def test_like_needs_only_the_grid(tmp_path):
    data = np.full((4, 5, 6, 3), np.nan, np.float32)
    grid = read_grid(nifti(tmp_path / "a.nii", A, A, (1, 1), data=data))
    assert grid.shape == (4, 5, 6)
    np.testing.assert_allclose(grid.affine, A, atol=1e-5)
    write(phantom(), tmp_path / "p.nrrd")
    assert read_grid(tmp_path / "p.nrrd").shape == phantom().shape
    np.testing.assert_allclose(read_grid(tmp_path / "p.nrrd").affine, phantom().affine, atol=1e-9)
    vectors = sitk.Image([4, 5, 6], sitk.sitkVectorUInt8, 3)
    sitk.WriteImage(vectors, str(tmp_path / "c.mha"))
    assert read_grid(tmp_path / "c.mha").shape == (4, 5, 6)


@pytest.mark.parametrize("ending", [".mgz", ".mgh"])
def test_freesurfer(tmp_path, ending):
    nib.save(nib.MGHImage(DATA.astype(np.int32) + (1 << 25), A.astype(np.float32)), tmp_path / f"a{ending}")
    volume = read(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(volume.exact, DATA.astype(np.int64) + (1 << 25))
    np.testing.assert_allclose(volume.affine, A, atol=1e-4)
    np.testing.assert_allclose(read_grid(tmp_path / f"a{ending}").affine, A, atol=1e-4)
    (tmp_path / f"cut{ending}").write_bytes((tmp_path / f"a{ending}").read_bytes()[:100])
    with pytest.raises(InputError, match="cannot read"):
        read(tmp_path / f"cut{ending}")


NRRD = {
    "type": "short", "dimension": "3", "space": "left-posterior-superior", "sizes": "4 5 6",
    "space directions": "(1,0,0) (0,1,0) (0,0,2)", "endian": "little", "encoding": "raw", "space origin": "(1,2,3)",
}  # fmt: skip
META = {
    "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False", "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "1 2 3", "ElementSpacing": "1 1 2",
    "DimSize": "4 5 6", "ElementType": "MET_SHORT", "ElementDataFile": "LOCAL",
}  # fmt: skip
VALUES = np.ascontiguousarray(DATA.T).tobytes()


def nrrd(path: Path, values: bytes = VALUES, **changes) -> Path:
    fields = {k: changes.pop(k.replace(" ", "_"), v) for k, v in NRRD.items()} | changes
    head = "".join(f"{k}: {v}\n" for k, v in fields.items() if v is not None)
    path.write_bytes(b"NRRD0005\n" + head.encode("latin-1") + b"\n" + values)
    return path


def meta(path: Path, values: bytes = VALUES, **changes) -> Path:
    fields = {**META, **changes}
    last = fields.pop("ElementDataFile")
    head = "".join(f"{k} = {v}\n" for k, v in fields.items() if v is not None)
    path.write_bytes(head.encode("latin-1") + f"ElementDataFile = {last}\n".encode("latin-1") + values)
    return path


def test_good_headers_are_read_as_itk_does(tmp_path):
    files = [
        nrrd(tmp_path / "a.nrrd"),
        nrrd(tmp_path / "b.nrrd", gzip.compress(VALUES), encoding="gzip"),
        meta(tmp_path / "a.mha"),
        meta(
            tmp_path / "b.mha",
            zlib.compress(VALUES),
            CompressedData="True",
            CompressedDataSize=len(zlib.compress(VALUES)),
        ),
        nrrd(tmp_path / "c.nhdr", b"", **{"data file": "c.raw"}),
        meta(tmp_path / "d.mhd", b"", ElementDataFile="c.raw"),
    ]
    (tmp_path / "c.raw").write_bytes(VALUES)
    for file in files:
        volume = read(file)
        np.testing.assert_array_equal(volume.data, DATA)
        np.testing.assert_allclose(
            volume.affine, np.diag([-1, -1, 1, 1]) @ [[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 2, 3], [0, 0, 0, 1]]
        )


def test_units_of_nrrd_and_metaimage(tmp_path):
    for file in (
        nrrd(tmp_path / "a.nrrd", **{"space units": '"um" "um" "um"'}),
        meta(tmp_path / "a.mha", DistanceUnits="um"),
    ):
        volume = read(file)
        np.testing.assert_allclose(volume.spacing, [1e-3, 1e-3, 2e-3])
        np.testing.assert_allclose(volume.affine[:3, 3], [-1e-3, -2e-3, 3e-3])
        np.testing.assert_allclose(read_grid(file).affine, volume.affine)
        assert "turned to mm" in volume.warnings[0]


DAMAGED_GZIP = bytearray(gzip.compress(VALUES))
DAMAGED_GZIP[-6] ^= 0xFF  # its checksum
DAMAGED_ZLIB = bytearray(zlib.compress(VALUES))
DAMAGED_ZLIB[-2] ^= 0xFF
ITK_FAULTS = {
    "NRRD: direction infinite": lambda f: nrrd(f / "a.nrrd", space_directions="(inf,0,0) (0,1,0) (0,0,2)"),
    "NRRD: direction NaN": lambda f: nrrd(f / "a.nrrd", space_directions="(nan,0,0) (0,1,0) (0,0,2)"),
    "NRRD: direction in words": lambda f: nrrd(f / "a.nrrd", space_directions="(x,0,0) (0,1,0) (0,0,2)"),
    "NRRD: too few directions": lambda f: nrrd(f / "a.nrrd", space_directions="(1,0,0) (0,1,0)"),
    "NRRD: directions in a plane": lambda f: nrrd(f / "a.nrrd", space_directions="(1,0,0) (1,0,0) (0,0,2)"),
    "NRRD: origin infinite": lambda f: nrrd(f / "a.nrrd", space_origin="(1,inf,3)"),
    "NRRD: origin 1e300": lambda f: nrrd(f / "a.nrrd", space_origin="(1,1e300,3)"),
    "NRRD: dimension -1": lambda f: nrrd(f / "a.nrrd", dimension="-1"),
    "NRRD: dimension 99": lambda f: nrrd(f / "a.nrrd", dimension="99"),
    "NRRD: negative size": lambda f: nrrd(f / "a.nrrd", sizes="4 -5 6"),
    "NRRD: sizes beyond memory": lambda f: nrrd(f / "a.nrrd", sizes="40000 50000 60000"),
    "NRRD: type unknown": lambda f: nrrd(f / "a.nrrd", type="quaternion"),
    "NRRD: type block": lambda f: nrrd(f / "a.nrrd", type="block"),
    "NRRD: encoding unknown": lambda f: nrrd(f / "a.nrrd", encoding="zip"),
    "NRRD: cut off": lambda f: nrrd(f / "a.nrrd", VALUES[:100]),
    "NRRD: not UTF-8": lambda f: nrrd(f / "a.nrrd", content="Gr\xf6\xdfe"),
    "NRRD: checksum wrong": lambda f: nrrd(f / "a.nrrd", bytes(DAMAGED_GZIP), encoding="gzip"),
    "NRRD: compressed data cut off": lambda f: nrrd(f / "a.nrrd", gzip.compress(VALUES)[:60], encoding="gzip"),
    "NRRD: fewer compressed values": lambda f: nrrd(f / "a.nrrd", gzip.compress(VALUES[:100]), encoding="gzip"),
    "NRRD: bzip2": lambda f: nrrd(f / "a.nrrd", bz2.compress(VALUES), encoding="bzip2"),
    "NRRD: several data files": lambda f: nrrd(f / "a.nhdr", b"", **{"data file": "LIST"}),
    "NRRD: a list along the first axis": lambda f: nrrd(f / "a.nrrd", kinds="list domain domain"),
    "NRRD: data file absent": lambda f: nrrd(f / "a.nhdr", b"", **{"data file": "none.raw"}),
    "NRRD: header does not end": lambda f: nrrd(f / "a.nrrd", b"", x="y" * 99999),
    "MetaImage: NDims -1": lambda f: meta(f / "a.mha", NDims="-1"),
    "MetaImage: NDims 0": lambda f: meta(f / "a.mha", NDims="0"),
    "MetaImage: NDims 1000000": lambda f: meta(f / "a.mha", NDims="1000000"),
    "MetaImage: NDims absent": lambda f: meta(f / "a.mha", NDims=None),
    "MetaImage: negative size": lambda f: meta(f / "a.mha", DimSize="4 -5 6"),
    "MetaImage: too few sizes": lambda f: meta(f / "a.mha", DimSize="4 5"),
    "MetaImage: direction infinite": lambda f: meta(f / "a.mha", TransformMatrix="inf 0 0 0 1 0 0 0 1"),
    "MetaImage: directions in a plane": lambda f: meta(f / "a.mha", TransformMatrix="1 0 0 1 0 0 0 0 1"),
    "MetaImage: offset NaN": lambda f: meta(f / "a.mha", Offset="nan 0 0"),
    "MetaImage: spacing 0": lambda f: meta(f / "a.mha", ElementSpacing="0 1 1"),
    "MetaImage: type unknown": lambda f: meta(f / "a.mha", ElementType="MET_OTHER"),
    "MetaImage: -3 channels": lambda f: meta(f / "a.mha", ElementNumberOfChannels="-3"),
    "MetaImage: 2 channels": lambda f: meta(f / "a.mha", VALUES * 2, ElementNumberOfChannels="2"),
    "MetaImage: several data files": lambda f: meta(f / "a.mhd", b"", ElementDataFile="LIST"),
    "MetaImage: cut off": lambda f: meta(f / "a.mha", VALUES[:100]),
    "MetaImage: checksum wrong": lambda f: meta(f / "a.mha", bytes(DAMAGED_ZLIB), CompressedData="True", CompressedDataSize=len(DAMAGED_ZLIB)),
    "MetaImage: compressed data cut off": lambda f: meta(f / "a.mha", zlib.compress(VALUES)[:60], CompressedData="True", CompressedDataSize=60),
    "MetaImage: compressed size absent": lambda f: meta(f / "a.mha", zlib.compress(VALUES), CompressedData="True"),
    "MetaImage: compressed size wrong": lambda f: meta(
        f / "a.mha", zlib.compress(VALUES), CompressedData="True", CompressedDataSize=len(zlib.compress(VALUES)) - 3),
    "MetaImage: data file absent": lambda f: meta(f / "a.mhd", b"", ElementDataFile="none.raw"),
    "MetaImage: not UTF-8": lambda f: meta(f / "a.mha", Comment="Gr\xf6\xdfe"),
    "MetaImage: values are scaled": lambda f: meta(f / "a.mha", ElementToIntensityFunctionSlope="2"),
    "NRRD: units differ": lambda f: nrrd(f / "a.nrrd", **{"space units": '"mm" "mm" "um"'}),
    "MetaImage: no data file": lambda f: meta(f / "a.mha", ElementDataFile=""),
}  # fmt: skip


@pytest.mark.parametrize("fault", ITK_FAULTS)
def test_nrrd_and_metaimage_faults(tmp_path, fault):
    with pytest.raises((InputError, MemoryError)) as caught:
        read(ITK_FAULTS[fault](tmp_path))
    assert caught.value.exit_code in (2, 4)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no file names that are not Unicode")
def test_a_name_that_is_not_utf_8(tmp_path):
    folder = bytes(tmp_path)
    for ending in (b".mha", b".nrrd", b".nii"):
        good = tmp_path / f"a{ending.decode()}"
        write(phantom(), good)
        odd = folder + b"/gr\xf6sse" + ending
        Path(odd.decode("utf-8", "surrogateescape")).write_bytes(good.read_bytes())
        command = [sys.executable, "-m", "INRSuperResolutionLib", "upscale", "linear", odd, "--scale", "1", "--output"]
        done = subprocess.run([*command, str(tmp_path / "b.nii")], capture_output=True, timeout=60)
        assert done.returncode == (0 if ending == b".nii" else 2), done.stderr
        assert b"Traceback" not in done.stderr
