"""The network of the guided methods."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import relu


class Network(nn.Module):
    """Own first and last convolution for each contrast, residual convolutions shared between them.

    No padding, so that a value depends on its stencil alone and not on the window it is computed in.

    Parameters
    ----------
    channels
        Input channels of each contrast.
    """

    def __init__(self, channels: Sequence[int], width: int, depth: int) -> None:
        super().__init__()
        self.radius = depth + 2
        self.first = nn.ModuleList(nn.Conv2d(n, width, 3) for n in channels)
        self.trunk = nn.ModuleList(nn.Conv2d(width, width, 3) for _ in range(depth))
        self.last = nn.ModuleList(nn.Conv2d(width, 1, 3) for _ in channels)
        for layer in self.last:  # start as the plain spline
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, contrast: int) -> Tensor:
        """Residual; (n, channels, h + 2 r, w + 2 r) → (n, h, w) with r = `radius`."""
        hidden = relu(self.first[contrast](x))
        for layer in self.trunk:
            hidden = hidden[..., 1:-1, 1:-1] + relu(layer(hidden))
        return self.last[contrast](hidden)[:, 0]
