"""What a run tells while it works: events, and where it may be cancelled.

An event is a JSON-ready dict with the key ``event``: ``progress`` (stage, fraction of the stage,
seconds_left of the whole run, metrics), ``preview`` (a file), ``warning`` (a message), and from the
worker ``result`` and ``error``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from .errors import Cancelled

Event = dict[str, object]
# the usual share of each stage in the whole run, to foresee the remaining time
SHARES = {"read": 0.03, "register": 0.05, "fit": 0.72, "sample": 0.15, "write": 0.05}
SECONDS_BETWEEN_EVENTS = 0.2
# the pace is not told before this part of a stage is done: it starts with preparations
FORESEEABLE = 0.04
# previews may take this part of the time at most
PREVIEW_COST = 0.1


class Progress:
    """Passes events on, and raises `Cancelled` from :meth:`update` once the user has asked to stop.

    Parameters
    ----------
    emit
        Called with each event.
    is_cancelled
        Asked at every update.
    preview_folder
        Where previews are written; None for none.
    """

    def __init__(
        self,
        emit: Callable[[Event], object] | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        preview_folder: Path | None = None,
    ) -> None:
        self._emit = emit or (lambda event: None)
        self._is_cancelled = is_cancelled
        self._preview_folder = preview_folder
        self._started = self._stage_started = time.perf_counter()
        self._last_event = 0.0
        self._stage = ""
        self._next_preview = self._started + 3.0
        self._previews = 0
        self.seconds: dict[str, float] = {}

    def stage(self, name: str) -> None:
        """Begin the stage `name` (one of :data:`SHARES`); the time of the last one is kept in `seconds`."""
        self.close()
        self._stage, self._stage_started, self._last_event = name, time.perf_counter(), 0.0
        self.update(0.0)

    def close(self) -> None:
        """End the current stage."""
        if self._stage:
            spent = time.perf_counter() - self._stage_started
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + spent
        self._stage = ""

    def update(self, fraction: float, **metrics: float) -> None:
        """Tell how much of the stage is done (0 to 1); raises Cancelled if the user wants to stop."""
        self.raise_if_cancelled()
        now = time.perf_counter()
        if now - self._last_event < SECONDS_BETWEEN_EVENTS and fraction < 1:
            return
        self._last_event = now
        event: Event = {"event": "progress", "stage": self._stage, "fraction": round(fraction, 4)}
        left = self._seconds_left(fraction, now)
        if left is not None:
            event["seconds_left"] = round(left, 1)
        event["metrics"] = metrics
        self._emit(event)

    def part(self, start: float, end: float) -> Progress:
        """For something that does a part of this stage, from `start` to `end` (0 to 1), and knows nothing of the rest."""
        return _Part(self, start, end)

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled if the user wants to stop."""
        if self._is_cancelled():
            raise Cancelled()

    def _seconds_left(self, fraction: float, now: float) -> float | None:
        """Extrapolated from this stage's pace, the later stages from their usual share."""
        spent = now - self._stage_started
        if self._stage not in SHARES or fraction < FORESEEABLE or spent < 1:
            return None
        stage_total = spent / fraction
        names = list(SHARES)
        later = sum(SHARES[n] for n in names[names.index(self._stage) + 1 :])
        return stage_total - spent + stage_total * later / SHARES[self._stage]

    def warning(self, message: str) -> None:
        """Tell the user something that does not stop the run."""
        self._emit({"event": "warning", "message": message})

    def preview(self, write: Callable[[Path], None]) -> None:
        """Let `write` make a preview and save it where it is told, unless that would take too much of the run's time."""
        now = time.perf_counter()
        if self._preview_folder is None or now < self._next_preview:
            return
        self._previews += 1
        path = self._preview_folder / f"preview-{self._previews}.nii"  # uncompressed: a viewer must not wait for it
        write(path)
        self._emit({"event": "preview", "path": str(path)})
        cost = time.perf_counter() - now
        self._next_preview = time.perf_counter() + max(1.0, cost / PREVIEW_COST)


class _Part(Progress):
    """See :meth:`Progress.part`; stages within it are not told."""

    def __init__(self, whole: Progress, start: float, end: float) -> None:
        super().__init__()
        self._whole, self._from, self._to = whole, start, end

    def update(self, fraction: float, **metrics: float) -> None:
        self._whole.update(self._from + (self._to - self._from) * fraction, **metrics)

    def stage(self, name: str) -> None:
        self.update(0.0)

    def raise_if_cancelled(self) -> None:
        self._whole.raise_if_cancelled()

    def warning(self, message: str) -> None:
        self._whole.warning(message)

    def preview(self, write: Callable[[Path], None]) -> None:
        self._whole.preview(write)


SILENT = Progress()
