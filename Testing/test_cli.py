"""The command line from outside: exit codes, one clear line, nothing half-written."""

from __future__ import annotations

import json
import os

import nibabel as nib
import numpy as np
import pytest
from phantoms import leftovers, oblique, phantom
from scipy import ndimage

from INRSuperResolutionLib import METHODS, Grid, Volume, read, write

SMALL_INR = [
    "--set",
    "width=64",
    "--set",
    "head_width=32",
    "--set",
    "batch=256",
    "--set",
    "epochs=60",
    "--set",
    "learning_rate=3e-3",
]
SHORT = {
    "multicontrast": ("--set", "steps=40", "--set", "crop=32"),
    "single-contrast": SMALL_INR,
    "joint": SMALL_INR,
}
SMALL_FIELD = ("--set", "volume_epochs=10")


@pytest.fixture
def scans(tmp_path):
    """Two contrasts of one phantom, thick along different axes."""
    a = phantom((24, 22, 6), np.diag([1.0, 1, 4, 1]), name="a")
    b = Volume(200 - 0.5 * phantom((6, 22, 24), np.diag([4.0, 1, 1, 1])).data, np.diag([4.0, 1, 1, 1]), name="b")
    write(a, tmp_path / "a.nii.gz")
    write(b, tmp_path / "b.nrrd")
    return [tmp_path / "a.nii.gz", tmp_path / "b.nrrd"]


def assert_refused(done, code, *words):
    lines = done.stderr.strip().splitlines()
    assert done.returncode == code, done.stderr
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0]


