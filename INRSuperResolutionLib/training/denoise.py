"""Denoisers for the denoising loss; replace them by adding to the table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def nl_means(image: np.ndarray, sigma: float) -> np.ndarray:
    """Non-local means (Buades et al. 2005; fast variant of scikit-image)."""
    from skimage.restoration import denoise_nl_means

    found = denoise_nl_means(image, patch_size=5, patch_distance=6, h=0.8 * sigma, sigma=sigma, fast_mode=True)
    return np.asarray(found, dtype=np.float32)


def total_variation(image: np.ndarray, sigma: float) -> np.ndarray:
    """Total variation (Chambolle 2004)."""
    from skimage.restoration import denoise_tv_chambolle

    return np.asarray(denoise_tv_chambolle(image, weight=sigma), dtype=np.float32)


DENOISERS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {"nl-means": nl_means, "tv": total_variation}
