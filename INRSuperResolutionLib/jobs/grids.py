"""Where the results of a job lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..image.files import is_dicom_output
from ..image.grid import Grid, check_orthogonal
from .job import Job


def output_grids(job: Job, own: Sequence[Grid], like: Grid | None) -> list[Grid]:
    """The grid of each result: one for all (`like`), else each in the frame of its own input.

    Inputs on one and the same grid share one object, so that they are sampled together.
    """
    as_dicom = [is_dicom_output(p) for p in job.outputs] or [False] * len(own)
    if like is not None:
        if any(as_dicom):
            check_orthogonal(like.affine, str(job.like))
        return [like] * len(own)
    # a tilted gantry shears the slices of a series; results at right angles are what viewers take
    own = [g.orthogonal() if d else g for g, d in zip(own, as_dicom)]
    finest = min(min(g.spacing) for g in own)
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
