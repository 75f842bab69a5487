"""A result that is there already → a derived DICOM series."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..image.files import check_dicom_output, read, write_dicom
from ..image.interpolate import Sampler
from ..image.volume import Volume
from ..progress import Progress
from .job import Job, is_dicom_output
from .staging import Staging


def run_derive(job: Job, progress: Progress) -> dict[str, Any]:
    """Write the result of a job as a series of the patient and study of its DICOM files; returns the report."""
    started = time.perf_counter()
    (path,), sources = job.outputs, [Path(p) for p in job.dicom_files or []]
    if not is_dicom_output(path):
        raise InputError(f"{path} is no name for a DICOM series", "End it in .dcm")
    for source in sources:
        check_dicom_output(path, source)
    staging = Staging(job)
    progress.stage("read")
    volume = at_right_angles(read(job.inputs[0]), progress)
    progress.stage("write")
    write_dicom(volume, staging.path(path), sources, job.method)
    progress.close()
    progress.raise_if_cancelled()
    staging.commit()
    return {
        "method": job.method,
        "outputs": [{"path": path, "shape": list(volume.shape), "images": volume.shape[2]}],
        "seconds": {"total": round(time.perf_counter() - started, 3)},
    }


def at_right_angles(volume: Volume, progress: Progress) -> Volume:
    """The volume on axes at right angles, as a DICOM series needs them (tilted gantry); interpolated only if it is not."""
    grid = volume.grid.orthogonal()
    if np.array_equal(grid.affine, volume.affine):
        return volume
    progress.warning(f"the axes of {volume.name} are not at right angles: it was interpolated once more for DICOM")
    limits = float(volume.data.min()), float(volume.data.max())
    return volume.replace(data=Sampler(volume, 3)(grid).clip(*limits), affine=grid.affine)
