from __future__ import annotations

import csv
import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tinynetworks import DATA, QUICK, TRAINED, blobs, small, training

from INRSuperResolutionLib import InputError, write
from INRSuperResolutionLib.cli import train as command
from INRSuperResolutionLib.image.intensity import Scaling
from INRSuperResolutionLib.training.data import DataSettings, SliceSet, cut, make_example
from INRSuperResolutionLib.training.denoise import DENOISERS
from INRSuperResolutionLib.training.loop import Team
from INRSuperResolutionLib.training.settings import TrainingSettings


@pytest.mark.parametrize("kind", ["kspace", "area", "profile", "bicubic"])
@pytest.mark.parametrize("scale", [1.0, 1.7, 2.0, 3.3])
def test_examples_are_not_shifted(kind, scale):
    """A smooth wave is the same before and after: the spline through the coarse crop meets the truth."""
    y, x = np.mgrid[:96, :120]
    # periodic for the k-space crop; far coarser than any pixel
    fine = (2 + np.sin(2 * np.pi * y / 96) + np.cos(4 * np.pi * x / 120)).astype(np.float32)
    example = cut(fine, kind, scale, Scaling(0.0, 1.0), 24, np.random.default_rng(1))
    error = example.base - example.target
    inner = (slice(4, -4), slice(4, -4))
    softened = 0.02 if kind != "kspace" else 1e-3  # averaging lowers the peaks a little
    assert np.abs(error[inner]).max() < softened * scale**2
    gradients = [g[inner].ravel() for g in np.gradient(example.base)]
    shift = np.linalg.lstsq(np.stack(gradients, 1), error[inner].ravel(), rcond=None)[0]
    assert np.abs(shift).max() < 0.1  # fine pixels


def test_examples_hold_what_they_say(tmp_path):
    write(blobs(), tmp_path / "a.nii.gz")
    slices = SliceSet([str(tmp_path / "a.nii.gz")], tmp_path)
    assert [s.data.shape for s in slices.stacks] == [(6, 40, 44)]  # thick slices are seen in their own plane only
    for n in range(20):
        example = make_example(slices, DATA, np.random.default_rng(n), most_points=12)
        assert example.slice.shape == (16, 16)
        assert example.base.shape == example.target.shape == (len(example.rows), len(example.columns))
        assert len(example.rows) <= 12
        assert all(v.min() >= -0.5 and v.max() <= 15.5 for v in (example.rows, example.columns))
        assert np.isfinite(example.target).all()
    isotropic = blobs((40, 36, 34)).replace(affine=np.eye(4))
    write(isotropic, tmp_path / "b.nii.gz")
    assert len(SliceSet([str(tmp_path / "b.nii.gz")], tmp_path).stacks) == 3


def test_a_training_that_diverges_says_so(tmp_path):
    made = training("nexpr", tmp_path, steps=60)
    with torch.no_grad():  # as after a step that was far too large
        made.network.last.weight.fill_(float("nan"))
    with pytest.raises(InputError, match=r"diverged before step 20.*learning_rate"):
        made.run()
    assert not (tmp_path / "w.safetensors").exists()


@pytest.mark.parametrize("method", TRAINED)
def test_training_goes_down_and_writes_its_files(method, tmp_path):
    made = training(method, tmp_path, validation=[str(write_other(tmp_path))], steps=8)
    told = made.run()
    assert told["step"] == 8
    assert {p.name for p in tmp_path.iterdir()} >= {"w.safetensors", "w.checkpoint", "w.csv"}
    rows = list(csv.DictReader((tmp_path / "w.csv").read_text("utf-8").splitlines()))
    assert [r["step"] for r in rows] == ["4", "8"]
    assert all(float(r["validation_loss"]) > 0 for r in rows)


def write_other(folder):
    path = folder / "other.nii.gz"
    write(blobs(seed=1), path)
    return path


