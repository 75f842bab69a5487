"""Atomic results: everything is written aside first, and put in place together at the end."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import IO

from ..errors import InputError
from .exchange import put_folder
from .job import Job, is_dicom_output
from .scratch import drop_scratch, make_scratch, sweep

PREFIX = ".inrsr-"
# all folders of this process, so that a watchdog can remove them whatever the run is doing
_made: dict[Path, IO[bytes]] = {}
# held while results are put in place: no process ends in the middle of it
committing = threading.Lock()
# set once they are: from then on the run has succeeded
committed = threading.Event()


def staging_folders(job: Job) -> list[Path]:
    """The temporary folders of the runs that have the job's id, beside its results; none for a job without an id."""
    if not job.run_id:
        return []
    found: list[Path] = []
    for parent in _parents(job):
        found += (p for p in parent.glob(f"{PREFIX}{job.run_id}-*") if p.is_dir() and not p.is_symlink())
    return found


def clear_staging(job: Job) -> None:
    """Remove what a killed run has left; its id must be its own (see :func:`client.run_in_worker`)."""
    for folder in staging_folders(job):
        shutil.rmtree(folder, ignore_errors=True)


def clear_own_staging() -> None:
    """Remove the temporary folders that this process has made."""
    for folder in list(_made):
        held = _made.pop(folder, None)
        if held is not None:
            drop_scratch(folder, held)


def _parents(job: Job) -> list[Path]:
    return list(dict.fromkeys(Path(p).absolute().parent for p in job.results()))


class Staging:
    """Temporary folders for the results of a job.

    Made before the work starts, so that a folder that cannot be written to is told of at once. Their names hold a
    token besides the job's id, so that two runs of one job file do not meet.

    Raises
    ------
    InputError
        If a folder of a result does not exist or cannot be written to.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._folders: dict[Path, Path] = {}
        for path in job.results():
            if Path(path).is_dir() and not is_dicom_output(path):
                raise InputError(f"{path} is a folder", "Name a file")
        for parent in _parents(job):
            if not parent.is_dir():
                self._clear()
                raise InputError(f"the folder {parent} does not exist", "Make it first")
            try:
                sweep(parent, PREFIX)
                folder, held = make_scratch(parent, f"{PREFIX}{job.run_id}-")
                self._folders[parent], _made[folder] = folder, held
                (folder / "probe").write_bytes(b"0")
            except OSError as error:
                self._clear()
                raise InputError(f"cannot write to {parent}: {error.strerror}", "Choose another folder") from error

    def path(self, result: str | Path) -> Path:
        """Where to write `result` for now: same name, so same format."""
        result = Path(result).absolute()
        return self._folders[result.parent] / result.name

    def commit(self) -> None:
        """Put all results in place; an existing file is replaced only by the complete new one."""
        with committing:
            try:
                for result in self._job.results():
                    if Path(result).is_dir():
                        put_folder(self.path(result), Path(result))
                    else:
                        os.replace(self.path(result), result)
                committed.set()
            except OSError as error:
                raise InputError(
                    f"cannot put {result} in place: {error.strerror}", "Close programs that use it"
                ) from error
            finally:
                self._clear()

    def _clear(self) -> None:
        for folder in self._folders.values():
            held = _made.pop(folder, None)
            if held is not None:
                drop_scratch(folder, held)
