"""The measures of ``inrsr evaluate`` against outside implementations and cases whose answer is known."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from phantoms import phantom
from scipy import ndimage
from skimage.metrics import normalized_mutual_information, peak_signal_noise_ratio

from INRSuperResolutionLib import Volume, write
from INRSuperResolutionLib.cli import main
from INRSuperResolutionLib.evaluation.fidelity import visual_information, volume_information
from INRSuperResolutionLib.evaluation.metrics import compare, in_its_unit, shared_information, why_they_differ
from INRSuperResolutionLib.evaluation.overlap import label_agreement
from INRSuperResolutionLib.evaluation.ring_correlation import first_fall, ring_correlation, scan_patches, windowed
from INRSuperResolutionLib.evaluation.table import MEANING, difference_told


def picture(shape=(64, 70), seed=0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rough = ndimage.gaussian_filter(rng.standard_normal(shape), 2)
    return 120 + 60 * rough / rough.std() * 0.6


CHANGES = {
    "noise": lambda a: a + np.random.default_rng(1).normal(0, 8, a.shape),
    "blur": lambda a: ndimage.gaussian_filter(a, 1.5),
    "contrast": lambda a: 128 + 1.3 * (a - 128),
    "inverted": lambda a: 255 - a,
}


@pytest.mark.parametrize("change", CHANGES)
def test_vif_against_torchmetrics(change):
    """Its implementation follows those of piq and sewar, which follow the authors' own."""
    torchmetrics = pytest.importorskip("torchmetrics.functional.image", reason="torchmetrics is not installed")
    torch = pytest.importorskip("torch")
    reference = picture()
    result = CHANGES[change](reference)
    pair = (torch.from_numpy(a[None, None].copy()).double() for a in (result, reference))
    outside = float(torchmetrics.visual_information_fidelity(*pair))
    assert visual_information(result, reference) == pytest.approx(outside, rel=1e-6, abs=1e-9)


def test_vif_of_equal_blurred_and_stronger_pictures():
    reference = picture()
    found = {name: visual_information(change(reference), reference) for name, change in CHANGES.items()}
    assert visual_information(reference, reference) == pytest.approx(1)
    assert found["inverted"] < 0.01 < found["blur"] < 1 < found["contrast"]
    assert np.isnan(visual_information(np.zeros((40, 99)), np.zeros((40, 99))))  # too small
    assert np.isnan(visual_information(reference, np.full_like(reference, 7)))  # nothing to lose


def test_vif_of_a_volume_is_the_mean_of_its_slices():
    reference = np.stack([picture(seed=s) for s in range(3)]) / 255
    result = ndimage.gaussian_filter(reference, 1)
    everywhere = np.ones(reference.shape, bool)
    slices = [visual_information(255 * a, 255 * b) for a, b in zip(result, reference)]
    assert volume_information(result, reference, everywhere, 0) == pytest.approx(np.mean(slices))
    assert np.isnan(volume_information(result, reference, everywhere, 2))  # three rows only


