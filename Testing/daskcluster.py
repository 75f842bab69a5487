"""A real Dask scheduler and workers, each a process of its own, over loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


class DaskCluster:
    """Whoever is killed is started again, as on a cluster; a ``with`` block ends them all.

    Parameters
    ----------
    folder
        For their logs.
    workers
        How many.
    environment
        Of all of them; the settings of Dask among it.
    """

    def __init__(self, folder: Path, workers: int, environment: dict[str, str] | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self._folder, self._environment = folder, {**os.environ, **(environment or {})}
        self._count = workers
        self.scheduler = self._scheduler()
        self.workers = [self._worker(n) for n in range(workers)]

    def __enter__(self) -> DaskCluster:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.workers, self.scheduler):
            kill(process)

    def revive(self) -> None:
        """Start what has ended; workers end by themselves once their scheduler has."""
        if self.scheduler.poll() is not None:
            for worker in self.workers:
                kill(worker)
            self.scheduler = self._scheduler()
        self.workers = [self._worker(n) if w.poll() is not None else w for n, w in enumerate(self.workers)]

    def _scheduler(self) -> subprocess.Popen[bytes]:
        return self._start("scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")

    def _worker(self, number: int) -> subprocess.Popen[bytes]:
        place = self._folder / f"worker{number}"
        return self._start(
            "worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(place)
        )

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self._folder / f"{arguments[0]}.log").open("ab")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments],
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )


def kill(process: subprocess.Popen[bytes]) -> None:
    """At once, and whatever belongs to it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(condition: object, seconds: float) -> bool:
    """Whether something came true in time."""
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return bool(condition())
