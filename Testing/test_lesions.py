"""Made lesions: what is put in is what is measured, and what a blur or an invention does to them is seen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from INRSuperResolutionLib import Volume
from INRSuperResolutionLib.benchmarks import lesions as benchmark
from INRSuperResolutionLib.evaluation.lesions import (
    Lesion,
    blobs,
    false_lesions,
    find_places,
    local_contrast,
    planted,
    shape_of,
)

SPACING = (1.0, 1.0, 1.5)


def ground(shape=(56, 54, 36)) -> Volume:
    rng = np.random.default_rng(0)
    rough = ndimage.gaussian_filter(rng.standard_normal(shape), 6)
    return Volume(100 + 4 * rough / rough.std(), np.diag([*SPACING, 1.0]))


def one(diameter=8.0, contrast=30.0, irregular=False) -> Lesion:
    shape = shape_of(diameter, irregular, np.random.default_rng(1))
    return Lesion(np.array([27.3, 26.1, 25.7]), diameter, contrast, shape)


def test_a_sphere_has_its_volume_and_its_contrast():
    flat = np.full((56, 54, 36), 7, np.float32)
    found = planted(flat, [one()], SPACING)
    volume = (found - flat).sum() * np.prod(SPACING) / 30
    assert volume == pytest.approx(4 / 3 * np.pi * 4**3, rel=0.05)
    assert local_contrast(found, one(), SPACING) == pytest.approx(30, rel=0.15)  # its border is blurred
    np.testing.assert_allclose(np.argwhere(found == found.max()).mean(axis=0) * SPACING, one().centre, atol=0.5)
    assert planted(flat, [one()], SPACING, -0.5).min() == pytest.approx(7 - 15)


def test_irregular_lesions_are_no_spheres_but_reach_as_far():
    flat = np.zeros((56, 54, 36), np.float32)
    round_one, odd = (planted(flat, [one(irregular=i)], SPACING) > 15 for i in (False, True))
    assert 0.4 < odd.sum() / round_one.sum() < 1.1
    assert (odd & round_one).sum() < 0.95 * round_one.sum()
    extent = np.ptp(np.argwhere(odd), axis=0) * SPACING
    assert (extent > 5).all() and (extent < 12).all()


def test_blobs_are_the_local_contrast_of_spheres():
    data = ground().data
    place = (27, 26, 17)
    centred = Lesion(np.array(place) * SPACING, 8.0, 1.0, shape_of(8.0, False, np.random.default_rng(0)))
    assert blobs(data, 8.0, SPACING)[place] == pytest.approx(local_contrast(data, centred, SPACING), abs=1e-3)


def test_places_are_apart_from_each_other_and_from_the_ends():
    volume = ground()
    inside = np.ones(volume.shape, bool)
    inside[:20] = False
    kinds = [(4.0, 20.0, False)] * 4 + [(8.0, -20.0, True)] * 3
    found = find_places(volume, inside, kinds, 4.0, np.random.default_rng(0))
    assert len(found) >= 6
    for n, lesion in enumerate(found):
        assert lesion.centre[0] >= 19.5 + lesion.diameter / 2 - 1
        extent = (np.array(volume.shape) - 1) * SPACING
        assert np.minimum(lesion.centre, extent - lesion.centre).min() >= 4 + lesion.diameter / 2 - 1e-9
        for other in found[:n]:
            gap = np.linalg.norm(lesion.centre - other.centre) - (lesion.diameter + other.diameter) / 2
            assert gap >= 4


def test_no_lesion_lies_where_the_tissue_is_as_rough_as_a_lesion():
    rng = np.random.default_rng(0)
    noisy = ground().replace(data=100 + 400 * ndimage.gaussian_filter(rng.standard_normal(ground().shape), 1.5))
    assert find_places(noisy, np.ones(noisy.shape, bool), [(6.0, 2.0, False)], 2.0, rng) == []


def test_invented_lesions_are_counted_and_planted_ones_are_not():
    volume = ground()
    inside = np.ones(volume.shape, bool)
    lesion = one(6.0)
    truth = planted(volume.data, [lesion], SPACING)
    assert false_lesions(truth, truth, inside, [lesion], 6.0, SPACING) == 0
    dark = Lesion(np.array([12.0, 12.0, 12.0]), 6.0, -30.0, shape_of(6.0, False, np.random.default_rng(0)))
    bright = Lesion(np.array([42.0, 40.0, 40.0]), 6.0, 30.0, dark.parts)
    for invented, count in (([dark], 1), ([dark, bright], 2)):
        assert false_lesions(planted(truth, invented, SPACING), truth, inside, [lesion], 6.0, SPACING) == count
    inside[:30, :30, :20] = False
    assert false_lesions(planted(truth, [dark], SPACING), truth, inside, [lesion], 6.0, SPACING) == 0


def test_the_table_tells_a_method_that_loses_lesions(monkeypatch):
    volume = ground((60, 60, 60)).replace(affine=np.eye(4))
    monkeypatch.setattr(benchmark, "SIZES", (1.0, 2.0))
    monkeypatch.setattr(benchmark, "OF_EACH", 2)
    real = benchmark.fit

    class Blind:
        """Returns the volume without what is small."""

        def __init__(self, volumes):
            self.function = real("linear", volumes)

        def sample(self, grid):
            made = self.function.sample(grid)[0]
            return [made.replace(data=ndimage.gaussian_filter(made.data, 8))]

    monkeypatch.setattr(benchmark, "fit", lambda m, v: Blind(v) if m == "blind" else real(m, v))
    rows = list(benchmark.of_volumes([volume], 3, ("cubic", "blind", "multicontrast")))
    assert [(r["method"], r["slices"]) for r in rows] == [("cubic", 1), ("cubic", 2), ("blind", 1), ("blind", 2)]
    cubic, blind = rows[1], rows[2]
    assert cubic["survived"] == 1 and 0.6 < cubic["kept"] <= 1.1 and cubic["false_lesions"] == 0
    assert blind["survived"] < 0.5
