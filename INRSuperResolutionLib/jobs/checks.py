"""What can be seen to be wrong with a job before any work."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError, OutOfMemory
from ..fitting import check_takes_labels
from ..image.files import check_writable_format
from ..image.grid import Grid
from ..memory import BYTES_PER_RESULT_VOXEL, available_memory
from ..methods import get_method
from .estimate import estimate
from .job import Job

# of what is foreseen of a method, which may be too much
SURE_PART = 0.75
MANY_VOXELS = 10**6


def check_job(job: Job) -> None:
    """Raise InputError for what can be seen to be wrong before any work."""
    for path in [*job.outputs, *([job.labels_output] if job.labels_output else [])]:
        check_writable_format(path)
    if job.probabilities_output and not job.probabilities_output.endswith((".nii", ".nii.gz")):
        raise InputError(f"{job.probabilities_output}: probabilities are written as 4D NIfTI", "End it in .nii.gz")
    if job.representation and not job.representation.endswith(".inr"):
        raise InputError(f"{job.representation}: a representation file ends in .inr", "Rename it")
    if job.task == "sample":
        if len(job.inputs) != 1:
            raise InputError(f"{len(job.inputs)} representations", "Sample one at a time")
        return
    method = get_method(job.method)
    method.check_inputs(len(job.inputs))
    settings = method.settings(job.preset, job.settings)
    if job.labels or job.labels_output or job.probabilities_output:
        check_takes_labels(job.method)
    if (job.labels_output or job.probabilities_output) and not settings.semantics:
        raise InputError("without semantics there is no segmentation to write", "Leave out --set semantics=false")


def check_memory(grids: Sequence[Grid], job: Job | None = None, inputs: Sequence[Grid] = ()) -> None:
    """Raise OutOfMemory if results of this size cannot fit the memory that is free.

    Parameters
    ----------
    job, inputs
        If they are given, what the job's method needs for inputs on these grids counts as well.
    """
    needed = BYTES_PER_RESULT_VOXEL * sum(g.size for g in grids)
    if job is not None and job.method:
        settings = get_method(job.method).settings(job.preset, job.settings)
        needed = max(needed, int(SURE_PART * estimate(job.method, settings, inputs, grids).memory_bytes))
    free = available_memory()
    if free is not None and needed > free:
        shape = " × ".join(f"{n:.3g}" if n > MANY_VOXELS else str(n) for n in grids[0].shape)
        with_method = f" with {job.method}" if job is not None and job.method else ""
        told = f"{needed / 2**30:.1f}" if needed < MANY_VOXELS * 2**30 else f"{needed / 2**30:.1g}"
        raise OutOfMemory(
            f"a result of {shape} voxels{with_method} needs about {told} GB, {free / 2**30:.1f} GB are free",
            "Choose a coarser spacing or a smaller region",
        )
