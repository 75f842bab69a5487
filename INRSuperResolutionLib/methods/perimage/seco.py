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

CONDITIONER_WIDTH = 32
# how far the conditioned layers start from SIREN's
START = 1e-3


class ConditionedSines(torch.autograd.Function):
    """wᵀ v of the last of the sine layers v ← a'·sin(v Wᵀ + π E), for all layers at once.

    Each layer has an amplitude a for each point and a phase E for each class; π are the points' class
    distributions. Written out, and with the cosine found again from the phase, it costs little more
    than plain sine layers.

    Inputs: x (n, dims), π (n, classes), a (n, layers + 1) with the one of the input first, w (width,), the
    type of the hidden values, then for each layer W (out, in) and for each layer E (classes, out).
    """

    @staticmethod
    def forward(ctx, x, shares, amplitudes, last, kind, *layers):  # type: ignore[no-untyped-def]
        count = len(layers) // 2
        weights, phases = layers[:count], layers[count:]
        half_shares, half_amplitudes = shares.to(kind), amplitudes.to(kind)
        z = (x * amplitudes[:, :1]) @ weights[0].T
        z = z.addmm_(shares, phases[0]).to(kind)  # the first phase runs through many periods
        used, zs, vs = [weights[0]], [], []
        for n in range(count):
            if n:
                used.append(weights[n].to(kind))
                z = (vs[-1] @ used[n].T).addmm_(half_shares, phases[n].to(kind))
            zs.append(z)
            vs.append(torch.sin(z).mul_(half_amplitudes[:, n + 1 : n + 2]))
        half_last = last.to(kind)
        ctx.count = count
        ctx.save_for_backward(x, shares, half_shares, amplitudes, half_amplitudes, half_last, *used, *phases, *zs, *vs)
        return (vs[-1] @ half_last).float()

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        x, shares, half_shares, amplitudes, half_amplitudes, last, *rest = ctx.saved_tensors
        n = ctx.count
        weights, phases, zs, vs = rest[:n], rest[n : 2 * n], rest[2 * n : 3 * n], rest[3 * n :]
        of_shares = torch.zeros_like(shares) if ctx.needs_input_grad[1] else None
        of_amplitudes = torch.empty_like(amplitudes) if ctx.needs_input_grad[2] else None
        of_weights, of_phases = [None] * n, [None] * n
        gradient = gradient.to(last.dtype)
        of_last = (gradient @ vs[-1]).float()
        of_v = gradient[:, None] * last
        for n in reversed(range(ctx.count)):
            if of_amplitudes is not None:  # v = a·sin z, so its derivative by a is sin z
                of_amplitudes[:, n + 1] = torch.linalg.vecdot(of_v, torch.sin(zs[n]))
            of_z = torch.cos(zs[n]).mul_(of_v).mul_(half_amplitudes[:, n + 1 : n + 2])
            of_phases[n] = (half_shares.T @ of_z).float()
            if of_shares is not None:
                of_shares += of_z.to(shares.dtype) @ phases[n].T
            if n:
                of_weights[n] = (of_z.T @ vs[n - 1]).float()
                of_v = of_z @ weights[n]
            else:
                of_z = of_z.to(x.dtype)
                of_weights[0] = of_z.T @ (x * amplitudes[:, :1])
                if of_amplitudes is not None:
                    of_amplitudes[:, 0] = torch.linalg.vecdot(of_z @ weights[0], x)
        return None, of_shares, of_amplitudes, of_last, None, *of_weights, *of_phases


class Seco(nn.Module):
    """Adaptive SIREN f, class network g and conditioner h (Eq. 1 to 3 of the paper).

    A layer is y = p·sin(q·ω0·(W u + b) + r) + s, where p, q, r, s come from the class distribution of the
    point. Two rearrangements make it cost little more than SIREN:

    - h is evaluated at the corners of the simplex, one class each, and its outputs are mixed by the
      probabilities of g. Where a point belongs to one class this is h itself, at no cost per point.
    - p and s of a layer are folded into the next one, whose phase is then
      (q p')·ω0·(W v) + [q·ω0·(s'·W 1 + b) + r], with v the bare sine: an amplitude for each point and a vector
      for each class.

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
        self.image = Siren.of(dims, settings, pixels, half)
        self.classifier: Siren | None = None
        if settings.semantics:
            omega = settings.class_omega
            self.classifier = Siren(
                dims, settings.class_width, settings.class_layers, omega, omega, outputs=classes, half=half
            )
        self.layers = settings.hidden_layers + 1
        outputs = nn.Linear(CONDITIONER_WIDTH, 4 * self.layers)
        self.conditioner = nn.Sequential(nn.Linear(self.classes, CONDITIONER_WIDTH), nn.SiLU(), outputs)
        self.register_buffer("corners", torch.eye(self.classes), persistent=False)
        nn.init.normal_(outputs.weight, std=START)
        with torch.no_grad():  # SIREN: p = q = 1, r = s = 0
            outputs.bias.copy_(torch.tensor([1.0, 1.0, 0.0, 0.0]).repeat_interleave(self.layers))

    def conditions(self) -> Tensor:
        """p, q, r, s of each class and layer, float32 (classes, 4, layers)."""
        return self.conditioner(self.corners).view(self.classes, 4, self.layers)

    def probabilities(self, x: Tensor) -> Tensor:
        """Class distribution at points; (n, dims) → (n, classes)."""
        if self.classifier is None:
            return x.new_ones(len(x), 1)
        return torch.softmax(self.classifier.outputs(x), dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.values(x, self.probabilities(x), self.conditions())

    def values(self, x: Tensor, shares: Tensor, conditions: Tensor) -> Tensor:
        """The image; points (n, dims), class distributions (n, classes), conditions → (n,)."""
        p, q, r, s = conditions.unbind(1)
        one = torch.ones_like(p[:, :1])
        amplitudes = shares @ (torch.cat([q, one], dim=1) * torch.cat([one, p], dim=1))
        f = self.image
        weights = [omega * layer.weight for layer, omega in zip(each(f.layers), f.omegas)]
        biases = torch.stack([omega * layer.bias for layer, omega in zip(each(f.layers), f.omegas)])
        # what the s of a layer adds to the phase of the next one
        added = [w.sum(dim=1) for w in weights[1:]]
        first = biases[:1].expand(len(p), 1, -1)
        shifted = torch.cat([first, biases[1:] + s[:, :-1, None] * torch.stack(added)], dim=1) if added else first
        phases = torch.addcmul(r[:, :, None], q[:, :, None], shifted)
        value = ConditionedSines.apply(
            x, shares, amplitudes, f.last.weight[0], f.hidden_type or x.dtype, *weights, *phases.unbind(1)
        )
        return value + shares @ (s[:, -1] * f.last.weight.sum() + f.last.bias)

    @staticmethod
    def penalty(conditions: Tensor) -> Tensor:
        """How far p, q, r, s are below 0 (constraint of Eq. 2), to be weighed into the loss."""
        return functional.relu(-conditions).mean()
