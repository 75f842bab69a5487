"""How many cases fit on this machine at a time."""

from __future__ import annotations

from collections.abc import Sequence

from ..device import usable_cores
from ..errors import InrsrError
from ..jobs.job import Job
from ..memory import available_memory
from .manifest import Case
from .plan import LOOKED_AT, foreseen


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
        return foreseen(job, on_gpu=False)[0].memory_bytes
    except (InrsrError, OSError):
        return 0
