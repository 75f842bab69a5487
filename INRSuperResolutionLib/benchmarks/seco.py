"""``inrsr benchmark seco``: the tables of the SeCo-INR paper in shape, on the volumes at hand.

Slices are averaged over 2 × 2 (or 4 × 4) pixels and restored. Quality is only looked at afterwards: every
fit runs by its fixed schedule, or for a given time. PSNR, SSIM and RMSE are of the whole slice, the
truth's 99.9th percentile being 1; `eroded` is the PSNR two pixels inside the mask's edge.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from skimage.metrics import structural_similarity

from ..acquisition.degrade import degrade
from ..errors import InputError
from ..evaluation.metrics import psnr
from ..fitting import fit
from ..image.files import read
from ..image.grid import Grid
from ..image.interpolate import index_coordinates
from ..image.labels import automatic_prior
from ..image.volume import Volume
from ..methods.perimage import BASELINE_PRESETS
from ..pictures import figure_of
from ..representation import Representation
from .tables import print_tables

DEFAULT_DATA = Path("../shared/data")
NETWORKS = ("seco", *BASELINE_PRESETS)
BRAIN_SLICES = (70, 100)
OMEGAS = (10, 20, 30, 40, 50, 60)
# the paper's Table 4
GOALS = {"psnr": 30.0, "ssim": 0.90}
# time limits that are tried for it, s; how often the last step between two is halved; and the seeds
FIRST_LIMIT, LIMIT_RATIO, LAST_LIMIT = 0.25, 1.2, 20.0
HALVINGS = 3
SEEDS = (0, 1, 2)
EVOLUTION_EPOCHS = (1, 3, 10, 30)
# the ablation takes every so many cases
ABLATION_STEP = 4


@dataclass(frozen=True)
class Case:
    """A slice to restore.

    Parameters
    ----------
    truth, labels
        One slice; labels on the same grid, or None for automatic classes.
    factor
        In-plane factor of the degradation; 1.5 and 2.5 as well.
    """

    name: str
    truth: Volume
    labels: Volume | None
    factor: float

    @functools.cached_property
    def coarse(self) -> Volume:
        """The slice as a coarser scanner sees it."""
        return degrade(self.truth, "area", (self.factor, self.factor, 1))

    @functools.cached_property
    def coarse_labels(self) -> Volume | None:
        """The label with the largest share in each pixel."""
        if self.labels is None:
            return None
        values = np.unique(self.labels.data)
        shares = [
            degrade(self.labels.replace(data=self.labels.data == v), "area", (self.factor, self.factor, 1))
            for v in values
        ]
        return shares[0].replace(data=values[np.argmax([s.data for s in shares], axis=0)], name="labels")


def benchmark_seco(options: argparse.Namespace) -> None:
    """Print the chosen tables, and draw the pictures into the folder of `options.output`."""
    folder = Path(options.data) if options.data else DEFAULT_DATA
    output = Path(options.output) if options.output else None
    methods = options.methods or NETWORKS
    makers = {
        name: functools.partial(make, folder, methods, options.factors or [2.0], output)
        for name, make in _TABLES.items()
    }
    print_tables(makers, options)


def one_slice(volume: Volume, k: int, factor: float) -> Volume:
    """Slice k, cropped to a multiple of `factor` (of twice it where that is no whole number), float32."""
    step = int(factor if factor == int(factor) else 2 * factor)
    n, m = (size // step * step for size in volume.shape[:2])
    return Volume(volume.data[:n, :m, k : k + 1], volume.slice_grid(k).affine, name=volume.name)


def cases(folder: Path, factor: float) -> Iterator[Case]:
    """Slices of the project's volumes, or, in a folder of the user's, the middle slice of every volume.

    There, ``NAME_labels.*`` are the labels of ``NAME.*``.
    """
    if not (folder / "icbm152_t1.nii.gz").is_file():
        files = sorted(p for p in folder.glob("*") if p.is_file() and "_labels" not in p.name and p.name[0] != ".")
        if not files:
            raise InputError(f"{folder} has no volumes", "Name a folder with images by --data")
        for path in files:
            volume = read(path)
            k = volume.shape[2] // 2
            found = sorted(folder.glob(path.name.split(".")[0] + "_labels.*"))
            labels = one_slice(read(found[0]), k, factor) if found else None
            yield Case(path.name, one_slice(volume, k, factor), labels, factor)
        return
    t1, tissues = icbm152(folder)
    for k in BRAIN_SLICES:
        yield Case(f"icbm152 {k}", one_slice(t1, k, factor), one_slice(tissues, k, factor), factor)
    for subject in ("ms07", "ms19"):
        lesions = read(folder / f"{subject}_lesions.nii.gz")
        for contrast in ("t1", "flair"):
            truth = one_slice(read(folder / f"{subject}_{contrast}.nii.gz"), 90, factor)
            yield Case(f"{subject} {contrast} auto", truth, None, factor)
            classes = automatic_prior(truth).probabilities.argmax(axis=0)
            with_lesions = np.where(one_slice(lesions, 90, factor).data > 0, classes.max() + 1, classes)
            yield Case(f"{subject} {contrast} with lesions", truth, truth.replace(data=with_lesions), factor)
    # the organs' labels cover the first 30 slices
    organs = read(folder / "ct_abdomen_organs.nii.gz")
    ct = read(folder / "ct_abdomen.nii.gz")
    yield Case("ct_abdomen organs", one_slice(ct, 15, factor), one_slice(organs, 15, factor), factor)


def icbm152(folder: Path) -> tuple[Volume, Volume]:
    """The average T1 and its tissues: 0 outside, 1 CSF, 2 grey, 3 white matter."""
    t1, grey, white = (read(folder / f"icbm152_{name}.nii.gz") for name in ("t1", "gm", "wm"))
    fluid = np.clip((t1.data > 0) * 255.0 - grey.data - white.data, 0, 255)
    tissues = np.where(t1.data > 0, 1 + np.argmax([fluid, grey.data, white.data], axis=0), 0)
    return t1, t1.replace(data=tissues, name="tissues")


def restore(
    method: str, case: Case, limit: float | None = None, seed: int = 0, preset: str = "", **changes: Any
) -> Representation:
    """Fit `method` to a case with the area model; by the papers, with preset ``paper``, to pixels as points."""
    labels = case.coarse_labels if method == "seco" else None
    return fit(
        method, [case.coarse], preset=preset, settings=changes, labels=labels,
        slice_profile="none" if preset == "paper" else "boxcar",
        finest_spacing=min(case.truth.spacing[:2]), max_seconds=limit, seed=seed,
    )  # fmt: skip


def figures(truth: np.ndarray, result: np.ndarray) -> dict[str, float]:
    """PSNR (dB), SSIM and RMSE of a slice, and PSNR two pixels inside the mask."""
    low = float(truth.min())
    span = float(np.percentile(truth, 99.9)) - low
    a, b = (truth - low) / span, (result - low) / span
    inner = ndimage.binary_erosion(a > 0, iterations=2)
    ssim = structural_similarity(a, b, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    return {
        "psnr": psnr(b, a),
        "ssim": float(ssim),
        "rmse": float(np.sqrt(np.mean((a - b) ** 2))),
        "eroded": psnr(b[inner], a[inner]),
    }


def quality_of(case: Case, representation: Representation) -> dict[str, float]:
    """Figures of a restored case."""
    return figures(case.truth.data[..., 0], representation.sample(case.truth.grid)[0].data[..., 0])


def back_projected(case: Case) -> np.ndarray:
    """Cubic interpolation with two back-projections: a fairer baseline, without learning."""
    coarse, grid = case.coarse, case.truth.grid
    total = np.zeros(grid.shape, np.float32)
    left = coarse
    for _ in range(3):
        total += fit("cubic", [left]).sample(grid)[0].data
        seen = degrade(case.truth.replace(data=total), "area", (case.factor, case.factor, 1))
        left = coarse.replace(data=coarse.data - seen.data)
    return total[..., 0]


def quality(
    folder: Path, methods: Sequence[str], factors: Sequence[float], output: Path | None
) -> Iterator[dict[str, Any]]:
    """Tables 1 to 3: every method on every slice."""
    for factor in factors:
        for case in cases(folder, factor):
            told = {"case": case.name, "factor": factor}
            yield {**told, "method": "cubic", **quality_of(case, fit("cubic", [case.coarse]))}
            yield {**told, "method": "back-projected cubic", **figures(case.truth.data[..., 0], back_projected(case))}
            for method in methods:
                started = time.perf_counter()
                representation = restore(method, case)
                seconds = time.perf_counter() - started
                yield {**told, "method": method, **quality_of(case, representation), "seconds": round(seconds, 1)}


def first_case(folder: Path, factor: float = 2) -> Case:
    """The slice of the tables that need one only."""
    return next(cases(folder, factor))


def time_to_quality(
    folder: Path, methods: Sequence[str], factors: Sequence[float], output: Path | None
) -> Iterator[dict[str, Any]]:
    """Table 4: the shortest fit (its schedule cut to a time limit) that reaches 30 dB, or SSIM 0.90.

    The class network is part of the fit. Without the spline of what the network leaves, which is above
    30 dB alone. Median and spread over the seeds; a method that fails with the first seed is not tried again.
    """
    yield from times_of(first_case(folder), methods, "")


def times_of(case: Case, methods: Sequence[str], preset: str) -> Iterator[dict[str, Any]]:
    """Rows of :func:`time_to_quality` on one slice."""
    case.coarse_labels  # noqa: B018  the input is there before the clock starts
    for method in ("siren", "seco"):
        restore(method, case, 0.5, agree=False)  # what is slow the first time
    for method in methods:
        told: dict[str, Any] = {"case": case.name, "method": method}
        attempts = [functools.cache(functools.partial(attempt, method, case, seed, preset)) for seed in SEEDS]
        for figure, enough in GOALS.items():
            found: list[float] = []
            for of_seed in attempts:
                seconds = shortest(of_seed, figure, enough)
                if seconds is None:
                    break
                found.append(seconds)
            told[f"seconds_{figure}"] = statistics.median(found) if len(found) == len(SEEDS) else "not reached"
            told[f"spread_{figure}"] = f"{min(found):.2f} to {max(found):.2f}" if found else ""
        yield told


def attempt(method: str, case: Case, seed: int, preset: str, limit: float) -> tuple[float, dict[str, float]]:
    """Seconds of a fit that is cut to a limit, and its figures."""
    started = time.perf_counter()
    representation = restore(method, case, limit, seed, preset, agree=False)
    return time.perf_counter() - started, quality_of(case, representation)


def shortest(fit_within: Callable[[float], tuple[float, dict[str, float]]], figure: str, enough: float) -> float | None:
    """Seconds of the shortest attempt whose `figure` is good enough, to 2 %; None if none within the last limit is."""
    low, high = 0.0, FIRST_LIMIT
    while fit_within(high)[1][figure] < enough:
        low, high = high, high * LIMIT_RATIO
        if high > LAST_LIMIT:
            return None
    for _ in range(HALVINGS if low else 0):
        middle = math.sqrt(low * high)
        if fit_within(middle)[1][figure] < enough:
            low = middle
        else:
            high = middle
    return fit_within(high)[0]


def ablation(
    folder: Path, methods: Sequence[str], factors: Sequence[float], output: Path | None
) -> Iterator[dict[str, Any]]:
    """What each part of SeCo-INR is worth."""
    variants: dict[str, dict[str, Any]] = {
        "seco": {},
        "without semantics": {"semantics": False},
        "trained jointly": {"joint": True},
        "without the spline of what is left": {"agree": False},
        "float32": {"mixed_precision": False},
    }
    for case in itertools.islice(cases(folder, 2), 0, None, ABLATION_STEP):
        for name, changes in variants.items():
            started = time.perf_counter()
            representation = restore("seco", case, **changes)
            seconds = time.perf_counter() - started
            yield {"case": case.name, "variant": name, **quality_of(case, representation), "seconds": round(seconds, 1)}
        points = fit("seco", [case.coarse], labels=case.coarse_labels, slice_profile="none")
        yield {"case": case.name, "variant": "pixels as points", **quality_of(case, points)}


def omega(
    folder: Path, methods: Sequence[str], factors: Sequence[float], output: Path | None
) -> Iterator[dict[str, Any]]:
    """PSNR against ω0 of all layers, the first one's band included."""
    case = first_case(folder)
    curves: dict[str, list[float]] = {"seco": [], "siren": []}
    for method, curve in curves.items():
        for value in OMEGAS:
            curve.append(quality_of(case, restore(method, case, omega=value, band=0.0, agree=False))["psnr"])
            yield {"case": case.name, "method": method, "omega": value, "psnr": curve[-1]}
    if output is not None:
        figure = figure_of(5, 3.5)
        axis = figure.subplots()
        for method, curve in curves.items():
            axis.plot(OMEGAS, curve, "o-", label=method)
        axis.set(xlabel="ω0 of all layers", ylabel="PSNR (dB)", title=case.name)
        axis.legend()
        save(figure, output, "omega.png")


