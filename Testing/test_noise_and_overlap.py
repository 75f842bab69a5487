"""SNLI, Dice and NSD, by themselves and through ``inrsr evaluate``."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from phantoms import phantom

from INRSuperResolutionLib import InputError, Volume, write
from INRSuperResolutionLib.acquisition.noise import slice_noise, snli
from INRSuperResolutionLib.evaluation.overlap import label_agreement, segmented_by


def noisy(levels, shape=(48, 52)) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([100 + rng.normal(0, level, shape) for level in levels], -1).astype(np.float32)


def test_noise_of_each_slice_is_found():
    levels = np.array([2.0, 6.0, 2.0, 6.0, 3.0])
    data = noisy(levels)
    found = slice_noise(data, np.ones(data.shape, bool), 2)
    np.testing.assert_allclose(found, levels, rtol=0.25)  # 650 coefficients: a few percent, and some for the estimator


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_snli_tells_smoothed_slices_from_even_noise(axis):
    even, uneven = (np.moveaxis(noisy(levels, (96, 104)), 2, axis) for levels in ([5] * 12, [5, 1] * 6))
    inside = np.ones(even.shape, bool)
    assert snli(uneven, inside, axis, 100) > 5 * snli(even, inside, axis, 100)
    assert snli(uneven, inside, axis, 100) == pytest.approx(2.0, rel=0.2)  # (5 − 1) / 2 percent


def test_slices_without_the_patient_do_not_count():
    data = noisy([5, 5, 1])
    inside = np.ones(data.shape, bool)
    inside[:, :, 2] = False
    assert np.isnan(slice_noise(data, inside, 2)[2])
    assert np.isnan(snli(data, np.zeros(data.shape, bool), 2, 1.0))


def cubes(shift=0, spacing=(1.0, 1.0, 2.0)) -> Volume:
    data = np.zeros((24, 24, 16), np.float32)
    data[4 + shift : 12 + shift, 5:13, 4:10] = 1
    data[16:20, 16:20, 4:8] = 3
    return Volume(data, np.diag([*spacing, 1]), dtype=np.dtype(np.uint8), name="cubes")


def test_dice_and_nsd_of_a_known_shift():
    found = label_agreement(cubes(shift=1), cubes(), 0.5)
    assert found[1]["dice"] == pytest.approx(7 / 8)
    assert found[3] == {"dice": 1.0, "nsd": 1.0, "ml": 0.128, "reference_ml": 0.128}
    assert 0.4 < found[1]["nsd"] < 1.0
    assert label_agreement(cubes(shift=1), cubes(), 1.0)[1]["nsd"] == 1.0, "all borders lie within the shift"


def test_nsd_is_in_millimetres():
    """Two voxels along k are 4 mm here."""
    moved = cubes()
    moved = moved.replace(data=np.roll(moved.data, 2, axis=2))
    assert label_agreement(moved, cubes(), 3.9)[1]["nsd"] < 1.0
    assert label_agreement(moved, cubes(), 4.0)[1]["nsd"] == 1.0


def test_a_label_that_is_missing_counts_as_nothing():
    empty = cubes().replace(data=np.zeros((24, 24, 16), np.float32))
    assert label_agreement(empty, cubes(), 1.0)[3] == {"dice": 0.0, "nsd": 0.0, "ml": 0.0, "reference_ml": 0.128}
    with pytest.raises(InputError, match="no labels"):
        label_agreement(cubes(), empty, 1.0)
    with pytest.raises(InputError, match="negative"):
        label_agreement(cubes(), cubes(), -1.0)
    with pytest.raises(InputError, match="not on one grid"):
        label_agreement(cubes(spacing=(1, 1, 1)), cubes(), 1.0)


THRESHOLD = f"{sys.executable} -c \"import sys, INRSuperResolutionLib as i; v = i.read(sys.argv[1]); i.write(v.replace(data=(v.data > 60) * 1.0), sys.argv[2])\" {{input}} {{output}}"  # fmt: skip


def test_an_outside_command_segments():
    volume = phantom()
    np.testing.assert_array_equal(segmented_by(THRESHOLD, volume).data, volume.data > 60)
    for command, message in (
        ("segment", "does not name"),
        ("no-such-program {input} {output}", "cannot run no-such-program"),
        (f"{sys.executable} -c 'raise SystemExit(7)' {{input}} {{output}}", "ended with 7"),
    ):
        with pytest.raises(InputError, match=message):
            segmented_by(command, volume)


def test_evaluate_tells_all_of_it(inrsr, tmp_path):
    truth = phantom((40, 42, 20), np.diag([1, 1, 1.0, 1]))
    result = truth.replace(data=truth.data + np.random.default_rng(1).normal(0, 3, truth.shape))
    write(truth, tmp_path / "truth.nii.gz")
    write(result, tmp_path / "result.nii.gz")
    plot = tmp_path / "noise.png"
    arguments = ("evaluate", tmp_path / "result.nii.gz", tmp_path / "truth.nii.gz", "--segment", THRESHOLD)
    done = inrsr(*arguments, "--json", "--noise-plot", plot)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert 0.9 < figures["labels"]["1"]["dice"] < 1
    assert len(figures["snli"]["result"]) == len(figures["snli"]["reference"]) == 3
    assert plot.stat().st_size > 5000
    text = inrsr(*arguments).stdout
    assert "Dice" in text and "SNLI" in text
