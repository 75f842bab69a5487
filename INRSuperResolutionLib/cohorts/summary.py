"""What became of a batch: a table for programs, and one page for the eye."""

from __future__ import annotations

import base64
import contextlib
import csv
import html
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
from imageio.v3 import imwrite
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
SHOWN = ("input", "result", "added", "uncertainty")
# of the range of the result, what the maps show as white
MAP_REACH = 0.25
# a page of more cases than these does not hold its thumbnails itself
MOST_HELD = 500
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 14px system-ui, sans-serif; margin: 1.5em; color-scheme: light dark }}
table {{ border-collapse: collapse }} td, th {{ border-bottom: 1px solid #8884; padding: .4em .6em; vertical-align: top; text-align: left }}
th {{ cursor: pointer; position: sticky; top: 0; background: Canvas }} th::after {{ content: " ⇅"; opacity: .4 }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums }} img {{ height: {side}px; image-rendering: auto; background: #000 }}
.done {{ color: #2a7 }} .failed, .input {{ color: #d33 }} .reason {{ max-width: 28em }}
</style>
<h1>{title}</h1><p>{counts}</p><p>Thumbnails: input (as acquired), result, what was added to a spline (grey: nothing) and half the width of the 90 % interval (black: none), both up to a quarter of the range; sagittal, coronal, axial through the middle. For research use only.</p>
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


class Table:
    """``summary.csv`` while a batch runs: a row a case, in the order in which they come."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, COLUMNS, lineterminator="\n")
        self._writer.writeheader()

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, outcome: Outcome) -> None:
        """A row."""
        self._writer.writerow(row_of(outcome, self._folder))
        self._file.flush()


def write_table(outcomes: Iterable[Outcome], path: Path) -> None:
    """``summary.csv`` in the end: a row a case, in the order of the manifest."""
    with replaced(path) as beside, Table(beside) as table:
        for outcome in outcomes:
            table.add(outcome)


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


def write_page(outcomes: Iterable[Outcome], cases: Iterable[Case], count: int, done: int, path: Path) -> None:
    """``summary.html``: a page that needs no server; thumbnails are kept beside each case's results.

    Parameters
    ----------
    outcomes, cases
        In one order; looked at one by one.
    count, done
        How many there are, and how many of them are done. Of many cases, the page shows the kept thumbnails instead of holding them.
    """
    heads = [name.replace("_db", ", dB").replace("_", " ") for name in COLUMNS if name != "outputs"]
    head, foot = PAGE.format(
        title="Super-resolution of a cohort",
        counts=f"{count} cases, {done} done, {count - done} not",
        side=SIDE,
        heads="".join(f"<th>{name}</th>" for name in (*heads, *SHOWN)),
        rows="\0",
    ).split("\0")
    with replaced(path) as beside, beside.open("w", encoding="utf-8") as page:
        page.write(head)
        for outcome, case in zip(outcomes, cases):
            cells = row_of(outcome, path.parent)
            del cells["outputs"]
            told = [
                f'<td class="{outcome.state}">{html.escape(outcome.state)}</td>' if k == "state" else _cell(k, v)
                for k, v in cells.items()
            ]
            pictures = _pictures(outcome, case, path.parent if count > MOST_HELD else None)
            page.write(f"<tr>{''.join(told)}{''.join(f'<td>{p}</td>' for p in pictures)}</tr>\n")
        page.write(foot)


def _cell(name: str, value: str) -> str:
    kind = (
        "number" if name in ("seconds", "consistency_db") else "reason" if name in ("reason", "why", "warnings") else ""
    )
    return f'<td class="{kind}">{html.escape(value)}</td>'


def _pictures(outcome: Outcome, case: Case, folder: Path | None) -> list[str]:
    """Input, result and maps in three planes, as HTML images; drawn once and kept beside the results.

    `folder`: of the page, where it is not to hold the images itself.
    """
    nothing = [""] * len(SHOWN)
    if outcome.state != DONE or case.job is None or not outcome.outputs:
        return nothing
    kept = [Path(str(case.job.report)).parent / f"thumbnail-{name}.png" for name in SHOWN]
    try:
        made = Path(outcome.outputs[0]).stat().st_mtime
        if not kept[0].is_file() or kept[0].stat().st_mtime < made:
            added, uncertainty = (read(paths[0]) if paths else None for paths in (case.job.added, case.job.uncertainty))
            draw(read(case.job.inputs[0]), read(outcome.outputs[0]), added, uncertainty, kept)
    except (InrsrError, OSError):  # what has gone since then is no reason to have no page
        return nothing
    return [_image(path, name, folder) if path.is_file() else "" for path, name in zip(kept, SHOWN)]


def _image(path: Path, name: str, folder: Path | None) -> str:
    if folder is None:
        source = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    else:
        source = quote(Path(os.path.relpath(path, folder)).as_posix())
    return f'<img loading="lazy" alt="{name}" src="{source}">'


def draw(source: Volume, result: Volume, added: Volume | None, uncertainty: Volume | None, paths: list[Path]) -> None:
    """Rows of three planes, a file each: the input as acquired, the result, and what is to be believed of it.

    What was added is grey where nothing was, brighter and darker where it is; both maps are scaled by the range of the result.
    """
    low, high = (float(v) for v in np.percentile(result.data, [0.5, 99.7]))
    reach = MAP_REACH * (high - low)
    shown = [(resample(source, result.grid, 0), low, high), (result, low, high)]
    shown += [(v, at, reach) for v, at in ((added, -reach), (uncertainty, 0.0)) if v is not None]
    files = [*paths[:2], *(p for p, v in zip(paths[2:], (added, uncertainty)) if v is not None)]
    drawn = list(zip(files, shown))
    for path, (volume, dark, bright) in reversed(drawn):  # the input last: it tells that all are there
        _save(np.concatenate([_plane(volume, axis, dark, bright) for axis in range(3)], axis=1), path)


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
    with replaced(path) as beside:
        imwrite(beside, image)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A file beside this one that takes its place at the end of a ``with`` block, so that none ever sees half of it."""
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Write a text file as a whole; what is right already stays."""
    if path.is_file() and path.read_text("utf-8") == text:
        return
    with replaced(path) as beside:
        beside.write_text(text, "utf-8")
