"""One case of a batch, on whatever machine it lands: done already, or done now, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import Cancelled, InputError, InrsrError, as_inrsr_error
from ..image.files import sha256
from ..jobs.client import run_in_worker
from ..jobs.job import Job
from ..methods.pretrained.weights import shipped
from .manifest import Case

DONE, FAILED, FAULTY = "done", "failed", "input"
"""States: results are there; failed for another reason; failed for what it was given."""
POLL_SECONDS = 0.25


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


def run_case(case: Case, stop_file: str = "", limit_seconds: float | None = None) -> Outcome:
    """Do a case, unless what is there was made by the same job, inputs and weights. Raises Cancelled, nothing else.

    Parameters
    ----------
    stop_file
        A file that, once it is there, cancels the case.
    limit_seconds
        A case that takes longer fails.
    """
    if stop_file and Path(stop_file).exists():
        raise Cancelled()
    if case.job is None:
        return Outcome(case.name, FAULTY, case.fault, InputError.exit_code)
    there = finished(case.name, case.job)
    if there is not None:
        return there
    started = time.monotonic()
    stop, over = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(POLL_SECONDS):
            late = limit_seconds is not None and time.monotonic() - started > limit_seconds
            if late or (stop_file and Path(stop_file).exists()):
                stop.set()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    warnings: list[str] = []

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "warning":
            warnings.append(str(event["message"]))

    folders = {Path(path).parent for path in (str(case.job.report), *case.job.outputs)}
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        report = run_in_worker(case.job, hear, stop)
    except Cancelled:
        if stop_file and Path(stop_file).exists():
            raise
        taken = time.monotonic() - started
        if limit_seconds is not None and taken > limit_seconds:
            reason = f"it took longer than {limit_seconds:g} s"
            return Outcome(case.name, FAILED, reason, Cancelled.exit_code, taken, warnings=warnings)
        raise
    except Exception as error:
        told: InrsrError = as_inrsr_error(error)
        state = FAULTY if told.exit_code == 2 else FAILED
        taken = time.monotonic() - started
        return Outcome(case.name, state, str(told), told.exit_code, taken, warnings=warnings)
    finally:
        for folder in folders:
            with contextlib.suppress(OSError):
                folder.rmdir()  # where nothing came of it
        over.set()
        watcher.join()
    return replace(outcome_of(case.name, report), warnings=warnings)


def finished(name: str, job: Job) -> Outcome | None:
    """The outcome of results that are there and were made by the same job from the same files; else None."""
    try:
        report = json.loads(Path(str(job.report)).read_text("utf-8"))
        made = {k: v for k, v in report["job"].items() if k not in ("run_id", "threads", "max_seconds")}
        wanted = {k: v for k, v in job.to_dict().items() if k in made}
        if made != wanted or not all(Path(p).is_file() for p in job.outputs):
            return None
        made_at = Path(str(job.report)).stat().st_mtime
        others = [*job.label_files(), *(p for p in (job.mask, job.like) if p)]
        if any(Path(p).stat().st_mtime > made_at for p in others):  # the report holds no checksums of these
            return None
        if [i["sha256"] for i in report["inputs"]] != [sha256(p) for p in job.inputs]:
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
