"""DICOM folders and files: read right, or refused with the cause. Values are written by pydicom, not by this project."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
import pytest
import SimpleITK as sitk
from dicomfiles import DISTANCE, base, enhanced, expected_affine, save, slice_of, values, write_series
from pydicom.uid import MRImageStorage, MultiFrameGrayscaleWordSecondaryCaptureImageStorage, RLELossless, generate_uid

from INRSuperResolutionLib import InputError, read
from INRSuperResolutionLib.image.files import read_grid

HEIGHTS = [n * DISTANCE for n in range(5)]


def as_read(stored: np.ndarray) -> np.ndarray:
    """(slices, rows, columns) → [i, j, k]."""
    return stored.transpose(2, 1, 0)


def folder_of(tmp_path: Path, *datasets) -> Path:
    folder = tmp_path / "series"
    folder.mkdir()
    for n, d in enumerate(datasets):
        save(d, folder / f"{n}.dcm")
    return folder


def check(volume, stored=None, step=DISTANCE) -> None:
    np.testing.assert_array_equal(volume.data, as_read(values() if stored is None else stored))
    np.testing.assert_allclose(volume.affine, expected_affine(step), rtol=0, atol=1e-5)


def test_single_slices_as_simpleitk_reads_them(tmp_path):
    folder = write_series(tmp_path / "a", each=lambda n: {"RescaleSlope": 1, "RescaleIntercept": -1024})
    volume = read(folder)
    check(volume, values().astype(float) - 1024)
    assert volume.dtype == np.int16 and not volume.warnings
    assert list(volume.slice_thickness) == [2.0] * 5
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    image = sitk.ReadImage(files)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, volume.data)
    np.testing.assert_allclose(np.array(image.GetOrigin()) * [-1, -1, 1], volume.affine[:3, 3], atol=1e-6)
    assert np.allclose(read_grid(folder).affine, volume.affine) and read_grid(folder).shape == volume.shape


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]])
def test_frames_come_in_the_order_of_their_positions(tmp_path, order):
    d = enhanced(values()[order], [HEIGHTS[n] for n in order])
    check(read(folder_of(tmp_path, d)))
    check(read(save(d, tmp_path / "alone.dcm")))


def test_each_frame_has_its_own_rescale_and_thickness(tmp_path):
    slopes = [1.0, 0.5, 2.0, 0.25, 3.0]
    d = enhanced(values(), HEIGHTS, slopes)
    for n, groups in enumerate(d.PerFrameFunctionalGroupsSequence):
        measures = pydicom.Dataset()
        measures.PixelSpacing, measures.SliceThickness = [0.8, 0.6], 1.0 + n
        groups.PixelMeasuresSequence = [measures]
    volume = read(folder_of(tmp_path, d))
    check(volume, values() * np.array(slopes)[:, None, None] + np.arange(5)[:, None, None])
    assert volume.dtype == np.float32
    assert list(volume.slice_thickness) == [1, 2, 3, 4, 5]


def test_a_series_of_enhanced_files_over_several_files(tmp_path):
    parts = [enhanced(values()[a], [HEIGHTS[n] for n in a]) for a in ([3, 1], [0, 4], [2])]
    check(read(folder_of(tmp_path, *parts)))


def test_a_rescale_beside_the_groups_counts(tmp_path):
    check(
        read(folder_of(tmp_path, enhanced(values(), HEIGHTS, RescaleSlope=2, RescaleIntercept=-7))), values() * 2.0 - 7
    )


def test_compressed_frames(tmp_path):
    d = enhanced(values(), HEIGHTS)
    d.compress(RLELossless, generate_instance_uid=False)
    check(read(folder_of(tmp_path, d)))


@pytest.mark.parametrize("name", ["MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_compressed_pixels_are_those_of_the_plain_file(name):
    """pydicom's own files: one image, in several transfer syntaxes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compressed, plain = (read(pydicom.data.get_testdata_file(n)) for n in (name, "MR_small.dcm"))
    np.testing.assert_array_equal(compressed.data, plain.data)


def test_a_decoder_that_hangs_or_crashes_ends(tmp_path, monkeypatch):
    """GDCM does both, on damaged JPEG 2000."""
    import time

    from INRSuperResolutionLib.image import dicom_decoder

    monkeypatch.setattr(dicom_decoder, "PATIENCE_SECONDS", 1.0)
    for script, message in (
        ("import time; time.sleep(60)", "not come to an end"),
        ("import os; os.abort()", "ended|end"),
    ):
        (tmp_path / "stuck.py").write_text(script)
        monkeypatch.setattr(dicom_decoder, "__file__", str(tmp_path / "stuck.py"))
        started = time.monotonic()
        with dicom_decoder.Decoder() as decoder, pytest.raises(ValueError, match=message):
            decoder.decode(tmp_path / "a.dcm", 100)
        assert time.monotonic() - started < 10


