from __future__ import annotations

import numpy as np
import pytest
from phantoms import oblique, phantom

from INRSuperResolutionLib import Grid, InputError, Volume
from INRSuperResolutionLib.image.labels import automatic_prior, make_prior, prior_of_label_map, prior_of_maps


def image(shape=(12, 10, 5)) -> Volume:
    return phantom(shape, oblique((1.0, 1.2, 3.0)), name="image")


def label_map(values: np.ndarray, like: Volume) -> Volume:
    return Volume(values, like.affine, name="labels")


def test_labels_on_the_same_grid_are_certain():
    own = image()
    values = np.zeros(own.shape)
    values[2:5, 3:7, 1:4] = 7
    values[8, 8, 4] = 1234
    prior = prior_of_label_map(label_map(values, own), own)
    assert prior.values == (0, 7, 1234)
    np.testing.assert_array_equal(np.array(prior.values)[prior.probabilities.argmax(axis=0)], values)
    assert set(np.unique(prior.probabilities)) == {0.0, 1.0}


def test_finer_labels_give_their_share_of_each_voxel():
    own = image()
    fine = own.grid.scaled((2, 2, 3))
    values = np.zeros(fine.shape)
    values[1:, :, :] = 3  # half of the first row of voxels, all of the others
    prior = prior_of_label_map(Volume(values, fine.affine, name="labels"), own)
    np.testing.assert_allclose(prior.probabilities[1, 0], 0.5, atol=1e-6)
    np.testing.assert_allclose(prior.probabilities[1, 1:], 1, atol=1e-6)


def test_labels_half_a_voxel_off_are_shared():
    own = Volume(np.random.default_rng(0).random((8, 6, 4)), np.eye(4), name="image")
    values = np.zeros((16, 12, 8))
    values[8:] = 1
    shifted = np.diag([0.5, 0.5, 0.5, 1.0])
    shifted[:3, 3] = 0.25  # half a voxel of the labels' grid off the aligned −0.25
    prior = prior_of_label_map(Volume(values, shifted, name="labels"), own)
    # label 1 begins at x = 4.0: half of voxel 4
    np.testing.assert_allclose(prior.probabilities[1, :4], 0, atol=1e-6)
    np.testing.assert_allclose(prior.probabilities[1, 4, 1:-1, 1:-1], 0.5, atol=1e-6)
    np.testing.assert_allclose(prior.probabilities[1, 5:, 1:-1, 1:-1], 1, atol=1e-6)


def test_labels_that_cover_a_part_leave_background():
    own = image()
    part = own.grid.crop((slice(0, 6), slice(0, 10), slice(0, 5)))
    prior = prior_of_label_map(Volume(np.full(part.shape, 5.0), part.affine, name="labels"), own)
    assert prior.values == (0, 5)
    np.testing.assert_array_equal(prior.probabilities[1, :6], 1)
    np.testing.assert_array_equal(prior.probabilities[0, 6:], 1)


def test_uneven_slices_take_their_labels_where_they_lie():
    positions = np.array([0.0, 1.0, 3.0])
    own = Volume(np.random.default_rng(0).random((5, 4, 3)), np.eye(4), slice_positions=positions, name="image")
    values = np.zeros((5, 4, 5))
    values[:, :, 3] = 2
    prior = prior_of_label_map(Volume(values, np.eye(4), name="labels"), own)
    np.testing.assert_array_equal(prior.probabilities[1].any(axis=(0, 1)), [False, False, True])


def test_a_single_class_works():
    own = image()
    prior = prior_of_label_map(label_map(np.ones(own.shape), own), own)
    assert prior.values == (1,)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda own: np.zeros(own.shape), "no label but 0"),
        (lambda own: own.data, "is no label"),
        (lambda own: np.arange(own.data.size).reshape(own.shape), "at most 64"),
    ],
)
def test_what_is_no_label_map_is_refused(values, message):
    own = image()
    with pytest.raises(InputError, match=message):
        prior_of_label_map(label_map(values(own), own), own)


def test_labels_elsewhere_are_refused():
    own = image()
    away = own.affine.copy()
    away[:3, 3] += 1000
    with pytest.raises(InputError, match="no label but 0 lies in image"):
        prior_of_label_map(Volume(np.ones(own.shape), away, name="labels"), own)


@pytest.mark.parametrize("full", [1.0, 100.0, 255.0])
def test_probability_maps_in_each_scale(full):
    own = image()
    first = np.zeros(own.shape)
    first[:6] = full
    second = np.zeros(own.shape)
    second[4:8] = 0.5 * full
    prior = prior_of_maps([label_map(first, own), label_map(second, own)], own)
    assert prior.values == (0, 1, 2)
    np.testing.assert_allclose(prior.probabilities.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(prior.probabilities[:, 0, 0, 0], [0, 1, 0])
    np.testing.assert_allclose(prior.probabilities[:, 7, 0, 0], [0.5, 0, 0.5], atol=1e-6)
    np.testing.assert_allclose(prior.probabilities[:, 11, 0, 0], [1, 0, 0])


def test_maps_that_are_no_probabilities_are_refused():
    own = image()
    with pytest.raises(InputError, match="no probabilities"):
        prior_of_maps([label_map(np.full(own.shape, 300.0), own)] * 2, own)
    with pytest.raises(InputError, match="no probabilities"):
        prior_of_maps([label_map(np.full(own.shape, -1.0), own)] * 2, own)


@pytest.mark.parametrize("tissues", [2, 3, 4])
def test_automatic_classes_find_the_tissues(tissues):
    rng = np.random.default_rng(tissues)
    truth = rng.integers(0, tissues + 1, (24, 20, 4))
    data = np.where(truth == 0, 0.0, 200.0 * truth + rng.normal(0, 8, truth.shape))
    prior = automatic_prior(Volume(data, np.eye(4), name="image"))
    assert prior.classes == tissues + 1  # and the empty background
    # between two tissues all thresholds are equal to Otsu, also one at the edge of the first
    assert (prior.probabilities.argmax(axis=0) == truth).mean() > 0.998


def test_make_prior_chooses_by_what_is_given():
    own = image()
    grid = Grid.like(own)
    labels = Volume(np.ones(grid.shape), grid.affine, name="labels")
    assert make_prior([labels], own).values == (1,)
    assert make_prior([labels, labels.replace(data=np.zeros(grid.shape))], own).values == (0, 1, 2)
    assert make_prior([], own).classes >= 2
