"""SwinIR: attention within shifted windows, a system of the NExpR paper's tables.

Liang et al., "SwinIR: image restoration using Swin transformer" (ICCVW 2021), section 3, after Liu et al. 2021 (Swin): residual groups of transformer
layers (attention in windows with a bias of the relative place, every second layer's windows shifted by a half; a perceptron of two layers),
each group ending in a convolution; pixel shuffle for 2×. As everywhere in this harness, the result is added to a cubic spline.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from .network import UpsamplerNetwork
from .settings import SwinArchitecture, UpsamplerArchitecture

# what is added to the attention of pixels that only meet because an image was rolled
APART = -100.0


class WindowAttention(nn.Module):
    """Attention among the pixels of a window."""

    def __init__(self, features: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(features, 3 * features)
        self.out = nn.Linear(features, features)
        self.bias = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        places = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij"), -1).flatten(
            0, 1
        )
        apart = places[:, None] - places[None] + window - 1
        self.register_buffer("which", apart[..., 0] * (2 * window - 1) + apart[..., 1], persistent=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(windows, pixels, features), with what is added to the attention (windows, pixels, pixels) → the same as x."""
        queries, keys, values = self.project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2).chunk(3, -1)
        likeness = queries @ keys.transpose(2, 3) * queries.shape[-1] ** -0.5
        which: Tensor = self.which  # type: ignore[assignment]
        likeness = likeness + self.bias[which].permute(2, 0, 1) + mask[:, None]
        return self.out((likeness.softmax(-1).to(values.dtype) @ values).transpose(1, 2).flatten(2))


class SwinLayer(nn.Module):
    """Attention in windows, then a perceptron, each added to what came in."""

    def __init__(self, features: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm, self.norm_again = nn.LayerNorm(features), nn.LayerNorm(features)
        self.attention = WindowAttention(features, heads, window)
        self.wide, self.narrow = nn.Linear(features, 2 * features), nn.Linear(2 * features, features)

    def forward(self, x: Tensor) -> Tensor:
        """(n, h, w, features), sides multiples of the window → the same."""
        number, height, width, _ = x.shape
        moved = x.roll([-self.shift, -self.shift], [1, 2])
        # pixels of one window that lay at opposite edges of the image do not see each other
        region = torch.zeros(1, height, width, 1, device=x.device)
        if self.shift:
            region[:, -self.shift :] += 1
            region[:, :, -self.shift :] += 2
        of_windows = self._cut(region)[..., 0]
        mask = APART * (of_windows[:, :, None] != of_windows[:, None]).float()
        attended = self.attention(self._cut(self.norm(moved)), mask.repeat(number, 1, 1))
        x = x + self._join(attended, number, height, width).roll([self.shift, self.shift], [1, 2])
        return x + self.narrow(gelu(self.wide(self.norm_again(x))))

    def _cut(self, x: Tensor) -> Tensor:
        """(n, h, w, c) → (windows, pixels of a window, c)."""
        w = self.window
        return x.unflatten(2, (-1, w)).unflatten(1, (-1, w)).transpose(2, 3).flatten(0, 2).flatten(1, 2)

    def _join(self, x: Tensor, number: int, height: int, width: int) -> Tensor:
        """The inverse of :meth:`_cut`."""
        w = self.window
        windows = x.unflatten(1, (w, w)).unflatten(0, (number, height // w, width // w))
        return windows.transpose(2, 3).flatten(3, 4).flatten(1, 2)


class SwinEncoder(nn.Module):
    """SwinIR without its upsampling: (n, 1, h, w) → (n, features, h, w)."""

    def __init__(self, a: SwinArchitecture) -> None:
        super().__init__()
        self.window = a.window
        self.head = nn.Conv2d(1, a.features, 3, padding=1)
        self.groups = nn.ModuleList(
            nn.ModuleList(SwinLayer(a.features, a.heads, a.window, n % 2 * (a.window // 2)) for n in range(a.layers))
            for _ in range(a.blocks)
        )
        self.ends = nn.ModuleList(nn.Conv2d(a.features, a.features, 3, padding=1) for _ in range(a.blocks))
        self.norm = nn.LayerNorm(a.features)
        self.tail = nn.Conv2d(a.features, a.features, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """See the class; the edge is repeated up to a multiple of the window."""
        height, width = image.shape[2:]
        first = self.head(pad(image, [0, -width % self.window, 0, -height % self.window], mode="replicate"))
        x = first.permute(0, 2, 3, 1)
        for group, end in zip(self.groups, self.ends):
            y = x
            for layer in group:  # type: ignore[attr-defined]
                y = layer(y)
            x = x + end(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return (first + self.tail(self.norm(x).permute(0, 3, 1, 2)))[:, :, :height, :width]


class SwinNetwork(UpsamplerNetwork):
    """EDSR's upsampler behind SwinIR's encoder."""

    def __init__(self, architecture: SwinArchitecture) -> None:
        super().__init__(UpsamplerArchitecture(architecture.features, 0, architecture.factor))
        self.architecture = architecture  # type: ignore[assignment]
        self.encoder = SwinEncoder(architecture)  # type: ignore[assignment]
