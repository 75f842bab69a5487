from __future__ import annotations

import argparse
import json

import numpy as np
import pytest
from tinynetworks import blobs

from INRSuperResolutionLib import InputError, write
from INRSuperResolutionLib.benchmarks import (
    arbitrary,
    coordinate,
    cycleinr,
    inplane,
    multicontrast,
    nexpr,
    raster,
    variants,
)


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


def test_cycleinr_on_averaged_slices(tmp_path):
    """Told that a profile is Gaussian, not a boxcar, the spline gives other slices; gains are over the better baseline."""
    write(blobs((40, 44, 34)).replace(affine=np.eye(4)), tmp_path / "a.nii.gz")
    rows = list(cycleinr.averaged(tmp_path, {"a": 4}))
    assert [(r["profile"], r["method"], r["given"]) for r in rows] == [
        *(("boxcar", m, p) for m, p in (("linear", "none"), ("cubic", "none"), ("cycleinr", "boxcar"))),
        *(("gaussian", m, p) for m, p in (("linear", "none"), ("cubic", "none"), ("cycleinr", "boxcar"))),
        ("gaussian", "cycleinr", "gaussian"),
    ]
    for n in (0, 3):
        linear, cubic, restored = rows[n : n + 3]
        for figure in ("psnr", "ends"):
            best = max(linear[figure], cubic[figure])
            assert restored[f"{figure} gain"] == pytest.approx(restored[figure] - best)
    assert rows[-1]["psnr"] != pytest.approx(rows[-2]["psnr"], abs=1e-3)


def test_inplane(monkeypatch, capsys, tmp_path):
    write(blobs((48, 60, 20)), tmp_path / "a.nii.gz")
    monkeypatch.setattr(inplane, "CASES", ("a",))
    options = {"json": True, "data": str(tmp_path), "methods": ["linear"], "tables": None}
    inplane.benchmark_inplane(argparse.Namespace(**options))
    rows = json.loads(capsys.readouterr().out)["a"]
    assert [(r["factor"], r["method"]) for r in rows] == [(f, m) for f in "234" for m in ("sinc", "cubic", "linear")]
    by = {(r["factor"], r["method"]): r for r in rows}
    for factor in "234":
        zero_filling = by[factor, "sinc"]
        assert zero_filling["gain"] == 0
        assert all(r["gain"] == pytest.approx(r["psnr"] - zero_filling["psnr"]) for r in rows if r["factor"] == factor)
        # the blobs lose smooth detail alone, which zero filling and splines bring back better than straight lines
        assert by[factor, "linear"]["psnr"] < min(zero_filling["psnr"], by[factor, "cubic"]["psnr"])


def test_multicontrast(monkeypatch, capsys, tmp_path):
    for n, contrast in enumerate(multicontrast.CONTRASTS):
        write(blobs((40, 36, 32), seed=n), tmp_path / f"ms19_{contrast}.nii.gz")
    options = {"json": True, "data": str(tmp_path), "methods": ["nearest"], "tables": ["ms19"]}
    multicontrast.benchmark_multicontrast(argparse.Namespace(**options))
    rows = json.loads(capsys.readouterr().out)["ms19"]
    assert len(rows) == 2 * 3 * 2  # kinds of slices, methods with the base lines, contrasts
    by = {(r["slices"], r["contrast"], r["method"]): r for r in rows}
    for (slices, contrast, method), row in by.items():
        best = max(by[slices, contrast, m]["psnr"] for m in ("linear", "cubic"))
        assert row["gain"] == (None if method in ("linear", "cubic") else pytest.approx(row["psnr"] - best))
    for contrast in multicontrast.CONTRASTS:
        # interpolation keeps the samples it was given; the mean over its slices is not the measured mean
        assert by["point", contrast, "linear"]["agreement"] > 90 > by["averaged", contrast, "linear"]["agreement"]
    with pytest.raises(InputError, match="'other'"):
        multicontrast.benchmark_multicontrast(argparse.Namespace(**{**options, "tables": ["other"]}))


@pytest.fixture
def tiny_variants(monkeypatch, tmp_path):
    """Small volumes under the names that the variants are trained and measured on."""
    monkeypatch.setattr(variants, "VALIDATION_EXAMPLES", 2)
    for n, name in enumerate((*variants.TRAINING, *variants.VALIDATION, *variants.CASES)):
        write(blobs((72, 60, 20), seed=n), tmp_path / f"{name}.nii.gz")
    return {"json": True, "data": str(tmp_path), "tables": None, "output": None, "steps": 2}


def test_nexpr(monkeypatch, capsys, tiny_variants, tmp_path):
    for name, value in (("SIDE", 16), ("REPEATS", 1), ("FREQUENCIES", (2, 3)), ("PATCHES", (1, 2))):
        monkeypatch.setattr(nexpr, name, value)
    nexpr.benchmark_nexpr(argparse.Namespace(**{**tiny_variants, "output": str(tmp_path)}))
    tables = json.loads(capsys.readouterr().out)
    costs = {r["network"]: r for r in tables["cost"]}
    assert costs["nexpr (paper)"]["parameters"] == pytest.approx(1.59e6, rel=0.02)  # Table 5
    assert all(r["gflop"] > 0 and r["draw_4x_ms"] > 0 for r in costs.values())
    rows = [r for r in tables["frequencies"] if "frequencies" in r]
    assert [r["frequencies"] for r in rows] == [
        "2 learned",
        "3 learned",
        "2 fixed",
        "3 fixed",
        "paper's basis, 8 learned",
    ]
    assert all(r["at the start"] == r["at the end"] for r in rows if "fixed" in r["frequencies"])
    assert (tmp_path / "frequencies.png").stat().st_size > 3000
    assert [r["patch"] for r in tables["patch"]] == ["1", "2"]
    # nothing was learned in two steps: the networks start at the spline, which is a fair image
    assert all(20 < r["psnr ms19_t2"] < 60 for r in tables["patch"])


def test_coordinate(capsys, tiny_variants, tmp_path):
    coordinate.benchmark_coordinate(argparse.Namespace(**{**tiny_variants, "output": str(tmp_path)}))
    tables = json.loads(capsys.readouterr().out)
    bicubic = {(r["case"], r["scale"]): r for r in tables["quality"] if r["method"] == "bicubic"}
    assert len(tables["quality"]) == 2 * (3 * 3 + 3 + 2)  # EDSR's upsampler at 2× alone
    for case in variants.CASES:
        assert bicubic[case, 1.5]["vif"] > bicubic[case, 3.0]["vif"]
        assert bicubic[case, 1.5]["psnr"] > bicubic[case, 3.0]["psnr"]
    told = [r for r in tables["stopping"] if "method" in r]
    assert all(r["best_gain_db"] >= r["last_gain_db"] for r in told) and len(told) == 5
    assert (tmp_path / "stopping.png").stat().st_size > 3000


def test_help_names_all_benchmarks():
    from INRSuperResolutionLib.benchmarks import BENCHMARKS
    from INRSuperResolutionLib.cli.benchmark import NAMES

    assert tuple(BENCHMARKS) == NAMES
