"""The main flow of a job: read → fit → sample → check → write. Results appear together at the end, or not at all."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..device import resolve_device
from ..errors import InputError, InrsrError, tells_of_memory
from ..evaluation.agreement import agreements, spline_through_profile
from ..fitting import fit, resolve_method
from ..image.files import read, read_grid, write, write_dicom, write_probabilities
from ..image.grid import Grid
from ..image.intensity import foreground
from ..image.itk import write_rigid
from ..image.mark import AI
from ..image.volume import Volume
from ..memory import return_freed
from ..methods import get_method, load_representation
from ..progress import Progress
from ..representation import Representation
from .checks import check_finite, check_job, check_memory, check_within_reach
from .derive import run_derive
from .estimate import SECONDS_PER_WRITTEN_VOXEL, Estimate, estimate
from .grids import output_grids
from .job import Job, is_dicom_output
from .report import describe, describe_inputs, write_report
from .staging import Staging
from .time_limit import limit_run, seconds_for_fit


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
    maps: dict[str, Volume] = field(default_factory=dict)
    """What is to be believed of the results, by the file that it is written to."""


def run_job(job: Job, progress: Progress) -> dict[str, Any]:
    """Do what a job says, and return the report."""
    if job.task == "derive":
        return run_derive(job, progress)
    started = time.perf_counter()
    limit_run(job, started, progress)
    check_job(job)
    like = read_grid(job.like) if job.like else None  # a wrong name is told before the fit
    staging = Staging(job)
    progress.stage("read")
    found = open_saved(job, like, progress) if job.task == "sample" else fit_inputs(job, like, progress, started)
    sample(found, job, like, progress)
    figures = agreements(found.volumes, found.results, found.representation.provenance, progress)
    draw_maps(found, job, progress)
    inputs = describe_inputs(job, found.volumes)
    progress.limit(None)  # what is made is written
    progress.stage("write")
    report = describe(job, found.representation, found.results, figures, inputs)
    write_function(found, job, staging, inputs)
    for path, volume in found.maps.items():
        write(volume, staging.path(path), np.float32)
    results, method = found.results, found.representation.provenance["method"]
    del found  # a large result may be copied to be written
    write_results(results, method, job, staging, progress)
    progress.close()
    report = write_report(report, job, staging, progress, started)
    progress.raise_if_cancelled()  # the last chance
    staging.commit()
    return report


def open_saved(job: Job, like: Grid | None, progress: Progress) -> Found:
    """The representation of a file, to be sampled again."""
    representation = load_representation(job.inputs[0])
    registered = representation.provenance.get("registered_affines") is not None
    grids = output_grids(job, [c.grid for c in representation.contrasts], like, registered)
    if len(job.outputs) != len(grids):
        raise InputError(
            f"{len(job.outputs)} outputs for {len(grids)} contrasts",
            "Name one output for each contrast of the representation",
        )
    check_memory(grids)
    try_out(representation, job.inputs[0])
    progress.expect({"write": SECONDS_PER_WRITTEN_VOXEL * sum(g.size for g in grids)})
    return Found(representation, grids)


def try_out(representation: Representation, path: str) -> None:
    """Raise InputError unless the function of a file gives a number at a point of each contrast."""
    points = []
    for contrast in representation.contrasts:
        i, j, k = (slice(n // 2, n // 2 + 1) for n in contrast.shape)
        points.append(contrast.grid.crop((i, j, k)))
    try:
        values = representation.sample(points)
    except InrsrError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        if tells_of_memory(str(error)):
            raise
        raise InputError(
            f"{path} cannot be sampled: {type(error).__name__}: {error}", "It is damaged: make it again"
        ) from error
    if not all(np.isfinite(v.data).all() for v in values):
        raise InputError(f"{path} gives values that are no numbers", "It is damaged: make it again")


def fit_inputs(job: Job, like: Grid | None, progress: Progress, started: float) -> Found:
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
        if volume.mark.startswith(AI):
            progress.warning(f"{volume.name} is itself a result ({volume.mark}): what it guessed is taken as measured")
    grids = output_grids(job, [v.grid for v in volumes], like)
    check_memory(grids)  # before what takes longer
    foreseen = foresee(job, volumes, grids, progress)
    check_memory(grids, job.method, foreseen.memory_bytes)
    representation = fit(
        job.method,
        volumes,
        preset=job.preset,
        settings=job.settings,
        mask=mask,
        labels=labels if job.is_guided else None,
        finest_spacing=min(min(g.spacing) for g in grids),
        slice_profile=job.slice_profile,
        slice_thickness=job.slice_thickness,
        grids=grids,
        register=job.register,
        device=job.device,
        seed=job.seed,
        max_seconds=seconds_for_fit(job, foreseen, started, progress),
        progress=progress,
    )
    if job.register:  # registration has moved the frames
        grids = output_grids(job, [c.grid for c in representation.contrasts], like)
    return Found(representation, grids, volumes)


def foresee(job: Job, volumes: list[Volume], grids: list[Grid], progress: Progress) -> Estimate:
    """Tell how long the run will take and how much memory it needs."""
    name, _ = resolve_method(job.method, volumes, grids, job.is_guided)
    method = get_method(name)
    on_gpu = method.needs_torch and resolve_device(job.device) != "cpu"
    few = [v.data[::2, ::2, ::2] for v in volumes]  # tells it as well, and sooner
    inside = sum(np.count_nonzero(foreground(d)) for d in few) / sum(d.size for d in few)
    needed = estimate(
        name,
        method.settings(job.preset, job.settings),
        [Grid(v.shape, v.affine) for v in volumes],
        grids,
        on_gpu,
        job.max_seconds,
        job.threads,
        inside,
    )
    progress.expect(needed.stages)
    progress.estimate(needed.seconds, needed.memory_bytes)
    return needed


def sample(found: Found, job: Job, like: Grid | None, progress: Progress) -> None:
    """Draw the results, and the class probabilities, where they are wanted."""
    progress.stage("sample")
    return_freed()  # what the fit worked with
    if job.outputs:
        found.results = found.representation.sample(found.grids, progress)
        for result in found.results:
            if not np.isfinite(result.data).all():
                raise InputError(
                    f"the result for {result.name} holds values that are no numbers",
                    "The settings may let the fit diverge, or the intensities be too large or small for float32",
                )
        if not job.uncertainty:
            found.representation.release()
        return_freed()
    if job.labels_output or job.probabilities_output:
        found.probabilities = found.representation.probabilities(found.grids[0])
    check_finite(found.results, found.probabilities)
    check_within_reach(found.results, found.volumes)


def draw_maps(found: Found, job: Job, progress: Progress) -> None:
    """What the method added to the spline, and how far off each voxel may be."""
    for n, result in enumerate(found.results if job.added or job.uncertainty else []):
        progress.raise_if_cancelled()
        made = found.representation.provenance
        spline = spline_through_profile(found.volumes[n], made, n, found.grids[n])
        if job.added:
            found.maps[job.added[n]] = result.replace(data=result.data - spline.data)
        if job.uncertainty:
            from ..evaluation.uncertainty import half_width  # PyTorch, which interpolation does without

            found.maps[job.uncertainty[n]] = half_width(
                found.representation, found.volumes[n], n, result, spline, job.seed, progress
            )
    found.representation.release()


def write_function(found: Found, job: Job, staging: Staging, inputs: list[dict[str, Any]]) -> None:
    """Write aside what the fit itself gives: the representation, transforms, labels, probabilities."""
    representation, grid = found.representation, found.grids[0]
    if job.representation:
        if job.task == "upscale":
            representation.provenance["inputs"] = inputs
        representation.save(staging.path(job.representation))
    placed = representation.provenance.get("registered_affines")
    for path, volume, affine in zip(job.transform_files(), found.volumes[1:], (placed or [])[1:]):
        write_rigid(volume.affine @ np.linalg.inv(affine), staging.path(path))
    if found.probabilities is not None and job.labels_output:
        labels = representation.most_likely(found.probabilities, grid)
        write(labels, staging.path(job.labels_output), labels.dtype)
    if found.probabilities is not None and job.probabilities_output:
        target = staging.path(job.probabilities_output)
        write_probabilities(found.probabilities, grid.affine, target, representation.mark)


def write_results(results: list[Volume], method: str, job: Job, staging: Staging, progress: Progress) -> None:
    """Write the volumes aside."""
    for n, (result, path) in enumerate(zip(results, job.outputs)):
        if is_dicom_output(path):
            write_dicom(result, staging.path(path), job.inputs[n], method)
        else:
            write(result, staging.path(path))
        progress.update((n + 1) / (len(results) + 1))
