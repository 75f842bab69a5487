"""The network of CycleINR: a 3D encoder, latent codes sampled with attention, and a decoder.

Fang et al., "CycleINR: cycle implicit neural representation for arbitrary-scale volumetric super-resolution
of medical data", section 3; without attention it is ArSSR (Wu et al. 2022). Arrays of voxels run (slice, row,
column). The network predicts what a spline across the slices misses, between the slices and at the rows and
columns of the voxels: in plane there is nothing to restore. Of slices that are averages, the spline misses
something on their centres, too: a network that was made for them predicts it from the latent code of the slice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from ...acquisition.forward_model import FWHM, SliceProfile
from .settings import VolumetricArchitecture

# the latent codes that a query attends to lie within this many voxels, in plane …
REACH = 1
# … and in these slices around it; those further than the window (in slices) have no weight, so that three count
COLUMN = (-1, 0, 1, 2)
WINDOW = 1.5
# ratios of spacings are given to the network in this unit, so that inputs are about 1
RATIO_UNIT = 4.0
# the wide part of the encoder sees every so many pixels as one
STRIDE = 2
# of the activations below 0
SLOPE = 0.1
# a position this near to a slice (in slices) is on it
ON_A_SLICE = 1e-5
# thickness of the boxcar that has the variance of a Gaussian, in full widths at half maximum of this
AS_WIDE_AS_GAUSSIAN = 12**0.5 / FWHM
# queries that are decoded together: as many as the processor's cache holds with their neighbours
QUERIES_AT_ONCE = 1 << 13
# … or as many as keep a GPU busy: about 2 GB for networks of the paper's size
QUERIES_AT_ONCE_ON_GPU = 1 << 17


def bent(x: Tensor) -> Tensor:
    """Leaky ReLU. With the paper's ReLU, networks of this size died in training at useful rates: all outputs 0."""
    return leaky_relu(x, SLOPE)


class Told(NamedTuple):
    """What the network is told of a volume."""

    ratio: float
    """Distance of the slices in pixels."""
    thickness: float
    """Of a boxcar that blurs as much as the slices do, as a part of their distance; 0 for point samples."""

    @classmethod
    def of(cls, ratio: float, profile: SliceProfile, width: float) -> Told:
        """Of slices `width` thick (as a part of their distance), or with this full width at half maximum."""
        return cls(ratio, width * {"none": 0.0, "boxcar": 1.0, "gaussian": AS_WIDE_AS_GAUSSIAN}[profile.kind])


class Block(nn.Module):
    """x + convolutions of x, with an activation between them, and none behind the last (ResCNN, Du et al. 2020)."""

    def __init__(self, features: int, convolutions: int, activation: Callable[[Tensor], Tensor] = bent) -> None:
        super().__init__()
        self.activation = activation
        self.layers = nn.ModuleList(nn.Conv3d(features, features, 3, padding=1) for _ in range(convolutions))

    def forward(self, x: Tensor) -> Tensor:
        """(n, features, d, h, w) → the same."""
        y = x
        for n, layer in enumerate(self.layers):
            y = layer(self.activation(y) if n else y)
        return x + y


class Wide(nn.Module):
    """Residual blocks at half the resolution in plane: they see twice as far, and are cheap for the features they have."""

    def __init__(self, features: int, wide: int, blocks: int) -> None:
        super().__init__()
        self.down = nn.Conv3d(features, wide, (1, STRIDE, STRIDE), (1, STRIDE, STRIDE))
        self.blocks = nn.ModuleList(Block(wide, 2) for _ in range(blocks))
        self.convolutions = 2 * blocks
        self.up = nn.ConvTranspose3d(wide, features, (1, STRIDE, STRIDE), (1, STRIDE, STRIDE))

    def forward(self, x: Tensor) -> Tensor:
        """(n, features, d, h, w) → the same; h and w are even."""
        y = self.down(x)
        for block in self.blocks:
            y = block(y)
        return self.up(y)