def test_methods_are_listed(inrsr):
    listed = json.loads(inrsr("methods", "--json").stdout)
    assert [m["name"] for m in listed] == list(METHODS)
    assert inrsr("methods").stdout.count("\n") == len(METHODS) + 1  # and auto


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_restores_what_it_takes(tmp_path, inrsr, scans, method):
    """Grids are those of the contract, values keep the inputs' scale, the saved function samples the same."""
    count = METHODS[method].max_inputs or 2
    scans = scans[:count]
    outputs = [tmp_path / "ünï a.nii.gz", tmp_path / "out b.nrrd"][:count]
    representation = tmp_path / "fit.inr"
    report = tmp_path / "r.json"
    done = inrsr(
        "upscale", method, *scans, "--output", *outputs, "--save-representation", representation,
        "--report", report, "--progress", "json", "--slice-profile", "none",
        *SHORT.get(method, SMALL_FIELD if METHODS[method].in_plane else ()),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "result"
    told = json.loads(report.read_text())
    # None: no finer in the plane; wavelets need a longer fit
    least = 10 if method == "wire" else 15
    assert told["consistency_db"][0] is None or told["consistency_db"][0] > least
    for path, output in zip(scans, outputs):
        source, result = read(path), read(output)
        np.testing.assert_allclose(result.affine, Grid.like(source).isotropic().affine, atol=1e-6)
        assert result.shape == Grid.like(source).isotropic().shape
        low, high = source.data.min(), source.data.max()
        span = high - low
        assert low - 0.5 * span < result.data.min() < result.data.max() < high + 0.5 * span
    again = [tmp_path / "again a.nii.gz", tmp_path / "again b.nrrd"][:count]
    assert inrsr("sample", representation, "--output", *again, "--progress", "none").returncode == 0
    for first, second in zip(outputs, again):
        np.testing.assert_allclose(read(second).data, read(first).data, rtol=0, atol=1e-5 * np.ptp(read(first).data))
    assert leftovers(tmp_path) == []


def test_like_spacing_and_scale(tmp_path, inrsr, scans):
    like = Volume(np.zeros((7, 8, 9)), oblique(), name="like")
    write(like, tmp_path / "like.nrrd")
    own = read(scans[0]).grid
    cases = [
        (("--like", tmp_path / "like.nrrd"), like.grid),
        (("--spacing", "0.7", "2", "1.3"), own.with_spacing((0.7, 2, 1.3))),
        (("--scale", "2.37"), own.scaled(2.37)),
    ]
    for arguments, grid in cases:
        out = tmp_path / "out.nrrd"
        assert inrsr("upscale", "linear", scans[0], "--output", out, *arguments, "--progress", "none").returncode == 0
        result = read(out)
        assert result.shape == grid.shape
        np.testing.assert_allclose(result.affine, grid.affine, rtol=0, atol=1e-9)


def test_bad_usage(tmp_path, inrsr, scans):
    out = ("--output", tmp_path / "o.nii.gz")
    assert_refused(inrsr(), 2, "COMMAND", "--help")
    assert_refused(inrsr("fly"), 2, "fly")
    assert_refused(inrsr("upscale", "magic", scans[0], *out), 2, "'magic'", "multicontrast")
    assert_refused(inrsr("upscale", "linear", scans[0], *out, "--preset", "slow"), 2, "'slow'", "fast")
    assert_refused(inrsr("upscale", "single-contrast", scans[0], *out, "--set", "width=wide"), 2, "'wide'", "int")
    assert_refused(inrsr("upscale", "single-contrast", scans[0], *out, "--set", "height=3"), 2, "'height'", "width")
    assert_refused(inrsr("upscale", "linear", scans[0], *out, "--set", "nonsense"), 2, "NAME=VALUE")
    assert_refused(inrsr("upscale", "multicontrast", scans[0], *out), 2, "at least 2")
    assert_refused(inrsr("upscale", "linear", *scans, *out), 2, "1 outputs for 2 inputs")
    assert_refused(inrsr("upscale", "linear", scans[0], "--output", scans[0]), 2, "would be overwritten")
    assert_refused(inrsr("upscale", "linear", scans[0], *out, "--spacing", "1", "--scale", "2"), 2, "not allowed")
    assert_refused(inrsr("upscale", "linear", scans[0], *out, "--spacing", "1", "2"), 2, "1 2")
    assert_refused(inrsr("upscale", "linear", scans[0], *out, "--spacing", "-1"), 2)
    assert_refused(inrsr("upscale", "linear", scans[0], "--output", tmp_path / "o.jpg"), 2, ".jpg", ".nii.gz")
    assert_refused(inrsr("upscale", "linear", scans[0], *out, "--save-representation", tmp_path / "o.pkl"), 2, ".inr")
    assert_refused(inrsr("benchmark", "everything"), 2, "everything")
    assert_refused(
        inrsr("degrade", scans[0], "--output", tmp_path / "o.nii.gz", "--kind", "area", "--factor", "99"), 2, "99"
    )
    assert_refused(inrsr("evaluate", scans[0], scans[1]), 2, "not on the grid")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nii.gz", "b.nrrd"]


def test_bad_inputs(tmp_path, inrsr, scans):
    def save(name, data):
        nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / name)
        return tmp_path / name

    def upscale(path, *more):
        return inrsr("upscale", "linear", path, "--output", tmp_path / "o.nii.gz", *more)

    assert_refused(upscale(tmp_path / "no.nii.gz"), 2, "no.nii.gz", "does not exist")
    (tmp_path / "cut.nii.gz").write_bytes(scans[0].read_bytes()[:700])
    assert_refused(upscale(tmp_path / "cut.nii.gz"), 2, "cut.nii.gz")
    assert_refused(upscale(save("4d.nii.gz", np.zeros((3, 3, 3, 2), np.float32))), 2, "4 axes")
    assert_refused(upscale(save("nan.nii.gz", np.full((3, 3, 3), np.nan, np.float32))), 2, "27", "NaN")
    assert_refused(upscale(scans[0], "--like", tmp_path / "no.nii.gz"), 2, "no.nii.gz")
    assert_refused(upscale(scans[0], "--spacing", "0.001"), 4, "GB", "coarser")
    assert_refused(upscale(scans[0], "--mask", tmp_path / "no.nii.gz"), 2, "no.nii.gz")
    assert_refused(inrsr("upscale", "linear", scans[0], "--output", tmp_path / "no" / "o.nii.gz"), 2, "does not exist")
    assert_refused(inrsr("sample", scans[0], "--output", tmp_path / "o.nii.gz"), 2, "no .inr file")
    assert not (tmp_path / "o.nii.gz").exists()
    assert leftovers(tmp_path) == []


