"""A run's progress on a terminal."""

from __future__ import annotations

import sys
import time

from ..progress import Event
from .streams import tell

BAR_WIDTH = 28
# minutes
DAY = 24 * 60


def show_warning(event: Event) -> None:
    """Print a warning on stderr; nothing else."""
    if event["event"] == "warning":
        tell(f"inrsr: warning: {event['message']}")


class Bar:
    """A progress bar of the whole run on a terminal; a line every few seconds elsewhere."""

    SECONDS_BETWEEN_LINES = 10.0

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._last_line = time.perf_counter()
        self._expected = ""
        self._of_run = 0.0

    def _tell_expected(self) -> None:
        """What the run will take, once it goes well: one that is refused tells nothing but why."""
        if self._expected:
            tell(self._expected if not self._is_terminal else f"\r\033[K{self._expected}")
        self._expected = ""

    def __call__(self, event: Event) -> None:
        if event["event"] == "progress":
            self._of_run = float(event.get("of_run", self._of_run))  # type: ignore[arg-type]
            left = event.get("seconds_left")
            filled = round(self._of_run * BAR_WIDTH)
            text = f"{event['stage']:8} [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {self._of_run:4.0%}"
            text += f"  {duration(float(left))} left" if left is not None else ""  # type: ignore[arg-type]
            if self._is_terminal:
                if event["stage"] == "fit" and float(event["fraction"]) > 0:  # type: ignore[arg-type]
                    self._tell_expected()
                tell(f"\r\033[K{text}", end="")
            elif time.perf_counter() - self._last_line > self.SECONDS_BETWEEN_LINES:
                self._last_line = time.perf_counter()
                self._tell_expected()
                tell(text)
            return
        if self._is_terminal:
            tell("\r\033[K", end="")
        if event["event"] == "estimate":
            seconds, memory = event["seconds"], float(event["memory_bytes"])  # type: ignore[arg-type]
            needed = "" if seconds is None else f"{duration(float(seconds))}, "  # type: ignore[arg-type]
            self._expected = f"inrsr: about {needed}{memory / 2**30:.1f} GB"
            return
        show_warning(event)


def duration(seconds: float) -> str:
    """Seconds as people say them: ``42 s``, ``3 min``, ``2 h 5 min``, ``3 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes >= 2 * DAY:
        return f"{minutes / DAY:.0f} days"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
