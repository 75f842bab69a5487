"""Shared fixtures."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# one thread for each test and what it starts: threads that share cores wait for each other. Before torch is loaded.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"the real volumes are not at {DATA}")
    return DATA


@pytest.fixture(scope="session")
def host():
    """The stand-in for Slicer; one for all tests, because Slicer's names are global."""
    pytest.importorskip("slicer", reason="slicer-core is not installed (extra: slicer)")
    # ImportError also where libEGL or libGL of the system is missing
    reason = "PySide6 is not installed (extra: slicer), or the system's libegl1 and libgl1 are not"
    pytest.importorskip("PySide6.QtWidgets", reason=reason, exc_type=ImportError)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    import SlicerHost
    import vtk

    # as above: else the main thread waits for those of VTK, which a busy machine keeps from working
    vtk.vtkMultiThreader.SetGlobalMaximumNumberOfThreads(1)
    vtk.vtkSMPTools.Initialize(1)
    return SlicerHost.start()


@pytest.fixture
def machine(host):
    """What the machine has installed, whether it is online, and what its user answers; all is well at first."""
    from SlicerHost import packages

    yield packages.reset()
    packages.reset()


@pytest.fixture
def raised_in_slots(monkeypatch):
    """What was raised in slots, timers and observers: Slicer prints it only, here it fails the test."""
    raised: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: raised.append(error))
    yield raised
    if raised:
        raise raised[0]


@pytest.fixture
def slicer(host, tmp_path, monkeypatch, machine, raised_in_slots):
    """An empty scene; every temporary file of the module goes to `tmp_path`."""
    import slicer

    host.load_module()
    from INRSuperResolutionModule.runs import dependencies

    dependencies.forget()  # the machine of the test before may have had other packages
    slicer.mrmlScene.Clear()
    host.layout_manager.node()  # as in Slicer, there is one from the start
    monkeypatch.setattr(slicer.app, "temporaryPath", str(tmp_path))
    return slicer


@pytest.fixture
def panel(host, slicer):
    widget = host.make_panel()
    yield widget
    widget.cleanup()
    widget.parent.deleteLater()
    host.process_events()


@pytest.fixture
def logic(slicer):
    from INRSuperResolution import INRSuperResolutionLogic

    made = INRSuperResolutionLogic()
    yield made
    made.close()


@pytest.fixture(scope="session")
def worker_server():
    """Forks workers that have PyTorch loaded; None where a system cannot fork."""
    if not hasattr(os, "fork"):
        yield None
        return
    import warmworkers

    server = warmworkers.Server()
    yield server
    server.close()


@pytest.fixture
def warm_workers(slicer, worker_server, monkeypatch):
    """The runs of a test need not wait for imports."""
    from INRSuperResolutionModule.runs import process

    if worker_server is not None:
        import warmworkers

        worker_server.wait()
        monkeypatch.setattr(process, "BOOTSTRAP", warmworkers.client_for(worker_server.address))


def pytest_sessionfinish(session, exitstatus):
    application = sys.modules.get("SlicerHost.application")
    if application is not None:
        application.exit_code = int(exitstatus)


def run_here(job, on_event):
    """Stands in for :func:`client.run_in_worker`: the worker's own work, from the job file on, in this process."""
    import tempfile
    from dataclasses import replace

    from INRSuperResolutionLib import errors
    from INRSuperResolutionLib.jobs import worker

    events = []

    def emit(event):
        events.append(event)
        if event["event"] != "error":
            on_event(event)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        replace(job, run_id="here").write(path)
        code = worker.work(str(path), emit, worker.CancelSignal(), lambda: None)
    last = events[-1]
    if code == 0:
        return last["report"]
    kinds = (errors.InputError, errors.Cancelled, errors.OutOfMemory, errors.MissingError, errors.InrsrError)
    raise next(k for k in kinds if k.code == last["code"])(last["message"], last["advice"])


@pytest.fixture
def inrsr(monkeypatch):
    """Calls the command line, worker included, in this process, which saves the imports; returns it completed."""
    from INRSuperResolutionLib.cli import main, upscale

    def call(*arguments, cwd=None) -> subprocess.CompletedProcess[str]:
        words, out, err = list(map(str, arguments)), io.StringIO(), io.StringIO()
        with monkeypatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setattr(upscale, "run_in_worker", run_here)
            if cwd is not None:
                patch.chdir(cwd)
            code = main(words)
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    return call


@pytest.fixture
def inrsr_process():
    """Calls the command line as a process, as a user does; returns it completed."""

    def call(*arguments, **options) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "INRSuperResolutionLib", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)

    return call


# shared machines are slow at times, and a test must give the same answer every day
settings.register_profile("project", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("project")
