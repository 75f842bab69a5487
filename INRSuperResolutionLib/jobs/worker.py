"""The worker process: ``python -m INRSuperResolutionLib.worker job.json``.

Writes events as JSON lines on stdout; everything else that libraries print goes to stderr. Stops
within two seconds of a line ``cancel`` on stdin, of SIGTERM or SIGINT, or when stdin is a pipe and
closes, which is how it learns that who started it has died. Exit codes as of the command line.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, TextIO

from ..errors import Cancelled, InrsrError, as_inrsr_error
from ..json_text import json_text
from ..progress import Progress
from .job import Job
from .staging import clear_own_staging, committed, committing
from .streams import open_standard_streams

# how long a run may take to notice a cancel by itself, before the process is ended under it
PATIENCE_SECONDS = 1.0


class CancelSignal:
    """Set by stdin, a signal or the parent's death; ends the process if the run does not notice."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def set(self, *_: object) -> None:
        self._event.set()

    def watch(self, stdin: TextIO, end_now: Any) -> None:
        """Listen on `stdin`, and call `end_now` when the run outlives a cancel by `PATIENCE_SECONDS`."""
        threading.Thread(target=self._listen, args=(stdin,), daemon=True).start()
        threading.Thread(target=self._end_late_run, args=(end_now,), daemon=True).start()

    def _listen(self, stdin: TextIO) -> None:
        mode = os.fstat(stdin.fileno()).st_mode
        # read the descriptor itself: a thread inside a buffered reader would block Python's own exit
        held = b""
        while block := os.read(stdin.fileno(), 4096):
            held += block
            *lines, held = held.split(b"\n")
            if any(line.strip() == b"cancel" for line in lines):
                return self.set()
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            self.set()

    def _end_late_run(self, end_now: Any) -> None:
        self._event.wait()
        threading.Event().wait(PATIENCE_SECONDS)
        end_now()


def work(job_path: str, emit: Any, cancel: CancelSignal, end_late: Any) -> int:
    """Run the job file; returns the exit code."""
    try:
        job = Job.read(job_path)
        end_late()
        from .run import run_job

        previews = Path(job.preview_folder) if job.preview_folder else None
        progress = Progress(emit, lambda: cancel.is_set, previews)
    except BaseException as error:
        return fail(error, emit, cancel)
    try:
        report = run_job(job, progress)
    except BaseException as error:
        clear_own_staging()
        return fail(error, emit, cancel)
    emit({"event": "result", "report": report})
    return 0


def fail(error: BaseException, emit: Any, cancel: CancelSignal) -> int:
    """Tell what ended the run, and return its exit code; the traceback of our own faults goes to the log."""
    told = Cancelled() if cancel.is_set else as_inrsr_error(error)
    if told.exit_code == 1:
        traceback.print_exc()
    return tell(told, emit)


def tell(error: InrsrError, emit: Any) -> int:
    """Emit an error event and return its exit code."""
    emit(
        {
            "event": "error",
            "code": error.code,
            "exit_code": error.exit_code,
            "message": error.message,
            "advice": error.advice,
        }
    )
    return error.exit_code


def main(argv: list[str] | None = None) -> int:
    """Entry point; see the module."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1:
        print("usage: python -m INRSuperResolutionLib.worker job.json", file=sys.stderr)
        return 2
    cancel = CancelSignal()
    signal.signal(signal.SIGTERM, cancel.set)
    signal.signal(signal.SIGINT, cancel.set)
    open_standard_streams()
    # events keep the real stdout; whatever else prints there, C++ libraries included, goes to stderr
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    lock = threading.Lock()

    def emit(event: dict[str, object]) -> None:
        # whoever started the worker may have gone: then the closed stdin ends the run
        with lock, contextlib.suppress(BrokenPipeError):
            events.write(json_text(event) + "\n")
            events.flush()

    def end_late() -> None:
        def end_now() -> None:
            # what is being put in place will be there as a whole; then the run ends by itself
            if not committing.acquire(blocking=False) or committed.is_set():
                return
            clear_own_staging()
            try:
                tell(Cancelled(), emit)
            finally:
                os._exit(Cancelled.exit_code)

        cancel.watch(sys.stdin, end_now)

    code = work(arguments[0], emit, cancel, end_late)
    # not sys.exit: a library's thread must not hold the process back once everything is written
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
