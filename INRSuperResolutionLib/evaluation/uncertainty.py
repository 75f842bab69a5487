"""How far off each voxel of a result may be, learned from what is left out of the scan itself.

Slices of the scan are cut into thick slices along one of their sharp axes and restored (:mod:`methods.combined.left_out`).
There the error is known. What it goes with is measured on half of these planes: noise, what the method added, how the
image changes from slice to slice, and how far two members of the method disagree. The other half says by how much that
must be scaled so that 90 % of the errors are smaller (split conformal prediction: Vovk et al. 2005; Lei et al. 2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.optimize import nnls

from ..acquisition.forward_model import SliceProfile
from ..acquisition.slice_profile import choose_slices
from ..fitting import fit
from ..image.grid import Grid
from ..image.interpolate import Sampler, resample
from ..image.volume import Volume
from ..methods.combined.average import AverageRepresentation
from ..methods.combined.left_out import LeftOut, Plane
from ..methods.cycleinr.representation import VolumetricRepresentation
from ..methods.multicontrast.guided.representation import GuidedRepresentation
from ..methods.scan import Scan
from ..representation import Representation
from .agreement import as_taken

COVERAGE = 0.9
# what restores other scans without a fit of its own
RESTORERS = (GuidedRepresentation, VolumetricRepresentation)
# of the smoothing of features, in voxels
SIGMA = 1.0
# beyond the outermost slice centre nothing was measured on the other side: so much more for each slice farther out;
# chosen on a made texture, so that the outermost plane is no narrower than those between slices
BEYOND = 6.0
# the slices that are left out are averages themselves, with less noise and detail than the truth between them has. Chosen
# on seven scans of the training (heads, brain, abdomen, breast; three and five slices into one), where the factor that
# covers 90 % had a median of 1.15
WIDER = 1.2
# planes that calibrate must show this many voxels of the patient
FEWEST_VOXELS = 500


def half_width(
    representation: Representation, volume: Volume, n: int, result: Volume, spline: Volume, seed: int = 0
) -> Volume:
    """Half the width of the 90 % interval of each voxel, in the unit of the image; float32, on the grid of the result.

    Several scans that guide each other cannot be judged alone: there the errors of the spline are taken, which are larger.

    Parameters
    ----------
    n
        Which input of the representation `volume` is.
    spline
        See :func:`agreement.spline_through_profile`, on the grid of `result`.
    """
    made = representation.provenance
    volume = as_taken(volume, made, n)
    even = volume if volume.slice_positions is None else resample(volume, volume.grid)
    taken = SliceProfile(made["slice_profile"][n])
    # interpolation takes slices for points, but that is not how they were made
    acquired = choose_slices("auto", [volume], None, None)[0].profile if taken.kind == "none" else taken
    scan = Scan(even, acquired, made["slices"][n]["axis"])
    model = ErrorModel(scan, representation, taken, seed)
    step = even.affine[:3, scan.thick]
    apart = disagreement(representation, Grid(result.shape, result.affine), n)
    data = model(features(result, spline, apart, even, scan.thick, step))
    return result.replace(data=data.astype(np.float32))


def features(
    result: Volume, spline: Volume, apart: np.ndarray | None, scan: Volume, thick: int, step: np.ndarray
) -> np.ndarray:
    """What errors go with, (features, …): noise; what was added; change to the next slice, alone and between the slices;
    and how far members are apart; all times what lies beyond the slices.

    Parameters
    ----------
    apart
        Standard deviation of the members of a method; None for one of a single member.
    step
        From one slice to the next, mm.
    """
    change = np.zeros(result.shape, np.float32)
    sampler = Sampler(result, 1, extend=True)
    for sign in (-0.5, 0.5):
        affine = result.affine.copy()
        affine[:3, 3] += sign * step
        np.maximum(change, np.abs(sampler(Grid(result.shape, affine)) - result.data), out=change)
    change = ndimage.gaussian_filter(change, SIGMA)
    added = ndimage.gaussian_filter(np.abs(result.data - spline.data), SIGMA)
    place = slice_place(Grid(result.shape, result.affine), scan, thick)
    between = 2 * np.abs(place - np.rint(place))
    found = [np.ones(result.shape, np.float32), added, change, change * between]
    found.append(np.zeros_like(added) if apart is None else ndimage.gaussian_filter(apart, SIGMA))
    last = scan.shape[thick] - 1
    beyond = np.maximum(np.maximum(-place, place - last), 0)
    return np.stack(found) * (1 + BEYOND * beyond).astype(np.float32)


def slice_place(grid: Grid, scan: Volume, thick: int) -> np.ndarray:
    """At which fractional slice of a scan the voxels of a grid lie; broadcasts to the grid's shape."""
    to_scan = (np.linalg.inv(scan.affine) @ grid.affine)[thick]
    parts = [
        to_scan[a] * np.arange(n).reshape([-1 if b == a else 1 for b in range(3)]) for a, n in enumerate(grid.shape)
    ]
    return np.asarray(parts[0] + parts[1] + parts[2] + to_scan[3])