def test_rescale_and_signedness_belong_to_each_slice(tmp_path):
    """PET has a slope for each slice; a CT slice may be stored unsigned with another intercept."""
    folder = tmp_path / "pet"
    write_series(folder, each=lambda n: {"RescaleSlope": 0.5 + n, "RescaleIntercept": 0})
    expected = values() * (0.5 + np.arange(5))[:, None, None]
    np.testing.assert_allclose(read(folder).data, as_read(expected), rtol=1e-7)

    stored = values().astype(np.int16) - 400
    folder = write_series(tmp_path / "ct", stored, each=lambda n: {"RescaleSlope": 1, "RescaleIntercept": 0})
    odd = slice_of((stored[2] + 1024).astype(np.uint16), 2 * DISTANCE, 3, RescaleSlope=1, RescaleIntercept=-1024)
    save(odd, folder / "02.dcm")
    volume = read(folder)
    check(volume, stored)
    assert volume.dtype == np.int16


def test_bits_above_those_stored_mean_nothing(tmp_path):
    stored = (values().astype(np.uint16) & 0x0FFF) | 0xA000  # an overlay in the upper four bits
    folder = write_series(tmp_path / "a", stored, each=lambda n: {"BitsStored": 12, "HighBit": 11})
    check(read(folder), stored & 0x0FFF)


def test_monochrome1_does_not_change_values(tmp_path):
    check(read(write_series(tmp_path / "a", each=lambda n: {"PhotometricInterpretation": "MONOCHROME1"})))


@pytest.mark.parametrize("thickness", ["0", "-3", "5,0", "", None, "nan"])
def test_a_thickness_that_is_none_counts_as_absent(tmp_path, thickness):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = write_series(tmp_path / "a", each=lambda n: {"SliceThickness": None})
        for file in folder.iterdir():
            if thickness is not None:
                d = pydicom.dcmread(file)
                raw = thickness.encode() + b" " * (len(thickness) % 2)
                tag = pydicom.tag.Tag("SliceThickness")
                d[tag] = pydicom.dataelem.RawDataElement(tag, "DS", len(raw), raw, 0, False, True)
                save(d, file)
    volume = read(folder)
    check(volume)
    assert volume.slice_thickness is None


def test_a_gap_is_told_in_mm(tmp_path):
    volume = read(write_series(tmp_path / "a", heights=[0, 2.5, 5, 10, 12.5]))
    (told,) = volume.warnings
    assert "5.00 mm between 02.dcm and 03.dcm" in told and "1 slice may be missing" in told
    np.testing.assert_allclose(volume.slice_positions, [0, 1, 2, 4, 5], rtol=1e-6)


def test_a_change_of_thickness_is_no_gap(tmp_path):
    thickness = [4, 4, 4, 7, 7]
    heights = np.cumsum([0, 4, 4, 5.5, 7])
    volume = read(write_series(tmp_path / "a", heights=heights, each=lambda n: {"SliceThickness": thickness[n]}))
    assert not volume.warnings and list(volume.slice_thickness) == thickness


def test_files_that_are_no_slices_do_not_matter(tmp_path):
    folder = write_series(tmp_path / "a")
    (folder / "README").write_text("what this is")
    (folder / "notes.txt").write_text("")
    (folder / ".DS_Store").write_bytes(b"\0\1\2")
    check(read(folder))
    report = base(values()[0], "1.2.840.10008.5.1.4.1.1.88.11")
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(report, keyword)
    report.SeriesInstanceUID = generate_uid()
    save(report, folder / "report.dcm")
    directory = pydicom.Dataset()
    directory.FileSetID, directory.file_meta = "DISC", pydicom.dataset.FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    directory.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    save(directory, folder / "DICOMDIR")
    check(read(folder))


