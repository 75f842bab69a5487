"""What a network that is trained ahead learns from: slices, or blocks of voxels; examples, predictions, losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..device import has_bfloat16
from ..image.volume import Volume
from ..methods.cycleinr.network import REACH, Told, VolumetricNetwork
from ..progress import SILENT, Progress
from .blocks import MARGIN, BlockExample, BlockSet, BlockSettings, make_block, spline_weights
from .data import DataSettings, Example, SliceSet, make_example
from .denoise import DENOISERS

if TYPE_CHECKING:
    from ..methods.pretrained.encoder import SliceNetwork
    from .settings import TrainingSettings

# the denoising loss is in units of the image's range, which is about five standard deviations of the foreground
RANGE = 5.0
# nothing is cut off
UNCUT = (DataSettings.darkest, DataSettings.brightest)

SetT = TypeVar("SetT")
ExampleT = TypeVar("ExampleT")


class Lessons(ABC, Generic[SetT, ExampleT]):
    """Examples for one network, and how well it does on them.

    Parameters
    ----------
    network
        On `device`.
    settings
        The training's.
    data
        What examples are made of.
    """

    def __init__(self, network: Any, settings: TrainingSettings, data: Any, device: str) -> None:
        self.network, self.settings, self.data, self.device = network, settings, data, device
        self._mixed = settings.mixed_precision and has_bfloat16(device)

    @abstractmethod
    def gather(self, volumes: Sequence[str | Volume], folder: Path, progress: Progress = SILENT) -> SetT:
        """Make the volumes ready to draw from, in a scratch folder."""

    @abstractmethod
    def draw(self, drawn_from: SetT, rng: np.random.Generator) -> ExampleT:
        """One example."""

    @abstractmethod
    def loss(self, examples: Sequence[ExampleT]) -> Tensor:
        """The mean loss of a batch, differentiable."""

    @abstractmethod
    def errors(self, example: ExampleT) -> tuple[np.ndarray, np.ndarray]:
        """What spline and network miss of the truth."""

    def autocast(self) -> torch.autocast:
        """bfloat16 products where the training wants them."""
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self._mixed)

    def _distance(self, found: Tensor, target: Tensor) -> Tensor:
        difference = found - target
        return (difference.square() if self.settings.squared else difference.abs()).mean()

    def _here(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)


class SliceLessons(Lessons[SliceSet, Example]):
    """Slices that lost resolution in their plane (NExpR, the coordinate decoder and its baselines)."""

    network: SliceNetwork
    data: DataSettings

    def gather(self, volumes: Sequence[str | Volume], folder: Path, progress: Progress = SILENT) -> SliceSet:
        """See :class:`Lessons`."""
        window = (self.data.darkest, self.data.brightest)
        return SliceSet(volumes, folder, progress, None if window == UNCUT else window)

    def draw(self, drawn_from: SliceSet, rng: np.random.Generator) -> Example:
        """See :class:`Lessons`."""
        return make_example(drawn_from, self.data, rng, self.network.most_points, self.network.multiple)

    def _predict(self, examples: Sequence[Example]) -> list[Tensor]:
        """Restored crops, float32."""
        found: list[Tensor] = [torch.empty(0)] * len(examples)
        with self.autocast():
            for shape in dict.fromkeys(e.slice.shape for e in examples):  # slices of one size are encoded together
                alike = [n for n, e in enumerate(examples) if e.slice.shape == shape]
                slices = torch.from_numpy(np.stack([examples[n].slice for n in alike]))[:, None]
                scale = torch.tensor([examples[n].scale for n in alike])
                x = slices.to(self.device).contiguous(memory_format=torch.channels_last)
                for n, code in zip(alike, self.network.encode(x, scale.to(self.device))):
                    rows, columns = self._here(examples[n].rows), self._here(examples[n].columns)
                    found[n] = self._here(examples[n].base) + self.network.residual(code, rows, columns)
        return found

    def loss(self, examples: Sequence[Example]) -> Tensor:
        """L1 (or L2) + λ ‖prediction − D(truth)‖² (Van Veen et al., section 3.1), images in units of their range."""
        total = torch.zeros((), device=self.device)
        for example, found in zip(examples, self._predict(examples)):
            total = total + self._distance(found, self._here(example.target))
            if self.settings.denoise_weight:
                smooth = DENOISERS[self.settings.denoiser](example.target / RANGE, self.settings.denoise_sigma)
                difference = found / RANGE - self._here(smooth)
                total = total + RANGE * self.settings.denoise_weight * difference.square().mean()
        return total / len(examples)

    def errors(self, example: Example) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Lessons`."""
        return example.base - example.target, self._predict([example])[0].cpu().numpy() - example.target


