"""Reading and writing volumes, with their geometry kept exactly: a file for each format, one door for all."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np

from ..errors import InputError
from . import itk, nifti
from .dicom import read_dicom
from .itk import read_itk, write_itk
from .nifti import read_nifti, write_nifti
from .volume import Volume

WRITABLE = (*nifti.ENDINGS, *itk.WRITABLE)
# an integer volume with fewer grey levels is written as float32: rounding would cost more than 1/1000 of its range
ENOUGH_LEVELS = 1000


def suffix_of(path: str | Path) -> str:
    """The ending that tells the format, lower case: ``.nii.gz`` counts as one."""
    name = Path(path).name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def read(path: str | Path) -> Volume:
    """Read a NIfTI, NRRD or MetaImage file or a folder with one DICOM series.

    Raises
    ------
    InputError
        If there is no such file, it is damaged, is no scalar 3D image, or holds NaN or infinity.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist", "Check the path")
    try:
        if path.is_dir():
            volume = read_dicom(path)
        elif suffix_of(path) in nifti.ENDINGS:
            volume = read_nifti(path)
        elif suffix_of(path) in itk.ENDINGS:
            volume = read_itk(path)
        else:
            raise InputError(
                f"{path}: {suffix_of(path) or 'no ending'} is not a known format",
                f"Give {', '.join((*nifti.ENDINGS, *itk.ENDINGS))} or a folder with a DICOM series",
            )
    except InputError:
        raise
    # zlib.error, EOFError: a truncated or damaged gzip stream; RuntimeError: SimpleITK
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, nib.filebasedimages.ImageFileError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise InputError(
            f"cannot read {path}: {lines[-1] if lines else type(error).__name__}", "The file may be damaged"
        ) from error
    finite = np.isfinite(volume.data)
    if not finite.all():
        raise InputError(
            f"{path} has {int((~finite).sum())} voxels that are NaN or infinite", "Replace them by a number first"
        )
    return volume


def write(volume: Volume, path: str | Path, dtype: np.dtype | type | None = None) -> None:
    """Write NIfTI, NRRD or MetaImage, in `dtype` or (None) in :func:`output_dtype`.

    Raises
    ------
    InputError
        If the ending is not one of these, or the file cannot be written.
    """
    path = Path(path)
    check_writable_format(path)
    dtype = np.dtype(dtype or output_dtype(volume))
    data = volume.data
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        data = np.clip(np.rint(data), limits.min, limits.max)
    data = data.astype(dtype, copy=False)
    try:
        if suffix_of(path) in nifti.ENDINGS:
            write_nifti(data, volume.affine, path)
        else:
            write_itk(volume.replace(data=data), path, dtype)
    except (OSError, RuntimeError) as error:
        raise _cannot_write(path, error) from error


def write_probabilities(probabilities: np.ndarray, affine: np.ndarray, path: str | Path) -> None:
    """Write class probabilities, (classes, i, j, k), as 4D NIfTI with the classes last; float32.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    try:
        write_nifti(np.moveaxis(probabilities, 0, -1).astype(np.float32), affine, Path(path))
    except OSError as error:
        raise _cannot_write(Path(path), error) from error


def _cannot_write(path: Path, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[-1]
    return InputError(f"cannot write {path}: {reason}", "Check that the disk has room and the folder can be written to")


def write_atomically(volume: Volume, path: str | Path) -> None:
    """As :func:`write`, but an existing file is replaced only by a complete new one."""
    path = Path(path)
    check_writable_format(path)
    try:
        with tempfile.TemporaryDirectory(prefix=".inrsr-", dir=path.absolute().parent) as folder:
            write(volume, Path(folder) / path.name)
            os.replace(Path(folder) / path.name, path)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", "Choose another folder") from error


def check_writable_format(path: str | Path) -> None:
    """Raise InputError unless :func:`write` knows the format that the ending of `path` names."""
    if suffix_of(path) not in WRITABLE:
        raise InputError(
            f"{path}: cannot write {suffix_of(path) or 'a file without ending'}", f"End it in {', '.join(WRITABLE)}"
        )


def output_dtype(volume: Volume) -> np.dtype:
    """The file type for values of this volume: its own integer type where its grey levels are fine, else float32."""
    if np.issubdtype(volume.dtype, np.integer) and np.ptp(volume.data) >= ENOUGH_LEVELS:
        return np.dtype(volume.dtype)
    return np.dtype(np.float32)


def sha256(path: str | Path) -> str:
    """Checksum of a file, or of all files of a folder in the order of their names."""
    path = Path(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]:
        with open(file, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
