"""Small things that a mutation tester found nobody to look at."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import phantom

from INRSuperResolutionLib import Grid, InputError
from INRSuperResolutionLib.evaluation.overlap import segmented_by
from INRSuperResolutionLib.image.intensity import without_signal
from INRSuperResolutionLib.jobs.grids import output_grids
from INRSuperResolutionLib.jobs.job import LARGEST, SMALLEST, Job


def job(**changes) -> Job:
    return Job(**{"task": "upscale", "method": "linear", "inputs": ["a.nii"], "outputs": ["b.nii"], **changes})


def test_only_inputs_of_one_shape_and_place_share_a_grid():
    affine = np.diag([1, 1, 3, 1.0])
    moved = affine.copy()
    moved[0, 3] = 1
    own = [Grid((6, 7, 5), affine), Grid((6, 7, 4), affine), Grid((6, 7, 5), moved), Grid((6, 7, 5), affine)]
    many = job(inputs=list("abcd"), outputs=["1.nii", "2.nii", "3.nii", "4.nii"], scale=[1.0, 1.0, 2.0])
    grids = output_grids(many, own, None)
    assert [g.shape for g in grids] == [(6, 7, 10), (6, 7, 8), (6, 7, 10), (6, 7, 10)]
    assert grids[3] is grids[0] and len({id(g) for g in grids}) == 3
    assert grids[2].affine[0, 3] == 1


def test_a_program_that_segments_names_both_of_its_files():
    for command in ("true {input}", "true {output}", "true"):
        with pytest.raises(InputError, match="does not name its files"):
            segmented_by(command, phantom((4, 4, 4)))


@pytest.mark.parametrize("name", ["spacing", "scale"])
def test_spacing_and_scale_have_limits_that_belong_to_them(name):
    for value in (SMALLEST, LARGEST):
        job(**{name: [value]})
    for value in (SMALLEST * 0.99, LARGEST * 1.01):
        with pytest.raises(InputError, match=f"the {name} .* is not valid"):
            job(**{name: [value]})


def test_padding_of_a_ct_is_not_taken_for_air():
    data = np.full((4, 4, 4), 40.0)
    data[0], data[1] = -3024, -1000
    assert without_signal(data) == -1024
    data[0] = -1010
    assert without_signal(data) == -1010
    mr = np.linspace(-3, 100, 64).reshape(4, 4, 4)  # undershoot of an interpolation
    assert without_signal(mr) == 0
