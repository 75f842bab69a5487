"""Siemens mosaics: the slices of a volume as tiles of one image, taken apart by nibabel."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

# the import itself warns that only Siemens images are read: mosaics are no others
with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)
    from nibabel.nicom import dicomwrappers
from pydicom.dataset import Dataset

from ..errors import InputError
from .dicom_decoder import Decoder
from .dicom_frames import rescale_of
from .dicom_header import positive, read_header, text
from .dicom_pixels import stored_values
from .stack import RAS_FROM_LPS
from .volume import Volume


def is_mosaic(header: Dataset) -> bool:
    """Whether an image consists of tiles: its type says so, or Siemens' private count of them."""
    return "MOSAIC" in text(header, "ImageType").split("\\") or (0x0019, 0x100A) in header


def read_mosaic(files: list[Path], name: str) -> Volume:
    """The volume of one mosaic.

    Raises
    ------
    InputError
        If there are several (each is a time point or direction), or its private header does not tell its slices.
    """
    if len(files) > 1:
        raise InputError(
            f"{name} has {len(files)} Siemens mosaics, each of them a volume", "Give a folder with one, or convert them"
        )
    dataset = read_header(files[0], pixels=True)
    with Decoder() as decoder:
        stored_values(dataset, files[0], decoder)  # tells of damage in one line
    slope, intercept = rescale_of(dataset, dataset, str(files[0]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wrapped = dicomwrappers.wrapper_from_data(dataset)
            if not isinstance(wrapped, dicomwrappers.MosaicWrapper):
                raise ValueError("it has no Siemens header")
            stored, affine = wrapped.get_unscaled_data(), np.array(wrapped.affine, np.float64)
    except Exception as error:  # whatever a private header that is not as expected raises
        raise InputError(
            f"{files[0]} is a Siemens mosaic that cannot be taken apart: {error}", "Convert it to NIfTI first"
        ) from error
    # nibabel counts rows first
    values = np.asarray(stored, np.float64).transpose(1, 0, 2) * slope + intercept
    whole = slope.is_integer() and intercept.is_integer()
    return Volume(
        values,
        RAS_FROM_LPS @ affine[:, [1, 0, 2, 3]],
        slice_thickness=positive(dataset, "SliceThickness"),
        dtype=np.dtype(np.int16 if whole and np.abs(values).max() < 1 << 15 else np.float32),
        name=name,
    )
