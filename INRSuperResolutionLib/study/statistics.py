"""The statistics of a study: scores, signed-rank test, agreement of readers."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence

import numpy as np

LEVELS = (-2, -1, 0, 1, 2)


def mean_and_spread(scores: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (of a sample; 0 for a single score)."""
    return float(np.mean(scores)), float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0


def signed_rank(scores: Sequence[int]) -> float | None:
    """The p value of Wilcoxon's signed-rank test that scores lie about 0, two-sided; None where all of them are 0.

    As ``scipy.stats.wilcoxon``: zeros are left out; the normal approximation where scores are tied and not few.
    """
    from scipy.stats import wilcoxon

    if not np.any(scores):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few scores
        return float(wilcoxon(scores).pvalue)


def weighted_kappa(first: Sequence[int], second: Sequence[int]) -> float | None:
    """Cohen's kappa with linear weights (Cohen 1968) of two readers' scores of the same pairs.

    None where agreement by chance is perfect already, so that there is nothing to tell apart.
    """
    a, b = (np.array(scores)[:, None] == np.array(LEVELS) for scores in (first, second))
    disagreement = np.abs(np.subtract.outer(LEVELS, LEVELS))
    found = (a.T.astype(float) @ b * disagreement).sum() / len(first)
    by_chance = float((np.outer(a.mean(0), b.mean(0)) * disagreement).sum())
    return None if by_chance == 0 else float(1 - found / by_chance)


def mean_kappa(scores: dict[str, dict[int, int]]) -> tuple[float | None, dict[str, float | None]]:
    """Weighted kappa of each two readers on the pairs that both have scored, and their mean.

    Parameters
    ----------
    scores
        By reader, then by number of the pair.
    """
    of_two: dict[str, float | None] = {}
    for first, second in itertools.combinations(scores, 2):
        both = sorted(scores[first].keys() & scores[second].keys())
        if both:
            of_two[f"{first}, {second}"] = weighted_kappa(
                [scores[first][p] for p in both], [scores[second][p] for p in both]
            )
    known = [k for k in of_two.values() if k is not None]
    return (float(np.mean(known)) if known else None), of_two