@pytest.mark.parametrize("method", ["nexpr", "arssr"])
def test_squared_differences(method, tmp_path):
    """A network that predicts nothing yet has the spline's mean absolute, or mean squared, error as its loss."""
    made = training(method, tmp_path, settings=dataclasses.replace(QUICK, squared=True))
    (tmp_path / "set").mkdir()
    drawn_from = made.lessons.gather(made.volumes, tmp_path / "set")
    examples = [made.lessons.draw(drawn_from, np.random.default_rng(n)) for n in range(3)]
    with torch.no_grad():
        torch.nn.init.zeros_(made.network.last.weight)
        torch.nn.init.zeros_(made.network.last.bias)
        errors = [made.lessons.errors(e)[0] for e in examples]
        assert float(made.lessons.loss(examples)) == pytest.approx(np.mean([np.mean(e**2) for e in errors]), rel=1e-4)
        made.lessons.settings = QUICK
        assert float(made.lessons.loss(examples)) == pytest.approx(
            np.mean([np.abs(e).mean() for e in errors]), rel=1e-4
        )


def test_resumed_training_gives_the_same_bits(tmp_path):
    training("nexpr", tmp_path, "whole.safetensors").run()
    killed = training("nexpr", tmp_path, "parts.safetensors")
    record = killed._record

    def die_after_the_checkpoint(*arguments):
        record(*arguments)
        raise KeyboardInterrupt

    killed._record = die_after_the_checkpoint
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    resumed = training("nexpr", tmp_path, "parts.safetensors", resume=True)
    assert resumed.step == 4
    resumed.run()
    whole, parts = (load_file(tmp_path / f"{n}.safetensors") for n in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, parts[name]), name


def test_workers_draw_the_same_examples(tmp_path):
    alone = training("nexpr", tmp_path, "alone.safetensors", steps=3)
    helped = training("nexpr", tmp_path, "helped.safetensors", steps=3, workers=1)
    alone.run()
    helped.run()
    for name, tensor in alone.network.state_dict().items():
        assert torch.equal(tensor, helped.network.state_dict()[name]), name


KILLED = """
import dataclasses, multiprocessing, os, pathlib, signal, sys
from tinynetworks import QUICK, training
from INRSuperResolutionLib.progress import Progress

def end(event):
    if event["event"] == "progress" and event["stage"] == "fit" and event["fraction"] > 0:
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

settings = dataclasses.replace(QUICK, batch=16)
training("nexpr", pathlib.Path(sys.argv[1]), settings=settings, steps=1000, workers=1, progress=Progress(end)).run()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_with_a_killed_training(tmp_path):
    """Also the one that waits until its examples are taken: they are more than a pipe holds."""
    folder = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{folder.parent}"}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path], capture_output=True, text=True, env=environment, timeout=120
    )
    (worker,) = map(int, done.stdout.split())
    until = time.monotonic() + 30
    while is_running(worker) and time.monotonic() < until:
        time.sleep(0.1)
    assert not is_running(worker)


def is_running(process: int) -> bool:
    """And not only left to be reaped."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_gpu_gets_workers(monkeypatch):
    monkeypatch.setattr(command, "usable_cores", lambda: 16)
    assert [command.usual_workers(d) for d in ("cpu", "cuda")] == [0, 8]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert command.usual_workers("cuda") == 3
    monkeypatch.setattr(command, "usable_cores", lambda: 1)
    assert command.usual_workers("cuda") == 0


