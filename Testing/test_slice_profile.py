"""How slices are taken to average: from header, spacing, the user, or the image itself."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import phantom
from scipy import ndimage

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib import Grid, InputError, Volume
from INRSuperResolutionLib.acquisition.degrade import degrade
from INRSuperResolutionLib.acquisition.forward_model import SliceProfile, observe
from INRSuperResolutionLib.acquisition.profile_estimate import estimate_profile
from INRSuperResolutionLib.acquisition.slice_axis import slice_axis
from INRSuperResolutionLib.acquisition.slice_profile import choose_slices, describe_slices
from INRSuperResolutionLib.methods.plain.interpolation import SplineRepresentation

THICK = (1.0, 1.0, 4.0)


def empty(spacing, shape=(9, 9, 9), **header) -> Volume:
    return Volume(np.zeros(shape), np.diag([*spacing, 1.0]), **header)


def told(choice, volume, **more):
    (model,) = choose_slices(choice, [volume], **more)
    return model.to_dict()


@pytest.mark.parametrize(
    ("choice", "spacing", "header", "thickness", "wanted"),
    [
        ("auto", (1, 1, 1), None, None, ("none", None, "default", None)),
        ("auto", (1, 1, 4), None, None, ("boxcar", 4.0, "spacing", "spacing")),
        ("auto", (4, 1, 1), None, None, ("boxcar", 4.0, "spacing", "spacing")),
        ("auto", (1, 1, 4), 3.0, None, ("boxcar", 3.0, "header", "header")),
        ("auto", (1, 1, 4), 3.0, 5.0, ("boxcar", 5.0, "told", "told")),
        ("auto", (4, 1, 1), None, 3.0, ("boxcar", 3.0, "told", "told")),
        ("auto", (1, 1, 1), None, 2.0, ("boxcar", 2.0, "told", "told")),
        ("none", (1, 1, 4), 3.0, None, ("none", None, "told", None)),
        ("gaussian", (1, 1, 4), 3.0, None, ("gaussian", 3.0, "told", "header")),
        ("gaussian", (1, 1, 4), None, None, ("gaussian", 4.0, "told", "spacing")),
    ],
)
def test_where_profile_and_thickness_come_from(choice, spacing, header, thickness, wanted):
    found = told(choice, empty(spacing, slice_thickness=header), thickness=thickness)
    assert (found["profile"], found["thickness_mm"], found["source"], found["thickness_source"]) == wanted
    assert found["distance_mm"] == max(spacing)


def test_one_thickness_for_all_or_one_for_each():
    volumes = [empty(THICK), empty((1, 5, 1))]
    assert [m.width for m in choose_slices("auto", volumes, [3.0, 4.0])] == [0.75, 0.8]
    assert [m.width for m in choose_slices("auto", volumes, 2.0)] == [0.5, 0.4]
    with pytest.raises(InputError, match="3 slice thicknesses for 2 inputs"):
        choose_slices("auto", volumes, [1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="slice thickness -1"):
        choose_slices("auto", volumes, -1.0)
    with pytest.raises(InputError, match="point samples have no slice thickness"):
        choose_slices("none", volumes, 3.0)


def test_overlap_that_cannot_be_undone_is_told():
    assert "overlap" in describe_slices(told("auto", empty(THICK), thickness=6.0))
    assert describe_slices(told("auto", empty(THICK), thickness=3.0)) == (
        "slices averaged over 3 mm (boxcar), 4 mm apart [told]"
    )


@pytest.mark.parametrize("method", ["cubic", "linear", "sinc", "cycleinr", "multicontrast"])
def test_the_default_of_a_method(method, monkeypatch):
    """Plain interpolation stays what viewers draw; all others take thick slices as averages."""
    seen = []
    chosen = inrsr.METHODS[method]

    def fit(volumes, settings, context):
        seen.append([p.kind for p in context.profiles])
        return SplineRepresentation(volumes, 1)

    monkeypatch.setitem(inrsr.METHODS, method, inrsr.METHODS[method].__class__(**{**vars(chosen), "fit": fit}))
    volume = phantom((12, 11, 6), np.diag([*THICK, 1]))
    volumes = [volume] * max(1, chosen.min_inputs)
    for preset in ("fast", "paper"):
        if preset in chosen.presets:
            inrsr.fit(method, volumes, preset=preset)
            averaged = chosen.needs_torch and preset != "paper"
            assert set(seen.pop()) == {"boxcar" if averaged else "none"}
    inrsr.fit(method, volumes, slice_thickness=3.0)
    assert set(seen.pop()) == {"boxcar"}


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("thickness", [3.0, 4.0, 5.0])
@pytest.mark.parametrize("kind", ["boxcar", "gaussian"])
@pytest.mark.parametrize(("method", "order"), [("cubic", 3), ("linear", 1), ("sinc", 3)])
def test_interpolation_gives_the_averages_back(method, order, kind, thickness, axis):
    spacing = np.ones(4)
    spacing[axis] = 4
    shape = [14, 14, 14]
    shape[axis] = 9
    rng = np.random.default_rng(0)
    data = np.pad(ndimage.gaussian_filter(rng.random(np.array(shape) - 4), 0.7), 2, mode="edge")
    volume = Volume(data, np.diag(spacing))
    made = inrsr.fit(method, [volume], slice_profile=kind, slice_thickness=thickness)
    scale = np.ones(3)
    scale[axis] = 28
    fine = made.sample(volume.grid.scaled(scale))[0]
    source = volume.replace(slice_axis=axis, slice_thickness=thickness)
    error = observe(fine, source, SliceProfile(kind), (axis,)) - data
    inner = np.moveaxis(error, axis, 0)[2:-2]
    plain = np.moveaxis(observe(inrsr.fit(method, [volume]).sample(volume.grid.scaled(scale))[0], source, SliceProfile(kind), (axis,)) - data, axis, 0)[2:-2]  # fmt: skip
    # what is left is the sampling of observe itself; plain interpolation blurs
    assert np.sqrt(np.mean(inner**2)) < 0.06 * np.sqrt(np.mean(plain**2))


def test_plain_interpolation_is_as_it_was():
    volume = phantom((12, 11, 6), np.diag([*THICK, 1]))
    grid = volume.grid.isotropic()
    for method, order in (("nearest", 0), ("linear", 1), ("cubic", 3)):
        np.testing.assert_array_equal(
            inrsr.fit(method, [volume]).sample(grid)[0].data, SplineRepresentation([volume], order).sample(grid)[0].data
        )
    boxcar = inrsr.fit("nearest", [volume], slice_profile="boxcar").sample(grid)[0].data
    np.testing.assert_array_equal(boxcar, inrsr.fit("nearest", [volume]).sample(grid)[0].data)


@pytest.mark.parametrize("method", ["cubic", "sinc"])
def test_a_sharpened_function_comes_back_from_its_file(method, tmp_path):
    volume = phantom((12, 11, 6), np.diag([*THICK, 1]))
    made = inrsr.fit(method, [volume], slice_profile="boxcar")
    made.save(tmp_path / "a.inr")
    grid = Grid((12, 11, 40), np.diag([1, 1, 1, 1.0]))  # goes beyond the field of view: filled with the lowest value
    first, again = made.sample(grid)[0].data, inrsr.load(tmp_path / "a.inr").sample(grid)[0].data
    np.testing.assert_array_equal(first, again)
    assert (first[..., -3:] == volume.data.min()).all()


def test_the_slice_axis_where_pixels_are_not_square():
    fine = Grid((18, 18, 9), np.eye(4))
    assert slice_axis(empty((2, 2, 1)), fine) == 2
    assert slice_axis(empty((2, 2, 1))) == 2
    assert slice_axis(empty((2, 1, 2)), fine) == 1
    assert slice_axis(empty((2, 2.1, 1.2)), Grid((9, 9, 9), np.diag([1, 1, 1.2, 1]))) == 2
    assert slice_axis(empty((0.9, 1.1, 3)), Grid((9, 9, 9), np.diag([0.9, 0.9, 0.9, 1]))) == 2  # thick is thick
    assert slice_axis(empty((1, 1, 1)), Grid((9, 18, 18), np.diag([1, 0.5, 0.5, 1]))) == 0
    assert slice_axis(empty((1, 1, 1)), Grid((9, 18, 9), np.diag([1, 0.5, 1, 1]))) == 1
    turned = Grid((9, 18, 18), np.array([[0, 0, 1.0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]))
    assert slice_axis(empty((2, 2, 1)), turned) == 2
    assert slice_axis(empty((0.7, 0.7, 0.5), slice_thickness=1.0)) == 2  # a DICOM series: as it was acquired
    assert slice_axis(empty((2, 2, 1), slice_axis=0), fine) == 0


def test_in_plane_methods_restore_the_plane_that_was_thinned(monkeypatch):
    seen = []
    chosen = inrsr.METHODS["nexpr"]

    def fit(volumes, settings, context):
        seen.extend(slice_axis(v) for v in volumes)
        return SplineRepresentation(volumes, 1)

    monkeypatch.setitem(inrsr.METHODS, "nexpr", chosen.__class__(**{**vars(chosen), "fit": fit}))
    volume = phantom((16, 18, 10), np.eye(4))
    coarse = degrade(volume, "kspace", (2, 2, 1))
    made = inrsr.fit("nexpr", [coarse], grids=[volume.grid])
    assert seen == [2]
    assert made.provenance["slices"][0]["axis"] == 2


def texture(shape, sigma, seed=0) -> np.ndarray:
    """Blobs of all sizes, alike in all directions: a stand-in for anatomy."""
    rng = np.random.default_rng(seed)
    field = sum(2**n * ndimage.gaussian_filter(rng.standard_normal(shape), sigma * 2**n) * 2**n for n in range(3))
    return np.where(ndimage.gaussian_filter(field, 0.3) > 0, 150.0, 50.0) + 5 * field / field.std() + 100


@pytest.fixture(scope="module")
def solid() -> np.ndarray:
    return ndimage.gaussian_filter(texture((96, 96, 128), 1.5), 0.6)


def thick_slices(solid, kind, width) -> Volume:
    fine = Volume(solid, np.eye(4))
    coarse = Volume(np.zeros((96, 96, 32)), fine.grid.scaled((1, 1, 0.25)).affine)
    data = observe(fine, coarse.replace(slice_axis=2, slice_thickness=4 * width), SliceProfile(kind), (2,))
    return coarse.replace(data=data)


@pytest.mark.parametrize(("kind", "width"), [("boxcar", 0.75), ("boxcar", 1.0), ("boxcar", 1.5), ("gaussian", 1.0)])
def test_the_image_tells_its_blur(solid, kind, width):
    found = estimate_profile(thick_slices(solid, kind, width), 2)
    assert found.profile in ("boxcar", "gaussian")
    # standard deviations of the kernels: those are what an image shows
    spread = {"boxcar": 12**-0.5, "gaussian": 1 / 2.3548}
    assert found.width * spread[found.profile] == pytest.approx(
        width * spread[kind], rel=0.25
    )  # anatomy that is random differs, too
    if found.tells:
        assert found.width == pytest.approx(width, rel=0.2)


@pytest.mark.parametrize(("kind", "taken"), [("boxcar", "boxcar"), ("gaussian", "gaussian")])
def test_by_default_a_clearly_smoother_image_is_of_a_gaussian(solid, kind, taken):
    """A Gaussian as wide as the distance is taken for one; what is told, or in the header, stays."""
    volume = thick_slices(solid, kind, 1.0).replace(slice_thickness=None, slice_axis=None)
    found = told("auto", volume)
    assert (found["profile"], found["thickness_mm"], found["thickness_source"]) == (taken, 4.0, "spacing")
    assert found["source"] == ("estimate" if taken == "gaussian" else "spacing")
    assert taken in describe_slices(found)
    assert told("auto", volume.replace(slice_thickness=4.0))["source"] == "header"
    assert told("auto", volume, thickness=4.0)["profile"] == "boxcar"


def test_an_image_that_cannot_tell_says_so(solid):
    uneven = ndimage.gaussian_filter1d(solid, 1.2, axis=0)  # one in-plane direction is much smoother than the other
    for volume, reason in (
        (thick_slices(uneven, "boxcar", 1.0), "differs"),
        (thick_slices(solid, "boxcar", 1.0).replace(affine=np.diag([1, 1, 1.2, 1])), "hardly thicker"),
        (empty(THICK, (40, 40, 12)), "detail"),
        (empty(THICK, (40, 40, 4)), "few"),
    ):
        found = estimate_profile(volume, 2)
        assert found.profile is None
        assert reason in found.reason
        taken = told("estimate", volume)
        assert taken["profile"] == ("none" if reason == "hardly thicker" else "boxcar")  # the default
        assert "cannot tell" in describe_slices(taken)


def test_estimate_goes_through_a_fit(solid):
    volume = thick_slices(solid[:64, :64], "boxcar", 1.0).replace()
    made = inrsr.fit("cubic", [volume], slice_profile="estimate")
    (slices,) = made.provenance["slices"]
    assert slices["source"] == "estimate"
    assert 0 < slices["sure"] <= 1
    fixed = inrsr.fit("cubic", [volume], slice_profile="estimate", slice_thickness=4.0).provenance["slices"][0]
    assert fixed["thickness_mm"] == 4.0