class VolumetricNetwork(nn.Module):
    """Turns blocks of voxels into latent codes, and codes into what a spline across the slices misses.

    Intensities are in units of the foreground's standard deviation. Positions across the slices are fractional
    slice numbers. On the slices themselves the residual is 0, but for averages where the architecture is made for them.
    """

    memory_format = torch.channels_last_3d

    def __init__(self, architecture: VolumetricArchitecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        extra = 2 if a.told else 0
        self.head = nn.Conv3d(1 + extra, a.features, 3, padding=1)
        self.blocks = nn.ModuleList(Block(a.features, a.convolutions) for _ in range(a.blocks))
        self.wide = Wide(a.features, a.wide, a.wide_blocks) if a.wide else None
        self.tail = nn.Conv3d(a.features, a.latent, 3, padding=1)
        # the decoder's input goes to its first layer, and to the one in the middle again: here as one product
        self.from_code = nn.Linear(2 * a.latent + len(COLUMN) if a.pair else a.latent, 2 * a.width)
        self.from_position = nn.Linear(4 + extra, 2 * a.width, bias=False)
        if a.attention:
            self.query = nn.Linear(a.latent, a.latent, bias=False)
            self.key = nn.Linear(a.latent, a.latent, bias=False)
            self.value = nn.Linear(a.latent, a.latent, bias=False)
            self.from_attention = nn.Linear(a.latent, 2 * a.width, bias=False)
        self.hidden = nn.ModuleList(nn.Linear(a.width, a.width) for _ in range(a.layers - 2))
        self.last = nn.Linear(a.width, 1)
        self.on_slice = nn.Linear(a.latent, 1) if a.averages else None
        for layer in self.modules():  # the usual starting values fade from layer to layer
            if isinstance(layer, (nn.Conv3d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, SLOPE)
        for layer in self.modules():
            if isinstance(layer, Block):
                nn.init.zeros_(layer.layers[-1].weight)  # type: ignore[arg-type]
        # start as the spline, and as the network without attention or wide blocks: so that each can go on from the others
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        if a.attention:
            nn.init.zeros_(self.value.weight)
        if self.on_slice is not None:
            nn.init.zeros_(self.on_slice.weight)
            nn.init.zeros_(self.on_slice.bias)
        if self.wide is not None:
            nn.init.zeros_(self.wide.up.weight)
            nn.init.zeros_(self.wide.up.bias)  # type: ignore[arg-type]

    @property
    def reach(self) -> tuple[int, int, int]:
        """Slices, rows and columns around a query that its value depends on."""
        a = self.architecture
        near = 2 + a.blocks * a.convolutions + len(COLUMN) // 2
        if self.wide is None:
            return near, near, near
        further = self.wide.convolutions * STRIDE + STRIDE - 1
        return near + self.wide.convolutions, near + further, near + further

    def leaves_slices(self, told: Told) -> bool:
        """Whether the residual is 0 on the slices."""
        return self.on_slice is None or told.thickness == 0

    def encode(self, voxels: Tensor, told: list[Told]) -> Tensor:
        """Latent codes of blocks (n, d, h, w), h and w multiples of :data:`STRIDE`; (n, d, h, w, latent + 1), the intensity last."""
        x = voxels[:, None]
        if self.architecture.told:
            facts = torch.tensor([[t.ratio / RATIO_UNIT, t.thickness] for t in told], dtype=x.dtype, device=x.device)
            x = torch.cat([x, facts[:, :, None, None, None].expand(-1, -1, *voxels.shape[1:])], 1)
        x = self.head(x.contiguous(memory_format=torch.channels_last_3d))
        first = x
        for n, block in enumerate(self.blocks):
            if self.wide is not None and n == len(self.blocks) // 2:
                x = x + self.wide(x)
            x = block(x)
        codes = self.tail(first + x).permute(0, 2, 3, 4, 1)
        return torch.cat([codes, voxels[..., None].to(codes.dtype)], -1)

    def decode(self, codes: Tensor, slices: Tensor, told: Told) -> Tensor:
        """Residuals at fractional slice numbers, for all rows and columns but the outermost :data:`REACH`.

        Parameters
        ----------
        codes
            (d, h, w, latent + 1), of one block.
        slices
            Fractional slice numbers within the block, (m,), in any order.

        Returns
        -------
        float32, (m, h − 2 REACH, w − 2 REACH).
        """
        rows = max(1, at_once(codes.device) // codes.shape[2])
        height, width = (n - 2 * REACH for n in codes.shape[1:3])
        found = torch.zeros(len(slices), height, width, device=codes.device)
        between = torch.arange(len(slices), device=codes.device)
        if self.leaves_slices(told):
            between = between[(slices - slices.round()).abs() > ON_A_SLICE]
        if len(between) == 0:
            return found
        strips = [
            self._decode(codes[:, start : min(start + rows, height) + 2 * REACH], slices[between], told)
            for start in range(0, height, rows)
        ]
        return found.index_copy(0, between, torch.cat(strips, 1))

    def _decode(self, codes: Tensor, slices: Tensor, told: Told) -> Tensor:
        """As :meth:`decode`, for few rows: the keys and values between two slices serve all positions there."""
        below = lower_slices(slices, codes.shape[0])
        made = [torch.empty(0)] * len(slices)
        for k in below.unique().tolist():
            places = torch.nonzero(below == k)[:, 0]
            column = columns(codes[None], below[places[:1]])
            found = self._between(column, (slices[places] - k)[None], [told])[0]
            for place, one in zip(places.tolist(), found):
                made[place] = one
        return torch.stack(made)

    def decode_each(self, codes: Tensor, numbers: Tensor, slices: Tensor, told: Sequence[Told]) -> Tensor:
        """As :meth:`decode`, for positions of several blocks, together: for training, where few lie between the same slices.

        Parameters
        ----------
        codes
            (n, d, h, w, latent + 1), of n blocks.
        numbers, slices
            The block that each position lies in, and its fractional slice number there, (m,).
        told
            Of each block.

        Returns
        -------
        float32, (m, h − 2 REACH, w − 2 REACH).
        """
        together = max(1, at_once(codes.device) // codes.shape[2] // codes.shape[3])
        below = lower_slices(slices, codes.shape[1])
        column_numbers = numbers * codes.shape[1] + below
        found = [
            self._between(
                columns(codes, column_numbers[part]),
                (slices[part] - below[part])[:, None],
                [told[n] for n in numbers[part].tolist()],
            )
            for part in (slice(start, start + together) for start in range(0, len(slices), together))
        ]
        return torch.cat(found)[:, 0]

    def _between(self, column: Tensor, part: Tensor, told: Sequence[Told]) -> Tensor:
        """Residuals between two slices each.

        Parameters
        ----------
        column
            Codes of the slices :data:`COLUMN` around each of g places, (g, 4, h, w, latent + 1).
        part
            Parts of the way between the middle two, (g, q).
        told
            For each place.

        Returns
        -------
        float32, (g, q, h − 2 REACH, w − 2 REACH).
        """
        height, width = (n - 2 * REACH for n in column.shape[2:4])
        inner = column[:, :, REACH : REACH + height, REACH : REACH + width].flatten(2, 3)
        (_, low, high, _) = inner[..., :-1].unbind(1)
        if self.architecture.pair:
            given = self.from_code(torch.cat([low, high, inner[..., -1].transpose(1, 2)], -1))[:, :, None]
        else:
            given = self.from_code(mixed(low, high, part))
        given = given + self.from_position(self._facts(part, told).to(given.dtype))[:, None]
        if self.architecture.attention:
            attended = self._attend(self.query(mixed(low, high, part)), column[..., :-1], part)
            given = given + self.from_attention(attended)
        # on the slices a window leaves only what their own codes say: nothing is missing there if they were measured
        window = (4 * part * (1 - part))[:, None]
        found = self._mlp(given).float() * window
        if self.on_slice is not None:
            nearest = torch.where((part < 0.5)[:, None], self.on_slice(low).float(), self.on_slice(high).float())
            averaged = torch.tensor([float(not self.leaves_slices(t)) for t in told], device=part.device)
            found = found + averaged[:, None, None] * (1 - window) * nearest
        return found.transpose(1, 2).reshape(*part.shape, height, width)

    def _facts(self, part: Tensor, told: Sequence[Told]) -> Tensor:
        """What the decoder is told of positions between two slices, (g, q, 4 or 6)."""
        facts = [part, part**2, torch.cos(2 * math.pi * part), torch.sin(2 * math.pi * part)]
        if self.architecture.told:
            known = torch.tensor([[t.ratio / RATIO_UNIT, t.thickness] for t in told], device=part.device)
            facts += known[:, :, None].expand(-1, -1, part.shape[1]).unbind(1)
        return torch.stack(facts, -1)

    def _attend(self, queries: Tensor, around: Tensor, part: Tensor) -> Tensor:
        """Eq. 4 of the paper: values of the 27 nearest codes, by the likeness of keys to queries (g, p, q, latent).

        By likeness alone, a code would drop out suddenly where another one becomes one of the nearest. A window of
        the distance across the slices lets it fade, so that the function is continuous.
        """
        height, width = (n - 2 * REACH for n in around.shape[2:4])

        def neighbours(layer: nn.Linear) -> Tensor:
            views = [
                codes[:, i : i + height, j : j + width]
                for codes in layer(around).unbind(1)
                for i in range(2 * REACH + 1)
                for j in range(2 * REACH + 1)
            ]
            return torch.stack(views, 3).flatten(0, 2)

        away = (part[..., None] - torch.tensor(COLUMN, device=part.device)).abs()
        window = (1 - away / WINDOW).clamp(min=0).log().repeat_interleave((2 * REACH + 1) ** 2, -1)
        asked = queries.flatten(0, 1)
        likeness = torch.bmm(asked, neighbours(self.key).transpose(1, 2)) * self.architecture.latent**-0.5
        weights = (likeness.unflatten(0, queries.shape[:2]) + window[:, None]).softmax(-1).to(queries.dtype)
        return torch.bmm(weights.flatten(0, 1), neighbours(self.value)).unflatten(0, queries.shape[:2])

    def _mlp(self, given: Tensor) -> Tensor:
        first, again = given.chunk(2, -1)
        x = bent(first)
        for n, layer in enumerate(self.hidden):
            x = layer(x)
            x = bent(x + again if n == len(self.hidden) // 2 else x)
        return self.last(x)[..., 0]


def at_once(device: torch.device) -> int:
    """Queries that are decoded together."""
    return QUERIES_AT_ONCE if device.type == "cpu" else QUERIES_AT_ONCE_ON_GPU


def lower_slices(slices: Tensor, depth: int) -> Tensor:
    """The slice below each fractional slice number, such that there is one above, too."""
    return torch.floor(slices).long().clamp(0, max(depth - 2, 0))


def columns(codes: Tensor, below: Tensor) -> Tensor:
    """The slices :data:`COLUMN` around those that lie below (m,) (counted through all blocks), (m, 4, h, w, latent + 1).

    Beyond the ends of a block, its outermost slices are repeated.
    """
    depth = codes.shape[1]
    first = below // depth * depth
    around = (below - first)[:, None] + torch.tensor(COLUMN, device=below.device)
    chosen = first[:, None] + around.clamp(0, depth - 1)
    return codes.flatten(0, 1).index_select(0, chosen.flatten()).unflatten(0, chosen.shape)


def mixed(low: Tensor, high: Tensor, part: Tensor) -> Tensor:
    """Codes (g, p, latent) of two slices, interpolated linearly at parts (g, q) of the way; (g, p, q, latent)."""
    weights = part.to(low.dtype)[:, None, :, None]
    return torch.lerp(low[:, :, None], high[:, :, None], weights)
