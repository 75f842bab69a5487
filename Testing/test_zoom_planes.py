"""Planes of explicit functions: every way to draw one gives the volume's function, and no patch's border shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from phantoms import oblique
from scipy.spatial.transform import Rotation
from tinynetworks import blobs, random_weights

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib import Grid
from INRSuperResolutionLib.methods.nexpr import planes, tiles
from INRSuperResolutionLib.methods.nexpr.plane import Plane
from INRSuperResolutionLib.methods.nexpr.raster import Basis, direct_sum, rasterise
from INRSuperResolutionLib.methods.nexpr.seams import meet

# parts of the image's range; tables are made for functions whose fastest waves are weak, which random ones are not
TOLERANCE, TOLERANCE_OF_TABLES = 1e-5, 1e-2


@pytest.fixture(params=["slices along k", "slices along i"])
def explicit(request, tmp_path):
    """A random network's function of a small volume on an oblique, left-handed grid."""
    weights = random_weights("nexpr", tmp_path / "w.safetensors")
    shape, spacing = ((21, 26, 6), (1, 1, 3)) if request.param.endswith("k") else ((6, 21, 26), (4, 1, 1))
    affine = oblique(left_handed=True) @ np.diag([*spacing, 1])
    made = inrsr.fit("nexpr", [blobs(shape).replace(affine=affine)], settings={"weights": str(weights), "check": False})
    assert made.volumes[0].axis == shape.index(6)
    return made


@pytest.fixture(params=["numba", "PyTorch"])
def look_ups(request, monkeypatch):
    """How tables are read: what numba compiled, or PyTorch where it is not installed."""
    if request.param == "PyTorch":
        for name, value in (("compiled", None), ("TILES_ACROSS", 64), ("POINTS_AT_ONCE", 1 << 16)):
            monkeypatch.setattr(tiles, name, value)
    else:
        assert tiles.compiled is not None


def plane_through(explicit, down, across, shape=(40, 50), step=0.11, centre=None):
    sizes = np.array(explicit.volumes[0].volume.shape)
    down, across = (np.array(v, float) / np.linalg.norm(v) * step for v in (down, across))
    centre = (sizes - 1) / 2 + [0.13, -0.21, 0.07] if centre is None else np.array(centre, float)
    return Plane(centre - down * (shape[0] - 1) / 2 - across * (shape[1] - 1) / 2, down, across, shape)


def directly(explicit, plane):
    """The representation's own values at the same points."""
    volume = explicit.volumes[0].volume
    to_index = np.eye(4)
    to_index[:3, 0], to_index[:3, 1], to_index[:3, 3] = plane.down, plane.across, plane.first
    to_index[:3, 2] = np.cross(plane.down, plane.across)
    return explicit.evaluate(Grid((*plane.shape, 1), volume.affine @ to_index), [0])[0, ..., 0]


TURN = Rotation.from_euler("xyz", [31, 22, 13], degrees=True).as_matrix()


@pytest.mark.parametrize(
    ("down", "across"),
    [
        ([0, 1, 0], [1, 0, 0]),
        ([-1, 0, 0], [0, 1, 0]),
        ([0, 0, -1], [1, 0, 0]),
        ([0, 1, 0], [0, 0, 1]),
        ([0, -1, 0], [0, 0, -1]),
        ([0, 0.8, 0.6], [1, 0, 0]),
        ([1, 0, 0], [0, 0.6, -0.8]),
        ([0.8, 0.6, 0], [0.6, -0.8, 0]),
        ([0, 0.8, 0.6], [0, -0.6, 0.8]),
        (TURN[1], TURN[0]),
        (TURN[2], TURN[1]),
    ],
)
@pytest.mark.parametrize("step", [0.11, 0.9], ids=["near", "beyond the edges"])
@pytest.mark.usefixtures("look_ups")
def test_planes_are_the_volumes_function(explicit, down, across, step):
    function = explicit.volume_function(0)
    plane = plane_through(explicit, down, across, step=step)
    wanted = directly(explicit, plane)
    found = function.draw(plane)
    assert found.dtype == np.float32
    spread = np.ptp(explicit.volumes[0].volume.data)
    tolerance = TOLERANCE if function._tiles is None else TOLERANCE_OF_TABLES
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * spread)
    assert np.ptp(wanted) > 0.1 * spread
    np.testing.assert_array_equal(function.draw(plane), found)


@pytest.mark.usefixtures("look_ups")
def test_tables_are_close_enough_for_the_shipped_weights(data_folder):
    """1e-4 of the image's range, in the midst of a head."""
    volume = inrsr.read(data_folder / "ms19_flair.nii.gz")
    middle = volume.replace(data=volume.data[50:120, 60:140, 88:94])
    made = inrsr.fit("nexpr", [middle], settings={"check": False, "consistent": False})
    plane = plane_through(made, TURN[1], TURN[0], shape=(160, 200), step=0.08)
    function = made.volume_function(0)
    error = np.abs(function.draw(plane) - directly(made, plane)).max()
    assert function._tiles is not None
    assert error < 1e-4 * np.ptp(volume.data)


def test_planes_need_their_own_slices_only(explicit):
    function, axis = explicit.volume_function(0), explicit.volumes[0].axis
    a, b = np.eye(3)[[n for n in range(3) if n != axis]]
    centre = np.array([9.0, 9.0, 9.0])
    for height, wanted in ((2.0, [2]), (2.25, [2, 3]), (5.0, [5]), (-0.5, [0]), (-7.0, [0])):
        centre[axis] = height
        assert list(function.slices_of(plane_through(explicit, a, b, centre=centre))) == wanted


