"""Where the results of a job lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..image.grid import Grid
from .job import Job


def output_grids(job: Job, own: Sequence[Grid], like: Grid | None) -> list[Grid]:
    """The grid of each result: one for all (`like`), else each in the frame of its own input.

    Inputs on one and the same grid share one object, so that they are sampled together.
    """
    if like is not None:
        return [like] * len(own)
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
