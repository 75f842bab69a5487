"""A result that is there already → a derived DICOM series."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..image.files import check_dicom_output, read, write_dicom
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
    volume = read(job.inputs[0])
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
