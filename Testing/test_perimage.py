from __future__ import annotations

import copy
import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from phantoms import oblique, phantom

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib import Grid, InputError, Volume
from INRSuperResolutionLib.acquisition.forward_model import SliceProfile
from INRSuperResolutionLib.evaluation.metrics import consistency, psnr
from INRSuperResolutionLib.image.interpolate import resample
from INRSuperResolutionLib.methods import METHODS
from INRSuperResolutionLib.methods.perimage import BASELINE_PRESETS, SECO_PRESETS
from INRSuperResolutionLib.methods.perimage.field import make_network
from INRSuperResolutionLib.methods.perimage.networks import SineLayer, Siren
from INRSuperResolutionLib.methods.perimage.pixels import Frame, Pixels, parts_of_voxels
from INRSuperResolutionLib.methods.perimage.seco import ConditionedSines, Seco
from INRSuperResolutionLib.methods.perimage.segmentation import keep_majorities
from INRSuperResolutionLib.methods.perimage.settings import SecoSettings

QUICK = {"epochs": 4, "volume_epochs": 2, "width": 32}
PRESETS = {"seco": SECO_PRESETS, **BASELINE_PRESETS}


def shapes(size=64) -> tuple[np.ndarray, np.ndarray]:
    """A fine image of ellipses with partial volume at their edges and shading, and its labels; (size, size)."""
    x, y = np.meshgrid(*[(np.arange(4 * size) + 0.5) / (4 * size) - 0.5] * 2, indexing="ij")
    labels = np.zeros(x.shape, np.uint8)
    for label, (a, b, r, s) in enumerate(
        [(0.0, 0.0, 0.42, 0.36), (0.05, -0.1, 0.22, 0.16), (-0.1, 0.12, 0.1, 0.14)], 1
    ):
        labels[((x - a) / r) ** 2 + ((y - b) / s) ** 2 < 1] = label
    image = area_mean(np.array([0.0, 300.0, 700.0, 1000.0])[labels] + (labels > 0) * 40 * np.sin(9 * x + 14 * y), 4)
    share = np.stack([area_mean((labels == c).astype(float), 4) for c in range(4)])
    return image, share.argmax(axis=0)


def area_mean(image: np.ndarray, factor: int = 2) -> np.ndarray:
    n, m = (s // factor for s in image.shape)
    return image[: n * factor, : m * factor].reshape(n, factor, m, factor).mean(axis=(1, 3))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def coarse_slice(image: np.ndarray) -> Volume:
    """The image averaged over 2 × 2 pixels of 1 mm, on an oblique grid."""
    grid = Grid((*image.shape, 1), oblique((1.0, 1.0, 3.0))).scaled((0.5, 0.5, 1.0))
    return Volume(area_mean(image)[..., None], grid.affine, name="slice")


@pytest.fixture(scope="module")
def case() -> tuple[np.ndarray, np.ndarray, Volume, Volume]:
    """Fine image, fine labels, coarse image, coarse labels."""
    image, labels = shapes()
    coarse = coarse_slice(image)
    share = np.stack([area_mean((labels == c).astype(float)) for c in range(4)])
    return image, labels, coarse, coarse.replace(data=share.argmax(axis=0)[..., None], name="labels")


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("dims", [2, 3])
def test_networks_take_points_and_give_one_value_each(name, dims):
    network = make_network(PRESETS[name]["fast"], dims, 3, 64.0, None)
    x = torch.rand(17, dims) * 2 - 1
    values = network(x)
    assert values.shape == (17,)
    assert torch.isfinite(values).all()
    values.square().mean().backward()
    for parameter in network.parameters():
        if isinstance(network, Seco) and parameter is network.classifier.last.bias:
            continue  # a shift of all logits changes nothing
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


@given(points=st.integers(1, 6), width=st.integers(1, 4), classes=st.integers(1, 3), layers=st.integers(1, 3))
def test_gradients_of_the_conditioned_layers_are_exact(points, width, classes, layers):
    generator = torch.Generator().manual_seed(points + 10 * width + 100 * classes + 1000 * layers)

    def value(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)

    x = torch.randn(points, 2, generator=generator, dtype=torch.float64)
    shares, amplitudes, mixed = value(points, classes), value(classes, layers + 1), value(layers + 1, classes, 3)
    sizes, omegas = [2, *[width] * layers, 1], (3.0, *[2.0] * (layers - 1), 1.0)
    weights = [value(o, i) for i, o in itertools.pairwise(sizes)]
    biases = [value(o) for o in sizes[1:]]

    def ours(shares, amplitudes, mixed, *layers):
        return ConditionedSines.apply(x, shares, amplitudes, mixed, omegas, torch.float64, *layers)

    v = x
    for n, (omega, weight, bias) in enumerate(zip(omegas, weights, biases)):
        base = torch.stack([omega * bias, omega * weight.sum(dim=1), torch.ones_like(bias)])
        z = ((shares @ amplitudes)[:, n, None] * v) @ (omega * weight).T + shares @ (mixed[n] @ base)
        v = torch.sin(z)
    variables = (shares, amplitudes, mixed, *weights, *biases)
    torch.testing.assert_close(ours(*variables), z[:, 0])
    assert torch.autograd.gradcheck(ours, variables)


@given(points=st.integers(1, 6), inputs=st.integers(1, 4), outputs=st.integers(1, 4))
def test_gradients_of_the_sine_layer_are_exact(points, inputs, outputs):
    generator = torch.Generator().manual_seed(points + 10 * inputs + 100 * outputs)
    variables = [
        torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in ((points, inputs), (outputs, inputs), (outputs,))
    ]
    u, weight, phase = variables
    ours, plain = SineLayer.apply(u, weight, phase, None), torch.sin(u @ weight.T + phase)
    torch.testing.assert_close(ours, plain)
    towards = torch.randn(ours.shape, generator=generator, dtype=torch.float64)
    for a, b in zip(torch.autograd.grad(ours, variables, towards), torch.autograd.grad(plain, variables, towards)):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-5)


