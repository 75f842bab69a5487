"""Hands the cases of a batch to workers (Dask distributed), one a worker at a time, and takes what became of them."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from ..errors import Cancelled, InputError, InrsrError, MissingError, OutOfMemory
from ..jobs.scratch import lock, scratch_folder
from .case import FAILED, Outcome, run_case
from .manifest import Case

LOCK = ".inrsr-batch"
STOP = ".inrsr-stop-"
# a case whose worker was lost is begun again, at most so often
RETRIES = 3
# cases that are handed out ahead, for each worker: the scheduler never holds a whole cohort
AHEAD = 4
SECONDS_TO_STOP = 2.0
SECONDS_TO_CLOSE = 10.0
SECONDS_TO_FIND = 20.0


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
    cases: Sequence[Case],
    output: Path,
    told: Callable[[Outcome], object],
    workers: int = 1,
    scheduler: str | None = None,
    limit_seconds: float | None = None,
    do: Callable[..., Outcome] = run_case,
) -> list[Outcome]:
    """Do all cases; the outcomes in their order.

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
    stop = output / f"{STOP}{uuid.uuid4().hex[:8]}"
    with only_one(output):
        for left in output.glob(f"{STOP}*"):
            left.unlink(missing_ok=True)
        found: dict[str, Outcome] = {}
        try:
            with connected(workers, scheduler) as client:
                try:
                    for outcome in _handed_out(client, cases, str(stop), limit_seconds, do):
                        found[outcome.case] = outcome
                        told(outcome)
                except BaseException:
                    stop.touch()  # what runs ends itself, wherever it runs
                    raise
        finally:
            if scheduler is None:  # its workers have gone
                stop.unlink(missing_ok=True)
    return [found[case.name] for case in cases]


def _handed_out(client: Any, cases: Sequence[Case], stop: str, limit: float | None, do: Any) -> Iterator[Outcome]:
    from dask.distributed import as_completed

    waiting = iter(cases)
    names: dict[str, Case] = {}
    running = as_completed(loop=client.loop)

    def more() -> None:
        free = max(1, AHEAD * len(client.scheduler_info(n_workers=-1)["workers"])) - len(names)
        for _ in range(free):
            case = next(waiting, None)
            if case is None:
                return
            # not pure: the same case may be done anew; a slot each, so that no worker takes two at once
            future = client.submit(
                do, case, stop, limit, pure=False, retries=0, key=f"{case.name}-{uuid.uuid4().hex[:8]}"
            )
            names[future.key] = case
            running.add(future)

    more()
    while names:
        future = next(running)
        if future.cancelled():  # nobody here cancels: its scheduler went
            raise InrsrError("the scheduler was lost", "Start it, then give the same command again: what is done stays")
        case = names.pop(future.key)
        yield _outcome(future, case)
        future.release()
        more()


def _outcome(future: Any, case: Case) -> Outcome:
    from distributed.scheduler import KilledWorker

    try:
        return future.result()
    except Cancelled:
        raise
    except KilledWorker:
        reason = f"its worker was lost {RETRIES + 1} times; memory may have run out"
        return Outcome(case.name, FAILED, reason, OutOfMemory.exit_code)
    except Exception as error:  # one case never stops the others
        return Outcome(case.name, FAILED, f"{type(error).__name__}: {error}", InrsrError.exit_code)


@contextlib.contextmanager
def connected(workers: int, scheduler: str | None) -> Iterator[Any]:
    """A client of the embedded cluster, or of the one at an address."""
    try:
        import dask
        from dask.distributed import Client, LocalCluster
    except ImportError as error:
        raise MissingError(
            f"Dask distributed cannot be imported: {error}", 'pip install "inr-super-resolution[cohorts]"'
        ) from error
    settings = {
        "distributed.scheduler.allowed-failures": RETRIES,
        "distributed.scheduler.worker-saturation": 1.0,  # a lost worker loses the one case that it was at
        "distributed.worker.daemon": False,  # cases start processes of their own
        "distributed.admin.tick.limit": "1h",
    }
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what becomes of a case is told by its row
    with dask.config.set(settings):
        if scheduler is not None:
            try:
                client = Client(scheduler, timeout=SECONDS_TO_FIND, set_as_default=False)
            except (OSError, ValueError, TimeoutError) as error:
                raise InputError(f"no scheduler answers at {scheduler}: {error}", "Check the address") from error
            try:
                yield client
            finally:
                client.close(timeout=SECONDS_TO_STOP)
            return
        with scratch_folder("dask-") as folder:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=None,  # the cases' own processes are looked after by their memory check
                dashboard_address="127.0.0.1:0",  # any free port; None would open the usual one
                silence_logs=logging.CRITICAL,
                local_directory=str(folder),
            )
            client = Client(cluster, set_as_default=False)
            try:
                yield client
            finally:
                client.close(timeout=SECONDS_TO_STOP)
                with contextlib.suppress(TimeoutError):
                    cluster.close(timeout=SECONDS_TO_CLOSE)


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
