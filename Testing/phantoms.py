"""Phantoms without symmetry, and other helpers of the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from INRSuperResolutionLib import Volume


def oblique(spacing=(0.9, 1.1, 2.5), angle=0.3, left_handed=False, shear=0.0) -> np.ndarray:
    """An affine (RAS) with no symmetry: rotated about two axes, optionally mirrored and sheared."""
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(0.2), -np.sin(0.2)], [0, np.sin(0.2), np.cos(0.2)]]
    )
    tilt = np.eye(3)
    tilt[1, 2] = shear
    affine = np.eye(4)
    affine[:3, :3] = turn @ tilt @ np.diag(spacing)
    if left_handed:
        affine[:3, 0] *= -1
    affine[:3, 3] = [-31.7, 12.3, 45.1]
    return affine


def phantom(shape=(20, 23, 9), affine=None, seed=0, name="phantom") -> Volume:
    """Smooth and without any symmetry, so that a flip, a swap or a shift shows."""
    rng = np.random.default_rng(seed)
    i, j, k = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    data = 100 * i + 37 * j**2 + 61 * k + 20 * np.sin(5 * i + 3 * j * k) + rng.normal(0, 1, shape)
    return Volume(data, oblique() if affine is None else affine, name=name)


def smooth_head(shape) -> np.ndarray:
    """A bright ellipsoid that the first and last slices cut, with slow changes in it, dark air around."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = x**2 + y**2 + 0.3 * z**2 < 0.8
    return np.where(inside, 100 + 8 * x + 5 * np.sin(2 * z + y), 0.0)


def leftovers(folder: Path) -> list[str]:
    """Temporary files of ours in a folder."""
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]