def test_what_is_kept_of_a_plane_serves_other_parts_of_it(explicit):
    """Zooming in and out between two slices: each part as if it were the first one that is drawn."""
    function, axis = explicit.volume_function(0), explicit.volumes[0].axis
    a, b = np.eye(3)[[n for n in range(3) if n != axis]]
    spread = np.ptp(explicit.volumes[0].volume.data)
    for height, step in ((2.3, 0.9), (2.3, 0.11), (2.3, 0.4), (3.6, 0.11), (3.6, 0.9), (2.3, 0.9)):
        centre = np.array([9.0, 9.0, 9.0])
        centre[axis] = height
        plane = plane_through(explicit, a, b, step=step, centre=centre)
        fresh = explicit.volume_function(0).draw(plane)
        np.testing.assert_allclose(function.draw(plane), fresh, rtol=0, atol=1e-6 * spread)


@pytest.mark.usefixtures("look_ups")
def test_a_code_that_comes_later_is_drawn(explicit):
    there: dict[int, torch.Tensor] = {}
    whole = explicit.volume_function(0)
    partial = explicit.volume_function(0)
    partial._code_of = there.get
    for down, across in (([0, 1, 0], [1, 0, 0]), ([0, 1, 0], [0, 0, 1]), (TURN[1], TURN[0])):
        there.clear()
        for number in range(6):
            partial.forget(number)
        plane = plane_through(explicit, down, across)
        assert np.abs(partial.draw(plane) - whole.draw(plane)).max() > 1e-3
        for number in range(6):
            there[number] = explicit.code(0, number)
            partial.forget(number)
        # where a table lies in memory changes how its positions are rounded
        wanted = whole.draw(plane)
        np.testing.assert_allclose(partial.draw(plane), wanted, rtol=0, atol=1e-4 * np.ptp(wanted))


@pytest.mark.usefixtures("look_ups")
def test_little_room_for_tables_makes_no_difference(explicit, monkeypatch):
    plane = plane_through(explicit, TURN[1], TURN[0], step=0.4)
    wanted = explicit.volume_function(0).draw(plane)
    monkeypatch.setattr(tiles, "MOST_TILES", 64)
    monkeypatch.setattr(tiles, "FIRST_TILES", 8)
    monkeypatch.setattr(tiles, "POINTS_AT_ONCE", 100)
    monkeypatch.setattr(planes, "KEPT_SLICES", 1)
    function = explicit.volume_function(0)
    np.testing.assert_allclose(function.draw(plane), wanted, rtol=0, atol=1e-4 * np.ptp(wanted))
    assert function._tiles._used <= 64


# ---- borders of patches ----------------------------------------------------------------------------


def test_functions_of_neighbouring_patches_meet():
    """Values and slopes on both sides of a border; before, they jump."""
    torch.manual_seed(0)
    basis = Basis(2, torch.tensor([1.9, 3.3, 4.8, 6.2, 7.3, 9.4]), torch.tensor([1.8, 3.4, 4.7, 6.3, 7.2, 9.5]))
    before = 0.1 * torch.randn(5, 13, 7, 13)
    after = meet(before, basis)
    step = 1e-3
    for turn in (False, True):
        along = torch.linspace(0.2, 8.7, 200, dtype=torch.float64)
        borders = torch.tensor([1.5, 3.5, 5.5, 7.5], dtype=torch.float64)
        found = []
        for code in (before, after):
            sides = []
            for offset in (-2 * step, -step, step, 2 * step):
                lines = [borders + offset, along]
                points = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1).reshape(-1, 2)
                sides.append(direct_sum(code, basis, points.flip(1) if turn else points).double())
            value = (2 * sides[2] - sides[3]) - (2 * sides[1] - sides[0])
            slope = ((sides[3] - sides[2]) - (sides[1] - sides[0])) / step
            found.append((float(value.abs().max()), float(slope.abs().max())))
        assert found[0][0] > 0.5 and found[0][1] > 1
        assert found[1][0] < 2e-3 * found[0][0]
        assert found[1][1] < 0.05 * found[0][1]  # differences of the slopes within a step remain


def test_meeting_changes_little_inside():
    torch.manual_seed(0)
    basis = Basis(2, torch.tensor([1.9, 3.3, 4.8, 6.2, 7.3, 9.4]), torch.tensor([1.9, 3.3, 4.8, 6.2, 7.3, 9.4]))
    smooth = torch.zeros(6, 13, 6, 13)
    smooth[:, 0, :, 0] = torch.rand(6, 6)
    changed = (rasterise(meet(smooth, basis), basis, *(torch.arange(0.5, 11, 2.0),) * 2) - smooth[:, 0, :, 0]).abs()
    assert float(changed.max()) < 0.25  # centres of patches, of jumps up to 1 around them
    torch.testing.assert_close(meet(meet(smooth, basis), basis), meet(smooth, basis), rtol=0, atol=1e-4)


def test_no_border_shows_at_eight_times(data_folder):
    """Second differences across borders of patches are no larger than those inside, with the shipped weights."""
    volume = inrsr.read(data_folder / "clinical01_t2.nii.gz")
    middle = volume.replace(data=volume.data[120:280, 120:300, 17:19])
    made = inrsr.fit("nexpr", [middle], settings={"check": False, "consistent": False})
    factor = 8
    rows, columns = (np.arange(160) + 0.5) / factor + 60 - 0.5, (np.arange(160) + 0.5) / factor + 60 - 0.5
    drawn = made.slice_function(0, 1).draw(rows, columns).astype(float)
    for image in (drawn, drawn.T):
        bend = np.abs(np.diff(image, 2, axis=0)).mean(axis=1)  # around lines 1 … 158
        # the last line before a border of two pixels, and the first after it
        at_border = np.isin(np.arange(1, 159) % (2 * factor), (0, 2 * factor - 1))
        assert bend[at_border].mean() < 1.25 * bend[~at_border].mean()
