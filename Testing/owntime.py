"""Time that is our own: what others on the machine take does not count."""

from __future__ import annotations

import time
from pathlib import Path

STATISTICS = Path("/proc/thread-self/schedstat")


def own_time() -> float:
    """Seconds, less those in which this thread waited for a core, so that a busy machine changes little.

    Only differences mean something. Where the system does not tell, the thread's own CPU time.
    """
    try:
        waited = nanoseconds_waited()
        while True:
            now, before, waited = time.perf_counter(), waited, nanoseconds_waited()
            if waited == before:  # else others had the core between the two clocks
                return now - waited / 1e9
    except OSError:
        return time.thread_time()


def nanoseconds_waited() -> int:
    """For how long this thread was ready but had no core."""
    return int(STATISTICS.read_text().split()[1])