@given(dims=st.sampled_from([2, 3]), classes=st.integers(1, 6), layers=st.integers(1, 4))
def test_with_neutral_conditions_seco_is_siren(dims, classes, layers):
    settings = SecoSettings(width=16, hidden_layers=layers)
    torch.manual_seed(0)
    network = Seco(dims, classes, settings, pixels=40.0, half=None)
    neutral = torch.zeros(network.classes, 4, layers + 1)
    neutral[:, :2] = 1  # p = q = 1, r = s = 0
    x = torch.rand(50, dims) * 2 - 1
    shares = torch.softmax(torch.randn(50, network.classes), dim=1)
    with torch.no_grad():
        torch.testing.assert_close(
            network.values(x, shares, network.factors(neutral)), network.image(x), rtol=0, atol=1e-6
        )


@given(seed=st.integers(0, 20))
def test_folded_layers_are_the_papers(seed):
    """y = p·sin(q·ω0·(W u + b) + r) + s, layer by layer, for points that belong to one class."""
    torch.manual_seed(seed)
    network = Seco(2, 3, SecoSettings(width=12), pixels=50.0, half=None)
    conditions = torch.rand(3, 4, network.layers) + 0.3
    x, label = torch.rand(30, 2) * 2 - 1, torch.randint(3, (30,))
    with torch.no_grad():
        p, q, r, s = conditions[label].unbind(1)
        u = x
        for n, (layer, omega) in enumerate(zip(network.image.layers, network.image.omegas)):
            u = p[:, n, None] * torch.sin(q[:, n, None] * omega * layer(u) + r[:, n, None]) + s[:, n, None]
        expected = network.image.last(u)[:, 0]
        found = network.values(x, torch.eye(3)[label], network.factors(conditions))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_paper_preset_is_the_papers_equation(dims):
    """Eq. 1, 3 to 5, point by point in float64: Ŝ = g(v); p, q, r, s = h(Ŝ); y = p·sin(q·ω0·(W y + b) + r) + s."""
    torch.manual_seed(dims)
    settings = dataclasses.replace(SECO_PRESETS["paper"], width=24)
    network = Seco(dims, 4, settings, pixels=50.0, half=None)
    with torch.no_grad():
        for layer in (network.conditioner[0], network.conditioner[2], network.classifier.last):
            layer.weight.normal_(0, 0.6)  # so that points are mixtures and p, q, r, s differ much between them
    x = torch.rand(40, dims) * 2 - 1
    arrays = {name: value.double().numpy() for name, value in network.state_dict().items()}

    def linear(name, y):
        return arrays[f"{name}.weight"] @ y + arrays[f"{name}.bias"]

    expected, mixture = [], []
    for v in x.double().numpy():
        y = v
        for n, omega in enumerate(network.classifier.omegas):
            y = np.sin(omega * linear(f"classifier.layers.{n}", y))
        logits = linear("classifier.last", y)
        distribution = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        hidden = linear("conditioner.0", distribution)
        p, q, r, s = linear("conditioner.2", hidden / (1 + np.exp(-hidden))).reshape(4, settings.hidden_layers + 1)
        y = v
        for n in range(settings.hidden_layers + 1):
            y = p[n] * np.sin(q[n] * settings.omega * linear(f"image.layers.{n}", y) + r[n]) + s[n]
        expected.append(linear("image.last", y)[0])
        mixture.append(distribution.max())
    assert np.median(mixture) < 0.9
    with torch.no_grad():
        found = network.double()(x.double())
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        # in float32, too, less what the sines of large phases lose; and the mixed corners are something else
        np.testing.assert_allclose(network.float()(x), expected, rtol=0, atol=1e-3)
        corners = network.values(x, network.probabilities(x), network.factors(network.conditions()))
        assert np.abs(corners.numpy() - expected).max() > 0.01


