from __future__ import annotations

import numpy as np
import pytest
import torch
from phantoms import oblique
from scipy import ndimage
from tinynetworks import blobs, random_weights, small

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib import Grid, Volume
from INRSuperResolutionLib.image.interpolate import resample, weight_matrix
from INRSuperResolutionLib.methods.nexpr.consistency import centre_of_kspace, correction, fine_positions, is_period
from INRSuperResolutionLib.methods.nexpr.drawing import SliceFunction
from INRSuperResolutionLib.methods.nexpr.network import NExpRNetwork
from INRSuperResolutionLib.methods.nexpr.raster import Basis, direct_sum, knots, rasterise
from INRSuperResolutionLib.methods.nexpr.settings import PAPER_ARCHITECTURE
from INRSuperResolutionLib.methods.pretrained import slicewise
from INRSuperResolutionLib.methods.pretrained.encoder import lattice_points, parameters_of
from INRSuperResolutionLib.methods.pretrained.networks import make_network

PAPER_BASIS = {"basis": "paper", "frequencies": 3, "first_step": 1.0}


@pytest.fixture
def random_function():
    """Coefficients of 5 × 7 patches with 3 frequencies, and their basis."""
    torch.manual_seed(3)
    basis = Basis(2, torch.tensor([1.5, 3.1, 4.9]), torch.tensor([1.4, 3.3, 4.6]))
    return torch.randn(5, 7, 7, 7), basis  # patch row, row function, patch column, column function


@pytest.fixture
def explicit(tmp_path):
    """A random network's function of a small volume on an oblique, left-handed grid."""
    weights = random_weights("nexpr", tmp_path / "w.safetensors")
    volume = blobs((21, 26, 5)).replace(affine=oblique(left_handed=True))
    return inrsr.fit("nexpr", [volume], settings={"weights": str(weights), "check": False})


def test_paper_network_has_the_published_size():
    assert parameters_of(NExpRNetwork(PAPER_ARCHITECTURE)) == pytest.approx(1.59e6, rel=1e-3)  # section 4.4: 1.59 M


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ((np.arange(30) + 0.5) / 3 - 0.5, (np.arange(28) + 0.5) / 2 - 0.5),  # integer scales
        (np.arange(17) / 1.7, np.arange(40) / 2.9 + 0.3),  # any scale
        (8.3 - np.arange(20) / 3, np.array([4.2])),  # backwards; a single column
        (np.linspace(3.1, 4.9, 50), np.random.default_rng(0).uniform(0, 13, 33)),  # few patches; in no order
        (np.array([-0.9, 9.9]), np.array([-0.6, 13.4])),  # beyond the outermost patches
    ],
)
def test_rasteriser_equals_the_direct_sum(random_function, rows, columns):
    coefficients, basis = random_function
    rows, columns = torch.from_numpy(rows), torch.from_numpy(columns)
    drawn = rasterise(coefficients, basis, rows, columns)
    summed = direct_sum(coefficients, basis, lattice_points(rows, columns)).reshape(drawn.shape)
    torch.testing.assert_close(drawn, summed, rtol=0, atol=1e-5 * float(summed.abs().max()))


def test_direct_sum_is_the_formula(random_function):
    """Against the double sum written out for one point: patch (2, 4) holds rows 3.5 to 5.5, columns 7.5 to 9.5."""
    coefficients, basis = random_function
    y, x = 4.1 - 4.5, 8.3 - 8.5
    phi = [1.0, *[np.cos(w * y) for w in basis.rows.tolist()], *[np.sin(w * y) for w in basis.rows.tolist()]]
    psi = [1.0, *[np.cos(w * x) for w in basis.columns.tolist()], *[np.sin(w * x) for w in basis.columns.tolist()]]
    wanted = np.array(phi) @ coefficients[2, :, 4].double().numpy() @ np.array(psi)
    found = direct_sum(coefficients, basis, torch.tensor([[4.1, 8.3]], dtype=torch.float64))
    assert float(found) == pytest.approx(wanted, abs=1e-4)


