"""The worker process, by QProcess, so that nothing in Slicer waits for it."""

import contextlib
import json
import os
import signal

import qt

from ..library import libraryFolder, pythonExecutable

# what a cancelled worker gets before it is killed; it ends itself after 1 s
KILL_AFTER_MILLISECONDS = 1600
# PythonSlicer is a launcher: killing it would leave the worker, so the worker tells its own process id first
BOOTSTRAP = (
    "import json,os,runpy;"
    "print(json.dumps({'event':'started','pid':os.getpid()}),flush=True);"
    "runpy.run_module('INRSuperResolutionLib.jobs.worker',run_name='__main__',alter_sys=True)"
)


def workerEnvironment():
    """This environment, in UTF-8, with the library on the path."""
    environment = qt.QProcessEnvironment.systemEnvironment()
    path = [str(libraryFolder()), environment.value("PYTHONPATH", "")]
    environment.insert("PYTHONPATH", os.pathsep.join(p for p in path if p))
    environment.insert("PYTHONUTF8", "1")
    environment.insert("PYTHONUNBUFFERED", "1")
    # what PyTorch cannot do on Apple's GPU, it does on the processor
    environment.insert("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    return environment


class WorkerProcess:
    """Runs a job file, and calls back in the GUI thread.

    Parameters
    ----------
    onEvent
        Called with each event (a dict) of the worker.
    onLog
        Called with each line of its log.
    onFinished
        Called once, with the exit code; None if it was killed or could not be started.
    """

    def __init__(self, onEvent, onLog, onFinished) -> None:
        self._onEvent, self._onLog, self._onFinished = onEvent, onLog, onFinished
        self._process = None
        self._pid = None
        self._held = {"out": b"", "err": b""}
        self._isFinished = False

    def start(self, jobPath: str) -> None:
        """Start the worker on a job file."""
        self._process = qt.QProcess()
        self._process.setProcessEnvironment(workerEnvironment())
        self._process.connect("readyReadStandardOutput()", self._readEvents)
        self._process.connect("readyReadStandardError()", self._readLog)
        self._process.connect("finished(int,QProcess::ExitStatus)", self._finish)
        self._process.connect("errorOccurred(QProcess::ProcessError)", self._failToStart)
        self._process.start(pythonExecutable(), ["-u", "-c", BOOTSTRAP, jobPath])

    def cancel(self) -> None:
        """Ask the worker to stop; kill it if it does not."""
        if self._process is None or self._isFinished:
            return
        self._process.write(b"cancel\n")
        qt.QTimer.singleShot(KILL_AFTER_MILLISECONDS, self.kill)

    def kill(self) -> None:
        """End the worker and its launcher at once."""
        if self._process is None or self._isFinished:
            return
        if self._pid is not None:
            with contextlib.suppress(OSError):  # it may just have ended by itself
                os.kill(self._pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        self._process.kill()

    def waitForFinished(self, milliseconds: int) -> None:
        """Block until the worker has ended; only for when the application quits."""
        if self._process is not None and not self._isFinished:
            self._process.waitForFinished(milliseconds)

    def _lines(self, channel: str, data: bytes) -> list[str]:
        *lines, self._held[channel] = (self._held[channel] + data).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]

    def _readEvents(self) -> None:
        for line in self._lines("out", bytes(self._process.readAllStandardOutput().data())):
            try:
                event = json.loads(line)
                kind = event["event"]
            except (ValueError, TypeError, KeyError):
                self._onLog(line)
                continue
            if kind == "started":
                self._pid = event["pid"]
            else:
                self._onEvent(event)

    def _readLog(self) -> None:
        for line in self._lines("err", bytes(self._process.readAllStandardError().data())):
            self._onLog(line)

    def _failToStart(self, error) -> None:
        if error == qt.QProcess.FailedToStart:
            self._end(None)

    def _finish(self, code, status) -> None:
        self._readEvents()
        self._readLog()
        self._end(code if status == qt.QProcess.NormalExit else None)

    def _end(self, code) -> None:
        if not self._isFinished:
            self._isFinished = True
            # later, because who hears it forgets this object, and a QProcess must not die in its own signal
            qt.QTimer.singleShot(0, lambda: self._onFinished(code))
