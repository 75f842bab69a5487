"""What holds for every method that is trained ahead to restore slices in their plane."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from phantoms import leftovers
from tinynetworks import SLICEWISE, TRAINED, blobs, random_weights, training

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib import InputError, MissingError, Volume, write
from INRSuperResolutionLib.acquisition.slice_axis import slice_axis
from INRSuperResolutionLib.methods.plain.zero_filling import ZeroFilling
from INRSuperResolutionLib.methods.pretrained.encoder import lattice_points
from INRSuperResolutionLib.methods.pretrained.networks import make_network
from INRSuperResolutionLib.methods.pretrained.slicewise import blend
from INRSuperResolutionLib.methods.pretrained.weights import (
    FOLDER,
    candidates,
    fitting_weights,
    load_weights,
    save_weights,
    shipped,
)
from INRSuperResolutionLib.progress import Progress


@pytest.fixture(params=SLICEWISE)
def method(request) -> str:
    return request.param


def test_lattice_and_scattered_points_agree(method, tmp_path):
    weights = load_weights(str(random_weights(method, tmp_path / "w.safetensors")), method)
    from INRSuperResolutionLib.methods.pretrained.trained_network import load_network

    network = load_network(weights)
    with torch.inference_mode():
        code = network.encode(torch.randn(1, 1, 12, 14), torch.full((1,), 2.0))[0]
        rows, columns = torch.arange(0, 11, 0.25).double(), torch.arange(0.1, 13, 0.25).double()
        lattice = network.residual(code, rows, columns)
        scattered = network.at(code, lattice_points(rows, columns)).reshape(lattice.shape)
    torch.testing.assert_close(scattered, lattice, rtol=0, atol=2e-5 * float(lattice.abs().max()))


def test_upscale_through_the_command_line(method, inrsr, tmp_path):
    weights = random_weights(method, tmp_path / "w.safetensors")
    write(blobs((20, 24, 3)), tmp_path / "in.nii.gz")
    arguments = ("--weights", weights, "--scale", 1.5, 1.5, 1, "--set", "check=false", "--report", tmp_path / "r.json")
    done = inrsr("upscale", method, tmp_path / "in.nii.gz", "--output", tmp_path / "o.nii.gz", *arguments)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["weights"]["sha256"] == load_weights(str(weights), method).sha256
    assert report["outputs"][0]["shape"] == [30, 36, 3]
    assert report["parameters"] > 0


def test_constant_in_constant_out(method, tmp_path):
    weights = random_weights(method, tmp_path / "w.safetensors")
    volume = Volume(np.full((40, 36, 4), 37.5), np.diag([1, 1, 3, 1.0]))
    made = inrsr.fit(method, [volume], settings={"weights": str(weights)})
    np.testing.assert_allclose(made.sample(volume.grid.scaled((2.3, 1.9, 1)))[0].data, 37.5, rtol=1e-4)


def test_falls_back_to_zero_filling_where_the_network_would_lose(method, tmp_path):
    weights = random_weights(method, tmp_path / "w.safetensors")  # random: certain to lose
    volume = blobs()
    events = []
    made = inrsr.fit(method, [volume], settings={"weights": str(weights)}, progress=events.append)
    assert any("zero filling is used instead" in str(e.get("message")) for e in events)
    grid = volume.grid.scaled((2, 2, 1))
    np.testing.assert_array_equal(made.sample(grid)[0].data, np.maximum(ZeroFilling(volume)(grid), volume.data.min()))
    made.save(tmp_path / "a.inr")
    np.testing.assert_array_equal(inrsr.load(tmp_path / "a.inr").sample(grid)[0].data, made.sample(grid)[0].data)


def test_slices_too_small_to_check_are_zero_filled(tmp_path):
    weights = random_weights("nexpr", tmp_path / "w.safetensors")
    events = []
    made = inrsr.fit("nexpr", [blobs((12, 14, 2))], settings={"weights": str(weights)}, progress=events.append)
    assert any("too small" in str(e.get("message")) for e in events)
    assert made.provenance["zero_filled"] == [True]


def test_scales_beyond_the_training_are_warned_of(tmp_path):
    training("nexpr", tmp_path, steps=1).run()  # scales up to 2
    volume, events = blobs((20, 20, 2)), []
    made = inrsr.fit("nexpr", [volume], settings={"weights": str(tmp_path / "w.safetensors"), "check": False})
    for scale in (2, 3):
        made.sample(volume.grid.scaled((scale, scale, 1)), Progress(events.append))
        assert any("3.0 times finer" in str(e.get("message")) for e in events) is (scale == 3)


@pytest.mark.parametrize("size", [(20, 21), (16, 30)])
def test_zero_filling_extends_kspace(size):
    """Against the inverse of a k-space crop: FFT, zeros around the centre, inverse FFT, real part."""
    rng = np.random.default_rng(0)
    image = rng.random(size)
    finer = tuple(2 * n for n in size)
    spectrum = np.zeros(finer, complex)
    corner = [m // 2 - n // 2 for n, m in zip(size, finer)]
    box = tuple(slice(c, c + n) for c, n in zip(corner, size))
    spectrum[box] = np.fft.fftshift(np.fft.fft2(image))
    wanted = np.fft.ifft2(np.fft.ifftshift(spectrum)).real * 4
    affine = np.diag([0.5, 0.5, 1, 1.0])
    volume = Volume(image[..., None], np.eye(4))
    found = ZeroFilling(volume)(inrsr.Grid((*finer, 1), affine))[..., 0]
    # the highest frequency of both axes at once, whose phase has no unique continuation
    corner_wave = abs(np.fft.fft2(image)[size[0] // 2, size[1] // 2]) / image.size
    np.testing.assert_allclose(
        found, wanted, rtol=0, atol=1e-5 + 8 * corner_wave * (size[0] % 2 == size[1] % 2 == 0) + 0.05
    )
    np.testing.assert_allclose(found[::2, ::2], image, atol=1e-5)


def test_zero_filling_on_an_oblique_grid():
    volume = blobs((24, 26, 5))
    straight = volume.grid.scaled((2, 2, 1))
    inner = straight.crop((slice(4, 40), slice(4, 44), slice(0, 5)))
    affine = inner.affine.copy()
    affine[:3, :3] = affine[:3, :3] @ np.array([[1, 1e-5, 0], [-1e-5, 1, 0], [0, 0, 1.0]])
    a, b = (ZeroFilling(volume)(g) for g in (inner, inrsr.Grid(inner.shape, affine)))
    assert np.abs(a - b).max() < 0.02 * np.ptp(a)


def test_slices_lie_across_the_single_or_the_coarse_axis():
    def axis(shape, spacing):
        return slice_axis(Volume(np.zeros(shape), np.diag([*spacing, 1.0])))

    assert axis((9, 9, 9), (1, 1, 1)) == 2
    assert axis((9, 9, 9), (4, 1, 1)) == 0
    assert axis((9, 9, 1), (4, 1, 1)) == 2  # a single slice, however thin
    assert axis((1, 9, 1), (2, 1, 1)) == 0


def test_blend_weights_add_up():
    across = np.array([2.0, 0.0, 0.25, 3.0, 1.5, 2.75])
    total = np.zeros(6)
    mean = np.zeros(6)
    for number, places, weights in blend(across, 4):
        total[places] += weights
        mean[places] += weights * number
    np.testing.assert_allclose(total, 1)
    np.testing.assert_allclose(mean, across)
    assert [(n, p.tolist()) for n, p, _ in blend(np.zeros(2), 1)] == [(0, [0, 1])]


def test_shipped_weights_are_whole_and_fit_their_networks():
    sums = shipped()
    assert {p.stem for p in FOLDER.glob("*.safetensors")} == set(sums)
    for name in sums:
        weights = load_weights(name, None)
        from INRSuperResolutionLib.methods.pretrained.networks import architecture_of

        network = make_network(architecture_of(weights.method, weights.architecture))
        network.load_state_dict(weights.tensors)
        assert (FOLDER / f"{name}.md").is_file(), "every weights file has a model card"


def test_bad_weights_are_refused(inrsr, tmp_path):
    write(blobs((20, 20, 2)), tmp_path / "in.nii.gz")
    good = random_weights("nexpr", tmp_path / "good.safetensors").read_bytes()
    files = {
        "pickled": b"\x80\x04\x95pickle",
        "zipped": b"PK\x03\x04 a torch file",
        "cut": good[:-40],
        "noise": bytes(range(256)) * 4,
        "empty": b"",
    }
    for name, content in files.items():
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    random_weights("liif", tmp_path / "other.safetensors")
    for name in [*files, "other", "absent"]:
        with pytest.raises(MissingError):
            load_weights(str(tmp_path / f"{name}.safetensors"), "nexpr")
    arguments = ("upscale", "nexpr", tmp_path / "in.nii.gz", "--output", tmp_path / "o.nii.gz", "--weights")
    for name in (tmp_path / "pickled.safetensors", "unheard-of"):
        done = inrsr(*arguments, name)
        assert done.returncode == 5
        assert len(done.stderr.strip().splitlines()) == 1
        assert not (tmp_path / "o.nii.gz").exists()
    assert leftovers(tmp_path) == []


def test_good_weights_that_begin_like_a_pickle_are_read(tmp_path):
    """The length of the header comes first in the file; its lowest byte may be any multiple of 8."""
    path, firsts = tmp_path / "w.safetensors", set()
    for extra in range(0, 256, 8):
        save_weights(path, "nexpr", {}, {"note": "x" * extra}, {"a": torch.ones(1)})
        firsts.add(path.read_bytes()[0])
        assert load_weights(str(path), "nexpr").tensors["a"] == 1
    assert 0x80 in firsts


@pytest.mark.parametrize("method", TRAINED)
def test_weights_self_learn_from_the_volume(method, tmp_path, monkeypatch):
    """The shipped weights go on learning on the input."""
    volume = blobs((40, 36, 6))
    path = random_weights(method, tmp_path / f"{method}.safetensors")
    monkeypatch.setattr("INRSuperResolutionLib.methods.pretrained.weights.FOLDER", tmp_path)
    sums = {method: hashlib.sha256(path.read_bytes()).hexdigest()}
    (tmp_path / "checksums.json").write_text(json.dumps(sums))
    events = []
    settings = {"weights": "self", "train_seconds": 2.0, "check": False}
    made = inrsr.fit(method, [volume], settings=settings, progress=events.append)
    assert made.provenance["steps"] >= 1
    assert made.provenance["weights"]["sha256"] != sums[method]
    assert made.sample(volume.grid.isotropic())[0].shape == (40, 36, 24)
    fractions = [e["fraction"] for e in events if e.get("stage") == "fit"]
    assert fractions == sorted(fractions)
    with pytest.raises(InputError, match="train_seconds"):
        inrsr.fit(method, [volume], settings={**settings, "train_seconds": 0.0})


def test_weights_are_chosen_for_ct(tmp_path, monkeypatch):
    monkeypatch.setattr("INRSuperResolutionLib.methods.pretrained.weights.FOLDER", tmp_path)
    (tmp_path / "checksums.json").write_text(json.dumps({"nexpr": "", "nexpr-ct": "", "liif": ""}))
    mr, ct = blobs(), blobs()
    ct = ct.replace(data=ct.data * 10 - 1000)
    assert fitting_weights("auto", "nexpr", [ct]) == "nexpr-ct"
    assert fitting_weights("auto", "nexpr", [mr]) == "nexpr"
    assert fitting_weights("auto", "nexpr", [ct, mr]) == "nexpr"
    assert fitting_weights("auto", "liif", [ct]) == "liif"
    assert fitting_weights("mine.safetensors", "nexpr", [ct]) == "mine.safetensors"


def test_weights_for_a_contrast_are_candidates_for_mr(tmp_path, monkeypatch):
    monkeypatch.setattr("INRSuperResolutionLib.methods.pretrained.weights.FOLDER", tmp_path)
    names = ["arssr", "cycleinr-mr-t1", "cycleinr-ct", "cycleinr", "cycleinr-paper"]
    (tmp_path / "checksums.json").write_text(json.dumps(dict.fromkeys(names, "")))
    mr, ct = blobs(), blobs()
    ct = ct.replace(data=ct.data * 10 - 1000)
    assert candidates("cycleinr", [mr]) == ["cycleinr", "cycleinr-mr-t1"]
    assert candidates("cycleinr", [ct]) == ["cycleinr-ct"]
    assert candidates("arssr", [mr]) == candidates("arssr", [ct]) == ["arssr"]


def test_weights_for_averages_are_candidates_where_slices_are_averages(tmp_path, monkeypatch):
    monkeypatch.setattr("INRSuperResolutionLib.methods.pretrained.weights.FOLDER", tmp_path)
    names = ["cycleinr", "cycleinr-ct", "cycleinr-mr-t1", "cycleinr-averaged", "arssr"]
    mr, ct = blobs(), blobs()
    ct = ct.replace(data=ct.data * 10 - 1000)
    for known, of_mr, of_ct in (
        (names, ["cycleinr-averaged"], ["cycleinr-averaged"]),
        ([*names, "cycleinr-averaged-ct"], ["cycleinr-averaged"], ["cycleinr-averaged-ct"]),
        (names[:3], ["cycleinr", "cycleinr-mr-t1"], ["cycleinr-ct"]),
    ):
        (tmp_path / "checksums.json").write_text(json.dumps(dict.fromkeys(known, "")))
        assert candidates("cycleinr", [mr], averaged=True) == of_mr
        assert candidates("cycleinr", [ct], averaged=True) == of_ct
        assert candidates("cycleinr", [mr]) == ["cycleinr", "cycleinr-mr-t1"]
    (tmp_path / "checksums.json").write_text(json.dumps({"arssr": ""}))
    assert candidates("arssr", [mr], averaged=True) == ["arssr"]


def test_damaged_shipped_weights_are_noticed(monkeypatch, tmp_path):
    random_weights("nexpr", tmp_path / "nexpr.safetensors")
    (tmp_path / "checksums.json").write_text(json.dumps({"nexpr": "0" * 64}))
    monkeypatch.setattr("INRSuperResolutionLib.methods.pretrained.weights.FOLDER", tmp_path)
    with pytest.raises(MissingError, match="SHA-256"):
        load_weights("nexpr", "nexpr")
