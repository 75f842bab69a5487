"""The main flow: volumes → fit → sample → files."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import __version__
from .device import usable_cores
from .errors import InputError, MissingError, OutOfMemory
from .forward_model import SliceProfile
from .grid import Grid
from .job import Job
from .memory import available_memory, return_freed
from .methods import METHODS, FitContext, get_method, load_representation
from .metrics import consistency, kspace_consistency
from .progress import Event, Progress
from .representation import Representation
from .staging import Staging
from .volume import Volume
from .volume_io import check_writable_format, output_dtype, read, sha256, write, write_probabilities

# float32 results, their copy while writing, and the scratch of the consistency check
BYTES_PER_RESULT_VOXEL = 16
LOW_CONSISTENCY_DB = 30.0


def fit(
    method: str,
    volumes: Sequence[Volume],
    *,
    preset: str = "",
    settings: dict[str, Any] | None = None,
    mask: Volume | None = None,
    labels: Volume | Sequence[Volume] | None = None,
    finest_spacing: float | None = None,
    slice_profile: str = "auto",
    register: bool = False,
    device: str = "auto",
    seed: int = 0,
    max_seconds: float | None = None,
    progress: Progress | Callable[[Event], object] | None = None,
) -> Representation:
    """Fit a method to volumes of one patient.

    Parameters
    ----------
    method
        A name in :data:`methods.METHODS`.
    volumes
        One for each contrast, each on its own grid.
    preset, settings
        The method's preset (its first one if empty) and what differs from it.
    mask
        The fit uses voxels where it is above 0; None for the foreground.
    labels
        For methods that a segmentation guides: a label map, or several probability maps; None lets
        the method find tissue classes.
    finest_spacing
        The finest spacing (mm) that the function will be sampled at, if it is known: along axes that are
        coarser, voxels average the function.
    slice_profile
        ``none``, ``boxcar``, ``gaussian``, or ``auto``: ``none`` in preset ``paper``, else decided
        from the inputs.
    register
        Whether to register the volumes rigidly to the first one.
    progress
        Called with each event.

    Returns
    -------
    The continuous function; its `provenance` tells how it was made.
    """
    chosen = get_method(method)
    chosen.check_inputs(len(volumes))
    values = chosen.settings(preset, settings)
    if not isinstance(progress, Progress):
        progress = Progress(progress)
    device = resolve_device(device) if chosen.needs_torch else "cpu"
    volumes = list(volumes)
    if register and len(volumes) > 1:
        from .registration import register_rigidly

        progress.stage("register")
        volumes = register_rigidly(volumes, progress)
    preset = preset or next(iter(chosen.presets))
    if slice_profile == "auto" and (preset == "paper" or not chosen.needs_torch):
        slice_profile = "none"
    if chosen.min_inputs > 1:
        check_overlap(volumes)
    given = [labels] if isinstance(labels, Volume) else list(labels or [])
    prior = None
    if given:
        check_takes_labels(method)
        from .labels import make_prior

        prior = make_prior(given, volumes[0])
    from .slice_profile import choose_profiles

    profiles = choose_profiles(slice_profile, volumes, chosen.in_plane, chosen.point_samples)
    progress.stage("fit")
    context = FitContext(
        profiles,
        mask=mask,
        labels=prior,
        finest=finest_spacing,
        device=device,
        seed=seed,
        max_seconds=max_seconds,
        progress=progress,
    )
    representation = chosen.fit(volumes, values, context)
    progress.update(1.0)
    progress.close()
    representation.provenance.update(
        method=method,
        preset=preset,
        version=__version__,
        settings=dataclasses.asdict(values),
        seed=seed,
        device=device,
        slice_profile=[p.kind for p in profiles],
        registered_affines=[v.affine.tolist() for v in volumes] if register else None,
    )
    return representation


def run_job(job: Job, progress: Progress) -> dict[str, Any]:
    """Do what a job says, and return the report. Results appear together at the end, or not at all."""
    started = time.perf_counter()
    check_job(job)
    like = read(job.like) if job.like else None  # a wrong name is told before the fit
    staging = Staging(job)
    progress.stage("read")
    if job.task == "sample":
        volumes: list[Volume] = []
        representation = load_representation(job.inputs[0])
        grids = output_grids(job, [c.grid for c in representation.contrasts], like)
        if len(job.outputs) != len(grids):
            raise InputError(
                f"{len(job.outputs)} outputs for {len(grids)} contrasts",
                "Name one output for each contrast of the representation",
            )
        check_memory(grids)
    else:
        volumes = []
        for n, path in enumerate(job.inputs):
            volumes.append(read(path))
            progress.update((n + 1) / len(job.inputs))
        mask = read(job.mask) if job.mask else None
        labels = [read(p) for p in job.label_files()]
        grids = output_grids(job, [v.grid for v in volumes], like)
        check_memory(grids)
        representation = fit(
            job.method,
            volumes,
            preset=job.preset,
            settings=job.settings,
            mask=mask,
            labels=labels,
            finest_spacing=min(min(g.spacing) for g in grids),
            slice_profile=job.slice_profile,
            register=job.register,
            device=job.device,
            seed=job.seed,
            max_seconds=job.max_seconds,
            progress=progress,
        )
    made = representation.provenance
    results: list[Volume] = []
    figures: list[float | None] = []
    if job.outputs:
        if job.register:  # registration has moved the frames
            grids = output_grids(job, [c.grid for c in representation.contrasts], like)
        progress.stage("sample")
        return_freed()  # what the fit worked with
        results = representation.sample(grids, progress)
        representation.release()
        return_freed()
        figures = agreements(volumes, results, made, progress)
    if job.labels_output or job.probabilities_output:
        progress.stage("sample")
        probabilities = representation.probabilities(grids[0])
    described = [{"shape": v.shape, "spacing": v.spacing} for v in volumes] or [{}] * len(job.inputs)
    inputs = [{"path": p, "sha256": sha256(p), **told} for p, told in zip(job.inputs, described)]
    progress.stage("write")
    if job.representation:
        if job.task == "upscale":
            made["inputs"] = inputs
        representation.save(staging.path(job.representation))
    if job.labels_output:
        labels_found = representation.most_likely(probabilities, grids[0])
        write(labels_found, staging.path(job.labels_output), labels_found.dtype)
    if job.probabilities_output:
        write_probabilities(probabilities, grids[0].affine, staging.path(job.probabilities_output))
    # a large result may be copied to be written
    volumes.clear()
    del representation
    for n, (result, path) in enumerate(zip(results, job.outputs)):
        write(result, staging.path(path))
        progress.update((n + 1) / (len(results) + 1))
    progress.close()
    report = {
        "method": made["method"],
        "preset": made["preset"],
        "version": __version__,
        "seed": made["seed"],
        "device": made["device"],
        "threads": job.threads or usable_cores(),
        "parameters": made["parameters"],
        "steps": made["steps"],
        "stopped_by": made["stopped_by"],
        "settings": made["settings"],
        "slice_profile": made["slice_profile"],
        "registered_affines": made["registered_affines"],
        "seconds": {
            **{s: round(progress.seconds.get(s, 0.0), 3) for s in ("read", "register", "fit", "sample", "write")},
            "total": round(time.perf_counter() - started, 3),
        },
        "peak_memory_mb": peak_memory_mb(),
        "consistency_db": [None if f is None else round(f, 3) for f in figures],
        "weights": made.get("weights"),
        "weights_of_inputs": made.get("weights_of_inputs"),
        "inputs": inputs,
        "labels": None if made.get("labels") is None else {"values": made["labels"], "files": job.labels},
        "outputs": [
            {
                "path": p,
                "shape": r.shape,
                "spacing": r.spacing,
                "affine": r.affine.tolist(),
                "dtype": output_dtype(r).name,
            }
            for p, r in zip(job.outputs, results)
        ],
        "representation": job.representation,
        "job": job.to_dict(),
    }
    if job.report:
        staging.path(job.report).write_text(json.dumps(report, indent=1), "utf-8")
    progress.raise_if_cancelled()  # the last chance
    staging.commit()
    return report


def agreements(
    volumes: Sequence[Volume], results: Sequence[Volume], made: Mapping[str, Any], progress: Progress
) -> list[float | None]:
    """How well each result agrees with its input (dB), degraded as the provenance `made` tells; warns of low figures."""
    figures: list[float | None] = []
    for n, (volume, result) in enumerate(zip(volumes, results)):
        if made["registered_affines"]:
            volume = volume.replace(affine=np.array(made["registered_affines"][n]))
        if "kspace_inputs" in made and made["kspace_inputs"][n]:
            figure = kspace_consistency(result, volume)
        else:
            figure = consistency(result, volume, SliceProfile(made["slice_profile"][n]))
        if figure is not None and figure < LOW_CONSISTENCY_DB:
            progress.warning(
                f"{volume.name}: the result agrees with the input to {figure:.1f} dB only; compare them before use"
            )
        figures.append(figure)
        progress.update(1.0)
    return figures


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


def check_takes_labels(method: str) -> None:
    """Raise InputError unless a segmentation guides the method."""
    if not METHODS[method].takes_labels:
        able = ", ".join(name for name, m in METHODS.items() if m.takes_labels)
        raise InputError(f"method {method} uses no labels", f"Leave them out, or use {able}")


def output_grids(job: Job, own: Sequence[Grid], like: Volume | None) -> list[Grid]:
    """The grid of each result: one for all (`like`), else each in the frame of its own input.

    Inputs on one and the same grid share one object, so that they are sampled together.
    """
    if like is not None:
        return [like.grid] * len(own)
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


def check_overlap(volumes: Sequence[Volume]) -> None:
    """Raise InputError unless all volumes show something, and part of what the first one shows."""
    for volume in volumes:
        if np.ptp(volume.data) == 0:
            raise InputError(f"{volume.name} is constant ({volume.data.flat[0]:g})", "Give an image with some contrast")
    first = volumes[0]
    for volume in volumes[1:]:
        corners = [
            np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in v.grid.shape])).reshape(3, -1) for v in (first, volume)
        ]
        places = [v.grid.affine[:3, :3] @ c + v.grid.affine[:3, 3:] for v, c in zip((first, volume), corners)]
        # boxes in the frame of the first volume: apart along one of its axes means no overlap
        seen = np.linalg.inv(first.grid.affine[:3, :3]) @ (places[1] - first.grid.affine[:3, 3:])
        inside = (seen.min(axis=1) < corners[0].max(axis=1)) & (seen.max(axis=1) > corners[0].min(axis=1))
        if not inside.all():
            raise InputError(
                f"{volume.name} does not overlap {first.name}",
                "Give scans of the same region; if they are of one patient, --register or a transform may bring them together",
            )


def resolve_device(name: str) -> str:
    """The torch device that `name` (auto, cpu, cuda or mps) stands for.

    Raises
    ------
    MissingError
        If torch or the device is not there.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingError(f"PyTorch cannot be imported: {error}", "Install it: pip install torch") from error
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return "cuda" if there["cuda"] else "cpu"
    if not there[name]:
        raise MissingError(f"device {name} is not available here", "Use --device cpu, or auto")
    return name


def check_memory(grids: Sequence[Grid]) -> None:
    """Raise OutOfMemory if results of this size cannot fit the memory that is free."""
    needed = BYTES_PER_RESULT_VOXEL * sum(g.size for g in grids)
    free = available_memory()
    if free is not None and needed > free:
        shape = " × ".join(map(str, grids[0].shape))
        raise OutOfMemory(
            f"a result of {shape} voxels needs about {needed / 2**30:.1f} GB, {free / 2**30:.1f} GB are free",
            "Choose a coarser spacing or a smaller region",
        )


def peak_memory_mb() -> float | None:
    """The most memory that this process has held, in MB; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