def test_penalty_counts_what_is_negative():
    conditions = torch.tensor([[[1.0, -2.0], [0.5, 0.0], [0.0, 0.0], [-1.0, 3.0]]])
    assert Seco.penalty(conditions).item() == pytest.approx(3 / 8)


def test_siren_starts_within_its_published_bounds():
    network = Siren(2, 64, 2, 30.0, 60.0)
    first, *hidden = network.layers
    assert first.weight.abs().max() <= 1 / 2
    for layer in [*hidden, network.last]:
        assert layer.weight.abs().max() <= np.sqrt(6 / 64) / 30


def test_values_do_not_depend_on_where_the_memory_begins():
    """Points that lay side by side by axis gave values 2e-5 off, in memory that begins at a multiple of 64 bytes."""
    volume = phantom((24, 22, 6), np.diag([1.0, 1, 4, 1]))
    frame = Frame(volume, (0, 1, 2))
    network = make_network(PRESETS["mfn"]["fast"], 3, 1, frame.pixels, None)
    index = np.random.default_rng(0).random((8192, 3)) * volume.shape
    x = frame.coordinates(np.asfortranarray(index))
    assert x.flags.c_contiguous
    memory = torch.empty(x.size + 32)
    with torch.no_grad():
        exact = copy.deepcopy(network).double()(torch.from_numpy(x).double())
        for start in range(17):
            moved = memory[start : start + x.size].view(x.shape).copy_(torch.from_numpy(x))
            torch.testing.assert_close(network(moved).double(), exact, rtol=0, atol=2e-6)


def test_points_of_a_pixel_lie_where_its_area_is():
    volume = Volume(np.random.default_rng(0).random((6, 4, 1)) + 1, np.diag([2.0, 2.0, 5.0, 1.0]))
    frame = Frame(volume, (0, 1))
    parts = parts_of_voxels(volume, frame.axes, SliceProfile("boxcar"), 1.0)
    assert parts == {0: 2, 1: 2}
    pixels = Pixels(volume.data[..., 0], volume, frame, parts, SliceProfile("boxcar"), "cpu")
    assert len(pixels.used) == 24
    points = pixels.points(torch.arange(24)).view(24, 4, 2)
    # pixel (0, 0): index −0.25 and 0.25; six pixels of 2 mm make [−1, 1]
    wanted = (np.array([[-0.25, -0.25], [-0.25, 0.25], [0.25, -0.25], [0.25, 0.25]]) - [2.5, 1.5]) / 3
    np.testing.assert_allclose(points[0].numpy(), wanted, atol=1e-6)
    np.testing.assert_allclose(points.mean(dim=1)[-1].numpy(), (np.array([5, 3]) - [2.5, 1.5]) / 3, atol=1e-6)


