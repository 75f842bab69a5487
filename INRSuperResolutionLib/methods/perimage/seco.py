"""SeCo-INR: an adaptive SIREN whose layers depend on the class of the point.

Source: Ekanayake et al., SeCo-INR: Semantically Conditioned Implicit Neural Representations for
Improved Medical Image Super-Resolution, WACV 2025.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .networks import Siren, each
from .settings import SecoSettings

# how far the conditioned layers start from SIREN's
START = 1e-3


class ConditionedSines(torch.autograd.Function):
    """The layers z ← v (ω W)ᵀ + π K [ω b; ω W 1; 1], v ← (π A)·sin z; the last one without a sine.

    Points have class distributions π; a class has an amplitude A in front of each layer, and weighs the
    layer's bias, the sums of its rows, and 1 by K. Written out, and with the cosine found again from
    the phase, it costs little more than plain sine layers.

    Inputs: x (n, dims), π (n, classes), A (classes, layers), K (layers, classes, 3), the ω of each layer, the
    type of the hidden values, then W (out, in) of each layer and b (out,) of each; the last layer has one
    output. Result (n,). No gradient is given for x.
    """

    @staticmethod
    def forward(ctx, x, shares, amplitudes, mixed, omegas, kind, *layers):  # type: ignore[no-untyped-def]
        last = len(omegas) - 1
        of_points = shares @ amplitudes
        half_shares, half_points = shares.to(kind), of_points.to(kind)
        weights, bases, phases, zs = [], [], [], []
        bare, vs = [x], [x * of_points[:, :1]]
        for n, omega in enumerate(omegas):
            weight, bias = omega * layers[n], omega * layers[last + 1 + n]
            weights.append(weight.to(vs[n].dtype))
            bases.append(torch.stack([bias, weight.sum(dim=1), torch.ones_like(bias)]))
            phases.append(mixed[n] @ bases[n])
            if n < last:
                z = vs[n] @ weights[n].T
                # the first phase runs through many periods
                z = z.addmm_(half_shares, phases[n].to(kind)) if n else z.addmm_(shares, phases[n]).to(kind)
                zs.append(z)
                bare.append(torch.sin(z))
                vs.append(bare[-1] * half_points[:, n + 1, None])
        ctx.save_for_backward(shares, half_shares, amplitudes, half_points, mixed)
        ctx.omegas = omegas
        ctx.kept = weights, bases, phases, zs, vs, bare if any(ctx.needs_input_grad[1:3]) else None
        return (vs[last] @ weights[last][0]).to(x.dtype) + (shares @ phases[last])[:, 0]

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        shares, half_shares, amplitudes, half_points, mixed = ctx.saved_tensors
        weights, bases, phases, zs, vs, bare = ctx.kept
        last, exact = len(zs), shares.dtype
        of_shares = torch.zeros_like(shares) if ctx.needs_input_grad[1] else None
        of_mixed = torch.empty_like(mixed) if ctx.needs_input_grad[3] else None
        of_points = None if bare is None else shares.new_empty(len(shares), last + 1)
        of_weights, of_biases = [], []
        of_z = gradient[:, None].to(half_points.dtype)
        for n in reversed(range(last + 1)):
            of_phases = (half_shares.T @ of_z).to(exact)
            if of_shares is not None:
                of_shares += of_z.to(exact) @ phases[n].T
            if of_mixed is not None:
                of_mixed[n] = of_phases @ bases[n].T
            of_bias, of_sums, _ = mixed[n].T @ of_phases
            of_z = of_z.to(vs[n].dtype)
            # of both orders the one that is fast for few columns
            of_weight = of_z.T @ vs[n] if n else (vs[n].T @ of_z).T
            of_weights.append((of_weight.to(exact) + of_sums[:, None]).mul_(ctx.omegas[n]))
            of_biases.append(of_bias * ctx.omegas[n])
            if n or of_points is not None:
                of_v = of_z * weights[n] if n == last else of_z @ weights[n]
                if of_points is not None:
                    of_points[:, n] = torch.linalg.vecdot(of_v, bare[n])
                if n:
                    of_z = torch.cos(zs[n - 1]).mul_(of_v).mul_(half_points[:, n, None])
        of_amplitudes = None if of_points is None else shares.T @ of_points
        if of_shares is not None:
            of_shares += of_points @ amplitudes.T
        return (None, of_shares, of_amplitudes, of_mixed, None, None, *of_weights[::-1], *of_biases[::-1])


class Seco(nn.Module):
    """Adaptive SIREN f, class network g and conditioner h (Eq. 1 to 3 of the paper).

    A layer is y = p·sin(q·ω0·(W u + b) + r) + s, where p, q, r, s come from the class distribution of the
    point. Two rearrangements make it cost little more than SIREN:

    - h is evaluated at the corners of the simplex, one class each, and its outputs are mixed by the
      probabilities of g. Where a point belongs to one class this is h itself, at no cost per point.
      With ``settings.conditions = "distribution"`` (the paper) h is fed the distribution of each point instead, and
      nothing is rearranged: :meth:`conditioned`.
    - p' and s' of the layer before are folded into a layer, whose phase is then
      (q p')·ω0·(W v) + q·ω0·b + q s'·ω0·(W 1) + r, with v the bare sine: an amplitude for each point and a
      vector for each class.

    Parameters
    ----------
    classes
        Number of classes; without `settings.semantics` there is one class everywhere (the ablation).
    """

    corners: Tensor

    def __init__(
        self, dims: int, classes: int, settings: SecoSettings, pixels: float, half: torch.dtype | None
    ) -> None:
        super().__init__()
        self.classes = classes if settings.semantics else 1
        self.of_distribution = settings.conditions == "distribution"
        self.image = Siren.of(dims, settings, pixels, half)
        self.classifier: Siren | None = None
        if settings.semantics:
            omega = settings.class_omega
            self.classifier = Siren(
                dims, settings.class_width, settings.class_layers, omega, omega, outputs=classes, half=half
            )
        self.layers = settings.hidden_layers + 1
        outputs = nn.Linear(settings.conditioner_width, 4 * self.layers)
        self.conditioner = nn.Sequential(nn.Linear(self.classes, settings.conditioner_width), nn.SiLU(), outputs)
        self.register_buffer("corners", torch.eye(self.classes), persistent=False)
        nn.init.normal_(outputs.weight, std=START)
        with torch.no_grad():  # SIREN: p = q = 1, r = s = 0
            outputs.bias.copy_(torch.tensor([1.0, 1.0, 0.0, 0.0]).repeat_interleave(self.layers))

    def conditions(self) -> Tensor:
        """p, q, r, s of each class and layer, float32 (classes, 4, layers)."""
        return self.conditions_of(self.corners)

    def conditions_of(self, shares: Tensor) -> Tensor:
        """p, q, r, s of class distributions (Eq. 4), (n, classes) → (n, 4, layers)."""
        return self.conditioner(shares).view(len(shares), 4, self.layers)

    def factors(self, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """A and K of :class:`ConditionedSines`, from p, q, r, s."""
        p, q, r, s = conditions.unbind(1)
        one, zero = torch.ones_like(p[:, :1]), torch.zeros_like(p[:, :1])
        # the layer before the first, and after the last one, changes nothing
        q, r, p, s = (torch.cat(pair, dim=1) for pair in ((q, one), (r, zero), (one, p), (zero, s)))
        return q * p, torch.stack([q, q * s, r], dim=2).transpose(0, 1)

    def probabilities(self, x: Tensor) -> Tensor:
        """Class distribution at points; (n, dims) → (n, classes)."""
        if self.classifier is None:
            return x.new_ones(len(x), 1)
        return torch.softmax(self.classifier.outputs(x), dim=1)

    def forward(self, x: Tensor) -> Tensor:
        shares = self.probabilities(x)
        if self.of_distribution:
            return self.conditioned(x, self.conditions_of(shares))
        return self.values(x, shares, self.factors(self.conditions()))

    def conditioned(self, x: Tensor, conditions: Tensor) -> Tensor:
        """The image by Eq. 1 and 5 as they stand; points (n, dims), p, q, r, s of each point (n, 4, layers) → (n,)."""
        u = x
        for n, (layer, omega) in enumerate(zip(each(self.image.layers), self.image.omegas)):
            p, q, r, s = conditions[:, :, n, None].unbind(1)
            u = p * torch.sin(q * omega * layer(u) + r) + s
        return self.image.last(u)[:, 0]

    def values(self, x: Tensor, shares: Tensor, factors: tuple[Tensor, Tensor]) -> Tensor:
        """The image; points (n, dims), class distributions (n, classes), factors → (n,)."""
        f = self.image
        layers = [*each(f.layers), f.last]
        kind = f.hidden_type or x.dtype
        weights, biases = [layer.weight for layer in layers], [layer.bias for layer in layers]
        return ConditionedSines.apply(x, shares, *factors, (*f.omegas, 1.0), kind, *weights, *biases)

    @staticmethod
    def penalty(conditions: Tensor) -> Tensor:
        """How far p, q, r, s are below 0 (constraint of Eq. 2), to be weighed into the loss."""
        return functional.relu(-conditions).mean()
