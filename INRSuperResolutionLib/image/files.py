"""Reading and writing volumes, with their geometry kept exactly: a file for each format, one door for all."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, InrsrError, OutOfMemory
from . import itk, mgh, nifti
from .grid import Grid
from .itk import write_itk
from .nifti import write_nifti
from .volume import Volume

WRITABLE = (*nifti.ENDINGS, *itk.WRITABLE)
DICOM_ENDINGS = (".dcm", ".ima", ".dicom")
# an integer volume with fewer grey levels is written as float32: rounding would cost more than 1/1000 of its range
ENOUGH_LEVELS = 1000


def suffix_of(path: str | Path) -> str:
    """The ending that tells the format, lower case: ``.nii.gz`` counts as one."""
    name = Path(path).name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def read(path: str | Path) -> Volume:
    """Read a NIfTI, FreeSurfer, NRRD or MetaImage file, a DICOM file or a folder with one DICOM series.

    What is odd but can be read is told in the volume's `warnings`.

    Raises
    ------
    InputError
        If there is no such file, it is damaged, is no scalar 3D image, or holds NaN or infinity.
    OutOfMemory
        If it does not fit the memory.
    """
    path = Path(path)
    volume: Volume = _told(path, lambda: _reader(path)[0](path))
    finite = np.isfinite(volume.data)
    if not finite.all():
        raise InputError(
            f"{path} has {int((~finite).sum())} voxels that are NaN, infinite or beyond float32",
            "Replace them by a number first",
        )
    return volume


def read_grid(path: str | Path) -> Grid:
    """The grid of a file alone: it may have several volumes, colours, or NaN. Raises as :func:`read`."""
    path = Path(path)
    grid: Grid = _told(path, lambda: _reader(path)[1](path))
    return grid


def _reader(path: Path) -> tuple[Callable[[Path], Volume], Callable[[Path], Grid]]:
    """What reads the volume, and what reads its grid alone."""
    if not path.exists():
        raise InputError(f"{path} does not exist", "Check the path")
    if not path.is_dir():
        if not path.is_file():
            raise InputError(f"{path} is no file", "Check the path")
        for endings, reader, grid_reader in (
            ((*nifti.ENDINGS, *nifti.PAIR), nifti.read_nifti, nifti.grid_of_nifti),
            (mgh.ENDINGS, mgh.read_mgh, mgh.grid_of_mgh),
            (itk.ENDINGS, itk.read_itk, itk.grid_of_itk),
        ):
            if suffix_of(path) in endings:
                return reader, grid_reader
    from . import dicom, dicom_header  # pydicom, which a panel does not need to list the methods

    if not path.is_dir() and suffix_of(path) not in DICOM_ENDINGS and not dicom_header.is_dicom(path):
        known = (*nifti.ENDINGS, *nifti.PAIR, *mgh.ENDINGS, *itk.ENDINGS)
        raise InputError(
            f"{path}: {suffix_of(path) or 'no ending'} is not a known format",
            f"Give {', '.join(known)}, a DICOM file or a folder with a DICOM series",
        )
    return dicom.read_dicom, dicom.grid_of_dicom


def _told(path: Path, reading: Callable[[], Any]) -> Any:
    """What `reading` gives; whatever else a reader raises for a damaged file, told in one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of nibabel and numpy, about headers that are checked here
            return reading()
    except InrsrError:
        raise
    except MemoryError as error:
        raise OutOfMemory(f"{path} does not fit the memory", "Give a smaller region") from error
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        # ITK tells its cause in the middle, others at the start
        cause = next((line for line in lines if "ERROR" in line), lines[0] if lines else type(error).__name__)
        cause = re.sub(r"(ITK ERROR: )?\w+\(0x\w+\): ", "", cause)  # an address says nothing
        raise InputError(f"cannot read {path}: {cause}", "The file may be damaged") from error


def write(volume: Volume, path: str | Path, dtype: np.dtype | type | None = None) -> None:
    """Write NIfTI, NRRD or MetaImage, in `dtype` or (None) in :func:`output_dtype`.

    Raises
    ------
    InputError
        If the ending is not one of these, or the file cannot be written.
    """
    path = Path(path)
    check_writable_format(path)
    data = as_type(volume, np.dtype(dtype) if dtype is not None else output_dtype(volume))
    try:
        if suffix_of(path) in nifti.ENDINGS:
            write_nifti(data, volume.affine, path, volume.codes, volume.mark)
        else:
            write_itk(data, volume, path)
    except (OSError, RuntimeError) as error:
        raise _cannot_write(path, error) from error


