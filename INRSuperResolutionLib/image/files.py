"""Reading and writing volumes, with their geometry kept exactly.

NIfTI goes through nibabel, because ITK refuses or silently straightens a sheared NIfTI affine;
NRRD, MetaImage and DICOM go through SimpleITK, in LPS, which is turned to RAS here and nowhere else.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from .errors import InputError
from .volume import Volume

RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
NIFTI = (".nii", ".nii.gz")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
WRITABLE = (*NIFTI, ".nrrd", ".mha")
# slice positions that differ by less than this from even steps are rounding of the DICOM header (mm)
POSITION_TOLERANCE = 5e-3
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
            volume = _read_dicom(path)
        elif suffix_of(path) in NIFTI:
            volume = _read_nifti(path)
        elif suffix_of(path) in ITK:
            volume = _from_sitk(sitk.ReadImage(str(path)), path.name)
        else:
            raise InputError(
                f"{path}: {suffix_of(path) or 'no ending'} is not a known format",
                f"Give {', '.join((*NIFTI, *ITK))} or a folder with a DICOM series",
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
        if suffix_of(path) in NIFTI:
            _write_nifti(data, volume.affine, path)
        else:
            sitk.WriteImage(to_sitk(volume.replace(data=data), dtype), str(path), useCompression=True)
            sitk.ReadImage(str(path))  # ITK does not always tell of a full disk
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
        _write_nifti(np.moveaxis(probabilities, 0, -1).astype(np.float32), affine, Path(path))
    except OSError as error:
        raise _cannot_write(Path(path), error) from error


def _write_nifti(data: np.ndarray, affine: np.ndarray, path: Path) -> None:
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, 1)
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    # the qform cannot hold a shear, so a sheared volume has none
    image.set_qform(affine, 1 if np.allclose(axes.T @ axes, np.eye(3), atol=1e-5) else 0)
    nib.save(image, path)


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


def to_sitk(volume: Volume, dtype: np.dtype | type = np.float32) -> sitk.Image:
    """The volume as a SimpleITK image (LPS); uneven slice positions cannot be told and raise InputError."""
    if volume.slice_positions is not None:
        raise InputError(
            f"{volume.name} has unevenly spaced slices, which an image file cannot hold", "Resample it first"
        )
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.data.T.astype(dtype, copy=False)))
    lps = RAS_FROM_LPS @ volume.affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def sha256(path: str | Path) -> str:
    """Checksum of a file, or of all files of a folder in the order of their names."""
    path = Path(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]:
        with open(file, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _read_nifti(path: Path) -> Volume:
    image: Any = nib.load(path)
    if image.get_data_dtype().fields:
        raise InputError(f"{path} is a colour image", "Give a scalar volume")
    data = np.asanyarray(image.dataobj)
    if np.iscomplexobj(data):
        raise InputError(f"{path} holds complex numbers", "Give the magnitude")
    return Volume(_three_axes(data, path), image.affine, dtype=data.dtype, name=path.name)


def _three_axes(data: np.ndarray, path: Path) -> np.ndarray:
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim == 2:
        data = data[..., None]
    if data.ndim != 3:
        raise InputError(f"{path} has {data.ndim} axes {data.shape}", "Split it into 3D volumes")
    return data


def _from_sitk(image: sitk.Image, name: str) -> Volume:
    if image.GetNumberOfComponentsPerPixel() > 1:
        raise InputError(f"{name} has {image.GetNumberOfComponentsPerPixel()} values per voxel", "Give a scalar volume")
    data = sitk.GetArrayFromImage(image)
    if np.iscomplexobj(data):
        raise InputError(f"{name} holds complex numbers", "Give the magnitude")
    n = min(image.GetDimension(), 3)
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(image.GetDimension(), image.GetDimension())
    affine[:n, :n] = direction[:n, :n] * np.array(image.GetSpacing())[:n]
    affine[:n, 3] = image.GetOrigin()[:n]
    return Volume(_three_axes(data.T, Path(name)), RAS_FROM_LPS @ affine, dtype=data.dtype, name=name)


def _read_dicom(folder: Path) -> Volume:
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if len(series) != 1:
        raise InputError(
            f"{folder} has {len(series)} DICOM series",
            "Give a folder with the files of one series" if series else "Check the path",
        )
    slices = []
    for file in sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0]):
        image = sitk.ReadImage(file)
        thickness = image.GetMetaData("0018|0050") if image.HasMetaDataKey("0018|0050") else ""
        slices.append((_from_sitk(image, Path(file).name), float(thickness) if thickness.strip() else None))
    if len(slices) == 1:
        volume, thickness = slices[0]
        return volume.replace(slice_thickness=thickness, name=folder.name)
    return _stack([v for v, _ in slices], [t for _, t in slices], folder.name)


def _stack(slices: list[Volume], thickness: list[float | None], name: str) -> Volume:
    """Parallel DICOM slices as one volume, each at its true position (a tilted gantry becomes a shear)."""
    first = slices[0]
    for s in slices:
        if s.shape != first.shape or not np.allclose(s.affine[:3, :2], first.affine[:3, :2], atol=1e-4):
            raise InputError(
                f"{name}: {s.name} has another size or orientation than {first.name}",
                "Remove localisers from the folder",
            )
    normal = np.cross(first.affine[:3, 0], first.affine[:3, 1])
    order = np.argsort([s.affine[:3, 3] @ normal for s in slices])
    if normal @ first.affine[:3, 2] < 0:
        order = order[::-1]
    slices, widths = [slices[n] for n in order], [thickness[n] for n in order]
    origins = np.array([s.affine[:3, 3] for s in slices])
    whole = origins[-1] - origins[0]
    along = whole / np.linalg.norm(whole)
    position = (origins - origins[0]) @ along
    steps = np.diff(position)
    if steps.min() < POSITION_TOLERANCE:
        raise InputError(
            f"{name}: several slices lie at the same position", "Split repeats or time points into folders"
        )
    aside = np.linalg.norm(origins - origins[0] - position[:, None] * along, axis=1).max()
    if aside > 0.1 * min(first.spacing[:2]):
        raise InputError(
            f"{name}: slices lie {aside:.2f} mm off a straight line", "Resample the series to one orientation first"
        )
    even = np.abs(position - np.linspace(0, position[-1], len(position))).max() < POSITION_TOLERANCE
    step = position[-1] / (len(position) - 1) if even else float(np.median(steps))
    affine = slices[0].affine.copy()
    affine[:3, 2] = along * step
    known = [t for t in widths if t is not None]
    return Volume(
        np.concatenate([s.data for s in slices], axis=2),
        affine,
        slice_positions=None if even else position / step,
        slice_thickness=np.array(known) if len(known) == len(widths) else None,
        dtype=first.dtype,
        name=name,
    )
