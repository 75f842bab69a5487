"""The figures of ``inrsr evaluate`` as a table whose every row says what it means."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MEANING = {
    "PSNR clean": "error against the brightest tissue, one scale for both, in the mask only: higher is better",
    "SSIM clean": "likeness of local mean, contrast and structure, same scale, in the mask: 1 is equal",
    "RMSE clean": "typical error, as a part of the range from background to brightest tissue",
    "PSNR reference": "as many papers print it: each image scaled by itself, the empty background counted",
    "SSIM reference": "the same, for SSIM",
    "RMSE reference": "the same, for RMSE",
    "RMSE": "typical error of a voxel in the mask, in the unit of the image, nothing scaled",
    "mean error": "how much too bright the result is on average",
    "NMI": "what the two tell of each other, whatever their grey scales: 2 is all, 1 is nothing",
    "MI error": "how far the result is from the reference in what two contrasts tell of each other: 0 is best",
    "VIF": "part of the reference's visual information that is left, mean of slices: 1 is all",
    "LPIPS": "difference as networks for photographs see it, mean of slices: 0 is equal; they never saw medical images",
    "sFRC": "detail to which 9 of 10 patches agree with the reference: a frequency, higher is finer",
    "sFRC altered": "patches that disagree in detail as coarse as the scan itself measured: look at them, 0 is wanted",
    "consistency": "the result made thick again, against the scan; knows nothing of what lies between the slices",
    "Dice": "overlap of a segmentation with the reference's: 1 is equal",
    "NSD": "part of the border within the tolerance: 1 is all",
    "volume": "of the label in the result, beside the reference's",
    "SNLI": "how much the noise differs from slice to slice, result beside reference: like the reference is best",
}
# of the parts of why_they_differ
CAUSES = {
    "background": "the empty background counts as perfect",
    "range": "the range runs from the darkest to the brightest voxel",
    "own_scale": "each image is scaled by its own extremes",
    "clipping": "values outside the range count in full",
}
# differences of the two conventions below this are not explained, dB
WORTH_A_WORD = 0.5


@dataclass(frozen=True)
class Row:
    """One figure: of what (an axis, a label, a network), and the reference's own figure where it has one."""

    metric: str
    of: str
    value: float
    unit: str = ""
    reference: float | None = None


def rows(figures: Mapping[str, Any]) -> Iterator[Row]:
    """The figures as `inrsr evaluate --json` has them, row by row."""
    for convention in ("clean", "reference"):
        f = figures[convention]
        yield Row(f"PSNR {convention}", "", f["psnr"], "dB")
        yield Row(f"SSIM {convention}", "", f["ssim"])
        yield Row(f"RMSE {convention}", "", f["rmse"])
    own = figures["in_unit"]
    yield Row("RMSE", "", own["rmse"], own["unit"])
    yield Row("mean error", "", own["mean_error"], own["unit"])
    yield Row("NMI", "", figures["nmi"])
    if "mutual_information_error" in figures:
        yield Row("MI error", "", figures["mutual_information_error"], "nats")
    yield from (Row("VIF", f"across {axis}", f) for axis, f in zip("ijk", figures["vif"]))
    for name, found in figures.get("lpips", {}).items():
        yield from (Row("LPIPS", f"{name}, across {axis}", f) for axis, f in zip("ijk", found))
    for axis, f in zip("ijk", figures["sfrc"]["axes"]):
        if f["patches"]:
            yield Row("sFRC", f"across {axis}", f["agrees_to_per_mm"], "1/mm")
            if f["altered"] is not None:
                yield Row("sFRC altered", f"across {axis}", 100 * f["altered"], "%")
    if figures.get("consistency_db") is not None:
        yield Row("consistency", "", figures["consistency_db"], "dB")
    for label, f in figures.get("labels", {}).items():
        yield Row("Dice", f"label {label}", f["dice"])
        yield Row("NSD", f"label {label}", f["nsd"])
        yield Row("volume", f"label {label}", f["ml"], "mL", f["reference_ml"])
    if figures["snli"]:
        for axis, value, other in zip("ijk", figures["snli"]["result"], figures["snli"]["reference"]):
            yield Row("SNLI", f"across {axis}", value, "%", other)


def text(table: Sequence[Row]) -> str:
    """Aligned lines; what a measure means stands in its first line."""
    lines = []
    told: set[str] = set()
    for row in table:
        value = f"{row.value:.4g}" + (f" {row.unit}" if row.unit else "")
        if row.reference is not None:
            value += f" ({row.reference:.4g})"
        meaning = "" if row.metric in told else MEANING[row.metric]
        told.add(row.metric)
        lines.append(f"{row.metric:14}  {row.of:16}  {value:22}  {meaning}".rstrip())
    return "\n".join(lines)


def csv_text(table: Sequence[Row]) -> str:
    """One row a figure; empty where there is no number."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["metric", "of", "value", "unit", "reference", "meaning"])

    def number(value: float | None) -> str:
        return "" if value is None or not np.isfinite(value) else f"{value:.6g}"

    for row in table:
        found = [row.metric, row.of, number(row.value), row.unit, number(row.reference), MEANING[row.metric]]
        writer.writerow(found)
    return file.getvalue()


def difference_told(parts: Mapping[str, float]) -> str:
    """Why the two conventions disagree, in a sentence; empty where they hardly do."""
    if not all(np.isfinite(p) for p in parts.values()) or max(map(abs, parts.values())) < WORTH_A_WORD:
        return ""
    causes = [f"{CAUSES[k]} ({v:+.1f} dB)" for k, v in parts.items() if abs(v) >= 0.05]
    return f"'reference' is {sum(parts.values()):+.1f} dB from 'clean': " + "; ".join(causes)
