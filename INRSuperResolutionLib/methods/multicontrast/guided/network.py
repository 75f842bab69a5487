"""The network of the guided methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import relu


class _Inner(torch.autograd.Function):
    """Planes without their edge. PyTorch's own slices send gradients back in another memory layout, at half the speed."""

    @staticmethod
    def forward(ctx, x: Tensor, edge: int) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.edge = edge
        return x[..., edge:-edge, edge:-edge]

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        n, channels, rows, columns = gradient.shape
        edge = ctx.edge
        wide = gradient.new_zeros(n, rows + 2 * edge, columns + 2 * edge, channels).movedim(-1, 1)
        wide[..., edge:-edge, edge:-edge] = gradient
        return wide, None


class Network(nn.Module):
    """Own first and last convolution for each contrast, residual convolutions shared between them.

    No padding, so that a value depends on its stencil alone and not on the window it is computed in.

    Parameters
    ----------
    channels
        Input channels of each contrast.
    reach
        Dilation of every second shared convolution.
    """

    def __init__(self, channels: Sequence[int], width: int, depth: int, reach: int = 1) -> None:
        super().__init__()
        self.steps = [reach if n % 2 else 1 for n in range(depth)]
        self.radius = sum(self.steps) + 2
        self.first = nn.ModuleList(nn.Conv2d(n, width, 3) for n in channels)
        self.trunk = nn.ModuleList(nn.Conv2d(width, width, 3, dilation=step) for step in self.steps)
        self.last = nn.ModuleList(nn.Conv2d(width, 1, 3) for _ in channels)
        for layer in self.last:  # start as the plain spline
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, contrast: int) -> Tensor:
        """Residual; (n, channels, h + 2 r, w + 2 r) → (n, h, w) with r = `radius`."""
        hidden = relu(self.first[contrast](x))
        for step, layer in zip(self.steps, self.trunk):
            hidden = _Inner.apply(hidden, step) + relu(layer(hidden))
        return self.last[contrast](hidden)[:, 0]

    @torch.no_grad()
    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Take over a network of one contrast; what a contrast sees beyond that (its guides) starts without effect."""
        own = self.state_dict()
        for name, tensor in own.items():
            known = weights[_of_first_contrast(name)]
            if tensor.shape == known.shape:
                tensor.copy_(known)
            else:
                tensor.zero_()
                tensor[:, : known.shape[1]] = known


def _of_first_contrast(name: str) -> str:
    part, number, rest = name.split(".", 2)
    return f"{part}.{number if part == 'trunk' else 0}.{rest}"
