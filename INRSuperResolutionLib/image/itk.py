"""NRRD and MetaImage, by SimpleITK; images of it are in LPS, which is turned to RAS here and in :mod:`stack`."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .grid import Grid
from .itk_header import THICKNESS_KEY, check_header
from .mark import KEY, mark_in
from .stack import RAS_FROM_LPS
from .volume import Volume, three_axes, whole_numbers

ENDINGS = (".nrrd", ".nhdr", ".mha", ".mhd")
WRITABLE = (".nrrd", ".mha")


def read_itk(path: Path) -> Volume:
    """Read one file; raises InputError, or what SimpleITK raises for a damaged one."""
    header = check_header(path)
    image = sitk.ReadImage(str(path))
    volume = from_sitk(image, path.name)
    if image.HasMetaDataKey(THICKNESS_KEY):
        volume = volume.replace(slice_thickness=_millimetres(image.GetMetaData(THICKNESS_KEY)), exact=volume.exact)
    if image.HasMetaDataKey(KEY):
        volume = volume.replace(mark=mark_in(image.GetMetaData(KEY)), exact=volume.exact)
    told = list(header.warnings)
    if header.factor != 1:
        told.append(f"{path.name} tells lengths in units of {header.factor:g} mm: they are turned to mm")
    return volume.replace(affine=_in_mm(volume.affine, header.factor), exact=volume.exact, warnings=tuple(told))


def grid_of_itk(path: Path) -> Grid:
    """The grid of a file; its values are not looked at."""
    factor = check_header(path, data=False).factor
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    i, j, k = (*reader.GetSize(), 1, 1)[:3]
    return Grid((i, j, k), _in_mm(_affine(reader), factor))


def _millimetres(told: str) -> float | None:
    try:
        value = float(told)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def _in_mm(affine: np.ndarray, factor: float) -> np.ndarray:
    return np.diag([factor, factor, factor, 1]) @ affine


def write_itk(data: np.ndarray, place: Volume, path: Path) -> None:
    """Write values on the grid of a volume; raises RuntimeError where they cannot be written whole."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{path}: its name is not UTF-8", "Choose another name") from error
    image = image_of(data, place)
    if place.mark:
        image.SetMetaData(KEY, place.mark)
    sitk.WriteImage(image, str(path), useCompression=True)
    sitk.ReadImage(str(path))  # ITK does not always tell of a full disk


def write_rigid(motion: np.ndarray, path: Path) -> None:
    """Write a motion (RAS mm, 4 × 4) as an ITK transform file.

    The file holds what ITK resamples with: it takes a point of the fixed image to the same anatomy in the moving one,
    in LPS. In 3D Slicer, the moving image under this transform lies on the fixed one.
    """
    lps = RAS_FROM_LPS @ motion @ RAS_FROM_LPS
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    try:
        sitk.WriteTransform(transform, str(path))
    except RuntimeError as error:
        raise InputError(f"cannot write {path}", "Check that the folder can be written to") from error


def to_sitk(volume: Volume, dtype: np.dtype | type = np.float32) -> sitk.Image:
    """The volume as a SimpleITK image (LPS); uneven slice positions cannot be told and raise InputError."""
    return image_of(volume.data.astype(dtype, copy=False), volume)


def image_of(data: np.ndarray, place: Volume) -> sitk.Image:
    """Values of any type on the grid of a volume, as a SimpleITK image; as :func:`to_sitk`."""
    if place.slice_positions is not None:
        raise InputError(
            f"{place.name} has unevenly spaced slices, which an image file cannot hold", "Resample it first"
        )
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T))
    lps = RAS_FROM_LPS @ place.affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def from_sitk(image: sitk.Image, name: str) -> Volume:
    """The volume of a SimpleITK image (LPS); raises InputError for more than one value per voxel, or complex ones."""
    if image.GetNumberOfComponentsPerPixel() > 1:
        raise InputError(f"{name} has {image.GetNumberOfComponentsPerPixel()} values per voxel", "Give a scalar volume")
    data = sitk.GetArrayFromImage(image)
    if np.iscomplexobj(data):
        raise InputError(f"{name} holds complex numbers", "Give the magnitude")
    data = three_axes(data.T, name)
    return Volume(data, _affine(image), dtype=data.dtype, name=name, exact=whole_numbers(data))


def _affine(image: sitk.Image | sitk.ImageFileReader) -> np.ndarray:
    """Index → RAS mm, of the first three axes."""
    dimension = image.GetDimension()
    n = min(dimension, 3)
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(dimension, dimension)
    affine[:n, :n] = direction[:n, :n] * np.array(image.GetSpacing())[:n]
    affine[:n, 3] = image.GetOrigin()[:n]
    return RAS_FROM_LPS @ affine