def test_paper_basis_is_the_papers_sum():
    """Eq. 1: Σ α_pq sin(ω_p x + ν_q y) + β_pq cos(ω_p x + ν_q y), as products of one-dimensional functions."""
    torch.manual_seed(0)
    network = NExpRNetwork(small("nexpr", **PAPER_BASIS))
    with torch.no_grad():
        network.steps += 0.1 * torch.rand_like(network.steps)
    raw = torch.randn(1, 1, 1, network.outputs)
    alpha, beta = raw.reshape(2, 4, 4)
    basis = network.basis()
    nu, omega = (torch.cat([torch.zeros(1), w]) for w in (basis.rows, basis.columns))
    y, x = 0.37, -0.81
    phase = nu[:, None] * y + omega[None, :] * x
    wanted = (alpha * torch.sin(phase) + beta * torch.cos(phase)).sum()
    found = direct_sum(
        network._as_products(raw)[0].transpose(1, 2), basis, torch.tensor([[y + 0.5, x + 0.5]], dtype=torch.float64)
    )
    torch.testing.assert_close(found[0], wanted, rtol=0, atol=1e-5)


def test_knots_are_the_cubic_spline():
    offsets = torch.linspace(-1, 0.99, 9)[None]
    weights = knots(offsets, 2)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 9))
    centres = torch.arange(6) - 2.5
    torch.testing.assert_close((weights * centres).sum(-1), offsets)  # splines of degree 3 reproduce lines


@pytest.mark.parametrize("changes", [{}, PAPER_BASIS], ids=["product", "paper"])
def test_average_over_flips_does_not_depend_on_the_flip(changes):
    torch.manual_seed(1)
    network = NExpRNetwork(small("nexpr", **changes))
    image, scale = torch.randn(1, 1, 8, 12), torch.ones(1)
    # away from the borders of patches, which belong to one side
    rows, columns = torch.arange(0.07, 7, 0.3), torch.arange(0.09, 11, 0.4)
    straight = network.residual(network.encode_averaged(image, scale)[0], rows, columns)
    mirrored = network.residual(network.encode_averaged(image.flip(-2), scale)[0], 7 - rows, columns)
    torch.testing.assert_close(straight, mirrored, rtol=0, atol=1e-5)
    if not changes:
        turned = network.residual(network.encode_averaged(image.mT, scale)[0], columns, rows)
        torch.testing.assert_close(straight, turned.t(), rtol=0, atol=1e-5)


def test_drawing_is_the_same_function_as_sampling(explicit):
    """A slice drawn alone, spline included, and the volume sampled there: 1e-4 of the range, as half of it is float16."""
    sliced = explicit.volumes[0]
    function = explicit.slice_function(0, 2)
    rows, columns = np.arange(60) / 3.1, np.arange(70) / 2.9
    affine = sliced.volume.affine @ np.array([[1 / 3.1, 0, 0, 0], [0, 1 / 2.9, 0, 0], [0, 0, 1, 2], [0, 0, 0, 1]])
    wanted = explicit.sample(Grid((60, 70, 1), affine))[0].data[..., 0]
    np.testing.assert_allclose(function.draw(rows, columns), wanted, rtol=0, atol=1e-4 * np.ptp(sliced.volume.data))


def test_zoomed_out_drawing_averages():
    torch.manual_seed(0)
    image = np.random.default_rng(0).random((24, 28))
    basis = Basis(2, torch.tensor([1.5, 3.1]), torch.tensor([1.4, 3.3]))
    function = SliceFunction(0.1 * torch.randn(20, 5, 22, 5), basis, image, 1.0, -np.inf, 8)
    fine = function.draw((np.arange(96) + 0.5) / 4 - 0.5, (np.arange(112) + 0.5) / 4 - 0.5)
    coarse = function.draw(np.arange(6) * 4 + 1.5, np.arange(7) * 4 + 1.5)
    np.testing.assert_allclose(coarse, fine.reshape(6, 16, 7, 16).mean(axis=(1, 3)), rtol=0, atol=0.03)
    # a wave of two pixels vanishes instead of showing as a false one
    stripes = np.tile([[0.0], [1.0]], (12, 28))
    drawn = SliceFunction(torch.zeros(20, 5, 22, 5), basis, stripes, 1.0, -np.inf, 8).draw(
        np.arange(8) * 2.9 + 1.0, np.arange(6) * 4 + 1.5
    )
    assert np.ptp(drawn) < 0.4 * np.ptp(stripes[np.round(np.arange(8) * 2.9 + 1).astype(int)])


