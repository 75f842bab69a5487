"""Members of a method that can disagree: those that it averages, or the method once more, of the mirror image and with another seed.

Anatomy knows no left and right in its texture, and nothing hangs on a seed: where the two differ, the scan does not say what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..acquisition.forward_model import SliceProfile
from ..fitting import fit
from ..image.grid import Grid
from ..image.volume import Volume
from ..methods.combined.average import AverageRepresentation
from ..methods.combined.left_out import Plane
from ..methods.cycleinr.representation import VolumetricRepresentation
from ..methods.multicontrast.guided.representation import GuidedRepresentation
from ..progress import SILENT, Progress
from ..representation import INTERPOLATING, Representation

# what restores other scans without a fit of its own
RESTORERS = (GuidedRepresentation, VolumetricRepresentation)


@dataclass(frozen=True)
class Member:
    """A function of the scan.

    Parameters
    ----------
    mirrored
        Whether it was fitted to the mirror image, with the next seed.
    """

    representation: Representation
    mirrored: bool = False

    def sample(self, grid: Grid, n: int) -> np.ndarray:
        """The values of the n-th scan."""
        return self.representation.sample(grid)[n].data


class Ensemble:
    """The members of a representation.

    Parameters
    ----------
    volume
        What it was made of, if of one scan.
    progress
        Of the run, which may be cancelled.
    """

    def __init__(self, representation: Representation, volume: Volume, progress: Progress = SILENT) -> None:
        self.whole, self._progress = representation, progress
        self.members = [Member(representation)]
        self.shares = np.ones(1)
        self.alone = len(representation.contrasts) == 1
        if isinstance(representation, AverageRepresentation):
            self.members = [Member(m) for m in representation.members]
            self.shares = np.asarray(representation.shares)
        elif self.alone and representation.kind not in INTERPOLATING:
            self.members.append(Member(self._once_more(volume), mirrored=True))
            self.shares = np.array([1.0, 0.0])

    def _once_more(self, volume: Volume) -> Representation:
        made = self.whole.provenance
        thickness, kind = made["slices"][0]["slice_thickness"], made["slice_profile"][0]
        return fit(
            made["method"],
            [mirror(volume)],
            slice_profile=kind,
            # one for each slice is the volume's own
            slice_thickness=None if kind == "none" or isinstance(thickness, list) else thickness,
            preset=made["preset"],
            settings=made["settings"],
            seed=made["seed"] + 1,
            progress=self._progress.quiet(),
        )

    def disagreement(self, grid: Grid, n: int) -> np.ndarray | None:
        """Standard deviation of the members at the centres of a grid; None where there is one only."""
        if len(self.members) < 2:
            return None
        return np.asarray(np.std([m.sample(grid, n) for m in self.members], axis=0), np.float32)

    def restored(self, planes: Sequence[Plane], taken: SliceProfile) -> list[np.ndarray]:
        """What the members make of the thick slices of planes, (members, …) each; of scans that guide each other, what the spline does."""
        if not self.alone:
            return [np.stack([fitted_to_a_plane("cubic", p, taken).sample(p.grid)[0].data]) for p in planes]
        drawn = [self._restored_by(member, planes, taken) for member in self.members]
        return [np.stack(of_plane) for of_plane in zip(*drawn)]

    def _restored_by(self, member: Member, planes: Sequence[Plane], taken: SliceProfile) -> list[np.ndarray]:
        coarse = [mirror(p.coarse, 2) if member.mirrored else p.coarse for p in planes]
        if isinstance(member.representation, RESTORERS):
            return list(member.representation.restore_others(coarse, [p.grid for p in planes]))
        made = self.whole.provenance
        changes = {
            "preset": made["preset"],
            "settings": made["settings"],
            "seed": made["seed"] + member.mirrored,
            "progress": self._progress.quiet(),
        }
        return [
            fitted_to_a_plane(made["method"], p, taken, c, **changes).sample(p.grid)[0].data
            for p, c in zip(planes, coarse)
        ]

    def mixed(self, drawn: np.ndarray) -> np.ndarray:
        """What the method makes of what its members drew, (members, …)."""
        return np.asarray(np.tensordot(self.shares, drawn, 1), np.float32) if len(drawn) > 1 else drawn[0]


def mirror(volume: Volume, thick: int | None = None) -> Volume:
    """The same image with the voxels along an axis of its slices in reverse; it stays where it is in the patient."""
    axis = 1 if (volume.thick_axis if thick is None else thick) == 0 else 0
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, axis] * (volume.shape[axis] - 1)
    affine[:3, axis] *= -1
    return volume.replace(data=np.ascontiguousarray(np.flip(volume.data, axis)), affine=affine)


def fitted_to_a_plane(
    method: str, plane: Plane, profile: SliceProfile, coarse: Volume | None = None, **changes: Any
) -> Representation:
    """A method fitted to the thick slices of a plane, or to others in their place."""
    coarse = plane.coarse if coarse is None else coarse
    told = coarse.slice_thickness
    thickness = None if profile.kind == "none" or told is None else float(np.mean(told))
    return fit(method, [coarse], slice_profile=profile.kind, slice_thickness=thickness, grids=[plane.grid], **changes)
