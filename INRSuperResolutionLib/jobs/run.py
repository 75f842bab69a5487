"""The main flow of a job: read → fit → sample → check → write. Results appear together at the end, or not at all."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import InputError
from ..evaluation.agreement import agreements
from ..fitting import fit
from ..image.files import is_dicom_output, read, read_grid, write, write_dicom, write_probabilities
from ..image.grid import Grid
from ..image.volume import Volume
from ..memory import return_freed
from ..methods import load_representation
from ..progress import Progress
from ..representation import Representation
from .checks import check_finite, check_job, check_memory
from .grids import output_grids
from .job import Job
from .report import describe, describe_inputs, write_report
from .staging import Staging


@dataclass
class Found:
    """What a run has read and made so far."""

    representation: Representation
    grids: list[Grid]
    """One for each result."""
    volumes: list[Volume] = field(default_factory=list)
    """The inputs; none when a saved representation is sampled."""
    results: list[Volume] = field(default_factory=list)
    probabilities: np.ndarray | None = None
    """Of the classes, on the first grid."""


def run_job(job: Job, progress: Progress) -> dict[str, Any]:
    """Do what a job says, and return the report."""
    started = time.perf_counter()
    check_job(job)
    like = read_grid(job.like) if job.like else None  # a wrong name is told before the fit
    staging = Staging(job)
    progress.stage("read")
    found = open_saved(job, like) if job.task == "sample" else fit_inputs(job, like, progress)
    sample(found, job, like, progress)
    figures = agreements(found.volumes, found.results, found.representation.provenance, progress)
    inputs = describe_inputs(job, found.volumes)
    progress.stage("write")
    report = describe(job, found.representation, found.results, figures, inputs)
    write_function(found, job, staging, inputs)
    results, method = found.results, found.representation.provenance["method"]
    del found  # a large result may be copied to be written
    write_results(results, method, job, staging, progress)
    progress.close()
    report = write_report(report, job, staging, progress, started)
    progress.raise_if_cancelled()  # the last chance
    staging.commit()
    return report


def open_saved(job: Job, like: Grid | None) -> Found:
    """The representation of a file, to be sampled again."""
    representation = load_representation(job.inputs[0])
    grids = output_grids(job, [c.grid for c in representation.contrasts], like)
    if len(job.outputs) != len(grids):
        raise InputError(
            f"{len(job.outputs)} outputs for {len(grids)} contrasts",
            "Name one output for each contrast of the representation",
        )
    check_memory(grids)
    return Found(representation, grids)


def fit_inputs(job: Job, like: Grid | None, progress: Progress) -> Found:
    """Read the inputs, and fit the method to them."""
    volumes = []
    for n, path in enumerate(job.inputs):
        volumes.append(read(path))
        progress.update((n + 1) / len(job.inputs))
    mask = read(job.mask) if job.mask else None
    labels = [read(p) for p in job.label_files()]
    for volume in [*volumes, *([mask] if mask else []), *labels]:
        for told in volume.warnings:
            progress.warning(told)
    grids = output_grids(job, [v.grid for v in volumes], like)
    check_memory(grids)
    representation = fit(
        job.method,
        volumes,
        preset=job.preset,
        settings=job.settings,
        mask=mask,
        labels=labels if job.is_guided else None,
        finest_spacing=min(min(g.spacing) for g in grids),
        wanted=grids[0],
        slice_profile=job.slice_profile,
        register=job.register,
        device=job.device,
        seed=job.seed,
        max_seconds=job.max_seconds,
        progress=progress,
    )
    if job.register:  # registration has moved the frames
        grids = output_grids(job, [c.grid for c in representation.contrasts], like)
    return Found(representation, grids, volumes)


def sample(found: Found, job: Job, like: Grid | None, progress: Progress) -> None:
    """Draw the results, and the class probabilities, where they are wanted."""
    progress.stage("sample")
    return_freed()  # what the fit worked with
    if job.outputs:
        found.results = found.representation.sample(found.grids, progress)
        found.representation.release()
        return_freed()
    if job.labels_output or job.probabilities_output:
        found.probabilities = found.representation.probabilities(found.grids[0])
    check_finite(found.results, found.probabilities)


def write_function(found: Found, job: Job, staging: Staging, inputs: list[dict[str, Any]]) -> None:
    """Write aside what the function itself gives: the representation, labels, probabilities."""
    representation, grid = found.representation, found.grids[0]
    if job.representation:
        if job.task == "upscale":
            representation.provenance["inputs"] = inputs
        representation.save(staging.path(job.representation))
    if found.probabilities is not None and job.labels_output:
        labels = representation.most_likely(found.probabilities, grid)
        write(labels, staging.path(job.labels_output), labels.dtype)
    if found.probabilities is not None and job.probabilities_output:
        write_probabilities(found.probabilities, grid.affine, staging.path(job.probabilities_output))


def write_results(results: list[Volume], method: str, job: Job, staging: Staging, progress: Progress) -> None:
    """Write the volumes aside."""
    for n, (result, path) in enumerate(zip(results, job.outputs)):
        if is_dicom_output(path):
            write_dicom(result, staging.path(path), job.inputs[n], method)
        else:
            write(result, staging.path(path))
        progress.update((n + 1) / (len(results) + 1))
