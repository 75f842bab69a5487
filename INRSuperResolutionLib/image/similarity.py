"""How much two images tell of each other."""

from __future__ import annotations

import numpy as np

MI_BINS = 32


def mutual_information(a: np.ndarray, b: np.ndarray, mask: np.ndarray, bins: int = MI_BINS) -> float:
    """Mutual information (nats) of two images inside `mask`, from a `bins` × `bins` joint histogram.

    Source: McGinnis et al. 2023 (multi-contrast INR), Eq. 2.
    """
    joint, _, _ = np.histogram2d(a[mask], b[mask], bins)
    p = joint / joint.sum()
    independent = p.sum(1, keepdims=True) @ p.sum(0, keepdims=True)
    used = p > 0
    return float(np.sum(p[used] * np.log(p[used] / independent[used])))
