"""Systems of the papers' tables, written anew: SRGAN, LTE, SAINT."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from test_training_presets import ENCODER, convolution
from tinynetworks import blobs

from INRSuperResolutionLib import METHODS, MissingError, fit, write
from INRSuperResolutionLib.benchmarks.raster import flops
from INRSuperResolutionLib.methods import COMPARED
from INRSuperResolutionLib.methods.coordinate.lte import LteNetwork
from INRSuperResolutionLib.methods.coordinate.settings import LteArchitecture, SrganArchitecture
from INRSuperResolutionLib.methods.coordinate.srgan import ADVERSARIAL, SrganNetwork
from INRSuperResolutionLib.methods.coordinate.srno import GalerkinAttention
from INRSuperResolutionLib.methods.coordinate.swinir import SwinLayer
from INRSuperResolutionLib.methods.cycleinr.explicit import ExplicitVolumetricNetwork
from INRSuperResolutionLib.methods.cycleinr.network import Told
from INRSuperResolutionLib.methods.cycleinr.saint import SaintNetwork
from INRSuperResolutionLib.methods.cycleinr.settings import VolumetricArchitecture
from INRSuperResolutionLib.methods.pretrained import networks
from INRSuperResolutionLib.methods.pretrained.encoder import parameters_of

LTE = LteArchitecture(features=4, blocks=1, width=8)
EXPLICIT = VolumetricArchitecture(design="explicit", features=4, blocks=1, latent=7, averages=True)
SAINT = VolumetricArchitecture(design="saint", features=4, blocks=1, width=8, wide_blocks=1)


def test_lte_has_the_papers_parameters():
    count = ENCODER + 2 * convolution(64, 256, 9) + 2 * 128 + 3 * convolution(256, 256, 1) + convolution(256, 1, 1)
    found = parameters_of(networks.make_network(networks.COMPARED["lte"]["paper"]))
    assert found == count == pytest.approx(1.7e6, rel=0.02)  # NExpR, Table 5


def test_a_point_of_lte_is_the_papers_equation():
    """A ∘ [cos π(⟨F, δ⟩ + φ), sin π(⟨F, δ⟩ + φ)] of four pixels, decoded and weighted by the opposite areas."""
    torch.manual_seed(0)
    network = LteNetwork(LTE)
    with torch.no_grad():
        code = network.encode(torch.randn(1, 1, 6, 7), torch.ones(1))[0]
        point, cell = (2.3, 4.6), 0.25
        found = float(network.residual(code, torch.tensor([point[0]]), torch.tensor([point[1]]))[0, 0])
        phase = network.phase(torch.tensor([cell, cell])).numpy()
        expected = 0.0
        for y in (2, 3):
            for x in (4, 5):
                d = point[0] - y, point[1] - x
                amplitude, frequency = code[y, x].numpy()[:8], code[y, x].numpy()[8:]
                angle = math.pi * (frequency[:4] * d[0] + frequency[4:] * d[1] + phase)
                hidden = torch.from_numpy(amplitude * np.concatenate([np.cos(angle), np.sin(angle)])).float()
                for layer in network.hidden:
                    hidden = torch.relu(layer(hidden))
                expected += (1 - abs(d[0])) * (1 - abs(d[1])) * float(network.last(hidden))
    assert found == pytest.approx(expected, abs=1e-5)


def test_generator_and_critic_learn_their_own():
    """One sum of losses, whose gradients do not mix: the critic's come from its own loss, the generator's from fooling it."""
    torch.manual_seed(0)
    network = SrganNetwork(SrganArchitecture(features=2, blocks=1))
    made, true = torch.randn(24, 24, requires_grad=True), torch.randn(24, 24)
    network.adversarial_loss([(made, true)]).backward()
    critic = network.critic
    kept = [p.grad.clone() for p in critic.parameters()]
    critic.zero_grad()
    own = torch.nn.functional.softplus(-critic(true[None, None])) + torch.nn.functional.softplus(
        critic(made.detach()[None, None])
    )
    own.mean().backward()
    for a, b in zip(kept, critic.parameters()):
        torch.testing.assert_close(a, b.grad)
    again = made.detach().clone().requires_grad_()
    (ADVERSARIAL * torch.nn.functional.softplus(-critic(again[None, None]))).mean().backward()
    torch.testing.assert_close(made.grad, again.grad)
    assert made.grad.abs().max() > 0


def test_attention_of_srno_is_a_sum_over_all_points():
    """Q (K̃ᵀ Ṽ) / n by heads, written out; and it does not matter in which order the points are asked."""
    torch.manual_seed(0)
    layer = GalerkinAttention(8, 2).double()
    x = torch.randn(11, 8, dtype=torch.float64)
    with torch.no_grad():
        found = layer.attend(x)
        projected = layer.project(x).reshape(11, 2, 12)
        for head in range(2):
            q, k, v = projected[:, head, :4], projected[:, head, 4:8], projected[:, head, 8:]
            k, v = (
                (m - m.mean(1, keepdim=True)) / (m.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt() for m in (k, v)
            )
            expected = torch.stack([sum((q[i] @ k[j]) * v[j] for j in range(11)) / 11 for i in range(11)])
            torch.testing.assert_close(found[:, 4 * head : 4 * head + 4], expected)
        order = torch.randperm(11)
        torch.testing.assert_close(layer(x[order]), layer(x)[order])
    count = (
        ENCODER
        + convolution(4 * 66 + 2, 256, 1)
        + 2 * (convolution(256, 768, 1) + 4 * 16 + 2 * convolution(256, 256, 1))
    )
    count += convolution(256, 256, 1) + convolution(256, 1, 1)
    assert parameters_of(networks.make_network(networks.COMPARED["srno"]["paper"])) == count


def test_windows_of_swinir_shift_and_do_not_wrap():
    """A pixel sees its window alone; in shifted windows, not across the edge of the image."""
    torch.manual_seed(0)
    for shift, seen in ((0, (slice(0, 4), slice(4, 8))), (2, (slice(0, 2), slice(6, 8)))):
        layer = SwinLayer(8, 2, 4, shift)
        torch.testing.assert_close(layer._join(layer._cut(torch.arange(1024.0).reshape(2, 8, 8, 8)), 2, 8, 8),
                                   torch.arange(1024.0).reshape(2, 8, 8, 8))  # fmt: skip
        x = torch.randn(1, 8, 8, 8, requires_grad=True)
        layer(x)[0, 1, 7].sum().backward()
        reached = x.grad[0].abs().sum(-1) > 1e-12
        expected = torch.zeros(8, 8, dtype=torch.bool)
        expected[seen] = True
        assert torch.equal(reached, expected)


def test_saint_makes_slices_of_both_directions():
    """Rows and columns are alike to it: with the same networks of planes, a transposed block gives transposed slices."""
    torch.manual_seed(0)
    network = SaintNetwork(SAINT)
    network.of_columns.load_state_dict(network.of_rows.state_dict())
    voxels, slices = torch.randn(1, 5, 6, 6), torch.tensor([0.0, 1.4, 3.9])
    with torch.no_grad():
        for layer in [
            *network.fuse.modules(),
            network.last,
        ]:  # what fuses both knows neither them nor rows from columns
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.copy_(layer.weight + layer.weight.transpose(2, 3))
        network.fuse[0].weight.copy_(network.fuse[0].weight + network.fuse[0].weight.flip(1))
        found = network.sample(network.encode(voxels)[0], slices)
        turned = network.sample(network.encode(voxels.transpose(2, 3))[0], slices)
    assert found.shape == (3, 6, 6)
    torch.testing.assert_close(turned, found.transpose(1, 2), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found[0], found[1])


def explicit(**changes) -> ExplicitVolumetricNetwork:
    torch.manual_seed(0)
    network = ExplicitVolumetricNetwork(dataclasses.replace(EXPLICIT, **changes))
    torch.nn.init.normal_(network.tail.weight, std=0.3)
    return network


def test_the_function_in_three_dimensions_is_its_formula():
    """Two slices' sums of cosines and sines, weighted linearly between them; of averages, whose residual is not 0 on slices."""
    network, told = explicit(), Told(4.0, 1.0)
    z = torch.tensor([1.3, 2.0, 3.75])
    with torch.no_grad():
        codes = network.encode(torch.randn(1, 6, 4, 4), [told])[0]
        found = network.decode(codes, z, told).numpy()
        frequencies = network.steps.cumsum(0).numpy()
    assert found.shape == (3, 2, 2)  # the outermost rows and columns are left out
    for n, height in enumerate(z.tolist()):
        expected = 0.0
        for k in (int(height), int(height) + 1):
            c, u = codes[k, 2, 1, :-1].numpy(), height - k
            basis = [1.0, *np.cos(frequencies * u), *np.sin(frequencies * u)]
            expected += (1 - abs(u)) * float(np.dot(c, basis))
        assert found[n, 1, 0] == pytest.approx(expected, abs=1e-5)


