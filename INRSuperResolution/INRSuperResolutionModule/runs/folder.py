"""All scans of a folder, one after the other in worker processes, from file to file: nothing enters the scene."""

import contextlib
import re
import shutil
from dataclasses import replace
from pathlib import Path

import qt
from slicer.i18n import tr as _

from ..library import addLibraryToPath
from ..scene.inputs import InputProblem
from . import messages
from .process import WorkerProcess
from .run import ENDED, State
from .transfer import makeTemporaryFolder

addLibraryToPath()


class FolderCase:
    """One file of the folder, and what becomes of it."""

    def __init__(self, case, runs: "FolderRuns") -> None:
        self.case, self.name, self.runs = case, case.name, runs
        self.state, self.secondsLeft, self.message = State.QUEUED, None, ""

    @property
    def isEnded(self) -> bool:
        return self.state in ENDED


class FolderRuns:
    """Does them as ``inrsr batch`` does, to the same files, so that either goes on where the other was stopped.

    Parameters
    ----------
    folder, output
        Where the scans are, and where a folder for each goes.
    row
        Cells of a manifest that all have: method, preset, settings, spacing.
    changes
        Further fields of all jobs.
    notify
        Called with a case whenever something about it has changed.

    Raises
    ------
    InputProblem
        If there is no scan in the folder, or another batch is at work in `output`.
    """

    def __init__(self, folder: Path, output: Path, row: dict, changes: dict, notify, makeProcess=WorkerProcess) -> None:
        from INRSuperResolutionLib.cohorts.coordinator import only_one
        from INRSuperResolutionLib.cohorts.manifest import Manifest
        from INRSuperResolutionLib.errors import InrsrError

        self._changes, self._notify, self._makeProcess = changes, notify, makeProcess
        self._active = self._process = self._place = self._error = None
        rows = [[name, path.name, *row.values()] for name, path in scansOf(folder)]
        if not rows:
            raise InputProblem(
                _("{folder} has no scan").format(folder=folder), _("Choose a folder with NIfTI, NRRD or MHA files.")
            )
        self._held = contextlib.ExitStack()
        try:
            output.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(only_one(output))
        except (OSError, InrsrError) as error:
            message = error.message if isinstance(error, InrsrError) else str(error)
            raise InputProblem(message, _("Choose another folder for the results.")) from error
        manifest = Manifest(["case", "inputs", *row], rows, folder, output, {}, False)
        self.cases = [FolderCase(case, self) for case in manifest]
        self._later()

    @property
    def isEnded(self) -> bool:
        return all(case.isEnded for case in self.cases)

    def cancel(self, case: FolderCase) -> None:
        """Stop one; the others go on."""
        if case.isEnded:
            return
        if case is self._active:
            case.message = _("Cancelled.")
            self._process.cancel()
        else:
            self._end(case, State.CANCELLED, _("Cancelled."))

    def shutDown(self) -> None:
        """End all at once, and leave no files."""
        for case in self.cases:
            if not case.isEnded and case is not self._active:
                self._end(case, State.CANCELLED, _("Cancelled."))
        if self._process is not None:
            self._active.message = _("Cancelled.")
            self._process.kill()
            self._process.waitForFinished(2000)
        self._clear()
        self._held.close()

    def _later(self) -> None:
        qt.QTimer.singleShot(0, self._startNext)

    def _startNext(self) -> None:
        from INRSuperResolutionLib.cohorts.case import finished

        case = next((c for c in self.cases if c.state is State.QUEUED), None)
        if self._active is not None:
            return
        if case is None:
            self._held.close()
            return
        job = replace(case.case.job, **self._changes) if case.case.job is not None else None
        if job is None:
            self._end(case, State.FAILED, case.case.fault)
        elif finished(case.name, job, by_time=True) is not None:
            self._end(case, State.DONE, _("There already."))
        else:
            self._start(case, job)
            return
        self._later()

    def _start(self, case: FolderCase, job) -> None:
        self._active, self._error = case, None
        self._job, self._place = job, makeTemporaryFolder()
        for path in job.results():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        job.write(self._place / "job.json")
        case.state = State.WORKING
        self._process = self._makeProcess(self._onEvent, lambda _line: None, self._onFinished)
        self._process.start(str(self._place / "job.json"))
        self._notify(case)

    def _onEvent(self, event: dict) -> None:
        if event["event"] == "progress":
            self._active.secondsLeft = event.get("seconds_left")
            self._notify(self._active)
        elif event["event"] == "error":
            self._error = event

    def _onFinished(self, code: int | None) -> None:
        from INRSuperResolutionLib.jobs.staging import clear_staging

        case, self._active, self._process = self._active, None, None
        clear_staging(self._job)
        self._clear()
        if code == 0:
            self._end(case, State.DONE, _("Done."))
        else:
            with contextlib.suppress(OSError):
                Path(self._job.report).parent.rmdir()  # where nothing came of it
            told = " ".join(messages.ofDeath(code)) if self._error is None else self._error["message"]
            isCancelled = bool(case.message)
            self._end(case, State.CANCELLED if isCancelled else State.FAILED, case.message or told)
        self._later()

    def _end(self, case: FolderCase, state: State, message: str) -> None:
        case.state, case.message, case.secondsLeft = state, message, None
        self._notify(case)

    def _clear(self) -> None:
        if self._place is not None:
            shutil.rmtree(self._place, ignore_errors=True)
            self._place = None


def scansOf(folder: Path) -> list[tuple[str, Path]]:
    """The scans of a folder in the order of their names, each with a name of its own that a folder may have."""
    from INRSuperResolutionLib.cohorts.manifest import ENDINGS

    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.is_file() and p.name.lower().endswith(ENDINGS)):
        ending = next(e for e in ENDINGS if path.name.lower().endswith(e))
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", path.name[: -len(ending)]).lstrip("._-")[:90] or "scan"
        name, n = stem, 1
        while name.lower() in {k.lower() for k in found}:
            n += 1
            name = f"{stem}-{n}"
        found[name] = path
    return list(found.items())