def test_what_cannot_be_fitted_says_why(tmp_path, inrsr, scans):
    far = read(scans[1])
    shifted = far.affine.copy()
    shifted[:3, 3] += 1000
    write(far.replace(affine=shifted), tmp_path / "far.nii.gz")
    outputs = ("--output", tmp_path / "o1.nii.gz", tmp_path / "o2.nii.gz")
    done = inrsr("upscale", "multicontrast", scans[0], tmp_path / "far.nii.gz", *outputs)
    assert_refused(done, 2, "far.nii.gz", "overlap")
    write(far.replace(data=np.full(far.shape, 7.0)), tmp_path / "flat.nii.gz")
    done = inrsr("upscale", "multicontrast", scans[0], tmp_path / "flat.nii.gz", *outputs)
    assert_refused(done, 2, "flat.nii.gz", "constant")


def test_constant_volume_and_single_voxel_axes_interpolate(tmp_path, inrsr):
    for shape in ((5, 6, 1), (1, 6, 7), (1, 1, 1), (4, 4, 4)):
        write(Volume(np.full(shape, 7.0), oblique()), tmp_path / "a.nii.gz")
        for method in ("nearest", "linear", "cubic"):
            done = inrsr(
                "upscale",
                method,
                tmp_path / "a.nii.gz",
                "--output",
                tmp_path / "b.nii.gz",
                "--scale",
                "2",
                "--progress",
                "none",
            )
            assert done.returncode == 0, done.stderr
            np.testing.assert_allclose(read(tmp_path / "b.nii.gz").data, 7.0, rtol=1e-6)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere; the next test stands in")
def test_read_only_folder(tmp_path, inrsr, scans):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    assert_refused(inrsr("upscale", "linear", scans[0], "--output", folder / "o.nii.gz"), 2, "cannot write")


def test_a_place_that_takes_no_files(inrsr, scans):
    assert_refused(inrsr("upscale", "linear", scans[0], "--output", "/proc/o.nii.gz"), 2, "/proc")


def test_missing_device(tmp_path, inrsr, scans):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = inrsr("upscale", "single-contrast", scans[0], "--output", tmp_path / "o.nii.gz", "--device", "cuda")
    assert_refused(done, 5, "cuda", "--device cpu")


def test_existing_output_survives_a_failed_run(tmp_path, inrsr_process, scans):
    (tmp_path / "o.nii.gz").write_bytes(b"old")
    done = inrsr_process(
        "upscale", "linear", scans[0], tmp_path / "no.nii.gz", "--output", tmp_path / "o.nii.gz", tmp_path / "p.nii.gz"
    )
    assert_refused(done, 2)
    assert (tmp_path / "o.nii.gz").read_bytes() == b"old"


def test_same_seed_same_bits(tmp_path, inrsr_process, scans):
    outputs = []
    for run in ("1", "2"):
        out = [tmp_path / f"{run}a.nrrd", tmp_path / f"{run}b.nrrd"]
        done = inrsr_process(
            "upscale", "multicontrast", *scans, "--output", *out, "--seed", "3", *SHORT["multicontrast"]
        )
        assert done.returncode == 0, done.stderr
        outputs.append([read(p).data for p in out])
    for first, second in zip(*outputs):
        np.testing.assert_array_equal(first, second)


def test_degrade_and_evaluate(tmp_path, inrsr):
    write(phantom((24, 22, 20), np.eye(4)), tmp_path / "truth.nii.gz")
    assert (
        inrsr(
            "degrade",
            tmp_path / "truth.nii.gz",
            "--output",
            tmp_path / "low.nii.gz",
            "--kind",
            "interval",
            "--factor",
            "4",
        ).returncode
        == 0
    )
    assert read(tmp_path / "low.nii.gz").shape == (24, 22, 5)
    inrsr(
        "upscale",
        "cubic",
        tmp_path / "low.nii.gz",
        "--output",
        tmp_path / "up.nii.gz",
        "--like",
        tmp_path / "truth.nii.gz",
    )
    done = inrsr(
        "evaluate", tmp_path / "up.nii.gz", tmp_path / "truth.nii.gz", "--lowres", tmp_path / "low.nii.gz", "--json"
    )
    figures = json.loads(done.stdout)
    assert figures["clean"]["psnr"] > 20
    assert figures["consistency_db"] > 80  # point samples that a spline returns
    text = inrsr(
        "evaluate",
        tmp_path / "up.nii.gz",
        tmp_path / "truth.nii.gz",
        "--contrast",
        tmp_path / "up.nii.gz",
        tmp_path / "truth.nii.gz",
    ).stdout
    assert "PSNR" in text
    assert "MI error" in text


