"""The networks that SeCo-INR is compared with: coordinates (n, dims) in [−1, 1] → values (n,), float32.

Written from the papers' mathematics; each docstring names the source and its hyper-parameters.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .settings import FrSettings, GaussSettings, MfnSettings, ReluPeSettings, SirenSettings, WireSettings

# a product with so few columns is slow in one of its two orders
FEW_COLUMNS = 8


def linears(sizes: Sequence[int]) -> nn.ModuleList:
    """Linear layers between these widths."""
    return nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(sizes))


def each(layers: nn.ModuleList) -> list[nn.Linear]:
    """The layers of :func:`linears`, by their type."""
    return cast("list[nn.Linear]", list(layers))


class SineLayer(torch.autograd.Function):
    """sin(u Wᵀ + b): a layer that keeps only its phase and finds the cosine from it again.

    Inputs: u (n, in), W (out, in), b (out,), and the type of the result (None: that of u).
    """

    @staticmethod
    def forward(ctx, u, weight, phase, kind):  # type: ignore[no-untyped-def]
        w = weight.to(u.dtype)
        z = u @ w.T
        z += phase
        z = z.to(kind or u.dtype)
        ctx.save_for_backward(u, w, z)
        return torch.sin(z)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        u, w, z = ctx.saved_tensors
        of_z = torch.cos(z).mul_(gradient)
        of_u = of_z.to(w.dtype) @ w if ctx.needs_input_grad[0] else None
        of_z_exact = of_z.to(u.dtype)
        # of both orders the one that is fast for few columns
        of_weight = (of_z_exact.T @ u if u.shape[1] > FEW_COLUMNS else (u.T @ of_z_exact).T).float()
        return of_u, of_weight, of_z.sum(0, dtype=torch.float32), None


class Siren(nn.Module):
    """SIREN: Sitzmann et al. 2020 (sine layers of 256, ω0 = 30, their initialisation of §3.2).

    Parameters
    ----------
    hidden
        Sine layers after the first one.
    first_omega
        ω0 of the first layer: it sets the band of the function, so it may grow with the pixels.
    half
        Type of the hidden activations; None for float32. Weights and first phase stay float32.
    """

    def __init__(
        self,
        dims: int,
        width: int,
        hidden: int,
        omega: float,
        first_omega: float,
        outputs: int = 1,
        half: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.omegas = [first_omega, *[omega] * hidden]
        self.hidden_type = half
        self.layers = linears([dims, *[width] * (hidden + 1)])
        self.last = nn.Linear(width, outputs)
        first, *others = each(self.layers)
        nn.init.uniform_(first.weight, -1 / dims, 1 / dims)
        for layer in [*others, self.last]:
            bound = math.sqrt(6 / width) / omega
            nn.init.uniform_(layer.weight, -bound, bound)

    @classmethod
    def of(cls, dims: int, settings: SirenSettings, pixels: float, half: torch.dtype | None) -> Siren:
        """The network that `settings` describe, for an image with so many pixels along its longest side."""
        first = max(settings.omega, settings.band * pixels)
        return cls(dims, settings.width, settings.hidden_layers, settings.omega, first, half=half)

    def forward(self, x: Tensor) -> Tensor:
        return self.outputs(x)[:, 0]

    def outputs(self, x: Tensor) -> Tensor:
        """All outputs; (n, dims) → float32 (n, outputs)."""
        u = x
        for n, (layer, omega) in enumerate(zip(each(self.layers), self.omegas)):
            u = SineLayer.apply(u, omega * layer.weight, omega * layer.bias, None if n else self.hidden_type)
        return functional.linear(u, self.last.weight.to(u.dtype)).float() + self.last.bias


class ReluPe(nn.Module):
    """Gaussian Fourier features and ReLU layers: Tancik et al. 2020 (256 frequencies, σ = 10 on [0, 1], 4 × 256)."""

    frequencies: Tensor

    def __init__(self, dims: int, settings: ReluPeSettings) -> None:
        super().__init__()
        # 2π σ per unit of [0, 1] is π σ per unit of [−1, 1]
        self.register_buffer("frequencies", math.pi * settings.sigma * torch.randn(dims, settings.frequencies))
        sizes = [2 * settings.frequencies, *[settings.width] * settings.layers]
        hidden = (m for i, o in itertools.pairwise(sizes) for m in (nn.Linear(i, o), nn.ReLU()))
        self.body = nn.Sequential(*hidden, nn.Linear(settings.width, 1))

    def forward(self, x: Tensor) -> Tensor:
        phase = x @ self.frequencies
        return self.body(torch.cat([torch.cos(phase), torch.sin(phase)], dim=1))[:, 0]


class Gauss(nn.Module):
    """Gaussian activations exp(−x²/2σ²): Ramasinghe and Lucey 2022 (σ = 0.1, 4 × 256, Adam 1e-4)."""

    def __init__(self, dims: int, settings: GaussSettings) -> None:
        super().__init__()
        self.layers = linears([dims, *[settings.width] * settings.layers])
        self.last = nn.Linear(settings.width, 1)
        self.exponent = -0.5 / settings.sigma**2

    def forward(self, x: Tensor) -> Tensor:
        for layer in each(self.layers):
            x = torch.exp(self.exponent * layer(x).square())
        return self.last(x)[:, 0]


class Mfn(nn.Module):
    """FourierNet, z ← (W z + b) ∘ sin(Ω x + φ): Fathony et al. 2021.

    Theirs: 256 wide, 3 products, input scale 256 for 512 pixels, Adam 1e-2.
    """

    def __init__(self, dims: int, settings: MfnSettings, pixels: float) -> None:
        super().__init__()
        width = settings.width
        self.filters = nn.ModuleList(nn.Linear(dims, width) for _ in range(settings.products + 1))
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(settings.products))
        self.last = nn.Linear(width, 1)
        with torch.no_grad():
            for filter_ in each(self.filters):
                filter_.weight.mul_(settings.input_scale * pixels / math.sqrt(len(self.filters)))
                filter_.bias.uniform_(-math.pi, math.pi)
            for layer in each(self.layers):
                layer.weight.uniform_(-(width**-0.5), width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        z = torch.sin(self.filters[0](x))
        for filter_, layer in zip(self.filters[1:], self.layers):
            z = layer(z) * torch.sin(filter_(x))
        return self.last(z)[:, 0]


class Wire(nn.Module):
    """Complex Gabor wavelets exp(jωz − |sz|²): Saragadam et al. 2023.

    Theirs: ω = 20, s = 10, 256/√2 complex neurons, Adam 5e-3; narrower wavelets suit smaller images.
    Complex numbers are pairs of real ones here: complex products and exponentials are slow on CPUs.
    """

    def __init__(self, dims: int, settings: WireSettings) -> None:
        super().__init__()
        width = int(settings.width / math.sqrt(2))
        self.omega, self.scale = settings.omega, settings.scale
        self.first = nn.Linear(dims, width)
        # the initialisation of a complex linear layer: real and imaginary parts alike
        self.real = nn.ModuleList(nn.Linear(width, width) for _ in range(settings.hidden_layers))
        self.imaginary = nn.ModuleList(nn.Linear(width, width) for _ in range(settings.hidden_layers))
        self.last = nn.Linear(2 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        z = self.first(x)
        envelope = torch.exp(-(self.scale * z).square())
        a, b = envelope * torch.cos(self.omega * z), envelope * torch.sin(self.omega * z)
        for real, imaginary in zip(each(self.real), each(self.imaginary)):
            p = functional.linear(a, real.weight) - functional.linear(b, imaginary.weight) + real.bias
            q = functional.linear(a, imaginary.weight) + functional.linear(b, real.weight) + imaginary.bias
            envelope = torch.exp(-self.omega * q - self.scale**2 * (p.square() + q.square()))
            a, b = envelope * torch.cos(self.omega * p), envelope * torch.sin(self.omega * p)
        # the real part of a complex linear layer
        return self.last(torch.cat([a, -b], dim=1))[:, 0]


class Fr(nn.Module):
    """Fourier reparameterised SIREN: Shi et al. 2024: hidden W = Λ B with fixed cosines B; Λ is learned.

    B: frequencies 1 … F and 1 … 1/F in P phases, sampled over the longest period; the entries of Λ
    start uniform within √(6 / (M Σ b²)) / ω0, M the number of rows of B. F = 16 and P = 16 here, fewer
    than the paper's largest.
    """

    basis: Tensor

    def __init__(self, dims: int, settings: FrSettings, pixels: float) -> None:
        super().__init__()
        width, count = settings.width, settings.frequencies
        first = max(settings.omega, settings.band * pixels)
        self.omegas = [first, *[settings.omega] * settings.hidden_layers]
        self.first = nn.Linear(dims, width)
        nn.init.uniform_(self.first.weight, -1 / dims, 1 / dims)
        whole = torch.arange(1, count + 1, dtype=torch.float32)
        phases = 2 * math.pi * torch.arange(settings.phases) / settings.phases
        z = torch.linspace(-math.pi * count, math.pi * count, width)
        waves = torch.cat([whole, 1 / whole])[:, None, None] * z + phases[:, None]
        self.register_buffer("basis", torch.cos(waves).reshape(-1, width))
        bound = torch.sqrt(6 / len(self.basis) / self.basis.square().sum(dim=1)) / settings.omega
        self.coordinates = nn.ParameterList(
            nn.Parameter((torch.rand(width, len(bound)) * 2 - 1) * bound) for _ in range(settings.hidden_layers)
        )
        self.biases = nn.ParameterList(
            nn.Parameter((torch.rand(width) * 2 - 1) / math.sqrt(width)) for _ in range(settings.hidden_layers)
        )
        self.last = nn.Linear(width, 1)
        nn.init.uniform_(
            self.last.weight, -math.sqrt(6 / width) / settings.omega, math.sqrt(6 / width) / settings.omega
        )

    def forward(self, x: Tensor) -> Tensor:
        u = torch.sin(self.omegas[0] * self.first(x))
        for omega, coordinates, bias in zip(self.omegas[1:], self.coordinates, self.biases):
            u = torch.sin(omega * functional.linear(u, coordinates @ self.basis, bias))
        return self.last(u)[:, 0]
