"""The stored values of a DICOM file's frames: by pydicom, and by GDCM (in SimpleITK) where they are compressed."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    RLELossless,
    generate_uid,
)

from ..errors import InputError
from .dicom_decoder import Decoder
from .dicom_header import number

BY_PYDICOM = (
    DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless,
)  # fmt: skip
PIXEL_ATTRIBUTES = (
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "NumberOfFrames",
)


def stored_values(dataset: Dataset, path: Path, decoder: Decoder) -> np.ndarray:
    """Values as stored, before any rescale; shape (frames, rows, columns).

    Raises
    ------
    InputError
        If they are absent, cut off, or cannot be decoded.
    """
    if not any(k in dataset for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise InputError(f"{path} has no pixels", "The file is cut off; get it again")
    syntax = _syntax(dataset)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = pixel_array(dataset, raw=True) if syntax in BY_PYDICOM else _by_gdcm(dataset, decoder)
    except MemoryError:
        raise
    except Exception as error:  # whatever a decoder raises for damaged pixels
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise InputError(
            f"{path}: its pixels cannot be read ({syntax.name}): {lines[-1]}", "The file may be cut off; get it again"
        ) from error
    rows, columns = dataset.Rows, dataset.Columns
    frames = _count(dataset) // (rows * columns)
    if values.size != frames * rows * columns:
        raise InputError(f"{path} has pixels for another size than {columns} × {rows} × {frames}", "Get the file again")
    return _without_unused_bits(values.reshape(frames, rows, columns), dataset, path)


def _count(dataset: Dataset) -> int:
    """How many values its header tells."""
    return int(np.prod([int(number(dataset, k) or 1) for k in ("Rows", "Columns", "NumberOfFrames")], dtype=np.int64))


def _syntax(dataset: Dataset):  # type: ignore[no-untyped-def]
    """The transfer syntax; where the file has no meta header, what its bytes turned out to be."""
    meta = getattr(dataset, "file_meta", None)
    if meta is None:
        meta = dataset.file_meta = FileMetaDataset()
    if not meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return meta.TransferSyntaxUID


def _without_unused_bits(values: np.ndarray, dataset: Dataset, path: Path) -> np.ndarray:
    """Above the bits that are stored there may be an overlay, or nothing that means something."""
    allocated, stored = (int(number(dataset, k) or 0) for k in ("BitsAllocated", "BitsStored"))
    if values.dtype.kind not in "iu" or not 1 < stored < allocated or allocated != 8 * values.dtype.itemsize:
        return values
    if number(dataset, "HighBit") not in (None, stored - 1):
        raise InputError(
            f"{path}: its high bit is {number(dataset, 'HighBit'):g} of {stored}", "Convert the file first"
        )
    shift = allocated - stored
    return np.right_shift(np.left_shift(values, shift), shift)  # keeps the sign, as the type has it


def _by_gdcm(dataset: Dataset, decoder: Decoder) -> np.ndarray:
    """Decode through a bare file, so that GDCM applies no rescale of its own."""
    bare = Dataset()
    for keyword in PIXEL_ATTRIBUTES:
        if keyword in dataset:
            bare[keyword] = dataset[keyword]
    word = dataset.BitsAllocated > 8
    bare.SOPClassUID = (
        MultiFrameGrayscaleWordSecondaryCaptureImageStorage
        if word
        else MultiFrameGrayscaleByteSecondaryCaptureImageStorage
    )
    bare.SOPInstanceUID = generate_uid()
    bare.SamplesPerPixel, bare.PhotometricInterpretation = 1, "MONOCHROME2"
    bare["PixelData"] = dataset["PixelData"]
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    with tempfile.TemporaryDirectory(prefix="inrsr-dicom-") as folder:
        file = Path(folder) / "pixels.dcm"
        bare.save_as(file, enforce_file_format=True)
        return decoder.decode(file, _count(dataset))
