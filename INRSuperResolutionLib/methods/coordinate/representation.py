"""The coordinate decoder and its baselines on volumes."""

from __future__ import annotations

import torch
from torch import Tensor

from ..pretrained.slicewise import SlicewiseRepresentation


class DecodedRepresentation(SlicewiseRepresentation):
    """Slices as codes that a network decodes at every point."""

    kind = "decoded"

    def encode(self, slices: Tensor) -> Tensor:
        """See :class:`SlicewiseRepresentation`."""
        return self.network.encode(slices, torch.ones(len(slices), device=slices.device)).half()
