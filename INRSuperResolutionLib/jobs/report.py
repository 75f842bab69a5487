"""The report of a run: what was done, with what, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from .. import __version__
from ..device import usable_cores
from ..image.files import output_dtype, sha256
from ..image.volume import Volume
from ..json_text import json_text
from ..memory import peak_memory_mb
from ..progress import Progress
from ..representation import Representation
from .job import Job
from .staging import Staging

STAGES = ("read", "register", "fit", "sample", "write")


def describe_inputs(job: Job, volumes: Sequence[Volume]) -> list[dict[str, Any]]:
    """Path, checksum, shape and spacing of each input."""
    described = [{"shape": v.shape, "spacing": v.spacing} for v in volumes] or [{}] * len(job.inputs)
    return [{"path": p, "sha256": sha256(p), **told} for p, told in zip(job.inputs, described)]


def describe(
    job: Job,
    representation: Representation,
    results: Sequence[Volume],
    figures: Sequence[float | None],
    inputs: list[dict[str, Any]],
) -> dict[str, Any]:
    """The report but for times and memory, which are known at the very end; JSON-ready."""
    made = representation.provenance
    return {
        "method": made["method"],
        "choice": made.get("choice"),
        "members": made.get("members"),
        "left_out": made.get("left_out"),
        "preset": made["preset"],
        "version": __version__,
        "mark": representation.mark,
        "seed": made["seed"],
        "device": made["device"],
        "threads": job.threads or usable_cores(),
        "parameters": made["parameters"],
        "steps": made["steps"],
        "stopped_by": made["stopped_by"],
        "settings": made["settings"],
        "slice_profile": made["slice_profile"],
        "slices": made.get("slices"),
        "registered_affines": made["registered_affines"],
        "seconds": {},
        "peak_memory_mb": None,
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


def write_report(
    report: dict[str, Any], job: Job, staging: Staging, progress: Progress, started: float
) -> dict[str, Any]:
    """Complete the report with times (s) and memory, and write it where the job wants it."""
    report["seconds"] = {
        **{s: round(progress.seconds.get(s, 0.0), 3) for s in STAGES},
        "total": round(time.perf_counter() - started, 3),
    }
    report["peak_memory_mb"] = peak_memory_mb()
    if job.report:
        staging.path(job.report).write_text(json_text(report, indent=1), "utf-8")
    return report
