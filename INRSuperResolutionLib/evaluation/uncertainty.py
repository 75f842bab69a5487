"""How far off each voxel of a result may be, learned from what is left out of the scan itself.

Slices of the scan are cut into thick slices along one of their sharp axes and restored (:mod:`methods.combined.left_out`).
There the error is known. What it goes with is measured on half of these planes: noise, what the method added, how the
image changes from slice to slice, and how far members of the method disagree (:mod:`ensemble`). The other half says by how much that
must be scaled so that 90 % of the errors are smaller (split conformal prediction: Vovk et al. 2005; Lei et al. 2018), for
voxels of little, more and much foreseen error each by itself (Mondrian: Vovk et al. 2003), as errors at edges have longer tails.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage
from scipy.optimize import nnls

from ..acquisition.forward_model import SliceProfile
from ..acquisition.slice_profile import choose_slices
from ..image.grid import Grid
from ..image.interpolate import Sampler, resample
from ..image.volume import Volume
from ..methods.combined.left_out import LeftOut
from ..methods.scan import Scan
from ..progress import SILENT, Progress
from ..representation import Representation
from .agreement import as_taken
from .ensemble import Ensemble, fitted_to_a_plane

COVERAGE = 0.9
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
# parts into which they are divided by the error that is foreseen, each scaled by itself; at most, and of so many voxels at least
STRATA, FEWEST_IN_STRATUM = 6, 250


def half_width(
    representation: Representation,
    volume: Volume,
    n: int,
    result: Volume,
    spline: Volume,
    seed: int = 0,
    progress: Progress = SILENT,
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
    ensemble = Ensemble(representation, volume, progress)
    model = ErrorModel(scan, ensemble, taken, seed)
    step = even.affine[:3, scan.thick]
    apart = ensemble.disagreement(Grid(result.shape, result.affine), n)
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


class ErrorModel:
    """How large errors are, given the features of a voxel.

    Parameters
    ----------
    scan
        With even slices.
    ensemble
        What was made of it.
    taken
        The profile that it took the slices to have.
    """

    def __init__(self, scan: Scan, ensemble: Ensemble, taken: SliceProfile, seed: int) -> None:
        left_out = LeftOut(scan, seed)
        values, errors = self._known(left_out, ensemble, taken)
        self.size = sum(len(e) for e in errors)
        self.foreseen, self.scales = np.ones(1), np.ones(1)
        if len(errors) < 2 or self.size < FEWEST_VOXELS:
            # too few slices to leave some out: as wide as the image changes from slice to slice
            self.weights = np.array([0.0, 1.0, 1.0, 1.0, 1.0])
            return
        learned, kept = slice(0, None, 2), slice(1, None, 2)
        design, wanted = np.concatenate(values[learned], axis=1), np.concatenate(errors[learned])
        spread = np.maximum(design.mean(axis=1), 1e-12)
        self.weights = nnls((design / spread[:, None]).T.astype(np.float64), wanted.astype(np.float64))[0] / spread
        # nothing is ever known better than the noise of the images
        self.weights[0] = max(self.weights[0], 0.1 * float(np.mean(wanted)))
        foreseen = np.maximum(self._raw(np.concatenate(values[kept], axis=1)), 1e-12)
        self.foreseen, self.scales = in_strata(foreseen, np.concatenate(errors[kept]))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Half widths; (features, …) → (…)."""
        raw = self._raw(values)
        scale = np.interp(np.log(np.maximum(raw, 1e-12)), np.log(self.foreseen), self.scales)
        return WIDER * scale * raw

    def _raw(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(np.tensordot(self.weights, values, 1))

    def _known(
        self, left_out: LeftOut, ensemble: Ensemble, taken: SliceProfile
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Features and absolute errors of each left-out plane, inside the patient."""
        values, errors = [], []
        for plane, drawn in zip(left_out.planes, ensemble.restored(left_out.planes, taken)):
            found = Volume(ensemble.mixed(drawn), plane.grid.affine)
            spline = fitted_to_a_plane("cubic", plane, taken).sample(plane.grid)[0]
            apart = np.std(drawn, axis=0).astype(np.float32) if len(drawn) > 1 else None
            step = plane.coarse.affine[:3, 2]
            told = features(found, spline, apart, plane.coarse, 2, step)
            values.append(told[:, plane.inside])
            errors.append(np.abs(found.data - plane.truth)[plane.inside])
        return values, errors


def in_strata(foreseen: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By how much foreseen errors must be scaled so that 90 % of the true ones are smaller, for parts of equal size.

    Returns
    -------
    The median of the foreseen errors of each part, rising, and the scale; both (parts,).
    """
    parts = max(1, min(STRATA, len(errors) // FEWEST_IN_STRATUM))
    middles, scales = [], []
    for own in np.array_split(np.argsort(foreseen), parts):
        ratios = errors[own] / foreseen[own]
        rank = min(1.0, math.ceil((len(ratios) + 1) * COVERAGE) / len(ratios))
        middles.append(float(np.median(foreseen[own])))
        scales.append(float(np.quantile(ratios, rank, method="higher")))
    return np.array(middles), np.array(scales)
