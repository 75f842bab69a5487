"""What became of a batch: a table for programs, and one page for the eye."""

from __future__ import annotations

import base64
import csv
import html
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from imageio.v3 import imread, imwrite
from scipy import ndimage

from ..errors import InrsrError
from ..image.files import read
from ..image.interpolate import resample
from ..image.volume import Volume
from .case import DONE, Outcome
from .manifest import Case

COLUMNS = ("case", "state", "reason", "method", "why", "seconds", "consistency_db", "warnings", "outputs")
# pixels of a thumbnail along its longer side
SIDE = 110
PLANES = ("sagittal", "coronal", "axial")
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 14px system-ui, sans-serif; margin: 1.5em; color-scheme: light dark }}
table {{ border-collapse: collapse }} td, th {{ border-bottom: 1px solid #8884; padding: .4em .6em; vertical-align: top; text-align: left }}
th {{ cursor: pointer; position: sticky; top: 0; background: Canvas }} th::after {{ content: " ⇅"; opacity: .4 }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums }} img {{ height: {side}px; image-rendering: auto; background: #000 }}
.done {{ color: #2a7 }} .failed, .input {{ color: #d33 }} .reason {{ max-width: 28em }}
</style>
<h1>{title}</h1><p>{counts}</p><p>Thumbnails: input (as acquired), then result; sagittal, coronal, axial through the middle. For research use only.</p>
<table><thead><tr>{heads}</tr></thead><tbody>
{rows}
</tbody></table>
<script>
document.querySelectorAll("th").forEach((th, n) => th.addEventListener("click", () => {{
  const body = document.querySelector("tbody"), up = th.dataset.up = th.dataset.up === "1" ? "0" : "1";
  const key = row => row.cells[n].dataset.sort ?? row.cells[n].textContent;
  [...body.rows].sort((a, b) => (up === "1" ? 1 : -1) * key(a).localeCompare(key(b), undefined, {{numeric: true}})).forEach(r => body.append(r));
}}));
</script></html>
"""


def write_table(outcomes: Sequence[Outcome], path: Path) -> None:
    """``summary.csv``: one row a case."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row_of(outcome, path.parent) for outcome in outcomes)
    replace_text(path, text.getvalue())


def row_of(outcome: Outcome, folder: Path) -> dict[str, str]:
    """An outcome as texts."""
    return {
        "case": outcome.case,
        "state": outcome.state,
        "reason": outcome.reason,
        "method": outcome.method,
        "why": outcome.why,
        "seconds": "" if outcome.seconds is None else f"{outcome.seconds:.1f}",
        "consistency_db": ";".join("" if c is None else f"{c:.1f}" for c in outcome.consistency_db),
        "warnings": "; ".join(outcome.warnings),
        "outputs": ";".join(os.path.relpath(p, folder) for p in outcome.outputs),
    }


def write_page(outcomes: Sequence[Outcome], cases: Mapping[str, Case], path: Path) -> None:
    """``summary.html``: a page that needs nothing else; thumbnails are kept beside each case's results."""
    rows = []
    for outcome in outcomes:
        cells = row_of(outcome, path.parent)
        del cells["outputs"]
        told = [
            f'<td class="{outcome.state}">{html.escape(outcome.state)}</td>' if k == "state" else _cell(k, v)
            for k, v in cells.items()
        ]
        pictures = "".join(f"<td>{image}</td>" for image in _pictures(outcome, cases[outcome.case]))
        rows.append(f"<tr>{''.join(told)}{pictures or '<td></td><td></td>'}</tr>")
    heads = [name.replace("_db", ", dB").replace("_", " ") for name in COLUMNS if name != "outputs"]
    done = sum(o.state == DONE for o in outcomes)
    page = PAGE.format(
        title="Super-resolution of a cohort",
        counts=f"{len(outcomes)} cases, {done} done, {len(outcomes) - done} not",
        side=SIDE,
        heads="".join(f"<th>{name}</th>" for name in (*heads, "input", "result")),
        rows="\n".join(rows),
    )
    replace_text(path, page)


def _cell(name: str, value: str) -> str:
    kind = (
        "number" if name in ("seconds", "consistency_db") else "reason" if name in ("reason", "why", "warnings") else ""
    )
    return f'<td class="{kind}">{html.escape(value)}</td>'


def _pictures(outcome: Outcome, case: Case) -> list[str]:
    """Input and result in three planes, as HTML images; the picture is made once and kept beside the results."""
    if outcome.state != DONE or case.job is None or not outcome.outputs:
        return []
    kept = Path(str(case.job.report)).parent / "thumbnails.png"
    if not kept.is_file() or kept.stat().st_mtime < Path(outcome.outputs[0]).stat().st_mtime:
        try:
            draw(read(case.job.inputs[0]), read(outcome.outputs[0]), kept)
        except (InrsrError, OSError):  # what has gone since then is no reason to have no page
            return []
    both = np.asarray(imread(kept))
    half = both.shape[0] // 2
    return [
        f'<img alt="{name}" src="data:image/png;base64,{_png(part)}">'
        for name, part in (("input", both[:half]), ("result", both[half:]))
    ]


def draw(source: Volume, result: Volume, path: Path) -> None:
    """Two rows of three planes: the input as acquired, and the result."""
    shown = [resample(source, result.grid, 0), result]
    low, high = np.percentile(result.data, [0.5, 99.7])
    rows = [np.concatenate([_plane(v, axis, low, high) for axis in range(3)], axis=1) for v in shown]
    _save(np.concatenate(rows), path)


def _plane(volume: Volume, axis: int, low: float, high: float) -> np.ndarray:
    """The middle plane across an axis of the patient, as a square of 8-bit grey values; head, or front, up."""
    order, signs = patient_axes(volume.affine)
    data = np.transpose(volume.data, order)[tuple(slice(None, None, s) for s in signs)]
    spacing = [volume.spacing[n] for n in order]
    plane = np.take(data, data.shape[axis] // 2, axis=axis)
    size = [n * s for n, s in zip(plane.shape, [s for a, s in enumerate(spacing) if a != axis])]
    scaled = ndimage.zoom(
        plane, [max(1, round(SIDE * mm / max(size))) / n for mm, n in zip(size, plane.shape)], order=1
    )
    grey = np.clip(255 * (scaled - low) / max(high - low, 1e-12), 0, 255).astype(np.uint8).T[::-1]
    square = np.zeros((SIDE, SIDE), np.uint8)
    at = [(SIDE - n) // 2 for n in grey.shape]
    square[at[0] : at[0] + grey.shape[0], at[1] : at[1] + grey.shape[1]] = grey
    return square


def patient_axes(affine: np.ndarray) -> tuple[list[int], list[int]]:
    """Which axis of the array runs along x, y and z of the patient (RAS), and in which direction."""
    rest, order, signs = {0, 1, 2}, [], []
    for world in range(3):
        axis = max(rest, key=lambda a: abs(affine[world, a]) / np.linalg.norm(affine[:3, a]))
        rest.discard(axis)
        order.append(axis)
        signs.append(1 if affine[world, axis] >= 0 else -1)
    return order, signs


def _save(image: np.ndarray, path: Path) -> None:
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    imwrite(beside, image)
    os.replace(beside, path)


def _png(image: np.ndarray) -> str:
    return base64.b64encode(imwrite("<bytes>", image, extension=".png") or b"").decode()


def replace_text(path: Path, text: str) -> None:
    """Write a text file so that none ever sees half of it; what is right already stays."""
    if path.is_file() and path.read_text("utf-8") == text:
        return
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    beside.write_text(text, "utf-8")
    os.replace(beside, path)
