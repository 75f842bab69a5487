"""Files that exist are replaced by complete new ones only, whoever writes them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from phantoms import leftovers, phantom

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib import InputError, write
from INRSuperResolutionLib.cli import main
from INRSuperResolutionLib.image import files
from INRSuperResolutionLib.methods.plain.interpolation import SplineRepresentation
from INRSuperResolutionLib.methods.pretrained.weights import load_weights, save_weights


def fails_halfway(monkeypatch, module, name, place: int):
    """Have a function write a few bytes into the file that it is given, and fail; returns what the old file held then."""
    target, seen = None, []

    def half(*arguments, **_):
        path = Path(arguments[place])
        path.write_bytes(b"half")
        seen.append(target.read_bytes())
        raise OSError(28, "No space left on device")

    def watch(path: Path):
        nonlocal target
        target = path
        path.write_bytes(b"old")
        monkeypatch.setattr(module, name, half)
        return seen

    return watch


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
def test_degrade(tmp_path, monkeypatch, capsys, name):
    (tmp_path / "in").mkdir()
    write(phantom((8, 8, 8), np.eye(4)), tmp_path / "in" / "x.nii.gz")
    output = tmp_path / name
    arguments = [
        "degrade",
        str(tmp_path / "in" / "x.nii.gz"),
        "--output",
        str(output),
        "--kind",
        "area",
        "--factor",
        "2",
    ]
    seen = fails_halfway(monkeypatch, files, "write", 1)(output)
    assert main(arguments) == 2
    assert "No space left" in capsys.readouterr().err
    assert seen == [b"old"]
    assert output.read_bytes() == b"old"
    monkeypatch.undo()
    assert main(arguments) == 0
    assert inrsr.read(output).shape == (8, 8, 4)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "in"])


def test_a_representation(tmp_path, monkeypatch):
    seen = fails_halfway(monkeypatch, safetensors.numpy, "save_file", 1)(tmp_path / "a.inr")
    made = SplineRepresentation([phantom((4, 5, 6))], 1)
    with pytest.raises(InputError, match="No space left"):
        made.save(tmp_path / "a.inr")
    assert seen == [b"old"]
    assert (tmp_path / "a.inr").read_bytes() == b"old"
    monkeypatch.undo()
    made.save(tmp_path / "a.inr")
    assert inrsr.load(tmp_path / "a.inr").contrasts[0].shape == (4, 5, 6)
    assert leftovers(tmp_path) == []


def test_a_representation_is_moved_and_not_copied_over(tmp_path):
    """Who has the old file open (a viewer that maps it) keeps the old one whole."""
    made = SplineRepresentation([phantom((4, 5, 6))], 1)
    made.save(tmp_path / "a.inr")
    with open(tmp_path / "a.inr", "rb") as held:
        before = os.fstat(held.fileno()).st_ino
        old = held.read()
        SplineRepresentation([phantom((7, 5, 6), seed=1)], 1).save(tmp_path / "a.inr")
        held.seek(0)
        assert held.read() == old
    assert (tmp_path / "a.inr").stat().st_ino != before


def test_weights(tmp_path, monkeypatch):
    seen = fails_halfway(monkeypatch, safetensors.torch, "save_file", 1)(tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="No space left"):
        save_weights(tmp_path / "w.safetensors", "nexpr", {}, {}, {"a": torch.ones(1)})
    assert seen == [b"old"]
    assert (tmp_path / "w.safetensors").read_bytes() == b"old"
    monkeypatch.undo()
    save_weights(tmp_path / "w.safetensors", "nexpr", {}, {}, {"a": torch.ones(1)})
    assert load_weights(str(tmp_path / "w.safetensors"), "nexpr").tensors["a"] == 1
    assert leftovers(tmp_path) == []
