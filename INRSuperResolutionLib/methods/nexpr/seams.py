"""Functions of neighbouring patches made to meet, so that no border of a patch shows at high zoom.

Along a shared border both neighbours are sums of the same functions of the position on it, so what they
differ by is known from their coefficients. Each takes over half of the difference: it is given a function of
the distance from the border that has the wanted value there, none at the opposite border, and the least
energy in between, hence lives close to the border. Rows and columns act on different factors of the
coefficients, so doing one leaves the other in order. Drawing costs nothing more.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from .raster import Basis

# value (0) and slope (1) are made to agree
ORDERS = (0, 1)
# positions across a patch where the energy of a function is summed
SAMPLES = 257
# energy of the coefficients themselves, against that of the function: keeps them small enough for float16
COEFFICIENTS = 1e-3
# what the functions cannot do (the paper's all have the same value at both borders) is left alone
RANK_TOLERANCE = 1e-4


def meet(coefficients: Tensor, basis: Basis) -> Tensor:
    """Coefficients whose functions have the same values and slopes on both sides of every border between patches.

    Parameters
    ----------
    coefficients
        (patches, m, patches, k), as :func:`raster.rasterise` takes them.

    Returns
    -------
    float32, of the same shape.
    """
    done = _meet_along_rows(coefficients.float(), basis.rows, basis.patch)
    turned = _meet_along_rows(done.permute(2, 3, 0, 1), basis.columns, basis.patch)
    return turned.permute(2, 3, 0, 1).contiguous()


def _meet_along_rows(coefficients: Tensor, frequencies: Tensor, patch: int) -> Tensor:
    ends, changes = (
        torch.from_numpy(a).to(coefficients) for a in _border_functions(tuple(frequencies.tolist()), patch)
    )
    p, m = coefficients.shape[:2]
    flat = coefficients.reshape(p, m, -1)
    # (patch, value or slope at its last and at its first border, functions along the border)
    last, first = (ends @ flat).unflatten(1, (2, -1)).unbind(1)
    half = (last[:-1] - first[1:]) / 2
    wanted = torch.zeros(p, 2, *half.shape[1:], dtype=flat.dtype, device=flat.device)
    wanted[:-1, 0], wanted[1:, 1] = -half, half
    return (flat + changes @ wanted.flatten(1, 2)).reshape(coefficients.shape)


@functools.lru_cache(8)
def _border_functions(frequencies: tuple[float, ...], patch: int) -> tuple[np.ndarray, np.ndarray]:
    """For one axis: coefficients → values and slopes at both borders, (2 · orders, m); and changes of these → coefficients."""
    omega = np.array(frequencies)
    ends = np.concatenate([[_derivative(omega, at, order) for order in ORDERS] for at in (patch / 2, -patch / 2)])
    across = np.stack([_derivative(omega, at, 0) for at in np.linspace(-patch / 2, patch / 2, SAMPLES)])
    energy = across.T @ across / SAMPLES + COEFFICIENTS * np.eye(across.shape[1])
    least = np.linalg.solve(energy, ends.T)
    return ends.astype(np.float32), (least @ np.linalg.pinv(ends @ least, RANK_TOLERANCE)).astype(np.float32)


def _derivative(omega: np.ndarray, at: float, order: int) -> np.ndarray:
    """The functions of an axis at one offset, or their slopes."""
    if order == 0:
        return np.concatenate([[1.0], np.cos(omega * at), np.sin(omega * at)])
    return np.concatenate([[0.0], -omega * np.sin(omega * at), omega * np.cos(omega * at)])