def labels(
    folder: Path, methods: Sequence[str], factors: Sequence[float], output: Path | None
) -> Iterator[dict[str, Any]]:
    """Dice of the super-resolved labels beside copied ones."""
    for factor in factors:
        for case in cases(folder, factor):
            if case.labels is None or case.coarse_labels is None:
                continue
            grid = case.truth.grid
            representation = restore("seco", case)
            found = representation.most_likely(representation.probabilities(grid), grid).data
            copied = fit("nearest", [case.coarse_labels]).sample(grid)[0].data
            for value in np.unique(case.labels.data)[1:]:
                yield {
                    "case": case.name, "factor": factor, "label": int(value),
                    "dice": dice(found == value, case.labels.data == value),
                    "dice_nearest": dice(copied == value, case.labels.data == value),
                }  # fmt: skip


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice coefficient of two masks; 1 for two empty ones."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def learned_mask(representation: Representation, grid: Grid) -> np.ndarray:
    """The likeliest class of the class network alone, on a slice; (i, j)."""
    import torch

    from ..methods.perimage.field import FieldRepresentation

    assert isinstance(representation, FieldRepresentation)
    part, prior, frame = representation.parts[0], representation.prior, representation.frame
    assert part is not None
    assert prior is not None
    index = index_coordinates(representation.volume, grid).reshape(3, -1)
    x = torch.from_numpy(frame.coordinates(index[list(frame.axes)].T))
    with torch.no_grad():
        likeliest = part.network.probabilities(x).argmax(dim=1).numpy()  # type: ignore[operator]
    return np.array(prior.values)[part.present][likeliest].reshape(grid.shape[:2])


