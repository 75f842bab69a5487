"""Where the results of a job lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..image.grid import Grid, check_orthogonal
from .job import Job, is_dicom_output


def output_grids(job: Job, own: Sequence[Grid], like: Grid | None, registered: bool | None = None) -> list[Grid]:
    """The grid of each result: one for all, else each in the frame of its own input.

    One for all is that of `like`, or the job wants a common grid: the field of view and the axes of the first input, so
    that the arrays of registered contrasts can be stacked. Where the job does not say, registered inputs get one.
    Inputs on one and the same grid share one object, so that they are sampled together.

    Parameters
    ----------
    own
        The grids of the inputs.
    registered
        Whether the inputs were brought together by a registration; None for what the job wants.
    """
    as_dicom = [is_dicom_output(p) for p in job.outputs] or [False] * len(own)
    if like is not None:
        if any(as_dicom):
            check_orthogonal(like.affine, str(job.like))
        return [like] * len(own)
    # a tilted gantry shears the slices of a series; results at right angles are what viewers take
    own = [g.orthogonal() if d else g for g, d in zip(own, as_dicom)]
    finest = min(min(g.spacing) for g in own)
    registered = job.register if registered is None else registered
    if registered if job.common_grid is None else job.common_grid:
        shared = own[0].orthogonal() if any(as_dicom) else own[0]
        first = shared.scaled(job.scale) if job.scale else shared.with_spacing(job.spacing or finest)
        return [first] * len(own)
    grids: list[Grid] = []
    for n, grid in enumerate(own):
        twin = next(
            (m for m in range(n) if own[m].shape == grid.shape and np.array_equal(own[m].affine, grid.affine)), None
        )
        if twin is not None:
            grids.append(grids[twin])
        elif job.scale:
            grids.append(grid.scaled(job.scale))
        else:
            grids.append(grid.with_spacing(job.spacing or finest))
    return grids
