"""How many cases fit on this machine at a time."""

from __future__ import annotations

from collections.abc import Sequence

from ..auto import AUTO, choose
from ..device import usable_cores
from ..errors import InrsrError
from ..image.files import read_grid
from ..jobs.estimate import estimate
from ..jobs.grids import output_grids
from ..jobs.job import Job
from ..memory import available_memory
from ..methods import get_method
from .manifest import Case

# cases whose headers are looked at: those of a cohort are alike
LOOKED_AT = 20


def usual_workers(cases: Sequence[Case], threads: int) -> int:
    """As many as there are cores for, and memory for the largest of the first cases; at least one."""
    cores = max(1, usable_cores() // threads)
    jobs = [case.job for case in cases[:LOOKED_AT] if case.job is not None]
    most = max((memory_of(job) for job in jobs), default=0)
    free = available_memory()
    return cores if not most or free is None else max(1, min(cores, free // most))


def memory_of(job: Job) -> int:
    """Bytes that a case is expected to need; 0 where its files do not tell."""
    try:
        own = [read_grid(path) for path in job.inputs]
        grids = output_grids(job, own, read_grid(job.like) if job.like else None)
        name = choose(own, grids[0], job.is_guided).method if job.method == AUTO else job.method
        settings = get_method(name).settings(job.preset, job.settings)
        return estimate(name, settings, own, grids, False, job.max_seconds, job.threads).memory_bytes
    except (InrsrError, OSError):
        return 0
