from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from phantoms import oblique
from scipy import ndimage

from INRSuperResolutionLib import Grid, Volume, read, write
from INRSuperResolutionLib.image.interpolate import resample
from INRSuperResolutionLib.image.registration import register_rigidly


def test_a_known_motion_is_found_and_no_voxel_is_touched(data_folder):
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


@pytest.fixture
def moved_twin(tmp_path):
    """A phantom with a body inside, and the same body elsewhere and on another grid; and the motion (RAS) between them."""
    field = ndimage.gaussian_filter(np.random.default_rng(2).standard_normal((44, 48, 40)), 3)
    inside = ndimage.gaussian_filter(np.pad(np.ones((24, 28, 20)), 10), 2)
    body = Volume((field / field.std() * 30 + 100) * inside, np.diag([2.0, 2, 2, 1]), name="body")
    motion = oblique((1, 1, 1), angle=0.04)
    motion[:3, 3] = [3.0, -2.0, 1.5]
    twin = resample(body, Grid((44, 48, 20), np.diag([2.0, 2, 4, 1]))).replace(affine=motion @ np.diag([2.0, 2, 4, 1]))
    paths = tmp_path / "body.nii.gz", tmp_path / "twin.nii.gz"
    write(body, paths[0])
    write(twin, paths[1])
    return paths, motion


def test_registered_results_share_a_grid_and_the_transform_is_written(moved_twin, inrsr, tmp_path):
    (first, second), motion = moved_twin
    outputs = [tmp_path / "o1.nii.gz", tmp_path / "o2.nii.gz"]
    (tmp_path / "found").mkdir()
    arguments = ("upscale", "linear", first, second, "--output", *outputs, "--spacing", 2)
    done = inrsr(*arguments, "--register", "--transforms", tmp_path / "found", "--report", tmp_path / "r.json")
    assert done.returncode == 0, done.stderr
    a, b = (read(p) for p in outputs)
    assert a.shape == b.shape == (44, 48, 40)
    np.testing.assert_array_equal(a.affine, b.affine)
    inner = (slice(10, -10),) * 3
    assert np.corrcoef(a.data[inner].ravel(), b.data[inner].ravel())[0, 1] > 0.97
    found = sitk.ReadTransform(str(tmp_path / "found" / "2-twin-to-body.tfm"))
    for point in ((40.0, 45.0, 40.0), (20.0, 60.0, 30.0)):  # RAS; ITK files are in LPS
        lps = np.array(found.TransformPoint((-point[0], -point[1], point[2])))
        wanted = motion[:3, :3] @ point + motion[:3, 3]
        np.testing.assert_allclose(lps * [-1, -1, 1], wanted, atol=0.6)
    done = inrsr(*arguments, "--register", "--no-common-grid")
    assert done.returncode == 0, done.stderr
    assert not np.allclose(read(outputs[1]).affine, a.affine, atol=0.01)
    done = inrsr(*arguments, "--common-grid")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(read(outputs[1]).affine, a.affine)
    assert inrsr(*arguments, "--transforms", tmp_path).returncode == 2
