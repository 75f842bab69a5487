"""What a run tells while it works: events, and where it may be cancelled.

An event is a JSON-ready dict with the key ``event``: ``progress`` (stage, fraction of the stage, of_run: the part of
the whole run that is done, seconds_left of the whole run, metrics), ``estimate`` (what the run will need: seconds,
memory_bytes), ``preview`` (a file), ``warning`` (a message), and from the worker ``result`` and ``error``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from .errors import Cancelled, InrsrError

Event = dict[str, object]
# the usual share of each stage in the whole run, to foresee the remaining time where nothing else is known
SHARES = {"read": 0.02, "register": 0.05, "fit": 0.7, "sample": 0.2, "write": 0.03}
# a machine may be so many times slower or faster than what is expected; more says that the expectation was wrong
PACES = (0.3, 5.0)
# from this part of a stage on, its own pace counts alone
OWN_PACE = 0.25
MOST_BEFORE_THE_END = 0.99
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
        self._expected: dict[str, float] = {}
        self._of_run = 0.0
        self._limit: tuple[float, InrsrError] | None = None
        self.seconds: dict[str, float] = {}

    def limit(self, until: float | None, error: InrsrError | None = None) -> None:
        """Have the run end with `error` at its next update after `until` (of ``time.perf_counter``); None: no longer."""
        self._limit = None if until is None or error is None else (until, error)

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Say how long stages are expected to take; the more is known, the better the remaining time is foreseen."""
        self._expected.update(seconds)

    def estimate(self, seconds: float | None, memory_bytes: int) -> None:
        """Tell what the whole run is expected to need."""
        rounded = None if seconds is None else round(seconds, 1)
        self._emit({"event": "estimate", "seconds": rounded, "memory_bytes": memory_bytes})

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
            elapsed = now - self._started
            # what is done does not become less when the rest turns out to take longer
            self._of_run = max(self._of_run, min(MOST_BEFORE_THE_END, elapsed / (elapsed + left)))
            event["of_run"] = round(self._of_run, 4)
        event["metrics"] = metrics
        self._emit(event)

    def part(self, start: float, end: float) -> Progress:
        """For something that does a part of this stage, from `start` to `end` (0 to 1), and knows nothing of the rest."""
        return _Part(self, start, end)

    def quiet(self) -> Progress:
        """For something whose steps, warnings and previews are not told, but that ends when the run is to end."""
        return _Quiet(self)

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled if the user wants to stop, or the error of a limit that has passed."""
        if self._is_cancelled():
            raise Cancelled()
        if self._limit is not None and time.perf_counter() > self._limit[0]:
            raise self._limit[1]

    def _seconds_left(self, fraction: float, now: float) -> float | None:
        """Of this stage, from its own pace; of the later ones, as expected on a machine of this pace, or their usual share."""
        spent = now - self._stage_started
        if self._stage not in SHARES:
            return None
        expected = self._expected.get(self._stage)
        if fraction >= FORESEEABLE and spent >= 1:
            total = spent / fraction
            if expected is not None:
                own = min(1.0, fraction / OWN_PACE)
                total = max(spent, own * total + (1 - own) * max(expected, spent))
        elif expected is not None:
            total = max(expected, spent)
        else:
            return None
        pace = 1.0 if not expected else min(max(total / expected, PACES[0]), PACES[1])
        share = total / SHARES[self._stage]
        names = list(SHARES)
        later = names[names.index(self._stage) + 1 :]
        return (
            total - spent + sum(self._expected[n] * pace if n in self._expected else SHARES[n] * share for n in later)
        )

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


class _Quiet(Progress):
    """See :meth:`Progress.quiet`."""

    def __init__(self, whole: Progress) -> None:
        super().__init__()
        self._whole = whole

    def raise_if_cancelled(self) -> None:
        self._whole.raise_if_cancelled()


SILENT = Progress()
