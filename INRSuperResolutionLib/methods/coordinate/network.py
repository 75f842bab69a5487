"""The coordinate decoder, with LIIF as a variant, and the convolutional upsampler it is compared with.

Van Veen et al., "Scale-agnostic super-resolution in MRI using feature-based coordinate networks"; Chen, Liu &
Wang, "Learning continuous image representation with local implicit image function" (LIIF).
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, relu

from ...image.interpolate import weight_matrix
from ..pretrained.encoder import Encoder, SliceNetwork, lattice_points
from .settings import CoordinateArchitecture, UpsamplerArchitecture

# points that go through the decoder together: bounds the memory
POINTS_AT_ONCE = 1 << 14
# distance of fine pixels in coarse ones where it is not known: LIIF is told it
USUAL_CELL = 0.25
# a step of training affords this many rows and columns of points
TRAINING_POINTS = 48


class CellNetwork(SliceNetwork):
    """A network whose values depend on the distance of the fine pixels, too."""

    def residual(self, code: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """See :class:`SliceNetwork`."""
        cell = [float((p[1:] - p[:-1]).abs().median()) if len(p) > 1 else USUAL_CELL for p in (rows, columns)]
        return self.values(code, lattice_points(rows, columns), cell).reshape(len(rows), len(columns))

    def at(self, code: Tensor, points: Tensor) -> Tensor:
        """See :class:`SliceNetwork`."""
        return self.values(code, points, [USUAL_CELL, USUAL_CELL])

    @abstractmethod
    def values(self, code: Tensor, points: Tensor, cell: list[float]) -> Tensor:
        """Residual at points (n, 2), with the distances of fine rows and columns in coarse pixels; float32, (n,)."""


class CoordinateNetwork(CellNetwork):
    """Each of the four codes around a point predicts its value; they are weighted by the opposite area (LIIF, Eq. 4).

    The decoder's first layer is linear in the code and in the relative position, so its part of the code is
    computed once for each pixel and not for each point.
    """

    def __init__(self, architecture: CoordinateArchitecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.most_points = TRAINING_POINTS
        self.encoder = Encoder(a.features, a.blocks)
        # a 3 × 3 convolution is the unfolding of 3 × 3 codes and the first linear layer in one
        self.from_code = nn.Conv2d(a.features, a.width, 3 if a.unfold else 1, padding=1 if a.unfold else 0)
        self.from_position = nn.Linear(4 if a.cell else 2, a.width, bias=False)
        self.hidden = nn.ModuleList(nn.Linear(a.width, a.width) for _ in range(a.layers - 2))
        self.last = nn.Linear(a.width, 1)

    def encode(self, slices: Tensor, scale: Tensor) -> Tensor:
        """(n, 1, h, w) → the code's part of the first layer, (n, h, w, width)."""
        return self.from_code(self.encoder(slices)).permute(0, 2, 3, 1)

    def values(self, code: Tensor, points: Tensor, cell: list[float]) -> Tensor:
        """See :class:`CellNetwork`."""
        sizes = torch.tensor([cell], device=points.device)
        return torch.cat([self._ensemble(code, some, sizes) for some in points.split(POINTS_AT_ONCE)])

    def _ensemble(self, code: Tensor, points: Tensor, cell: Tensor) -> Tensor:
        height, width = code.shape[:2]
        corner = torch.floor(points)
        predictions, areas = [], []
        for down in (0, 1):
            for across in (0, 1):
                at = corner + torch.tensor([down, across], device=points.device)
                relative = (points - at).float()
                y = at[:, 0].long().clamp(0, height - 1)
                x = at[:, 1].long().clamp(0, width - 1)
                position = (
                    torch.cat([relative, cell.expand(len(points), -1)], 1) if self.architecture.cell else relative
                )
                hidden = relu(code[y, x] + self.from_position(position))
                for layer in self.hidden:
                    hidden = relu(layer(hidden))
                predictions.append(self.last(hidden)[:, 0].float())
                areas.append((1 - relative[:, 0].abs()) * (1 - relative[:, 1].abs()))
        return (torch.stack(predictions) * torch.stack(areas)).sum(0)


class UpsamplerNetwork(SliceNetwork):
    """EDSR: convolutions make a slice with `factor` times as many pixels; a cubic spline runs through it."""

    def __init__(self, architecture: UpsamplerArchitecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.encoder = Encoder(a.features, a.blocks)
        self.spread = nn.Conv2d(a.features, a.features * a.factor**2, 3, padding=1)
        self.last = nn.Conv2d(a.features, 1, 3, padding=1)

    def encode(self, slices: Tensor, scale: Tensor) -> Tensor:
        """(n, 1, h, w) → (n, factor · h, factor · w)."""
        return self.last(pixel_shuffle(self.spread(self.encoder(slices)), self.architecture.factor))[:, 0]

    def residual(self, code: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """See :class:`SliceNetwork`."""
        with torch.autocast(code.device.type, enabled=False):
            code = code.float()
            for axis, positions in enumerate((rows, columns)):
                fine = (positions.double() + 0.5) * self.architecture.factor - 0.5
                weights = torch.from_numpy(weight_matrix(fine.cpu().numpy(), code.shape[axis], 3)).to(code.device)
                code = torch.movedim(torch.tensordot(weights, code, ([1], [axis])), 0, axis)
        return code

    def at(self, code: Tensor, points: Tensor) -> Tensor:
        """See :class:`SliceNetwork`."""
        fine = (points.double().cpu().numpy() + 0.5) * self.architecture.factor - 0.5
        values = ndimage.map_coordinates(code.float().cpu().numpy(), fine.T, order=3, mode="mirror")
        return torch.from_numpy(values).to(code.device)
