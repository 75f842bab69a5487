"""Which method suits a scan: slices of it are left out, cut into thick ones, restored by each method, and compared.

The slices, and how they are cut, are those by which ``auto`` decides (:mod:`methods.combined.left_out`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..acquisition.slice_profile import choose_slices
from ..errors import InputError, InrsrError
from ..fitting import fit
from ..image.interpolate import Sampler, resample
from ..image.volume import Volume
from ..methods.combined.average import AverageRepresentation
from ..methods.combined.left_out import LeftOut
from ..methods.scan import Scan
from ..pictures import figure_of
from .ensemble import RESTORERS, fitted_to_a_plane

USUAL = ("linear", "cubic", "sinc", "seco", "arssr", "cycleinr", "self-supervised", "combined")
# these are fitted to the whole scan, and restore others like it
OF_THE_SCAN = ("arssr", "cycleinr", "self-supervised", "combined")
INCHES = 2.0


@dataclass(frozen=True)
class Score:
    """How well a method brought back what was left out of a scan."""

    method: str
    psnr: float
    """dB, inside the patient, for the range of the scan."""
    seconds: float
    images: list[np.ndarray]
    """The restored planes, (columns, 1, rows)."""


def cut_further(volume: Volume, seed: int = 0) -> LeftOut:
    """What is left out of a scan.

    Raises
    ------
    InputError
        If the scan shows too little to leave some of it out.
    """
    taken = choose_slices("auto", [volume], None, None)[0]
    even = volume if volume.slice_positions is None else resample(volume, volume.grid)
    left_out = LeftOut(Scan(even, taken.profile), seed)
    if not left_out.planes:
        raise InputError(
            f"{volume.name}: its slices are too small to be cut into thick ones",
            "Give a scan with more pixels in plane",
        )
    return left_out


def compare_methods(
    volume: Volume, methods: Sequence[str], left_out: LeftOut, told: Callable[[str], object], seed: int = 0
) -> Iterator[Score]:
    """The score of each method; why one cannot do it is `told`, and the next one is tried."""
    for method in methods:
        started = time.perf_counter()
        try:
            images = restored_by(method, volume, left_out, seed)
        except InrsrError as error:
            told(f"{method} cannot be judged: {error}")
            continue
        yield Score(method, left_out.psnr(images), time.perf_counter() - started, images)


def restored_by(method: str, volume: Volume, left_out: LeftOut, seed: int) -> list[np.ndarray]:
    """The planes as a method restores them: as it would the scan, where it learns from the scan; else plane by plane."""
    planes = left_out.planes
    if method in OF_THE_SCAN:
        whole = fit(method, [volume], seed=seed, left_out=left_out.slices)
        members = whole.members if isinstance(whole, AverageRepresentation) else [whole]
        shares = whole.shares if isinstance(whole, AverageRepresentation) else [1.0]
        if all(isinstance(m, RESTORERS) for m in members):
            coarse, grids = [p.coarse for p in planes], [p.grid for p in planes]
            drawn = [m.restore_others(coarse, grids) for m in members]  # type: ignore[attr-defined]
            return [sum(s * d[n] for s, d in zip(shares, drawn)) for n in range(len(planes))]
        # the method itself took interpolation instead
        taken = whole.provenance.get("left_out", {}).get("taken", "cubic")
        return left_out.interpolated(1 if taken == "linear" else 3)
    profile = left_out.scan.profile
    return [fitted_to_a_plane(method, p, profile, seed=seed).sample(p.grid)[0].data for p in planes]


def draw(left_out: LeftOut, scores: Sequence[Score], path: Path) -> None:
    """The first plane: as it is, cut into thick slices, and as each method restored it, the best first."""
    plane = left_out.planes[0]
    shown = {"the scan": plane.truth, "cut further": Sampler(plane.coarse, 0)(plane.grid)}
    shown.update({f"{s.method} {s.psnr:.1f} dB": s.images[0] for s in scores})
    low, high = np.percentile(plane.truth, [0.5, 99.7])
    height = INCHES * plane.grid.shape[2] * plane.grid.spacing[2] / (plane.grid.shape[0] * plane.grid.spacing[0])
    figure = figure_of(INCHES * len(shown), height + 0.3, facecolor="black")
    aspect = plane.grid.spacing[2] / plane.grid.spacing[0]
    for axes, (name, image) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items()):
        axes.imshow(image[:, 0].T, cmap="gray", vmin=low, vmax=high, origin="lower", aspect=aspect)
        axes.set_title(name, color="white", fontsize=8)
        axes.set_axis_off()
    figure.savefig(path, dpi=110, facecolor="black")
