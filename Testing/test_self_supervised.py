"""The guided network on one scan, weights that it starts from, and their training."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from phantoms import phantom, smooth_head
from tinynetworks import blobs

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib import Volume, write
from INRSuperResolutionLib.acquisition.degrade import degrade
from INRSuperResolutionLib.acquisition.forward_model import SliceProfile
from INRSuperResolutionLib.evaluation.metrics import psnr
from INRSuperResolutionLib.image.interpolate import resample
from INRSuperResolutionLib.methods.multicontrast.guided.lessons import CHANNELS_ALONE
from INRSuperResolutionLib.methods.multicontrast.guided.network import Network
from INRSuperResolutionLib.methods.multicontrast.guided.noise import signal_part
from INRSuperResolutionLib.methods.multicontrast.guided.thinning import Cutting, Line, noise_of, with_noise
from INRSuperResolutionLib.methods.multicontrast.settings import SELF_SUPERVISED, GuidedArchitecture
from INRSuperResolutionLib.methods.pretrained.weights import load_weights, save_weights
from INRSuperResolutionLib.training.guided import GuidedTraining, train_guided

SMALL = GuidedArchitecture(width=8, depth=2, reach=2)
ALONE = {"weights": "none", "width": 16, "depth": 3, "reach": 1, "crop": 64, "learning_rate": 4e-3}
BOXCAR = SliceProfile("boxcar")


@pytest.fixture
def weights(tmp_path) -> str:
    """Of a network whose residual is small, but not nothing."""
    torch.manual_seed(0)
    network = Network([CHANNELS_ALONE], SMALL.width, SMALL.depth, SMALL.reach)
    with torch.no_grad():
        network.last[0].weight.normal_(0, 0.05)
    path = tmp_path / "small.safetensors"
    save_weights(path, SELF_SUPERVISED, dataclasses.asdict(SMALL), {}, network.state_dict())
    return str(path)


def test_one_scan_teaches_itself(data_folder):
    """Part of a real head with averaged slices, a short fit without any weights."""
    volume = inrsr.read(data_folder / "ms07_t1.nii.gz")
    truth = resample(volume, volume.grid.crop((slice(46, 126), slice(60, 140), slice(60, 116))))
    scan = degrade(truth, "area", (1, 1, 4))
    result = inrsr.fit("self-supervised", [scan], settings={**ALONE, "steps": 120}).sample(truth.grid)[0]
    top = float(np.percentile(truth.data, 99.9))
    best = max(psnr(resample(scan, truth.grid, order).data, truth.data, top) for order in (1, 3))
    assert psnr(result.data, truth.data, top) > best + 0.7


def test_a_saved_function_is_the_same(weights, tmp_path):
    """With noise and bands, so that all that is kept of them is saved too."""
    rng = np.random.default_rng(0)
    data = smooth_head((40, 44, 11)) * (1 + 0.03 * np.where(np.arange(11) % 2, -1.0, 1.0))
    data += rng.normal(0, 2, data.shape) * (data > 0)
    scan = Volume(data, np.diag([1, 1, 4, 1.0]))
    made = inrsr.fit("self-supervised", [scan], settings={"weights": weights, "steps": 2, "crop": 24})
    assert made.provenance["bands_percent"][0] > 1
    assert made.provenance["noise"][0] > 0
    made.save(tmp_path / "a.inr")
    grid = scan.grid.isotropic()
    np.testing.assert_array_equal(inrsr.load(tmp_path / "a.inr").sample(grid)[0].data, made.sample(grid)[0].data)


def test_a_contrast_with_a_guide_starts_as_one_without(weights):
    """Before it has learned to use them, guides have no effect."""
    network = Network([CHANNELS_ALONE + 6] * 2, SMALL.width, SMALL.depth, SMALL.reach)
    known = load_weights(weights, SELF_SUPERVISED).tensors
    network.start_from(known)
    alone = Network([CHANNELS_ALONE], SMALL.width, SMALL.depth, SMALL.reach)
    alone.load_state_dict(known)
    x = torch.randn(1, CHANNELS_ALONE + 6, 24, 24)
    for contrast in (0, 1):
        torch.testing.assert_close(network(x, contrast), alone(x[:, :CHANNELS_ALONE], 0))
    assert float(alone(x[:, :CHANNELS_ALONE], 0).detach().abs().max()) > 0


def test_scans_that_are_thick_alike_guide_each_other(weights):
    volumes = [blobs((32, 36, 6), seed) for seed in (0, 1)]
    made = inrsr.fit("self-supervised", volumes, settings={"weights": weights, "steps": 3, "crop": 24})
    for volume, result in zip(volumes, made.sample(volumes[0].grid.isotropic())):
        figure = inrsr.fit("cubic", [volume]).sample(volumes[0].grid.isotropic())[0]
        assert psnr(result.data, figure.data, float(np.ptp(volume.data))) > 20


def test_virtual_slices_give_a_ramp_back():
    """Cut and joined again, what is linear is as it was, for any profile, place and direction."""
    pixels = np.arange(60.0)
    for kind in ("none", "boxcar", "gaussian"):
        for step in (0.23, -0.23):
            line = Line(3.3, step, 60)
            cutting = Cutting(SliceProfile(kind), 1.0)
            centres = line.slices((-np.inf, np.inf))
            cut = line.cut(centres, cutting.taps())
            joined = line.join(centres, np.arange(60), cutting.solve(len(centres))) @ (
                cut @ torch.tensor(pixels).float()
            )
            # the ends of a spline are flat: a few slices from them it is right
            np.testing.assert_allclose(joined.numpy()[20:40], pixels[20:40], atol=0.1)


def test_a_stack_may_end_within_a_line():
    rng = np.random.default_rng(0)
    line = Line(0.4, -0.25, 80)
    rows = np.arange(20, 60)
    for _ in range(20):
        centres = line.slices(line.ending_within(rows, rng))
        at = line.start + line.step * rows
        covered = (at >= centres[0] - 0.5) & (at <= centres[-1] + 0.5)
        assert 0.4 < covered.mean() <= 1
        assert len(centres) < len(line.slices((-np.inf, np.inf)))


def test_virtual_slices_are_as_noisy_as_real_ones():
    rng = np.random.default_rng(0)
    image = 3 * rng.standard_normal((200, 300)).astype(np.float32)
    inside = np.ones(image.shape, bool)
    assert noise_of(image, inside) == pytest.approx(3, rel=0.03)
    line = Line(0.3, 0.25, 200)
    centres = line.slices((-np.inf, np.inf))
    cut = line.cut(centres, Cutting(BOXCAR, 1.0).taps())
    slices = cut @ torch.from_numpy(image)
    assert float(slices[2:-2].std()) < 2  # averaged
    assert float(with_noise(slices, cut, 3.0, rng)[2:-2].std()) == pytest.approx(3, rel=0.03)


def test_what_changes_by_no_more_than_noise_is_noise():
    rng = np.random.default_rng(0)
    change = torch.from_numpy(rng.normal(0, 1, (40, 40, 8)).astype(np.float32))
    change[:20] *= 10
    part = signal_part(change, 1.0, thick=2)
    assert float(part[4:16].mean()) > 0.95
    assert float(part[24:].mean()) < 0.2
    assert float(signal_part(change, 0.0, thick=2).min()) == 1


def test_no_border_is_invented_at_the_ends(data_folder):
    """Tissue that runs out of the field of view: columns stay near those of linear interpolation."""
    from INRSuperResolutionLib.evaluation.artefacts import measure_artefacts

    volume = inrsr.read(data_folder / "ms07_t1.nii.gz")
    truth = resample(volume, volume.grid.crop((slice(46, 126), slice(60, 140), slice(70, 106))))
    scan = degrade(truth, "area", (1, 1, 4))
    result = inrsr.fit("self-supervised", [scan], settings={**ALONE, "steps": 80}).sample(truth.grid)[0]
    found, plain = (measure_artefacts(v, scan) for v in (result, resample(scan, truth.grid, 1)))
    for ours, linear in ((found.first, plain.first), (found.last, plain.last)):
        assert len(ours) == 8
        np.testing.assert_allclose(ours, linear, rtol=0, atol=6)  # in percent; before, 20 and more on a clinical scan


def test_training_ahead_can_be_repeated(tmp_path):
    volume = tmp_path / "blobs.nii.gz"
    write(blobs((48, 44, 40)).replace(affine=np.eye(4)), volume)
    settings = GuidedTraining(crop=24)
    told = [
        train_guided([str(volume)], tmp_path / name, steps=4, architecture=SMALL, settings=settings, half=False)
        for name in ("a.safetensors", "b.safetensors")
    ]
    assert told[0]["step"] == 4
    first, second = (load_weights(str(tmp_path / f"{n}.safetensors"), SELF_SUPERVISED) for n in "ab")
    for name, tensor in first.tensors.items():
        torch.testing.assert_close(tensor, second.tensors[name], rtol=0, atol=0)
    assert float(first.tensors["last.0.weight"].abs().max()) > 0
    scan = phantom((24, 22, 6), np.diag([1.0, 1, 4, 1]))
    made = inrsr.fit("self-supervised", [scan], settings={"weights": str(tmp_path / "a.safetensors"), "steps": 0})
    assert made.provenance["parameters"] == sum(t.numel() for t in first.tensors.values())
