"""What a result says of itself: what the method added, how far off it may be, and which method suits a scan."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from scipy import ndimage

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib import Volume
from INRSuperResolutionLib.benchmarks.single import with_thick_slices
from INRSuperResolutionLib.cli import main
from INRSuperResolutionLib.errors import Cancelled, InputError
from INRSuperResolutionLib.evaluation.agreement import spline_through_profile
from INRSuperResolutionLib.evaluation.ensemble import Ensemble, mirror
from INRSuperResolutionLib.evaluation.uncertainty import half_width, in_strata, slice_place
from INRSuperResolutionLib.image.grid import Grid
from INRSuperResolutionLib.jobs.job import Job
from INRSuperResolutionLib.progress import Progress


def texture(shape=(48, 50, 40)) -> Volume:
    """Blobs of several sizes on a bright ground: alike along all axes."""
    rng = np.random.default_rng(2)
    data = 100 + sum(60 * s * ndimage.gaussian_filter(rng.standard_normal(shape), s) for s in (1.0, 1.5, 2.5))
    return Volume(data, np.diag([1.0, 1.0, 1.0, 1.0]), name="texture")


@pytest.fixture(scope="module")
def thick():
    return with_thick_slices(texture(), 4, "boxcar")


def test_what_is_added_to_the_spline_through_the_profile(thick, tmp_path):
    _, scan = thick
    inrsr.write(scan, tmp_path / "in.nii.gz")
    out, added = tmp_path / "out.nii.gz", tmp_path / "added.nii.gz"
    assert main(["upscale", "linear", str(tmp_path / "in.nii.gz"), "--output", str(out), "--added", str(added),
                 "--slice-profile", "boxcar", "--progress", "none"]) == 0  # fmt: skip
    result, found = inrsr.read(out), inrsr.read(added)
    spline = inrsr.fit("cubic", [scan], slice_profile="boxcar").sample(result.grid)[0]
    np.testing.assert_allclose(found.data, result.data - spline.data, atol=1e-3)
    np.testing.assert_array_equal(found.affine, result.affine)
    assert np.abs(found.data).max() > 1


def test_the_interval_covers_what_it_says_and_grows_where_nothing_was_measured(thick):
    truth, scan = thick
    made = inrsr.fit("cubic", [scan], slice_profile="boxcar")
    result = made.sample(truth.grid)[0]
    spline = spline_through_profile(scan, made.provenance, 0, truth.grid)
    width = half_width(made, scan, 0, result, spline).data
    inside = slice(2, -2)
    covered = (np.abs(result.data - truth.data) <= width)[:, :, inside].mean()
    assert 0.85 <= covered <= 0.99
    assert (width > 0).all()
    centre = scan.shape[2] // 2 * 4 + 1.5  # of a slice
    on, between = (
        width[:, :, int(centre) : int(centre) + 2].mean(),
        width[:, :, int(centre) + 2 : int(centre) + 3].mean(),
    )
    assert between > on
    assert width[:, :, 0].mean() > width[:, :, 2].mean()  # beyond the first slice centre


def test_edges_are_scaled_by_themselves():
    """Foreseen large errors with a longer tail: one scale for all would cover too little of them."""
    rng = np.random.default_rng(0)
    foreseen = np.exp(rng.normal(0, 1, (2, 20000)))
    tail = np.where(foreseen > 2, 3.0, 1.0)
    errors = foreseen * tail * np.abs(rng.standard_normal(foreseen.shape))
    middles, scales = in_strata(foreseen[0], errors[0])
    assert (np.diff(middles) > 0).all() and scales[-1] > 2 * scales[0]
    width = foreseen[1] * np.interp(np.log(foreseen[1]), np.log(middles), scales)
    edges = foreseen[1] > 3
    assert (errors[1] <= width)[edges].mean() == pytest.approx(0.9, abs=0.03)
    one = foreseen[1] * np.quantile(errors[0] / foreseen[0], 0.9)
    assert (errors[1] <= one)[edges].mean() < 0.8
    few = in_strata(foreseen[0, :30], errors[0, :30])
    assert [len(f) for f in few] == [1, 1]


@pytest.mark.parametrize("thick_axis", [0, 1, 2])
def test_a_mirror_image_stays_where_it_is(thick_axis):
    affine = np.array([[0, -1.0, 0.2, 3], [1.0, 0, 0, -7], [0, 0.2, 1.0, 5], [0, 0, 0, 1]])
    affine[:3, thick_axis] *= 3
    scan = Volume(np.random.default_rng(0).random((9, 8, 7)), affine)
    turned = mirror(scan)
    assert not np.array_equal(turned.data, scan.data)
    grid = scan.grid.with_spacing(1.0)
    first, second = (inrsr.fit("cubic", [v]).sample(grid)[0].data for v in (scan, turned))
    np.testing.assert_allclose(first, second, atol=1e-5)
    np.testing.assert_array_equal(mirror(turned).data, scan.data)


@pytest.mark.parametrize(("method", "settings"), [("siren", {"epochs": 1, "volume_epochs": 1}), ("arssr", {})])
def test_a_method_alone_disagrees_with_its_mirror_image(thick, method, settings):
    _, scan = thick
    scan = scan.replace(data=scan.data[:20, :18])
    made = inrsr.fit(method, [scan], slice_profile="boxcar", settings=settings)
    ensemble = Ensemble(made, scan)
    grid = scan.grid
    apart = ensemble.disagreement(grid, 0)
    first, second = (m.sample(grid, 0) for m in ensemble.members)
    np.testing.assert_allclose(apart, np.abs(first - second) / 2, atol=1e-4)
    assert apart.mean() > 1e-3
    # the result itself is the method's, as it was
    np.testing.assert_array_equal(ensemble.mixed(np.stack([first, second])), made.sample(grid)[0].data)


def test_the_second_fit_can_be_cancelled(thick):
    _, scan = thick
    made = inrsr.fit("siren", [scan], settings={"epochs": 1, "volume_epochs": 1})
    stopped = Progress(is_cancelled=lambda: True)
    with pytest.raises(Cancelled):
        Ensemble(made, scan, stopped)


def test_interpolation_has_nothing_to_disagree_with(thick):
    _, scan = thick
    for method in ("linear", "cubic", "sinc"):
        assert Ensemble(inrsr.fit(method, [scan]), scan).disagreement(scan.grid, 0) is None


def test_scans_that_guide_each_other_get_an_interval_each(thick, tmp_path):
    _, scan = thick
    other = scan.replace(data=200 - scan.data)
    for name, volume in (("a", scan), ("b", other)):
        inrsr.write(volume, tmp_path / f"{name}.nii.gz")
    files = {k: [str(tmp_path / f"{k}-{n}.nii.gz") for n in "ab"] for k in ("out", "width", "added")}
    assert main(["upscale", "self-supervised", str(tmp_path / "a.nii.gz"), str(tmp_path / "b.nii.gz"), "--set", "steps=2",
                 "--output", *files["out"], "--uncertainty", *files["width"], "--added", *files["added"],
                 "--progress", "none"]) == 0  # fmt: skip
    for path in files["width"]:
        width = inrsr.read(path)
        assert (width.data > 0).all() and np.isfinite(width.data).all()


def test_too_few_slices_give_an_interval_all_the_same():
    scan = Volume(np.random.default_rng(0).random((9, 8, 3)), np.diag([1, 1, 4, 1.0]))
    made = inrsr.fit("linear", [scan])
    grid = scan.grid.with_spacing(1.0)
    result = made.sample(grid)[0]
    width = half_width(made, scan, 0, result, spline_through_profile(scan, made.provenance, 0, grid)).data
    assert np.isfinite(width).all() and width.shape == grid.shape


def test_places_along_the_slices():
    scan = Volume(np.zeros((4, 5, 6)), np.diag([1, 1, 4, 1.0]))
    turned = np.array([[0, 0, 1.0, 0], [1.0, 0, 0, 0], [0, 1.0, 0, 2], [0, 0, 0, 1]])  # its second axis runs along z
    place = np.broadcast_to(slice_place(Grid((3, 4, 5), turned), scan, 2), (3, 4, 5))
    np.testing.assert_allclose(place[0, :, 0], (2 + np.arange(4)) / 4)


@pytest.mark.parametrize("name", ["added", "uncertainty"])
def test_maps_that_have_no_result_are_refused(name):
    with pytest.raises(InputError, match=name):
        Job("upscale", ["a.nii.gz"], ["b.nii.gz"], method="linear", **{name: ["c.nii.gz", "d.nii.gz"]})
    with pytest.raises(InputError, match="same file"):
        Job("upscale", ["a.nii.gz"], ["b.nii.gz"], method="linear", **{name: ["b.nii.gz"]})
    with pytest.raises(InputError, match="DICOM"):
        Job("upscale", ["a.nii.gz"], ["b.nii.gz"], method="linear", **{name: ["c.dcm"]})


def test_simulate_ranks_methods_on_the_scan_itself(thick, tmp_path, capsys):
    _, scan = thick
    inrsr.write(scan, tmp_path / "in.nii.gz")
    arguments = ["simulate", str(tmp_path / "in.nii.gz"), "--methods", "nearest", "cubic", "--json"]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [r["method"] for r in rows] == ["cubic", "nearest"] and rows[0]["psnr_db"] > rows[1]["psnr_db"]
    with (tmp_path / "out" / "scores.csv").open() as file:
        assert [r["rank"] for r in csv.DictReader(file)] == ["1", "2"]
    assert (tmp_path / "out" / "1-in.png").stat().st_size > 1000
    assert main(["simulate", str(tmp_path / "in.nii.gz"), "--methods", "nosuch"]) == 2
    inrsr.write(Volume(np.random.default_rng(0).random((9, 8, 3)), np.diag([1, 1, 4, 1.0])), tmp_path / "tiny.nii.gz")
    assert main(["simulate", str(tmp_path / "tiny.nii.gz"), "--methods", "cubic"]) == 2
