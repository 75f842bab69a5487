"""NIfTI, by nibabel: ITK refuses or silently straightens a sheared affine."""

from __future__ import annotations

import gzip
import io
import math
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np

from ..errors import InputError
from .grid import Grid
from .mark import LONGEST, mark_in
from .unpack import check_room, is_packed, unpacked
from .volume import Volume, three_axes, whole_numbers

ENDINGS = (".nii", ".nii.gz")
# header and values in two files
PAIR = (".hdr", ".img")
MM_OF_UNIT = {"unknown": 1.0, "mm": 1.0, "meter": 1e3, "micron": 1e-3}
# sform and qform that put a corner of the image this far apart (mm) differ in earnest
SAME_PLACE_MM = 0.1
# what each voxel of an image of these intents holds, where there is more than one number
INTENTS = {
    1004: "matrices", 1005: "symmetric matrices", 1006: "displacements", 1007: "vectors", 1008: "points",
    1009: "triangles", 1010: "quaternions", 2003: "colours", 2004: "colours",
}  # fmt: skip
# off-diagonal cosines up to this are rounding or a slight shear, which a qform may straighten
NEARLY_ORTHOGONAL = 1e-2


def read_nifti(path: Path) -> Volume:
    """Read one file; raises InputError, or what nibabel raises for a damaged one."""
    header = _checked_header(path)
    intent = INTENTS.get(int(header["intent_code"]), "")
    shape = (*header.get_data_shape(), 1, 1)
    if intent and math.prod(shape[3:]) > 1:
        raise InputError(f"{path} holds {intent}: {math.prod(shape[3:])} values per voxel", "Give a scalar volume")
    data = three_axes(_values(path, header), str(path))
    affine, told = place_of(header, path)
    if intent:
        told += (f"{path.name} is said to hold {intent}, but has one value per voxel: it is read as a plain image",)
    return Volume(
        data,
        affine,
        dtype=data.dtype,
        name=path.name,
        exact=whole_numbers(data),
        codes=(int(header["qform_code"]), int(header["sform_code"])),
        warnings=told,
        mark=mark_in(header["descrip"].item().decode("ascii", "replace")),
    )


def grid_of_nifti(path: Path) -> Grid:
    """The grid of the first volume of a file; its values are not looked at."""
    header = _checked_header(path)
    shape = (*header.get_data_shape(), 1, 1, 1)[:3]
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), place_of(header, path)[0])


def _files(path: Path) -> tuple[Path, Path]:
    """Where the header and where the values are; raises InputError if one of a pair is absent."""
    if path.suffix.lower() not in PAIR:
        return path, path
    found = []
    for ending in PAIR:
        same_case = ending.upper() if path.suffix.isupper() else ending
        found.append(path if path.suffix.lower() == ending else path.with_suffix(same_case))
        if not found[-1].is_file():
            raise InputError(f"{path} is half an image: {found[-1]} is absent", "Put both beside each other")
    return found[0], found[1]


