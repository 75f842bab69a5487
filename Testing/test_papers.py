"""The tables of the papers: their arithmetic, and that each runs from a clone's data."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats
from tinynetworks import blobs, small

from INRSuperResolutionLib import Volume, write
from INRSuperResolutionLib.acquisition.degrade import degrade
from INRSuperResolutionLib.benchmarks import BENCHMARKS, anatomy
from INRSuperResolutionLib.benchmarks.papers import cycleinr as papers_cycleinr
from INRSuperResolutionLib.benchmarks.papers import equal, material, seco
from INRSuperResolutionLib.benchmarks.papers.cycleinr import VARIANTS, segmented
from INRSuperResolutionLib.benchmarks.papers.equal import Learner, train_equally
from INRSuperResolutionLib.benchmarks.papers.figures import means, of_slices, paired_p, spread
from INRSuperResolutionLib.cli import make_parser
from INRSuperResolutionLib.methods.pretrained.networks import ARCHITECTURES


def run(name: str, capsys, *arguments: object) -> dict[str, list[dict]]:
    """The tables of `inrsr benchmark`."""
    options = make_parser().parse_args(["benchmark", name, "--json", *map(str, arguments)])
    BENCHMARKS[name](options)
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def tiny(monkeypatch):
    """All networks in miniature."""
    tinies = {m: {"fast": small(m), "paper": small(m)} for m in ARCHITECTURES}
    monkeypatch.setattr(equal, "TRAINABLE", tinies)


@pytest.fixture(params=[1])
def sets(tmp_path, request):
    """Data sets of a user, isotropic; one unless told."""
    for n, name in enumerate(("a", "b")[: request.param]):
        for m, part in enumerate(("train", "test")):
            (tmp_path / "data" / name / part).mkdir(parents=True)
            volume = blobs((48, 48, 21), seed=10 * n + m).replace(affine=np.eye(4))
            write(volume, tmp_path / "data" / name / part / "v.nii.gz")
    return tmp_path / "data"


def test_figures_and_p():
    rows = [{"psnr": 30.0, "lpips": None}, {"psnr": 32.0, "lpips": None}]
    assert means(rows) == {"psnr": 31.0}
    assert spread([1.0, 3.0]) == pytest.approx(2**0.5)
    assert spread([1.0]) is None
    a, b = [1.0, 2.0, 4.0], [1.5, 2.0, 5.0]
    differences = np.array(b) - a
    t = differences.mean() / (differences.std(ddof=1) / 3**0.5)
    assert paired_p(a, b) == pytest.approx(2 * stats.t.sf(t, 2))
    assert paired_p([1.0, 2.0], [2.0, 3.0]) is None  # no spread, no test


@pytest.mark.parametrize("kind", ["kspace", "bicubic"])
def test_a_perfect_result_is_consistent(kind):
    truth = blobs((48, 36, 2))
    coarse = degrade(truth, kind, (2, 2, 1))
    (first, second) = of_slices(truth, truth, coarse, kind)
    assert first["psnr"] == second["psnr"] == float("inf")
    assert first["ssim"] == pytest.approx(1)
    assert first["consistency"] > 100
    assert of_slices(truth.replace(data=truth.data + 20), truth, coarse, kind)[0]["consistency"] < 40


@pytest.fixture
def head(monkeypatch):
    """A ball of white matter in a shell of grey matter in one of CSF, instead of the head that nilearn reads."""
    radius = np.sqrt(np.sum((np.indices((50, 50, 50)) - 24.5) ** 2, axis=0))
    borders = {"white": (0, 14), "grey": (14, 18), "csf": (18, 24)}
    share = {t: ((radius >= a) & (radius < b)).astype(np.float32) for t, (a, b) in borders.items()}
    t1 = 3 * share["white"] + 2 * share["grey"] + share["csf"]
    affine = np.diag([-1.0, 1, 1, 1])
    monkeypatch.setattr(anatomy, "_template", lambda: (affine, t1, share))


def test_the_heads_of_a_clone(head):
    plan = material.Plan(None, 32, 2, "fast", 1, None, 1, None)
    sets = material.data_sets(plan)
    assert [s.kind for s in sets] == ["kspace", "kspace", "bicubic"]
    for one in sets:
        (below,), (above,) = one.train, one.test
        apart = (above.affine[2, 3] - below.affine[2, 3]) / below.spacing[2] - below.shape[2]
        assert apart >= material.APART - 1  # no slice is learned from and measured
    case = next(seco.cases(plan, "t1", 1.5))
    assert case.truth.shape[:2] == (30, 30)
    assert case.coarse.shape[:2] == (20, 20)
    # grey matter is darker than white in a T1, and brighter than CSF: labels lie where the slice does
    t1, labels = case.truth.data, case.labels.data
    assert t1[labels == 1].mean() < t1[labels == 2].mean() < t1[labels == 3].mean()


def test_small_where_nothing_is_said(tmp_path):
    def plan(*arguments: object) -> material.Plan:
        return material.Plan.of(make_parser().parse_args(["benchmark", "paper3", *map(str, arguments)]))

    assert (plan().size, plan().steps, plan().seconds) == (96, 50, None)
    assert (plan("--data", tmp_path).size, plan("--data", tmp_path).steps) == (0, 1000)
    assert (plan("--steps", 7).steps, plan("--minutes", 2).seconds) == (7, 120)


def test_what_is_trained_alike(tiny, tmp_path):
    volumes = [blobs((40, 44, 6))]
    trained = [train_equally(Learner(m, m), volumes, 1, "fast", tmp_path) for m in ("liif", "edsr")]
    assert len({t.path for t in trained}) == 2
    assert {t.steps for t in trained} == {1}
    coarse = degrade(blobs((40, 44, 2)), "kspace", (2, 2, 1))
    for one in trained:
        assert one.restore(coarse, blobs((40, 44, 2))).shape == (40, 44, 2)
    own = train_equally(Learner("edsr", "edsr", steps=2), volumes, 1, "fast", tmp_path)
    assert own.steps == 2


def test_classes_are_those_of_the_brightness():
    data = np.repeat([0.0, 10.0, 20.0, 30.0], 250) + np.random.default_rng(0).normal(0, 0.5, 1000)
    found = segmented(Volume(data.reshape(10, 10, 10), np.eye(4), name="v")).data.ravel()
    assert (np.diff(found[[100, 350, 600, 850]]) > 0).all()
    assert np.mean(found == np.repeat([0, 1, 2, 3], 250)) > 0.95
    assert {v.settings["cycle_weight"] for v in VARIANTS.values()} == {0.0, 1.0}


def test_paper1(capsys, tmp_path):
    volume = blobs((40, 36, 5))
    write(volume, tmp_path / "a.nii.gz")
    write(volume.replace(data=(volume.data > 60).astype(np.float32)), tmp_path / "a_labels.nii.gz")
    tables = run("paper1", capsys, "--data", tmp_path, "--tables", "table2", "table5", "--methods", "siren", "seco",
                 "--minutes", 0.01, "--slices", 2, "--seeds", 2)  # fmt: skip
    assert [(r["factor"], r["method"]) for r in tables["table2"]] == [
        (f, m) for f in (1.5, 2, 2.5) for m in ("siren", "seco")
    ]
    assert all(r["slices"] == 2 and r["rmse"] > 0 and r["ended by"] for r in tables["table2"])
    assert [r["method"] for r in tables["table5"]] == ["without semantics", "seco"]
    assert all(r["psnr sd"] > 0 for r in tables["table5"])


def test_paper2(capsys, tmp_path):
    for contrast in ("t1", "t2"):
        write(blobs((24, 24, 24), seed=len(contrast)).replace(affine=np.eye(4)), tmp_path / f"s_{contrast}.nii.gz")
    rows = run("paper2", capsys, "--data", tmp_path, "--methods", "cubic", "joint", "--minutes", 0.01)["table1"]
    assert [r["method"] for r in rows] == ["cubic spline", "vanilla INR"]
    assert all({"psnr 1", "psnr 2", "ssim 1", "mi error 1", "mi error both"} <= set(r) for r in rows)


@pytest.mark.parametrize("sets", [2], indirect=True)
def test_paper3(capsys, tiny, sets):
    tables = run("paper3", capsys, "--data", sets, "--steps", 2, "--slices", 2, "--methods", "edsr", "nexpr", "--factors", 2,
                 "--tables", "table2", "table3", "table4")  # fmt: skip
    assert [r["method"] for r in tables["table2"]] == ["cubic", "edsr", "nexpr"] * 2
    assert {r["slices"] for r in tables["table3"]} == {4}
    assert all("p psnr" in r for r in tables["table3"] if r["method"] != "nexpr")
    mean = np.mean([r["psnr"] for r in tables["table2"] if r["method"] == "edsr"])
    assert next(r for r in tables["table3"] if r["method"] == "edsr")["psnr"] == pytest.approx(mean)
    assert {(r["learned from"], r["measured on"]) for r in tables["table4"]} == {("a", "b"), ("b", "a")}


def test_paper4(capsys, tiny, sets):
    pytest.importorskip("torchmetrics")
    rows = run("paper4", capsys, "--data", sets, "--steps", 1, "--conv-steps", 2, "--slices", 1)["table1"]
    assert len(rows) == 3 + 3 * 3 + 2
    assert {r["steps"] for r in rows if "edsr" in r["method"]} == {2}
    assert {r["steps"] for r in rows if "coordinate" in r["method"]} == {1}


def test_paper5(capsys, tiny, sets, monkeypatch):
    pytest.importorskip("pywt")
    monkeypatch.setattr(papers_cycleinr, "VARIANTS", dict(list(VARIANTS.items())[2:3]))
    tables = run("paper5", capsys, "--data", sets, "--steps", 1, "--seeds", 2, "--factors", 2, "--methods", "arssr")
    methods = [r["method"] for r in tables["table1"] if r["data"] == "a"]
    assert methods == ["truth", "cubic", "linear", "arssr"]
    assert [r["variant"] for r in tables["table2"]] == ["INR + CCL"]
    assert all(r["psnr sd"] >= 0 and r["steps"] == 1 for r in tables["table2"])
    assert all(0 < r["dice"] <= 1 for r in tables["table3"])


def test_cost_of_volumetric_networks(capsys, monkeypatch):
    monkeypatch.setattr(papers_cycleinr, "BLOCK", (8, 12, 12))
    rows = {r["method"]: r for r in run("paper5", capsys, "--tables", "cost")["cost"]}
    assert list(rows) == ["cycleinr", "arssr", "saint", "nexpr3d"]
    drawn = {m: r["flop to draw a point"] for m, r in rows.items()}
    assert drawn["nexpr3d"] < drawn["arssr"] / 100 < drawn["cycleinr"] / 100
    assert all(r["microseconds to draw a point"] > 0 for r in rows.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--preset", "best"), "'best'"), (("--data", "nowhere"), "nowhere"), (("--seeds", 0), "--seeds 0")],
)
def test_bad_options_are_refused(arguments, message, inrsr):
    done = inrsr("benchmark", "paper3", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
