"""Small DICOM files for tests: single slices, and enhanced files with several frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

SERIES, STUDY, FRAME_OF_REFERENCE = generate_uid(), generate_uid(), generate_uid()
SPACING, DISTANCE = (0.8, 0.6), 2.5
# rows run to the patient's left and a little down, columns to the back: oblique, and without symmetry
TURN = (np.cos(0.2), 0.0, -np.sin(0.2), 0.0, 1.0, 0.0)
ORIGIN = np.array([-20.0, 10.0, 30.0])
NORMAL = np.cross(TURN[:3], TURN[3:])


def values(slices: int = 5, rows: int = 6, columns: int = 7) -> np.ndarray:
    """Stored values, int16, (slices, rows, columns); all different."""
    return np.arange(slices * rows * columns, dtype=np.int16).reshape(slices, rows, columns) * 3 + 1


def position(height: float) -> list[float]:
    """ImagePositionPatient at a height (mm) along the normal."""
    return [round(float(v), 6) for v in ORIGIN + height * NORMAL]


def expected_affine(step: float = DISTANCE) -> np.ndarray:
    """The affine (RAS mm) of slices made here, from the definition in DICOM PS3.3 C.7.6.2.1.1."""
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = np.array(TURN[:3]) * SPACING[1], np.array(TURN[3:]) * SPACING[0]
    lps[:3, 2], lps[:3, 3] = NORMAL * step, ORIGIN
    return np.diag([-1, -1, 1, 1]) @ lps


def base(stored: np.ndarray, sop_class: str) -> Dataset:
    """A dataset with patient, study, series and pixels (the last two axes are rows and columns)."""
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d.SOPClassUID, d.SOPInstanceUID = sop_class, generate_uid()
    d.PatientName, d.PatientID, d.StudyInstanceUID, d.StudyDate = "Test^Phantom", "4711", STUDY, "20260101"
    d.SeriesInstanceUID, d.SeriesDescription, d.SeriesNumber = SERIES, "phantom", 3
    d.FrameOfReferenceUID, d.Modality = FRAME_OF_REFERENCE, "MR" if "MR" in d.SOPClassUID.name else "CT"
    d.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.Rows, d.Columns = stored.shape[-2:]
    bits = 8 * stored.dtype.itemsize
    d.BitsAllocated, d.BitsStored, d.HighBit = bits, bits, bits - 1
    d.PixelRepresentation = int(stored.dtype.kind == "i")
    d.PixelData = stored.tobytes()
    return d


def slice_of(stored: np.ndarray, height: float, number: int = 1, sop_class: str = CTImageStorage, **changes) -> Dataset:
    """One slice; `changes` set attributes, and None deletes one."""
    d = base(stored, sop_class)
    d.ImagePositionPatient, d.ImageOrientationPatient = position(height), [f"{v:.12g}" for v in TURN]
    d.PixelSpacing, d.SliceThickness, d.InstanceNumber = list(SPACING), 2.0, number
    for keyword, value in changes.items():
        if value is None:
            delattr(d, keyword)
        else:
            setattr(d, keyword, value)
    return d


def write_series(
    folder: Path, stored: np.ndarray | None = None, each=None, heights: Sequence[float] | None = None
) -> Path:
    """A folder of single slices; ``each(n)`` gives changes for slice n."""
    folder.mkdir(exist_ok=True)
    stored = values() if stored is None else stored
    for n, plane in enumerate(stored):
        height = n * DISTANCE if heights is None else heights[n]
        save(slice_of(plane, height, n + 1, **(each(n) if each else {})), folder / f"{n:02}.dcm")
    return folder


def save(dataset: Dataset, path: Path) -> Path:
    """Write a dataset."""
    dataset.save_as(path, enforce_file_format=True)
    return path


def item(**attributes) -> Items:
    """A sequence of one item."""
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return Items([made])


def enhanced(stored: np.ndarray, heights: Sequence[float], slopes: Sequence[float] | None = None, **changes) -> Dataset:
    """A multi-frame file: positions and rescale for each frame, orientation and pixel size shared."""
    d = base(stored, EnhancedMRImageStorage)
    d.NumberOfFrames = len(stored)
    shared, frames = Dataset(), []
    shared.PlaneOrientationSequence = item(ImageOrientationPatient=[f"{v:.12g}" for v in TURN])
    shared.PixelMeasuresSequence = item(PixelSpacing=list(SPACING), SliceThickness=2.0)
    for n, height in enumerate(heights):
        groups = Dataset()
        groups.PlanePositionSequence = item(ImagePositionPatient=position(height))
        groups.FrameContentSequence = item(StackID="1", TemporalPositionIndex=1)
        if slopes is not None:
            groups.PixelValueTransformationSequence = item(RescaleSlope=slopes[n], RescaleIntercept=n)
        frames.append(groups)
    d.SharedFunctionalGroupsSequence, d.PerFrameFunctionalGroupsSequence = Items([shared]), Items(frames)
    for keyword, value in changes.items():
        setattr(d, keyword, value)
    return d


__all__ = [
    "MRImageStorage",
    "base",
    "enhanced",
    "expected_affine",
    "item",
    "save",
    "slice_of",
    "values",
    "write_series",
]
