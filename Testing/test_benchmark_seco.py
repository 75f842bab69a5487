from __future__ import annotations

import json

import numpy as np
import pytest
from phantoms import phantom

from INRSuperResolutionLib import Volume, write
from INRSuperResolutionLib.benchmarks.seco import Case, back_projected, dice, figures
from INRSuperResolutionLib.image.interpolate import resample


def textured() -> Volume:
    volume = phantom((32, 28, 1), np.diag([1.0, 1.0, 4.0, 1.0]))
    texture = np.random.default_rng(0).normal(0, 5, volume.shape)
    return volume.replace(data=volume.data + texture - (volume.data + texture).min())


def test_a_case_is_averaged_with_its_labels():
    truth = textured()
    labels = truth.replace(data=np.arange(28)[None, :, None] >= np.full((32, 1, 1), 13))
    case = Case("test", truth, labels, 2)
    assert case.coarse.shape == (16, 14, 1)
    # up to the interpolation within a pixel
    np.testing.assert_allclose(case.coarse.data[3, 5, 0], truth.data[6:8, 10:12, 0].mean(), rtol=0.02)
    assert set(np.unique(case.coarse_labels.data)) == {0, 1}


def test_back_projection_agrees_better_with_the_input_than_cubic():
    case = Case("test", textured(), None, 2)

    def misfit(fine: np.ndarray) -> float:
        return float(np.abs(fine.reshape(16, 2, 14, 2).mean(axis=(1, 3)) - case.coarse.data[..., 0]).mean())

    cubic = resample(case.coarse, case.truth.grid, 3).data[..., 0]
    assert misfit(back_projected(case)) < 0.3 * misfit(cubic)


def test_figures_and_dice():
    truth = textured().data[..., 0]
    perfect = figures(truth, truth)
    assert perfect["psnr"] == float("inf")
    assert perfect["ssim"] == pytest.approx(1)
    off = truth + 0.1 * np.percentile(truth, 99.9)
    assert figures(truth, off)["psnr"] == pytest.approx(20, abs=1e-3)
    a, b = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    assert dice(a, b) == 0.5
    assert dice(~a & a, ~b & b) == 1


def test_a_folder_of_the_user_is_measured(inrsr, tmp_path):
    volume = textured()
    write(volume, tmp_path / "scan.nii.gz")
    done = inrsr("benchmark", "seco", "--data", tmp_path, "--tables", "quality", "--methods", "siren", "--json")
    assert done.returncode == 0, done.stderr
    assert [row["method"] for row in json.loads(done.stdout)["quality"]] == ["cubic", "back-projected cubic", "siren"]
    wrong = inrsr("benchmark", "seco", "--data", tmp_path, "--tables", "all")
    assert wrong.returncode == 2
    assert "'all' is not known" in wrong.stderr