def _checked_header(path: Path) -> Any:
    """The header as it is in the file; raises InputError for what no reader can make sense of."""
    named, values = _files(path)
    opener: Any = gzip.open if is_packed(named) else open
    with opener(named, "rb") as stream:
        start = stream.read(540)
    kind = next(
        (
            h
            for h, at, magics in (
                (nib.Nifti1Header, 344, (b"n+1\0", b"ni1\0")),
                (nib.Nifti2Header, 4, (b"n+2\0", b"ni2\0")),
            )
            if start[at : at + 4] in magics
        ),
        None,
    )
    if kind is None:
        if named != values and len(start) >= 348 and 348 in (_first(start, "little"), _first(start, "big")):
            raise InputError(
                f"{path} is Analyze 7.5, which does not tell left from right",
                "Convert it to NIfTI with a program that knows how it was made",
            )
        raise InputError(
            f"cannot read {path}: it does not start as NIfTI does", "The file may be damaged, or another format"
        )
    size = kind.template_dtype.itemsize
    if len(start) < size:
        raise InputError(f"cannot read {path}: it ends within its header", "Get it again")
    header = kind(start[:size], check=False)
    if (named == values) != (bytes(start[344:347]) == b"n+1" or bytes(start[4:7]) == b"n+2"):
        told = "values lie in a file of their own (.img)" if named == values else "values lie in the same file"
        raise InputError(f"{path}: its header tells that its {told}", "Give both, named .hdr and .img, or a .nii file")
    dimensions = [int(n) for n in header["dim"]]
    count = dimensions[0]
    if not 1 <= count <= 7 or min(dimensions[1 : count + 1]) < 1:
        raise InputError(
            f"{path}: its sizes {dimensions[1 : max(count, 3) + 1]} ({count} axes) are no image's", "Make it again"
        )
    intent = int(header["intent_code"])
    if 3000 <= intent <= 3099:
        raise InputError(f"{path} is CIFTI-2 (surfaces and voxel lists), no volume", "Give a 3D volume as NIfTI")
    try:
        kind_of_value = header.get_data_dtype()
    except (nib.spatialimages.HeaderDataError, KeyError) as error:
        raise InputError(
            f"{path}: data type {int(header['datatype'])} is not known", "Save it with another program"
        ) from error
    if kind_of_value.fields:
        raise InputError(f"{path} is a colour image", "Give a scalar volume")
    if kind_of_value.itemsize == 0:
        raise InputError(f"{path}: data type {int(header['datatype'])} is none", "Save it with another program")
    if kind_of_value.kind not in "iufb":
        what = "complex numbers" if kind_of_value.kind == "c" else f"{kind_of_value}"
        raise InputError(f"{path} holds {what}", "Give the magnitude")
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not (math.isfinite(slope) and (slope == 0 or math.isfinite(intercept))):
        raise InputError(
            f"{path}: its values are scaled by {slope:g} and {intercept:g}", "Repair scl_slope and scl_inter"
        )
    if not 0 <= float(header["vox_offset"]) < 1 << 40:
        raise InputError(f"{path}: its data start at byte {float(header['vox_offset']):g}", "The file is damaged")
    check_room(values, _bytes(header) + (0 if is_packed(values) else _offset(header)))
    # what nibabel mends as well: the sign of the third axis is 1 or -1, sizes are positive
    header["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1
    header["pixdim"][1:4] = np.abs(header["pixdim"][1:4])
    return header


def _values(path: Path, header: Any) -> np.ndarray:
    """The values, scaled as the header tells.

    By nibabel's array proxy, not by its images: these take an offset of 0 for true, and values start at the header.
    """
    file = _files(path)[1]
    start = _offset(header)
    slope, intercept = header.get_slope_inter()
    scale = (1.0 if slope is None else slope, 0.0 if intercept is None else intercept)
    kind = (header.get_data_shape(), header.get_data_dtype(), start, *scale)
    if is_packed(file):
        return np.asanyarray(nib.arrayproxy.ArrayProxy(io.BytesIO(unpacked(file, start + _bytes(header))), kind))
    with open(file, "rb") as stream:
        return np.asanyarray(nib.arrayproxy.ArrayProxy(stream, kind))


def _first(start: bytes, order: Literal["little", "big"]) -> int:
    """The size that a header tells of itself."""
    return int.from_bytes(start[:4], order)


def _bytes(header: Any) -> int:
    """How many bytes the values take."""
    return math.prod(int(n) for n in header["dim"][1 : int(header["dim"][0]) + 1]) * int(
        header.get_data_dtype().itemsize
    )


def _offset(header: Any) -> int:
    """Where in the file the values start; never within the header, whatever it says."""
    return max(int(header["vox_offset"]), int(header.single_vox_offset) if header["magic"].item()[:2] == b"n+" else 0)


def place_of(header: Any, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """The affine (RAS mm) of a header, and what there is to say about it.

    The sform where its code is set, else the qform, else the voxel sizes alone. A sform of zeros is none.

    Raises
    ------
    InputError
        If what is set is no affine.
    """
    told = []
    shape = np.array((*header.get_data_shape(), 1, 1, 1)[:3])
    s_code, q_code = int(header["sform_code"]), int(header["qform_code"])
    sform = np.asarray(header.get_sform(), np.float64) if s_code > 0 else None
    qform = _qform(header) if q_code > 0 else None
    if sform is not None and qform is not None and not _is_affine(sform):
        told.append(f"{path.name}: its sform is {'no affine' if np.any(sform[:3, :3]) else 'zero'}: the qform is taken")
        sform = None
    if sform is not None:
        affine = sform
        if qform is not None:
            corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape])).reshape(3, -1)
            apart = np.linalg.norm((sform - qform)[:3, :3] @ corners + (sform - qform)[:3, 3:], axis=0).max()
            if apart > SAME_PLACE_MM * _mm(header):
                told.append(
                    f"{path.name}: sform and qform differ by up to {apart * _mm(header):.1f} mm: the sform is taken "
                    f"(code {s_code}); other programs may take the qform"
                )
    elif q_code > 0:
        if qform is None:
            raise InputError(f"{path}: its qform is no rotation", "Repair the header of the image")
        affine = qform
    else:
        affine = np.asarray(header.get_base_affine(), np.float64)
        told.append(
            f"{path.name} does not tell where it lies (sform and qform code are 0): its first axis is taken to run "
            "from right to left; left and right may be swapped"
        )
    if not np.isfinite(affine).all() or not np.all(np.linalg.norm(affine[:3, :3], axis=0) > 0):
        raise InputError(
            f"{path}: its affine is not valid: {affine[:3].round(3).tolist()}", "Repair the header of the image"
        )
    affine = affine.copy()
    factor = _mm(header)
    if factor != 1:
        told.append(f"{path.name} tells lengths in {_unit(header)}: they are turned to mm")
    affine[:3] *= factor
    return affine, tuple(told)