def rings_one_by_one(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Fourier ring correlation as the authors of sFRC write it, pixel by pixel, with the spectrum's centre in the middle."""
    size = len(a)
    fa, fb = (np.fft.fftshift(np.fft.fft2(x)) for x in (a, b))
    found = []
    for ring in range(size // 2):
        cross, own, other = 0j, 0.0, 0.0
        for r in range(size):
            for c in range(size):
                radius = np.sqrt((r - size // 2) ** 2 + (c - size // 2) ** 2)
                share = ((int(np.floor(radius)) == ring) + (int(np.ceil(radius)) == ring)) / 2
                cross += share * fa[r, c] * np.conj(fb[r, c])
                own += share * abs(fa[r, c]) ** 2
                other += share * abs(fb[r, c]) ** 2
        found.append(abs(cross.real) / np.sqrt(own * other))
    return np.array(found)


def test_ring_correlation_against_the_definition():
    rng = np.random.default_rng(0)
    a = rng.random((16, 16))
    b = a + 0.5 * rng.random((16, 16))
    frequency, found = ring_correlation(b, a, (0.5, 0.5))
    np.testing.assert_allclose(found, rings_one_by_one(a, b), rtol=1e-9)
    np.testing.assert_allclose(frequency, np.fft.fftfreq(16, 0.5)[:8])


def test_rings_are_of_the_frequency_where_pixels_are_not_square():
    """A wave of 0.125 / mm along each axis in turn: its ring is the same, whatever the pixels."""
    for spacing in ((1.0, 1.0), (1.0, 2.0), (2.0, 1.0)):
        at = [s * np.arange(32) for s in spacing]
        for axis in (0, 1):
            wave = np.cos(2 * np.pi * 0.125 * at[axis]).reshape((-1, 1) if axis == 0 else (1, -1)) * np.ones((32, 32))
            frequency, found = ring_correlation(wave + 1, -wave + 1, spacing)
            assert found[np.argmin(np.abs(frequency - 0.125))] == pytest.approx(1)
            frequency, found = ring_correlation(np.ones((32, 32)), wave + 1, spacing)
            assert found[np.argmin(np.abs(frequency - 0.125))] == pytest.approx(0, abs=1e-6)


def test_where_a_curve_first_meets_the_threshold():
    x = np.arange(6.0)
    assert first_fall(x, np.array([1, 0.9, 0.5, 0.3, 0.9, 0.1]), 0.6) == pytest.approx(1.75)
    assert first_fall(x, np.array([1, 0.9, 0.8, 0.8, 0.9, 0.1]), 0.6) == np.inf  # the last point does not count


def volume_of_patches() -> tuple[np.ndarray, np.ndarray]:
    """Texture, and the same with detail of its own beyond 0.2 / mm; in one patch of the middle slice from 0.05 / mm on."""
    rng = np.random.default_rng(3)
    shape = (3, 96, 96)
    reference, other = (ndimage.gaussian_filter(rng.standard_normal(shape), (0, 1, 1)) for _ in range(2))
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(96), np.fft.fftfreq(96), indexing="ij"))

    def mixed(limit: float) -> np.ndarray:
        spectra = (np.fft.fft2(a, axes=(1, 2)) for a in (reference, other))
        return np.fft.ifft2(np.where(radius < limit, *spectra), axes=(1, 2)).real

    result = mixed(0.2)
    result[1, 48:, :48] = mixed(0.05)[1, 48:, :48]
    return result, reference


def test_patches_that_were_altered_are_found():
    result, reference = volume_of_patches()
    everywhere = np.ones(reference.shape, bool)
    found = scan_patches(result, reference, everywhere, 0, (5.0, 1.0, 1.0), 0.5)
    assert len(found.agrees_to) == 3 * 4
    odd = np.argmin(found.agrees_to)
    np.testing.assert_array_equal(found.first[odd], (1, 48, 0))
    np.testing.assert_array_equal(found.worst(), (1, 72, 24))
    np.testing.assert_allclose(np.delete(found.agrees_to, odd), 0.2, atol=0.03)
    assert found.agrees_to[odd] == pytest.approx(0.05, abs=0.03)
    assert found.below(0.125) == pytest.approx(1 / 12)
    alike = scan_patches(reference, reference, everywhere, 0, (5.0, 1.0, 1.0), 0.5)
    assert alike.below(0.125) == 0 and alike.told() == alike.frequency[-1]
    everywhere[:, :, 60:] = False  # less than half of the patches of the second column
    assert len(scan_patches(result, reference, everywhere, 0, (5.0, 1.0, 1.0), 0.5).agrees_to) == 6


def test_patches_know_no_scale():
    result, reference = volume_of_patches()
    np.testing.assert_allclose(windowed(3 * result[0] - 7), windowed(result[0]), atol=1e-12)
    assert (windowed(np.full((8, 8), 3.0)) == 0).all()
    assert ring_correlation(np.zeros((8, 8)), reference[0, :8, :8])[1].max() == 0  # all is lost, nothing agrees


def test_shared_information_against_scikit_image():
    rng = np.random.default_rng(1)
    a = rng.random((20, 20, 20))
    b = 0.5 * a + 0.5 * rng.random(a.shape)
    everywhere = np.ones(a.shape, bool)
    assert shared_information(a, b, everywhere) == pytest.approx(normalized_mutual_information(a, b, bins=32), rel=1e-9)
    assert shared_information(1 - 3 * a, a, everywhere) == pytest.approx(2)


def test_errors_in_the_unit_of_the_image():
    ct = np.full((4, 4, 4), -1000.0)
    mask = np.zeros(ct.shape, bool)
    mask[1:3] = True
    result = np.where(mask, ct + 30, 5000)
    result[1] += 10
    found = in_its_unit(result, ct, mask)
    assert found == {"rmse": pytest.approx(np.sqrt((40**2 + 30**2) / 2)), "mean_error": pytest.approx(35), "unit": "HU"}
    assert in_its_unit(result + 2000, ct + 2000, mask)["unit"] == "grey levels"


def test_why_the_conventions_disagree():
    truth = np.clip(phantom((20, 21, 22)).data, 0, None).astype(np.float64)
    mask = np.zeros(truth.shape, bool)
    mask[3:17, 4:15, 5:20] = True
    truth[~mask] = 0
    truth[8, 8, 8] = 3 * truth.max()
    result = np.where(mask, truth + np.random.default_rng(0).normal(0, 5, truth.shape), 0)
    figures = compare(result, truth, mask)
    parts = why_they_differ(result, truth, mask)
    assert sum(parts.values()) == pytest.approx(figures["reference"]["psnr"] - figures["clean"]["psnr"])
    assert parts["background"] == pytest.approx(10 * np.log10(mask.size / mask.sum()))
    top = np.percentile(truth[mask], 99.9)
    assert parts["range"] == pytest.approx(20 * np.log10(np.ptp(truth[mask]) / top))
    exact = peak_signal_noise_ratio(truth[mask], result[mask], data_range=top)
    assert parts["clipping"] == pytest.approx(exact - figures["clean"]["psnr"])
    brighter = why_they_differ(np.where(mask, 2 * truth, 0), truth, mask)
    assert brighter["own_scale"] > 100, "a wrong scale is hidden"
    told = difference_told(parts)
    assert "background" in told and "darkest to the brightest" in told
    assert difference_told(dict.fromkeys(parts, 0.1)) == ""
    assert difference_told(why_they_differ(truth, truth, mask)) == "", "no error, nothing to explain"


def test_volumes_of_labels_are_in_ml():
    data = np.zeros((10, 10, 10), np.float32)
    data[2:6, 2:7, 2:8] = 2
    turned = np.array([[0, -2.0, 0, 0], [1.0, 0, 0, 0], [0, 0, 5.0, 0], [0, 0, 0, 1]])
    labels = Volume(data, turned, name="labels")
    smaller = labels.replace(data=np.where(np.arange(10) < 7, data, 0))
    found = label_agreement(smaller, labels, 1.0)[2]
    assert found["reference_ml"] == pytest.approx(4 * 5 * 6 * 10 / 1000)
    assert found["ml"] == pytest.approx(4 * 5 * 5 * 10 / 1000)


@pytest.fixture
def files(tmp_path):
    truth = phantom((52, 50, 48), np.diag([1, 1, 1.0, 1]))
    result = truth.replace(data=truth.data + np.random.default_rng(1).normal(0, 3, truth.shape))
    thick = truth.replace(data=truth.data[:, :, ::4], affine=truth.affine @ np.diag([1, 1, 4, 1]))
    for name, volume in (("truth", truth), ("result", result), ("thick", thick)):
        write(volume, tmp_path / f"{name}.nii.gz")
    return tmp_path


def test_the_table_says_what_each_figure_means(files, capsys):
    labels = Volume((np.arange(48) > 20) * np.ones((52, 50, 1)), np.diag([1, 1, 1.0, 1]))
    write(labels, files / "labels.nii.gz")
    pair = [str(files / "result.nii.gz"), str(files / "truth.nii.gz")]
    both = [str(files / "labels.nii.gz")] * 2
    assert main(["evaluate", *pair, "--lowres", str(files / "thick.nii.gz"), "--labels", *both, "--contrast", *pair,
                 "--csv", str(files / "all.csv"), "--sfrc-plot", str(files / "sfrc.png")]) == 0  # fmt: skip
    text = capsys.readouterr().out
    with (files / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {r["metric"] for r in rows} == set(MEANING) - {"LPIPS"}
    for row in rows:
        assert row["meaning"] == MEANING[row["metric"]] and row["meaning"] in text
        float(row["value"])
    assert text.count(MEANING["VIF"]) == 1
    assert {r["of"] for r in rows if r["metric"] == "volume"} == {"label 1"}
    assert (files / "sfrc.png").stat().st_size > 5000
    assert main(["evaluate", *pair, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["sfrc"]["hallucination_per_mm"] is None and figures["sfrc"]["axes"][0]["altered"] is None
    assert sum(figures["why"].values()) == pytest.approx(figures["reference"]["psnr"] - figures["clean"]["psnr"])
    assert main(["evaluate", *pair, "--csv", str(files / "nowhere" / "a.csv")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_lpips_that_is_not_installed_is_refused(files, capsys, monkeypatch):
    from INRSuperResolutionLib.evaluation import perceptual

    perceptual.network.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "lpips", None)  # as if it were not there
    arguments = ["evaluate", str(files / "result.nii.gz"), str(files / "truth.nii.gz"), "--lpips", "alex"]
    assert main(arguments) == 5
    told = capsys.readouterr()
    assert "the package lpips is not installed" in told.err and "[lpips]" in told.err and not told.out


def test_lpips_without_weights_is_refused_and_nothing_is_downloaded(files, capsys, monkeypatch):
    from types import ModuleType

    from INRSuperResolutionLib.evaluation import perceptual

    perceptual.network.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "lpips", ModuleType("lpips"))
    monkeypatch.setenv("TORCH_HOME", str(files))
    arguments = ["evaluate", str(files / "result.nii.gz"), str(files / "truth.nii.gz"), "--lpips", "vgg"]
    assert main(arguments) == 5
    assert "vgg16-*.pth" in capsys.readouterr().err
