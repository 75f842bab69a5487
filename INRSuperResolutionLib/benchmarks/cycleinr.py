"""``inrsr benchmark cycleinr``: tables of the CycleINR paper on the volumes at hand.

quality
    As Tables 1 and 2: every 2nd, 3rd and 5th slice is kept; PSNR and SSIM inside the mask (99.9th percentile
    = 1), LPIPS where its networks are at hand, and SNLI (in percent of the range), of linear, cubic, arssr, cycleinr.
averaged
    One scan as scanners make it: the slices of a volume averaged into thicker ones, by a boxcar and by a Gaussian profile.
    PSNR inside the head, and its gain over the better of linear and cubic, whole and in the outermost thick slices; where
    nothing is known of the profile (it is taken for a boxcar), and where it is told.
ablation
    As Table 3: the same for weights that were trained for equally many steps with neither, one, or both of
    attention (LAM) and cycle loss (CCL): ``ablation-*.safetensors`` in the folder ``Testing/Weights``.
growth
    Seconds and memory on 1/8, 1/4, 1/2 and all of a volume.
picture
    Coronal and sagittal planes of the results at 5×, as ``cycleinr.png`` in the folder ``--output``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..acquisition.degrade import degrade
from ..acquisition.noise import snli
from ..evaluation.metrics import compare
from ..evaluation.perceptual import perceptual_distance
from ..fitting import fit
from ..image.files import read, write
from ..image.intensity import foreground, robust_range
from ..image.interpolate import Sampler
from ..image.volume import Volume
from ..jobs.client import run_in_worker
from ..jobs.job import Job
from ..pictures import figure_of
from .arbitrary import DEFAULT_DATA
from .tables import Row, print_tables

CASES = ("ms19_flair", "ms19_t1", "clinical04_t2", "ct_abdomen")
# the cycle loss evens out noise: two heads with little of it, and a CT with much
ABLATED = ("ms19_flair", "ms19_t1", "ct_abdomen")
FACTORS = (2, 3, 5)
# volumes that no weights are trained on, and how many of their slices become one
AVERAGED = {"ms19_flair": 4, "ms19_t1": 4, "ct_chest_lidc0314_D_0.78x0.78x1_crop": 3,
            "head_philips_T1_adni_mprage_iso1_top": 4, "spine_lumbar_T2_iso1": 4}  # fmt: skip
# how slices are made thick, and the profile that tells of it
THICK = {"area": "boxcar", "profile": "gaussian"}
METHODS = ("linear", "cubic", "arssr", "cycleinr")
ABLATION = Path("Testing/Weights")
VARIANTS = {"INR": ("arssr", "none"), "INR + LAM": ("arssr", "lam"), "INR + CCL": ("cycleinr", "ccl"),
            "INR + LAM + CCL": ("cycleinr", "both")}  # fmt: skip
# part of a slice that must show the patient
FULL_SLICE = 0.05
SHARES = (8, 4, 2, 1)
TABLES = ("quality", "averaged", "ablation", "growth", "picture")


def benchmark_cycleinr(options: argparse.Namespace) -> None:
    """Print the tables."""
    folder = Path(options.data) if options.data else DEFAULT_DATA
    methods: dict[str, tuple[str, dict[str, str]]] = {m: (m, {}) for m in options.methods or METHODS}
    variants = {
        v: (m, {"weights": str(ABLATION / f"ablation-{n}.safetensors"), "mirrored": "1", "check": "false"})
        for v, (m, n) in VARIANTS.items()
    }
    makers = {
        "quality": lambda: compared(folder, methods, CASES),
        "averaged": lambda: averaged(folder, AVERAGED),
        "ablation": lambda: compared(folder, variants, ABLATED),
        "growth": lambda: growth(folder),
        "picture": lambda: picture(folder, methods, Path(options.output or ".")),
    }
    print_tables(makers, options)


def compared(folder: Path, methods: dict[str, tuple[str, dict[str, str]]], cases: tuple[str, ...]) -> Iterator[Row]:
    """Rows of figures: volumes × factors × methods."""
    for case in cases:
        volume = read(folder / f"{case}.nii.gz")
        axis = sharp_axis(volume)
        for factor in FACTORS:
            truth, coarse = without_slices(volume, axis, factor)
            mask = truth.data > truth.data.min()
            span = robust_range(truth.data)
            yield {"case": case, "factor": factor, "method": "truth", "snli": snli(truth.data, mask, axis, span)}
            for name, (method, settings) in methods.items():
                settings = {**settings, **({"axis": str(axis)} if method in ("arssr", "cycleinr") else {})}
                made = fit(method, [coarse], settings=dict(settings), slice_profile="none")
                result = made.sample(truth.grid)[0].data
                figures = compare(result, truth.data, mask)["clean"]
                yield {
                    "case": case,
                    "factor": factor,
                    "method": name,
                    "psnr": figures["psnr"],
                    "ssim": figures["ssim"],
                    "snli": snli(result, mask, axis, span),
                    **perceptual_distance(result / span, truth.data / span, axis),
                }


def averaged(folder: Path, cases: dict[str, int]) -> Iterator[Row]:
    """Rows of figures: volumes × profiles × methods, with the profile that the method is given."""
    for case, factor in cases.items():
        volume = read(folder / f"{case}.nii.gz")
        count = volume.shape[2] // factor * factor
        truth = volume.replace(data=volume.data[..., :count])
        mask = foreground(truth.data)
        full = np.flatnonzero(mask.mean(axis=(0, 1)) > FULL_SLICE)
        ends = np.concatenate([full[:factor], full[-factor:]])
        for kind, profile in THICK.items():
            coarse = degrade(truth, kind, (1, 1, factor))
            best = {"psnr": -np.inf, "ends": -np.inf}
            tries = [
                ("linear", "none"),
                ("cubic", "none"),
                *(("cycleinr", p) for p in dict.fromkeys(("boxcar", profile))),
            ]
            for method, given in tries:
                result = fit(method, [coarse], slice_profile=given).sample(truth.grid)[0].data
                parts = {"psnr": np.arange(count), "ends": ends}
                found = {
                    k: compare(result[..., p], truth.data[..., p], mask[..., p])["clean"]["psnr"]
                    for k, p in parts.items()
                }
                row: Row = {
                    "case": case,
                    "factor": factor,
                    "profile": profile,
                    "method": method,
                    "given": given,
                    **found,
                }
                if method in ("linear", "cubic"):
                    best = {k: max(v, found[k]) for k, v in best.items()}
                else:
                    row.update({f"{k} gain": found[k] - v for k, v in best.items()})
                yield row


def sharp_axis(volume: Volume) -> int:
    """The axis to leave slices out along: k, unless slices are thick along it already."""
    return 2 if volume.spacing[2] <= 1.25 * min(volume.spacing) else 1 if volume.thick_axis != 1 else 0


def without_slices(volume: Volume, axis: int, factor: int) -> tuple[Volume, Volume]:
    """The volume cut to a whole number of steps, and every `factor`-th of its slices."""
    count = (volume.shape[axis] - 1) // factor * factor + 1
    box = tuple(slice(0, count if a == axis else None) for a in range(3))
    truth = volume.replace(data=volume.data[box])
    return truth, degrade(truth, "interval", [factor if a == axis else 1 for a in range(3)])


def growth(folder: Path) -> Iterator[Row]:
    """Seconds and peak memory of a worker on parts of a volume of 512 × 512 × 60 slices, made five times as many."""
    source = read(folder / "ms19_t1.nii.gz")
    big = Volume(np.tile(source.data[:, :, 60:120], (3, 3, 1))[:512, :512], np.diag([0.4, 0.4, 2.0, 1.0]), name="big")
    with tempfile.TemporaryDirectory(prefix="inrsr-growth-") as scratch:
        for share in SHARES:
            side = [512 // (2 if share >= 4 else 1), 512 // (2 if share >= 2 else 1), 60 // (2 if share >= 8 else 1)]
            path, out = Path(scratch) / "in.nrrd", Path(scratch) / "out.nrrd"
            write(big.replace(data=big.data[: side[0], : side[1], : side[2]]), path)
            job = Job(
                task="upscale", method="cycleinr", inputs=[str(path)], outputs=[str(out)], scale=[1, 1, 5],
                settings={"check": "false", "mirrored": "1"},
            )  # fmt: skip
            report = run_in_worker(job, lambda event: None)
            yield {
                "part": f"1/{share}",
                "voxels": float(np.prod(side)),
                "seconds": report["seconds"]["sample"],
                "memory_mb": report["peak_memory_mb"],
            }


def picture(folder: Path, methods: dict[str, tuple[str, dict[str, str]]], output: Path) -> Iterator[Row]:
    """Draw planes across the slices, where slices that differ would show as lines; yields where the picture is."""
    volume = read(folder / f"{CASES[0]}.nii.gz")
    truth, coarse = without_slices(volume, 2, max(FACTORS))
    shown = {"input": Sampler(coarse, 0)(truth.grid)}
    for name, (method, settings) in methods.items():
        made = fit(method, [coarse], settings=dict(settings), slice_profile="none")
        shown[name] = made.sample(truth.grid)[0].data
    shown["truth"] = truth.data
    i, j = (n // 2 + n // 12 for n in truth.shape[:2])
    top = float(np.percentile(truth.data, 99.8))
    # the patient, with little around
    box = [slice(max(0, int(w.min()) - 6), int(w.max()) + 7) for w in np.nonzero(foreground(truth.data))]
    figure = figure_of(3 * len(shown), 5.2, facecolor="black")
    for (name, data), column in zip(shown.items(), figure.subplots(2, len(shown)).T):
        column[0].set_title(name, color="white")
        for axes, plane in zip(column, (data[box[0], j, box[2]], data[i, box[1], box[2]])):
            axes.imshow(plane.T, cmap="gray", vmin=0, vmax=top, origin="lower", interpolation="nearest")
            axes.set_axis_off()
    path = output / "cycleinr.png"
    figure.savefig(path, dpi=90)
    yield {"picture": str(path)}
