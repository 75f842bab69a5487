"""NRRD and MetaImage, by SimpleITK; images of it are in LPS, which is turned to RAS here and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .volume import Volume, three_axes

RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
ENDINGS = (".nrrd", ".nhdr", ".mha", ".mhd")
WRITABLE = (".nrrd", ".mha")


def read_itk(path: Path) -> Volume:
    """Read one file; raises InputError, or what SimpleITK raises for a damaged one."""
    return from_sitk(sitk.ReadImage(str(path)), path.name)


def write_itk(volume: Volume, path: Path, dtype: np.dtype) -> None:
    """Write one file; raises RuntimeError where it cannot be written whole."""
    sitk.WriteImage(to_sitk(volume, dtype), str(path), useCompression=True)
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


def from_sitk(image: sitk.Image, name: str) -> Volume:
    """The volume of a SimpleITK image (LPS); raises InputError for more than one value per voxel, or complex ones."""
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
    return Volume(three_axes(data.T, name), RAS_FROM_LPS @ affine, dtype=data.dtype, name=name)
