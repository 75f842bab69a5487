"""What can be seen to be wrong with a job before any work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..auto import AUTO
from ..errors import InputError, OutOfMemory
from ..fitting import check_takes_labels, check_takes_mask
from ..image.files import check_dicom_output, check_writable_format
from ..image.grid import Grid
from ..image.volume import Volume
from ..memory import BYTES_PER_RESULT_VOXEL, available_memory
from ..methods import get_method
from .job import Job, is_dicom_output

# of what is foreseen of a method, which may be too much
SURE_PART = 0.75
MANY_VOXELS = 10**6
# of the range of an input, how far a result may go beyond it
MOST_BEYOND = 1.0


def check_job(job: Job) -> None:
    """Raise InputError for what can be seen to be wrong before any work."""
    for n, path in enumerate([*job.outputs, *([job.labels_output] if job.labels_output else [])]):
        if is_dicom_output(path) and n < len(job.outputs) and job.task == "upscale":
            check_dicom_output(path, job.inputs[n])
            for other in [*job.inputs, *job.label_files(), *(p for p in (job.mask, job.like) if p)]:
                if Path(path).resolve() in Path(other).resolve().parents:
                    raise InputError(f"{path} holds {other} and would be replaced", "Choose another output")
        else:
            check_writable_format(path)
    if job.probabilities_output and not job.probabilities_output.endswith((".nii", ".nii.gz")):
        raise InputError(f"{job.probabilities_output}: probabilities are written as 4D NIfTI", "End it in .nii.gz")
    if job.representation and not job.representation.endswith(".inr"):
        raise InputError(f"{job.representation}: a representation file ends in .inr", "Rename it")
    if job.task == "sample":
        if len(job.inputs) != 1:
            raise InputError(f"{len(job.inputs)} representations", "Sample one at a time")
        return
    if job.method == AUTO and job.settings:
        raise InputError(
            f"{', '.join(job.settings)} cannot be set while the method is chosen by itself", "Name a method"
        )
    # which method it will be is known once the inputs are read
    name = job.method if job.method != AUTO else "seco" if job.is_guided else "cubic"
    method = get_method(name)
    method.check_inputs(len(job.inputs))
    settings = method.settings(job.preset, job.settings)
    if job.is_guided:
        check_takes_labels(name)
    if job.mask and not Path(job.mask).exists():
        raise InputError(f"{job.mask} does not exist", "Check the path")
    if job.mask and job.method != AUTO:
        check_takes_mask(name)
    if (job.labels_output or job.probabilities_output) and not settings.semantics:
        raise InputError("without semantics there is no segmentation to write", "Leave out --set semantics=false")


def check_finite(results: Sequence[Volume], probabilities: np.ndarray | None = None) -> None:
    """Raise InputError if a result holds NaN or infinity: nothing of the run is to be written then."""
    named = [(r.name, r.data) for r in results]
    named += [] if probabilities is None else [("the class probabilities", probabilities)]
    for name, data in named:
        # a sum tells it without a copy; it may also overflow, so what it says is looked at again
        with np.errstate(all="ignore"):
            suspicious = not np.isfinite(data.sum(dtype=np.float64))
        if suspicious and (odd := int(data.size - np.count_nonzero(np.isfinite(data)))):
            raise InputError(
                f"the result of {name} has {odd} voxels that are NaN or infinite: the fit has diverged",
                "Leave the settings as the preset has them, or give a smaller learning rate",
            )


def check_within_reach(results: Sequence[Volume], inputs: Sequence[Volume]) -> None:
    """Raise InputError if a result goes beyond the range of its input by more than that range: no method does that in earnest."""
    for result, given in zip(results, inputs):
        low, high = float(given.data.min()), float(given.data.max())
        reach = MOST_BEYOND * (high - low or max(abs(high), 1.0))
        lowest, highest = float(result.data.min()), float(result.data.max())
        if lowest < low - reach or highest > high + reach:
            raise InputError(
                f"the result of {result.name} goes from {lowest:g} to {highest:g}, its input from {low:g} to {high:g}: the "
                "fit has diverged",
                "Leave the settings as the preset has them, or give a smaller learning rate",
            )


def check_memory(grids: Sequence[Grid], method: str = "", foreseen: int = 0) -> None:
    """Raise OutOfMemory if results of this size cannot fit the memory that is free.

    Parameters
    ----------
    method, foreseen
        The method, and the bytes that :func:`estimate.estimate` foresees for it.
    """
    needed = max(BYTES_PER_RESULT_VOXEL * sum(g.size for g in grids), int(SURE_PART * foreseen))
    free = available_memory()
    if free is not None and needed > free:
        shape = " × ".join(f"{n:.3g}" if n > MANY_VOXELS else str(n) for n in grids[0].shape)
        with_method = f" with {method}" if method else ""
        told = f"{needed / 2**30:.1f}" if needed < MANY_VOXELS * 2**30 else f"{needed / 2**30:.1g}"
        raise OutOfMemory(
            f"a result of {shape} voxels{with_method} needs about {told} GB, {free / 2**30:.1f} GB are free",
            "Choose a coarser spacing or a smaller region",
        )
