"""What the user chooses must make a difference: the mask, the seed, which contrast is which."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import oblique, phantom

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib import METHODS, Volume, read, write
from INRSuperResolutionLib.jobs.job import Job
from INRSuperResolutionLib.jobs.run import run_job
from INRSuperResolutionLib.methods.multicontrast.inr import training_voxels
from INRSuperResolutionLib.progress import Progress

INR = {"width": 16, "head_width": 8, "shared_layers": 2, "frequencies": 8, "batch": 200, "epochs": 2}
FIELD = {"width": 16, "epochs": 2, "volume_epochs": 1}
QUICK = {
    "multicontrast": {"steps": 6, "warmup": 1, "crop": 12, "width": 8, "depth": 2},
    "single-contrast": INR,
    "joint": INR,
    **dict.fromkeys((name for name, m in METHODS.items() if m.in_plane), FIELD),
    "seco": {**FIELD, "class_width": 8, "class_epochs": 1},
}
MASKED = [name for name in QUICK if not METHODS[name].in_plane]


def textured(shape, affine, seed) -> Volume:
    rng = np.random.default_rng(seed)
    return Volume(phantom(shape, affine).data + 30 * rng.random(shape), affine, name=f"texture {seed}")


@pytest.fixture(scope="module")
def pair():
    """Two contrasts, thick along different axes."""
    return [textured((16, 14, 5), np.diag([1, 1, 4, 1.0]), 0), textured((5, 14, 16), np.diag([4, 1, 1, 1.0]), 1)]


def values(method, pair, **options) -> np.ndarray:
    volumes = pair[: METHODS[method].max_inputs or 2]
    # finding classes takes longer than the fit
    labels = volumes[0].replace(data=volumes[0].data > 80) if METHODS[method].takes_labels else None
    made = inrsr.fit(method, volumes, settings=QUICK[method], labels=labels, **options)
    return made.sample(volumes[0].grid.isotropic())[0].data


@pytest.mark.parametrize("method", list(QUICK))
def test_another_seed_gives_another_result_and_the_same_seed_the_same(method, pair):
    first, again, other = (values(method, pair, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(again, first)
    assert np.abs(other - first).max() > 1e-4 * np.ptp(first)


@pytest.mark.parametrize("method", MASKED)
def test_the_mask_counts(method, pair):
    left = np.zeros(pair[0].shape)
    left[:7] = 1
    # the random rest of the voxels would hide a mask
    settings = QUICK[method] | ({"background_share": 0.0} if "epochs" in QUICK[method] else {})
    found = {}
    for name, mask in (("none", None), ("left", left), ("right", 1 - left)):
        place = None if mask is None else Volume(mask, pair[0].affine)
        made = inrsr.fit(method, pair, settings=settings, mask=place, seed=1)
        found[name] = made.sample(pair[0].grid.isotropic())[0].data
    span = np.ptp(found["none"])
    for a, b in (("none", "left"), ("none", "right"), ("left", "right")):
        assert np.abs(found[a] - found[b]).max() > 1e-4 * span, (a, b)


def test_only_voxels_in_the_mask_are_trained(pair):
    mask = np.zeros(pair[0].shape)
    mask[:7, 3:9] = 0.5
    rng = np.random.default_rng(0)
    found = training_voxels(pair[0], Volume(mask, pair[0].affine), 0.0, rng)
    np.testing.assert_array_equal(found, mask > 0)
    # on another grid it is looked up where the voxels lie
    elsewhere = training_voxels(pair[1], Volume(mask, pair[0].affine), 0.0, rng)
    centres = pair[1].grid.centres()
    inside = (centres[..., 0] < 6.5) & (centres[..., 1] > 2.5) & (centres[..., 1] < 8.5)
    np.testing.assert_array_equal(elsewhere, inside)


def test_mask_and_seed_of_a_job_reach_the_fit(tmp_path, monkeypatch, pair):
    paths = [str(tmp_path / f"{n}.nii.gz") for n in "ab"]
    for volume, path in zip(pair, paths):
        write(volume, path)
    mask = np.zeros(pair[0].shape)
    mask[:7] = 1
    write(Volume(mask, pair[0].affine), tmp_path / "mask.nii.gz")
    seen = {}

    def fit(method, volumes, **options):
        seen.update(options)
        return inrsr.fit("linear", volumes)

    monkeypatch.setattr("INRSuperResolutionLib.jobs.run.fit", fit)
    outputs = [str(tmp_path / f"{n}_out.nii.gz") for n in "ab"]
    job = Job(
        task="upscale", method="single-contrast", inputs=paths, outputs=outputs, mask=str(tmp_path / "mask.nii.gz"),
        seed=77, max_seconds=50.0, register=False, preset="fast", settings={"epochs": 1}, slice_profile="gaussian",
    )  # fmt: skip
    run_job(job, Progress())
    np.testing.assert_array_equal(seen["mask"].data, mask)
    assert (seen["seed"], seen["preset"], seen["settings"]) == (77, "fast", {"epochs": 1})
    assert seen["slice_profile"] == "gaussian"
    assert 0 < seen["max_seconds"] <= 50


@pytest.mark.parametrize("method", ["linear", "multicontrast", "single-contrast", "joint"])
def test_contrasts_on_one_grid_keep_their_order(method):
    """Sampled together, each must come out as it does alone, and be nearer to its own input than to the others."""
    affine = oblique((1.0, 1.0, 3.0))
    first = textured((12, 11, 5), affine, 0)
    volumes = [first, Volume(500 - 2 * first.data[::-1], affine, name="b"), Volume(first.data[:, ::-1] ** 2, affine)]
    made = inrsr.fit(method, volumes, settings=QUICK.get(method, {}), slice_profile="none")
    together = made.sample(first.grid)
    for own, (volume, result) in enumerate(zip(volumes, together)):
        alone = made.evaluate(first.grid, [own])[0]
        np.testing.assert_allclose(result.data, alone, rtol=0, atol=0.1 * np.ptp(alone))
        apart = [np.corrcoef(result.data.ravel(), v.data.ravel())[0, 1] for v in volumes]
        assert int(np.argmax(apart)) == own or method in ("single-contrast", "joint"), apart
        assert (result.name, result.dtype) == (volume.name, volume.dtype)
    # some of the channels, in another order
    swapped = made.evaluate(first.grid, [2, 0])
    for result, own in zip(swapped, (2, 0)):
        apart = [np.corrcoef(result.ravel(), r.data.ravel())[0, 1] for r in together]
        assert int(np.argmax(apart)) == own or method in ("single-contrast", "joint"), apart


def test_outputs_of_a_job_are_in_the_order_of_its_inputs(tmp_path):
    first = phantom((6, 7, 5), np.diag([1, 1, 3, 1.0]))
    volumes = [first, first.replace(data=1000 - first.data), first.replace(data=first.data[::-1])]
    paths = [str(tmp_path / f"in{n}.nii.gz") for n in range(3)]
    outputs = [str(tmp_path / f"out{n}.nii.gz") for n in range(3)]
    for volume, path in zip(volumes, paths):
        write(volume, path)
    job = Job(task="upscale", method="nearest", inputs=paths, outputs=outputs, scale=[1.0])
    run_job(job, Progress())
    for volume, output in zip(volumes, outputs):
        np.testing.assert_array_equal(read(output).data, volume.data)