def test_the_function_in_three_dimensions_is_continuous_and_leaves_points_alone():
    network = explicit()
    with torch.no_grad():
        for told in (Told(4.0, 0.0), Told(4.0, 1.0)):
            codes = network.encode(torch.randn(1, 6, 4, 4), [told])[0]
            near = network.decode(codes, torch.tensor([1.9999, 2.0, 2.0001]), told)
            assert near.diff(dim=0).abs().max() < 0.01
            assert (near[1].abs().max() == 0) == (told.thickness == 0)


def test_drawing_the_function_costs_little():
    """A point of the explicit function takes less than a hundredth of what CycleINR's decoder takes."""
    told = [Told(4.0, 0.0)]
    costs = []
    for method in ("cycleinr", "nexpr3d"):
        network = networks.make_network(networks.TRAINABLE[method]["fast"])
        with torch.no_grad():
            codes = network.encode(torch.randn(1, 6, 16, 16), told)[0]
            costs.append(
                flops(lambda codes=codes, network=network: network.decode(codes, torch.linspace(1, 4, 13), told[0]))
            )
    assert 0 < costs[1] < costs[0] / 100


@pytest.mark.parametrize("method", COMPARED)
def test_trained_and_used_by_the_command_line(method, inrsr, tmp_path):
    assert method not in METHODS  # the panel lists no method without weights
    volumetric = method in ("saint", "nexpr3d")
    affine = np.eye(4) if volumetric else np.diag([1.0, 1.0, 4.0, 1.0])
    write(blobs((24, 22, 20) if volumetric else (40, 44, 4)).replace(affine=affine), tmp_path / "a.nii.gz")
    changes = {
        "srgan": ("highest_scale=2", "lowest_scale=2"),
        "lte": ("width=8",),
        "srno": ("width=8", "heads=2"),
        "swinir": ("heads=2", "window=4", "layers=2"),
        "saint": ("width=8", "wide_blocks=1", "slices=8"),
        "nexpr3d": ("latent=5", "slices=8"),
    }[method]
    settings = [part for c in ("features=4", "blocks=1", "batch=2", "crop=16", *changes) for part in ("--set", c)]
    weights, out = tmp_path / "w.safetensors", tmp_path / "out.nii.gz"
    done = inrsr("train", method, tmp_path / "a.nii.gz", "--output", weights, "--steps", 2, *settings)
    assert done.returncode == 0, done.stderr
    scale = (1, 1, 2) if volumetric else (2, 2, 1)
    done = inrsr("upscale", method, tmp_path / "a.nii.gz", "--output", out, "--weights", weights, "--scale", *scale)
    assert done.returncode == 0, done.stderr
    done = inrsr("upscale", method, tmp_path / "a.nii.gz", "--output", out)
    assert done.returncode == 5
    assert f"inrsr train {method}" in done.stderr


def test_missing_weights_of_the_papers_size_tell_how_to_make_them():
    with pytest.raises(MissingError) as raised:
        fit("nexpr", [blobs()], preset="paper")
    assert "inrsr train nexpr VOLUME … --preset paper" in raised.value.advice
