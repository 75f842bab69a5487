"""The network of the CycleINR paper as it is printed, and without attention that of ArSSR: the preset ``paper``.

Fang et al., "CycleINR: cycle implicit neural representation for arbitrary-scale volumetric super-resolution of medical
data", section 3.1 and 4.1. Unlike :mod:`network`, it gives intensities and not what a spline misses, the attended code takes
the place of the trilinear one (Eq. 4), activations are ReLU, and the decoder is told the place in the block. What the paper
leaves open is chosen so:

- The encoder adds the intensity to its codes, as that of ArSSR does; the paper only names it a residual network.
- "A residual connection between the input of the decoder and the fourth layer": the fourth layer is as wide as the input,
  which is added to what comes out of it.
- No ReLU behind the last layer: it would forbid values below the mean.
- The 27 nearest codes lie around the voxel nearest to the point. The product of query and key is not divided by the square
  root of its length (Eq. 4 has no such term). The three linear layers have biases.
- Coordinates run from −1 to 1 over the outer edges of the block that was encoded.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from .blocks import BlockNetwork
from .network import Block
from .settings import VolumetricArchitecture

# slices, rows and columns around the nearest voxel that a point attends to
NEAR = 1


class PaperVolumetricNetwork(BlockNetwork):
    """Encoder, latent codes sampled with attention, decoder; see the module.

    Arrays of voxels run (slice, row, column).
    """

    def __init__(self, architecture: VolumetricArchitecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.head = nn.Conv3d(1, a.features, 3, padding=1)
        self.blocks = nn.ModuleList(Block(a.features, a.convolutions, relu) for _ in range(a.blocks))
        self.tail = nn.Conv3d(a.features, a.latent, 3, padding=1)
        if a.attention:
            self.query = nn.Linear(a.latent, a.latent)
            self.key = nn.Linear(a.latent, a.latent)
            self.value = nn.Linear(a.latent, a.latent)
        inputs, middle = a.latent + 3, a.layers // 2
        widths = [inputs, *[a.width] * (middle - 1), inputs, *[a.width] * (a.layers - middle - 1), 1]
        self.decoder = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(widths))

    def encode(self, voxels: Tensor) -> Tensor:
        """Latent codes of blocks (n, d, h, w), and where in the block they are; (n, d, h, w, latent + 3)."""
        x = relu(self.head(voxels[:, None].contiguous(memory_format=torch.channels_last_3d)))
        for block in self.blocks:
            x = block(x)
        codes = (self.tail(x) + voxels[:, None]).permute(0, 2, 3, 4, 1)
        along = [(2 * torch.arange(n, device=voxels.device) + 1) / n - 1 for n in voxels.shape[1:]]
        places = torch.stack(torch.meshgrid(*along, indexing="ij"), -1).to(codes.dtype)
        return torch.cat([codes, places.expand(len(codes), -1, -1, -1, -1)], -1)

    def sample(self, codes: Tensor, slices: Tensor) -> Tensor:
        """Intensities at fractional slice numbers (m,) of one block's codes (d, h, w, latent + 3); float32, (m, h, w)."""
        depth, height, width = codes.shape[:3]
        numbers = slices.clamp(0, depth - 1)
        low = numbers.floor().long().clamp(max=max(depth - 2, 0))
        part = (numbers - low).to(codes.dtype)[:, None, None, None]
        linear = torch.lerp(codes[low], codes[(low + 1).clamp(max=depth - 1)], part)
        if not self.architecture.attention:
            return self._decode(linear)
        # those between the same two halves attend to the same codes
        nearest = (numbers + 0.5).floor().long().clamp(max=depth - 1)
        keys, values = (self._around(layer(codes[..., :-3])) for layer in (self.key, self.value))
        found = linear.new_empty(len(slices), height, width, dtype=torch.float32)
        for k in nearest.unique().tolist():
            there = torch.nonzero(nearest == k)[:, 0]
            asked = self.query(linear[there, ..., :-3]).movedim(0, 2).flatten(0, 1)
            likeness = torch.bmm(asked, neighbours(keys, k).transpose(1, 2)).softmax(-1).to(asked.dtype)
            attended = torch.bmm(likeness, neighbours(values, k)).unflatten(0, (height, width)).movedim(2, 0)
            made = self._decode(torch.cat([attended, linear[there, ..., -3:].to(attended.dtype)], -1))
            found = found.index_copy(0, there, made)
        return found

    @staticmethod
    def _around(codes: Tensor) -> Tensor:
        """Codes (d, h, w, latent) with the outermost ones repeated around them."""
        return pad(codes.movedim(-1, 0)[None], [NEAR] * 6, mode="replicate")[0].movedim(0, -1)

    def _decode(self, given: Tensor) -> Tensor:
        middle = len(self.decoder) // 2
        x = given
        for n, layer in enumerate(self.decoder):
            x = layer(x)
            if n + 1 < len(self.decoder):
                x = relu(x)
            if n + 1 == middle:
                x = x + given
        return x[..., 0].float()


def neighbours(codes: Tensor, k: int) -> Tensor:
    """The 27 codes around each voxel of slice k, of codes with :data:`NEAR` more on each side; (h · w, 27, latent)."""
    height, width = (n - 2 * NEAR for n in codes.shape[1:3])
    span = range(2 * NEAR + 1)
    views = [codes[k + a, i : i + height, j : j + width] for a in span for i in span for j in span]
    return torch.stack(views, 2).flatten(0, 1)
