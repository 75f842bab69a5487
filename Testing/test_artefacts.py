"""Bands, noise and borders are found where they were put, and only there."""

from __future__ import annotations

import json

import numpy as np
import pytest
from phantoms import oblique, smooth_head

from INRSuperResolutionLib import Volume
from INRSuperResolutionLib.cli import main
from INRSuperResolutionLib.evaluation.artefacts import beside_interpolation, measure_artefacts, told
from INRSuperResolutionLib.image.files import write
from INRSuperResolutionLib.image.interpolate import resample
from INRSuperResolutionLib.methods.multicontrast.guided.bands import gains_at, slice_gains, without_bands

SHAPE = (48, 44, 15)
AFFINE = oblique((1.0, 1.0, 4.0))


def banded(part: float) -> Volume:
    factors = 1 + part * np.where(np.arange(SHAPE[2]) % 2, -1.0, 1.0)
    return Volume(smooth_head(SHAPE) * factors, AFFINE, name="banded")


@pytest.mark.parametrize("part", [0.01, 0.03])
def test_bands_are_measured(part):
    scan = banded(part)
    assert measure_artefacts(scan, scan).band == pytest.approx(100 * part, rel=0.1)
    assert measure_artefacts(Volume(smooth_head(SHAPE), AFFINE), scan).band < 0.1


def test_noise_is_measured():
    level = 3.0  # of 100
    noisy = Volume(
        smooth_head(SHAPE) + level * np.random.default_rng(0).standard_normal(SHAPE) * (smooth_head(SHAPE) > 0), AFFINE
    )
    found = measure_artefacts(noisy, noisy).noise
    # second differences of white noise have variance 1.5 and covariance -1 with the next one: linearly between the slices,
    # by t of their distance, the variance is that of 1, .61, .41, .61 of the level (t = 0, 1/4, 1/2, 3/4); squares averaged
    assert found == pytest.approx(0.69 * level, rel=0.1)
    assert measure_artefacts(Volume(smooth_head(SHAPE), AFFINE), noisy).noise < 0.2


def test_a_border_is_told_by_the_columns():
    scan = Volume(smooth_head(SHAPE), AFFINE)
    linear = resample(scan, scan.grid.with_spacing(1.0), 1)
    bright = linear.data.copy()
    bright[:, :, :2] *= 1.2  # in the outer half of the first slice
    found = measure_artefacts(linear.replace(data=bright), scan)
    plain = measure_artefacts(linear, scan)
    assert len(found.first) == 8  # two slices of 4 mm
    np.testing.assert_allclose(np.array(found.first[:2]) / plain.first[:2], 1.2, rtol=1e-3)
    np.testing.assert_allclose(found.first[2:], plain.first[2:], rtol=1e-3)
    np.testing.assert_allclose(found.last, plain.last, rtol=1e-3)


def test_told_beside_interpolation(tmp_path, capsys):
    scan = banded(0.02)
    cubic = resample(scan, scan.grid.with_spacing(1.0), 3)
    figures = beside_interpolation(cubic, scan)
    assert figures["result"] == figures["cubic"]
    assert figures["linear"].band < figures["cubic"].band == pytest.approx(2, rel=0.1)
    assert told(figures).count("columns from the first slice") == 3
    for name, volume in (("a.nii.gz", cubic), ("b.nii.gz", scan)):
        write(volume, tmp_path / name)
    assert main(["evaluate", str(tmp_path / "a.nii.gz"), str(tmp_path / "b.nii.gz"), "--artefacts"]) == 0
    assert capsys.readouterr().out.count("bands") == 3
    assert main(["evaluate", str(tmp_path / "a.nii.gz"), str(tmp_path / "b.nii.gz"), "--artefacts", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"]["band"] == pytest.approx(figures["result"].band, rel=1e-3)
    assert main(["evaluate", str(tmp_path / "a.nii.gz"), str(tmp_path / "none.nii.gz"), "--artefacts"]) == 2


def test_no_tissue_gives_no_figures():
    empty = Volume(np.zeros((8, 8, 6)), np.diag([1, 1, 4, 1.0]))
    found = measure_artefacts(empty, empty)
    assert np.isnan(found.band)
    assert np.isnan(found.noise)


def test_gains_of_slices_are_found_and_taken_out():
    gains = slice_gains(banded(0.03))
    assert gains is not None
    wanted = 1 + 0.03 * np.where(np.arange(SHAPE[2]) % 2, -1.0, 1.0)
    np.testing.assert_allclose(gains, wanted, atol=0.005)
    even = without_bands(banded(0.03), gains)
    assert measure_artefacts(even, even).band < 0.3
    np.testing.assert_allclose(gains_at(np.array([-1.0, 2.0, 2.5]), gains), [gains[0], gains[2], gains[2:4].mean()])


def test_no_bands_are_found_where_there_are_none():
    noise = np.random.default_rng(1).standard_normal(SHAPE)
    gains = slice_gains(Volume(smooth_head(SHAPE) + noise, AFFINE))
    assert gains is None or np.abs(gains - 1).max() < 2e-3
    ct = Volume(10 * smooth_head(SHAPE) - 1000, AFFINE)
    assert slice_gains(ct) is None  # a CT is not excited slice by slice
