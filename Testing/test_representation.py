from __future__ import annotations

import json

import numpy as np
import pytest
from phantoms import leftovers, oblique, phantom
from safetensors.numpy import save_file

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib import Grid, InputError, Volume
from INRSuperResolutionLib.methods.plain.interpolation import SplineRepresentation


def test_tiles_make_no_difference(monkeypatch):
    volumes = [phantom((14, 15, 6), name="a"), phantom((9, 8, 12), oblique(left_handed=True), seed=1, name="b")]
    representation = SplineRepresentation(volumes, 3)
    grid = volumes[0].grid.scaled((1.3, 2, 4))
    whole = representation.sample(grid)
    monkeypatch.setattr(SplineRepresentation, "tile_voxels", 500)
    for first, second in zip(whole, representation.sample(grid)):
        np.testing.assert_allclose(second.data, first.data, rtol=0, atol=1e-4)


def test_a_grid_for_each_contrast():
    volumes = [phantom((5, 6, 7)), phantom((5, 6, 7), seed=1)]
    representation = SplineRepresentation(volumes, 1)
    grids = [volumes[0].grid, volumes[1].grid.scaled(2)]
    assert [r.shape for r in representation.sample(grids)] == [(5, 6, 7), (10, 12, 14)]
    with pytest.raises(InputError, match="3 grids for 2 contrasts"):
        representation.sample([*grids, grids[0]])


def test_uneven_slices_survive_the_file(tmp_path):
    volume = Volume(
        np.random.default_rng(0).random((4, 5, 3)), oblique(), np.array([0, 1, 3.5]), np.array([4.0, 4, 7]), np.dtype(np.int16), "ct"
    )  # fmt: skip
    SplineRepresentation([volume], 1).save(tmp_path / "a.inr")
    again = inrsr.load(tmp_path / "a.inr")
    grid = volume.grid.isotropic()
    np.testing.assert_array_equal(again.sample(grid)[0].data, SplineRepresentation([volume], 1).sample(grid)[0].data)
    assert again.contrasts[0].dtype == "int16"
    assert leftovers(tmp_path) == []


def test_foreign_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "a.inr"
    with pytest.raises(InputError, match="does not exist"):
        inrsr.load(path)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(InputError, match=r"no \.inr file"):
        inrsr.load(path)
    save_file({"x": np.zeros(3)}, path)
    with pytest.raises(InputError, match="format None"):
        inrsr.load(path)
    SplineRepresentation([phantom((3, 3, 3))], 1).save(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged"):
        inrsr.load(path)
    metadata = {"format": "inrsr-representation/3", "kind": "future", "contrasts": [], "config": {}, "provenance": {}}
    save_file({"x": np.zeros(3)}, path, {"inrsr": json.dumps(metadata)})
    with pytest.raises(InputError, match="'future'"):
        inrsr.load(path)
    with pytest.raises(InputError, match=r"ends in \.inr"):
        SplineRepresentation([phantom((3, 3, 3))], 1).save(tmp_path / "a.pkl")


def test_halves_of_characters_in_the_header_can_be_printed(tmp_path):
    made = SplineRepresentation([phantom((3, 3, 3))], 1)
    made.provenance["method"] = "half a \ud800"
    made.save(tmp_path / "a.inr")
    assert inrsr.load(tmp_path / "a.inr").provenance["method"].encode() == b"half a ?"


def test_provenance_tells_how_it_was_made():
    made = inrsr.fit("linear", [phantom()], seed=5).provenance
    assert (made["method"], made["seed"], made["version"]) == ("linear", 5, inrsr.__version__)


def test_even_grid_of_uneven_slices_covers_them():
    volume = Volume(np.zeros((2, 2, 3)), np.eye(4), np.array([0, 1, 3.0]))
    # edges: half a step before the first slice, half of the last step after the last one
    grid = Grid.like(volume)
    assert grid.shape == (2, 2, 4)
    np.testing.assert_allclose(grid.affine[2, 3], 0.0)
