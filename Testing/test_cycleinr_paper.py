"""The network of the CycleINR paper as it is printed, its training, and its blended windows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tinynetworks import blobs, small

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib import InputError
from INRSuperResolutionLib.jobs.estimate import OVERLAPPING, block_multiplications
from INRSuperResolutionLib.methods.cycleinr.paper import PaperVolumetricNetwork
from INRSuperResolutionLib.methods.cycleinr.settings import VolumetricArchitecture
from INRSuperResolutionLib.methods.cycleinr.windows import blended, starts
from INRSuperResolutionLib.methods.pretrained.networks import ARCHITECTURES, make_network
from INRSuperResolutionLib.methods.pretrained.weights import save_weights
from INRSuperResolutionLib.progress import Progress
from INRSuperResolutionLib.training.paper_blocks import PaperBlockLessons, all_slices
from INRSuperResolutionLib.training.presets import training_preset
from INRSuperResolutionLib.training.settings import TrainingSettings

BLOCKS = dataclasses.replace(training_preset("cycleinr", "paper").data, crop=16, slices=8)


def papers(method: str = "cycleinr", seed=0) -> PaperVolumetricNetwork:
    torch.manual_seed(seed)
    return PaperVolumetricNetwork(small(method, design="paper", wide=0, averages=False, layers=8, blocks=2))


@pytest.mark.parametrize("method", ["cycleinr", "arssr"])
def test_a_point_is_the_papers_equations(method):
    """Eq. 3 to 5 for single points, in float64: trilinear code, attention of 27 in its place, decoder with the place."""
    network = papers(method).double()
    voxels = torch.randn(1, 5, 6, 7, dtype=torch.float64)
    with torch.no_grad():
        codes = network.encode(voxels)[0]
        z = torch.tensor([0.0, 1.3, 2.6, 4.0], dtype=torch.float64)
        found = network.sample(codes, z).double().numpy()
    arrays = {name: value.numpy() for name, value in network.state_dict().items()}
    codes = codes.numpy()

    def linear(name, x):
        return arrays[f"{name}.weight"] @ x + arrays[f"{name}.bias"]

    for (i, j), n in zip([(0, 0), (2, 3), (5, 6), (4, 1)], range(4)):
        low = min(int(z[n]), 3)
        part = float(z[n]) - low
        query = (1 - part) * codes[low, i, j, :-3] + part * codes[low + 1, i, j, :-3]
        latent = query
        if method == "cycleinr":
            k = int(float(z[n]) + 0.5)
            near = [
                codes[min(max(k + a, 0), 4), min(max(i + b, 0), 5), min(max(j + c, 0), 6), :-3]
                for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)
            ]  # fmt: skip
            likeness = np.array([linear("query", query) @ linear("key", code) for code in near])
            shares = np.exp(likeness - likeness.max())
            latent = sum(s * linear("value", code) for s, code in zip(shares / shares.sum(), near))
        place = [(2 * float(z[n]) + 1) / 5 - 1, (2 * i + 1) / 6 - 1, (2 * j + 1) / 7 - 1]
        given = np.concatenate([latent, place])
        x = given
        for layer in range(4):
            x = np.maximum(linear(f"decoder.{layer}", x), 0)
        x = x + given
        for layer in range(4, 7):
            x = np.maximum(linear(f"decoder.{layer}", x), 0)
        assert found[n, i, j] == pytest.approx(linear("decoder.7", x)[0], abs=1e-6)


def test_gradients_reach_every_parameter():
    network = papers()
    network.sample(network.encode(torch.randn(1, 5, 6, 6))[0], torch.tensor([0.4, 2.7])).square().mean().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert without in ([], ["key.bias"])  # a shift of all keys changes no softmax


@pytest.mark.parametrize("ratio", [2.0, 2.7, 5.0])
def test_blocks_hold_all_fine_slices(ratio):
    fine = np.random.default_rng(0).normal(size=(40, 8, 8)).astype(np.float32)
    settings = dataclasses.replace(BLOCKS, lowest_scale=ratio, highest_scale=ratio)
    example = all_slices(fine, settings, np.random.default_rng(1))
    assert example.told.ratio == pytest.approx(ratio)
    assert example.positions[0] == 0
    np.testing.assert_allclose(np.diff(example.positions), 1 / ratio, rtol=1e-5)
    assert example.positions[-1] > len(example.voxels) - 1 - 1 / ratio
    on = np.abs(example.positions - np.round(example.positions)) < 1e-4
    kept = np.round(example.positions[on]).astype(int)
    np.testing.assert_allclose(example.voxels[kept], example.target[on], atol=1e-4)  # kept slices stay as they are


def test_the_cycle_runs_over_the_whole_block():
    """L1(HR) + λ L1(given slices, found again in the encoded prediction), for every example of the batch."""
    network = papers()
    rng = np.random.default_rng(0)
    fine = rng.normal(size=(40, 8, 8)).astype(np.float32)
    examples = [all_slices(fine, BLOCKS, rng) for _ in range(2)]
    lessons = PaperBlockLessons(network, TrainingSettings(cycle_weight=0.7, mixed_precision=False), BLOCKS, "cpu")
    with torch.no_grad():
        expected = 0.0
        for e in examples:
            made = network.sample(network.encode(torch.from_numpy(e.voxels)[None])[0], torch.from_numpy(e.positions))
            back = network.encode(made[None])[0]
            places = np.arange(len(e.voxels)) * e.told.ratio
            inside = places <= len(made) - 1
            again = network.sample(back, torch.from_numpy(places[inside].astype(np.float32))).numpy()
            expected += np.abs(made.numpy() - e.target).mean() + 0.7 * np.abs(again - e.voxels[inside]).mean()
        assert float(lessons.loss(examples)) == pytest.approx(expected / 2, rel=1e-5)
        before, after = lessons.errors(examples[0])
    assert before.shape == after.shape == examples[0].target.shape


def test_windows_cover_a_volume_and_blend():
    assert starts(20, 8) == [0, 6, 12]
    assert starts(21, 8) == [0, 6, 12, 13]
    assert starts(5, 8) == [0]
    shape, window = (9, 20, 17), (5, 8, 8)
    whole = np.random.default_rng(0).normal(size=shape)

    def restore(box, local):
        block = whole[box]
        low = np.minimum(local.astype(int), len(block) - 2)
        part = (local - low)[:, None, None]
        return (1 - part) * block[low] + part * block[low + 1]

    numbers = np.array([0.0, 2.5, 4.3, 8.0])
    rows, columns = slice(3, 19), slice(0, 17)
    found = blended(shape, window, numbers, rows, columns, restore)
    full = restore((slice(0, 9), slice(0, 20), slice(0, 17)), numbers)
    np.testing.assert_allclose(found, full[:, rows, columns], atol=1e-5)  # what all windows agree on stays as it is

    def number_of_window(box, local):
        return np.full((len(local), *(s.stop - s.start for s in box[1:])), float(box[2].start))

    along = blended(shape, window, np.array([4.0]), slice(0, 1), columns, number_of_window)[0, 0]
    assert along[0] == pytest.approx(0)
    assert along[-1] == pytest.approx(9, abs=0.3)  # the last window begins at 9
    assert (np.diff(along) > -1e-6).all()
    assert along[7] == pytest.approx(6, abs=0.5)  # near the end of the first window, the second one counts


def test_a_volume_is_restored_in_windows_and_saved(tmp_path):
    """Whatever part of a grid is asked for, its values are those of the whole."""
    network = papers()
    told = {"data": {"slices": 6, "crop": 12}}
    weights = tmp_path / "w.safetensors"
    save_weights(weights, "cycleinr", dataclasses.asdict(network.architecture), told, network.state_dict())
    volume = blobs((20, 18, 9))
    made = inrsr.fit(
        "cycleinr", [volume], preset="paper", settings={"weights": str(weights)}, device="cpu", slice_profile="none"
    )
    grid = volume.grid.scaled((1, 1, 2))
    whole = made.sample(grid)[0]
    part = (slice(3, 15), slice(2, 9), slice(5, 12))
    np.testing.assert_allclose(made.sample(grid.crop(part))[0].data, whole.data[part], rtol=1e-3, atol=1e-2)
    assert np.ptp(whole.data) > 1
    made.save(tmp_path / "f.inr")
    np.testing.assert_array_equal(inrsr.load(tmp_path / "f.inr").sample(grid)[0].data, whole.data)


def test_the_time_of_the_papers_network_is_foreseen(tmp_path):
    """A network of the paper's size is foreseen from its file, without reading its tensors; sampling ends at the time limit."""
    a = ARCHITECTURES["cycleinr"]["paper"]
    weights = tmp_path / "w.safetensors"
    save_weights(weights, "cycleinr", dataclasses.asdict(a), {}, {"one": torch.zeros(1)})
    encoding, decoding = block_multiplications(str(weights))
    network = make_network(a)
    convolutions = sum(m.weight.numel() for m in network.modules() if isinstance(m, torch.nn.Conv3d))
    assert encoding / OVERLAPPING == pytest.approx(convolutions, rel=0.01)
    layers = sum(m.weight.numel() for m in network.decoder)
    assert decoding / OVERLAPPING == pytest.approx(layers, rel=0.6)
    assert block_multiplications("auto") is None
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    assert block_multiplications(str(tmp_path / "bad.safetensors")) is None


def test_a_time_limit_ends_the_windows(tmp_path):
    network = papers()
    weights = tmp_path / "w.safetensors"
    told = {"data": {"slices": 6, "crop": 12}}
    save_weights(weights, "cycleinr", dataclasses.asdict(network.architecture), told, network.state_dict())
    volume = blobs((20, 18, 9))
    made = inrsr.fit("cycleinr", [volume], preset="paper", settings={"weights": str(weights)}, slice_profile="none")
    progress = Progress()
    progress.limit(0.0, InputError("too late"))
    with pytest.raises(InputError, match="too late"):
        made.sample(volume.grid, progress)


def test_other_designs_are_refused():
    with pytest.raises(InputError, match="'mine'"):
        VolumetricArchitecture(design="mine")