def test_thick_slices_are_cut_along_their_thickness_alone():
    thick = Volume(np.ones((4, 4, 4)), np.diag([1.0, 1.0, 4.0, 1.0]))
    boxcar = SliceProfile("boxcar")
    assert parts_of_voxels(thick, (0, 1, 2), boxcar, 1.0) == {2: 4}
    assert parts_of_voxels(thick, (0, 1, 2), boxcar, None) == {2: 4}
    assert parts_of_voxels(thick, (0, 1, 2), boxcar, 0.5) == {0: 2, 1: 2, 2: 4}
    assert parts_of_voxels(thick, (0, 1, 2), SliceProfile("none"), 0.5) == {}
    assert parts_of_voxels(thick.replace(affine=np.eye(4)), (0, 1, 2), boxcar, None) == {0: 2, 1: 2, 2: 2}


@pytest.mark.parametrize("name", PRESETS)
def test_every_network_is_fitted(name, case):
    image, _, coarse, _ = case
    fitted = inrsr.fit(name, [coarse], settings={"epochs": 10}, slice_profile="boxcar", finest_spacing=1.0)
    fine = fitted.sample(coarse.grid.scaled((2, 2, 1)))[0].data[..., 0]
    assert psnr(fine, image, np.ptp(image)) > psnr(np.full(image.shape, image.mean()), image, np.ptp(image)) + 3
    assert fine.min() >= coarse.data.min()


@pytest.mark.parametrize("name", ["seco", "siren", "relu-pe"])
def test_the_samples_are_given_back_also_by_a_short_fit(name, case):
    """The spline carries what the network leaves: made coarse again, the result is the input."""
    image, _, coarse, labels = case
    changes = {"epochs": 3, "width": 32, "final_rate": 0.01}
    given = labels if METHODS[name].takes_labels else None
    fitted = inrsr.fit(name, [coarse], settings=changes, labels=given, slice_profile="boxcar", finest_spacing=1.0)
    grid = coarse.grid.scaled((2, 2, 1))
    (fine,) = fitted.sample(grid)
    span = np.ptp(image)
    np.testing.assert_allclose(area_mean(fine.data[..., 0]), coarse.data[..., 0], atol=0.03 * span)
    assert psnr(area_mean(fine.data[..., 0]), coarse.data[..., 0], span) > 38
    assert consistency(fine, coarse, SliceProfile("boxcar")) > 30


def quality(name: str, coarse: Volume, image: np.ndarray, **changes) -> float:
    """PSNR on the fine grid of what a fit (or an interpolation) makes of the coarse image, dB."""
    labels = changes.pop("labels", None)
    fitted = inrsr.fit(name, [coarse], settings=changes, labels=labels, slice_profile="boxcar")
    fine = fitted.sample(coarse.grid.scaled((2, 2, 1)))[0].data[..., 0]
    return psnr(fine, image, np.percentile(image, 99.9))


def test_a_fit_is_above_cubic(case):
    image, _, coarse, labels = case
    assert quality("seco", coarse, image, labels=labels, epochs=60) > quality("cubic", coarse, image) + 1


def test_the_papers_conditioner_is_fitted_and_saved(case, tmp_path):
    _, _, coarse, labels = case
    small = {"epochs": 60, "width": 32, "hidden_layers": 2}
    made = inrsr.fit("seco", [coarse], preset="paper", labels=labels, settings=small)
    result = made.sample(coarse.grid)[0]
    inside = coarse.data > 0
    assert np.corrcoef(result.data[inside], coarse.data[inside])[0, 1] > 0.9
    made.save(tmp_path / "seco.inr")
    again = inrsr.load(tmp_path / "seco.inr").sample(coarse.grid)[0]
    np.testing.assert_array_equal(again.data, result.data)


def test_semantics_help_on_a_real_slice(data_folder):
    t1, gray, white = (inrsr.read(data_folder / f"icbm152_{n}.nii.gz").data[:196, :232, 92] for n in ("t1", "gm", "wm"))
    fluid = np.clip((t1 > 0) * 255.0 - gray - white, 0, 255)
    share = [area_mean(np.where(t1 > 0, m, 0)) for m in (fluid, gray, white)]
    coarse = coarse_slice(t1)
    labels = coarse.replace(data=np.where(coarse.data > 0, 1 + np.argmax(share, axis=0)[..., None], 0), name="labels")
    seco = quality("seco", coarse, t1, labels=labels, epochs=15)
    assert seco > quality("seco", coarse, t1, labels=labels, epochs=15, semantics="false") + 0.2
    assert seco > quality("siren", coarse, t1, epochs=15) + 0.2
    assert seco > quality("cubic", coarse, t1) + 2


