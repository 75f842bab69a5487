"""Where the zoom controller's frames come from: a worker in the background that encodes and draws.

The worker is :mod:`INRSuperResolutionLib.jobs.zoom_worker`. Its process is Qt's, because Slicer's main loop holds
Python's lock: a thread that waits here for an answer would not get on.
"""

import collections
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import qt
from slicer.i18n import tr as _

from ..library import pythonExecutable
from ..runs.process import workerEnvironment

LOG_LINES = 200
# processes that have been told to end, kept until they have: a QProcess that is forgotten before waits for its end
_ending: set = set()


class ZoomWorker:
    """The process; started ahead, because loading PyTorch takes longer than all that follows."""

    def __init__(self) -> None:
        self.isReady = False
        self.onNews = lambda: None
        """Called when there are events."""
        self._events: collections.deque[dict] = collections.deque()
        self._log: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
        self._held = b""
        self._hasEnded = False
        self._process = qt.QProcess()
        self._process.setProcessEnvironment(workerEnvironment())
        self._process.connect("readyReadStandardOutput()", self._readEvents)
        self._process.connect("readyReadStandardError()", self._readLog)
        self._process.connect("finished(int,QProcess::ExitStatus)", self._finish)
        self._process.connect("errorOccurred(QProcess::ProcessError)", self._failToStart)
        self._process.start(pythonExecutable(), ["-u", "-m", "INRSuperResolutionLib.jobs.zoom_worker"])

    def send(self, **command) -> None:
        """A command; a worker that has died tells so by an event."""
        if not self._hasEnded:
            self._process.write((json.dumps(command) + "\n").encode("utf-8"))

    def events(self):
        """What has happened since the last call."""
        while self._events:
            event = self._events.popleft()
            self.isReady = self.isReady or event["event"] == "ready"
            yield event

    def close(self) -> None:
        """Have the process end, which it does when its stdin closes; nobody waits for it."""
        self.onNews = lambda: None
        if not self._hasEnded:
            _ending.add(self)
            self._process.closeWriteChannel()

    def _readEvents(self) -> None:
        *lines, self._held = (self._held + bytes(self._process.readAllStandardOutput().data())).split(b"\n")
        for line in lines:
            try:
                self._events.append(json.loads(line))
            except ValueError:
                self._log.append(line.decode("utf-8", "replace"))
        if self._events:
            self.onNews()

    def _readLog(self) -> None:
        self._log.extend(bytes(self._process.readAllStandardError().data()).decode("utf-8", "replace").splitlines())

    def _failToStart(self, error) -> None:
        if error == qt.QProcess.FailedToStart:
            self._end(_("PythonSlicer cannot be started"))

    def _finish(self, code, status) -> None:
        self._readEvents()
        self._readLog()
        self._end("\n".join(list(self._log)[-3:]).strip())

    def _end(self, message: str) -> None:
        self._hasEnded = True
        self._events.append({"event": "ended", "message": message})
        self.onNews()
        # later, because a QProcess must not die in its own signal
        qt.QTimer.singleShot(0, lambda: _ending.discard(self))


@dataclass(frozen=True)
class Frame:
    """What the worker has drawn for a view."""

    values: np.ndarray | None
    """(rows, columns); None where too little is encoded yet, or nothing is to be seen."""
    corner: tuple[int, int]
    """Its first column and row within what was asked for."""
    slices: range
    """The slices that it shows."""


class ZoomSource:
    """One volume or representation, opened in a worker.

    Parameters
    ----------
    worker
        The process.
    token
        Tells its events from those of what was opened before.
    path
        The volume or ``.inr`` file; it lies in `folder`.
    folder
        Temporary, and removed with the source.
    """

    def __init__(self, worker, token: int, path: Path, folder: Path, weights: str, channel: int = 0) -> None:
        self._worker, self._token, self._folder = worker, token, folder
        self.isOpen = False
        self.error: tuple[str, str] | None = None
        self.saved: dict | None = None
        """What came of `saveTo`: ``path``, or ``message`` and ``advice``; None before."""
        self.encoded: set[int] = set()
        self.slices = 0
        """How many slices will be encoded; none of what the worker draws without."""
        self._numbers: dict[str, int] = {}
        what = {"token": token, "source": str(path), "folder": str(folder), "channel": channel}
        worker.send(open={**what, "function" if weights.endswith(".inr") else "weights": weights})

    def poll(self) -> tuple[set[int], dict[str, Frame]]:
        """News from the worker: slices that have come or gone, and frames it has drawn, by their views."""
        changed, frames = set(), {}
        for event in self._worker.events():
            kind = event["event"]
            if kind == "ended" and not self.error:
                message = event["message"] or _("the background process has ended")
                self.error = (message, _("Switch sharp zoom off and on again."))
            if event.get("token") != self._token:
                continue
            if kind == "opened":
                self.isOpen, self.slices = True, event["slices"]
            elif kind == "evicted":
                self.encoded.discard(event["slice"])
                changed.add(event["slice"])
            elif kind == "encoded":
                self.encoded.add(event["slice"])
                changed.add(event["slice"])
            elif kind == "drawn":
                frame = self._read(event)
                if event["number"] == self._numbers.get(event["id"]):
                    frames[event["id"]] = frame
            elif kind == "saved":
                self.saved = event
            elif kind == "error":
                self.error = (event["message"], event["advice"])
        return changed, frames

    def requestFrame(self, view: str, affine: np.ndarray, shape: tuple[int, int]) -> None:
        """Have the worker draw; only the last request of a view counts."""
        number = self._numbers[view] = self._numbers.get(view, 0) + 1
        self._worker.send(
            draw={"id": view, "number": number, "affine": affine.tolist(), "shape": [int(n) for n in shape]}
        )

    def saveTo(self, path: str) -> None:
        """Have the worker save the function as an ``.inr`` file when all slices are encoded."""
        self.saved = None
        self._worker.send(save={"path": path})

    def close(self) -> None:
        """Let go of the files, and delete them."""
        self._worker.send(close={})
        shutil.rmtree(self._folder, ignore_errors=True)

    @staticmethod
    def _read(event: dict) -> Frame:
        values = None
        if event["path"] is not None:
            # read whole, not mapped: a file that is mapped cannot be deleted on Windows
            values = np.load(event["path"])
            Path(event["path"]).unlink(missing_ok=True)
        return Frame(values, tuple(event["corner"]), range(*event["slices"]))
