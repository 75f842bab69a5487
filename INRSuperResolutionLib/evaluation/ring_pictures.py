"""A picture of what :mod:`ring_correlation` found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..pictures import figure_of
from .ring_correlation import Patches


def draw(
    found: Sequence[Patches],
    result: np.ndarray,
    reference: np.ndarray,
    threshold: float,
    limit: float | None,
    path: Path,
) -> None:
    """For each axis: the correlations of all patches, and the patch that agrees least, in result and reference."""
    figure = figure_of(9, 3 * len(found))
    low, high = np.percentile(reference, [0.5, 99.8])
    for row, patches in zip(figure.subplots(len(found), 3, squeeze=False), found):
        curve, *images = row
        name = "ijk"[patches.axis]
        if not len(patches.agrees_to):
            curve.set_title(f"across {name}: no patch fits", fontsize=8)
            for axes in row:
                axes.set_axis_off()
            continue
        least, middle, most = np.quantile(patches.correlation, [0.05, 0.5, 0.95], axis=0)
        curve.fill_between(patches.frequency, least, most, alpha=0.3, label="9 of 10 patches")
        curve.plot(patches.frequency, middle, label="median")
        curve.axhline(threshold, color="r", lw=1)
        if limit is not None:
            curve.axvline(limit, color="k", ls="--", lw=1, label="measured by the scan")
        curve.set(ylim=(0, 1), xlabel="1 / mm")
        curve.set_title(f"ring correlation, slices across {name}", fontsize=8)
        curve.legend(fontsize=7)
        worst = patches.first[np.argmin(patches.agrees_to)]
        x, y = (a for a in range(3) if a != patches.axis)
        for axes, (title, data) in zip(images, (("result", result), ("reference", reference))):
            axes.imshow(
                data.take(worst[patches.axis], patches.axis).T, cmap="gray", vmin=low, vmax=high, origin="lower"
            )
            left, top = worst[x] - 0.5, worst[y] - 0.5
            across, up = np.array([0, 1, 1, 0, 0]), np.array([0, 0, 1, 1, 0])
            axes.plot(left + patches.size * across, top + patches.size * up, "r", lw=1)
            axes.set_title(f"{title}: the patch that agrees least", fontsize=8)
            axes.set_axis_off()
    figure.savefig(path, dpi=100)
