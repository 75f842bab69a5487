"""The super-resolved segmentation: the product of three things that are known of a point's class.

The class network alone is smooth on purpose (a sharp one makes the image worse), and a label map alone
does not tell where in a voxel its border runs; the restored image does. So, by Bayes,

    p(class | x) ∝ labels around x · class network at x · likelihood of the restored intensity at x,

where the labels around x are the given ones, interpolated linearly: a point never gets a class that
none of the voxels around it has.
"""

from __future__ import annotations

import numpy as np

# what the class network says at least: it must not overrule the other two alone
LEAST = 1e-3
# a class has at least this part of the image's range as standard deviation
NARROWEST = 1e-3
# less of a class than this is none: rounding
NONE = 1e-6


def log_likelihood(values: np.ndarray, image: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Logarithm of the normal density of `values` under each class, up to a constant.

    Parameters
    ----------
    values
        Restored intensities, (i, j, k).
    image, shares
        The acquired image and the class probabilities of its voxels, (classes, *image.shape): each
        class's mean and deviation come from them.

    Returns
    -------
    float32, (classes, i, j, k).
    """
    weights = shares.reshape(len(shares), -1).astype(np.float64)
    intensities = image.ravel().astype(np.float64)
    amount = np.maximum(weights.sum(axis=1), NONE)
    means = weights @ intensities / amount
    variances = weights @ intensities**2 / amount - means**2
    deviations = np.sqrt(np.maximum(variances, 0)) + NARROWEST * np.ptp(intensities)
    found = [-0.5 * ((values - m) / s) ** 2 - np.log(s) for m, s in zip(means, deviations)]
    return np.stack(found).astype(np.float32)


def posterior(around: np.ndarray, network: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    """The product of the three, normalised over the classes; all (classes, i, j, k), the likelihood as logarithm."""
    with np.errstate(divide="ignore"):
        logarithm = np.where(around > NONE, np.log(around), -np.inf) + np.log(np.maximum(network, LEAST)) + likelihood
    logarithm -= logarithm.max(axis=0)
    shares = np.exp(logarithm)
    return (shares / shares.sum(axis=0)).astype(np.float32)