def evolution(
    folder: Path, methods: Sequence[str], factors: Sequence[float], output: Path | None
) -> Iterator[dict[str, Any]]:
    """The segmentation as the class network learns it, and the pictures of all methods, as images."""
    case = first_case(folder)
    grid, pictures = case.truth.grid, {}
    for epochs in EVOLUTION_EPOCHS:
        representation = restore("seco", case, class_epochs=epochs)
        found = learned_mask(representation, grid)
        pictures[f"{epochs} epochs"] = found
        right = float((found == case.labels.data[..., 0]).mean()) if case.labels is not None else float("nan")
        yield {"case": case.name, "class_epochs": epochs, "right": right}
    if output is None:
        return
    if case.labels is not None:
        pictures["truth"] = case.labels.data[..., 0]
    draw(pictures, output, "mask-evolution.png", "viridis")
    truth = case.truth.data[..., 0]
    results = {"input": fit("nearest", [case.coarse]).sample(grid)[0].data[..., 0]}
    for method in ("cubic", "siren", "seco"):
        results[method] = restore(method, case).sample(grid)[0].data[..., 0]
    draw({**results, "truth": truth}, output, "seco.png", "gray", (truth.min(), np.percentile(truth, 99.9)))
    errors = {f"error of {m}": np.abs(results[m] - truth) for m in ("cubic", "siren", "seco")}
    draw(errors, output, "seco-errors.png", "magma", (0, 0.1 * np.percentile(truth, 99.9)))


def draw(
    pictures: dict[str, np.ndarray],
    output: Path,
    name: str,
    colours: str,
    window: tuple[float, float] | tuple[None, None] = (None, None),
) -> None:
    """Pictures side by side, in one window (lowest and highest value; None for each its own)."""
    figure = figure_of(4 * len(pictures), 5.2, layout="none", facecolor="black")
    axes = figure.subplots(1, len(pictures))
    for axis, (title, picture) in zip(np.ravel(axes), pictures.items()):
        axis.imshow(picture.T, cmap=colours, origin="lower", vmin=window[0], vmax=window[1])
        axis.set_title(title, color="white")
        axis.axis("off")
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.93, 0.02)
    save(figure, output, name)


def save(figure: Any, output: Path, name: str) -> None:
    """Write a figure into the folder."""
    figure.savefig(output / name, dpi=80, facecolor=figure.get_facecolor())


_TABLES: dict[str, Callable[[Path, Sequence[str], Sequence[float], Path | None], Iterator[dict[str, Any]]]] = {
    "quality": quality,
    "time": time_to_quality,
    "ablation": ablation,
    "omega": omega,
    "labels": labels,
    "evolution": evolution,
}
