"""What other programs read in the headers that are written."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from phantoms import oblique, phantom

from INRSuperResolutionLib import write


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("left_handed", [False, True])
def test_nifti_is_in_millimetres_and_has_a_qform_only_where_it_can_hold_the_affine(tmp_path, suffix, left_handed):
    for shear in (0.0, 0.2, 0.03):
        affine = oblique(shear=shear, left_handed=left_handed)
        write(phantom(affine=affine), tmp_path / f"a{suffix}")
        header = nib.load(tmp_path / f"a{suffix}").header
        assert header.get_xyzt_units()[0] == "mm"
        np.testing.assert_allclose(header.get_sform(), affine, atol=1e-4)
        assert int(header["sform_code"]) > 0
        assert (int(header["qform_code"]) > 0) is (shear == 0)
        if shear == 0:
            np.testing.assert_allclose(header.get_qform(), affine, atol=1e-4)
