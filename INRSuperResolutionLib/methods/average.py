"""Several functions of the same scans, averaged: their errors differ, so that the mean has less of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..image.grid import Grid
from ..image.volume import Volume
from ..progress import SILENT, Progress
from ..representation import Contrast, Representation
from .kinds import representation_class


class AverageRepresentation(Representation):
    """The mean of members that were fitted to the same scans.

    A slice's average of the mean is the mean of the slice's averages: where all members agree with the samples, so
    does the mean.
    """

    kind = "average"

    def __init__(self, members: Sequence[Representation]) -> None:
        super().__init__(members[0].contrasts)
        self.members = list(members)

    @property
    def tile_voxels(self) -> int:  # type: ignore[override]
        """What suits all members."""
        return min(member.tile_voxels for member in self.members)

    def evaluate(self, grid: Grid, channels: Sequence[int]) -> np.ndarray:
        """Values of contrasts at the centres of a grid; see :class:`Representation`."""
        total = self.members[0].evaluate(grid, channels)
        for member in self.members[1:]:
            total = total + member.evaluate(grid, channels)
        return total / np.float32(len(self.members))

    def sample(self, grid: Grid | Sequence[Grid], progress: Progress = SILENT) -> list[Volume]:
        """See :class:`Representation`; each member is sampled as a whole, in the tiles that suit it."""
        total: list[Volume] = []
        for n, member in enumerate(self.members):
            found = member.sample(grid, progress.part(n / len(self.members), (n + 1) / len(self.members)))
            for whole, volume in zip(total, found):
                whole.data[...] += volume.data
            total = total or found
        for whole in total:
            whole.data[...] /= np.float32(len(self.members))
        return total

    def release(self) -> None:
        """See :class:`Representation`."""
        for member in self.members:
            member.release()

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See :class:`Representation`."""
        arrays: dict[str, np.ndarray] = {}
        configs = []
        for n, member in enumerate(self.members):
            its_arrays, config = member.state()
            arrays.update({f"member{n}.{name}": array for name, array in its_arrays.items()})
            configs.append({"kind": member.kind, "config": config, "provenance": member.provenance})
        return arrays, {"members": configs}

    @classmethod
    def from_state(
        cls, contrasts: Sequence[Contrast], arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> AverageRepresentation:
        """See :class:`Representation`."""
        members = []
        for n, saved in enumerate(config["members"]):
            prefix = f"member{n}."
            own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            member = representation_class(saved["kind"]).from_state(contrasts, own, saved["config"])
            member.provenance = saved["provenance"]
            members.append(member)
        return cls(members)