def test_oblique_and_straight_grids_see_one_function(explicit):
    straight = explicit.contrasts[0].grid.scaled((2, 2, 1.5))
    affine = straight.affine.copy()
    affine[:3, :3] = affine[:3, :3] @ np.array([[1, 1e-4, 0], [-1e-4, 1, 0], [0, 0, 1.0]])
    a, b = (explicit.sample(g)[0].data for g in (straight, Grid(straight.shape, affine)))
    # functions of neighbouring patches need not meet, so single voxels may differ
    assert np.quantile(np.abs(a - b), 0.95) < 1e-2 * np.ptp(a)
    turn = np.array([[0, 0, -1.0, straight.shape[0] - 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    swapped = explicit.sample(Grid((*straight.shape[1:], straight.shape[0]), straight.affine @ turn))[0]
    # bfloat16 where the processor has it, but the codes are kept: the same values
    np.testing.assert_allclose(swapped.data.transpose(2, 0, 1)[::-1], a, rtol=0, atol=1e-4 * np.ptp(a))


def test_between_slices_functions_are_blended(explicit):
    volume = explicit.volumes[0].volume
    planes = []
    for k in (1, 1.25, 2):
        affine = volume.affine.copy()
        affine[:3, 3] += affine[:3, 2] * k
        grid = Grid((21, 26, 1), affine)
        planes.append(explicit.sample(grid)[0].data - explicit.volumes[0].base(grid))
    blended = 0.75 * planes[0] + 0.25 * planes[2]
    # the floor at the darkest value cuts some voxels
    assert np.quantile(np.abs(planes[1] - blended), 0.5) < 1e-4 * np.ptp(volume.data)


def test_saved_functions_are_the_same(explicit, tmp_path):
    explicit.save(tmp_path / "a.inr")
    again = inrsr.load(tmp_path / "a.inr")
    grid = explicit.contrasts[0].grid.scaled((1.7, 1.7, 1))
    np.testing.assert_array_equal(again.sample(grid)[0].data, explicit.sample(grid)[0].data)
    assert again.provenance["weights"] == explicit.provenance["weights"]


def test_slices_agree_with_the_centre_of_kspace():
    """A residual that spoils the input's own frequencies is taken back, also where the magnitude has folded the image."""
    rng = np.random.default_rng(0)
    truth = ndimage.gaussian_filter(np.pad(rng.random((32, 40)), 12), 0.7)
    signed = centre_of_kspace(truth, (28, 32))
    image = np.abs(signed)
    assert (signed < 0).mean() > 0.1  # in the air
    # what a spline through the signed image misses, and an error of the network
    lines = [weight_matrix(fine_positions(n), n, 3) for n in image.shape]
    residual = truth - lines[0] @ image @ lines[1].T + 0.02 * rng.normal(size=truth.shape)
    errors = []
    for change in (0, correction(image, residual, air=0.0, lowest=-1.0)):
        restored = lines[0] @ (image + change) @ lines[1].T + residual
        errors.append(np.abs(np.abs(centre_of_kspace(restored, image.shape)) - image)[4:-4, 4:-4].mean())
    assert errors[1] < 0.3 * errors[0]
    assert is_period(image, 1.0)
    assert not is_period(image + np.linspace(0, 1, 32), 1.0)  # rises from one edge to the other


@pytest.mark.parametrize("shape", [(20, 22, 1), (1, 20, 22), (20, 1, 22)])
def test_single_slices_along_any_axis(tmp_path, shape):
    weights = random_weights("nexpr", tmp_path / "w.safetensors")
    rng = np.random.default_rng(0)
    volume = Volume(rng.random(shape), np.diag([1, 1.1, 0.9, 1]))
    made = inrsr.fit("nexpr", [volume], settings={"weights": str(weights), "check": False})
    scale = [1 if n == 1 else 2 for n in shape]
    result = made.sample(volume.grid.scaled(scale))[0]
    assert result.shape == tuple(n * s for n, s in zip(shape, scale))
    assert np.abs(result.data - resample(volume, volume.grid.scaled(scale)).data).max() > 0.01  # the network took part


def test_few_codes_in_memory_make_no_difference(explicit, monkeypatch):
    grid = explicit.contrasts[0].grid.scaled((1.5, 1.5, 2))
    wanted = explicit.sample(grid)[0].data
    monkeypatch.setattr("INRSuperResolutionLib.methods.pretrained.slicewise.CACHE_BYTES", 1)
    explicit._codes.clear()
    explicit._bytes = 0
    np.testing.assert_allclose(explicit.sample(grid)[0].data, wanted, rtol=0, atol=1e-6 * np.ptp(wanted))
    assert len(explicit._codes) == 1


@pytest.mark.parametrize("step", [1, -1])
def test_codes_of_slices_that_were_passed_make_room(tmp_path, monkeypatch, step):
    """Sampling in order, up or down, where few codes can be kept: each is made once more at most, and few stay."""
    weights = random_weights("nexpr", tmp_path / "w.safetensors")
    volume = Volume(np.random.default_rng(0).random((16, 18, 40)), np.diag([1, 1, 4.0, 1]))
    made = inrsr.fit("nexpr", [volume], settings={"weights": str(weights), "check": False})
    grid = volume.grid.scaled((2, 2, 1))
    if step < 0:
        upside_down = np.diag([1, 1, -1.0, 1])
        upside_down[2, 3] = 39
        grid = Grid(grid.shape, grid.affine @ upside_down)
    wanted = made.sample(grid)[0].data
    assert len(made._codes) == 40  # all can be kept
    monkeypatch.setattr(slicewise, "CACHE_BYTES", 12 * made.code(0, 0).nbytes)
    monkeypatch.setattr(type(made), "tile_voxels", 4 * 32 * 36)
    made._codes.clear()
    made._bytes = 0
    encoded, most = [], []
    encode = made._encode

    def counting(image):
        encoded.append(image)
        most.append(len(made._codes))
        return encode(image)

    monkeypatch.setattr(made, "_encode", counting)
    np.testing.assert_allclose(made.sample(grid)[0].data, wanted, rtol=0, atol=1e-6)
    assert len(encoded) == 40 and max(most) <= slicewise.KEPT_ON_THE_WAY + 4 and len(made._codes) <= 8
    assert made._bytes == sum(c.nbytes for c in made._codes.values())


def test_functions_are_learned_for_all_scales():
    """Without the cell the coefficients do not depend on the scale; with it they do."""
    for cell in (False, True):
        torch.manual_seed(0)
        network = make_network(small("nexpr", cell=cell))
        codes = [network.encode(torch.ones(1, 1, 8, 8), torch.tensor([s])) for s in (2.0, 4.0)]
        assert torch.equal(*codes) is not cell


def test_codes_that_are_not_saved_are_released_and_made_again(explicit, monkeypatch):
    made = explicit
    before = made.sample(made.volumes[0].volume.grid)[0].data
    assert made._codes
    made.release()  # small: they are saved, and stay
    assert made._codes
    monkeypatch.setattr(type(made), "saved_bytes", 1)
    made.release()
    assert not made._codes and made._bytes == 0
    np.testing.assert_array_equal(made.sample(made.volumes[0].volume.grid)[0].data, before)
