"""Where the results of a job lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..image.grid import Grid
from ..image.volume import Volume
from .job import Job


def output_grids(job: Job, own: Sequence[Grid], like: Volume | None, registered: bool | None = None) -> list[Grid]:
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
    if like is not None:
        return [like.grid] * len(own)
    finest = min(min(g.spacing) for g in own)
    registered = job.register if registered is None else registered
    if registered if job.common_grid is None else job.common_grid:
        first = own[0].scaled(job.scale) if job.scale else own[0].with_spacing(job.spacing or finest)
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
