from __future__ import annotations

import numpy as np
import pytest
import torch
from phantoms import phantom

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib import Grid, Volume
from INRSuperResolutionLib.acquisition.degrade import degrade
from INRSuperResolutionLib.acquisition.forward_model import SliceProfile
from INRSuperResolutionLib.evaluation.metrics import psnr
from INRSuperResolutionLib.image.interpolate import resample
from INRSuperResolutionLib.methods.multicontrast.guided import GuidedRepresentation
from INRSuperResolutionLib.methods.multicontrast.inr import FourierNetwork
from INRSuperResolutionLib.methods.multicontrast.settings import GuidedSettings, InrSettings
from INRSuperResolutionLib.methods.scan import Scan

QUICK = {"steps": 40, "crop": 32}


def textured(shape, affine, seed) -> Volume:
    """Structure at every scale, so that the residual is not zero."""
    rng = np.random.default_rng(seed)
    return Volume(phantom(shape, affine).data + 20 * rng.random(shape), affine, name=f"texture {seed}")


@pytest.fixture(scope="module")
def fitted() -> GuidedRepresentation:
    """Two contrasts, thick along different axes, on grids that are turned and flipped to each other."""
    flipped = np.array([[0, 0, 4.0, -2], [-1.0, 0, 0, 23], [0, 1.0, 0, 0], [0, 0, 0, 1]])
    volumes = [textured((26, 24, 7), np.diag([1, 1, 4, 1.0]), 0), textured((24, 26, 7), flipped, 1)]
    return inrsr.fit("multicontrast", volumes, settings=QUICK, slice_profile="boxcar", seed=1)


def test_paper_network_has_the_published_size():
    network = FourierNetwork(InrSettings(), channels=2, split_heads=True)
    parameters = sum(p.numel() for p in network.parameters())
    assert parameters == pytest.approx(5.77e6, rel=2e-3)  # Table of the paper's supplement: 5.77 M


