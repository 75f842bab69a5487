"""Rigid registration of the scans of one patient, by SimpleITK."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..progress import SILENT, Progress
from .interpolate import resample
from .itk import RAS_FROM_LPS, to_sitk
from .volume import Volume

SHRINK = (4, 2, 1)
SMOOTH_MM = (4.0, 2.0, 1.0)
SAMPLING = 0.1
HISTOGRAM_BINS = 50
# registration gains nothing from finer voxels than this, and takes long with them
FINEST_MM = 1.5


def register_rigidly(volumes: Sequence[Volume], progress: Progress = SILENT) -> list[Volume]:
    """Move all volumes onto the first one: only their affines change, no voxel is resampled.

    Mattes mutual information, rigid, multi-resolution (Mattes et al. 2003).
    """
    fixed, *others = volumes
    moved = [fixed]
    for n, moving in enumerate(others):
        motion = rigid_motion(fixed, moving)
        moved.append(moving.replace(affine=np.linalg.inv(motion) @ moving.affine))
        progress.update((n + 1) / len(others))
    return moved


def rigid_motion(fixed: Volume, moving: Volume, seed: int = 1) -> np.ndarray:
    """The rigid motion that takes a point of `fixed` to the same anatomy in `moving`; RAS mm, 4 × 4, float64."""
    images = [sitk.Cast(to_sitk(_for_registration(v)), sitk.sitkFloat32) for v in (fixed, moving)]
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(HISTOGRAM_BINS)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(SAMPLING, seed)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, 200, 0.5, 1e-8)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(SHRINK)
    method.SetSmoothingSigmasPerLevel(SMOOTH_MM)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    size = np.array(images[0].GetSize()) - 1
    centre = images[0].TransformContinuousIndexToPhysicalPoint((size / 2).tolist())
    start = sitk.Euler3DTransform()
    start.SetCenter(centre)
    method.SetInitialTransform(start, inPlace=False)
    try:
        found = sitk.CompositeTransform(method.Execute(*images))
    except RuntimeError as error:
        raise InputError(
            f"{moving.name} cannot be registered to {fixed.name}: {str(error).strip().splitlines()[-1]}",
            "Check that both show the same anatomy, or align them first",
        ) from error
    origin = np.array(found.TransformPoint((0.0, 0.0, 0.0)))
    lps = np.eye(4)
    lps[:3, 3] = origin
    for axis, point in enumerate(np.eye(3)):
        lps[:3, axis] = np.array(found.TransformPoint(point.tolist())) - origin
    return RAS_FROM_LPS @ lps @ RAS_FROM_LPS


def _for_registration(volume: Volume) -> Volume:
    """At even slices, and no finer than needed."""
    coarse = np.maximum(volume.spacing, FINEST_MM)
    if volume.slice_positions is None and np.allclose(coarse, volume.spacing):
        return volume
    return resample(volume, volume.grid.with_spacing(coarse.tolist()), order=1)
