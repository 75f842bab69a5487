"""The network of NExpR: a slice → the coefficients of one explicit function for each patch of pixels.

Pang et al., "NExpR: Neural Explicit Representation for fast arbitrary-scale medical image super-resolution".
A patch of a × a pixels has the function

    f(x, y) = Σ_ij c_ij φ_i(y) ψ_j(x),     φ, ψ ∈ {1, cos ω_1 u, …, cos ω_N u, sin ω_1 u, …, sin ω_N u},

where u is measured in pixels from the patch's centre. The paper's own basis, sin and cos of ω_p x + ν_q y
with p, q ≥ 0 (Eq. 1), has no waves that run the other way across the image; its coefficients are turned
into those above, so that there is one rasteriser for both.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from ..pretrained.encoder import Encoder, SliceNetwork
from .raster import Basis, direct_sum, rasterise
from .settings import NExpRArchitecture

Turn = tuple[bool, bool, bool]
"""Mirror rows, mirror columns, then transpose."""


def turned(image: Tensor, turn: Turn) -> Tensor:
    """An image (…, h, w) mirrored and transposed."""
    axes = [axis for axis, mirror in ((-2, turn[0]), (-1, turn[1])) if mirror]
    image = image.flip(axes) if axes else image
    return image.transpose(-2, -1) if turn[2] else image


class NExpRNetwork(SliceNetwork):
    """Encoder, patch convolution, 1 × 1 convolutions, learnable frequencies."""

    def __init__(self, architecture: NExpRArchitecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.multiple = a.patch
        self.encoder = Encoder(a.features, a.blocks)
        self.gather = nn.Conv2d(a.features, a.width, a.patch, stride=a.patch)
        inputs = a.width + (2 if a.cell else 0)
        layers: list[nn.Module] = [nn.PReLU()]
        for _ in range(a.hidden):
            layers += [nn.Conv2d(inputs, a.width, 1), nn.PReLU()]
            inputs = a.width
        self.decoder = nn.Sequential(*layers)
        self.last = nn.Conv2d(a.width, self.outputs, 1)
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        steps = torch.full((1 if a.basis == "product" else 2, a.frequencies), a.first_step * math.pi)
        self.steps = nn.Parameter(steps, requires_grad=a.learn_frequencies)

    @property
    def outputs(self) -> int:
        """Coefficients that are predicted for each patch."""
        n = self.architecture.frequencies
        return (2 * n + 1) ** 2 if self.architecture.basis == "product" else 2 * (n + 1) ** 2

    def basis(self) -> Basis:
        """The functions of both axes. In the product basis they share their frequencies, so that an image may be transposed."""
        frequencies = self.steps.cumsum(dim=1)
        return Basis(self.architecture.patch, frequencies[0], frequencies[-1])

    def encode(self, slices: Tensor, scale: Tensor) -> Tensor:
        """(n, 1, h, w) → coefficients (n, h / a, 2N + 1, w / a, 2N + 1), as :mod:`raster` lays them out."""
        x = self.gather(self.encoder(slices))
        if self.architecture.cell:
            cell = (1 / scale).to(x.dtype).reshape(-1, 1, 1, 1).expand(-1, 2, *x.shape[2:])
            x = torch.cat([self.decoder[0](x), cell], 1)
            x = self.decoder[1:](x)
        else:
            x = self.decoder(x)
        x = self.last(x).permute(0, 2, 3, 1)
        m = 2 * self.architecture.frequencies + 1
        x = self._as_products(x) if self.architecture.basis == "paper" else x.unflatten(-1, (m, m))
        return x.transpose(2, 3)

    def _as_products(self, x: Tensor) -> Tensor:
        """α sin(ωx + νy) + β cos(ωx + νy) by the addition theorems; (…, 2 (N+1)²) → (…, 2N + 1, 2N + 1)."""
        n = self.architecture.frequencies
        sine, cosine = x.unflatten(-1, (2, n + 1, n + 1)).unbind(-3)
        # rows' functions (y, ν_q) along the last but one axis; frequency 0 has no sine
        coscos, sinsin = cosine, -cosine[..., 1:, 1:]
        sincos, cossin = sine[..., 1:, :], sine[..., :, 1:]
        upper = torch.cat([coscos, cossin], -1)
        lower = torch.cat([sincos, sinsin], -1)
        return torch.cat([upper, lower], -2)

    def residual(self, code: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """See :class:`SliceNetwork`."""
        with torch.autocast(code.device.type, enabled=False):  # cheap, and wants all digits
            return rasterise(code, self.basis(), rows, columns)

    def at(self, code: Tensor, points: Tensor) -> Tensor:
        """See :class:`SliceNetwork`."""
        with torch.autocast(code.device.type, enabled=False):
            return direct_sum(code, self.basis(), points)

    def encode_averaged(self, slices: Tensor, scale: Tensor) -> Tensor:
        """As :meth:`encode`, averaged over the mirror images of the slices, and their transposes if both axes are alike."""
        transposes = (False, True) if self.architecture.basis == "product" else (False,)
        turns = list(itertools.product((False, True), (False, True), transposes))
        return sum((self._turned_back(self.encode(turned(slices, t), scale), t) for t in turns), torch.zeros(())) / len(
            turns
        )

    def _turned_back(self, code: Tensor, turn: Turn) -> Tensor:
        """Mirroring an axis reverses the patches along it and the sign of its sines; (n, p, m, q, m)."""
        if turn[2]:
            code = code.permute(0, 3, 4, 1, 2)
        n = self.architecture.frequencies
        signs = torch.ones(2 * n + 1, dtype=code.dtype, device=code.device)
        signs[n + 1 :] = -1
        if turn[0]:
            code = code.flip(1) * signs[:, None, None]
        if turn[1]:
            code = code.flip(3) * signs
        return code
