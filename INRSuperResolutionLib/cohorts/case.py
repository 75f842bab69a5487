"""One case of a batch, on whatever machine it lands: done already, or done now, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import Cancelled, InputError, InrsrError, as_inrsr_error
from ..image.files import sha256
from ..jobs.client import run_in_worker
from ..jobs.job import Job
from ..jobs.scratch import lock
from ..methods.pretrained.weights import shipped
from .manifest import Case

DONE, FAILED, FAULTY = "done", "failed", "input"
"""States: results are there; failed for another reason; failed for what it was given."""
POLL_SECONDS = 0.1
# a run that imports, say, does not notice a cancel at once, and has nothing to lose yet
KILL_AFTER = 0.5
LOCK = ".inrsr-case"


@dataclass(frozen=True)
class Outcome:
    """What became of a case, JSON-ready."""

    case: str
    state: str
    reason: str = ""
    """Empty where it is done."""
    exit_code: int = 0
    """As of the command line; 0 where it is done."""
    seconds: float | None = None
    consistency_db: list[float | None] = field(default_factory=list)
    method: str = ""
    why: str = ""
    """Why ``auto`` took it."""
    outputs: list[str] = field(default_factory=list)
    again: bool = False
    """Whether it was there already."""
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As a dict."""
        return asdict(self)


def run_case(case: Case, running: str = "", limit_seconds: float | None = None) -> Outcome:
    """Do a case, unless what is there was made by the same job, inputs and weights. Raises Cancelled, nothing else.

    Parameters
    ----------
    running
        A file; the case is cancelled once it is gone.
    limit_seconds
        A case that takes longer fails.
    """
    if case.job is None:
        return Outcome(case.name, FAULTY, case.fault, InputError.exit_code)
    started = time.monotonic()
    folders = {Path(path).parent for path in (str(case.job.report), *case.job.outputs)}
    warnings: list[str] = []
    watch = Watch(running, limit_seconds)
    try:
        with watch, only_here(folders, Path(str(case.job.report)).parent, watch):
            there = finished(case.name, case.job)
            if there is not None:
                return there
            report = run_in_worker(case.job, lambda event: _hear(event, warnings), watch.stop, KILL_AFTER)
    except Exception as error:
        told: InrsrError = as_inrsr_error(error)
        if isinstance(told, Cancelled):
            if not watch.is_late:
                raise Cancelled() from None  # as small as can be, as it travels
            told = Cancelled(f"it took longer than {limit_seconds:g} s")
        state = FAULTY if told.exit_code == 2 else FAILED
        return Outcome(case.name, state, str(told), told.exit_code, time.monotonic() - started, warnings=warnings)
    return replace(outcome_of(case.name, report), warnings=warnings)


def _hear(event: dict[str, Any], warnings: list[str]) -> None:
    if event["event"] == "warning":
        warnings.append(str(event["message"]))


class Watch:
    """Sets :attr:`stop` when a case takes too long, or nobody wants it any more, for the time of a ``with`` block."""

    def __init__(self, running: str, limit_seconds: float | None) -> None:
        self.stop, self.is_late = threading.Event(), False
        self._running, self._over = running, threading.Event()
        self._until = None if limit_seconds is None else time.monotonic() + limit_seconds
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self.stop.is_set() and not self._over.wait(POLL_SECONDS):
            self._look()

    def _look(self) -> None:
        self.is_late = self._until is not None and time.monotonic() > self._until
        if self.is_late or (self._running and not Path(self._running).exists()):
            self.stop.set()


@contextlib.contextmanager
def only_here(folders: set[Path], kept: Path, watch: Watch) -> Iterator[None]:
    """Make the folders of a case, keep others out of the one that its report goes to, and leave none of them empty.

    Another one is that of a killed coordinator, and about to end; where a file system knows no locks, it is not waited for.
    """
    file = kept / LOCK
    try:
        while not watch.stop.is_set():
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError), file.open("a+b") as opened:  # gone again, with another one
                if lock(opened) is not False and file.exists():
                    try:
                        yield
                    finally:
                        with contextlib.suppress(PermissionError):  # of Windows, while it is open
                            file.unlink(missing_ok=True)
                    return
            watch.stop.wait(POLL_SECONDS)
        raise Cancelled()
    finally:
        if sys.platform == "win32":
            with contextlib.suppress(OSError):  # another one's is open
                file.unlink()
        for folder in folders:
            with contextlib.suppress(OSError):
                folder.rmdir()  # where nothing came of it


def finished(name: str, job: Job, by_time: bool = False) -> Outcome | None:
    """The outcome of results that are there and were made by the same job from the same files; else None.

    `by_time`: inputs that are older than the report are taken as the same, without a look at their checksums.
    """
    try:
        report = json.loads(Path(str(job.report)).read_text("utf-8"))
        made = {k: v for k, v in report["job"].items() if k not in ("run_id", "threads", "max_seconds")}
        wanted = {k: v for k, v in job.to_dict().items() if k in made}
        if made != wanted or not all(Path(p).is_file() for p in job.results()):
            return None
        made_at = Path(str(job.report)).stat().st_mtime
        others = [*(job.inputs if by_time else []), *job.label_files(), *(p for p in (job.mask, job.like) if p)]
        if any(Path(p).stat().st_mtime > made_at for p in others):  # the report holds no checksums of these
            return None
        if not by_time and [i["sha256"] for i in report["inputs"]] != [sha256(p) for p in job.inputs]:
            return None
        if not all(w["sha256"] == shipped().get(w["name"], w["sha256"]) for w in _weights(report)):
            return None
        return replace(outcome_of(name, report), again=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _weights(report: dict[str, Any]) -> list[dict[str, Any]]:
    told = [report.get("weights"), *(report.get("weights_of_inputs") or [])]
    told += [member.get("weights") for member in report.get("members") or []]
    return [w for w in told if isinstance(w, dict) and "name" in w]


def outcome_of(name: str, report: dict[str, Any]) -> Outcome:
    """What a report tells."""
    return Outcome(
        name,
        DONE,
        seconds=report["seconds"]["total"],
        consistency_db=report["consistency_db"],
        method=report["method"],
        why=(report.get("choice") or {}).get("why", ""),
        outputs=[o["path"] for o in report["outputs"]],
    )
