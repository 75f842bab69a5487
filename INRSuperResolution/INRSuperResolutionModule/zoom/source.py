"""Where the zoom controller's frames come from: a worker in the background, and what it shares.

The worker (:mod:`INRSuperResolutionLib.jobs.zoom_worker`) encodes slices; their coefficients are read from memory
that both processes map, and drawn here. Representations without such coefficients are drawn by the worker.
No Qt: the controller asks for news with `poll`.
"""

import collections
import json
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np

from ..library import addLibraryToPath, pythonExecutable

addLibraryToPath()

from INRSuperResolutionLib.jobs.client import worker_environment  # noqa: E402

# a zoom worker ends when its stdin closes; this long it may take before it is killed
SECONDS_TO_END = 1.0


class ZoomWorker:
    """The process; started ahead, because loading PyTorch takes longer than all that follows."""

    def __init__(self) -> None:
        self.isReady = False
        self._events: collections.deque[dict] = collections.deque()
        self._log: collections.deque[str] = collections.deque(maxlen=200)
        self._process = subprocess.Popen(
            [pythonExecutable(), "-u", "-m", "INRSuperResolutionLib.jobs.zoom_worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", errors="replace", env=worker_environment(1),
        )  # fmt: skip
        self._readers = [threading.Thread(target=t, daemon=True) for t in (self._readEvents, self._readLog)]
        for reader in self._readers:
            reader.start()

    def send(self, **command) -> None:
        """A command; a worker that has died tells so by an event."""
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            pass

    def events(self):
        """What has happened since the last call."""
        while self._events:
            event = self._events.popleft()
            self.isReady = self.isReady or event["event"] == "ready"
            yield event

    def close(self) -> None:
        """End the process."""
        try:
            self._process.stdin.close()
            self._process.wait(SECONDS_TO_END)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join(SECONDS_TO_END)
        self._process.stdout.close()
        self._process.stderr.close()

    def _readEvents(self) -> None:
        for line in self._process.stdout:
            try:
                self._events.append(json.loads(line))
            except ValueError:
                self._log.append(line)
        self._events.append({"event": "ended", "message": "".join(list(self._log)[-3:]).strip()})

    def _readLog(self) -> None:
        self._log.extend(self._process.stderr)


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
        self.function = None
        """What planes are drawn with; None until it is opened, and for what the worker draws itself."""
        self.isOpen = False
        self.affine = np.eye(4)
        """Voxel → RAS of what was opened, float64."""
        self.error: tuple[str, str] | None = None
        self.saved: dict | None = None
        """What came of `saveTo`: ``path``, or ``message`` and ``advice``; None before."""
        self.encoded: set[int] = set()
        self.slices = 0
        self._slots: dict[int, int] = {}
        self._wanted: list[int] = []
        self._frames: dict[str, int] = {}
        what = {"token": token, "source": str(path), "folder": str(folder), "channel": channel}
        worker.send(open={**what, "function" if weights.endswith(".inr") else "weights": weights})

    def poll(self) -> tuple[set[int], dict[str, np.ndarray]]:
        """News from the worker: slices that have come or gone, and frames it has drawn, by their views."""
        changed, frames = set(), {}
        for event in self._worker.events():
            kind = event["event"]
            if kind == "ended" and not self.error:
                self.error = (event["message"], "")
            if event.get("token") != self._token:
                continue
            if kind == "opened":
                self._opened(event)
                changed.update(range(self.slices))
            elif kind == "evicted":
                self._slots.pop(event["slice"], None)
                self.encoded.discard(event["slice"])
                changed.add(event["slice"])
            elif kind == "encoded":
                self._slots[event["slice"]] = event["slot"]
                self.encoded.add(event["slice"])
                changed.add(event["slice"])
            elif kind == "drawn" and event["number"] == self._frames.get(event["id"]):
                frames[event["id"]] = np.load(event["path"])
            elif kind == "saved":
                self.saved = event
            elif kind == "error":
                self.error = (event["message"], event["advice"])
        if self.function is not None:
            for number in changed:
                self.function.forget(number)
        return changed, frames

    def want(self, visible: range) -> None:
        """Encode the slices in sight first, then their neighbours, then all others."""
        middle = (visible.start + visible.stop - 1) / 2
        order = sorted(set(range(self.slices)) - self.encoded, key=lambda n: abs(n - middle))
        if order != self._wanted:
            self._wanted = order
            self._worker.send(want=order)

    def requestFrame(self, view: str, affine: np.ndarray, shape: tuple[int, int]) -> None:
        """Have the worker draw; only the last request of a view counts."""
        number = self._frames[view] = self._frames.get(view, 0) + 1
        self._worker.send(
            draw={"id": view, "number": number, "affine": affine.tolist(), "shape": [int(n) for n in shape]}
        )

    def saveTo(self, path: str) -> None:
        """Have the worker save the function as an ``.inr`` file when all slices are encoded."""
        self.saved = None
        self._worker.send(save={"path": path})

    def close(self) -> None:
        """Let go of the shared files."""
        self.function = None
        self._slots.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _opened(self, event: dict) -> None:
        self.isOpen = True
        self.affine = np.array(event["affine"])
        told = event.get("explicit")
        if told is None:
            return
        from INRSuperResolutionLib.methods.nexpr.shared import shared_function

        self.function = shared_function(told, self._slots)
        self.slices = self.function.slices


def warmUp() -> threading.Thread:
    """Load PyTorch into this process, aside, so that the first frame need not wait for it."""

    def load() -> None:
        from INRSuperResolutionLib.methods.nexpr.shared import leave_cores_free

        leave_cores_free()

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    return thread
