"""Several functions of the same scans, averaged: their errors differ, so that the mean has less of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import InputError
from ...image.grid import Grid
from ...image.volume import Volume
from ...progress import SILENT, Progress
from ...representation import Contrast, Representation
from ..cycleinr.representation import VolumetricRepresentation
from ..multicontrast.guided.representation import GuidedRepresentation


class AverageRepresentation(Representation):
    """The weighted mean of members that were fitted to the same scans.

    A slice's average of the mean is the mean of the slice's averages: where all members agree with the samples, so
    does the mean.

    Parameters
    ----------
    shares
        Of each member, (members,); they sum to 1.
    """

    kind = "average"

    def __init__(self, members: Sequence[Representation], shares: np.ndarray) -> None:
        super().__init__(members[0].contrasts)
        self.members = list(members)
        self.shares = np.asarray(shares, dtype=np.float32)

    @property
    def tile_voxels(self) -> int:  # type: ignore[override]
        """What suits all members."""
        return min(member.tile_voxels for member in self.members)

    def evaluate(self, grid: Grid, channels: Sequence[int]) -> np.ndarray:
        """Values of contrasts at the centres of a grid; see :class:`Representation`."""
        return sum(share * member.evaluate(grid, channels) for member, share in zip(self.members, self.shares))

    def sample(self, grid: Grid | Sequence[Grid], progress: Progress = SILENT) -> list[Volume]:
        """See :class:`Representation`; each member is sampled as a whole, in the tiles that suit it."""
        total: list[Volume] = []
        for n, (member, share) in enumerate(zip(self.members, self.shares)):
            found = member.sample(grid, progress.part(n / len(self.members), (n + 1) / len(self.members)))
            for volume in found:
                np.multiply(volume.data, share, out=volume.data)
            for whole, volume in zip(total, found):
                np.add(whole.data, volume.data, out=whole.data)
            total = total or found
        return [whole.replace(mark=self.mark) for whole in total]

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
        return arrays, {"members": configs, "shares": self.shares.tolist()}

    @classmethod
    def from_state(
        cls, contrasts: Sequence[Contrast], arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> AverageRepresentation:
        """See :class:`Representation`."""
        members = []
        for n, saved in enumerate(config["members"]):
            prefix = f"member{n}."
            own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            member = member_class(saved["kind"]).from_state(contrasts, own, saved["config"])
            member.provenance = saved["provenance"]
            members.append(member)
        return cls(members, np.array(config["shares"]))


def member_class(kind: str) -> type[GuidedRepresentation] | type[VolumetricRepresentation]:
    """The class of a member that a file names."""
    for known in (GuidedRepresentation, VolumetricRepresentation):
        if known.kind == kind:
            return known
    raise InputError(f"a member of the kind {kind!r} is not known", "Use a newer version")
