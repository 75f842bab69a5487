"""SeCo-INR: an adaptive SIREN whose layers depend on the class of the point.

Source: Ekanayake et al., SeCo-INR: Semantically Conditioned Implicit Neural Representations for
Improved Medical Image Super-Resolution, WACV 2025.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .networks import SineLayer, Siren, each
from .settings import SecoSettings

CONDITIONER_WIDTH = 32
# how far the conditioned layers start from SIREN's
START = 1e-3


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
        f, u = self.image, x
        for n, (layer, omega) in enumerate(zip(each(f.layers), f.omegas)):
            weight, bias = omega * layer.weight, omega * layer.bias
            if n:
                bias = bias + s[:, n - 1, None] * weight.sum(dim=1)
            phase = torch.addcmul(r[:, n, None], q[:, n, None], bias)
            u = SineLayer.apply(u, weight, phase, amplitudes[:, n, None], shares, None if n else f.hidden_type)
        value = functional.linear(u, f.last.weight.to(u.dtype)).float()[:, 0]
        offset = s[:, -1] * f.last.weight.sum() + f.last.bias
        return amplitudes[:, -1] * value + shares @ offset

    @staticmethod
    def penalty(conditions: Tensor) -> Tensor:
        """How far p, q, r, s are below 0 (constraint of Eq. 2), to be weighed into the loss."""
        return functional.relu(-conditions).mean()
