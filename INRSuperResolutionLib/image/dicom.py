"""A folder with one DICOM series, by SimpleITK's GDCM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .itk import from_sitk
from .volume import Volume

# slice positions that differ by less than this from even steps are rounding of the DICOM header (mm)
POSITION_TOLERANCE = 5e-3


def read_dicom(folder: Path) -> Volume:
    """Read the series, each slice at its true position; raises InputError unless there is just one."""
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
        slices.append((from_sitk(image, Path(file).name), float(thickness) if thickness.strip() else None))
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
