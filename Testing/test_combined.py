"""What is left out of a scan, and how members are weighed by it."""

from __future__ import annotations

import numpy as np
import pytest

from INRSuperResolutionLib import Volume
from INRSuperResolutionLib.acquisition.forward_model import SliceProfile
from INRSuperResolutionLib.methods.combined.left_out import MOST_PLANES, LeftOut, cut
from INRSuperResolutionLib.methods.scan import Scan


def textured(shape=(60, 72, 20), seed=0) -> np.ndarray:
    """A patient in air, with detail of all sizes in the plane of the slices."""
    rng = np.random.default_rng(seed)
    i, j, k = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    waves = sum(
        np.sin(a * i + b * j + c * k + p) / (1 + 0.05 * (a * a + b * b)) for a, b, c, p in rng.uniform(-14, 14, (30, 4))
    )
    return ((5 + waves) * 100 * (i**2 + j**2 < 0.8)).astype(np.float32)


@pytest.fixture(scope="module")
def scan() -> Scan:
    volume = Volume(textured(), np.diag([1.0, 1.0, 4.0, 1.0]), name="scan")
    return Scan(volume, SliceProfile("boxcar"))


def test_few_slices_are_kept_from_the_fit_and_show_the_patient(scan):
    left_out = LeftOut(scan)
    assert 1 <= len(left_out.slices) <= min(MOST_PLANES, scan.volume.shape[2] // 6)
    assert len(left_out.planes) == len(left_out.slices)
    for plane in left_out.planes:
        assert plane.inside.mean() > 0.3
        assert plane.coarse.spacing[2] == pytest.approx(4.0)


def test_truth_is_the_slice_itself_and_coarse_slices_are_its_averages(scan):
    """A slice of 4 pixels that starts on a pixel's edge is the mean of the spline over it: near the mean of 4 pixels."""
    image = textured()[:, :, 9]

    class AtEdge:
        @staticmethod
        def uniform(low, high):
            return 1.5  # the first slice covers pixels 0 to 3

    plane = cut(image, 4.0, (1.0, 1.0), scan, AtEdge())
    assert plane is not None
    rows = round(plane.grid.affine[2, 3])
    np.testing.assert_array_equal(plane.truth[:, 0], image[:, rows : rows + plane.truth.shape[2]])
    means = image[:, : 4 * (image.shape[1] // 4)].reshape(60, -1, 4).mean(2)[:, : plane.coarse.shape[2]]
    spread = np.std(means)
    # the edges of the patient are sharper than a spline of pixels: looked at where the patient is
    inside = means > 300
    assert np.abs(plane.coarse.data[:, 0] - means)[inside].mean() < 0.02 * spread


def test_positions_agree_truth_and_coarse_slices_show_the_same_place(scan):
    """A ramp is a ramp in both, in mm: no shift."""
    ramp = np.tile(np.arange(72, dtype=np.float32), (60, 1)) * 3 + 50
    plane = cut(ramp, 4.3, (1.0, 0.8), scan, np.random.default_rng(5))
    assert plane is not None
    for data, affine in ((plane.truth, plane.grid.affine), (plane.coarse.data, plane.coarse.affine)):
        mm = affine[2, 3] + affine[2, 2] * np.arange(data.shape[2])
        inner = slice(2, -2)  # the mirrored spline bends at the image's edge
        np.testing.assert_allclose(data[30, 0][inner], (50 + 3 * mm / 0.8)[inner], rtol=1e-3)


def test_too_few_thick_slices_show_nothing(scan):
    assert cut(np.ones((60, 20), np.float32), 6.0, (1.0, 1.0), scan, np.random.default_rng(0)) is None


def test_mixture_takes_what_helps_and_leaves_what_harms(scan):
    left_out = LeftOut(scan)
    rng = np.random.default_rng(1)
    truths = [plane.truth for plane in left_out.planes]
    base = [t + 40 * rng.normal(size=t.shape) for t in truths]
    good = [t + 10 * rng.normal(size=t.shape) for t in truths]
    other = [t + 10 * rng.normal(size=t.shape) for t in truths]
    opposite = [2 * b - t for b, t in zip(base, truths)]
    shares = left_out.mixture(base, [good, other])
    assert shares.sum() == pytest.approx(1, abs=0.08)
    assert abs(shares[0] - shares[1]) < 0.1
    helped = left_out.mixture(base, [good, opposite])
    assert helped[0] > 0.85
    assert helped[1] < 0.03
    assert left_out.psnr(truths) > left_out.psnr(good) > left_out.psnr(base)
    both = [(g + o) / 2 for g, o in zip(good, other)]
    assert left_out.psnr(both) - left_out.psnr(good) == pytest.approx(3, abs=0.3)
