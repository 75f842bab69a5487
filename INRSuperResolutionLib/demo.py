"""``make demo``: the main job on real anatomy, without Slicer and without a download.

The ICBM152 T1 and its tissue maps come with the nilearn package. A T2-weighted scan of the same head
is made from the tissue maps by the spin-echo signal equation, both are cut into 4 mm slices (T1
sagittal, T2 axial), and the multi-contrast method restores them to 1 mm.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from .acquisition.degrade import degrade
from .benchmarks.anatomy import load_anatomy
from .errors import InrsrError
from .evaluation.metrics import compare
from .image.files import read, write
from .image.intensity import foreground
from .image.interpolate import resample
from .image.volume import Volume
from .jobs.bar import Bar
from .jobs.client import run_in_worker
from .jobs.job import Job

THICKNESS = 4.0  # mm
METHODS = ("linear", "cubic", "multicontrast")


def main() -> int:
    """Run the demo in the folder ``demo``; returns the exit code."""
    folder = Path("demo")
    try:
        folder.mkdir(exist_ok=True)
        truth = load_anatomy()
        scans = {}
        for (name, volume), axis in zip(truth.items(), (0, 2)):
            factors = [THICKNESS / s if a == axis else 1.0 for a, s in enumerate(volume.spacing)]
            scans[name] = degrade(volume, "area", factors)
            write(volume, folder / f"{name}_truth.nii.gz")
            write(scans[name], folder / f"{name}_thick.nii.gz")
        print(f"two scans of one head: T1 with {THICKNESS:g} mm sagittal slices, T2 with {THICKNESS:g} mm axial slices")
        results: dict[str, dict[str, Volume]] = {}
        for method in METHODS:
            outputs = {name: folder / f"{name}_{method}.nii.gz" for name in truth}
            job = Job(
                task="upscale",
                method=method,
                inputs=[str(folder / f"{name}_thick.nii.gz") for name in truth],
                outputs=[str(p) for p in outputs.values()],
                like=str(folder / "t1_truth.nii.gz"),
                slice_profile="boxcar",
                report=str(folder / f"{method}.json"),
            )
            run_in_worker(job, Bar())
            results[method] = {name: read(path) for name, path in outputs.items()}
        print_table(truth, results, folder)
        draw(truth, scans, results, folder / "demo.png")
        print(f"\nvolumes, reports and the figure demo.png are in {folder.absolute()}")
        return 0
    except InrsrError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.exit_code


def print_table(truth: dict[str, Volume], results: dict[str, dict[str, Volume]], folder: Path) -> None:
    """Quality inside the head (convention ``clean``), consistency and seconds."""
    print(f"\n{'method':14} {'contrast':9} {'PSNR dB':>8} {'SSIM':>7} {'consistency dB':>15} {'seconds':>8}")
    for method, volumes in results.items():
        report = json.loads((folder / f"{method}.json").read_text("utf-8"))
        for n, (name, result) in enumerate(volumes.items()):
            figures = compare(result.data, truth[name].data, foreground(truth[name].data))["clean"]
            print(
                f"{method:14} {name:9} {figures['psnr']:8.2f} {figures['ssim']:7.4f}"
                f" {report['consistency_db'][n]:15.1f} {report['seconds']['total']:8.1f}"
            )


def draw(truth: dict[str, Volume], scans: dict[str, Volume], results: dict[str, dict[str, Volume]], path: Path) -> None:
    """Three planes of both contrasts: input, cubic, result, truth, and the error of both."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    columns = ("input", "cubic", "multicontrast", "truth", "error of cubic", "error of multicontrast")
    figure, axes = plt.subplots(6, len(columns), figsize=(13, 14.5), facecolor="black")
    for contrast, (name, volume) in enumerate(truth.items()):
        top = float(np.percentile(volume.data, 99.8))
        images = {
            "input": resample(scans[name], volume.grid, 0).data,
            "cubic": results["cubic"][name].data,
            "multicontrast": results["multicontrast"][name].data,
            "truth": volume.data,
        }
        for plane, axis in enumerate((2, 1, 0)):
            row = axes[3 * contrast + plane]
            cut = volume.shape[axis] // 2 + 6
            for cell, column in zip(row, columns):
                cell.axis("off")
                if column.startswith("error"):
                    error = images[column.removeprefix("error of ")] - volume.data
                    cell.imshow(np.take(error, cut, axis).T, cmap="RdBu", origin="lower", vmin=-top / 4, vmax=top / 4)
                else:
                    cell.imshow(np.take(images[column], cut, axis).T, cmap="gray", origin="lower", vmin=0, vmax=top)
                if contrast == plane == 0:
                    cell.set_title(column, color="white", fontsize=10)
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=90, facecolor="black")
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
