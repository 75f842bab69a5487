"""What the weights that come with the library must do."""

from __future__ import annotations

import numpy as np
import pytest
from tinynetworks import SLICEWISE, VOLUMETRIC

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib import Volume
from INRSuperResolutionLib.acquisition.degrade import degrade
from INRSuperResolutionLib.evaluation.metrics import psnr
from INRSuperResolutionLib.image.interpolate import resample
from INRSuperResolutionLib.methods import METHODS
from INRSuperResolutionLib.methods.plain.zero_filling import ZeroFilling
from INRSuperResolutionLib.methods.pretrained.weights import FOR_CT, shipped

AS_IT_IS = {"check": False}
# in Hounsfield units
AIR = np.float32(-1024)


@pytest.fixture(params=sorted(w for w in shipped() if w in SLICEWISE))
def method(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def head(data_folder) -> Volume:
    """A slice that no weights were trained on, with its surroundings cut to keep the test short."""
    whole = inrsr.read(data_folder / "ms19_t2.nii.gz")
    return Volume(whole.data[42:138, 60:156, 90:91], np.diag([1, 1, 8, 1.0]), name="head")


def test_better_than_zero_filling_on_an_unseen_head(method, head):
    """The floors that are asked for are measured on whole slices, by the acceptance measurements; here: any gain."""
    coarse = degrade(head, "kspace", (2, 2, 1))
    made = inrsr.fit(method, [coarse], slice_profile="none")
    assert not any(made.provenance["zero_filled"])
    span = float(np.percentile(head.data, 99.9))
    restored, filled = made.sample(head.grid)[0].data, ZeroFilling(coarse)(head.grid)
    assert psnr(restored, head.data, span) > psnr(filled, head.data, span) + 0.5


def names_of(methods) -> list[str]:
    """Weights of some methods, those for CT and for certain contrasts too."""
    return sorted(name for name in shipped() if method_of(name) in methods)


def method_of(name: str) -> str:
    return name.split("-")[0]


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0, 2.7, 4.0, 8.0])
@pytest.mark.parametrize("angle", [0.0, 0.6])
@pytest.mark.parametrize("name", names_of(SLICEWISE))
def test_a_ramp_is_not_shifted(name, scale, angle):
    """The mean shift over the inner half, in pixels of the input; asked: below 0.01.

    On a rising and on a falling ramp a shift has errors of opposite sign; an error of brightness, the same.
    """
    y, x = np.mgrid[:64, :72]
    method = method_of(name)
    errors = []
    for slope in (1, -1):

        def ramp(rows, columns, slope=slope):
            return slope * (np.cos(angle) * (rows - 31.5) + np.sin(angle) * (columns - 35.5))

        volume = Volume(ramp(y, x)[..., None], np.eye(4))
        made = inrsr.fit(method, [volume], settings={**AS_IT_IS, "weights": name})
        grid = volume.grid.scaled((scale, scale, 1))
        rows, columns = ((np.arange(n) + 0.5) / scale - 0.5 for n in grid.shape[:2])
        error = made.sample(grid)[0].data[..., 0] - ramp(rows[:, None], columns)
        inner = tuple(slice(n // 4, -(n // 4)) for n in grid.shape[:2])
        errors.append(error[inner].mean())
        assert np.abs(error[inner]).max() < 0.7  # nor bent: less than a pixel's step
    # the slope is 1 per pixel; the baselines were trained too shortly for more
    assert abs(errors[0] - errors[1]) / 2 < (0.02 if METHODS[method].is_baseline else 0.01)


def test_no_borders_between_patches(head):
    """Steps between neighbouring fine pixels are no larger across the borders of patches than within them."""
    if "nexpr" not in shipped():
        pytest.skip("no weights of nexpr are shipped")
    coarse = degrade(head, "kspace", (2, 2, 1))
    made = inrsr.fit("nexpr", [coarse], settings=AS_IT_IS)
    factor = 8
    grid = coarse.grid.scaled((factor, factor, 1))
    found = (made.sample(grid)[0].data - resample(coarse, grid).data)[..., 0]
    for axis in (0, 1):
        steps = np.abs(np.diff(found, axis=axis)).mean(axis=1 - axis)
        border = (np.arange(len(steps)) + 1) % (2 * factor) == 0
        assert steps[border].mean() < 2 * steps[~border].mean()


@pytest.fixture(scope="module")
def block(data_folder) -> Volume:
    """A part of a head that no weights were trained on."""
    whole = inrsr.read(data_folder / "ms19_flair.nii.gz")
    return Volume(whole.data[50:130, 60:140, 60:121], np.eye(4), name="block")


@pytest.mark.parametrize("method", VOLUMETRIC)
@pytest.mark.parametrize("factor", [2, 3, 5])
def test_slices_are_brought_back_better_than_by_interpolation(method, factor, block):
    """The floors that are asked for are measured on whole volumes, by the acceptance measurements; here: any gain."""
    coarse = degrade(block, "interval", (1, 1, factor))
    made = inrsr.fit(method, [coarse], slice_profile="none").sample(block.grid)[0].data
    span = float(np.percentile(block.data, 99.9))
    best = max(psnr(resample(coarse, block.grid, order).data, block.data, span) for order in (1, 3))
    assert psnr(made, block.data, span) > best + 0.2


@pytest.mark.parametrize("name", names_of(VOLUMETRIC))
@pytest.mark.parametrize("factor", [1.7, 3.0, 5.0])
def test_a_ramp_across_the_slices_is_not_shifted(name, factor):
    """Asked: below 0.01 slice, on a rising and on a falling ramp, so that an error of brightness does not count."""
    errors = []
    for slope in (1, -1):
        ramp = slope * (np.arange(16.0) - 7.5)
        volume = Volume(np.broadcast_to(ramp, (40, 40, 16)), np.diag([1, 1, 3.0, 1]))
        grid = volume.grid.scaled((1, 1, factor))
        settings = {**AS_IT_IS, "weights": name}
        made = inrsr.fit(method_of(name), [volume], settings=settings, slice_profile="none").sample(grid)[0].data
        wanted = slope * ((np.arange(grid.shape[2]) + 0.5) / factor - 0.5 - 7.5)
        inner = slice(grid.shape[2] // 4, -(grid.shape[2] // 4))
        errors.append(float((made - wanted)[10:-10, 10:-10, inner].mean()))
    assert abs(errors[0] - errors[1]) / 2 < 0.01


@pytest.mark.parametrize("name", [n for n in names_of((*SLICEWISE, *VOLUMETRIC)) if n.endswith(FOR_CT)])
def test_ct_is_restored_by_weights_for_ct(name, data_folder):
    """Chosen by themselves; on slices that they were trained on, as there is no other CT: they must have learned these."""
    whole = inrsr.read(data_folder / "ct_abdomen.nii.gz")
    method = method_of(name)
    if method in VOLUMETRIC:
        truth, factor, kind = Volume(whole.data[20:84, 20:84, :31], np.eye(4)), (1, 1, 2), "interval"
    else:
        truth, factor, kind = Volume(whole.data[20:84, 20:84, 15:16], np.diag([1, 1, 8, 1])), (2, 2, 1), "kspace"
    # a crop of k-space leaves magnitudes: air must be 0 then
    coarse = degrade(truth.replace(data=truth.data - AIR), kind, factor)
    coarse = coarse.replace(data=coarse.data + AIR)
    made = inrsr.fit(method, [coarse], settings=AS_IT_IS, slice_profile="none")
    assert made.provenance["weights"]["name"] == name
    span = float(np.ptp(truth.data))
    plain = resample(coarse, truth.grid, 3).data
    assert psnr(made.sample(truth.grid)[0].data, truth.data, span) > psnr(plain, truth.data, span) + 0.5
