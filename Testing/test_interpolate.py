"""Against SimpleITK, on phantoms without symmetry."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from phantoms import oblique, phantom

from INRSuperResolutionLib import Grid, Volume
from INRSuperResolutionLib.image.interpolate import index_coordinates, resample
from INRSuperResolutionLib.image.itk import to_sitk

AFFINES = {
    "oblique": oblique(),
    "left-handed": oblique(left_handed=True),
    "sheared": oblique(shear=0.35),
    "anisotropic": np.diag([0.5, 0.7, 6.0, 1.0]),
    "flipped": np.diag([-0.5, -0.7, 3.0, 1.0]),
}
ITK = {0: sitk.sitkNearestNeighbor, 1: sitk.sitkLinear, 3: sitk.sitkBSpline}


def targets(volume: Volume) -> dict[str, Grid]:
    own = volume.grid
    swapped = own.affine @ np.array([[0, 0.47, 0, 2.1], [-0.31, 0, 0, 15.2], [0, 0, 0.23, 1.3], [0, 0, 0, 1]])
    turned = own.affine @ np.array([[0.5, 0.1, 0, 2], [-0.1, 0.6, 0.1, 4], [0.02, -0.03, 0.3, 1], [0, 0, 0, 1]])
    return {
        "scaled": own.scaled((1.7, 2, 2.3)),
        "isotropic": own.isotropic(),
        "axes swapped and flipped": Grid((30, 31, 20), swapped),
        "oblique": Grid((25, 24, 18), turned),
    }


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("target", ["scaled", "isotropic", "axes swapped and flipped", "oblique"])
@pytest.mark.parametrize("affine", list(AFFINES))
def test_agrees_with_simpleitk(affine, target, order):
    volume = phantom(affine=AFFINES[affine])
    grid = targets(volume)[target]
    ours = resample(volume, grid, order).data
    reference = to_sitk(Volume(np.zeros(grid.shape), grid.affine))
    theirs = sitk.GetArrayFromImage(sitk.Resample(to_sitk(volume), reference, sitk.Transform(), ITK[order], -1e6)).T
    index = index_coordinates(volume, grid)
    upper = np.array(volume.shape).reshape(3, 1, 1, 1) - 1
    # ITK mirrors a B-spline in the half voxel beyond the last centres, where we repeat the edge
    inside = ((index >= 1e-9) & (index <= upper - 1e-9)).all(axis=0)
    if order == 0:  # exact ties may round either way
        inside &= (np.abs(index - np.floor(index) - 0.5) > 1e-6).all(axis=0)
    assert inside.mean() > 0.3
    np.testing.assert_allclose(ours[inside], theirs[inside], rtol=0, atol=1e-4 * np.ptp(volume.data))


def test_outside_is_the_minimum_and_the_edge_is_repeated():
    volume = Volume(np.arange(4.0).reshape(4, 1, 1) + 5, np.eye(4))
    affine = np.eye(4)
    affine[0, 3] = -3
    values = resample(volume, Grid((10, 1, 1), affine), 1).data.ravel()
    np.testing.assert_array_equal(values, [5, 5, 5, 5, 6, 7, 8, 8, 5, 5])


def test_a_ramp_along_uneven_slices_stays_a_ramp():
    # 28 slices of the tilted CT in small: 4.22 mm steps, one of 1.14 mm, then 7.38 mm
    positions = np.cumsum([0, 4.22, 4.22, 1.14, 7.38, 7.38])
    data = np.broadcast_to(3.0 * positions, (3, 3, 6))
    volume = Volume(data, np.eye(4), slice_positions=positions)
    grid = Grid((3, 3, 25), np.eye(4))
    np.testing.assert_allclose(resample(volume, grid, 1).data[1, 1, :25], 3.0 * np.arange(25), rtol=0, atol=1e-4)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_single_slice(order):
    volume = phantom(shape=(8, 9, 1))
    fine = resample(volume, volume.grid.scaled((2, 2, 1)), order)
    assert fine.shape == (16, 18, 1)
    assert np.isfinite(fine.data).all()
