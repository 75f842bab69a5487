"""NExpR in three dimensions: each voxel of a thick slice has an explicit Fourier function of the height.

    r(z) = Σ_k w_k(z) Σ_i c_ik φ_i(z − k),     φ ∈ {1, cos ω_1 u, …, cos ω_N u, sin ω_1 u, …, sin ω_N u},

z in slices, w_k linear weights between neighbouring slices, so that their functions meet; between rows and columns, where nothing is
missing, the coefficients run along a cubic spline. After Pang et al. (NExpR, section 3.2, in a plane), with what this library
knows of slices: r is added to the spline through the profile, is trained on averaged slices, and is 0 on slices that are point samples.
A network of convolutions gives the coefficients; drawing is a product of them with the basis, without the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .network import COLUMN, REACH, Block, Told, VolumetricNetwork, Wide
from .settings import VolumetricArchitecture

# the first frequency, and the step to the next one at the start, in π per slice: a function reaches over two slices
FIRST_STEP = 0.5


class ExplicitVolumetricNetwork(VolumetricNetwork):
    """Turns blocks of voxels into coefficients; see the module. The code of a voxel is its coefficients."""

    def __init__(self, architecture: VolumetricArchitecture) -> None:
        nn.Module.__init__(self)
        self.architecture = a = architecture
        self.on_slice = None
        self.head = nn.Conv3d(1 + (2 if a.told else 0), a.features, 3, padding=1)
        self.blocks = nn.ModuleList(Block(a.features, a.convolutions) for _ in range(a.blocks))
        self.wide = Wide(a.features, a.wide, a.wide_blocks) if a.wide else None
        self.tail = nn.Conv3d(a.features, a.latent, 3, padding=1)
        for block in self.modules():
            if isinstance(block, Block):
                nn.init.zeros_(block.layers[-1].weight)  # type: ignore[arg-type]
        nn.init.normal_(self.tail.weight, std=0.001)  # start near the spline
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]
        self.steps = nn.Parameter(torch.full((a.latent // 2,), FIRST_STEP * math.pi))

    def leaves_slices(self, told: Told) -> bool:
        """Whether the residual is 0 on the slices."""
        return not self.architecture.averages or told.thickness == 0

    def basis(self, heights: Tensor) -> Tensor:
        """φ at heights in slices from a slice's centre, (…) → (…, 2N + 1)."""
        phase = heights.float()[..., None] * self.steps.cumsum(0)
        return torch.cat([torch.ones_like(phase[..., :1]), phase.cos(), phase.sin()], -1)

    def _between(self, column: Tensor, part: Tensor, told: Sequence[Told]) -> Tensor:
        """See :class:`VolumetricNetwork`."""
        height, width = (n - 2 * REACH for n in column.shape[2:4])
        inner = column[:, :, REACH : REACH + height, REACH : REACH + width, :-1].flatten(2, 3).float()
        low, high = inner[:, COLUMN.index(0)], inner[:, COLUMN.index(1)]
        with torch.autocast(column.device.type, enabled=False):  # cheap, and wants all digits
            below = (1 - part)[..., None] * self.basis(part)
            above = part[..., None] * self.basis(part - 1)
            found = torch.einsum("gqc,gpc->gqp", below, low) + torch.einsum("gqc,gpc->gqp", above, high)
        points = torch.tensor([float(self.leaves_slices(t)) for t in told], device=part.device)[:, None]
        window = 1 - points * (1 - 4 * part * (1 - part))
        return (found * window[..., None]).unflatten(2, (height, width))
