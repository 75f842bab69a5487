"""The preset `paper` of the trainings against what the papers tell."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tinynetworks import blobs, small, training

from INRSuperResolutionLib import write
from INRSuperResolutionLib.methods.pretrained.encoder import parameters_of
from INRSuperResolutionLib.methods.pretrained.networks import ARCHITECTURES, make_network
from INRSuperResolutionLib.training.data import SliceSet, make_example
from INRSuperResolutionLib.training.loop import USUAL_STEPS, falling
from INRSuperResolutionLib.training.presets import convolutional_baseline, training_preset
from INRSuperResolutionLib.training.settings import TrainingSettings


def convolution(inputs: int, outputs: int, size: int) -> int:
    return (inputs * size + 1) * outputs


# EDSR's encoder: a first convolution, 16 blocks of two, a last one, 64 wide (Lim et al. 2017)
ENCODER = convolution(1, 64, 9) + 33 * convolution(64, 64, 9)
# NExpR: 64 → 256 of 2 × 2 pixels; the cell; four layers of 256 with a PReLU each and one before; 162 coefficients; 2 × 8 steps
NEXPR = convolution(64, 256, 4) + convolution(258, 256, 1) + 3 * convolution(256, 256, 1) + 5
NEXPR += convolution(256, 162, 1) + 16
# LIIF: 3 × 3 codes, 2 of the place and 2 of the cell → 256, five layers in all; the coordinate decoder: one code and the place
MLP = 3 * convolution(256, 256, 1) + convolution(256, 1, 1)
LIIF = convolution(64 * 9 + 4, 256, 1) + MLP
COORDINATE = convolution(64 + 2, 256, 1) + MLP
UPSAMPLER = convolution(64, 256, 9) + convolution(64, 1, 9)
# CycleINR: three blocks of six; 64 → 128; eight layers of 256 whose fourth is as wide as the input; three of attention
BLOCKS = convolution(1, 64, 27) + 18 * convolution(64, 64, 27) + convolution(64, 128, 27)
DECODER = (
    2 * convolution(131, 256, 1) + 4 * convolution(256, 256, 1) + convolution(256, 131, 1) + convolution(256, 1, 1)
)
ATTENTION = 3 * convolution(128, 128, 1)


@pytest.mark.parametrize(
    ("method", "count", "told"),
    [
        ("nexpr", ENCODER + NEXPR, 1.6e6),  # NExpR, Table 5
        ("liif", ENCODER + LIIF, 1.6e6),  # the same
        ("coordinate", ENCODER + COORDINATE, 1.6e6),  # "each model contains roughly 1.6 million"
        ("edsr", ENCODER + UPSAMPLER, 1.6e6),  # the same
        ("arssr", BLOCKS + DECODER, None),
        ("cycleinr", BLOCKS + DECODER + ATTENTION, None),
    ],
)
def test_networks_have_the_papers_parameters(method, count, told):
    found = parameters_of(make_network(ARCHITECTURES[method]["paper"]))
    assert found == count
    if told is not None:
        assert found == pytest.approx(told, rel=0.15)


def test_schedules_are_the_papers():
    nexpr = training_preset("nexpr", "paper")
    s, d = nexpr.settings, nexpr.data
    assert (s.learning_rate, s.weight_decay, s.batch, s.epochs, s.halve_every) == (1e-4, 1e-5, 16, 200, 50)
    assert (d.kinds, d.fine_crop, d.lowest_scale, d.highest_scale) == ("kspace", 256, 1, 4)
    rates = [falling(s, done) for done in (0.0, 0.24, 0.26, 0.49, 0.51, 0.76, 0.999)]
    assert rates == [1, 1, 0.5, 0.5, 0.25, 0.125, 0.125]

    coordinate = training_preset("coordinate", "paper")
    s, d = coordinate.settings, coordinate.data
    assert (s.denoise_weight, s.denoise_sigma, coordinate.steps) == (10, 0.03, 1000)
    assert (d.kinds, d.lowest_scale, d.highest_scale) == ("bicubic", 1, 2)
    assert falling(s, 0.9) == 1
    conv = convolutional_baseline()
    assert (conv.steps, conv.settings.denoise_weight, conv.data.lowest_scale, conv.data.highest_scale) == (
        100_000,
        0,
        2,
        2,
    )

    cycle = training_preset("cycleinr", "paper")
    s, d = cycle.settings, cycle.data
    assert (s.learning_rate, s.weight_decay, s.epochs, s.halve_every, s.cycle_weight) == (1e-4, 0, 3000, 200, 1)
    assert (d.lowest_scale, d.highest_scale, d.averaged, d.whole) == (2, 6, 0, 0)
    assert falling(s, 0.5) == 0.5**7  # epoch 1,500
    arssr = training_preset("arssr", "paper")
    assert (arssr.settings, arssr.data) == (dataclasses.replace(s, cycle_weight=0.0), d)
    for method in ARCHITECTURES:
        s = training_preset(method, "paper").settings
        assert (s.warmup, s.largest_gradient, s.squared) == (0, 0, False)


def test_our_own_trainings_are_as_before():
    for method in ARCHITECTURES:
        preset = training_preset(method, "fast")
        assert preset.settings == TrainingSettings(cycle_weight=1.0 if method == "cycleinr" else 0.0)
        assert preset.data == type(preset.data)()
    assert falling(TrainingSettings(), 0.5) == pytest.approx(0.5)


def test_whole_crops_lose_their_resolution(tmp_path):
    write(blobs((150, 140, 4)), tmp_path / "a.nii.gz")
    slices = SliceSet([str(tmp_path / "a.nii.gz")], tmp_path)
    assert slices.size == sum(len(s.useful) for s in slices.stacks)
    data = dataclasses.replace(training_preset("nexpr", "paper").data, fine_crop=96)
    for n in range(12):
        example = make_example(slices, data, np.random.default_rng(n), multiple=2)
        # all of the fine crop but its far end, which lies beyond the last coarse pixel and wraps around in k-space
        assert 93 <= min(example.target.shape) <= max(example.target.shape) <= 96
        assert example.slice.shape[0] == example.slice.shape[1]
        assert example.slice.shape[0] % 2 == 0
        assert example.slice.shape[0] - 96 / example.scale == pytest.approx(0.5, abs=1.01)
        assert 1 <= example.scale <= 4
        assert example.rows.max() <= example.slice.shape[0] - 1


def test_intensities_are_cut_to_a_window(tmp_path):
    volume = blobs()
    slices = SliceSet([volume], tmp_path, window=(50.0, 120.0))
    assert np.ptp(slices.stacks[0].data) == pytest.approx(70.0)


def test_a_training_ends_after_its_epochs(tmp_path):
    """Six slices in batches of four: two steps an epoch; slices of different sizes go through one step."""
    settings = TrainingSettings(
        batch=4, warmup=0, epochs=2, halve_every=1, every=1, mixed_precision=False, largest_gradient=0.0
    )
    made = training("nexpr", tmp_path, settings=settings, steps=None)
    assert make_network(small("nexpr")).multiple == 2
    told = made.run()
    assert told["step"] == 4
    np.testing.assert_allclose([row["rate"] for row in made.log], [1, 1, 0.5, 0.5])
    assert training("nexpr", tmp_path, "other.safetensors", steps=None).steps == USUAL_STEPS


@pytest.mark.parametrize("method", ARCHITECTURES)
def test_command_line_trains_by_the_paper(method, inrsr, tmp_path):
    shape = (24, 22, 20) if method in ("cycleinr", "arssr") else (72, 72, 3)
    affine = np.eye(4) if method in ("cycleinr", "arssr") else np.diag([1.0, 1.0, 4.0, 1.0])
    write(blobs(shape).replace(affine=affine), tmp_path / "a.nii.gz")
    small_ones = {"nexpr": ("width=8",), "liif": ("width=8",), "coordinate": ("width=8",), "edsr": ()}
    changes = [
        "features=4",
        "blocks=1",
        "batch=2",
        *small_ones.get(method, ("width=8", "latent=6", "crop=16", "slices=8")),
    ]
    settings = [part for change in changes for part in ("--set", change)]
    weights = tmp_path / "w.safetensors"
    done = inrsr(
        "train", method, tmp_path / "a.nii.gz", "--output", weights, "--preset", "paper", "--steps", 4, *settings
    )
    assert done.returncode == 0, done.stderr
    assert "all steps take about" in done.stderr
    out = tmp_path / "out.nii.gz"
    done = inrsr(
        "upscale", method, tmp_path / "a.nii.gz", "--output", out, "--preset", "paper", "--weights", weights,
        "--scale", *((1, 1, 1.5) if method in ("cycleinr", "arssr") else (1.5, 1.5, 1)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
