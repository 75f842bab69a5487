"""Dask distributed: the embedded cluster of a batch, or one that runs somewhere."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from ..errors import InputError, MissingError
from ..jobs.scratch import scratch_folder

# a case whose worker was lost is begun again, at most so often
RETRIES = 3
SECONDS_TO_CLOSE = 1.0
SECONDS_TO_GIVE_UP = 10.0
SECONDS_TO_FIND = 20.0
# entries that a scheduler keeps of what it has done: without a bound they grow with each case
LOG_LENGTH = 100
SETTINGS = {
    "distributed.worker.daemon": False,  # cases start processes of their own
    "distributed.admin.tick.limit": "1h",
    "distributed.admin.log-length": LOG_LENGTH,
    "distributed.admin.low-level-log-length": LOG_LENGTH,
}
# what Dask raises for what went with its scheduler
LOST = (asyncio.CancelledError, concurrent.futures.CancelledError)


def load_dask() -> None:
    """Import it, which takes a second; raises MissingError where it is not installed."""
    try:
        import dask.distributed  # noqa: F401
    except ImportError as error:
        raise MissingError(
            f"Dask distributed cannot be imported: {error}", 'pip install "inr-super-resolution[cohorts]"'
        ) from error


@contextlib.contextmanager
def connected(workers: int, scheduler: str | None) -> Iterator[Any]:
    """A client of the embedded cluster, or of the one at an address.

    Raises
    ------
    InputError
        If no scheduler answers.
    """
    import dask
    from dask.distributed import Client

    for name in [*logging.root.manager.loggerDict, "asyncio"]:  # what becomes of a case is told by its row
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with dask.config.set(SETTINGS), contextlib.ExitStack() as stack:
        where = scheduler if scheduler is not None else stack.enter_context(_embedded(workers))
        try:
            client = Client(where, timeout=SECONDS_TO_FIND, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError(f"no scheduler answers at {scheduler}: {error}", "Check the address") from error
        try:
            client.run_on_scheduler(_allow_failures(RETRIES))  # its own settings are of when it was started
            if scheduler is None:
                client.register_plugin(_own_group())
            yield client
        finally:
            with contextlib.suppress(Exception, *LOST):  # of a lost scheduler there is no leave to take
                client.close(timeout=SECONDS_TO_CLOSE)


@contextlib.contextmanager
def _embedded(workers: int) -> Iterator[Any]:
    from dask.distributed import LocalCluster

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
        try:
            yield cluster
        finally:
            # no case runs any more, so the workers hold nothing: taking leave of each takes a second
            for nanny in cluster.workers.values():
                nanny.auto_restart = False
                with contextlib.suppress(psutil.Error, TypeError):  # it has gone, or was never there
                    psutil.Process(nanny.pid).kill()
            with contextlib.suppress(TimeoutError):
                cluster.close(timeout=SECONDS_TO_GIVE_UP)


def _allow_failures(count: int) -> Callable[[Any], None]:
    # a function within one travels as code: the scheduler's Python need not know this library
    def allow(dask_scheduler: Any) -> None:
        dask_scheduler.allowed_failures = count

    return allow


def _own_group() -> Any:
    """A Ctrl-C of the terminal reaches the coordinator only, which ends the cases; so do its workers, and what replaces a lost one."""
    from dask.distributed import WorkerPlugin

    class OwnGroup(WorkerPlugin):
        name = "inrsr-own-group"

        def setup(self, worker: Any) -> None:
            if hasattr(os, "setpgrp"):
                os.setpgrp()

    return OwnGroup()
