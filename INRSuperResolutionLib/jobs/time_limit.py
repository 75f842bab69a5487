"""The time limit of a run: the fit gets what the rest leaves, and what cannot end in time is told as soon as it is seen."""

from __future__ import annotations

import time

from ..errors import InputError
from ..progress import Progress
from .estimate import Estimate
from .job import Job

# of the time limit, which the fit gets in any case
LEAST_PART = 0.2
# what is foreseen is a guess: sampling is given so much more time, and a run is refused only if this part is too long
SPARE, SURE_PART = 1.3, 0.5
ADVICE = "Give more time, a coarser spacing, a smaller region, or a faster method (cubic)"


def limit_run(job: Job, started: float, progress: Progress) -> None:
    """Have a run end with InputError, and without results, if it has not begun to write them in time.

    Checked at each update of the progress; `started` as of ``time.perf_counter``.
    """
    if job.max_seconds is None:
        return
    told = f"the results are not ready within the time limit of {job.max_seconds:g} s"
    progress.limit(started + job.max_seconds, InputError(told, ADVICE))


def seconds_for_fit(job: Job, foreseen: Estimate, started: float, progress: Progress) -> float | None:
    """What `max_seconds` leaves for the fit, when reading, sampling and writing are counted; None without it.

    Raises
    ------
    InputError
        If all that no limit makes shorter takes longer than the limit, for sure.
    """
    if job.max_seconds is None:
        return None
    rest = foreseen.fixed + sum(s for stage, s in foreseen.stages.items() if stage != "fit")
    spent = time.perf_counter() - started
    if spent + SURE_PART * rest > job.max_seconds:
        raise InputError(
            f"the time limit of {job.max_seconds:g} s is too short: without any fit, the run takes about {spent + rest:.0f} s",
            ADVICE,
        )
    left, least = job.max_seconds - spent - SPARE * rest, LEAST_PART * job.max_seconds
    if left < least and foreseen.stages.get("fit"):
        progress.warning(
            f"all but the fit takes about {spent + rest:.0f} s; the fit gets {least:.0f} s of the {job.max_seconds:g} s,"
            " and the run may end without a result"
        )
    return max(left, least)
