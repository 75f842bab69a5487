"""Figures of slices and volumes, as the papers' tables have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from ...acquisition.degrade import degrade
from ...evaluation.metrics import compare, psnr
from ...evaluation.perceptual import perceptual_distance
from ...image.volume import Volume

Figures = dict[str, float | None]


def of_slices(result: Volume, truth: Volume, coarse: Volume, kind: str) -> list[Figures]:
    """PSNR, SSIM, and consistency (NExpR, Eq. 5) of each slice; the truth's 99.9th percentile is 1, its lowest value 0."""
    low = float(truth.data.min())
    span = (float(np.percentile(truth.data, 99.9)) - low) or 1.0
    a, b, given = ((v.data - low) / span for v in (result, truth, coarse))
    factor = result.shape[0] / coarse.shape[0]
    shrunk = degrade(result.replace(data=result.data - low), kind, (factor, factor, 1)).data / span
    found: list[Figures] = []
    for k in range(truth.shape[2]):
        made, wanted = a[..., k : k + 1], b[..., k : k + 1]
        everywhere = np.ones(wanted.shape, bool)
        figures: Figures = {"psnr": psnr(made, wanted), "ssim": compare(made, wanted, everywhere)["clean"]["ssim"]}
        if shrunk.shape == given.shape:
            figures["consistency"] = psnr(shrunk[..., k], given[..., k])
        found.append(figures)
    distances = perceptual_distance(a, b, 2)
    for figures in found:
        figures.update(distances)
    return found


def means(rows: Sequence[Mapping[str, float | None]]) -> Figures:
    """The mean of each figure that all rows have."""
    if not rows:
        return {}
    names = [n for n in rows[0] if all(isinstance(r.get(n), float) for r in rows)]
    return {name: float(np.mean([float(r[name] or 0) for r in rows])) for name in names}


def spread(values: Sequence[float]) -> float | None:
    """Standard deviation over the seeds; None for one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def paired_p(first: Sequence[float], second: Sequence[float]) -> float | None:
    """p of the two-sided paired t-test; None where all differences are the same, or there is one pair."""
    differences = np.array(first) - np.array(second)
    if len(differences) < 2 or np.ptp(differences) == 0:
        return None
    return float(stats.ttest_rel(first, second).pvalue)