def disagreement(representation: Representation, grid: Grid, n: int) -> np.ndarray | None:
    """Standard deviation of the members of an average at the centres of a grid; None where there is one only."""
    if not isinstance(representation, AverageRepresentation) or len(representation.members) < 2:
        return None
    drawn = [member.sample(grid)[n].data for member in representation.members]
    return np.asarray(np.std(drawn, axis=0), np.float32)


class ErrorModel:
    """How large errors are, given the features of a voxel.

    Parameters
    ----------
    scan
        With even slices.
    representation
        What was made of it.
    taken
        The profile that it took the slices to have.
    """

    def __init__(self, scan: Scan, representation: Representation, taken: SliceProfile, seed: int) -> None:
        left_out = LeftOut(scan, seed)
        values, errors = self._known(left_out, representation, taken)
        self.size = sum(len(e) for e in errors)
        if len(errors) < 2 or self.size < FEWEST_VOXELS:
            # too few slices to leave some out: as wide as the image changes from slice to slice
            self.weights, self.scale = np.array([0.0, 1.0, 1.0, 1.0, 1.0]), 1.0
            return
        learned, kept = slice(0, None, 2), slice(1, None, 2)
        design, wanted = np.concatenate(values[learned], axis=1), np.concatenate(errors[learned])
        spread = np.maximum(design.mean(axis=1), 1e-12)
        self.weights = nnls((design / spread[:, None]).T.astype(np.float64), wanted.astype(np.float64))[0] / spread
        # nothing is ever known better than the noise of the images
        self.weights[0] = max(self.weights[0], 0.1 * float(np.mean(wanted)))
        ratios = np.concatenate(errors[kept]) / np.maximum(self._raw(np.concatenate(values[kept], axis=1)), 1e-12)
        rank = min(1.0, math.ceil((len(ratios) + 1) * COVERAGE) / len(ratios))
        self.scale = float(np.quantile(ratios, rank, method="higher"))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Half widths; (features, …) → (…)."""
        return WIDER * self.scale * self._raw(values)

    def _raw(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(np.tensordot(self.weights, values, 1))

    def _known(
        self, left_out: LeftOut, representation: Representation, taken: SliceProfile
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Features and absolute errors of each left-out plane, inside the patient."""
        values, errors = [], []
        planes = left_out.planes
        restored = restored_planes(representation, taken, planes)
        average = isinstance(representation, AverageRepresentation)
        for plane, drawn in zip(planes, restored):
            mixed = average and len(drawn) > 1
            found = Volume(np.tensordot(representation.shares, drawn, 1) if mixed else drawn[0], plane.grid.affine)  # type: ignore[attr-defined]
            spline = fitted_to_a_plane("cubic", plane, taken).sample(plane.grid)[0]
            apart = np.std(drawn, axis=0).astype(np.float32) if len(drawn) > 1 else None
            step = plane.coarse.affine[:3, 2]
            told = features(found, spline, apart, plane.coarse, 2, step)
            values.append(told[:, plane.inside])
            errors.append(np.abs(found.data - plane.truth)[plane.inside])
        return values, errors


def restored_planes(
    representation: Representation, taken: SliceProfile, planes: Sequence[Plane]
) -> list[list[np.ndarray]]:
    """What the members of a method make of each plane's thick slices; of others than of one scan, the spline."""
    members = representation.members if isinstance(representation, AverageRepresentation) else [representation]
    alone = len(representation.contrasts) == 1
    if alone and all(isinstance(m, RESTORERS) for m in members):
        coarse, grids = [p.coarse for p in planes], [p.grid for p in planes]
        drawn = [m.restore_others(coarse, grids) for m in members]  # type: ignore[attr-defined]
        return [list(of_plane) for of_plane in zip(*drawn)]
    made = representation.provenance
    changes: dict[str, Any] = {}
    if alone:
        changes = {"preset": made["preset"], "settings": made["settings"], "seed": made["seed"]}
    method = made["method"] if alone else "cubic"
    return [[fitted_to_a_plane(method, p, taken, **changes).sample(p.grid)[0].data] for p in planes]


def fitted_to_a_plane(method: str, plane: Plane, profile: SliceProfile, **changes: Any) -> Representation:
    """A method fitted to the thick slices of a plane."""
    told = plane.coarse.slice_thickness
    thickness = None if profile.kind == "none" or told is None else float(np.mean(told))
    return fit(
        method, [plane.coarse], slice_profile=profile.kind, slice_thickness=thickness, grids=[plane.grid], **changes
    )
