from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phantoms import oblique

from INRSuperResolutionLib import Grid, InputError
from INRSuperResolutionLib.image.grid import count_centres

EXACT_MM = 1e-9  # the acceptance asks for it


def test_scale_centres_follow_the_contract():
    grid = Grid((10, 7, 5), oblique(shear=0.3))
    factors = np.array([2.0, 1.5, 2.37])
    fine = grid.scaled(factors)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in fine.shape), indexing="ij"), -1)
    expected = ((index + 0.5) / factors - 0.5) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    np.testing.assert_allclose(fine.centres(), expected, rtol=0, atol=EXACT_MM)
    assert fine.shape == (20, 10, 12)  # 7 · 1.5 = 10.5: the centre of an 11th voxel would lie on the edge


@given(st.floats(0.2, 7.9), st.integers(1, 300))
def test_scale_keeps_every_centre_inside_the_old_edges(factor, n):
    fine = Grid((n, 1, 1), np.eye(4)).scaled((factor, 1, 1))
    last = (fine.shape[0] - 1 + 0.5) / factor - 0.5
    assert fine.shape[0] == 1 or last <= n - 0.5
    assert last + 1 / factor >= n - 0.5 - 1e-5 * max(1, 1 / factor)  # and one more would be outside


@given(st.tuples(*[st.floats(0.3, 9)] * 3), st.tuples(*[st.integers(1, 60)] * 3))
def test_spacing_is_exact_and_the_centre_stays(spacing, shape):
    grid = Grid(shape, oblique())
    new = grid.with_spacing(spacing)
    np.testing.assert_allclose(new.spacing, spacing, rtol=1e-12)
    middle = [g.affine @ np.append((np.array(g.shape) - 1) / 2, 1) for g in (grid, new)]
    np.testing.assert_allclose(middle[0], middle[1], rtol=0, atol=EXACT_MM)
    # at most half a new voxel of the field of view is lost or added in all
    lost = np.array(shape) * grid.spacing - np.array(new.shape) * new.spacing
    assert (
        np.abs(lost)
        <= np.maximum(0.5 * np.array(spacing) + 1e-5 * np.array(spacing), np.where(np.array(new.shape) == 1, np.inf, 0))
    ).all()


def test_isotropic_of_thick_slices():
    grid = Grid((182, 218, 46), np.diag([1, 1, 4, 1.0]))
    assert grid.isotropic().shape == (182, 218, 184)


@pytest.mark.parametrize(
    ("extent", "count"), [(45.5, 45), (45.51, 46), (12.05, 12), (11.85, 12), (0.2, 1), (4.0, 4), (4.0000001, 4)]
)
def test_count_is_never_a_bare_floor(extent, count):
    assert count_centres(extent) == count


@given(st.tuples(*[st.integers(1, 17)] * 3), st.integers(1, 500))
def test_tiles_cover_the_grid_once(shape, most):
    grid = Grid(shape, oblique())
    seen = np.zeros(shape, int)
    for box in grid.tiles(most):
        seen[box] += 1
        assert grid.crop(box).size <= max(most, 1)
        np.testing.assert_allclose(grid.crop(box).centres(), grid.centres()[box], rtol=0, atol=EXACT_MM)
    assert (seen == 1).all()


@pytest.mark.parametrize("scale", [0, -1, float("nan"), (1, 2), (1, 2, float("inf"))])
def test_bad_scale_is_named(scale):
    with pytest.raises(InputError, match=r"the scale .* is not valid"):
        Grid((2, 2, 2), np.eye(4)).scaled(scale)


def test_flat_affine_is_refused():
    with pytest.raises(InputError, match="in one plane"):
        Grid((2, 2, 2), np.array([[1, 2, 0, 0], [2, 4, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
