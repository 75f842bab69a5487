"""Starts a worker, passes its events on, and cleans up behind it whatever way it ends."""

from __future__ import annotations

import collections
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import errors
from ..errors import LESS_MEMORY, Cancelled, InrsrError, OutOfMemory, as_inrsr_error, tells_of_memory
from ..progress import Event
from .job import Job
from .scratch import scratch_folder
from .staging import clear_staging

# what a cancelled worker gets before it is killed; it ends itself after 1 s
KILL_AFTER_SECONDS = 1.7
# how often it is looked whether a worker that could be stopped has ended
STOP_SECONDS = 0.25
LOG_LINES = 400
WORKER = (sys.executable, "-u", "-m", f"{__package__}.worker")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def worker_environment(threads: int | None) -> dict[str, str]:
    """The environment of a worker: this one, UTF-8, the library on the path, the number of threads."""
    # the last: what PyTorch cannot do on Apple's GPU, it does on the processor
    environment = dict(os.environ, PYTHONUTF8="1", PYTHONUNBUFFERED="1", PYTORCH_ENABLE_MPS_FALLBACK="1")
    library = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(p for p in (library, os.environ.get("PYTHONPATH")) if p)
    if threads is not None:
        environment.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    return environment


def out_of_memory_kills() -> int:
    """How many processes the Linux kernel has killed for memory since boot; 0 where it does not tell."""
    try:
        with open("/proc/vmstat", encoding="ascii") as lines:
            return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0


def run_in_worker(
    job: Job,
    on_event: Callable[[Event], object],
    stop: threading.Event | None = None,
    kill_after: float = KILL_AFTER_SECONDS,
) -> dict[str, Any]:
    """Run a job in its own process and return the report.

    SIGINT and SIGTERM cancel it.

    Parameters
    ----------
    on_event
        Called with every event but ``error``.
    stop
        Once it is set, the run is cancelled.
    kill_after
        Seconds after which a cancelled run that has not ended is killed.

    Raises
    ------
    InrsrError
        As the worker told it, with the log of the worker as the attribute `log`.
    """
    # an id of its own, so that clearing up behind it touches no other run
    job = replace(job, run_id=f"{job.run_id or 'run'}-{uuid.uuid4().hex[:12]}")
    kills = out_of_memory_kills()
    with scratch_folder() as folder:
        path = folder / "job.json"
        job.write(path)
        with _start(
            [*WORKER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=worker_environment(job.threads),
            start_new_session=True,  # a Ctrl-C of the terminal reaches the worker through this process only
        ) as process:
            cancelled = threading.Event()
            old = {}
            if threading.current_thread() is threading.main_thread():  # only there Python handles signals
                for s in (signal.SIGINT, signal.SIGTERM):
                    old[s] = signal.signal(s, lambda *_: cancel(process, cancelled, kill_after))
            if stop is not None:
                threading.Thread(target=_when_set, args=(stop, process, cancelled, kill_after), daemon=True).start()
            log: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
            reader = threading.Thread(target=lambda: log.extend(process.stderr or ()), daemon=True)
            reader.start()
            try:
                report, failure = _follow(process, on_event)
                code = process.wait()
            finally:
                process.kill()  # does nothing to one that has ended
                process.wait()
                for number, handler in old.items():
                    signal.signal(number, handler)
                clear_staging(job)
            reader.join(timeout=1)
    if failure is None and (code != 0 or report is None):
        failure = _died(code, cancelled.is_set(), out_of_memory_kills() > kills, "".join(log))
    if failure is not None:
        failure.log = "".join(log)  # type: ignore[attr-defined]
        raise failure
    assert report is not None
    return report


def _when_set(
    stop: threading.Event, process: subprocess.Popen[str], cancelled: threading.Event, kill_after: float
) -> None:
    while process.poll() is None:
        if stop.wait(STOP_SECONDS):
            cancel(process, cancelled, kill_after)
            return


def _start(command: list[str], **options: Any) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(command, **options)
    except OSError as error:
        told = as_inrsr_error(error)
        if told.exit_code == 1:
            told = InrsrError(f"the worker cannot be started: {error}", "Check that Python itself can be run")
        raise told from error


def _follow(
    process: subprocess.Popen[str], on_event: Callable[[Event], object]
) -> tuple[dict[str, Any] | None, InrsrError | None]:
    """Read events until stdout closes; the report and the error, if there were such."""
    report, failure = None, None
    for line in process.stdout or ():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # half a line of a killed worker
        if not isinstance(event, dict) or "event" not in event:
            continue
        if event["event"] == "error":
            kinds = (errors.InputError, errors.Cancelled, errors.OutOfMemory, errors.MissingError)
            kind = next((k for k in kinds if k.code == event["code"]), InrsrError)
            failure = kind(event["message"], event["advice"])
        else:
            if event["event"] == "result":
                report = event["report"]
            on_event(event)
    return report, failure


def cancel(process: subprocess.Popen[str], cancelled: threading.Event, kill_after: float = KILL_AFTER_SECONDS) -> None:
    """Ask a worker to stop, and kill it if it does not."""
    if cancelled.is_set():
        return
    cancelled.set()
    try:
        assert process.stdin is not None
        process.stdin.write("cancel\n")
        process.stdin.flush()
    except OSError:
        pass  # it has ended already
    timer = threading.Timer(kill_after, process.kill)
    timer.daemon = True
    timer.start()


def _died(code: int, was_cancelled: bool, memory_kill: bool, log: str) -> InrsrError:
    """The error for a worker that ended without telling why."""
    if was_cancelled or code in (-signal.SIGTERM, -signal.SIGINT):
        return Cancelled()
    if "MemoryError" in log or tells_of_memory(log):  # it could not even start
        return OutOfMemory("out of memory at the start of the worker", LESS_MEMORY)
    if memory_kill:
        return OutOfMemory(
            "the system killed the run because memory ran out", "Choose a coarser spacing or a smaller region"
        )
    if code < 0:
        return InrsrError(
            f"the worker was killed by signal {-code}",
            "If it was not you, memory may have run out: try a coarser spacing",
        )
    return InrsrError(f"the worker ended with code {code}", "Run again with --debug and report what it prints")


__all__ = ["cancel", "run_in_worker", "worker_environment"]