def test_each_process_of_several_has_its_own_gpu(monkeypatch):
    called = []
    monkeypatch.setattr(torch.cuda, "set_device", called.append)
    monkeypatch.setattr(torch.distributed, "init_process_group", called.append)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 5)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 8)
    for name, value in {"WORLD_SIZE": "8", "RANK": "5", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert Team.join("cuda") == Team(5, 8)
    assert called == [1, "nccl"]


def test_resume_refuses_what_does_not_fit(tmp_path):
    with pytest.raises(InputError, match="no checkpoint"):
        training("nexpr", tmp_path, resume=True)
    training("nexpr", tmp_path, steps=4).run()
    with pytest.raises(InputError, match="seed = 0, not 1"):
        training("nexpr", tmp_path, steps=4, resume=True, seed=1)
    with pytest.raises(InputError, match="another network"):
        training("nexpr", tmp_path, steps=4, resume=True, architecture=small("nexpr", features=8))
    (tmp_path / "w.checkpoint").write_bytes(b"\x80 not ours")
    with pytest.raises(InputError, match="cannot read the checkpoint"):
        training("nexpr", tmp_path, steps=4, resume=True)


def test_another_encoder_is_a_start(tmp_path):
    training("nexpr", tmp_path, "first.safetensors", steps=2).run()
    second = training("coordinate", tmp_path, "second.safetensors", start=str(tmp_path / "first.safetensors"))
    first = load_file(tmp_path / "first.safetensors")
    assert torch.equal(second.network.state_dict()["encoder.tail.weight"], first["encoder.tail.weight"])
    with pytest.raises(InputError, match="no layer"):
        training(
            "coordinate",
            tmp_path,
            architecture=small("coordinate", features=6, blocks=0),
            start=str(tmp_path / "first.safetensors"),
        )


def test_patience_ends_a_training_that_gets_no_better(tmp_path):
    settings = TrainingSettings(
        batch=1, every=1, validation_examples=1, patience=2, learning_rate=0.0, mixed_precision=False
    )
    made = training("edsr", tmp_path, settings=settings, validation=[str(write_other(tmp_path))], steps=50)
    assert made.run()["step"] == 3


@pytest.mark.parametrize("name", DENOISERS)
def test_denoising_loss(name, tmp_path):
    noisy = 0.5 + np.random.default_rng(0).normal(0, 0.03, (40, 40)).astype(np.float32)
    assert DENOISERS[name](noisy, 0.03).std() < 0.7 * noisy.std()
    settings = TrainingSettings(denoise_weight=10.0, denoiser=name, batch=1, mixed_precision=False)
    plain, denoised = (training("coordinate", tmp_path, settings=s, steps=1) for s in (QUICK, settings))
    for made in (plain, denoised):
        made.run()
    assert denoised.log[-1]["loss"] != plain.log[-1]["loss"]


@pytest.mark.parametrize(
    ("settings", "values", "message"),
    [
        (DataSettings, {"kinds": "kspace+interval"}, "'interval'"),
        (DataSettings, {"lowest_scale": 0.5}, r"0\.5"),
        (DataSettings, {"crop": 17}, "17"),
        (DataSettings, {"gamma": 0.5}, r"0\.5"),
        (TrainingSettings, {"denoiser": "bm3d"}, "'bm3d'"),
        (TrainingSettings, {"batch": 0}, "batch"),
        (TrainingSettings, {"halve_every": 5}, "epochs"),
        (DataSettings, {"fine_crop": 40}, "40"),
        (DataSettings, {"darkest": 5.0, "brightest": 5.0}, "darkest 5"),
    ],
)
def test_bad_settings_are_refused(settings, values, message):
    with pytest.raises(InputError, match=message):
        settings(**values)


def test_command_line_refuses_bad_input(inrsr, tmp_path):
    volume = write_other(tmp_path)
    out = tmp_path / "w.safetensors"
    for arguments, message in (
        (("seco", volume, "--output", out), "seco"),
        (("nexpr", volume, "--output", tmp_path / "w.pth"), ".safetensors"),
        (("nexpr", volume, "--output", out, "--steps", -3), "-3"),
        (("nexpr", volume, "--output", out, "--workers", -2), "-2"),
        (("nexpr", volume, "--output", out, "--validate", volume), "other.nii.gz"),
        (("nexpr", volume, "--output", out, "--set", "depth=3"), "depth"),
        (("nexpr", tmp_path / "none.nii.gz", "--output", out), "none.nii.gz"),
        (("nexpr", volume, "--output", out, "--resume"), "w.checkpoint"),
    ):
        done = inrsr("train", *arguments)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert not out.exists()


def test_command_line_trains(inrsr, tmp_path):
    volume = write_other(tmp_path)
    changes = ("features=4", "blocks=1", "width=8", "batch=1", "crop=16", "highest_scale=2")
    settings = [part for change in changes for part in ("--set", change)]
    done = inrsr("train", "nexpr", volume, "--output", tmp_path / "w.safetensors", "--steps", 2, "--half", *settings)
    assert done.returncode == 0, done.stderr
    assert {t.dtype for t in load_file(tmp_path / "w.safetensors").values()} == {torch.float16}
