"""NIfTI, by nibabel: ITK refuses or silently straightens a sheared affine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ..errors import InputError
from .volume import Volume, three_axes

ENDINGS = (".nii", ".nii.gz")


def read_nifti(path: Path) -> Volume:
    """Read one file; raises InputError, or what nibabel raises for a damaged one."""
    image: Any = nib.load(path)
    if image.get_data_dtype().fields:
        raise InputError(f"{path} is a colour image", "Give a scalar volume")
    data = np.asanyarray(image.dataobj)
    if np.iscomplexobj(data):
        raise InputError(f"{path} holds complex numbers", "Give the magnitude")
    return Volume(three_axes(data, str(path)), image.affine, dtype=data.dtype, name=path.name)


def write_nifti(data: np.ndarray, affine: np.ndarray, path: Path) -> None:
    """Write three or four axes with the volume's affine (RAS mm)."""
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, 1)
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    # the qform cannot hold a shear, so a sheared volume has none
    image.set_qform(affine, 1 if np.allclose(axes.T @ axes, np.eye(3), atol=1e-5) else 0)
    nib.save(image, path)
