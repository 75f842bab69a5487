"""The super-resolved segmentation: what the given labels say around a point, and what its restored intensity says.

A label map does not tell where in a voxel a border runs; the restored image does. So, by Bayes,

    p(class | x) ∝ labels around x · √likelihood of the restored intensity at x,

where the labels around x are the given ones, interpolated linearly: a point never gets a class that
none of the voxels around it has. The root, and a bound on the likelihood, keep the image from
overruling the labels: it decides where between two voxels of different labels the border runs,
and cannot erase a small lesion or organ whose intensity is also another's. A voxel that was labelled as
mostly one class keeps it in at least half of its points. (The class network is too smooth to have a say: a
sharper one makes the image worse.)
"""

from __future__ import annotations

import numpy as np

# the likelihood's exponent, and the smallest factor that comes out of it, as logarithm
ROOT = 0.5
LEAST = -1.0
# a class has at least this part of the image's range as standard deviation
NARROWEST = 1e-3
# by so much the given class of a voxel is likelier where it must be the likeliest
MARGIN = 1e-3
# less of a class than this is none: rounding
NONE = 1e-6


def class_statistics(image: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the intensities of each class, float64 (classes,).

    Parameters
    ----------
    image, shares
        The acquired image and the class probabilities of its voxels, (classes, *image.shape).
    """
    weights = shares.reshape(len(shares), -1).astype(np.float64)
    intensities = image.ravel().astype(np.float64)
    amount = np.maximum(weights.sum(axis=1), NONE)
    means = weights @ intensities / amount
    variances = weights @ intensities**2 / amount - means**2
    return means, np.sqrt(np.maximum(variances, 0)) + NARROWEST * np.ptp(intensities)


def log_likelihood(values: np.ndarray, means: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Logarithm of the normal density of `values` under each class, up to a constant.

    Parameters
    ----------
    values
        Restored intensities, (i, j, k).
    means, deviations
        Of :func:`class_statistics`.

    Returns
    -------
    float32, (classes, i, j, k).
    """
    found = [-0.5 * ((values - m) / s) ** 2 - np.log(s) for m, s in zip(means, deviations)]
    return np.stack(found).astype(np.float32)


def posterior(around: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    """The product of both, normalised over the classes; all (classes, i, j, k), the likelihood as logarithm."""
    factor = np.maximum(LEAST, ROOT * (likelihood - likelihood.max(axis=0)))
    shares = np.where(around > NONE, around, 0) * np.exp(factor)
    return (shares / shares.sum(axis=0)).astype(np.float32)


def keep_majorities(shares: np.ndarray, voxels: np.ndarray, given: np.ndarray) -> None:
    """Raise the given class of a voxel, in place, until it is the likeliest in at least half of the voxel's points.

    Parameters
    ----------
    shares
        Class probabilities of points, (classes, n), normalised.
    voxels
        The number of the voxel each point lies in, (n,); −1 for none.
    given
        The class that each voxel was mostly labelled as; −1 for none.
    """
    points = np.flatnonzero((voxels >= 0) & (given[voxels] >= 0))
    if len(points) == 0:
        return
    own = given[voxels[points]]
    # how much likelier another class is than the given one
    rivals = shares[:, points].copy()
    rivals[own, np.arange(len(points))] = 0
    ahead = rivals.max(axis=0) / np.maximum(shares[own, points], NONE)
    order = np.lexsort((ahead, voxels[points]))
    _, starts, counts = np.unique(voxels[points][order], return_index=True, return_counts=True)
    lacking = ahead[order][starts + (counts - 1) // 2]
    factors = np.empty(len(points), np.float32)
    factors[order] = np.repeat(np.where(lacking >= 1, lacking * (1 + MARGIN), 1), counts)
    shares[own, points] *= factors
    shares[:, points] /= shares[:, points].sum(axis=0)
