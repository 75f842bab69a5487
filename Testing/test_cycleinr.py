"""CycleINR and ArSSR: the network, its examples, and whole volumes."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json

import numpy as np
import pytest
import torch
from phantoms import oblique, phantom
from tinynetworks import VOLUMETRIC, blobs, random_weights, small, training

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib import Volume, write
from INRSuperResolutionLib.acquisition.forward_model import SliceProfile
from INRSuperResolutionLib.errors import Cancelled
from INRSuperResolutionLib.image.interpolate import resample
from INRSuperResolutionLib.methods.cycleinr import choice, representation
from INRSuperResolutionLib.methods.cycleinr.choice import best_weights
from INRSuperResolutionLib.methods.cycleinr.network import REACH, Told, VolumetricNetwork
from INRSuperResolutionLib.methods.pretrained.weights import load_weights
from INRSuperResolutionLib.progress import Progress
from INRSuperResolutionLib.training.settings import TrainingSettings

TOLD = Told(3.0, 0.0)
fit = importlib.import_module("INRSuperResolutionLib.methods.cycleinr.fit")  # the package has a function of this name
network_module = importlib.import_module("INRSuperResolutionLib.methods.cycleinr.network")


@pytest.fixture(params=VOLUMETRIC)
def method(request) -> str:
    return request.param


def random_network(method: str, seed=0, **changes) -> VolumetricNetwork:
    torch.manual_seed(seed)
    network = VolumetricNetwork(small(method, **changes))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.1)
    return network


@pytest.fixture
def fitted(method, tmp_path):
    """A function of an untrained network, whose residual is not small; of point samples unless told."""

    def fit(volume, slice_profile="none", **options):
        weights = random_weights(method, tmp_path / "w.safetensors")
        settings = {"weights": str(weights), "check": False, "mirrored": 1}
        return inrsr.fit(method, [volume], settings=settings, device="cpu", slice_profile=slice_profile, **options)

    return fit


@pytest.mark.parametrize("pair", [True, False])
def test_the_residual_is_continuous_between_slices_and_nothing_on_them(method, pair):
    """Also in the middle between two slices, where other codes become the nearest ones."""
    network = random_network(method, pair=pair)
    with torch.inference_mode():
        codes = network.encode(torch.randn(1, 9, 8, 10), [TOLD])[0]
        at = torch.tensor([2.5 - 1e-4, 2.5 + 1e-4, 3 - 1e-4, 3 + 1e-4, 2.3, 2.7])
        low, high, before, after, one, other = network.decode(codes, at, TOLD)
        on = network.decode(codes, torch.arange(9.0), TOLD)
    size = float((one - other).abs().mean())
    assert size > 1e-3, "the phantom residual must be seen"
    assert float((low - high).abs().max()) < 0.02 * size
    assert float((before - after).abs().max()) < 0.02 * size
    assert (on == 0).all()


def test_of_averages_the_residual_is_continuous_also_where_it_is_not_nothing():
    """On the slices themselves, and in the outer halves of the outermost ones, of which copies lie beyond."""
    network = random_network("cycleinr")
    told = Told(3.0, 1.0)
    with torch.inference_mode():
        codes = network.encode(torch.randn(1, 9, 8, 10), [told])[0]
        at = torch.tensor([3 - 1e-4, 3.0, 3 + 1e-4, 2.5 - 1e-4, 2.5 + 1e-4, 2.3])
        before, on, after, low, high, other = network.decode(codes, at, told)
        assert (network.decode(codes, at[1:2], TOLD) == 0).all(), "point samples stay as they are"
    size = float((on - other).abs().mean())
    assert size > 1e-3 and float(on.abs().mean()) > 1e-3
    for one, two in ((before, on), (on, after), (low, high)):
        assert float((one - two).abs().max()) < 0.02 * size


@pytest.mark.parametrize("pair", [True, False])
def test_positions_of_several_blocks_are_decoded_as_each_alone(method, pair, monkeypatch):
    """Also those on slices and beyond the ends, and when they do not all fit into one piece of work."""
    network = random_network(method, pair=pair)
    told = [TOLD, Told(2.0, 1.0)]
    numbers = torch.tensor([0, 0, 1, 1, 1])
    slices = torch.tensor([2.3, 4.0, 0.2, 7.9, 3.5])
    with torch.inference_mode():
        codes = network.encode(torch.randn(2, 9, 8, 10), told)
        alone = torch.cat([network.decode(codes[n], slices[numbers == n], told[n]) for n in (0, 1)])
        for queries in (1 << 13, 100):
            monkeypatch.setattr(network_module, "QUERIES_AT_ONCE", queries)
            together = network.decode_each(codes, numbers, slices, told)
            torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    assert (together[1] == 0).all() and float(together[3].abs().max()) > 1e-3


def test_attention_looks_at_27_codes():
    """The value between two slices changes with the codes around it, and with no others."""
    network = random_network("cycleinr", pair=False)
    codes = torch.randn(8, 7, 7, 7)
    at = torch.tensor([3.2])
    with torch.inference_mode():
        before = network.decode(codes, at, TOLD)[0, 2, 2]
        changed = torch.zeros(8, 7, 7, dtype=torch.bool)
        for place in np.ndindex(8, 7, 7):
            other = codes.clone()
            other[place] += 3
            changed[place] = bool(network.decode(other, at, TOLD)[0, 2, 2] != before)
    wanted = torch.zeros_like(changed)
    wanted[2:5, 2:5, 2:5] = True  # 3.2 is nearest to slice 3; row 2 of the result is row 2 + REACH of the codes
    assert REACH == 1
    assert torch.equal(changed, wanted)


def test_attention_starts_as_none():
    """So that the training with attention can go on from the one without."""
    torch.manual_seed(0)
    plain = VolumetricNetwork(small("arssr"))
    attentive = VolumetricNetwork(small("cycleinr"))
    with torch.no_grad():
        plain.last.weight.normal_()
    attentive.load_state_dict({**attentive.state_dict(), **plain.state_dict()})
    codes, at = torch.randn(6, 6, 6, 7), torch.tensor([1.3, 2.8])
    torch.testing.assert_close(attentive.decode(codes, at, TOLD), plain.decode(codes, at, TOLD))


def test_gradients_reach_every_parameter(method):
    network = random_network(method)
    told = Told(3.0, 1.0)
    codes = network.encode(torch.randn(1, 6, 8, 8), [told])[0]
    network.decode(codes, torch.tensor([1.4, 3.3]), told).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().sum()) > 0, name


def test_the_cycle_loss_is_part_of_the_training(tmp_path):
    settings = TrainingSettings(batch=2, warmup=1, mixed_precision=False)
    losses = []
    for weight in (0.0, 1.0):
        made = training(
            "cycleinr",
            tmp_path,
            settings=TrainingSettings(**{**settings.__dict__, "cycle_weight": weight}),
            steps=1,
        )
        made.run()
        losses.append(made.log[-1]["loss"])
    assert losses[1] > losses[0]


def test_point_samples_come_back(fitted):
    volume = phantom((18, 20, 9), oblique((1, 1, 3.0)))
    made = fitted(volume)
    np.testing.assert_allclose(made.sample(volume.grid)[0].data, volume.data, atol=1e-3 * np.ptp(volume.data))
    between = made.sample(volume.grid.scaled((1, 1, 3)))[0].data
    spline = resample(volume, volume.grid.scaled((1, 1, 3))).data
    assert np.abs(between - spline).max() > 0.01 * np.ptp(volume.data), "the network is seen between the slices"
    np.testing.assert_allclose(between[:, :, 1::3], volume.data, atol=1e-3 * np.ptp(volume.data))


def test_averages_come_back(fitted):
    volume = phantom((18, 20, 9), np.diag([1, 1, 3.0, 1]))
    made = fitted(volume, slice_profile="boxcar")
    fine = made.sample(volume.grid.scaled((1, 1, 9)))[0].data
    back = fine.reshape(18, 20, 9, 9).mean(-1)
    spline_fine = resample(volume, volume.grid.scaled((1, 1, 9))).data.reshape(18, 20, 9, 9)
    spline = spline_fine.mean(-1)
    added = np.abs(fine.reshape(spline_fine.shape) - spline_fine).mean()
    error, plain = (np.abs(v - volume.data)[:, :, 1:-1].mean() for v in (back, spline))
    assert added > 0.01 * np.ptp(volume.data), "the network must be seen"
    # an untrained one is as rough as can be, and its averages are taken at few points
    assert error < plain + 0.15 * added


def test_the_outer_half_of_the_outermost_slices(tmp_path):
    """Of averages the network is asked there, also for oblique grids; of point samples the outermost one is repeated."""
    volume = blobs((20, 18, 7))
    weights = random_weights("cycleinr", tmp_path / "w.safetensors")
    grid = volume.grid.scaled((1, 1, 8))  # its outer 4 slices lie beyond the outermost centres
    slanted = grid.affine.copy()
    slanted[:3, :3] = slanted[:3, :3] @ np.array([[1, 1e-5, 0], [-1e-5, 1, 0], [0, 0, 1.0]])
    for profile in ("none", "boxcar"):
        settings = {"weights": str(weights), "check": False, "mirrored": 1}
        made = inrsr.fit("cycleinr", [volume], settings=settings, slice_profile=profile)
        straight, oblique = (made.sample(g)[0].data for g in (grid, inrsr.Grid(grid.shape, slanted)))
        ends = [straight[:, :, :4], straight[:, :, -4:]]
        change = max(float(np.abs(np.diff(e, axis=2)).max()) for e in ends)
        assert (change > 1) is (profile == "boxcar")
        size = float((straight - resample(volume, grid).data).std())
        assert float(np.sqrt(np.mean((straight - oblique) ** 2))) < 0.25 * size


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_axis_may_be_the_thick_one(fitted, axis):
    """The same volume turned gives the same result turned."""
    spacing = [1.0, 1.0, 1.0]
    spacing[axis] = 3.0
    turned = blobs((20, 18, 8), seed=3)
    data = np.moveaxis(turned.data, 2, axis)
    volume = Volume(data, np.diag([*spacing, 1.0]))
    made = fitted(volume).sample(volume.grid.isotropic())[0].data
    upright = Volume(turned.data, np.diag([1, 1, 3.0, 1]))
    wanted = fitted(upright).sample(upright.grid.isotropic())[0].data
    np.testing.assert_allclose(np.moveaxis(made, axis, 2), wanted, atol=1e-4 * np.ptp(data))


def test_averaged_over_mirror_images_a_mirrored_volume_gives_the_mirrored_result(method, tmp_path):
    weights = str(random_weights(method, tmp_path / "w.safetensors"))
    volume = blobs((20, 18, 8))
    settings = {"weights": weights, "check": False, "mirrored": 8}
    grid = volume.grid.scaled((1, 1, 3))

    def restored(data):
        return inrsr.fit(method, [volume.replace(data=data)], settings=settings).sample(grid)[0].data

    made = restored(volume.data)
    for axis in range(3):
        mirrored = np.flip(restored(np.flip(volume.data, axis)), axis)
        np.testing.assert_allclose(mirrored, made, atol=5e-3 * np.ptp(volume.data))  # bfloat16 products


@pytest.mark.parametrize("factor", [2.37, 3.0])
def test_tiles_do_not_show(fitted, monkeypatch, factor):
    volume = blobs((60, 54, 12))
    grid = volume.grid.scaled((1, 1, factor))
    whole = fitted(volume).sample(grid)[0].data
    made = fitted(volume)
    monkeypatch.setattr(representation, "TILE_SLICES", 5)
    monkeypatch.setattr(representation, "ENCODED_VALUES", 1)
    assert len(list(made.tiles(grid))) > 20
    np.testing.assert_allclose(made.sample(grid)[0].data, whole, atol=1e-4 * np.ptp(volume.data))


def test_other_pixels_and_oblique_grids_show_the_same_function(fitted):
    volume = blobs((40, 44, 9), seed=2)
    made = fitted(volume)
    fine = made.sample(volume.grid.scaled((2, 2, 4)))[0]
    straight = volume.grid.scaled((1, 1, 4)).crop((slice(8, 30), slice(8, 30), slice(8, 28)))
    turned = straight.affine.copy()
    turned[:3, :3] = turned[:3, :3] @ np.array([[1, 2e-5, 0], [-2e-5, 1, 0], [0, 0, 1.0]])
    direct, slanted = (made.sample(g)[0].data for g in (straight, inrsr.Grid(straight.shape, turned)))
    # an untrained network's residual is as rough as can be
    rough = (direct - resample(volume, straight).data).std()
    for other in (slanted, resample(fine, straight).data):
        assert np.sqrt(np.mean((direct - other) ** 2)) < 0.2 * rough


def test_saved_and_loaded(fitted, tmp_path):
    volume = phantom((16, 18, 7), oblique((1, 1, 3.0)))
    for profile in ("none", "boxcar"):
        made = fitted(volume, slice_profile=profile)
        made.save(tmp_path / "a.inr")
        loaded = inrsr.load(tmp_path / "a.inr")
        grid = volume.grid.scaled((1, 1, 2))
        np.testing.assert_array_equal(loaded.sample(grid)[0].data, made.sample(grid)[0].data)
        assert loaded.provenance == made.provenance


@pytest.fixture
def two_weights(tmp_path, monkeypatch):
    """Shipped weights: general ones that add nothing to the spline, and ones for a contrast that spoil it."""
    monkeypatch.setattr("INRSuperResolutionLib.methods.pretrained.weights.FOLDER", tmp_path)
    sums = {}
    for name, size in (("cycleinr", 0.0), ("cycleinr-mr-x", 0.3)):
        path = random_weights("cycleinr", tmp_path / f"{name}.safetensors", size=size)
        sums[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "checksums.json").write_text(json.dumps(sums))
    return [load_weights(name, "cycleinr") for name in sums]


def test_weights_are_chosen_that_bring_back_what_is_left_out(two_weights):
    volume = blobs((40, 44, 12))
    for known in (two_weights, two_weights[::-1]):
        assert best_weights(known, volume, "cpu", None).name == "cycleinr"
    assert best_weights(two_weights[1:], volume, "cpu", None).name == "cycleinr-mr-x"
    made = inrsr.fit("cycleinr", [volume])
    assert [w["name"] for w in made.provenance["weights_of_inputs"]] == ["cycleinr"]


@pytest.mark.parametrize("shape, thick", [((40, 44, 2), 4), ((40, 44, 12), 11)])
def test_the_most_general_weights_are_taken_where_slices_cannot_be_left_out(two_weights, shape, thick):
    """Too few of them, or too far apart: rows alone do not tell how the volume was sliced."""
    known = [dataclasses.replace(w, training={"data": {"highest_scale": 10.0}}) for w in two_weights]
    volume = blobs(shape).replace(affine=np.diag([1, 1, thick, 1.0]))
    for order in (known, known[::-1]):
        assert best_weights(order, volume, "cpu", None) is order[0]


def test_weights_are_compared_also_where_slices_are_too_far_apart_to_judge_one(two_weights, monkeypatch):
    monkeypatch.setattr(choice, "known_rows", lambda whole: choice.Known([], 2, 1.0))
    known = [dataclasses.replace(w, training={"data": {"highest_scale": 5.0}}) for w in two_weights[::-1]]
    volume = blobs((40, 44, 12))  # slices 4 pixels apart: left out, they are 8
    assert choice.gain_on_known(volume, known[0], "cpu") is None
    assert best_weights(known, volume, "cpu", None).name == "cycleinr"


@pytest.mark.parametrize("kind", ["boxcar", "gaussian"])
def test_averages_are_made_thicker_as_a_scanner_would(kind):
    """What is left out of averages are rows, averaged as the slices are; each lies where its thick row does."""
    volume = blobs((40, 44, 12))
    whole = choice.SlicedScan(volume, SliceProfile(kind), None)
    assert choice.known_slices(whole) is None
    rows = choice.known_rows(whole)
    assert (rows.factor, rows.distance, rows.width) == (4, 4.0, 1.0)
    ramp = np.arange(24, dtype=np.float32)[:, None, None] * np.ones((1, 5, 1), np.float32)
    coarse = rows.coarse(ramp)
    assert coarse.shape == (5, 1, 6)
    assert coarse.slice_thickness == 4
    places = (coarse.affine @ np.array([0, 0, 1, 1]))[2] + coarse.affine[2, 2] * np.arange(-1, 5)
    np.testing.assert_allclose(coarse.data[0, 0, 1:-1], places[1:-1], atol=0.05)
    part = np.zeros((24, 5, 1), np.float32)
    part[10] = 4
    thick = rows.coarse(part).data[0, 0]
    assert thick.sum() == pytest.approx(1, abs=0.1)
    assert int(thick.argmax()) == 2 and thick.max() > (0.8 if kind == "boxcar" else 0.6)


def test_of_averages_the_rows_choose(two_weights):
    volume = blobs((40, 44, 2))  # too few slices to leave any out
    for order in (two_weights, two_weights[::-1]):
        assert best_weights(order, volume, "cpu", None, profile=SliceProfile("boxcar")).name == "cycleinr"
    gains = [choice.gain_on_known(volume, w, "cpu", profile=SliceProfile("boxcar")) for w in two_weights]
    assert gains[0] == pytest.approx(0, abs=0.01) and gains[1] < -0.1


def test_weights_for_averages_are_taken_for_averages(two_weights, tmp_path):
    sums = json.loads((tmp_path / "checksums.json").read_text())
    path = random_weights("cycleinr", tmp_path / "cycleinr-averaged.safetensors", size=0.01)
    sums["cycleinr-averaged"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "checksums.json").write_text(json.dumps(sums))
    volume = blobs((40, 44, 12))
    for profile, name in (("boxcar", "cycleinr-averaged"), ("none", "cycleinr")):
        made = inrsr.fit("cycleinr", [volume], slice_profile=profile, settings={"check": False})
        assert [w["name"] for w in made.provenance["weights_of_inputs"]] == [name]


def test_the_choice_of_weights_can_be_cancelled(two_weights):
    with pytest.raises(Cancelled):
        best_weights(two_weights, blobs((40, 44, 8)), "cpu", None, Progress(is_cancelled=lambda: True))


def test_each_volume_has_its_own_weights(two_weights, tmp_path, monkeypatch):
    volumes = [blobs((20, 18, 7), seed=n).replace(name=name) for n, name in enumerate(("cycleinr-mr-x", "cycleinr"))]
    monkeypatch.setattr(fit, "best_weights", lambda known, volume, *_: next(w for w in known if w.name == volume.name))
    made = inrsr.fit("cycleinr", volumes, settings={"check": False}, slice_profile="none")
    assert [w["name"] for w in made.provenance["weights_of_inputs"]] == ["cycleinr-mr-x", "cycleinr"]
    grid = volumes[0].grid.scaled((1, 1, 2))
    restored = [v.data for v in made.sample(grid)]
    splines = [np.maximum(resample(v, grid).data, v.data.min()) for v in volumes]
    differences = [np.abs(d - s).max() for d, s in zip(restored, splines)]
    assert differences[0] > 1 and differences[1] < 1e-3
    made.save(tmp_path / "a.inr")
    for before, after in zip(restored, inrsr.load(tmp_path / "a.inr").sample(grid)):
        np.testing.assert_array_equal(before, after.data)


def test_constant_in_constant_out(fitted):
    volume = Volume(np.full((20, 18, 6), 37.5), np.diag([1, 1, 3, 1.0]))
    np.testing.assert_allclose(fitted(volume).sample(volume.grid.scaled((1, 1, 2.5)))[0].data, 37.5, rtol=1e-5)


@pytest.mark.parametrize("slices", [1, 2])
def test_few_slices_are_fine(fitted, slices):
    volume = blobs((24, 20, slices))
    found = fitted(volume).sample(volume.grid.scaled((1, 1, 2)))[0].data
    assert found.shape == (24, 20, 2 * slices) and np.isfinite(found).all()


def test_uneven_slices_are_made_even_first(fitted):
    volume = blobs((20, 18, 6))
    uneven = volume.replace(slice_positions=np.array([0, 1, 2, 3.5, 5, 6.5]))
    found = fitted(uneven).sample(uneven.grid.isotropic())[0]
    assert np.isfinite(found.data).all() and found.shape[2] > 20


def test_falls_back_to_the_spline_where_the_network_would_lose(method, tmp_path):
    weights = random_weights(method, tmp_path / "w.safetensors")  # random: certain to lose
    volume, events = blobs((40, 44, 12)), []
    settings = {"weights": str(weights)}
    made = inrsr.fit(method, [volume], settings=settings, slice_profile="none", progress=events.append)
    assert any("the spline is used instead" in str(e.get("message")) for e in events)
    grid = volume.grid.scaled((1, 1, 3))
    np.testing.assert_allclose(
        made.sample(grid)[0].data, np.maximum(resample(volume, grid).data, volume.data.min()), atol=1e-3
    )


def test_what_was_not_foreseen_is_warned_of(method, tmp_path):
    training(method, tmp_path, steps=1).run()  # slices up to 3 pixels apart
    settings = {"weights": str(tmp_path / "w.safetensors"), "check": False}
    volume, events = blobs((20, 20, 6)), []  # 4 pixels apart
    made = inrsr.fit(method, [volume], settings=settings, progress=events.append)
    assert any("4.0 pixels apart" in str(e.get("message")) for e in events)
    for factor in (4, 9):
        events.clear()
        made.sample(volume.grid.scaled((1, 1, factor)), Progress(events.append))
        assert any("1 to 8 times" in str(e.get("message")) for e in events) is (factor == 9)


def test_through_the_command_line(method, inrsr, tmp_path):
    weights = random_weights(method, tmp_path / "w.safetensors")
    write(blobs((20, 24, 6)), tmp_path / "in.nii.gz")
    arguments = ("--weights", weights, "--set", "check=false", "--report", tmp_path / "r.json")
    done = inrsr("upscale", method, tmp_path / "in.nii.gz", "--output", tmp_path / "o.nii.gz", *arguments)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["outputs"][0]["shape"] == [20, 24, 24]
    assert report["slice_profile"] == ["boxcar"]
    assert report["slices"][0]["thickness_mm"] == 4.0
    assert report["parameters"] > 0
