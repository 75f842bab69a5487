"""Training of SRGAN: mean squared differences of pixels, and a critic that is learned along."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from ..methods.coordinate.srgan import SrganNetwork
from .data import Example
from .lessons import SliceLessons


class AdversarialLessons(SliceLessons):
    """Slices that lost resolution in their plane, and the critic's opinion of what is made of them."""

    network: SrganNetwork

    def loss(self, examples: Sequence[Example]) -> Tensor:
        """Content and adversarial loss of the generator (Ledig et al., Eq. 3), and that of the critic."""
        pairs = [(m, self._here(e.target)) for m, e in zip(self._predict(examples), examples)]
        content = torch.stack([mse_loss(made, true) for made, true in pairs]).mean()
        with self.autocast():
            return content + self.network.adversarial_loss(pairs)
