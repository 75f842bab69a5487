"""Atomic results: everything is written aside first, and put in place together at the end."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..errors import InputError
from .exchange import put_folder
from .job import Job, is_dicom_output


def staging_folders(job: Job) -> list[Path]:
    """The run's temporary folders, one beside the results of each folder; known from the job alone."""
    parents = dict.fromkeys(Path(p).absolute().parent for p in job.results())
    return [parent / f".inrsr-{job.run_id}" for parent in parents]


def clear_staging(job: Job) -> None:
    """Remove what an ended or killed run has left."""
    for folder in staging_folders(job):
        shutil.rmtree(folder, ignore_errors=True)


class Staging:
    """Temporary folders for the results of a job.

    Made before the work starts, so that a folder that cannot be written to is told of at once.

    Raises
    ------
    InputError
        If a folder of a result does not exist or cannot be written to.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        for path in job.results():
            if Path(path).is_dir() and not is_dicom_output(path):
                raise InputError(f"{path} is a folder", "Name a file")
        for folder in staging_folders(job):
            if not folder.parent.is_dir():
                raise InputError(f"the folder {folder.parent} does not exist", "Make it first")
            try:
                folder.mkdir()
                (folder / "probe").write_bytes(b"0")
            except OSError as error:
                clear_staging(job)
                raise InputError(
                    f"cannot write to {folder.parent}: {error.strerror}", "Choose another folder"
                ) from error

    def path(self, result: str | Path) -> Path:
        """Where to write `result` for now: same name, so same format."""
        result = Path(result).absolute()
        return result.parent / f".inrsr-{self._job.run_id}" / result.name

    def commit(self) -> None:
        """Put all results in place; an existing file is replaced only by the complete new one."""
        try:
            for result in self._job.results():
                if Path(result).is_dir():
                    put_folder(self.path(result), Path(result))
                else:
                    os.replace(self.path(result), result)
        except OSError as error:
            raise InputError(f"cannot put {result} in place: {error.strerror}", "Close programs that use it") from error
        clear_staging(self._job)