def test_super_resolved_labels_are_nearer_than_copied_ones(case):
    _, labels, coarse, coarse_labels = case
    fitted = inrsr.fit("seco", [coarse], labels=coarse_labels, slice_profile="boxcar")
    grid = coarse.grid.scaled((2, 2, 1))
    probabilities = fitted.probabilities(grid)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-4)
    found = fitted.most_likely(probabilities, grid).data[..., 0]
    copied = coarse_labels.data[..., 0].repeat(2, axis=0).repeat(2, axis=1)
    for label in range(4):
        assert dice(found == label, labels == label) > dice(copied == label, labels == label)


def test_same_seed_same_bits_and_a_saved_field_is_the_same(case, tmp_path):
    _, _, coarse, labels = case
    grid = coarse.grid.scaled((2, 2, 1))
    first, second = (
        inrsr.fit("seco", [coarse], settings=QUICK, labels=labels, seed=3).sample(grid)[0].data for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    fitted = inrsr.fit("seco", [coarse], settings=QUICK, labels=labels, seed=3)
    fitted.save(tmp_path / "field.inr")
    loaded = inrsr.load(tmp_path / "field.inr")
    np.testing.assert_array_equal(loaded.sample(grid)[0].data, first)
    np.testing.assert_allclose(loaded.probabilities(grid), fitted.probabilities(grid), atol=1e-3)


@pytest.mark.parametrize("dimensions", ["slices", "volume"])
def test_volumes_are_fitted_by_slice_or_whole(dimensions, tmp_path):
    affine = oblique((1.0, 1.2, 3.0), left_handed=True)
    volume = phantom((20, 18, 6), affine)
    fitted = inrsr.fit("seco", [volume], settings={**QUICK, "dimensions": dimensions}, seed=1)
    grid = volume.grid.scaled((1, 1, 3))
    (fine,) = fitted.sample(grid)
    assert psnr(fine.data, resample(volume, grid, 1).data, np.ptp(volume.data)) > 20
    fitted.save(tmp_path / "field.inr")
    np.testing.assert_array_equal(inrsr.load(tmp_path / "field.inr").sample(grid)[0].data, fine.data)
    # at the slices themselves, a tile does not depend on the others
    part = (slice(3, 11), slice(2, 9), slice(4, 9))
    np.testing.assert_allclose(fitted.sample(grid.crop(part))[0].data, fine.data[part], atol=2e-2 * np.ptp(fine.data))


def test_slices_between_two_fits_are_their_mean():
    volume = phantom((16, 14, 3), np.diag([1.0, 1.0, 4.0, 1.0]))
    fitted = inrsr.fit("siren", [volume], settings={**QUICK, "dimensions": "slices", "agree": "false"})
    grid = volume.grid.scaled((1, 1, 2))
    (fine,) = fitted.sample(grid)  # centres at −0.25, 0.25, 0.75, …
    (own,) = fitted.sample(volume.grid)
    wanted = 0.75 * own.data[..., 0] + 0.25 * own.data[..., 1]
    np.testing.assert_allclose(fine.data[..., 1], wanted, atol=1e-2 * np.ptp(wanted))


def test_uneven_slices_are_fitted_where_they_lie():
    positions = np.array([0.0, 1.0, 2.0, 4.0, 6.0])
    base = phantom((16, 14, 7), np.diag([1.0, 1.0, 2.0, 1.0]))
    uneven = base.replace(data=base.data[..., positions.astype(int)], slice_positions=positions)
    fitted = inrsr.fit("siren", [uneven], settings={"volume_epochs": 60, "width": 64, "volume_batch": 256})
    (back,) = fitted.sample(base.grid)
    kept = positions.astype(int)
    assert psnr(back.data[..., kept], uneven.data, np.ptp(uneven.data)) > 30


def test_empty_slices_stay_empty():
    volume = phantom((16, 14, 4), np.eye(4) * [1, 1, 3, 1])
    data = volume.data - volume.data.min() + 10
    data[..., 1] = 0
    fitted = inrsr.fit("siren", [volume.replace(data=data)], settings={**QUICK, "dimensions": "slices"})
    assert np.abs(fitted.sample(volume.grid)[0].data[..., 1]).max() == 0


def test_large_volumes_are_seen_in_part():
    volume = phantom((16, 14, 4), np.diag([1.0, 1.0, 3.0, 1.0]))
    changes = {"volume_batch": 32, "volume_steps": 5, "volume_epochs": 3, "dimensions": "volume", "width": 16}
    assert inrsr.fit("siren", [volume], settings=changes).provenance["steps"] == 5


def test_a_time_limit_ends_the_fit_and_is_reported(case):
    fitted = inrsr.fit("siren", [case[2]], settings={"epochs": 100_000}, max_seconds=0.5)
    assert fitted.provenance["stopped_by"] == "max-seconds"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dimensions": "four"}, "'four' is not known"),
        ({"conditions": "all"}, "'all' is not known"),
        ({"epochs": "many"}, "epochs = 'many'"),
    ],
)
def test_wrong_settings_are_named(case, changes, message):
    with pytest.raises(InputError, match=message):
        inrsr.fit("seco", [case[2]], settings=changes)


