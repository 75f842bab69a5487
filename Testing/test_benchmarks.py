from __future__ import annotations

import argparse
import json

import numpy as np
import pytest
from tinynetworks import blobs

from INRSuperResolutionLib import InputError, write
from INRSuperResolutionLib.benchmarks import arbitrary, cycleinr, raster


def test_raster(monkeypatch, capsys):
    for name, value in (("SIDE", 24), ("DRAWN", 48), ("ROUNDS", 2), ("LIIF_POINTS", 64)):
        monkeypatch.setattr(raster, name, value)
    raster.benchmark_raster(argparse.Namespace(json=True))
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert all(r["milliseconds"] > 0 for r in rows)
    assert rows[0]["times_bicubic"] == 1


def test_arbitrary(monkeypatch, capsys, tmp_path):
    for name in arbitrary.CASES:
        write(blobs((48, 72, 20)), tmp_path / f"{name}.nii.gz")
    monkeypatch.setattr(arbitrary, "METHODS", ("cubic", "sinc"))
    monkeypatch.setattr(arbitrary, "SCALES", [2.0, 3.0, 4.0])
    arbitrary.benchmark_arbitrary(argparse.Namespace(json=True, data=str(tmp_path)))
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 2 * 2 * 3
    # zero filling only adds to k-space: cut again it is the input, but for half of the highest frequency
    assert all(r["consistency"] > 30 for r in rows if r["method"] == "sinc")
    monkeypatch.chdir(tmp_path)
    arbitrary.benchmark_arbitrary(argparse.Namespace(json=False, data=str(tmp_path)))
    assert {"arbitrary.csv", "arbitrary.png"} <= {p.name for p in tmp_path.iterdir()}


def test_cycleinr(monkeypatch, capsys, tmp_path):
    for case in ("a", "b"):
        write(blobs((40, 44, 31)).replace(affine=np.eye(4)), tmp_path / f"{case}.nii.gz")
    monkeypatch.setattr(cycleinr, "CASES", ("a", "b"))
    options = {"json": True, "data": str(tmp_path), "methods": ["linear", "nearest"], "tables": ["quality"]}
    cycleinr.benchmark_cycleinr(argparse.Namespace(**options))
    rows = json.loads(capsys.readouterr().out)["quality"]
    assert len(rows) == 2 * 3 * 3  # the truth, and two methods
    by = {(r["case"], r["factor"], r["method"]): r.get("psnr") for r in rows}
    for case in ("a", "b"):
        assert by[case, 2, "linear"] > by[case, 3, "linear"] > by[case, 5, "linear"]
        assert all(by[case, f, "linear"] > by[case, f, "nearest"] for f in (2, 3, 5))
    options = {**options, "json": False, "tables": ["picture"], "output": str(tmp_path)}
    cycleinr.benchmark_cycleinr(argparse.Namespace(**options))
    assert (tmp_path / "cycleinr.png").stat().st_size > 3000
    with pytest.raises(InputError, match="'other'"):
        cycleinr.benchmark_cycleinr(argparse.Namespace(**{**options, "tables": ["other"]}))
