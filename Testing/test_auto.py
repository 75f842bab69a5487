"""Which method suits which scans."""

from __future__ import annotations

import numpy as np
import pytest

from INRSuperResolutionLib import Grid
from INRSuperResolutionLib.auto import choose
from INRSuperResolutionLib.image.grid import clearly_thick_axis, coarse_axes


def scan(spacing, turn=None) -> Grid:
    affine = np.diag([*spacing, 1.0])
    return Grid((20, 20, 20), affine if turn is None else turn @ affine)


AXIAL, SAGITTAL, ISOTROPIC = scan((0.8, 0.8, 4)), scan((4, 0.9, 0.9)), scan((1, 1, 1))
LEANING = scan((0.8, 0.8, 4), np.array([[1, 0, 0, 0], [0, 0.9397, -0.342, 0], [0, 0.342, 0.9397, 0], [0, 0, 0, 1]]))


@pytest.mark.parametrize(
    ("scans", "wanted", "labels", "method"),
    [
        ([AXIAL], None, False, "combined"),
        ([AXIAL, AXIAL], None, False, "combined"),
        ([AXIAL, LEANING], None, False, "combined"),
        ([AXIAL, SAGITTAL], None, False, "multicontrast"),
        ([AXIAL, ISOTROPIC], None, False, "multicontrast"),
        ([ISOTROPIC, AXIAL], None, False, "multicontrast"),
        ([AXIAL], None, True, "seco"),
        ([AXIAL], AXIAL.scaled((2, 2, 1)), False, "nexpr"),
        ([AXIAL], AXIAL.with_spacing((0.8, 0.8, 4)), False, "cubic"),
        ([AXIAL], AXIAL.with_spacing((1.6, 1.6, 2)), False, "combined"),
        ([ISOTROPIC], ISOTROPIC.scaled(2), False, "nexpr"),
    ],
)
def test_method_follows_from_how_the_scans_lie(scans, wanted, labels, method):
    choice = choose(scans, wanted, labels)
    assert choice.method == method
    assert len(choice.why) > 20


def test_pixels_that_are_not_square_have_no_thick_axis_unless_slices_stand_out():
    assert clearly_thick_axis((2, 2, 1)) is None
    assert clearly_thick_axis((1, 2, 5)) == 2
    assert clearly_thick_axis((6, 1, 1)) == 0


def test_refined_axes_are_found_in_a_frame_with_other_axes():
    swapped = Grid((20, 40, 20), AXIAL.affine[:, [2, 0, 1, 3]] @ np.diag([0.25, 1, 1, 1]))
    assert coarse_axes(AXIAL, swapped) == (2,)
