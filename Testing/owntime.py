"""Time that is our own: what others on the machine take does not count."""

from __future__ import annotations

import time
from pathlib import Path


def own_time() -> float:
    """Seconds, less those in which this thread waited for a core, so that a busy machine changes little.

    Only differences mean something. Where the system does not tell, the thread's own CPU time.
    """
    try:
        waited = int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return time.thread_time()
    return time.perf_counter() - waited