def _unit(header: Any) -> str:
    return {1: "meter", 3: "micron"}.get(int(header["xyzt_units"]) & 7, "mm")


def _mm(header: Any) -> float:
    return MM_OF_UNIT[_unit(header)]


def _qform(header: Any) -> np.ndarray | None:
    try:
        qform = np.asarray(header.get_qform(), np.float64)
    except (ValueError, np.linalg.LinAlgError, nib.spatialimages.HeaderDataError):
        return None
    return qform if _is_affine(qform) else None


def _is_affine(matrix: np.ndarray) -> bool:
    """Whether a matrix has three axes that span the space."""
    if not np.isfinite(matrix).all():
        return False
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    return bool(lengths.min() > 0 and abs(np.linalg.det(matrix[:3, :3] / lengths)) > 1e-6)


def write_nifti(
    data: np.ndarray, affine: np.ndarray, path: Path, codes: tuple[int, int] | None = None, mark: str = ""
) -> None:
    """Write three or four axes with the volume's affine (RAS mm), the codes of the input it comes from, and its mark.

    A qform cannot hold a shear: where the input had none, a sheared volume has none; else it is the nearest one.
    """
    image = nib.Nifti1Image(data, affine, dtype=data.dtype)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = mark.encode("ascii", "replace")[:LONGEST]
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    shear = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if codes is None:
        q_code, s_code = (1 if shear < NEARLY_ORTHOGONAL else 0), 1
    else:
        q_code, s_code = (0 if c <= 0 else min(c, 2) if c > 5 else c for c in codes)
    image.set_qform(affine, q_code)
    if s_code == 0 and not np.allclose(_own_place(image.header, q_code), affine, atol=1e-4):
        s_code = q_code or 2
    image.set_sform(affine, s_code)
    nib.save(image, path)


def _own_place(header: Any, q_code: int) -> np.ndarray:
    """The affine that readers will see without a sform."""
    return np.asarray(header.get_qform() if q_code else header.get_base_affine())
