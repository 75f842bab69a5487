from __future__ import annotations

import numpy as np
import pytest
from phantoms import phantom
from skimage.metrics import normalized_mutual_information, peak_signal_noise_ratio, structural_similarity

from INRSuperResolutionLib import Grid, Volume
from INRSuperResolutionLib.acquisition.degrade import degrade
from INRSuperResolutionLib.acquisition.forward_model import SliceProfile
from INRSuperResolutionLib.evaluation.metrics import (
    compare,
    consistency,
    kspace_consistency,
    mutual_information_error,
    psnr,
)
from INRSuperResolutionLib.image.interpolate import resample
from INRSuperResolutionLib.image.similarity import mutual_information


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    truth = np.clip(phantom((20, 21, 22)).data, 0, None)
    mask = np.zeros(truth.shape, bool)
    mask[3:17, 4:15, 5:20] = True
    truth[~mask] = 0
    return truth, truth + rng.normal(0, 5, truth.shape), mask


def test_clean_convention_against_scikit_image(pair):
    truth, result, mask = pair
    top = np.percentile(truth[mask], 99.9)
    g, p = (np.clip(a / top, 0, 1) for a in (truth.astype(float), result.astype(float)))
    figures = compare(result, truth, mask)["clean"]
    assert figures["psnr"] == pytest.approx(peak_signal_noise_ratio(g[mask], p[mask], data_range=1), abs=1e-6)
    local = structural_similarity(
        g, p, data_range=1, full=True, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )[1]
    assert figures["ssim"] == pytest.approx(local[mask].mean(), abs=1e-6)
    assert figures["rmse"] == pytest.approx(10 ** (-figures["psnr"] / 20), rel=1e-6)


def test_reference_convention_hides_a_wrong_scale_and_clean_does_not(pair):
    truth, _, mask = pair
    wrong = np.where(mask, 3 * truth + 40, 0).astype(np.float32)
    figures = compare(wrong, truth, mask)
    assert figures["reference"]["psnr"] > 80
    assert figures["clean"]["psnr"] < 10


def test_psnr_of_a_known_error():
    assert psnr(np.full(10, 0.1), np.zeros(10)) == pytest.approx(20.0)


def test_mutual_information_against_entropies_and_scikit_image():
    rng = np.random.default_rng(1)
    a = rng.random((30, 30, 30))
    b = 0.5 * a + 0.5 * rng.random(a.shape)
    everywhere = np.ones(a.shape, bool)
    own = mutual_information(a, a, everywhere)  # MI of an image with itself is its entropy
    assert own == pytest.approx(np.log(32), abs=0.01)
    # scikit-image gives (H(a) + H(b)) / H(a, b), so MI = (H(a) + H(b)) (1 − 1 / NMI)
    entropies = own + mutual_information(b, b, everywhere)
    nmi = normalized_mutual_information(a, b, bins=32)
    assert mutual_information(a, b, everywhere) == pytest.approx(entropies * (1 - 1 / nmi), rel=1e-6)
    assert mutual_information_error((a, b), (a, b), everywhere) == 0
    assert mutual_information_error((a, rng.random(a.shape)), (a, b), everywhere) > 0.2


@pytest.mark.parametrize("kind", ["area", "profile"])
def test_consistency_sees_the_slice_profile(kind):
    truth = phantom((20, 21, 24), np.eye(4))
    low = degrade(truth, kind, 4)
    right = SliceProfile("boxcar" if kind == "area" else "gaussian")
    exact = consistency(truth, low, right)
    wrong = consistency(truth, low, SliceProfile("none"))
    assert exact > 60
    assert exact > wrong + 10


def test_consistency_counts_only_what_both_show():
    truth = phantom((20, 21, 24), np.eye(4))
    low = degrade(truth, "interval", 3)
    part = resample(truth, Grid((9, 10, 24), truth.affine), 1)
    assert consistency(part, low, SliceProfile()) > 80
    coarse = resample(truth, truth.grid.with_spacing((1.5, 1.5, 1)))
    assert consistency(coarse, low, SliceProfile()) > 40  # the input is compared as coarsely sampled
    away = Volume(part.data, np.diag([1, 1, 1, 1.0]) + np.array([[0, 0, 0, 500.0]] + [[0] * 4] * 3))
    assert consistency(away, low, SliceProfile()) is None


def test_small_images_have_no_ssim():
    figures = compare(np.ones((5, 5, 1)), np.arange(25.0).reshape(5, 5, 1), np.ones((5, 5, 1), bool))
    assert np.isnan(figures["clean"]["ssim"])


def test_coverage_is_the_same_along_and_across_the_axes():
    from INRSuperResolutionLib.evaluation.metrics import _covered

    source = phantom((9, 8, 7), np.diag([1, 2, -3, 1.0]))
    turn = np.array([[0, 0, 1.3, 2.2], [0.9, 0, 0, -1], [0, -1, 0, 6.6], [0, 0, 0, 1]])
    straight = Grid((5, 6, 4), source.affine @ turn)
    hair = turn.copy()
    hair[:3, :3] += 1e-5 * np.arange(9).reshape(3, 3)  # too little to move a centre over an edge, enough to be oblique
    seen = _covered(straight, source)
    assert 0 < seen.sum() < seen.size
    np.testing.assert_array_equal(seen, _covered(Grid((5, 6, 4), source.affine @ hair), source))


def test_kspace_consistency_knows_its_own_degradation():
    truth = phantom((40, 44, 5), np.diag([1, 1, 4, 1.0]))
    coarse = degrade(truth, "kspace", (2, 2, 1))
    assert kspace_consistency(truth, coarse) > 80
    turned = truth.replace(
        data=truth.data.transpose(2, 0, 1), affine=truth.affine @ np.eye(4)[:, [2, 0, 1, 3]], name="other order of axes"
    )
    assert kspace_consistency(turned, coarse) > 80
    shifted = truth.affine.copy()
    shifted[0, 3] += 1
    assert kspace_consistency(truth.replace(affine=shifted), coarse) < 60
    assert kspace_consistency(coarse, coarse) is None  # no finer: nothing can be said