def as_type(volume: Volume, dtype: np.dtype) -> np.ndarray:
    """The values in another type; whole numbers are rounded to, and stop at its limits."""
    if not np.issubdtype(dtype, np.integer):
        values = volume.exact if volume.exact is not None and dtype == np.float64 else volume.data
        return values.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    if volume.exact is not None:
        return np.clip(volume.exact, limits.min, limits.max).astype(dtype)
    # the limits of 32 bits are not float32 numbers, and what is above them would wrap
    rounded = np.rint(volume.data.astype(np.float32 if dtype.itemsize < 4 else np.float64, copy=False))
    whole = np.clip(rounded, float(limits.min), _largest_below(limits.max)).astype(dtype)
    if dtype.itemsize == 8:
        whole[rounded >= float(limits.max)] = limits.max
    return whole


def _largest_below(limit: int) -> float:
    """The largest float64 that is not above a whole number."""
    return float(limit) if int(float(limit)) <= limit else float(np.nextafter(float(limit), 0))


def write_probabilities(probabilities: np.ndarray, affine: np.ndarray, path: str | Path, mark: str = "") -> None:
    """Write class probabilities, (classes, i, j, k), as 4D NIfTI with the classes last; float32, with a mark of how they were made.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    try:
        write_nifti(np.moveaxis(probabilities, 0, -1).astype(np.float32), affine, Path(path), mark=mark)
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


def check_dicom_output(path: str | Path, source: str | Path) -> None:
    """Raise InputError unless a derived series can be made from `source` in the folder `path`.

    A folder that is there is replaced only if it holds nothing but a series that was written here.
    """
    path, source = Path(path), Path(source)
    from . import dicom_header, dicom_write

    if source.is_file() and not dicom_header.is_dicom(source):
        raise InputError(
            f"{path}: {source} is no DICOM, so no series can be derived from it", f"End it in {WRITABLE[1]}"
        )
    if path.resolve() in (source.resolve(), *source.resolve().parents):
        raise InputError(f"{path} holds the input {source} and would be replaced", "Choose another output")
    if path.exists() and not (path.is_dir() and dicom_write.is_derived_here(path)):
        raise InputError(f"{path} exists, and is no series that was written here", "Choose another output")


def write_dicom(volume: Volume, folder: str | Path, source: str | Path | list[Path], method: str) -> None:
    """Write a derived DICOM series as a new folder; see :func:`dicom_write.write_derived`."""
    from . import dicom_write

    try:
        whole = np.issubdtype(output_dtype(volume), np.integer)
        dicom_write.write_derived(volume, Path(folder), source, method, bool(whole))
    except OSError as error:
        raise _cannot_write(Path(folder), error) from error


def output_dtype(volume: Volume) -> np.dtype:
    """The file type for values of this volume.

    Its own whole-number type where its grey levels are fine enough, or all values are whole (label maps);
    else float32. 64-bit whole numbers, which few programs take, become 32-bit ones where they fit.
    """
    kind = np.dtype(volume.dtype).newbyteorder("=")
    if not np.issubdtype(kind, np.integer):
        return np.dtype(np.float32 if volume.exact is None else np.float64)
    if volume.exact is None and np.ptp(volume.data) < ENOUGH_LEVELS and not _is_whole(volume.data):
        return np.dtype(np.float32)
    if kind.itemsize < 8:
        return kind
    values = volume.data if volume.exact is None else volume.exact
    low, high = values.min(), values.max()
    fitting = (t for t in (np.int32, np.uint32) if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
    return np.dtype(next(fitting, np.float64 if volume.exact is None else kind))


def _is_whole(data: np.ndarray) -> bool:
    few = data[..., :: max(1, data.shape[-1] // 4)]  # tells it sooner for an image
    return bool(np.array_equal(few, np.rint(few)) and np.array_equal(data, np.rint(data)))


def sha256(path: str | Path) -> str:
    """Checksum of a file, or of all files of a folder in the order of their names."""
    path = Path(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]:
        with open(file, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
