"""NExpR on volumes: coefficients of every slice, and slices that can be drawn at interactive speed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ...representation import Contrast
from ..pretrained.slicewise import PADDING, SlicedVolume, SlicewiseRepresentation
from ..pretrained.weights import Weights
from .consistency import correction, fine_positions, is_period
from .drawing import SliceFunction
from .network import NExpRNetwork
from .planes import VolumeFunction
from .seams import meet
from .settings import NExpRSettings

# the network is told this scale if it wants to know one
NOMINAL_SCALE = 4.0


class ExplicitRepresentation(SlicewiseRepresentation):
    """Slices as explicit functions; coefficients are kept in float16 (an error below 1e-3 of the residual)."""

    kind = "explicit"
    saved_bytes = 1 << 28
    """Coefficients up to this size are saved too, so that a loaded file can be drawn at once."""

    def __init__(
        self,
        volumes: Sequence[SlicedVolume],
        weights: Weights,
        device: str = "cpu",
        contrasts: Sequence[Contrast] | None = None,
        settings: NExpRSettings | None = None,
    ) -> None:
        super().__init__(volumes, weights, device, contrasts)
        self._settings = settings or NExpRSettings()

    def encode(self, slices: Tensor) -> Tensor:
        """See :class:`SlicewiseRepresentation`."""
        assert isinstance(self.network, NExpRNetwork)
        scale = torch.full((len(slices),), NOMINAL_SCALE, device=slices.device)
        encode = self.network.encode_averaged if self._settings.average_flips else self.network.encode
        basis = self.network.basis()
        return torch.stack([meet(code, basis) for code in encode(slices, scale)]).half()

    def prepare(self) -> Iterator[float]:
        """Encode the slices, and make them agree with the input where the settings say so."""
        if not self._settings.consistent:
            yield from super().prepare()
            return
        todo = self.restored()
        changes: dict[int, np.ndarray] = {}
        for n, (channel, number) in enumerate(todo):
            data = self.volumes[channel].volume.data
            change = changes.setdefault(channel, np.zeros_like(data))
            np.moveaxis(change, self.volumes[channel].axis, 0)[number] = self._correction(channel, number)
            yield (n + 1) / len(todo)
        for channel, change in changes.items():
            self.volumes[channel].correct(change)

    def _correction(self, channel: int, number: int) -> np.ndarray:
        sliced = self.volumes[channel]
        image = np.take(sliced.volume.data, number, axis=sliced.axis)
        code = self.code(channel, number, push_others_out=False)
        if not is_period(image, sliced.spread):
            return np.zeros_like(image)
        places = [torch.from_numpy(fine_positions(n) + PADDING).to(self._device) for n in image.shape]
        with torch.inference_mode():
            residual = self.network.residual(code, places[0], places[1]).cpu().numpy()
        return correction(image, sliced.spread * residual, sliced.air, sliced.lowest)

    def slice_function(self, channel: int, number: int) -> SliceFunction:
        """Slice `number` of a contrast as a function of its own, to be drawn again and again."""
        assert isinstance(self.network, NExpRNetwork)
        sliced = self.volumes[channel]
        coefficients = self.code(channel, number)
        spread = 0.0 if sliced.zero_filled else sliced.spread
        image = np.take(sliced.samples, number, axis=sliced.axis)
        return SliceFunction(coefficients, self.network.basis(), image, spread, sliced.lowest, PADDING)

    def spline(self, channel: int) -> np.ndarray:
        """Coefficients of the cubic spline of a contrast, float32, (i, j, k)."""
        coefficients: np.ndarray = ndimage.spline_filter(self.volumes[channel].samples, 3, np.float32, "mirror")
        return coefficients

    def volume_function(self, channel: int) -> VolumeFunction:
        """A contrast as a function whose planes are drawn again and again; slices are encoded when they are needed."""
        assert isinstance(self.network, NExpRNetwork)
        sliced = self.volumes[channel]
        return VolumeFunction(
            self.spline(channel),
            sliced.axis,
            lambda number: self.code(channel, number),
            self.network.basis(),
            0.0 if sliced.zero_filled else sliced.spread,
            sliced.lowest,
            PADDING,
        )

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See :class:`Representation`."""
        arrays, config = super().state()
        config["settings"] = dataclasses.asdict(self._settings)
        if self._bytes <= self.saved_bytes:
            arrays.update({f"code.{c}.{k}": code.cpu().numpy() for (c, k), code in self._codes.items()})
        return arrays, config

    @classmethod
    def from_state(
        cls, contrasts: Sequence[Contrast], arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> ExplicitRepresentation:
        """See :class:`Representation`."""
        made = super().from_state(contrasts, arrays, config)
        assert isinstance(made, cls)
        made._settings = NExpRSettings(**config["settings"])
        for name, code in arrays.items():
            if name.startswith("code."):
                _, channel, number = name.split(".")
                made.keep((int(channel), int(number)), torch.from_numpy(code))
        return made