def faults() -> dict:
    """What is wrong → (what makes the folder, what the message says)."""

    def cut(folder: Path) -> None:
        file = folder / "02.dcm"
        file.write_bytes(file.read_bytes()[:-30])

    def cut_in_header(folder: Path) -> None:
        file = folder / "02.dcm"
        file.write_bytes(file.read_bytes()[:500])

    def change(**changes):
        def make(folder: Path) -> None:
            save(slice_of(values()[2], 2 * DISTANCE, 3, **changes), folder / "02.dcm")

        return make

    def only(*datasets):
        def make(folder: Path) -> None:
            for n, file in enumerate(sorted(folder.iterdir())):
                if n < len(datasets):
                    save(datasets[n], file)
                else:
                    file.unlink()

        return make

    two = np.concatenate([values(), values()])
    missing = enhanced(values(), HEIGHTS)
    missing.PerFrameFunctionalGroupsSequence.pop()

    def commas(folder: Path) -> None:
        file = folder / "02.dcm"
        file.write_bytes(file.read_bytes().replace(b"0.8\\0.6", b"0,8\\0,6"))

    no_position = enhanced(values(), HEIGHTS)
    del no_position.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence
    echoes = enhanced(two, HEIGHTS * 2)
    for n, groups in enumerate(echoes.PerFrameFunctionalGroupsSequence):
        groups.FrameContentSequence[0].TemporalPositionIndex = 1 + n // 5
    bare = base(values(), MultiFrameGrayscaleWordSecondaryCaptureImageStorage)
    bare.NumberOfFrames = 5
    short = enhanced(values(), HEIGHTS)
    short.PixelData = short.PixelData[: 3 * 84]
    mosaic = slice_of(values()[0], 0.0, sop_class=MRImageStorage, ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    colour = slice_of(values()[0], 0.0, PhotometricInterpretation="RGB", SamplesPerPixel=3)
    part = enhanced(
        values(), HEIGHTS, ConcatenationUID=generate_uid(), InConcatenationTotalNumber=2, InConcatenationNumber=1
    )
    return {
        "enhanced: a part of the series is absent": (only(part), "1 of the 2 files"),
        "a slice is cut off in its pixels": (cut, "02.dcm: its pixels cannot be read"),
        "a slice is cut off in its header": (cut_in_header, "02.dcm"),
        "a slice is empty": (lambda f: (f / "02.dcm").write_bytes(b""), "02.dcm is empty"),
        "a slice is something else": (lambda f: (f / "02.dcm").write_bytes(b"\0\1\2" * 99), "02.dcm is no DICOM"),
        "a slice has no position": (change(ImagePositionPatient=None), "no valid ImagePositionPatient"),
        "a slice has no orientation": (change(ImageOrientationPatient=None), "no valid ImageOrientationPatient"),
        "an orientation of zeros": (change(ImageOrientationPatient=[0] * 6), "no orientation"),
        "no pixel spacing": (change(PixelSpacing=None), "no valid PixelSpacing"),
        "a pixel spacing of 0": (change(PixelSpacing=[0, 0]), "no valid PixelSpacing"),
        "a rescale slope of 0": (change(RescaleSlope=0, RescaleIntercept=0), "RescaleSlope is 0"),
        "a slice of another size": (
            lambda f: save(slice_of(values(rows=8)[2], 5.0), f / "02.dcm"), "another size or orientation"),
        "a slice twice": (
            lambda f: save(slice_of(values()[2], 5.0), f / "05.dcm"), "6 slices at 5 positions"),
        "a localiser among slices": (
            change(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "02.dcm is a localiser among slices"),
        "two patients": (change(PatientID="4712"), "of several patients"),
        "two units": (lambda f: write_series(f, each=lambda n: {"Units": "BQML" if n else "CNTS"}), "in several units"),
        "a pixel spacing with commas": (commas, "no valid PixelSpacing"),
        "high bit 15 of 12": (change(BitsStored=12), "high bit is 15 of 12"),
        "two series": (change(SeriesInstanceUID=generate_uid(), SeriesDescription="other"), "2 DICOM series: phantom"),
        "only a report": (lambda f: [p.unlink() for p in f.iterdir()] + [(f / "a.nii.gz").write_bytes(b"")],
                          "0 DICOM series: it holds 1 .gz files"),
        "enhanced: a frame without groups": (only(missing), "5 frames, but functional groups for 4"),
        "enhanced: a frame without position": (only(no_position), "frame 3 does not tell where it lies"),
        "enhanced: two volumes": (only(echoes), "2 volumes in one; they differ in TemporalPositionIndex 1, 2"),
        "enhanced: frames are cut off": (only(short), "its pixels cannot be read"),
        "enhanced: one file twice": (only(enhanced(values(), HEIGHTS), enhanced(values(), HEIGHTS)), "2 volumes in one"),
        "frames without groups": (only(bare), "functional groups .* are absent"),
        "a mosaic without Siemens' header": (only(mosaic), "cannot be taken apart"),
        "two mosaics": (only(mosaic, mosaic), "2 Siemens mosaics"),
        "a colour image": (only(colour), "colour image"),
    }  # fmt: skip


@pytest.mark.parametrize("fault", faults())
def test_faults_are_refused_with_their_cause(tmp_path, fault):
    make, message = faults()[fault]
    folder = write_series(tmp_path / "series")
    make(folder)
    with pytest.raises(InputError, match=message):
        read(folder)


def test_a_siemens_mosaic_is_untiled_as_nibabel_does():
    import gzip
    import tempfile

    import nibabel
    from nibabel.nicom.dicomwrappers import wrapper_from_file

    packed = Path(nibabel.__file__).parent / "nicom" / "tests" / "data" / "siemens_dwi_0.dcm.gz"
    if not packed.exists():
        pytest.skip("nibabel is installed without its test data")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mosaic.dcm"
        file.write_bytes(gzip.decompress(packed.read_bytes()))
        volume = read(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = wrapper_from_file(file)
        assert volume.shape == (128, 128, 48)
        np.testing.assert_array_equal(volume.data, theirs.get_data().transpose(1, 0, 2))
        corner = theirs.affine @ [7, 3, 11, 1]  # row 7, column 3 (LPS)
        np.testing.assert_allclose((volume.affine @ [3, 7, 11, 1])[:3], corner[:3] * [-1, -1, 1], atol=1e-6)
        assert sitk.ReadImage(str(file)).GetSize()[:2] == (1024 - 128, 1024 - 128)  # what it was taken for before