def test_constant_image_and_labels_for_the_wrong_method_are_refused(case):
    _, _, coarse, labels = case
    with pytest.raises(InputError, match="constant"):
        inrsr.fit("seco", [coarse.replace(data=np.ones(coarse.shape))])
    with pytest.raises(InputError, match="siren uses no labels"):
        inrsr.fit("siren", [coarse], labels=labels)
    plain = inrsr.fit("siren", [coarse], settings=QUICK)
    with pytest.raises(InputError, match="without a segmentation"):
        plain.probabilities(coarse.grid)


def test_paper_preset_is_the_papers():
    paper = SECO_PRESETS["paper"]
    assert (paper.width, paper.hidden_layers + 1, paper.omega, paper.epochs) == (256, 5, 30.0, 1000)
    assert paper.joint
    assert paper.beta == 1
    assert not paper.agree
    assert paper.conditions == "distribution"
    epochs = {"relu-pe": 2000, "gauss": 2000, "mfn": 2000, "siren": 1000, "wire": 1000, "fr": 1000, "seco": 1000}
    assert {name: presets["paper"].epochs for name, presets in PRESETS.items()} == epochs
    assert all(p["paper"].batch == 0 and p["paper"].memory == 0.999 for p in PRESETS.values())
    # 2 × 256, 4 times 256 × 256, 256, with biases; class network 2 → 64 → 64 → 3; conditioner 3 → 32 → 4 · 5
    count = 3 * 256 + 4 * 257 * 256 + 257 + 3 * 64 + 65 * 64 + 65 * 3 + 4 * 32 + 33 * 20
    network = make_network(paper, 2, 3, 64.0, None)
    assert sum(p.numel() for p in network.parameters()) == count
    for name, presets in PRESETS.items():
        assert list(presets) == ["fast", "balanced", "paper"], name
        assert all(dataclasses.is_dataclass(p) for p in presets.values())


def test_a_voxel_keeps_its_label_in_half_of_its_points():
    """A lesion of one voxel, whose intensity is another tissue's, is not erased; what agrees anyway is not touched."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([1, 1, 1], 40).T.astype(np.float32)
    shares[:, :8] = np.array([0.6, 0.3, 0.1])[:, None]  # voxel 0: class 2 is the least likely in all of its points
    shares[2, 0], shares[0, 0] = 0.4, 0.3
    shares[:, 8:16] = np.array([0.2, 0.7, 0.1])[:, None]  # voxel 1 is what it was labelled as
    voxels = np.repeat([0, 1, 2, 3, -1], 8)
    given = np.array([2, 1, 0, -1])  # voxel 3 is half one class and half another
    before = shares.copy()
    keep_majorities(shares, voxels, given)
    np.testing.assert_allclose(shares.sum(axis=0), 1, rtol=1e-5)
    for voxel, label in ((0, 2), (1, 1), (2, 0)):
        assert (shares[:, voxels == voxel].argmax(axis=0) == label).mean() >= 0.5
    same = np.isin(voxels, (1, 3, -1))
    np.testing.assert_allclose(shares[:, same], before[:, same], rtol=1e-6)
