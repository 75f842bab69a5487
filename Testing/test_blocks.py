"""Examples that CycleINR and ArSSR are trained on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage
from tinynetworks import BLOCKS, blobs

from INRSuperResolutionLib import InputError, Volume, write
from INRSuperResolutionLib.acquisition.forward_model import SliceProfile
from INRSuperResolutionLib.image.intensity import Scaling
from INRSuperResolutionLib.methods.cycleinr.network import Told
from INRSuperResolutionLib.methods.cycleinr.representation import PADDING
from INRSuperResolutionLib.training import blocks
from INRSuperResolutionLib.training.blocks import (
    POINTS,
    TOUCHING,
    Averaging,
    BlockSet,
    BlockSettings,
    drawn_averaging,
    dull_axis,
    make_block,
    resampled,
    thin_out,
    warped_copies,
)


def test_examples_at_an_end_of_the_field_of_view_show_its_outer_half_slice():
    """The slices beyond are copies of the outermost one; of averages, positions lie beyond its centre, too."""
    fine = np.random.default_rng(0).random((80, 16, 16)).astype(np.float32)
    settings = BlockSettings(crop=16, slices=12, targets=40, ends=1.0)
    for averaging, beyond in ((TOUCHING, 0.5), (POINTS, 0.0)):
        made = [thin_out(fine, 4.0, averaging, (30, 50), settings, np.random.default_rng(n)) for n in range(20)]
        for example in made:
            assert (example.voxels[:PADDING] == example.voxels[PADDING]).all()
            assert np.abs(example.voxels[PADDING + 1] - example.voxels[PADDING]).max() > 0.1
        least = min(e.positions.min() for e in made)
        assert PADDING - beyond <= least < PADDING - beyond + 0.3


def test_the_profile_is_not_always_told():
    """Then the network is told, and the spline made for, slices that touch; the slices are what they are."""
    fine = np.random.default_rng(0).random((80, 16, 16)).astype(np.float32)
    wide = Averaging(SliceProfile("gaussian"), 1.25)
    told, untold = (
        thin_out(fine, 4.0, wide, (30, 50), BlockSettings(crop=16, ends=0, noisy=0, untold=u), np.random.default_rng(0))
        for u in (0.0, 1.0)
    )
    np.testing.assert_array_equal(told.voxels, untold.voxels)
    assert untold.told == Told(4.0, 1.0)
    assert told.told.thickness == pytest.approx(1.25 * 1.471, abs=1e-3)  # a boxcar of the same variance
    assert np.abs(told.base - untold.base).max() > 0.01


def test_most_examples_are_averages_of_any_profile_and_thickness():
    rng = np.random.default_rng(0)
    drawn = [drawn_averaging(rng) for _ in range(400)]
    assert {a.profile.kind for a in drawn} == {"boxcar", "gaussian"}
    widths = np.array([a.width for a in drawn])
    assert widths.min() < 0.6 and widths.max() > 1.15
    assert 0.4 < (widths == 1).mean() < 0.6
    assert BlockSettings().averaged > 0.8


def test_noise_and_gains_are_in_the_slices_only():
    fine = np.random.default_rng(0).random((80, 16, 16)).astype(np.float32)
    clean, noisy = (
        thin_out(fine, 4.0, TOUCHING, (30, 50), BlockSettings(crop=16, ends=0, noisy=n), np.random.default_rng(3))
        for n in (0.0, 1.0)
    )
    assert 0 < np.abs(noisy.voxels - clean.voxels).std() < 0.15
    for target in noisy.target:
        assert np.abs(fine - target).max(axis=(1, 2)).min() == 0


def test_other_tissues_are_the_same_shapes_in_another_contrast():
    volume = blobs((40, 36, 34))
    classes = blocks.classes_of(volume)
    assert (np.diff(classes) > 0).all()
    assert classes[0] == volume.data.min() and classes[-1] == volume.data.max()
    made = [blocks.with_other_tissues(volume.data, classes, np.random.default_rng(n)) for n in range(8)]
    ground = volume.data == 0
    for image in made:
        assert image.dtype == np.float32 and np.isfinite(image).all()
        # what was even stays about even, and the blobs are seen
        assert image[ground].std() < 0.75 * image.std()
    same = [float(np.corrcoef(image.ravel(), volume.data.ravel())[0, 1]) for image in made]
    assert min(same) < -0.2 and max(same) > 0.2  # contrast may be inverted
    flat = Volume(np.repeat([0.0, 7.0], 500).reshape(10, 10, 10), np.eye(4))
    np.testing.assert_array_equal(blocks.classes_of(flat), [0, 7])


@pytest.mark.parametrize("ends", [0.0, 1.0])
@pytest.mark.parametrize(
    ("ratio", "kind", "width"),
    [
        (2.0, "none", 0),
        (3.0, "none", 0),
        (2.6, "none", 0),
        (3.0, "boxcar", 1),
        (2.5, "boxcar", 0.7),
        (3.0, "gaussian", 1),
    ],
)
def test_examples_are_not_shifted(ratio, kind, width, ends):
    """A slow wave along the slices is the same before and after; a shift would show in its slope."""
    z = np.arange(120)
    wave = np.sin(2 * np.pi * z / 40).astype(np.float32)
    fine = np.broadcast_to(wave[:, None, None], (120, 16, 16)).copy()
    settings = BlockSettings(crop=16, slices=12, targets=40, ends=ends, untold=0, noisy=0)
    averaging = Averaging(SliceProfile(kind), width)
    example = thin_out(fine, ratio, averaging, (50, 70), settings, np.random.default_rng(0))
    if ends:  # there the spline is flat
        inside = (example.positions >= 5) & (example.positions <= 8)
        assert inside.any()
        example = dataclasses.replace(example, base=example.base[inside], target=example.target[inside])
    error = (example.base - example.target)[:, 3, 4]
    slope = np.gradient(wave)
    where = np.array([int(np.argmin(np.abs(wave - t))) for t in example.target[:, 3, 4]])
    assert np.abs(error).max() < 0.03
    assert abs(float(error @ slope[where]) / float(slope[where] @ slope[where])) < 0.05  # fine slices


def test_slices_that_are_left_out_stay_as_they_are():
    """With point samples a whole number of slices apart, the coarse slices are fine ones to the bit."""
    fine = np.random.default_rng(0).random((60, 16, 16)).astype(np.float32)
    example = thin_out(fine, 3.0, POINTS, (20, 40), dataclasses.replace(BLOCKS, ends=0), np.random.default_rng(1))
    for coarse in example.voxels[2:-2]:
        assert np.abs(fine - coarse).max(axis=(1, 2)).min() < 1e-5


def test_sets_hold_every_sharp_axis(tmp_path):
    write(blobs((40, 36, 34)).replace(affine=np.eye(4)), tmp_path / "isotropic.nii.gz")
    write(blobs((40, 36, 6)), tmp_path / "thick.nii.gz")
    both = BlockSet([str(tmp_path / "isotropic.nii.gz"), str(tmp_path / "thick.nii.gz")], tmp_path)
    shapes = [p.data.shape for p in both.piles]
    assert shapes[:3] == [(40, 36, 34), (36, 40, 34), (34, 40, 36)]
    assert set(shapes[3:]) == {(40, 36, 1), (36, 40, 1)}  # thick slices, one by one
    for n in range(30):
        example = make_block(both, BLOCKS, np.random.default_rng(n))
        assert example.voxels.shape == (8, 16, 16)
        assert example.base.shape == example.target.shape == (len(example.positions), 16, 16)
        assert example.positions.min() >= 2 and example.positions.max() <= 5
        assert all(np.isfinite(a).all() for a in (example.voxels, example.base, example.target))
    with pytest.raises(InputError, match="no sharp axis"):
        BlockSet([blobs((12, 12, 4))], tmp_path)


def test_warped_copies_are_the_volume_turned_and_bent(tmp_path):
    volume = blobs((40, 36, 32)).replace(affine=np.eye(4))
    copies = list(warped_copies(volume, 3, np.random.default_rng(0)))
    again = list(warped_copies(volume, 3, np.random.default_rng(0)))
    assert len(copies) == 3
    for copy, same in zip(copies, again):
        np.testing.assert_array_equal(copy.data, same.data)
        assert copy.data.dtype == np.float32 and copy.shape == volume.shape
        # the same tissues in other places
        assert np.abs(copy.data - volume.data).max() > 0.3 * np.ptp(volume.data)
        assert copy.data.max() < 1.2 * volume.data.max() and copy.data.min() > volume.data.min() - 0.2 * np.ptp(
            volume.data
        )
    assert np.abs(copies[0].data - copies[1].data).max() > 0.3 * np.ptp(volume.data)
    thick = volume.replace(affine=np.diag([1, 1, 3, 1.0]))
    assert not list(warped_copies(thick, 3, np.random.default_rng(0)))
    # a volume is drawn as often as without copies
    alone, with_copies = BlockSet([volume, thick], tmp_path), BlockSet([volume, thick], tmp_path, warped=2)
    assert len(with_copies.piles) == len(alone.piles) + 6
    share = sum(c for c, p in zip(with_copies._chance, with_copies.piles) if p.data.shape[2] > 1)
    assert share == pytest.approx(sum(c for c, p in zip(alone._chance, alone.piles) if p.data.shape[2] > 1))


@pytest.mark.parametrize("dull", [None, 0, 2])
def test_without_bending_warped_copies_are_rigid(monkeypatch, dull):
    """Off-centre points keep their distances and handedness; those of dull scans keep their slices, too."""
    monkeypatch.setattr(blocks, "BEND", 0.0)
    monkeypatch.setattr(blocks, "STRETCH", (1.0, 1.0))
    data = np.zeros((41, 41, 41), np.float32)
    points = np.array([(28, 20, 20), (20, 14, 20), (20, 20, 25)])
    for n, point in enumerate(points):
        data[tuple(point)] = n + 1.0
    data = ndimage.gaussian_filter(data, 1.5)
    for copy in warped_copies(Volume(data, np.eye(4)), 2, np.random.default_rng(4), dull):
        spots, count = ndimage.label(copy.data > 0.1 * data.max())
        assert count == 3
        numbers = 1 + np.argsort(ndimage.maximum(copy.data, spots, [1, 2, 3]))
        found = np.array(ndimage.center_of_mass(copy.data**2, spots, numbers))
        turn = np.linalg.solve(points - 20.0, found - 20)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=0.05)
        assert np.linalg.det(turn) > 0
        moved = np.abs(found - points).max(axis=0)
        assert moved.max() > 1
        if dull is not None:
            assert moved[dull] < 0.05


def test_resampled_thick_slices_lie_where_they_were():
    """A slope stays where it is, and a point becomes as long as a slice, around the same place."""
    ramp = np.arange(60, dtype=np.float32)[:, None, None] * np.ones((1, 2, 3), np.float32)
    point = np.zeros((60, 1, 1), np.float32)
    point[31] = 1
    places = []
    for offset in np.arange(0, 1, 0.125):
        made = resampled(ramp, 3.3, offset)
        assert made.dtype == np.float32
        np.testing.assert_allclose(made[18:-18], ramp[18:-18], atol=5e-3)
        spread = resampled(point, 3.3, offset)[:, 0, 0]
        places.append(np.average(np.arange(60), weights=spread))
        assert 0.15 < spread.max() < 0.5
    assert np.mean(places) == pytest.approx(31, abs=0.05)  # of a single one it depends on where the slices lie


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_of_scans_resampled_from_thick_slices_these_are_left_out(tmp_path, axis):
    rng = np.random.default_rng(0)
    sharp = Volume(ndimage.gaussian_filter(rng.normal(size=(40, 36, 32)), 0.7), np.eye(4))
    assert dull_axis(sharp) is None
    thick = np.moveaxis(resampled(np.moveaxis(sharp.data, axis, 0), 3.0, 0.3), 0, axis)
    dull = sharp.replace(data=thick)
    assert dull_axis(dull) == axis
    assert dull_axis(dull.replace(affine=np.diag([1, 1, 3, 1.0]))) is None  # the slices are thick still
    made = BlockSet([dull], tmp_path, warped=2)
    assert [p.data.shape[0] for p in made.piles] == [dull.shape[axis]] * 3
    # a volume counts as much as another, along however many axes it is used
    both = BlockSet([dull, sharp], tmp_path)
    assert [p.data.shape[0] for p in both.piles] == [dull.shape[axis], 40, 36, 32]
    np.testing.assert_allclose(both._chance, [1 / 2, 1 / 6, 1 / 6, 1 / 6])


def test_scaled_contrast_keeps_the_foreground_apart():
    from INRSuperResolutionLib.training.blocks import with_contrast

    values = np.linspace(0, 100, 11, dtype=np.float32)
    bent, scaling = with_contrast(values, Scaling(50, 20), 1.3)
    assert (np.diff(bent) > 0).all()
    assert bent[0] <= scaling.offset <= bent[-1]
