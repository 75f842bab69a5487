"""Hands the cases of a batch to workers (Dask distributed), one a worker at a time, and takes what became of them."""

from __future__ import annotations

import collections
import contextlib
import itertools
import math
import queue
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Any

from ..errors import Cancelled, InputError, InrsrError, OutOfMemory
from ..jobs.scratch import lock
from .case import FAILED, Outcome, run_case
from .cluster import LOST, RETRIES, connected, load_dask
from .manifest import Case

LOCK = ".inrsr-batch"
# a file that is there as long as its coordinator wants its cases done
RUNNING = ".inrsr-run-"
# of tasks: none is taken again before so many others, as Dask needs a moment to forget it
SPARE_NAMES = 100
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_TO_STOP = 1.4


@contextlib.contextmanager
def only_one(output: Path) -> Iterator[None]:
    """Keep other coordinators out of a folder.

    Raises
    ------
    InputError
        If one is at work there.
    """
    file: IO[bytes]
    with (output / LOCK).open("a+b") as file:
        if lock(file) is False:
            raise InputError(
                f"another batch is at work in {output}", "Wait for it, stop it, or give another --output folder"
            )
        yield


def run_batch(
    cases: Iterable[Case],
    output: Path,
    told: Callable[[Outcome], object],
    workers: int = 1,
    scheduler: str | None = None,
    limit_seconds: float | None = None,
    do: Callable[..., Outcome] = run_case,
) -> None:
    """Do all cases, with the lock of :func:`only_one` held.

    Parameters
    ----------
    told
        Called with each outcome as it comes.
    workers
        Processes of the embedded cluster.
    scheduler
        Address of a running scheduler, used instead.
    do
        What does a case.

    Raises
    ------
    MissingError
        Without Dask distributed.
    InputError
        If no scheduler answers.
    InrsrError
        If the scheduler is lost.
    """
    for left in output.glob(f"{RUNNING}*"):  # what a killed coordinator has handed out ends itself
        left.unlink(missing_ok=True)
    running = output / f"{RUNNING}{uuid.uuid4().hex[:8]}"
    running.touch()
    try:
        with noted_signals() as asked:
            load_dask()
            if asked.is_set():  # an exception in an import may be swallowed by who imports
                raise Cancelled()
            with connected(workers, scheduler) as client:
                hands = Hands(client, cases, str(running), limit_seconds, do, asked)
                try:
                    for outcome in hands.outcomes():
                        told(outcome)
                except BaseException:
                    running.unlink(missing_ok=True)  # what runs ends itself, wherever it runs
                    hands.wait(SECONDS_TO_STOP)
                    raise
    finally:
        running.unlink(missing_ok=True)


@contextlib.contextmanager
def noted_signals() -> Iterator[threading.Event]:
    """Set once a signal has asked to stop: what its handler raises may be swallowed by a library that it lands in."""
    asked = threading.Event()
    old: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():  # only there Python handles signals
        for number in (signal.SIGINT, signal.SIGTERM):
            old[number] = signal.getsignal(number)

    def note(number: int, frame: FrameType | None) -> None:
        asked.set()
        if callable(old[signal.Signals(number)]):
            old[signal.Signals(number)](number, frame)

    for number in list(old):
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in old.items():
            if signal.getsignal(number) is note:  # not, if it is ignored from now on
                signal.signal(number, handler)


class Hands:
    """Hands out cases, as many at a time as the workers have threads, whatever the scheduler would take.

    So a lost worker loses the one case that it was at, and neither scheduler nor coordinator ever holds a whole cohort.
    """

    def __init__(
        self, client: Any, cases: Iterable[Case], running: str, limit: float | None, do: Any, asked: threading.Event
    ) -> None:
        self._client, self._waiting = client, iter(cases)
        self._how, self._asked = (do, running, limit), asked
        self._out: dict[str, tuple[Any, Case]] = {}
        self._over: queue.SimpleQueue[str] = queue.SimpleQueue()
        # Dask keeps figures for each kind of name, and remembers names: the cases share a few. Once no task of a kind
        # is left, all is set up anew with the next one, and the old kept: one that stays prevents it
        names = f"case-{uuid.uuid4().hex[:8]}"
        self._names = (f"{names}-{n}" for n in itertools.count(1))
        self._free: collections.deque[str] = collections.deque()
        self._stays = client.submit(int, pure=False, key=f"{names}-0")

    def outcomes(self) -> Iterator[Outcome]:
        """What became of each case, as it comes."""
        slots, looked, more = 0, -math.inf, True
        while True:
            if self._asked.is_set():
                raise Cancelled()
            if time.monotonic() - looked > SECONDS_BETWEEN_LOOKS:  # workers come and go
                slots, looked = self._slots(), time.monotonic()
            while more and len(self._out) < slots:
                case = next(self._waiting, None)
                if case is None:
                    more = False
                else:
                    self._hand_out(case)
            if not more and not self._out:
                return
            try:
                key = self._over.get(timeout=SECONDS_BETWEEN_LOOKS)
            except queue.Empty:
                continue
            future, case = self._out.pop(key)
            yield _outcome(future, case)
            future.release()
            self._free.append(key)

    def _slots(self) -> int:
        if self._client.status != "running":
            raise lost()
        try:
            return sum(self._client.nthreads().values())
        except (OSError, *LOST) as error:
            raise lost() from error

    def _hand_out(self, case: Case) -> None:
        do, running, limit = self._how
        key = self._free.popleft() if len(self._free) > SPARE_NAMES else next(self._names)
        future = self._client.submit(do, case, running, limit, pure=False, retries=0, key=key)
        self._out[future.key] = future, case
        future.add_done_callback(lambda done: self._over.put(done.key))

    def wait(self, seconds: float) -> None:
        """Let what is handed out end, but not for longer than this."""
        until = time.monotonic() + seconds
        with contextlib.suppress(queue.Empty):
            while self._out and self._client.status == "running":
                self._out.pop(self._over.get(timeout=max(0.0, until - time.monotonic())), None)


def lost() -> InrsrError:
    """The scheduler was."""
    return InrsrError("the scheduler was lost", "Start it, then give the same command again: what is done stays")


def _outcome(future: Any, case: Case) -> Outcome:
    from distributed.scheduler import KilledWorker

    try:
        return future.result()
    except Cancelled:
        raise
    except LOST as error:  # nobody here cancels: its scheduler went
        raise lost() from error
    except KilledWorker:
        reason = f"its worker was lost {RETRIES + 1} times; memory may have run out"
        return Outcome(case.name, FAILED, reason, OutOfMemory.exit_code)
    except Exception as error:  # one case never stops the others
        return Outcome(case.name, FAILED, f"{type(error).__name__}: {error}", InrsrError.exit_code)


class Clock:
    """Part of the cases that are done, and seconds that the rest will take."""

    def __init__(self, total: int) -> None:
        self._total, self._started = total, time.monotonic()
        self.done = self.again = 0

    def count(self, outcome: Outcome) -> None:
        """Take note of a case."""
        self.done += 1
        self.again += outcome.again

    @property
    def fraction(self) -> float:
        """From 0 to 1."""
        return self.done / self._total

    @property
    def seconds_left(self) -> float | None:
        """None before the first case that took its time."""
        fresh = self.done - self.again
        if fresh == 0:
            return None
        return (time.monotonic() - self._started) / fresh * (self._total - self.done)
