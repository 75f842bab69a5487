"""``inrsr benchmark single``: one scan with averaged thick slices, nothing said of their profile.

gain
    Slices of a volume are averaged, by a boxcar and by a Gaussian whose full width at half maximum is their distance, and
    restored: by the guided network on the scan alone, by weights trained ahead, by both averaged. PSNR and SSIM inside the
    mask (99.9th percentile = 1), over the better of linear and cubic; and the PSNR of the outermost slices alone, over the
    better of these there.
every
    The middle of every scan of the folder, 2 to 6 slices averaged into one: the gain of a method over the better of linear
    and cubic, and what it took.
time
    What ``inrsr upscale`` takes in all, start of its process to finished file, and its peak memory: cubic and ``auto``, of a
    head whose slices are averaged and of a whole clinical scan, nothing said.
real
    Bands, noise and columns through the edge of the field of view on scans as they were acquired, beside linear and cubic;
    with ``--output``, a picture of each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from ..acquisition.forward_model import FWHM
from ..auto import AUTO
from ..evaluation.metrics import compare, psnr
from ..image.files import read, read_grid, write
from ..image.intensity import foreground, is_ct, middle
from ..image.volume import Volume
from ..jobs.client import run_in_worker
from ..jobs.job import Job
from ..jobs.run import fit
from ..jobs.scratch import scratch_folder
from .arbitrary import DEFAULT_DATA
from .real import real
from .tables import Row, print_tables

# name, and how many slices become one
CASES = (
    ("ms19_flair", 4),
    ("ms19_t1", 4),
    ("head_philips_T1_adni_mprage_iso1_top", 4),
    ("spine_lumbar_T2_iso1", 4),
    ("ct_chest_lidc0314_D_0.78x0.78x1_crop", 3),
)
PROFILES = ("boxcar", "gaussian")
METHODS = ("self-supervised", "cycleinr", "combined")
INTERPOLATIONS = ("linear", "cubic")
# files of the folder that are scans; of these, words that tell of maps of tissue or organs
SCANS = (".nii.gz", ".nrrd")
NO_SCANS = ("lesions", "organs", "_gm", "_wm")
# the part of each, in voxels, and the factors; fewer thick slices than this say nothing
MIDDLE = (96, 96, 120)
FACTORS = range(2, 7)
FEWEST_SLICES = 5
# a volume that is as bright as this in more than this part has no dark air around it: its darkest part is left out
NO_AIR = 0.6
AIR_HU = -900.0
# slices with less of the patient are not counted among the outermost
FULL_ENOUGH = 0.05


def benchmark_single(options: argparse.Namespace) -> None:
    """Print the tables."""
    folder = Path(options.data) if options.data else DEFAULT_DATA
    methods = options.methods or METHODS
    makers = {
        "gain": lambda: gains(folder, methods),
        "every": lambda: every(folder, methods[-1]),
        "time": lambda: times(folder),
        "real": lambda: real(folder, methods, Path(options.output) if options.output else None),
    }
    print_tables(makers, options)


def gains(folder: Path, methods: Sequence[str]) -> Iterator[Row]:
    """Rows of figures: volumes × profiles × methods."""
    for case, factor in CASES:
        whole = read(folder / f"{case}.nii.gz")
        for profile in PROFILES:
            truth, thick = with_thick_slices(whole, factor, profile)
            mask = patient(truth)
            best = [
                max(values)
                for values in zip(*(figures(made(m, thick, truth), truth, mask, factor) for m in INTERPOLATIONS))
            ]
            for method in methods:
                started = time.perf_counter()
                found = figures(made(method, thick, truth), truth, mask, factor)
                yield {
                    "case": case,
                    "factor": factor,
                    "profile": profile,
                    "method": method,
                    "seconds": time.perf_counter() - started,
                    "interpolation": best[0],
                    "gain": found[0] - best[0],
                    "edge_gain": found[1] - best[1],
                    "ssim_gain": found[2] - best[2],
                }


def every(folder: Path, method: str) -> Iterator[Row]:
    """Rows of gains: scans × factors, by boxcars."""
    for path in sorted(folder.iterdir()):
        name = path.name.split(".")[0]
        if not path.name.endswith(SCANS) or any(word in name for word in NO_SCANS):
            continue
        whole = middle_of(read(path), MIDDLE)
        for factor in FACTORS:
            if whole.shape[2] // factor < FEWEST_SLICES:
                continue
            truth, thick = with_thick_slices(whole, factor, "boxcar")
            mask = patient(truth)
            best = max(figures(made(m, thick, truth), truth, mask, factor)[0] for m in INTERPOLATIONS)
            fitted = fit(method, [thick])
            found = figures(fitted.sample(truth.grid)[0].data, truth, mask, factor)[0]
            yield {
                "case": name,
                "factor": factor,
                "interpolation": best,
                "gain": found - best,
                "taken": fitted.provenance.get("left_out", {}).get("taken"),
            }


def times(folder: Path) -> Iterator[Row]:
    """Rows of seconds and memory: scans × (cubic, auto), each in a process of its own."""
    with scratch_folder() as scratch:
        _, averaged = with_thick_slices(read(folder / "ms19_flair.nii.gz"), 4, "boxcar")
        write(averaged, scratch / "ms19_flair.nii.gz")
        for scan in (scratch / "ms19_flair.nii.gz", folder / "clinical01_flair.nii.gz"):
            for method in ("cubic", AUTO):
                output = scratch / "result.nii.gz"
                started = time.perf_counter()
                job = Job(task="upscale", method=method, inputs=[str(scan)], outputs=[str(output)])
                report = run_in_worker(job, lambda event: None)
                yield {
                    "case": scan.name.split(".")[0],
                    "method": method,
                    "taken": str(report["method"]),
                    "seconds": time.perf_counter() - started,
                    "peak_mb": float(report["peak_memory_mb"]),
                    "voxels": " × ".join(map(str, read_grid(output).shape)),
                }


def middle_of(volume: Volume, sizes: Sequence[int]) -> Volume:
    """The part of a volume around the middle of the patient, at most `sizes` voxels."""
    box = middle(foreground(volume.data), sizes)
    affine = volume.affine.copy()
    affine[:3, 3] = volume.affine[:3] @ [*(part.start for part in box), 1]
    return volume.replace(data=np.ascontiguousarray(volume.data[box]), affine=affine)


def with_thick_slices(whole: Volume, factor: int, profile: str) -> tuple[Volume, Volume]:
    """The volume cut to a whole number of thick slices along k, and these."""
    count = whole.shape[2] // factor * factor
    truth = whole.replace(data=np.ascontiguousarray(whole.data[:, :, :count]))
    if profile == "boxcar":
        data = truth.data.reshape(*truth.shape[:2], count // factor, factor).mean(axis=3)
    else:
        blurred = ndimage.gaussian_filter1d(truth.data.astype(np.float64), factor / FWHM, axis=2, mode="nearest")
        centre = (factor - 1) / 2
        low, high = blurred[:, :, int(np.floor(centre)) :: factor], blurred[:, :, int(np.ceil(centre)) :: factor]
        slices = count // factor
        data = (low[:, :, :slices] + high[:, :, :slices]) / 2
    affine = truth.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (factor - 1) / 2
    affine[:3, 2] *= factor
    return truth, Volume(data.astype(np.float32), affine, name=whole.name)


def patient(truth: Volume) -> np.ndarray:
    """Where figures are taken, bool: above the air, or the brighter part where there is none."""
    if is_ct(truth.data):
        return truth.data > AIR_HU
    if truth.data.min() >= 0 and (truth.data > 0).mean() > NO_AIR:
        return truth.data > np.percentile(truth.data, 100 * NO_AIR)
    return truth.data > 0


def made(method: str, thick: Volume, truth: Volume) -> np.ndarray:
    """What a method with its usual settings makes of the thick slices, on the grid of the truth."""
    return fit(method, [thick]).sample(truth.grid)[0].data


def figures(result: np.ndarray, truth: Volume, mask: np.ndarray, factor: int) -> tuple[float, float, float]:
    """PSNR, PSNR of the outermost slices with enough of the patient, and SSIM."""
    whole = compare(result, truth.data, mask)["clean"]
    low = float(truth.data.min())
    span = float(np.percentile(truth.data[mask], 99.9)) - low
    scaled = [np.clip((a - low) / span, 0, 1) for a in (result, truth.data)]
    seen = [k for k in range(truth.shape[2]) if mask[:, :, k].mean() > FULL_ENOUGH]
    ends = [*seen[:factor], *seen[-factor:]]
    there = mask[:, :, ends]
    edge = psnr(*(a[:, :, ends][there] for a in scaled))
    return whole["psnr"], edge, whole["ssim"]