@pytest.fixture
def segmented(tmp_path):
    """A slice, and a label map of it on a finer grid with an offset of half a voxel."""
    rng = np.random.default_rng(0)
    fine = Grid((48, 40, 1), oblique((1.0, 1.0, 4.0)))
    i, j = np.meshgrid(np.arange(48), np.arange(40), indexing="ij")
    labels = 3 * ((i - 20) ** 2 + (j - 22) ** 2 < 160) + 4 * ((i - 22) ** 2 + (j - 18) ** 2 < 30)
    image = Volume((100.0 * labels + rng.normal(0, 3, labels.shape))[..., None], fine.affine, name="slice")
    write(image, tmp_path / "fine.nii.gz")
    affine = fine.affine.copy()
    affine[:3, 3] += affine[:3, 0] / 2
    write(Volume(labels[..., None], affine), tmp_path / "labels.nrrd")
    coarse = fine.scaled((0.5, 0.5, 1))
    blocks = image.data.reshape(24, 2, 20, 2, 1).mean(axis=(1, 3))
    write(Volume(blocks, coarse.affine), tmp_path / "slice.nii.gz")
    return tmp_path / "slice.nii.gz", tmp_path / "labels.nrrd", tmp_path / "fine.nii.gz"


def test_labels_in_and_out(tmp_path, inrsr, segmented):
    image, labels, fine = segmented
    outputs = [tmp_path / name for name in ("sr.nii.gz", "labels sr.nrrd", "shares.nii.gz", "fit.inr", "r.json")]
    done = inrsr(
        "upscale", "seco", image, "--labels", labels, "--like", fine, "--set", "epochs=20", "--progress", "none",
        "--output", outputs[0], "--labels-output", outputs[1], "--probabilities-output", outputs[2],
        "--save-representation", outputs[3], "--report", outputs[4],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = read(outputs[1])
    np.testing.assert_allclose(found.affine, read(fine).affine, atol=1e-5)
    assert set(np.unique(found.data)) <= {0, 3, 7}
    truth = read(fine).data / 100
    assert (np.abs(found.data - truth) < 0.5).mean() > 0.95
    shares = nib.load(outputs[2]).get_fdata()
    assert shares.shape == (48, 40, 1, 3)
    np.testing.assert_allclose(shares.sum(axis=-1), 1, atol=1e-4)
    np.testing.assert_array_equal(np.array([0, 3, 7])[shares.argmax(axis=-1)], found.data)
    assert json.loads(outputs[4].read_text())["labels"]["values"] == [0, 3, 7]
    again = tmp_path / "again.nrrd"
    done = inrsr("sample", outputs[3], "--labels-output", again, "--output", tmp_path / "b.nii.gz", "--like", fine)
    assert done.returncode == 0, done.stderr
    assert (read(again).data == found.data).mean() > 0.99
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("given", [["--labels", "auto"], []])
def test_classes_are_found_where_none_are_given(tmp_path, inrsr, segmented, given):
    done = inrsr(
        "upscale", "seco", segmented[0], *given, "--scale", 2, 2, 1, "--set", "epochs=2",
        "--output", tmp_path / "o.nii.gz", "--labels-output", tmp_path / "l.nii.gz", "--progress", "none",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(np.unique(read(tmp_path / "l.nii.gz").data)) > 1


def test_labels_that_do_not_fit_are_refused(tmp_path, inrsr, segmented):
    image, labels, _ = segmented
    output = ["--output", tmp_path / "o.nii.gz"]
    away = tmp_path / "away.nii.gz"
    shifted = read(labels).affine.copy()
    shifted[:3, 3] += 900
    write(read(labels).replace(affine=shifted), away)
    assert_refused(inrsr("upscale", "seco", image, "--labels", away, *output), 2, "no label but 0 lies in slice.nii.gz")
    assert_refused(inrsr("upscale", "seco", image, "--labels", image, *output), 2, "is no label")
    assert_refused(inrsr("upscale", "seco", image, "--labels", "nowhere.nrrd", *output), 2, "nowhere.nrrd")
    assert_refused(inrsr("upscale", "cubic", image, "--labels", labels, *output), 2, "cubic uses no labels")
    assert_refused(
        inrsr("upscale", "seco", image, "--set", "semantics=false", "--labels-output", tmp_path / "l.nrrd", *output),
        2, "without semantics",
    )  # fmt: skip
    assert_refused(
        inrsr("upscale", "seco", image, "--probabilities-output", tmp_path / "p.nrrd", *output), 2, "4D NIfTI"
    )
    assert_refused(inrsr("upscale", "seco", image, "--labels", labels, "--output", labels), 2, "would be overwritten")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["away.nii.gz", "fine.nii.gz", "labels.nrrd", "slice.nii.gz"]


def test_what_the_slices_are_taken_for_is_told(tmp_path, inrsr, scans):
    out, report = tmp_path / "o.nii.gz", tmp_path / "r.json"
    done = inrsr("upscale", "cubic", scans[0], "--output", out, "--slice-thickness", 3, "--report", report)
    assert done.returncode == 0, done.stderr
    assert "slices averaged over 3 mm (boxcar), 4 mm apart [told]" in done.stderr
    (slices,) = json.loads(report.read_text())["slices"]
    assert (slices["profile"], slices["thickness_mm"], slices["thickness_source"]) == ("boxcar", 3.0, "told")
    sharpened = read(out).data
    done = inrsr("upscale", "cubic", scans[0], "--output", out, "--report", report)
    assert "slices taken as points, 4 mm apart [default]" in done.stderr
    assert np.abs(read(out).data - sharpened).max() > 0.1
    done = inrsr("upscale", "cubic", scans[0], "--output", out, "--slice-profile", "estimate")
    assert "averaged over 4 mm (boxcar), 4 mm apart [spacing]; cannot tell from the image: there are too" in (
        done.stderr
    )
    for wrong in (("--slice-thickness", 3, 4), ("--slice-thickness", 3, "--slice-profile", "none")):
        assert_refused(inrsr("upscale", "cubic", scans[0], "--output", out, *wrong), 2, "slice thickness")


def test_agreement_with_slices_that_overlap(tmp_path, inrsr):
    """The result agrees with what slices of this thickness, in any axis of the file, would have measured."""
    rough = np.repeat(np.random.default_rng(0).random((10, 6, 5)), 2, axis=0)[1:-1] * 100
    write(Volume(ndimage.gaussian_filter1d(rough, 0.7, axis=0), np.diag([4.0, 1, 1, 1])), tmp_path / "thick.nii.gz")
    report = tmp_path / "r.json"
    figures = []
    for more in (("--slice-thickness", 4.8), ("--slice-profile", "none")):
        out = tmp_path / "o.nii.gz"
        # the finer the result, the better it tells the averages
        done = inrsr("upscale", "cubic", tmp_path / "thick.nii.gz", "--output", out, "--scale", 16, 1, 1, *more,
                     "--report", report)  # fmt: skip
        assert done.returncode == 0, done.stderr
        figures.append(json.loads(report.read_text())["consistency_db"][0])
        done = inrsr("evaluate", out, out, "--lowres", tmp_path / "thick.nii.gz", "--slice-profile", "boxcar",
                     "--slice-thickness", 4.8, "--json")  # fmt: skip
        assert done.returncode == 0, done.stderr
        figures.append(json.loads(done.stdout)["consistency_db"])
    assert figures[0] == pytest.approx(figures[1], abs=0.01)  # the report says the same as evaluate
    assert figures[0] > figures[3] + 10  # points alone do not agree
