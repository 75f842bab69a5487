"""How well two segmentations agree: Dice, the normalised surface distance (NSD), and volumes."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..image.files import read, write
from ..image.itk import to_sitk
from ..image.volume import Volume


def label_agreement(result: Volume, reference: Volume, tolerance: float) -> dict[int, dict[str, float]]:
    """Dice, NSD and volumes of every label of the reference.

    Parameters
    ----------
    result, reference
        Label maps on one grid.
    tolerance
        Borders this near to each other (mm) agree.

    Returns
    -------
    ``{label: {"dice", "nsd", "ml", "reference_ml"}}``; NSD (Nikolov et al. 2018): the part of both borders that lies within the
    tolerance of the other one. Volumes in mL: voxels times the volume of one.

    Raises
    ------
    InputError
        If the grids differ, the reference has no labels, or the tolerance is negative.
    """
    if result.shape != reference.shape or not np.allclose(result.affine, reference.affine, atol=1e-3):
        raise InputError(
            f"the label maps {result.name} and {reference.name} are not on one grid", "Make one --like the other"
        )
    if tolerance < 0:
        raise InputError(f"a tolerance of {tolerance:g} mm is negative", "Give 0 or more")
    numbers = [v.data if v.exact is None else v.exact for v in (result, reference)]
    labels = [int(v) for v in np.unique(numbers[1]) if v > 0]
    if not labels:
        raise InputError(f"{reference.name} has no labels", "Give a label map with values above 0")
    voxel = abs(float(np.linalg.det(reference.affine[:3, :3]))) / 1000
    found = {}
    for label in labels:
        a, b = (values == label for values in numbers)
        dice = 2 * float((a & b).sum()) / float(a.sum() + b.sum())
        found[label] = {
            "dice": dice,
            "nsd": _surface_agreement(a, b, reference, tolerance),
            "ml": voxel * float(a.sum()),
            "reference_ml": voxel * float(b.sum()),
        }
    return found


def _surface_agreement(a: np.ndarray, b: np.ndarray, place: Volume, tolerance: float) -> float:
    if not a.any() or not b.any():
        return 0.0
    borders, distances = [], []
    for inside in (a, b):
        image = sitk.Cast(to_sitk(place.replace(data=inside.astype(np.float32))), sitk.sitkUInt8)
        border = sitk.LabelContour(image, True)
        borders.append(sitk.GetArrayFromImage(border).T > 0)
        far = sitk.SignedMaurerDistanceMap(border, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
        distances.append(np.abs(sitk.GetArrayFromImage(far).T))
    near = [float((d[border] <= tolerance + 1e-6).sum()) for border, d in zip(borders, reversed(distances))]
    return sum(near) / float(sum(border.sum() for border in borders))


def segmented_by(command: str, volume: Volume) -> Volume:
    """The label map that an outside program makes of a volume.

    Parameters
    ----------
    command
        With ``{input}`` and ``{output}`` where the two NIfTI files are named; not run by a shell.

    Raises
    ------
    InputError
        If the command does not name both files, cannot be run, fails, or writes nothing.
    """
    if "{input}" not in command or "{output}" not in command:
        raise InputError(f"the command {command!r} does not name its files", "Put {input} and {output} into it")
    with tempfile.TemporaryDirectory(prefix="inrsr-segment-") as folder:
        files = {name: str(Path(folder) / f"{name}.nii.gz") for name in ("input", "output")}
        write(volume, files["input"])
        words = [word.format(**files) for word in shlex.split(command)]
        try:
            done = subprocess.run(words, capture_output=True, text=True)
        except OSError as error:
            raise InputError(f"cannot run {words[0]}: {error.strerror}", "Check the command") from error
        if done.returncode or not Path(files["output"]).exists():
            last = (done.stderr or done.stdout).strip().splitlines()
            told = last[-1] if last else "it wrote no file"
            raise InputError(f"{words[0]} ended with {done.returncode}: {told}", "Run it by hand on one volume")
        return read(files["output"])
