"""The coordinate decoder and its baselines on volumes."""

from __future__ import annotations

import torch
from torch import Tensor

from ..slicewise import SlicewiseRepresentation

# LIIF is told the size of the fine pixels; a function that serves all scales is made for this one
NOMINAL_SCALE = 4.0


class DecodedRepresentation(SlicewiseRepresentation):
    """Slices as codes that a network decodes at every point."""

    kind = "decoded"

    def encode(self, slices: Tensor) -> Tensor:
        """See :class:`SlicewiseRepresentation`."""
        return self.network.encode(slices, torch.full((len(slices),), NOMINAL_SCALE, device=slices.device)).half()
