"""One acquisition as a continuous function: the spline that gives its samples back through the slice profile."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage
from torch import Tensor

from ..acquisition.forward_model import WIDEST_SLICE, SliceProfile, slice_taps, spline_through_profile
from ..image.intensity import Scaling, foreground
from ..image.interpolate import basis_matrix, cubic_prefilter
from ..image.itk import to_sitk
from ..image.volume import Volume


class Average(NamedTuple):
    """A weighted mean along an axis, at offsets in indices."""

    axis: int
    offsets: np.ndarray
    weights: np.ndarray


class Scan:
    """A volume with even slices, in normalised intensities, with its thick axis and slice profile.

    Positions are fractional indices of the volume; along the thick axis they count slices.

    Parameters
    ----------
    thick
        The axis across the slices; None for the coarsest one.
    """

    def __init__(self, volume: Volume, profile: SliceProfile, thick: int | None = None) -> None:
        self.volume, self.profile = volume, profile
        self.thick = volume.thick_axis if thick is None else thick
        self.width = min(float(volume.extent_of_slices(self.thick).mean()), WIDEST_SLICE)
        self.scaling = Scaling.standard(volume.data)
        self.data = torch.from_numpy(self.scaling.apply(volume.data))
        self.foreground = torch.from_numpy(foreground(volume.data))
        # where it shows something, bool, shape of the volume; None for everywhere
        self.known: np.ndarray | None = None
        self._solved: dict[int, np.ndarray] = {}
        self._coefficients: np.ndarray | None = None

    def with_data(self, data: Tensor) -> Scan:
        """The same acquisition with other samples, in normalised intensities."""
        other = copy.copy(self)
        other.data, other._coefficients = data, None
        return other

    def taps(self) -> tuple[np.ndarray, np.ndarray]:
        """Offsets in slices and weights with which a slice averages the field."""
        return slice_taps(self.profile, self.width)

    def solve(self, size: int, through_profile: bool) -> np.ndarray:
        """Samples → spline coefficients along one axis, float64, (size, size)."""
        if not through_profile:
            return cubic_prefilter(size)
        if size not in self._solved:
            self._solved[size] = spline_through_profile(size, self.profile, self.width)
        return self._solved[size]

    def weights(self, coordinates: np.ndarray, axis: int) -> Tensor:
        """Samples → values at `coordinates` along `axis`, float32, (len(coordinates), samples)."""
        size = self.volume.shape[axis]
        matrix = basis_matrix(coordinates, size, 3) @ self.solve(size, axis == self.thick)
        return torch.from_numpy(matrix.astype(np.float32))

    def on_axes(self, coordinates: list[np.ndarray], average: Average | None = None) -> Tensor:
        """Values on the lattice spanned by indices along the three axes, averaged along one of them, float32."""
        values = self.data
        # what shrinks the most goes first: it makes the rest cheap
        for axis in sorted(range(3), key=lambda a: len(coordinates[a]) / values.shape[a]):
            averaged = average is not None and average.axis == axis
            if not averaged and self._returns_samples(coordinates[axis], axis):
                continue
            if averaged and average is not None:
                parts = [
                    w * self.weights(coordinates[axis] + o, axis) for o, w in zip(average.offsets, average.weights)
                ]
                weights = torch.stack(parts).sum(dim=0)
            else:
                weights = self.weights(coordinates[axis], axis)
            values = torch.movedim(torch.tensordot(weights, values, dims=([1], [axis])), 0, axis)
        return values

    def _returns_samples(self, coordinates: np.ndarray, axis: int) -> bool:
        sharpened = axis == self.thick and self.profile.kind != "none"
        count = self.volume.shape[axis]
        return (
            not sharpened
            and len(coordinates) == count
            and np.allclose(coordinates, np.arange(count), rtol=0, atol=1e-6)
        )

    def at(self, coordinates: np.ndarray) -> Tensor:
        """Values at scattered indices, (3, …) → float32 (…)."""
        if self._coefficients is None:
            values = self.data.numpy()
            for axis in range(3):
                values = np.moveaxis(
                    np.tensordot(self.solve(values.shape[axis], axis == self.thick), values, (1, axis)), 0, axis
                )
            self._coefficients = values.astype(np.float32)
        upper = np.array(self.volume.shape).reshape(3, *[1] * (coordinates.ndim - 1)) - 1
        clipped = np.clip(coordinates, 0, upper)
        return torch.from_numpy(
            ndimage.map_coordinates(self._coefficients, clipped, order=3, mode="mirror", prefilter=False)
        )


def turned_to(scan: Scan, frame: Volume, spacing: Sequence[float]) -> Scan:
    """The scan on a grid along the axes of `frame`, with this spacing (mm), where `frame` lies.

    Its spline is first made fine across the slices along its own axes, so that turning it costs no
    sharpness; SimpleITK turns it with all cores.
    """
    volume = scan.volume
    fine = max(1, round(volume.spacing[scan.thick] / min(volume.spacing)))
    affine = volume.affine.copy()
    affine[:3, scan.thick] /= fine
    coordinates = [np.arange(n, dtype=np.float64) for n in volume.shape]
    coordinates[scan.thick] = np.arange((volume.shape[scan.thick] - 1) * fine + 1) / fine
    source = Volume(scan.scaling.invert(scan.on_axes(coordinates).numpy()), affine, name=volume.name)
    grid = frame.grid.with_spacing(spacing)
    reference = to_sitk(Volume(np.zeros(grid.shape, np.float32), grid.affine))
    source_image = to_sitk(source)
    turned = sitk.Resample(source_image, reference, sitk.Transform(), sitk.sitkBSpline, float(volume.data.min()))
    made = Scan(Volume(sitk.GetArrayFromImage(turned).T, grid.affine, name=volume.name), SliceProfile("none"))
    seen = sitk.Image(source_image.GetSize(), sitk.sitkUInt8) + 1
    seen.CopyInformation(source_image)
    seen = sitk.Resample(seen, reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    made.known = sitk.GetArrayFromImage(seen).T > 0
    made.data = torch.from_numpy(scan.scaling.apply(made.volume.data))  # keep the intensity scale of the scan itself
    return made
