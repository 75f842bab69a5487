"""NExpR on volumes: coefficients of every slice, and slices that can be drawn at interactive speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...representation import Contrast
from ...weights import Weights
from ..slicewise import PADDING, SlicedVolume, SlicewiseRepresentation
from .drawing import SliceFunction
from .network import NExpRNetwork

# coefficients up to this size are saved too, so that a loaded file can be drawn at once
SAVED_BYTES = 1 << 28
# the network is told this scale if it wants to know one
NOMINAL_SCALE = 4.0


class ExplicitRepresentation(SlicewiseRepresentation):
    """Slices as explicit functions; coefficients are kept in float16 (an error below 1e-3 of the residual)."""

    kind = "explicit"

    def __init__(
        self,
        volumes: Sequence[SlicedVolume],
        weights: Weights,
        device: str = "cpu",
        contrasts: Sequence[Contrast] | None = None,
        average_flips: bool = False,
    ) -> None:
        super().__init__(volumes, weights, device, contrasts)
        self._average_flips = average_flips

    def encode(self, slices: Tensor) -> Tensor:
        """See :class:`SlicewiseRepresentation`."""
        assert isinstance(self.network, NExpRNetwork)
        scale = torch.full((len(slices),), NOMINAL_SCALE, device=slices.device)
        encode = self.network.encode_averaged if self._average_flips else self.network.encode
        return encode(slices, scale).half().contiguous()

    def slice_function(self, channel: int, number: int) -> SliceFunction:
        """Slice `number` of a contrast as a function of its own, to be drawn again and again."""
        assert isinstance(self.network, NExpRNetwork)
        sliced = self.volumes[channel]
        coefficients = self.code(channel, number)
        spread = 0.0 if sliced.zero_filled else sliced.spread
        image = np.take(sliced.volume.data, number, axis=sliced.axis)
        return SliceFunction(coefficients, self.network.basis(), image, spread, sliced.lowest, PADDING)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See :class:`Representation`."""
        arrays, config = super().state()
        config["average_flips"] = self._average_flips
        if self._bytes <= SAVED_BYTES:
            arrays.update({f"code.{c}.{k}": code.cpu().numpy() for (c, k), code in self._codes.items()})
        return arrays, config

    @classmethod
    def from_state(
        cls, contrasts: Sequence[Contrast], arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> ExplicitRepresentation:
        """See :class:`Representation`."""
        made = super().from_state(contrasts, arrays, config)
        assert isinstance(made, cls)
        made._average_flips = config["average_flips"]
        for name, code in arrays.items():
            if name.startswith("code."):
                _, channel, number = name.split(".")
                made.keep((int(channel), int(number)), torch.from_numpy(code))
        return made
