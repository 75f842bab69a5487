"""Training of CycleINR and ArSSR as in the CycleINR paper: whole blocks of all fine slices, and the cycle over all of them.

Fang et al., section 3.2 and 4.1: slices are kept at intervals (distances with one decimal), the fine block is predicted at
all its voxels, encoded again, and asked for the slices that were given (Eq. 6 and 7).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..methods.cycleinr.blocks import BlockNetwork
from ..methods.cycleinr.network import Told
from .blocks import POINTS, BlockExample, BlockSet, BlockSettings, draw_column, slices_of, spline_weights
from .lessons import BlockLessons

# fewer slices are no block
FEWEST = 3


class PaperBlockLessons(BlockLessons):
    """Blocks that lost slices, for the networks of :mod:`methods.cycleinr.blocks`."""

    network: BlockNetwork  # type: ignore[assignment]

    def draw(self, drawn_from: BlockSet, rng: np.random.Generator) -> BlockExample:
        """See :class:`Lessons`."""
        fine, _ = draw_column(drawn_from, self.data, rng)
        return all_slices(fine, self.data, rng)

    def loss(self, examples: Sequence[BlockExample]) -> Tensor:
        """L1 of the fine block + λ · L1 of the given slices found again (Eq. 9), the mean over the examples."""
        total = torch.zeros((), device=self.device)
        for example in examples:  # blocks differ in size
            with self.autocast():
                made = self._predict(example)
                total = total + self._distance(made, self._here(example.target))
                if self.settings.cycle_weight:
                    total = total + self.settings.cycle_weight * self._back(made, example)
        return total / len(examples)

    def errors(self, example: BlockExample) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Lessons`."""
        with torch.no_grad(), self.autocast():
            found = self._predict(example).cpu().numpy()
        return example.base - example.target, found - example.target

    def _predict(self, example: BlockExample) -> Tensor:
        codes = self.network.encode(self._here(example.voxels)[None])[0]
        return self.network.sample(codes, self._here(example.positions))

    def _back(self, made: Tensor, example: BlockExample) -> Tensor:
        """The cycle loss: `made` is encoded, and sampled where the given slices lie."""
        places = (np.arange(len(example.voxels)) - example.positions[0]) * example.told.ratio
        seen = (places >= 0) & (places <= len(made) - 1)
        codes = self.network.encode(made[None])[0]
        found = self.network.sample(codes, self._here(places[seen].astype(np.float32)))
        return self._distance(found, self._here(example.voxels[seen]))


def all_slices(fine: np.ndarray, settings: BlockSettings, rng: np.random.Generator) -> BlockExample:
    """Slices of a column (depth, rows, columns) at a random distance, and all fine ones from the first to the last of them.

    Distances that are not whole numbers have one decimal; slices between the fine ones are interpolated by a cubic spline.
    """
    ratio = round(float(rng.uniform(settings.lowest_scale, settings.highest_scale)), 1)
    if rng.random() < settings.whole:
        ratio = float(max(2, round(ratio)))
    count = max(FEWEST, min(settings.slices, int((len(fine) - 1) / ratio) + 1))
    ratio = min(ratio, (len(fine) - 1) / (count - 1))
    first = int(rng.integers(int(len(fine) - 1 - (count - 1) * ratio + 1e-6) + 1))
    voxels = slices_of(fine, first + ratio * np.arange(count), 0.0, POINTS.profile)
    numbers = np.arange(first, first + int((count - 1) * ratio + 1e-6) + 1)
    positions = (numbers - first) / ratio
    base = np.tensordot(spline_weights(positions, count), voxels, 1)
    return BlockExample(voxels, positions.astype(np.float32), base, fine[numbers], Told(ratio, 0.0))
