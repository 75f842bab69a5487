from __future__ import annotations

import argparse
import json

from tinynetworks import blobs

from INRSuperResolutionLib import write
from INRSuperResolutionLib.benchmarks import arbitrary, raster


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
