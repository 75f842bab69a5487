"""SRGAN: a residual network that learns against a critic, a system of the NExpR paper's tables.

Ledig et al., "Photo-realistic single image super-resolution using a generative adversarial network" (CVPR 2017), section 2.1: 9 × 9
convolution, residual blocks with batch normalisation and PReLU, pixel shuffle for 2×; the critic has eight convolutions. Different
here: the content loss is that of pixels (the paper's SRGAN-MSE), as VGG's needs weights from elsewhere; the critic ends in a mean
over the image instead of dense layers, so that crops may be of any size; what is made is added to a cubic spline, as everywhere here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import leaky_relu, softplus

from .network import UpsamplerNetwork
from .settings import SrganArchitecture, UpsamplerArchitecture

# of the critic's activations
SLOPE = 0.2
# weight of the adversarial loss (Eq. 3)
ADVERSARIAL = 1e-3
# widths of the critic's convolutions in units of the first one; every second one halves the image
WIDTHS = (1, 1, 2, 2, 4, 4, 8, 8)


class NormalisedBlock(nn.Module):
    """x + norm(conv(PReLU(norm(conv(x)))))."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1), nn.BatchNorm2d(features), nn.PReLU(),
            nn.Conv2d(features, features, 3, padding=1), nn.BatchNorm2d(features),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(n, features, h, w) → the same."""
        return x + self.body(x)


class Generator(nn.Module):
    """SRResNet without its upsampling."""

    def __init__(self, features: int, blocks: int) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(1, features, 9, padding=4), nn.PReLU())
        self.blocks = nn.Sequential(*(NormalisedBlock(features) for _ in range(blocks)))
        self.tail = nn.Sequential(nn.Conv2d(features, features, 3, padding=1), nn.BatchNorm2d(features))

    def forward(self, image: Tensor) -> Tensor:
        """(n, 1, h, w) → (n, features, h, w)."""
        first = self.head(image)
        return first + self.tail(self.blocks(first))


class Critic(nn.Module):
    """Tells images from made ones: above 0 where it takes one for real."""

    def __init__(self, features: int) -> None:
        super().__init__()
        widths = [1, *(features * w for w in WIDTHS)]
        self.layers = nn.ModuleList(
            nn.Conv2d(i, o, 3, stride=1 + n % 2, padding=1) for n, (i, o) in enumerate(itertools.pairwise(widths))
        )
        self.last = nn.Conv2d(widths[-1], 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(n, 1, h, w) → (n,)."""
        x = image
        for layer in self.layers:
            x = leaky_relu(layer(x), SLOPE)
        return self.last(x).mean(dim=(1, 2, 3))


class SrganNetwork(UpsamplerNetwork):
    """Generator and critic; the critic is part of it, so that a training can go on."""

    def __init__(self, architecture: SrganArchitecture) -> None:
        super().__init__(UpsamplerArchitecture(architecture.features, 0, architecture.factor))
        self.architecture = architecture  # type: ignore[assignment]
        self.encoder = Generator(architecture.features, architecture.blocks)  # type: ignore[assignment]
        self.critic = Critic(architecture.features)

    def adversarial_loss(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """The generator's loss, and the critic's own, whose gradients do not mix; of pairs (made, true) of images (h, w).

        Both are learned in one step: the generator's part sees the critic as it is, the critic's part sees images alone.
        """
        fixed = {name: value.detach() for name, value in self.critic.named_parameters()}
        total = torch.zeros(())
        count = 0
        for made, true in pairs:
            count += 1
            fools = functional_call(self.critic, fixed, (made[None, None],))
            told = self.critic(true[None, None].detach()), self.critic(made[None, None].detach())
            own = softplus(-told[0]) + softplus(told[1])
            total = total.to(made.device) + (ADVERSARIAL * softplus(-fools) + own).mean()
        return total / max(count, 1)