class BlockLessons(Lessons[BlockSet, BlockExample]):
    """Blocks of voxels that lost slices (CycleINR and ArSSR)."""

    network: VolumetricNetwork
    data: BlockSettings

    def gather(self, volumes: Sequence[str | Volume], folder: Path, progress: Progress = SILENT) -> BlockSet:
        """See :class:`Lessons`."""
        return BlockSet(volumes, folder, progress, self.data.warped)

    def draw(self, drawn_from: BlockSet, rng: np.random.Generator) -> BlockExample:
        """See :class:`Lessons`."""
        return make_block(drawn_from, self.data, rng)

    def loss(self, examples: Sequence[BlockExample]) -> Tensor:
        """L1 (or L2) of the fine slices + λ · cycle loss (Fang et al., Eq. 9); the cycle is run for one example."""
        codes = self._encode(examples)
        sizes = [len(e.positions) for e in examples]
        pairs = zip(self._restore(codes, examples).split(sizes), self._inner_of(examples, "target").split(sizes))
        total = torch.stack([self._distance(*pair) for pair in pairs]).mean()
        points = [n for n, e in enumerate(examples) if e.told.thickness == 0]
        if self.settings.cycle_weight and points:
            total = total + self.settings.cycle_weight * self._cycle(examples[points[0]], codes[points[0]])
        return total

    def errors(self, example: BlockExample) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Lessons`."""
        with torch.no_grad():
            found = self._restore(self._encode([example]), [example])
        target = inner(example.target)
        return inner(example.base) - target, found.cpu().numpy() - target

    def _encode(self, examples: Sequence[BlockExample]) -> Tensor:
        told = [e.told for e in examples]
        with self.autocast():
            return self.network.encode(self._here(np.stack([e.voxels for e in examples])), told)

    def _restore(self, codes: Tensor, examples: Sequence[BlockExample]) -> Tensor:
        """The fine slices of all examples, one after the other, without the edge of the blocks."""
        numbers = np.repeat(np.arange(len(examples)), [len(e.positions) for e in examples])
        positions = np.concatenate([e.positions for e in examples])
        cut = MARGIN - REACH
        with self.autocast():
            found = self.network.decode_each(
                codes[:, :, cut:-cut, cut:-cut],
                self._here(numbers),
                self._here(positions),
                [e.told for e in examples],
            )
        return self._inner_of(examples, "base") + found

    def _inner_of(self, examples: Sequence[BlockExample], name: str) -> Tensor:
        return self._here(np.concatenate([inner(getattr(e, name)) for e in examples]))

    def _cycle(self, example: BlockExample, code: Tensor) -> Tensor:
        """Fine slices are made, encoded, and the given slices found again between them (Fang et al., Eq. 6 and 7).

        As many fine slices as there were coarse ones, so that the way back costs what the way there did: a part of
        what the paper encodes again. None of them lies on a given slice, which would make it easy.
        """
        count = len(example.voxels)
        factor = max(2, min(round(example.told.ratio), MOST_PARTS))
        start = (count - count // factor) // 2 - 1
        fine = start + (np.arange(count) + 0.5) / factor
        base = np.tensordot(spline_weights(fine, count), example.voxels, 1)
        made = self._restore(code[None], [replace(example, positions=fine.astype(np.float32), base=base)])
        told = Told(example.told.ratio / factor, 0.0)
        with self.autocast():
            codes = self.network.encode(made[None], [told])[0]
            numbers = np.arange(count)
            places = (numbers - start) * factor - 0.5  # of the given slices among the fine ones
            seen = (places > END) & (places < count - 1 - END)
            residual = self.network.decode(codes, self._here(places[seen].astype(np.float32)), told)
        spline = torch.tensordot(self._here(spline_weights(places[seen], count)), made, 1)
        given = inner(self._here(example.voxels[seen]))
        edge = slice(REACH, -REACH)
        return self._distance(spline[:, edge, edge] + residual, given[:, edge, edge])


# slices of the way back that lie too near the ends of the block
END = 2
# slices that are made for each distance of the given ones, at most
MOST_PARTS = 3


def inner(block):  # type: ignore[no-untyped-def]  # an array or a tensor
    """A block of voxels without its edge in plane, which the network has not seen the surroundings of."""
    return block[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
