"""One slice as an explicit function that is drawn on any lattice of pixels, without the network."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from .raster import REACH, Basis, rasterise


class SliceFunction:
    """Explicit functions of a slice's patches, plus the cubic spline through its pixels.

    Parameters
    ----------
    coefficients
        (patches, m, patches, k), as :func:`raster.rasterise` takes them, of the slice with `padding` more pixels around it.
    basis
        Their functions.
    image
        The slice, (rows, columns), in the intensities of the input.
    spread
        What one unit of the explicit functions is in these intensities.
    lowest
        Nothing is darker than this.
    padding
        Pixels around the slice when it was encoded.
    """

    def __init__(
        self, coefficients: Tensor, basis: Basis, image: np.ndarray, spread: float, lowest: float, padding: int
    ) -> None:
        self.shape = image.shape
        self._coefficients, self._basis, self._padding = coefficients, basis, padding
        self._spread, self._lowest = spread, lowest
        # in units of the explicit functions, so that one product makes both
        self._unit = spread or 1.0
        spline = ndimage.spline_filter(image.astype(np.float64), 3, mode="mirror") / self._unit
        margins = [
            (padding + REACH, basis.patch * n - padding - size + REACH)
            for n, size in zip(coefficients.shape[::2], image.shape)
        ]
        # numpy's reflect is scipy's mirror; a single row or column has nothing to reflect
        padded = (
            np.pad(spline, margins, mode="reflect") if min(image.shape) > 1 else np.pad(spline, margins, mode="edge")
        )
        self._spline = torch.from_numpy(padded.astype(np.float32)).to(coefficients.device)

    @torch.inference_mode()
    def draw(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The slice on the lattice rows × columns of fractional pixel indices; float32.

        Positions outside the slice take the value at its edge. Where the lattice is coarser than the
        slice's pixels (zoomed out), each value is the mean over its own area, so that nothing aliases.
        """
        parts = [self._parts(p) for p in (rows, columns)]
        lines = [
            torch.from_numpy(np.clip(p, 0, n - 1) + self._padding).to(self._coefficients.device)
            for (p, _), n in zip(parts, self.shape)
        ]
        coefficients = self._coefficients if self._spread else torch.zeros_like(self._coefficients)
        values = rasterise(coefficients, self._basis, lines[0], lines[1], self._spline)
        if any(count > 1 for _, count in parts):
            values = values.reshape(len(rows), parts[0][1], len(columns), parts[1][1]).mean(dim=(1, 3))
        return (values * self._unit).clamp_(min=self._lowest).cpu().numpy()

    @staticmethod
    def _parts(positions: np.ndarray) -> tuple[np.ndarray, int]:
        """Positions split into as many parts as pixels they step over, and how many parts those are."""
        positions = np.asarray(positions, dtype=np.float64)
        step = float(np.abs(np.diff(positions)).max()) if len(positions) > 1 else 0.0
        count = max(1, math.ceil(step - 1e-6))
        if count == 1:
            return positions, 1
        widths = np.gradient(positions)
        offsets = (np.arange(count) + 0.5) / count - 0.5
        return (positions[:, None] + widths[:, None] * offsets).ravel(), count