def test_samples_do_not_depend_on_the_tile_or_the_order_of_axes(fitted):
    grid = fitted.contrasts[0].grid.isotropic()
    whole = fitted.sample(grid)
    box = (slice(3, 20), slice(5, 19), slice(6, 21))
    turned = np.array([[0, 0, -1.0, grid.shape[0] - 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    other = Grid((grid.shape[1], grid.shape[2], grid.shape[0]), grid.affine @ turned)
    for values, part, swapped in zip(whole, fitted.sample(grid.crop(box)), fitted.sample(other)):
        span = np.ptp(values.data)
        np.testing.assert_allclose(
            part.data, values.data[box], rtol=0, atol=2e-2 * span
        )  # bfloat16 sums in another order
        back = swapped.data.transpose(2, 0, 1)[::-1]
        np.testing.assert_allclose(back, values.data, rtol=0, atol=2e-2 * span)
        assert np.abs(part.data - values.data[box]).mean() < 1e-3 * span


def test_finer_grids_pass_through_the_same_values(fitted):
    """At half the spacing every second value is one of the coarser grid: the function is one and the same."""
    coarse = fitted.contrasts[0].grid.isotropic()
    affine = coarse.affine.copy()
    affine[:3, :3] /= 2
    fine = Grid(tuple(2 * n - 1 for n in coarse.shape), affine)
    for a, b in zip(fitted.sample(coarse), fitted.sample(fine)):
        difference = np.abs(b.data[::2, ::2, ::2] - a.data)
        assert difference.mean() < 1e-3 * np.ptp(a.data)


def test_an_oblique_grid_sees_the_same_function(fitted):
    """A grid turned by a hair goes the way of scattered points, and must find what the straight one finds."""
    straight = fitted.contrasts[0].grid.isotropic()
    affine = straight.affine.copy()
    affine[:3, :3] = affine[:3, :3] @ np.array([[1, 1e-4, 0], [-1e-4, 1, 0], [0, 0, 1.0]])
    for a, b in zip(fitted.sample(straight), fitted.sample(Grid(straight.shape, affine))):
        inner = (slice(2, -2),) * 3
        assert np.abs(a.data - b.data)[inner].mean() < 5e-3 * np.ptp(a.data)


def test_the_spline_gives_averaged_slices_back():
    truth = textured((20, 22, 40), np.eye(4), 2)
    low = degrade(truth, "area", 4)
    scan = Scan(low, SliceProfile("boxcar"))
    offsets, weights = scan.taps()
    index = [np.arange(n, dtype=np.float64) for n in low.shape]
    seen = sum(w * scan.on_axes([index[0], index[1], index[2] + o]) for o, w in zip(offsets, weights))
    np.testing.assert_allclose(seen.numpy(), scan.data.numpy(), rtol=0, atol=1e-4)


def test_an_untrained_network_is_the_plain_spline():
    volumes = [textured((16, 14, 5), np.diag([1, 1, 4, 1.0]), 0), textured((5, 14, 16), np.diag([4, 1, 1, 1.0]), 1)]
    plain = GuidedRepresentation(volumes, [SliceProfile()] * 2, inrsr.METHODS["multicontrast"].settings("fast"))
    grid = volumes[0].grid.isotropic()
    for volume, result in zip(volumes, plain.sample(grid)):
        expected = np.maximum(resample(volume, grid).data, volume.data.min())
        np.testing.assert_allclose(result.data, expected, rtol=0, atol=1e-3)


def test_restores_real_anatomy_better_than_cubic(data_folder):
    """Part of a real head, a short fit: both contrasts gain, also three contrasts, also a shared thick axis."""
    names = ("t1", "flair", "t2")
    truth = []
    for name in names:
        volume = inrsr.read(data_folder / f"ms07_{name}.nii.gz")
        truth.append(resample(volume, volume.grid.crop((slice(46, 136), slice(60, 150), slice(50, 126)))))
    torch.manual_seed(0)
    for axes in ((0, 2), (2, 2), (0, 2, 1)):
        scans = [degrade(v, "area", [4 if a == axis else 1 for a in range(3)]) for v, axis in zip(truth, axes)]
        fit = inrsr.fit("multicontrast", scans, settings={"steps": 150, "crop": 80}, slice_profile="boxcar")
        for volume, scan, result in zip(truth, scans, fit.sample(truth[0].grid)):
            top = np.percentile(volume.data, 99.9)
            cubic = resample(scan, volume.grid)
            gain = psnr(result.data, volume.data, top) - psnr(cubic.data, volume.data, top)
            assert gain > 0.5, (axes, volume.name, gain)


def test_stops_at_the_time_limit_and_says_so():
    volumes = [textured((16, 14, 5), np.diag([1, 1, 4, 1.0]), 0), textured((5, 14, 16), np.diag([4, 1, 1, 1.0]), 1)]
    made = inrsr.fit("multicontrast", volumes, settings={"steps": 10**6}, max_seconds=1).provenance
    assert made["stopped_by"] == "max-seconds"
    assert 0 < made["steps"] < 10**6


def test_the_paper_network_stops_by_mutual_information(monkeypatch):
    from INRSuperResolutionLib.methods.multicontrast import inr

    monkeypatch.setattr(inr, "MI_TOLERANCE", 10.0)  # so that the first four changes are small enough
    volumes = [textured((12, 10, 5), np.diag([1, 1, 4, 1.0]), 0), textured((5, 10, 12), np.diag([4, 1, 1, 1.0]), 1)]
    small = {"width": 16, "head_width": 8, "frequencies": 8, "batch": 200, "epochs": 30}
    made = inrsr.fit("multicontrast", volumes, preset="paper", settings=small).provenance
    assert made["stopped_by"] == "mutual information"
    steps_per_epoch = -(-2 * 600 // 200)
    assert made["steps"] == 5 * steps_per_epoch  # five checks give four changes


@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_beyond_its_field_of_view_a_guide_is_as_one_that_is_not_there(angle):
    """The second scan covers the upper half of the first: lines once showed where it began."""
    own = textured((18, 17, 9), np.diag([1, 1, 3, 1.0]), 0)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([1, 1, 4])
    affine[:3, 3] = [8.5, 8, 14] - turn @ [19.5, 19.5, 0]
    guide = textured((40, 40, 4), affine, 1)  # its slices begin at 12 mm
    profile = SliceProfile("boxcar")
    targets = GuidedRepresentation([own, guide], [profile] * 2, GuidedSettings()).targets
    lattice = [np.arange(18.0), np.arange(17.0), np.arange(0, 8.01, 1 / 3)]  # every mm across the slices
    channels = targets[0].inputs(targets[0].lessons[0], lattice)
    values = torch.cat([c.expand(18, -1, 25, 17) for c in channels], 1)
    assert values.shape[1] == targets[0].channels
    beyond, within = values[:, 4:, :11], values[:, 4:, 15:]
    assert (beyond == 0).all()
    assert (within[:, :3].flatten(2).std(dim=2) > 0.1).all()
    torch.testing.assert_close(within[:, 3].square() + within[:, 4].square(), torch.ones_like(within[:, 3]))  # phases
