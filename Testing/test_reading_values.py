"""Values keep what they are: whole numbers stop at their limits, labels keep type and number, no NaN leaves."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from phantoms import leftovers, phantom

from INRSuperResolutionLib import METHODS, Grid, InputError, Volume, fit, read, write
from INRSuperResolutionLib.evaluation.overlap import label_agreement
from INRSuperResolutionLib.fitting import mask_on
from INRSuperResolutionLib.image.labels import make_prior
from INRSuperResolutionLib.jobs.checks import check_finite
from INRSuperResolutionLib.json_text import json_text

# labels of the Allen mouse atlas, of FreeSurfer's aparc, and neighbours that float32 makes one
IDS = np.array([0, 614454277, 614454278, 12175, (1 << 24) + 1], np.int64)
INTEGERS = [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]


def save(path, data, affine=None):
    nib.save(nib.Nifti1Image(data, np.diag([1, 1, 3, 1]) if affine is None else affine, dtype=data.dtype), path)
    return path


def label_map(kind) -> np.ndarray:
    """Blocks of each label, with the numbers of IDS as far as the type holds them."""
    ids = [v for v in IDS if v <= (np.iinfo(kind).max if np.issubdtype(kind, np.integer) else 1 << 50)] + [1, 2]
    return np.array(ids)[np.arange(4 * 5 * 6).reshape(4, 5, 6) % len(ids)].astype(kind)


@pytest.mark.parametrize("kind", INTEGERS)
def test_whole_numbers_stop_at_the_limits_of_their_type(tmp_path, kind):
    limits = np.iinfo(kind)
    data = np.array([-1e30, -1e10, float(limits.min) * 1.01, -0.4, 0.6, float(limits.max) * 1.01, 1e10, 1e30])
    write(Volume(data.reshape(2, 2, 2), np.eye(4)), tmp_path / "a.nii", kind)
    got = np.asarray(nib.load(tmp_path / "a.nii").dataobj).ravel()
    assert got.dtype == kind
    expected = [min(max(round(float(np.float32(v))), limits.min), limits.max) for v in data]
    assert [int(v) for v in got] == expected


@pytest.mark.parametrize("name", ["b.nii", "b.nrrd", "b.mha"])
@pytest.mark.parametrize("kind", [*INTEGERS, np.float64])
def test_label_maps_keep_type_and_numbers_through_nearest(tmp_path, kind, name):
    data = label_map(kind)
    volume = read(save(tmp_path / "a.nii.gz", data))
    (result,) = fit("nearest", [volume]).sample(Grid.like(volume).scaled((1, 1, 3)))
    write(result, tmp_path / name)
    if name.endswith("nii"):
        got = np.asarray(nib.load(tmp_path / name).dataobj)
    else:
        got = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name))).T
    np.testing.assert_array_equal(got.astype(np.int64), np.repeat(data, 3, axis=2).astype(np.int64))
    # 64 bits are written as 32, which all programs take
    wanted = {np.int64: np.int32, np.uint64: np.int32}.get(kind, kind)
    assert got.dtype == (wanted if kind != np.float64 or volume.exact is not None else np.float32)


def test_exact_labels_survive_the_inr_file_and_an_oblique_grid(tmp_path, inrsr):
    data = label_map(np.uint32)
    save(tmp_path / "a.nii.gz", data)
    done = inrsr(
        "upscale",
        "nearest",
        "a.nii.gz",
        "--output",
        "b.nii",
        "--save-representation",
        "c.inr",
        "--spacing",
        "1",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "b.nii").dataobj), np.repeat(data, 3, axis=2))
    turned = Grid((4, 5, 6), phantom(shape=(4, 5, 6)).affine)
    write(Volume(np.zeros((4, 5, 6)), turned.affine), tmp_path / "like.nii")
    done = inrsr("sample", "c.inr", "--output", "d.nii", "--like", "like.nii", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(np.unique(np.asarray(nib.load(tmp_path / "d.nii").dataobj))) <= set(np.unique(data))


def test_labels_that_guide_keep_their_numbers():
    affine = np.diag([1, 1, 3, 1])
    data = np.zeros((8, 8, 4), np.int64)
    data[2:6, 2:6, :2], data[2:6, 2:6, 2:] = IDS[1], IDS[2]
    image = Volume(data > 0, affine, name="image")
    for grid_shift in (0.0, 0.25):  # on the image's grid, and beside it
        shifted = affine.astype(float)
        shifted[0, 3] = grid_shift
        labels = Volume(data, shifted, exact=data)
        prior = make_prior([labels], image)
        assert prior.values == (0, IDS[1], IDS[2])
        assert prior.probabilities[1, 3, 3, 0] == 1 and prior.probabilities[2, 3, 3, 3] == 1


def test_seco_writes_the_numbers_it_was_given(tmp_path, inrsr):
    rng = np.random.default_rng(0)
    data = np.zeros((24, 20, 1), np.uint32)
    data[5:18, 4:12], data[8:14, 6:10] = IDS[1], IDS[2]
    save(tmp_path / "labels.nii.gz", data)
    save(
        tmp_path / "image.nii.gz",
        ((data > 0) * 400 + (data == IDS[2]) * 300 + rng.normal(0, 5, data.shape)).astype(np.float32),
    )
    done = inrsr("upscale", "seco", "image.nii.gz", "--labels", "labels.nii.gz", "--labels-output", "out.nii.gz", "--scale", "2",
                 "2", "1", "--preset", "fast", "--threads", "1", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    got = np.asarray(nib.load(tmp_path / "out.nii.gz").dataobj)
    assert set(np.unique(got)) == {0, IDS[1], IDS[2]}
    assert (got[18:26, 14:18] == IDS[2]).mean() > 0.9


def test_agreement_of_labels_that_float32_makes_one(tmp_path, inrsr):
    reference, result = np.zeros((2, 8, 8, 8), np.uint32)
    reference[1:7, 1:7, 1:4], reference[1:7, 1:7, 4:7] = IDS[1], IDS[2]
    result[...] = reference
    result[reference == IDS[2]] = IDS[1]
    maps = [Volume(d, np.eye(4), exact=d) for d in (result, reference)]
    found = label_agreement(*maps, tolerance=1)
    assert found[int(IDS[1])]["dice"] == pytest.approx(2 * 108 / (216 + 108)) and found[int(IDS[2])]["dice"] == 0
    for name, data in (("a", result), ("b", reference)):
        save(tmp_path / f"{name}.nii", data)
    save(tmp_path / "image.nii", (reference > 0).astype(np.float32))
    done = inrsr("evaluate", "image.nii", "image.nii", "--labels", "a.nii", "b.nii", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout, parse_constant=pytest.fail)  # NaN and Infinity are no JSON
    assert told["labels"][str(IDS[1])]["dice"] == found[int(IDS[1])]["dice"]
    assert told["clean"]["psnr"] is None and told["clean"]["ssim"] is None  # infinite, and too small an image


def test_json_has_no_nan():
    text = json_text({"a": [float("nan"), 1.5, (float("inf"), {"b": float("-inf")})], "c": "NaN"})
    assert json.loads(text) == {"a": [None, 1.5, [None, {"b": None}]], "c": "NaN"}


@pytest.mark.parametrize("level", [1e-30, 1e20])
@pytest.mark.parametrize("method", ["nearest", "linear", "cubic", "sinc"])
def test_tiny_and_huge_intensities_are_as_any_others(method, level):
    volume = phantom()
    grid = Grid.like(volume).scaled((2, 1, 2))
    plain = fit(method, [volume]).sample(grid)[0].data
    scaled = fit(method, [volume.replace(data=volume.data.astype(np.float64) * level)]).sample(grid)[0].data
    np.testing.assert_allclose(scaled.astype(np.float64) / level, plain, rtol=0, atol=1e-4 * np.ptp(plain))


@pytest.mark.parametrize("level", [1e-30, 1e20])
def test_tiny_and_huge_intensities_through_the_command_line(tmp_path, inrsr, level):
    data = phantom().data * np.float32(level)
    save(tmp_path / "a.nii", data)
    done = inrsr(
        "upscale", "cubic", "a.nii", "--output", "b.nii", "--scale", "1", "1", "2", "--report", "r.json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text(), parse_constant=pytest.fail)
    assert report["consistency_db"][0] > 20
    done = inrsr("upscale", "siren", "a.nii", "--output", "c.nii", "--scale", "1", "1", "2", cwd=tmp_path)
    assert done.returncode == 2 and "Multiply them by a power of ten" in done.stderr
    assert not (tmp_path / "c.nii").exists()


def test_no_nan_is_written(tmp_path, inrsr):
    good = phantom()
    check_finite([good])
    check_finite([good.replace(data=good.data * 1e35)])
    bad = good.data.copy()
    bad[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="1 voxels that are NaN"):
        check_finite([good, good.replace(data=bad)])
    with pytest.raises(InputError, match="probabilities"):
        check_finite([good], np.full((2, 3, 3, 3), np.inf, np.float32))
    write(good, tmp_path / "a.nii")
    arguments = [
        "upscale",
        "siren",
        "a.nii",
        "--output",
        "b.nii",
        "--scale",
        "1",
        "1",
        "2",
        "--set",
        "learning_rate=1e30",
    ]
    done = inrsr(*arguments, "--max-seconds", "5", "--threads", "1", cwd=tmp_path)
    if done.returncode == 0:  # a fit may notice by itself, and keep what it had
        assert np.isfinite(read(tmp_path / "b.nii").data).all()
    else:
        assert done.returncode == 2 and not (tmp_path / "b.nii").exists() and not leftovers(tmp_path), done.stderr


@pytest.mark.parametrize("method", METHODS)
def test_a_mask_is_used_or_refused(tmp_path, method):
    volume = phantom(shape=(8, 8, 4))
    mask = Volume(np.ones((8, 8, 4)), volume.affine, name="mask")
    if METHODS[method].takes_mask:
        far = volume.affine.copy()
        far[:3, 3] += 500
        with pytest.raises(InputError, match="the mask mask misses phantom"):
            fit(method, [volume] * max(1, METHODS[method].min_inputs), mask=mask.replace(affine=far))
        with pytest.raises(InputError, match="is empty"):
            fit(method, [volume] * max(1, METHODS[method].min_inputs), mask=mask.replace(data=mask.data * 0))
    else:
        with pytest.raises(InputError, match="uses no mask"):
            fit(method, [volume], mask=mask)


def test_a_full_mask_ends_at_its_own_border():
    """It used to be taken as full everywhere, because the lowest value of a volume fills what lies outside."""
    from INRSuperResolutionLib.image.interpolate import resample

    volume = phantom(shape=(12, 8, 4))
    part = mask_on(Volume(np.ones((6, 8, 4)), volume.affine), [volume])
    seen = resample(part, volume.grid, 0).data
    assert seen[:6].all() and not seen[6:].any()


def test_warnings_of_the_reader_reach_the_user(tmp_path, inrsr):
    image = nib.Nifti1Image(phantom().data, None)
    image.set_sform(np.diag([1, 1, 3, 1]), 1)
    image.set_qform(np.diag([2, 2, 3, 1]), 1)
    nib.save(image, tmp_path / "a.nii")
    done = inrsr("upscale", "linear", "a.nii", "--output", "b.nii", "--scale", "1", "--progress", "json", cwd=tmp_path)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert any(e["event"] == "warning" and "sform and qform differ" in e["message"] for e in events)
    done = inrsr("degrade", "a.nii", "--kind", "area", "--factor", "2", "--output", "c.nii", cwd=tmp_path)
    assert "sform and qform differ" in done.stderr
