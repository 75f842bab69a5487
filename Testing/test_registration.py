from __future__ import annotations

import numpy as np
from phantoms import oblique

from INRSuperResolutionLib import Volume
from INRSuperResolutionLib.image.interpolate import resample
from INRSuperResolutionLib.image.registration import register_rigidly


def test_a_known_motion_is_found_and_no_voxel_is_touched(data_folder):
    from INRSuperResolutionLib import read

    brain = read(data_folder / "icbm152_t1.nii.gz")
    brain = resample(brain, brain.grid.with_spacing(2))
    motion = oblique((1, 1, 1), angle=0.05)
    motion[:3, 3] = [4.0, -3.0, 2.5]
    other = Volume(255 - brain.data, motion @ brain.affine, name="other")  # inverted: only mutual information sees it
    _, moved = register_rigidly([brain, other])
    np.testing.assert_array_equal(moved.data, other.data)
    corners = np.array([[0, 0, 0], [90, 110, 90], [90, 0, 90], [0, 110, 0]])
    error = np.abs((moved.affine - brain.affine)[:3, :3] @ corners.T + (moved.affine - brain.affine)[:3, 3:]).max()
    assert error < 0.5  # mm, a quarter of a voxel
