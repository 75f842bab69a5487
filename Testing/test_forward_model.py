from __future__ import annotations

import numpy as np
import pytest
from phantoms import oblique, phantom
from scipy import ndimage

from INRSuperResolutionLib import Grid, InputError, Volume
from INRSuperResolutionLib.acquisition.degrade import degrade
from INRSuperResolutionLib.acquisition.forward_model import SliceProfile, observe
from INRSuperResolutionLib.image.grid import coarse_axes


def test_boxcar_over_whole_voxels_is_their_mean():
    fine = phantom((8, 9, 24), oblique())
    low = degrade(fine, "area", 3)
    # the field between the samples is a spline, whose mean over three voxels is near the mean of the samples
    expected = fine.data.reshape(8, 9, 8, 3).mean(axis=-1)
    inner = slice(1, -1)
    assert np.abs(low.data - expected)[..., inner].max() < 0.02 * np.ptp(fine.data)
    # and exact for a ramp, where a shift of a tenth of a voxel would show as 0.3
    ramp = Volume(np.broadcast_to(3.0 * np.arange(24), (2, 2, 24)), np.eye(4))
    np.testing.assert_allclose(
        degrade(ramp, "area", 3).data[0, 0, inner], 3.0 * (1 + 3 * np.arange(8))[inner], atol=0.02
    )


def test_gaussian_profile_against_scipy():
    data = np.zeros((1, 1, 161))
    data[0, 0, 80] = 1
    fine = Volume(data, np.diag([1, 1, 0.25, 1.0]))
    thickness = 5.0  # mm
    source = Volume(np.zeros((1, 1, 161)), fine.affine, slice_thickness=thickness)
    seen = observe(fine, source, SliceProfile("gaussian"), (2,))[0, 0]
    sigma = thickness / 0.25 / 2.3548  # FWHM in samples
    expected = ndimage.gaussian_filter1d(data[0, 0], sigma, truncate=1.5 * 2.3548)
    np.testing.assert_allclose(seen, expected, atol=0.02 * expected.max())


def test_uneven_slices_are_observed_where_they_are():
    positions = np.array([0, 4.0, 8.0, 9.0, 16.0])
    fine = Volume(
        np.broadcast_to(2.0 * np.arange(30) - 4, (3, 3, 30)),
        np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -4.0], [0, 0, 0, 1]]),
    )
    source = Volume(
        np.zeros((3, 3, 5)), np.eye(4), slice_positions=positions, slice_thickness=np.array([4, 4, 4, 7, 7])
    )
    for kind in ("none", "boxcar"):
        seen = observe(fine, source, SliceProfile(kind), (2,))[1, 1]
        np.testing.assert_allclose(seen, 2 * positions + 4, atol=0.05)


def test_kernels_sum_to_one_and_are_even():
    for kind in ("none", "boxcar", "gaussian"):
        for step in (0.05, 1 / 7, 0.3, 1.0):
            kernel = SliceProfile(kind).kernel(step)
            assert kernel.sum() == pytest.approx(1)
            np.testing.assert_allclose(kernel, kernel[::-1])
    with pytest.raises(InputError, match="'sinc'"):
        SliceProfile("sinc")


def test_coarse_axes_of_a_turned_grid():
    low = Volume(np.zeros((9, 9, 3)), np.diag([1, 1, 4, 1.0]))
    assert coarse_axes(low, Grid((9, 9, 12), np.eye(4))) == (2,)
    turned = np.array([[0, 0, 1.0, 0], [1, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 0, 1]])
    assert coarse_axes(low, Grid((9, 24, 9), turned)) == (2,)
    assert coarse_axes(low, low.grid) == ()


def test_interval_keeps_slices_and_their_places():
    truth = phantom((7, 8, 11), oblique())
    low = degrade(truth, "interval", (1, 2, 5))
    np.testing.assert_array_equal(low.data, truth.data[:, ::2, ::5])
    np.testing.assert_allclose(low.grid.centres(), truth.grid.centres()[:, ::2, ::5], atol=1e-12)
    with pytest.raises(InputError, match="whole"):
        degrade(truth, "interval", 2.5)


def test_kspace_keeps_low_frequencies_and_voxel_zero():
    n, factor = 24, 2
    x = np.arange(n) / n
    wave = (
        10 + np.cos(2 * np.pi * 3 * x) + np.cos(2 * np.pi * 10 * x)
    )  # 3 periods stay, 10 are beyond the new limit of 6
    truth = Volume(np.broadcast_to(wave, (4, 4, n)), np.eye(4))
    low = degrade(truth, "kspace", (1, 1, factor))
    np.testing.assert_allclose(low.data[0, 0], 10 + np.cos(2 * np.pi * 3 * x[::factor]), atol=1e-5)
    np.testing.assert_allclose(low.affine, np.diag([1, 1, 2, 1.0]))


@pytest.mark.parametrize("factor", [2, 2.5, 4])
def test_bicubic_is_what_image_libraries_do(factor):
    """Against Pillow's antialiased bicubic, which the papers' pipelines use; a constant stays, and edges stay where they are."""
    image_module = pytest.importorskip("PIL.Image")
    fine = np.random.default_rng(0).random((30, 40)).astype(np.float32)
    coarse = degrade(Volume(fine[..., None], np.eye(4)), "bicubic", (factor, factor, 1))
    shape = coarse.shape[:2]
    box = (0, 0, shape[1] * factor, shape[0] * factor)
    expected = image_module.fromarray(fine).resize(shape[::-1], image_module.Resampling.BICUBIC, box)
    np.testing.assert_allclose(coarse.data[..., 0], np.asarray(expected), atol=2e-6)
    assert coarse.affine[0, 3] == pytest.approx((factor - 1) / 2)
    assert coarse.spacing[0] == pytest.approx(factor)
    np.testing.assert_allclose(degrade(Volume(np.ones((9, 9, 1)), np.eye(4)), "bicubic", (2, 2, 1)).data, 1, rtol=1e-6)
