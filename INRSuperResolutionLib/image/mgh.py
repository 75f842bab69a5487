"""FreeSurfer's .mgh and .mgz, by nibabel."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ..errors import InputError
from .grid import Grid
from .unpack import check_room, is_packed, unpacked
from .volume import Volume, three_axes, whole_numbers

ENDINGS = (".mgh", ".mgz")


def read_mgh(path: Path) -> Volume:
    """Read one file; raises InputError, or what nibabel raises for a damaged one."""
    image = _opened(path)
    data = three_axes(np.asanyarray(image.dataobj), str(path))
    told = () if image.header["goodRASFlag"] else (f"{path.name} does not tell where it lies: it is taken as coronal",)
    return Volume(
        data, _affine(image, path), dtype=data.dtype, name=path.name, exact=whole_numbers(data), warnings=told
    )


def grid_of_mgh(path: Path) -> Grid:
    """The grid of a file; its values are not looked at."""
    image = _opened(path)
    i, j, k = image.shape[:3]
    return Grid((i, j, k), _affine(image, path))


def _opened(path: Path) -> Any:
    """The image, with its values unpacked to the end, so that damage shows."""
    opener: Any = gzip.open if is_packed(path) else open
    with opener(path, "rb") as stream:
        header = nib.freesurfer.MGHImage.header_class.from_fileobj(stream, check=False)
    sizes = [int(n) for n in header["dims"]]
    if min(sizes) < 1:
        raise InputError(f"{path}: its sizes {sizes} are no image's", "Make it again")
    needed = math.prod(sizes) * header.get_data_dtype().itemsize
    check_room(path, needed)
    kind: Any = nib.freesurfer.MGHImage
    if is_packed(path):
        return kind.from_bytes(unpacked(path, header.get_data_offset() + needed))
    # nibabel goes by the name, which may have won an ending
    return kind.from_filename(path) if path.suffix.lower() == ".mgh" else kind.from_bytes(path.read_bytes())


def _affine(image: Any, path: Path) -> np.ndarray:
    affine = np.asarray(image.affine, np.float64)
    if not np.isfinite(affine).all() or not np.all(np.linalg.norm(affine[:3, :3], axis=0) > 0):
        raise InputError(f"{path}: its affine is not valid: {affine[:3].round(3).tolist()}", "Repair its header")
    return affine
